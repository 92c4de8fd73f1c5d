// A study: how alike tasks are, and how networks rank across them.

const state = { theme: "", chosen: null, sort: null };
const ALL = "all";
const KINDS = [
  ["spearman", "Spearman's ρ, as found"],
  ["disattenuated", "Spearman's ρ, without noise"],
  ["kendall", "Kendall's τ"],
];
const WORDS = { accuracy: "accuracy", log_loss: "log-loss" };
const points = (measure) => measure === "accuracy";

// Scores as written: accuracy in percent, log-loss in nats.
function scoreText(value, measure, digits = 1) {
  if (value === null) return "";
  return points(measure) ? (100 * value).toFixed(digits) : value.toFixed(3);
}

function span(one, name, write) {
  if (one[name] === null) return "";
  const [low, high] = [one[`${name}_low`], one[`${name}_high`]];
  return low === null ? write(one[name]) : `${write(one[name])} (${write(low)} to ${write(high)})`;
}

function shownNetworks() {
  const { value } = $("family");
  return DATA.networks.map((_, at) => at).filter((at) => value === ALL || DATA.networks[at].family === value);
}

// Ranks of the shown networks on every task, 1 is best.
function ranksOf(shown, measure) {
  const scores = DATA.scores[measure];
  const better = (one, other) => (points(measure) ? one > other : one < other);
  return DATA.tasks.map((_, task) => shown.map((at) => {
    const own = scores[at][task];
    const ahead = shown.filter((other) => better(scores[other][task], own)).length;
    const equal = shown.filter((other) => scores[other][task] === own).length;
    return 1 + ahead + (equal - 1) / 2;
  }));
}

function signedScale(theme) {
  return [[0, theme.knee], [0.5, theme.card], [1, theme.measured]];
}

function drawHeat(theme, measure) {
  const kind = $("kind").value;
  const write = (value) => value.toFixed(2);
  const texts = DATA.tasks.map(() => DATA.tasks.map(() => "not known"));
  const rho = DATA.tasks.map(() => DATA.tasks.map(() => null));
  const place = (task) => DATA.tasks.indexOf(task);
  for (const one of DATA.pairs.filter((pair) => pair.measure === measure)) {
    for (const [row, column] of [[place(one.task), place(one.other)], [place(one.other), place(one.task)]]) {
      rho[row][column] = one[kind];
      if (one[kind] !== null) texts[row][column] = span(one, kind, write);
    }
  }
  for (const one of DATA.ceilings.filter((each) => each.measure === measure)) {
    const at = place(one.task);
    rho[at][at] = one.retest;
    if (one.retest !== null) texts[at][at] = `between seeds: ${span(one, "retest", write)}`;
  }
  const tasks = DATA.tasks.map(plain);
  const trace = {
    type: "heatmap", x: tasks, y: tasks, z: rho, zmin: -1, zmax: 1, colorscale: signedScale(theme),
    customdata: texts, hovertemplate: "%{y}, %{x}<br>%{customdata}<extra></extra>", xgap: 2, ygap: 2,
    text: rho.map((line) => line.map((value) => (value === null ? "" : value.toFixed(2)))),
    texttemplate: "%{text}", textfont: { color: theme.ink },
    colorbar: { thickness: 10, outlinewidth: 0 },
  };
  const y = axis(theme, "", { autorange: "reversed", showgrid: false });
  const x = axis(theme, "", { showgrid: false, tickangle: -40 });
  $("heat-title").textContent = `Do tasks agree by ${WORDS[measure]}? ${KINDS.find(([name]) => name === kind)[1]}`;
  $("heat-note").textContent = DATA.seeds.length > 1
    ? "On the diagonal: between seeds of the same task, the noise ceiling."
    : "One seed: how much of it is noise is not known.";
  return Plotly.react("heat", [trace], layout(theme, x, y, {}), CONFIG);
}

// Places from 0 to 1 by the logarithm of multiply-accumulates.
function sizes(shown) {
  const logs = shown.map((at) => Math.log(DATA.networks[at].macs));
  const low = Math.min(...logs);
  const width = Math.max(...logs) - low || 1;
  return logs.map((log) => (log - low) / width);
}

