// What is shown, as the controls say, and what happens when one is used.

const state = { theme: "", chosen: null, choseItself: true };
const distinct = (values) => [...new Set(values)];
const ALL = "all";

function viewName(view) {
  const several = distinct(DATA.views.map((one) => one.device)).length > 1;
  return several ? `${view.device}: ${view.words}` : view.words;
}

// The views that device and precision allow, by number.
function allowedViews() {
  const { value: device } = $("device");
  const { value: precision } = $("precision");
  return DATA.views.map((view, at) => at).filter((at) => {
    const view = DATA.views[at];
    const fits = precision === ALL || view.series.some((series) => series.precision === precision);
    return fits && (device === ALL || view.device === device);
  });
}

function fillViews() {
  const allowed = allowedViews();
  const single = allowed.filter((at) => !DATA.views[at].joint);
  const pairs = allowed.map((at) => [String(at), viewName(DATA.views[at])]);
  if (single.length > 1) pairs.push([ALL, `all ${single.length} tables together`]);
  fill($("view"), pairs);
}

function shownViews() {
  const { value } = $("view");
  return value === ALL ? allowedViews().filter((at) => !DATA.views[at].joint) : [Number(value)];
}

function fits(point) {
  const { value: precision } = $("precision");
  return precision === ALL || point.precision === precision;
}

function inRange(point) {
  const from = parseFloat($("from").value);
  const to = parseFloat($("to").value);
  return !(point.x < from) && !(point.x > to);
}

// How everything that is drawn now looks.
function lookNow(views) {
  const several = views.length > 1 || DATA.views[views[0]].series.length > 1;
  const order = views.flatMap((view) => DATA.views[view].series.map((_, at) => `${view} ${at}`));
  const number = (view, series) => order.indexOf(`${view} ${series}`);
  const limits = views.flatMap((view) => DATA.views[view].series.flatMap((series) => series.limits));
  return {
    theme: LOOK.themes[state.theme], scale: LOOK.scales[state.theme], several, limits, chosen: state.chosen,
    cloud: $("cloud").checked, intervals: $("intervals").checked, log: $("log").checked,
    revision: `${views} ${$("log").checked}`,
    colour: (view, series) => LOOK.series[number(view, series) % LOOK.series.length],
    symbol: (view, series) => SYMBOLS[number(view, series) % SYMBOLS.length],
    dash: (view, series) => ["solid", "dash", "dot", "dashdot"][Math.floor(number(view, series) / LOOK.series.length) % 4],
    name: (view, series) => seriesName(views, view, series),
    end: (front, side) => {
      const at = side === "high" ? front.high_ms : front.low_ms;
      return at === null ? 0 : side === "high" ? at - front.latency_ms : front.latency_ms - at;
    },
  };
}

function seriesName(views, view, series) {
  const { text } = DATA.views[view].series[series];
  if (views.length === 1) return text;
  const name = viewName(DATA.views[view]);
  return DATA.views[view].series.length > 1 ? `${name}, ${text}` : name;
}

function draw() {
  const views = shownViews();
  const its = POINTS.filter((point) => views.includes(point.view) && fits(point));
  const points = its.filter(inRange);
  if (state.chosen && !points.includes(state.chosen)) state.chosen = null;
  if (!state.chosen) state.chosen = points.find((point) => point.front && point.front.knee) || points[0] || null;
  const look = lookNow(views);
  look.limits = distinct(look.limits.filter((one) => one.axis).map((one) => JSON.stringify(one))).map((one) => JSON.parse(one));
  $("front-title").textContent = titleOf(views);
  drawFront(points, look);
  $("note").textContent = noteOf(views, points, its);
  drawSmall(views, points, look);
  const fronts = points.filter((point) => point.kind === "front");
  showTable(fronts.sort((one, other) => one.view - other.view || one.x - other.x), choose);
  $("table-card").hidden = fronts.length === 0;
  if (state.chosen) show(state.chosen);
  else $("details").replaceChildren(element("p", "No network is in this range."));
}

function drawSmall(views, points, look) {
  const curves = views.flatMap((view) => DATA.views[view].hypervolume
    .map((curve, series) => ({ view, series, curve }))
    .filter(({ series }) => fits(DATA.views[view].series[series])));
  const measured = points.filter((point) => point.measured).map((point) => ({ name: "network", id: point.id, ...point.measured }));
  const engines = points.filter((point) => point.engine).map((point) => ({ name: "delivered engine", id: point.id, ...point.engine }));
  const both = [...measured, ...engines];
  $("measured-card").hidden = both.length === 0;
  document.querySelector("main").classList.toggle("unmeasured", both.length === 0);
  drawVolume(curves, look);
  Plotly.Plots.resize("volume");
  $("volume-note").textContent = volumeNote(curves);
  if (!both.length) return;
  drawMeasured(both, look);
  const close = both.filter((one) => Math.abs(one.measured_ms / one.predicted_ms - 1) <= 0.05).length;
  $("measured-note").textContent = `${close} of ${both.length} within ±5 % of what was predicted.`;
}

