// A table of arguments: name, what was there before if that matters, value.
const LONG_CHARS = 900;
const LONG_LINES = 14;
const HEAD_CHARS = 500;
const TAIL_CHARS = 200;

function drawRows(state, data) {
  const table = el("table", "rows");
  const head = table.createTHead().insertRow();
  const titles = data.titles ?? (data.compared ? ["Field", data.before, data.after] : ["Field", "Value"]);
  for (const title of titles) {
    const cell = el("th", "", title);
    cell.scope = "col";
    head.append(cell);
  }
  const body = table.createTBody();
  for (const row of data.rows) drawRow(state, data, body.insertRow(), row);
  if (data.rows.length === 0) {
    const cell = body.insertRow().insertCell();
    cell.colSpan = titles.length;
    cell.append(el("span", "muted", "no arguments"));
  }
  return table;
}

function drawRow(state, data, line, row) {
  line.className = row.changed ? "changed" : "";
  const name = el("th", "name");
  name.scope = "row";
  name.append(el("span", "", row.name), el("span", "kind muted", row.kind));
  line.append(name);
  if (data.compared) {
    line.insertCell().append(row.changed ? value(state, row.name + " before", row.was) : el("span", "muted", "same"));
  }
  const cell = line.insertCell();
  cell.append(value(state, row.name + (data.place ?? " now"), row.text));
  if (row.hidden > 0) cell.append(el("div", "hidden", row.hidden + " hidden character" + (row.hidden > 1 ? "s" : "") + ", shown as [U+…]"));
}

// A long value shows its head, its tail and its length until all of it is asked for.
function value(state, name, text) {
  if (text === null) return el("span", "muted", "not sent");
  if (text === "") return el("span", "muted", "empty");
  if (!isLong(text) || state.opened.has(name)) return el("div", "value", text);
  const box = el("div", "");
  const tail = text.slice(-TAIL_CHARS);
  const head = text.slice(0, HEAD_CHARS).split("\n").slice(0, LONG_LINES - 2).join("\n");
  const left = text.length - head.length - tail.length;
  box.append(el("div", "value", head));
  if (left > 0) box.append(el("div", "cut", "… " + left.toLocaleString("en") + " characters more …"), el("div", "value", tail));
  const lines = text.split("\n").length;
  const all = button("all", "Show all " + text.length.toLocaleString("en") + " characters (" + lines + " lines)", () => {
    state.opened.add(name);
    state.redraw();
  });
  box.append(all);
  return box;
}

function isLong(text) {
  return text !== null && (text.length > LONG_CHARS || text.split("\n").length > LONG_LINES);
}

