// Choices: what each selector loses to the best network within a limit, and how well it ranks.

const state = { theme: "" };
const SCALES = { accuracy: 100, log_loss: 1 };
const WORDS = { accuracy: "points of accuracy", log_loss: "nats of log-loss" };

function write(value, measure) {
  return (SCALES[measure] * value).toFixed(measure === "accuracy" ? 1 : 3);
}

function span(ends, measure) {
  if (ends === null) return "";
  const [value, low, high] = ends.map((end) => write(end, measure));
  return `${value} (${low} to ${high})`;
}

const starred = (one) => one.selector + (one.labels ? " *" : "");

function here() {
  const condition = $("condition").value;
  const budget = Number($("budget").value);
  return DATA.answers.filter((one) => one.condition === condition && one.budget_ms === budget);
}

// One figure of every selector: a dot a task, the mean with its interval.
function drawFigure(id, answers, field, scale, title, range) {
  const theme = LOOK.themes[state.theme];
  const told = answers.filter((one) => one[field] !== null && one.selector !== DATA.oracle);
  const each = told.filter((one) => one.task !== DATA.mean);
  const means = told.filter((one) => one.task === DATA.mean);
  const at = (ones) => ({ x: ones.map((one) => scale * one[field][0]), y: ones.map((one) => plain(starred(one))) });
  const dots = {
    type: "scatter", mode: "markers", name: "each task", ...at(each),
    customdata: each.map((one) => [plain(one.task), plain(one.network)]),
    hovertemplate: "%{y}: %{x:.3g}<br>%{customdata[0]}<br>%{customdata[1]}<extra></extra>",
    marker: { color: theme.interval, size: 7 },
  };
  const middle = {
    type: "scatter", mode: "markers", name: "mean of tasks, 95 % interval", ...at(means),
    hovertemplate: "%{y}: %{x:.3g}, mean of tasks<extra></extra>",
    error_x: {
      type: "data", symmetric: false, color: theme.measured, thickness: 1.6,
      array: means.map((one) => scale * (one[field][2] - one[field][0])),
      arrayminus: means.map((one) => scale * (one[field][0] - one[field][1])),
    },
    marker: { color: theme.measured, size: 10 },
  };
  const names = DATA.selectors.filter((name) => name !== DATA.oracle);
  const marks = names.map((name) => plain(starred(answers.find((one) => one.selector === name) ?? { selector: name })));
  const y = axis(theme, "", { categoryorder: "array", categoryarray: marks.reverse(), showgrid: false });
  const x = axis(theme, title, { zeroline: true, zerolinecolor: theme.ink, ...(range && { range }) });
  return Plotly.react(id, [dots, middle], layout(theme, x, y, {}), CONFIG);
}

function showChoices(answers, measure) {
  const places = [...DATA.tasks, DATA.mean];
  const heads = row([["selector", "word"], ...places.map((name) => [name])], "", true);
  const of = (selector, task) => answers.find((one) => one.selector === selector && one.task === task);
  const least = Object.fromEntries(places.map((task) => {
    const blind = answers.filter((one) => one.task === task && !one.labels && one[measure] !== null);
    return [task, Math.min(...blind.map((one) => one[measure][0]))];
  }));
  const lines = DATA.selectors.map((selector) => {
    const some = answers.find((one) => one.selector === selector);
    const cells = places.map((task) => {
      const one = of(selector, task);
      if (!one || one[measure] === null) return [""];
      return [span(one[measure], measure), !one.labels && one[measure][0] === least[task] ? "top" : ""];
    });
    return row([[some ? starred(some) : selector, "word"], ...cells]);
  });
  $("choices-title").textContent = `Regret of every choice, ${WORDS[measure]}`;
  $("choices").replaceChildren(heads, ...lines);
}

function fillBudgets() {
  const condition = $("condition").value;
  const own = DATA.answers.filter((one) => one.condition === condition).map((one) => one.budget_ms);
  const budgets = [...new Set(own)];
  fill($("budget"), budgets.map((budget) => [String(budget), `${significant(budget)} ms`]));
  $("budget").value = String(budgets.at(-1));
}

function draw() {
  const measure = $("measure").value;
  const answers = here();
  drawFigure("regret", answers, measure, SCALES[measure], `regret, ${WORDS[measure]}`);
  drawFigure("rho", answers, "rho", 1, "Spearman's ρ with the result", [-1.05, 1.05]);
  const ranked = answers.some((one) => one.rho !== null);
  $("within").textContent = `${answers[0].within} networks are within the limit${ranked ? "" : ", too few to rank"}.`;
  showChoices(answers, measure);
}

function start() {
  const dark = matchMedia("(prefers-color-scheme: dark)");
  setTheme(dark.matches ? "dark" : "light");
  const [first, ...rest] = DATA.title.split(", ");
  document.title = DATA.title;
  $("title").textContent = first;
  $("subtitle").textContent = rest.join(", ");
  const conditions = [...new Set(DATA.answers.map((one) => one.condition))];
  fill($("condition"), conditions.map((name) => [name, name]));
  fill($("measure"), Object.entries(WORDS));
  fillBudgets();
  $("theme").addEventListener("click", () => { setTheme(state.theme === "dark" ? "light" : "dark"); draw(); });
  $("controls").addEventListener("submit", (event) => event.preventDefault());
  $("condition").addEventListener("input", fillBudgets);
  $("controls").addEventListener("input", draw);
  draw();
  dark.addEventListener("change", (event) => { setTheme(event.matches ? "dark" : "light"); draw(); });
}

start();