// What each search has found, where several are shown.
function volumeNote(curves) {
  if (DATA.searches.length < 2) return "";
  return curves.map(({ view, series, curve }) => {
    const { front } = DATA.views[view];
    const best = front.filter((one) => one.on_front);
    const own = best.filter((one) => one.series === series).length;
    const { folder } = DATA.searches[DATA.views[view].series[series].search];
    const volume = curve.volume.length ? significant(curve.volume.at(-1), 3) : "0";
    return `${folder}: hypervolume ${volume}, ${own} of the ${best.length} networks on the front of all.`;
  }).join(" ");
}

function titleOf(views) {
  if (views.length > 1) return "All tables";
  const view = DATA.views[views[0]];
  return `${view.device}: ${view.words}`;
}

function noteOf(views, points, its) {
  const series = views.flatMap((view) => DATA.views[view].series);
  const left = series.reduce((sum, one) => sum + one.left_out, 0);
  const unusable = series.reduce((sum, one) => sum + one.unusable, 0);
  const hidden = its.length - points.length;
  const unseen = distinct(series.flatMap((one) => one.limits).filter((one) => !one.axis).map((one) => one.text));
  const fronts = its.some((point) => point.kind === "front");
  return [
    "Click a point for its subnet and the command that delivers it.",
    fronts ? "" : "No network is on the front.",
    left ? `${left.toLocaleString("en")} networks more lie beside these: one is drawn for each small patch, and all of the fronts.` : "",
    unusable ? `${unusable.toLocaleString("en")} networks have a latency or distance that is no number.` : "",
    hidden ? `${hidden.toLocaleString("en")} points are outside the range of latencies.` : "",
    unseen.length ? `Limits beside those drawn: ${unseen.join(", ")}.` : "",
  ].filter(Boolean).join(" ");
}

function choose(point) {
  state.chosen = point;
  markChosen(point);
  show(point);
}

function show(point) {
  showDetails(point);
  document.querySelectorAll("#table tbody tr").forEach((one) => {
    one.classList.toggle("chosen", Number(one.dataset.point) === point.id);
  });
}

function listen() {
  for (const id of ["front", "measured"]) {
    if (!$(id).on) continue;
    $(id).removeAllListeners("plotly_click");
    $(id).on("plotly_click", (event) => {
      const point = POINTS[event.points[0].customdata];
      if (point) choose(point);
    });
  }
}

function redraw() {
  fillViews();
  draw();
  listen();
}

function setLog() {
  const views = shownViews();
  const spread = POINTS.filter((point) => views.includes(point.view)).map((point) => point.x);
  $("log").checked = spread.length > 0 && spread.reduce((a, b) => Math.max(a, b)) > 3 * spread.reduce((a, b) => Math.min(a, b));
}

function setHead() {
  const [first] = DATA.searches;
  const names = distinct(DATA.searches.map((search) => search.name));
  document.title = `Report: ${names.join(", ")}`;
  $("title").textContent = names.join(" and ");
  $("subtitle").textContent = DATA.searches
    .map((search) => `${search.space}: ${search.evaluated.toLocaleString("en")} of ${search.size} networks evaluated`)
    .join("; ") + (first.distance ? `; distance '${first.distance}'` : "");
}

function start() {
  const dark = matchMedia("(prefers-color-scheme: dark)");
  setTheme(dark.matches ? "dark" : "light");
  setHead();
  const devices = distinct(DATA.views.map((view) => view.device));
  const precisions = distinct(DATA.views.flatMap((view) => view.series.map((series) => series.precision)));
  fill($("device"), [[ALL, "all"], ...devices.map((name) => [name, name])]);
  fill($("precision"), [[ALL, "all"], ...precisions.map((name) => [name, name])]);
  $("device-box").hidden = devices.length < 2;
  $("precision-box").hidden = precisions.length < 2;
  fillViews();
  setLog();
  redraw();
  dark.addEventListener("change", (event) => { setTheme(event.matches ? "dark" : "light"); redraw(); });
  $("theme").addEventListener("click", () => { setTheme(state.theme === "dark" ? "light" : "dark"); redraw(); });
  $("controls").addEventListener("submit", (event) => event.preventDefault());
  $("controls").addEventListener("reset", () => setTimeout(() => { fillViews(); setLog(); redraw(); }));
  $("controls").addEventListener("input", redraw);
  $("view").addEventListener("change", () => { setLog(); redraw(); });
}

start();
