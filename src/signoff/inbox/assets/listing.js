// What waits: one line each, moved through with the mouse, j and k or the arrows.
export default function listing({ data, parentElement, setTriggerValue }) {
  const state = stateOf(parentElement, start);
  state.send = setTriggerValue;
  state.now = clockFrom(data.now);
  state.items = data.items;
  state.selected = data.selected;
  if (isNews(state, data)) draw(state, data);
  else mark(state);
}

function start(root) {
  const state = { root, items: [], selected: null, timer: null };
  state.list = root.appendChild(el("ul", "list"));
  state.list.setAttribute("role", "listbox");
  state.list.setAttribute("aria-label", "Waiting requests");
  state.list.tabIndex = 0;
  state.foot = root.appendChild(el("div", "foot"));
  state.list.addEventListener("keydown", (event) => {
    const by = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    if (by === undefined) return;
    event.preventDefault();
    move(state, by);
  });
  onDocumentKey(root, (event) => {
    if (event.key === "j") move(state, 1);
    if (event.key === "k") move(state, -1);
  });
  onTick(root, () => tick(state));
  return state;
}

function draw(state, data) {
  const top = state.list.scrollTop;
  state.list.replaceChildren(...data.items.map((item) => drawItem(state, item)));
  if (data.items.length === 0) state.list.append(drawEmpty(data));
  state.list.classList.toggle("empty", data.items.length === 0);
  state.list.scrollTop = top;
  state.foot.replaceChildren(...drawFoot(state, data));
  mark(state);
  tick(state);
}

function drawItem(state, item) {
  const row = el("li", "item");
  row.id = "item-" + item.id;
  row.setAttribute("role", "option");
  const body = el("div", "body");
  body.append(el("div", "headline", item.headline));
  const about = el("div", "about muted");
  about.append(el("span", "", item.risk + " · " + item.tool + (item.agent ? " · " + item.agent : "") + " · "));
  row.age = about.appendChild(el("span", ""));
  body.append(about);
  if (item.hidden > 0) row.title = "contains hidden characters";
  row.left = el("span", "left");
  row.item = item;
  row.append(el("span", "dot " + item.risk), body);
  if (item.hidden > 0) row.append(el("span", "hidden-mark", "⚠ hidden text"));
  row.append(row.left);
  row.addEventListener("click", () => choose(state, item.id, 0));
  return row;
}

function drawEmpty(data) {
  const empty = el("li", "nothing");
  empty.setAttribute("role", "none");
  empty.append(el("div", "tick", "✓"), el("div", "headline", data.filtered ? "Nothing matches" : "Nothing waits"));
  empty.append(el("div", "muted", data.filtered
    ? "Other requests wait: change the filters above."
    : "When an agent asks, it appears here by itself."));
  return empty;
}

function drawFoot(state, data) {
  const foot = [];
  if (data.more) {
    foot.push(button("more", "Show more", () => state.send("more", data.items.length)));
  }
  const keys = el("div", "keys muted");
  for (const [key, what] of [["j", "next"], ["k", "previous"], ["a", "go to Approve"], ["n", "reject"], ["e", "edit"], ["m", "respond"]]) {
    const hint = el("span", "");
    hint.append(el("kbd", "", key), " " + what);
    keys.append(hint);
  }
  foot.push(keys);
  return foot;
}

function tick(state) {
  const now = state.now();
  for (const row of state.list.querySelectorAll(".item")) {
    const left = row.item.expires_at - now;
    const frozen = row.item.frozen;
    row.left.textContent = frozen ? "paused" : left > 0 ? spanText(left) : "expired";
    row.left.classList.toggle("soon", !frozen && left < 300e6);
    row.age.textContent = agoText(now - row.item.asked_at);
  }
}

function mark(state) {
  for (const row of state.list.querySelectorAll(".item")) {
    const on = row.item.id === state.selected;
    row.setAttribute("aria-selected", String(on));
    row.classList.toggle("on", on);
    if (on) {
      state.list.setAttribute("aria-activedescendant", row.id);
      if (state.shown !== row.item.id) row.scrollIntoView({ block: "nearest" });
      state.shown = row.item.id;
    }
  }
}

function move(state, by) {
  if (state.items.length === 0) return;
  const at = state.items.findIndex((item) => item.id === state.selected);
  const to = Math.min(state.items.length - 1, Math.max(0, at + by));
  if (to !== at) choose(state, state.items[to].id, 120);
}

// The mark moves at once; the server is asked when the keys rest.
function choose(state, id, wait) {
  state.selected = id;
  mark(state);
  clearTimeout(state.timer);
  state.timer = setTimeout(() => state.send("select", id), wait);
}
