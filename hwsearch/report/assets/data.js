// How numbers, subnets and commands are written.

const inMs = (value) => `${significant(value)} ms`;

function inMillions(count) {
  return `${significant(count / 1e6, 3)} M`;
}

function inBytes(count) {
  return count < 1e6 ? `${significant(count / 1e3, 3)} kB` : `${significant(count / 1e6, 3)} MB`;
}

// As a shell takes a word for itself.
function quoted(word) {
  return /^[\w@%+=:,./-]+$/.test(word) ? word : `'${word.replaceAll("'", "'\\''")}'`;
}

function subnetOf(search, network) {
  const code = search.networks.codes[network];
  return search.dims.map((dim, at) => [dim.name, dim.choices[code[at]]]);
}

// A table's name without its device and space.
function shortName(search, table) {
  const space = search.space_name.split("~")[0];
  const name = table.split("/").pop();
  return name.startsWith(`${space}-`) ? name.slice(space.length + 1) : name;
}

// A name for a folder that needs no quotes.
function folderName(...parts) {
  return `engines/${parts.join("-").replaceAll(/[^\w.+-]+/g, "-")}`;
}

// The command that delivers a network: by its place in the front, or as an evaluation.
function deployCommand(point) {
  const search = DATA.searches[point.search];
  const name = shortName(search, point.table);
  const number = point.front ? point.front.index : search.networks.evaluation[point.network];
  const kind = point.front ? "index" : "evaluation";
  const out = folderName(search.name, name, point.front ? number : `${kind}${number}`);
  const words = [search.folder, "--table", point.table, "--pick", `${kind}=${number}`, "--out", out];
  return ["hwsearch", "deploy", ...words].map(quoted).join(" ");
}
