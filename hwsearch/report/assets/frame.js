"use strict";
// What every page has: its data, its look, its elements and the frame of a plot.

const DATA = JSON.parse(document.getElementById("data").textContent);
const LOOK = JSON.parse(document.getElementById("look").textContent);
const $ = (id) => document.getElementById(id);

function significant(value, digits = 4) {
  return value === null || value === undefined ? "unknown" : String(Number(value.toPrecision(digits)));
}

// Plotly reads texts as a small HTML; names must stay what they are.
function plain(text) {
  return String(text).replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;");
}

function element(tag, text, className) {
  const made = document.createElement(tag);
  if (text !== undefined) made.textContent = text;
  if (className) made.className = className;
  return made;
}

function row(cells, className, heading = false) {
  const made = element("tr", undefined, className);
  cells.forEach(([text, kind]) => made.append(element(heading ? "th" : "td", text, kind)));
  return made;
}

function grid(rows) {
  const table = element("table");
  table.append(...rows);
  return table;
}

function fill(select, pairs) {
  const before = select.value;
  select.replaceChildren(...pairs.map(([value, text]) => {
    const option = element("option", text);
    option.value = value;
    return option;
  }));
  select.value = pairs.some(([value]) => value === before) ? before : pairs[0][0];
}

function setTheme(name) {
  state.theme = name;
  const root = document.documentElement;
  root.dataset.theme = name;
  root.style.colorScheme = name;
  for (const [colour, value] of Object.entries(LOOK.themes[name])) root.style.setProperty(`--${colour}`, value);
  $("theme").textContent = name === "dark" ? "Light" : "Dark";
}

const CONFIG = {
  responsive: true,
  displaylogo: false,
  showSendToCloud: false, // a report stays where it is
  modeBarButtonsToRemove: ["select2d", "lasso2d", "autoScale2d"],
};

function axis(theme, title, more) {
  return {
    title: { text: title, standoff: 8 },
    gridcolor: theme.grid, linecolor: theme.edge, zeroline: false, showline: true, ticks: "outside",
    tickcolor: theme.edge, automargin: true, ...more,
  };
}

function layout(theme, x, y, more) {
  return {
    font: { family: "system-ui, 'Segoe UI', 'DejaVu Sans', sans-serif", size: 12, color: theme.ink },
    paper_bgcolor: "rgba(0,0,0,0)", plot_bgcolor: "rgba(0,0,0,0)",
    margin: { l: 60, r: 16, t: 12, b: 44 },
    hovermode: "closest",
    hoverlabel: { bgcolor: theme.paper, bordercolor: theme.edge, font: { color: theme.ink } },
    legend: { orientation: "h", y: -0.16, yanchor: "top", x: 0 },
    modebar: { bgcolor: "rgba(0,0,0,0)", color: theme.quiet, activecolor: theme.ink },
    xaxis: x, yaxis: y, ...more,
  };
}
