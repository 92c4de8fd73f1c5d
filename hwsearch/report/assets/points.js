// Every point that can be drawn and chosen, once, by its number.

const POINTS = [];
DATA.views.forEach(addView);

function addPoint(point) {
  if (point.x === null || point.y === null) return;
  point.id = POINTS.length;
  POINTS.push(point);
}

function addView(view, at) {
  const known = new Set();
  const common = (number) => ({
    view: at,
    series: number,
    search: view.series[number].search,
    table: view.series[number].table,
    precision: view.series[number].precision,
  });
  const measured = new Map(view.measured.map((one) => [`${one.series} ${one.network}`, one]));
  for (const front of view.front) {
    const key = `${front.series} ${front.network}`;
    const kind = front.on_front ? "front" : "cloud";
    known.add(key);
    addPoint({
      ...common(front.series), kind, front, measured: measured.get(key), network: front.network,
      x: front.latency_ms, y: front.distance,
    });
  }
  for (const [key, one] of measured) {
    if (known.has(key)) continue;
    known.add(key);
    const { distance } = DATA.searches[view.series[one.series].search].networks;
    addPoint({
      ...common(one.series), kind: "measured", measured: one, network: one.network,
      x: one.measured_ms, y: distance[one.network],
    });
  }
  view.series.forEach((series, number) => addCloud(series, number, known, common(number)));
  for (const engine of view.engines) {
    const number = view.series.findIndex((series) => series.table === engine.table);
    addPoint({ ...common(number), kind: "engine", engine, x: engine.measured_ms, y: engine.measured_distance });
  }
}

function addCloud(series, number, known, common) {
  const { latency_ms, distance } = DATA.searches[series.search].networks;
  for (const network of series.networks) {
    if (known.has(`${number} ${network}`)) continue;
    addPoint({ ...common, kind: "cloud", network, x: latency_ms[series.table][network], y: distance[network] });
  }
}

function pointText(point) {
  const where = `${inMs(point.x)}, distance ${significant(point.y)}`;
  if (point.kind === "engine") return `delivered engine, measured<br>${where}`;
  const search = DATA.searches[point.search];
  const model = search.dims.length === 1 ? `${plain(subnetOf(search, point.network)[0][1])}<br>` : "";
  const measured = point.kind === "measured" || (point.front && point.front.measured_ms !== null);
  const place = point.front ? `front, index ${point.front.index}` : "evaluated";
  return `${model}${place}, ${measured ? "measured" : "predicted"}<br>${where}`;
}
