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

function subnetText(pairs) {
  return pairs.map(([name, value]) => `${name}=${value}`).join(",");
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

// The command that delivers a network: by its place in the front, or by its values.
function deployCommand(point) {
  const search = DATA.searches[point.search];
  const name = shortName(search, point.table);
  let words;
  if (point.front) {
    const index = point.front.index;
    words = [search.folder, "--table", point.table, "--pick", `index=${index}`];
    words.push("--out", folderName(search.name, name, index));
  } else if (search.deploy.length) {
    const pairs = subnetOf(search, point.network).filter(([dim]) => dim !== "precision");
    const number = search.networks.evaluation[point.network];
    words = ["--subnet", subnetText(pairs), "--table", point.table_path || point.table];
    words.push(...search.deploy, "--out", folderName(search.name, name, `evaluation${number}`));
  } else {
    return "";
  }
  return ["hwsearch", "deploy", ...words].map(quoted).join(" ");
}
