// What is told of the chosen network, and the table of the fronts.

function showDetails(point) {
  const box = document.getElementById("details");
  const parts = point.kind === "engine" ? engineParts(point) : networkParts(point);
  box.replaceChildren(...parts);
}

function engineParts(point) {
  const { engine } = point;
  const off = 100 * (engine.measured_ms / engine.predicted_ms - 1);
  return [
    element("h2", "Delivered engine"),
    element("p", engine.table),
    grid([
      row([["latency, measured", "word"], [inMs(engine.measured_ms)]]),
      row([["latency, predicted", "word"], [`${inMs(engine.predicted_ms)} (measured ${off > 0 ? "+" : ""}${significant(off, 2)} %)`]]),
      row([["distance of the engine", "word"], [significant(engine.measured_distance)]]),
      row([["distance, as searched", "word"], [significant(engine.predicted_distance)]]),
    ]),
    element("h3", "Subnet"),
    dimensions(Object.entries(engine.subnet)),
    element("h3", "Folder"),
    element("div", engine.folder, "command"),
  ];
}

function networkParts(point) {
  const search = DATA.searches[point.search];
  const parts = [element("h2", heading(point)), element("p", point.table)];
  if (DATA.searches.length > 1) parts.push(element("p", `${search.space}, ${search.folder}`));
  parts.push(grid(factRows(point, search)));
  parts.push(element("h3", "Subnet"), dimensions(subnetOf(search, point.network)));
  parts.push(element("h3", "On every table of the search"), elsewhere(point, search));
  parts.push(element("h3", "Deploy"), ...deployParts(point));
  return parts;
}

function heading(point) {
  if (point.front && point.front.knee) return "Knee of the front";
  if (point.kind === "front") return "Network of the front";
  if (point.front) return "Network of its own table's front";
  return point.kind === "measured" ? "Measured network, off the front" : "Evaluated network";
}

function withError(ms, error) {
  return `${significant(ms)} ± ${significant(error, 2)} ms`;
}

function factRows(point, search) {
  const { front, measured } = point;
  const { networks } = search;
  const facts = [];
  if (front && front.measured_ms !== null) {
    facts.push(["latency, measured", withError(front.measured_ms, front.measured_stderr_ms)]);
  } else if (point.kind === "measured") {
    facts.push(["latency, measured", withError(measured.measured_ms, measured.stderr_ms)]);
  }
  if (front) {
    const name = front.measured_ms === null ? "latency, predicted" : "latency in the front";
    if (front.measured_ms === null) facts.push([name, inMs(front.latency_ms)]);
    if (front.low_ms !== null && front.high_ms !== null) {
      facts.push(["90 % interval", `${significant(front.low_ms)} to ${inMs(front.high_ms)}`]);
    }
    if (front.measured_ms !== null) facts.push(["predicted before", inMs(front.predicted_ms)]);
  } else {
    facts.push(["latency, predicted", inMs(networks.latency_ms[point.table][point.network])]);
    facts.push(["90 % interval", "only known of networks on a front"]);
  }
  if (measured && measured.flags.length) facts.push(["measurement", measured.flags.join(", ")]);
  facts.push(["distance", significant(networks.distance[point.network])]);
  facts.push(["MACs an image", inMillions(front ? front.macs : networks.macs[point.network])]);
  facts.push(["parameters", inMillions(front ? front.params : networks.params[point.network])]);
  if (!front && search.ships.length) facts.push(["", `without ${search.ships.join(", ")}`]);
  if (front) {
    facts.push(["weights", inBytes(front.weight_bytes)], ["largest feature maps", inBytes(front.activation_bytes)]);
    if (front.energy_mj !== null) facts.push(["energy a call", `${significant(front.energy_mj)} mJ`]);
    if (front.within_limits !== null) facts.push(["keeps the limits", `${significant(100 * front.within_limits, 3)} %`]);
  }
  if (front) facts.push(["index in its table's front", String(front.index)]);
  facts.push(["evaluation", String(networks.evaluation[point.network])]);
  return facts.map(([name, value]) => row([[name, "word"], [value]]));
}

function dimensions(pairs) {
  const box = element("div", undefined, "dims");
  box.id = "subnet";
  box.append(...pairs.map(([name, value]) => element("span", `${name} ${value}`)));
  return box;
}

// The latency of the same network wherever it was predicted, in each table's precision.
function elsewhere(point, search) {
  const rows = Object.entries(search.networks.latency_ms).map(([table, values]) => {
    const name = DATA.views.some((view) => view.device !== DATA.views[0].device) ? table : shortName(search, table);
    return row([[name, "word"], [inMs(values[point.network])]], table === point.table ? "own" : "");
  });
  return grid([row([["as the table predicts", "word"], ["latency"]], "", true), ...rows]);
}

function deployParts(point) {
  const command = deployCommand(point);
  const code = element("pre", undefined, "command");
  command.split(/ (?=--)/).forEach((words, at) => code.append(at ? " " : "", element("span", words)));
  code.id = "command";
  const button = element("button", "Copy");
  button.id = "copy";
  button.type = "button";
  button.addEventListener("click", () => copy(command, code, button));
  return [code, button];
}

async function copy(text, code, button) {
  try {
    await navigator.clipboard.writeText(text);
  } catch {
    getSelection().selectAllChildren(code);
    document.execCommand("copy");
  }
  button.textContent = "Copied";
  setTimeout(() => { button.textContent = "Copy"; }, 1500);
}

function showTable(points, choose) {
  const head = document.querySelector("#table thead");
  const body = document.querySelector("#table tbody");
  const names = ["latency", "90 % interval", "measured", "distance", "MACs", "parameters", "weights"];
  const searches = [...new Set(points.map((point) => point.search))];
  const dims = searches.length === 1 ? DATA.searches[searches[0]].dims.map((dim) => dim.name).join(" ") : "subnet";
  const words = [["index"], ["table", "word"], ...names.map((name) => [name]), [dims, "word"]];
  head.replaceChildren(row(words, "", true));
  body.replaceChildren(...points.map((point) => tableRow(point, choose)));
}

function tableRow(point, choose) {
  const { front } = point;
  const search = DATA.searches[point.search];
  const unknown = front.low_ms === null || front.high_ms === null;
  const made = row([
    [`${front.knee ? "★ " : ""}${front.index}`, front.knee ? "badge" : ""],
    [shortName(search, point.table), "word"],
    [inMs(front.latency_ms)],
    [unknown ? "unknown" : `${significant(front.low_ms)} to ${significant(front.high_ms)}`],
    [front.measured_ms === null ? "" : inMs(front.measured_ms)],
    [significant(front.distance)], [inMillions(front.macs)], [inMillions(front.params)], [inBytes(front.weight_bytes)],
    [subnetOf(search, point.network).map(([, value]) => value).join(" "), "word subnet"],
  ]);
  made.dataset.point = point.id;
  made.tabIndex = 0;
  made.addEventListener("click", () => choose(point));
  made.addEventListener("keydown", (event) => {
    if (event.key !== "Enter" && event.key !== " ") return;
    event.preventDefault();
    choose(point);
  });
  return made;
}
