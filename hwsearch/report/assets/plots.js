// The three plots.

const SYMBOLS = ["circle", "triangle-up", "triangle-down", "cross", "x"];
function markers(points, name, marker, more) {
  return {
    type: "scatter", mode: "markers", name,
    x: points.map((point) => point.x), y: points.map((point) => point.y),
    customdata: points.map((point) => point.id), text: points.map(pointText),
    hovertemplate: "%{text}<extra></extra>", marker, ...more,
  };
}

// Colour by size where there is one table, else by table.
function groupsOf(points) {
  const groups = new Map();
  for (const point of points) {
    const key = `${point.view} ${point.series}`;
    if (!groups.has(key)) groups.set(key, []);
    groups.get(key).push(point);
  }
  return [...groups.values()];
}

function sizeMarker(points, theme, scale) {
  const macs = points.map((point) => DATA.searches[point.search].networks.macs[point.network]);
  const logs = macs.map((count) => Math.log10(Math.max(count, 1)));
  const low = Math.min(...logs);
  const high = Math.max(...logs);
  const ticks = [0, 0.25, 0.5, 0.75, 1].map((share) => low + share * (high - low));
  return {
    size: 6, opacity: 0.8, color: logs, colorscale: scale, cmin: low, cmax: high,
    showscale: high > low,
    colorbar: {
      title: { text: "MACs an image", side: "right" }, thickness: 10, outlinewidth: 0,
      tickvals: ticks, ticktext: ticks.map((log) => inMillions(10 ** log)),
    },
  };
}

function cloudTraces(points, look) {
  const groups = groupsOf(points);
  return groups.map((group) => {
    const { view, series } = group[0];
    const cloud = group.filter((point) => point.kind === "cloud");
    const alone = groups.length === 1 && cloud.length > 0;
    const marker = alone
      ? sizeMarker(cloud, look.theme, look.scale)
      : { size: 7, opacity: 0.75, color: look.colour(view, series), symbol: look.symbol(view, series) };
    return markers(cloud, plain(look.name(view, series)), marker, { visible: look.cloud });
  });
}

function frontTraces(points, look) {
  const { theme } = look;
  const traces = [];
  const views = new Set(points.map((point) => point.view));
  for (const view of views) {
    const front = points.filter((point) => point.view === view && point.kind === "front");
    front.sort((one, other) => one.x - other.x);
    const line = views.size > 1 ? look.colour(view, 0) : theme.ink;
    const ends = (name) => front.map((point) => Math.max(0, look.end(point.front, name)));
    const error = {
      type: "data", symmetric: false, array: ends("high"), arrayminus: ends("low"),
      color: theme.interval, thickness: 1, width: 3, visible: look.intervals,
    };
    traces.push({
      type: "scatter", mode: "lines", hoverinfo: "skip", name: "Pareto front", line: { color: line, width: 1.5 },
      x: front.map((point) => point.x), y: front.map((point) => point.y),
      error_x: error, showlegend: traces.length === 0,
    });
    const colours = front.map((point) => (look.several ? look.colour(point.view, point.series) : theme.ink));
    const fills = front.map((point, at) => (point.front.measured_ms === null ? theme.card : colours[at]));
    const symbol = front.map((point) => (look.several ? look.symbol(point.view, point.series) : "circle"));
    const marker = { size: 9, symbol, color: fills, line: { color: colours, width: 1.6 } };
    traces.push(markers(front, "front", marker, { showlegend: false }));
  }
  return traces;
}

// Markers that stand for a meaning rather than a table.
function markedTraces(points, look) {
  const { theme } = look;
  const knees = points.filter((point) => point.kind === "front" && point.front.knee);
  const measured = points.filter((point) => point.kind === "measured");
  const engines = points.filter((point) => point.kind === "engine");
  const key = (name, marker) => ({ type: "scatter", mode: "markers", name, x: [null], y: [null], marker, hoverinfo: "skip" });
  const fronts = points.filter((point) => point.kind === "front");
  const isMeasured = (point) => point.front.measured_ms !== null;
  const ring = { size: 9, line: { color: theme.ink, width: 1.6 } };
  const steps = engines.flatMap((point) => [point.engine.predicted_ms, point.x, null]);
  const levels = engines.flatMap((point) => [point.engine.predicted_distance, point.y, null]);
  return [
    fronts.some((point) => !isMeasured(point)) && key("on the front, predicted", { ...ring, color: theme.card }),
    fronts.some(isMeasured) && key("on the front, measured", { ...ring, color: theme.ink }),
    measured.length && markers(measured, "measured, off the front", { size: 8, symbol: "diamond", color: theme.quiet }),
    knees.length && markers(knees, "knee", { size: 16, symbol: "star", color: theme.knee, line: { color: theme.card, width: 1 } }),
    engines.length && {
      type: "scatter", mode: "lines", x: steps, y: levels, hoverinfo: "skip", showlegend: false,
      line: { color: theme.measured, width: 1.4 },
    },
    engines.length && markers(engines, "delivered engine, measured", {
      size: 11, symbol: "square-open", color: theme.measured, line: { color: theme.measured, width: 2.5 },
    }),
  ].filter(Boolean);
}