function mixed(scale, share) {
  const after = Math.max(1, scale.findIndex(([place]) => place >= share));
  const [[low, one], [high, other]] = [scale[after - 1], scale[after]];
  const part = (share - low) / (high - low || 1);
  const channel = (colour, at) => parseInt(colour.slice(1 + 2 * at, 3 + 2 * at), 16);
  const mix = [0, 1, 2].map((at) => Math.round(channel(one, at) * (1 - part) + channel(other, at) * part));
  return `rgb(${mix.join(",")})`;
}

function drawRanks(theme, measure) {
  const shown = shownNetworks();
  const ranks = ranksOf(shown, measure);
  const scale = LOOK.scales[state.theme];
  const shares = sizes(shown);
  const tasks = DATA.tasks.map(plain);
  const traces = shown.map((at, row) => {
    const network = DATA.networks[at];
    const mean = ranks.reduce((sum, task) => sum + task[row], 0) / ranks.length;
    const chosen = state.chosen === at;
    return {
      type: "scatter", mode: "lines+markers", x: tasks, y: ranks.map((task) => task[row]),
      name: plain(network.label), customdata: DATA.tasks.map((_, task) => [at, scoreText(DATA.scores[measure][at][task], measure)]),
      hovertemplate: `${plain(network.label)}, mean rank ${mean.toFixed(1)}<br>%{x}: rank %{y}, ${WORDS[measure]} %{customdata[1]}<extra></extra>`,
      line: { color: chosen ? theme.knee : mixed(scale, shares[row]), width: chosen ? 4 : 1.4 },
      marker: { size: chosen ? 9 : 5 }, opacity: state.chosen === null || chosen ? 0.9 : 0.35, showlegend: false,
    };
  });
  traces.sort((one, other) => one.line.width - other.line.width);
  const fives = Array.from({ length: Math.floor(shown.length / 5) }, (_, at) => 5 * at + 5);
  const y = axis(theme, `rank by ${WORDS[measure]} (1 is best)`, { range: [shown.length + 0.7, 0.3], tickvals: [1, ...fives] });
  const x = axis(theme, "", { tickangle: -40 });
  const network = DATA.networks[state.chosen];
  $("ranks-note").textContent = network
    ? `${network.label}: ${network.name}`
    : "Colour: multiply-accumulates, from small (dark) to large. Click a line for its network.";
  return Plotly.react("ranks", traces, layout(theme, x, y, {}), CONFIG);
}

function showWinners(measure) {
  const heads = row([["task", "word"], ["winner", "word"], ["runner-up", "word"], ["lead"], ["counts"]], "", true);
  const own = DATA.winners.filter((one) => one.measure === measure && one.where === $("where").value);
  const write = (value) => scoreText(value, measure);
  $("winners").replaceChildren(heads, ...own.map((one) => row([
    [one.task, "word"], [one.winner, "word"], [one.second, "word"], [span(one, "ahead", write)],
    [one.counts ? "yes" : "no", one.counts ? "top" : ""],
  ])));
}

function showRegrets(measure) {
  const own = DATA.regrets.filter((one) => one.measure === measure);
  const choosers = [...new Set(own.map((one) => one.chooser))];
  const heads = row([["chosen by", "word"], ...DATA.tasks.map((task) => [task])], "", true);
  const cell = (chooser, task) => {
    const one = own.find((each) => each.chooser === chooser && each.task === task);
    return one ? scoreText(one.regret, measure) : "";
  };
  $("regret-title").textContent = `Regret, ${points(measure) ? "points of accuracy" : "nats of log-loss"}`;
  $("regrets").replaceChildren(heads, ...choosers.map((chooser) =>
    row([[chooser, "word"], ...DATA.tasks.map((task) => [cell(chooser, task)])])));
}

function showDepths(measure) {
  const own = DATA.depths.filter((one) => one.measure === measure);
  const families = [...new Set(own.map((one) => one.family))];
  const heads = row([["family", "word"], ...DATA.tasks.map((task) => [task])], "", true);
  const cell = (family, task) => {
    const one = own.find((each) => each.family === family && each.task === task);
    const clear = one.rho_low > 0 || one.rho_high < 0;
    return [span(one, "rho", (value) => value.toFixed(2)), clear ? "top" : ""];
  };
  $("depths-card").hidden = families.length === 0;
  $("depths").replaceChildren(heads, ...families.map((family) =>
    row([[family, "word"], ...DATA.tasks.map((task) => cell(family, task))])));
}

