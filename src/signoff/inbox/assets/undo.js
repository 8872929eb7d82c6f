// What can still be taken back, and what is held, with the time that is left.
const BAR_ROWS = 3;
const LOOK_MS = 15000;
const IN_USE = "input, textarea, select, [role=combobox], [contenteditable=true]";

export default function undo({ data, parentElement, setTriggerValue }) {
  const state = stateOf(parentElement, start);
  state.send = setTriggerValue;
  state.now = clockFrom(data.now);
  if (isNews(state, withoutAges(data))) draw(state, data);
  tick(state);
}

function start(root) {
  const state = { root, clocks: [] };
  root.setAttribute("role", "region");
  root.setAttribute("aria-label", "Undo");
  onTick(root, () => tick(state));
  lookLater(state);
  return state;
}

function withoutAges(data) {
  const items = (thread) => thread.items.map((item) => ({ ...item, ago: null }));
  return { ...data, threads: data.threads.map((thread) => ({ ...thread, items: items(thread) })) };
}

// An effect that needs no approval changes no request, so the page looks by itself.
function lookLater(state) {
  setTimeout(() => {
    if (!state.root.isConnected) return;
    if (!document.hidden && !dialogIsOpen() && !isTyping()) state.send("look", String(Date.now()));
    lookLater(state);
  }, LOOK_MS);
}

// To look runs the page again, which would close a list that somebody has open.
function isTyping() {
  return document.activeElement !== null && document.activeElement.matches(IN_USE);
}

function draw(state, data) {
  state.clocks = [];
  const count = data.threads.reduce((sum, thread) => sum + thread.items.length, 0);
  const parts = count > 0 || data.whole ? [drawHead(state, data, count)] : [];
  let left = data.whole ? Infinity : BAR_ROWS;
  for (const thread of data.threads) {
    const items = thread.items.slice(0, left);
    left -= items.length;
    if (items.length > 0) parts.push(drawThread(state, data, thread, items));
  }
  if (data.whole && count === 0) parts.push(el("div", "muted", "Nothing can be undone, and nothing is held."));
  state.root.replaceChildren(...parts);
}

function drawHead(state, data, count) {
  const head = el("div", "head");
  head.append(el("h2", "title", "Undo (" + count + ")"));
  const text = data.whole ? "Back to the inbox" : "See all by thread";
  head.append(button("plain", text, () => state.send("whole", !data.whole)));
  return head;
}

function drawThread(state, data, thread, items) {
  const box = el("div", "thread");
  if (data.whole) {
    const head = el("div", "head");
    head.append(el("div", "name muted", "Thread " + thread.shown));
    head.append(button("plain", "Undo the whole thread", () => state.send("take", { thread: thread.id })));
    box.append(head);
  }
  box.append(...items.map((item) => drawItem(state, item)));
  return box;
}

function drawItem(state, item) {
  const row = el("div", "effect");
  const body = el("div", "body");
  body.append(el("div", "what", item.what));
  body.append(el("div", "muted", item.label + " · " + item.state + " · " + item.ago));
  if (item.said) body.append(el("div", "said", item.said));
  row.append(body);
  if (item.until !== null) {
    const clock = el("span", "clock");
    state.clocks.push({ clock, item });
    row.append(clock);
  }
  if (item.held) {
    row.append(button("plain", "Send now", () => state.send("release", item.id)));
    row.append(button("plain", "Cancel it", () => state.send("cancel", item.id)));
  } else if (item.open) {
    row.append(button("go", "Undo", () => state.send("take", { entry: item.id })));
  }
  return row;
}

function tick(state) {
  const now = state.now();
  for (const { clock, item } of state.clocks) {
    const left = item.until - now;
    const words = item.held ? ["runs in ", "runs now"] : ["undo for ", "window closed"];
    clock.textContent = left > 0 ? words[0] + clockText(left) : words[1];
    clock.classList.toggle("soon", left < 60e6);
  }
}