function limitShapes({ limits, theme, log }) {
  // Annotations on a logarithmic axis are placed by the logarithm, shapes are not.
  const place = (value) => (log ? Math.log10(value) : value);
  const shapes = limits.map(({ axis: along, at }) => ({
    type: "line", line: { color: theme.knee, width: 1.2, dash: "dash" },
    ...(along === "x" ? { x0: at, x1: at, yref: "paper", y0: 0, y1: 1 } : { y0: at, y1: at, xref: "paper", x0: 0, x1: 1 }),
  }));
  const annotations = limits.map(({ axis: along, at, text }) => ({
    text: plain(text), showarrow: false, font: { color: theme.knee, size: 11 },
    ...(along === "x"
      ? { x: place(at), yref: "paper", y: 1, xanchor: "left", yanchor: "top", xshift: 4 }
      : { y: at, xref: "paper", x: 1, xanchor: "right", yanchor: "bottom" }),
  }));
  return { shapes, annotations };
}

// Plain numbers, more of them where the axis is narrow.
function logTicks(points) {
  if (!points.length) return { type: "log" };
  const logs = points.map((point) => Math.log10(point.x));
  const low = logs.reduce((a, b) => Math.min(a, b));
  const high = logs.reduce((a, b) => Math.max(a, b));
  const fine = [1, 1.2, 1.4, 1.6, 1.8, 2, 2.5, 3, 3.5, 4, 4.5, 5, 6, 7, 8, 9];
  const steps = high - low > 1.5 ? [1, 2, 5] : high - low > 0.5 ? [1, 1.5, 2, 3, 4, 5, 6, 8] : fine;
  const values = [];
  for (let power = Math.floor(low) - 1; power <= Math.ceil(high) + 1; power += 1) {
    for (const step of steps) values.push(Number((step * 10 ** power).toPrecision(3)));
  }
  return { type: "log", tickvals: values, ticktext: values.map(String) };
}

// From 0, or where nothing is near 0, as beside a committee, around the points; figure.py does the same.
function endsOfDistance(points) {
  const top = points.reduce((most, point) => Math.max(most, point.y), 0) || 1;
  const low = points.reduce((least, point) => Math.min(least, point.y), top);
  if (low < 0.4 * top) return [-0.04 * top, 1.08 * top];
  const room = 0.1 * (top - low) || 0.1 * top;
  return [low - room, top + room];
}

function drawFront(points, look) {
  const { theme } = look;
  const chosen = look.chosen ? [look.chosen] : [];
  const traces = [
    ...cloudTraces(points, look), ...frontTraces(points, look), ...markedTraces(points, look),
    { ...markers(chosen, "chosen", { size: 20, symbol: "circle-open", color: theme.knee, line: { width: 2 } }), showlegend: false, hoverinfo: "skip", hovertemplate: null },
  ];
  const x = axis(theme, "latency of one call (ms)", look.log ? logTicks(points) : {});
  const y = axis(theme, "distance to the teacher (lower is better)", { range: endsOfDistance(points) });
  const more = { ...limitShapes(look), uirevision: look.revision };
  return Plotly.react("front", traces, layout(theme, x, y, more), CONFIG);
}

function markChosen(point) {
  const last = document.getElementById("front").data.length - 1;
  return Plotly.restyle("front", { x: [[point.x]], y: [[point.y]], customdata: [[point.id]] }, [last]);
}

function drawVolume(curves, look) {
  const traces = curves.map(({ view, series, curve }) => ({
    type: "scatter", mode: "lines", name: plain(look.name(view, series)),
    x: curve.evaluations, y: curve.volume, hovertemplate: "%{x} evaluations: %{y:.4f}<extra></extra>",
    line: { shape: "hv", width: 2, color: curves.length > 1 ? look.colour(view, series) : look.theme.ink, dash: look.dash(view, series) },
    showlegend: curves.length > 1,
  }));
  const last = curves.reduce((most, { curve }) => Math.max(most, ...curve.evaluations), 1);
  const x = axis(look.theme, "evaluated networks", { range: [0, 1.03 * last] });
  const y = axis(look.theme, "share of the box");
  return Plotly.react("volume", traces, layout(look.theme, x, y, { legend: { orientation: "h", y: -0.28 } }), CONFIG);
}

function drawMeasured(points, look) {
  const { theme } = look;
  const off = (point) => 100 * (point.measured_ms / point.predicted_ms - 1);
  const groups = [["network", "circle", theme.ink], ["delivered engine", "square", theme.measured]];
  const traces = groups.map(([name, symbol, colour]) => {
    const its = points.filter((point) => point.name === name);
    return {
      type: "scatter", mode: "markers", name, x: its.map((point) => point.predicted_ms), y: its.map(off),
      customdata: its.map((point) => point.id),
      text: its.map((point) => `${inMs(point.measured_ms)} measured, ${inMs(point.predicted_ms)} predicted`),
      hovertemplate: "%{text}<br>%{y:+.1f} %<extra></extra>", marker: { size: 8, symbol, color: colour },
      error_y: {
        type: "data", array: its.map((point) => 100 * (point.stderr_ms || 0) / point.predicted_ms),
        color: theme.interval, thickness: 1, width: 3,
      },
      showlegend: its.length > 0,
    };
  });
  const band = { type: "rect", xref: "paper", x0: 0, x1: 1, y0: -5, y1: 5, line: { width: 0 }, fillcolor: theme.measured, opacity: 0.12, layer: "below" };
  const zero = { type: "line", xref: "paper", x0: 0, x1: 1, y0: 0, y1: 0, line: { color: theme.interval, width: 1 } };
  const reach = 1.15 * Math.max(6, ...points.map((point) => Math.abs(off(point))));
  const x = axis(theme, "predicted latency (ms)");
  const y = axis(theme, "measured differs by (%)", { range: [-reach, reach] });
  const more = { shapes: [band, zero], legend: { orientation: "h", y: -0.28 } };
  return Plotly.react("measured", traces, layout(theme, x, y, more), CONFIG);
}