function columnsOf(measure) {
  const latency = (table) => ({
    head: table, value: (at) => DATA.networks[at].latency[table]?.ms ?? null,
    write: (value, at) => (value === null ? "" : `${significant(value, 3)} ms, ${DATA.networks[at].latency[table].from}`),
  });
  return [
    { head: "network", kind: "word", value: (at) => DATA.networks[at].label, write: String },
    { head: "parameters", value: (at) => DATA.networks[at].params, write: (count) => `${significant(count / 1e6, 3)} M` },
    { head: "MACs", value: (at) => DATA.networks[at].macs, write: (count) => `${significant(count / 1e6, 3)} M` },
    ...DATA.tables.map(latency),
    ...DATA.tasks.map((task, place) => ({
      head: task, task: place, value: (at) => DATA.scores[measure][at][place], write: (value) => scoreText(value, measure),
    })),
  ];
}

function showNetworks(measure) {
  const shown = shownNetworks();
  const columns = columnsOf(measure);
  const ranks = ranksOf(shown, measure);
  const order = shown.map((at, place) => [at, place]);
  if (state.sort) {
    const { column, down } = state.sort;
    const value = ([at]) => columns[column].value(at);
    order.sort((one, other) => (value(one) < value(other) ? -1 : 1) * (down ? -1 : 1));
  }
  const heads = element("tr");
  columns.forEach((column, at) => {
    const head = element("th", column.head, column.kind);
    head.dataset.column = at;
    heads.append(head);
  });
  const lines = order.map(([at, place]) => {
    const line = row(columns.map((column) => [
      column.write(column.value(at), at),
      column.task !== undefined && ranks[column.task][place] === 1 ? "top" : column.kind,
    ]), at === state.chosen ? "chosen" : "");
    line.dataset.network = at;
    line.tabIndex = 0;
    return line;
  });
  $("networks").replaceChildren(heads, ...lines);
}

function choose(at) {
  state.chosen = state.chosen === at ? null : at;
  draw();
}

function draw() {
  const measure = $("measure").value;
  const theme = LOOK.themes[state.theme];
  if (state.chosen !== null && !shownNetworks().includes(state.chosen)) state.chosen = null;
  drawHeat(theme, measure);
  drawRanks(theme, measure);
  showWinners(measure);
  showRegrets(measure);
  showDepths(measure);
  showNetworks(measure);
  $("ranks").removeAllListeners("plotly_click");
  $("ranks").on("plotly_click", (event) => choose(event.points[0].customdata[0]));
}

function listen() {
  $("theme").addEventListener("click", () => { setTheme(state.theme === "dark" ? "light" : "dark"); draw(); });
  $("controls").addEventListener("submit", (event) => event.preventDefault());
  $("controls").addEventListener("input", draw);
  $("networks").addEventListener("click", ({ target }) => {
    const head = target.closest("th[data-column]");
    const line = target.closest("tr[data-network]");
    if (head) {
      const column = Number(head.dataset.column);
      state.sort = { column, down: state.sort?.column === column ? !state.sort.down : true };
      draw();
    } else if (line) choose(Number(line.dataset.network));
  });
  $("networks").addEventListener("keydown", (event) => {
    const line = event.target.closest("tr[data-network]");
    if (line && event.key === "Enter") choose(Number(line.dataset.network));
  });
}

function start() {
  const dark = matchMedia("(prefers-color-scheme: dark)");
  setTheme(dark.matches ? "dark" : "light");
  const [first, ...rest] = DATA.title.split(", ");
  document.title = DATA.title;
  $("title").textContent = first;
  $("subtitle").textContent = rest.join(", ") + (DATA.failed.length ? `; ${DATA.failed.length} failed` : "");
  const unique = (values) => [...new Set(values)].map((value) => [value, value]);
  fill($("measure"), DATA.measures.map((name) => [name, WORDS[name]]));
  fill($("family"), [[ALL, "all families"], ...unique(DATA.networks.map((one) => one.family))]);
  fill($("kind"), DATA.seeds.length > 1 ? KINDS : KINDS.filter(([name]) => name !== "disattenuated"));
  fill($("where"), unique(DATA.winners.map((one) => one.where)).map(([name]) => [name, name === ALL ? "all networks" : name]));
  listen();
  draw();
  dark.addEventListener("change", (event) => { setTheme(event.matches ? "dark" : "light"); draw(); });
}

start();
