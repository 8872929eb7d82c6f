// One request: what will happen, field by field, and the buttons that decide on it.
//
// Approve arms only after this very content was on screen for a while, and sends the
// digest of the content that is drawn here.
const DWELL_MS = 700;

export default function detail({ data, parentElement, setTriggerValue }) {
  const state = stateOf(parentElement, start);
  const turn = [data.id, data.digest, data.turn].join(" ");
  state.send = setTriggerValue;
  state.data = data;
  state.now = clockFrom(data.now);
  if (state.turn !== turn) turnTo(state, turn);
  if (isNews(state, data)) draw(state, data);
  arm(state);
}

function start(root) {
  const state = { root, opened: new Set(), onScreen: false, sent: false };
  state.redraw = () => { draw(state, state.data); arm(state); };
  root.setAttribute("role", "region");
  root.setAttribute("aria-label", "Request");
  state.watcher = new IntersectionObserver((entries) => {
    state.onScreen = entries[entries.length - 1].isIntersecting;
    arm(state);
  });
  document.addEventListener("visibilitychange", () => arm(state));
  onDocumentKey(root, (event) => press(state, event));
  onTick(root, () => { tick(state); arm(state); });
  return state;
}

// Other content than before: nothing of it has been seen, and nothing stays focused.
function turnTo(state, turn) {
  const inside = state.root.getRootNode().activeElement;
  state.turn = turn;
  state.opened = new Set();
  state.sent = false;
  state.armed = false;
  state.since = null;
  state.refocus = Boolean(inside);
}

function draw(state, data) {
  const root = state.root;
  const focused = state.refocus ? null : root.getRootNode().activeElement?.dataset?.name;
  const parts = [drawChips(data), drawHeadline(state, data), drawDeadline(state, data)];
  parts.push(...drawWarnings(data));
  if (data.gate) parts.push(...drawStages(data));
  if (!data.editing) parts.push(drawRows(state, data));
  if (data.gate) parts.push(...drawMade(state, data));
  parts.push(...drawVotes(data));
  if (!data.editing) parts.push(...drawActions(state, data));
  parts.push(drawAbout(data));
  const back = button("back", "‹ Inbox", () => state.send("back", data.id));
  back.setAttribute("aria-label", "Back to the inbox");
  root.replaceChildren(back, ...parts);
  state.watcher.disconnect();
  state.watcher.observe(state.headline);
  if (state.refocus) state.headline.focus({ preventScroll: true });
  if (focused) root.querySelector('[data-name="' + CSS.escape(focused) + '"]')?.focus({ preventScroll: true });
  state.refocus = false;
  tick(state);
}

function drawChips(data) {
  const chips = el("div", "chips");
  for (const chip of data.chips) {
    const node = el("span", "chip " + chip.tone);
    if (chip.dot) node.append(el("span", "dot " + chip.dot));
    node.append(el("span", "", chip.text));
    chips.append(node);
  }
  return chips;
}

function drawHeadline(state, data) {
  state.headline = el("h2", "headline", data.headline);
  state.headline.tabIndex = -1;
  return state.headline;
}

function drawDeadline(state, data) {
  const line = el("div", "deadline");
  state.clock = null;
  if (data.settled) {
    line.append(el("span", "settled " + data.settled.tone, data.settled.text));
  } else {
    const told = data.frozen_at === null ? "if nobody answers: " + data.silence + " in " : "paused, the deadline stands still; left: ";
    line.append(el("span", "", told));
    state.clock = line.appendChild(el("strong", "clock"));
    const track = line.appendChild(el("span", "track"));
    state.fill = track.appendChild(el("span", "fill"));
  }
  state.asked = line.appendChild(el("span", "asked muted"));
  return line;
}

function drawWarnings(data) {
  return data.warnings.map((text) => {
    const warning = el("div", "warning");
    warning.append(el("span", "mark", "!"), el("span", "", text));
    return warning;
  });
}

// How far the workflow is, what is asked, and what people asked for before.
function drawStages(data) {
  const parts = [];
  if (data.stages.length > 0) {
    const list = el("ol", "stages");
    list.setAttribute("aria-label", "Stages of the workflow");
    for (const stage of data.stages) {
      const item = el("li", "stage " + stage.state);
      if (stage.now) item.setAttribute("aria-current", "step");
      item.append(el("strong", "", stage.name), el("span", "", ": " + stage.said));
      list.append(item);
    }
    parts.push(list);
  }
  if (data.question) parts.push(el("p", "question", data.question));
  if (data.remarks.length > 0) parts.push(drawRemarks(data));
  return parts;
}

function drawRemarks(data) {
  const list = el("ol", "remarks");
  list.setAttribute("aria-label", "Changes that people asked for");
  data.remarks.forEach((said, index) => {
    const item = el("li", "");
    item.append(el("strong", "", "Changes after round " + (index + 1) + ": "), el("span", "said", said));
    list.append(item);
  });
  return list;
}

function drawMade(state, data) {
  if (data.made.length === 0) return [];
  const titles = ["Earlier stage", "What it made"];
  return [drawRows(state, { compared: false, titles, rows: data.made, place: " made" })];
}

function unread(state) {
  if (!state.data.must_read) return [];
  return state.data.rows
    .filter((row) => isLong(row.text) && !state.opened.has(row.name + " now"))
    .map((row) => row.name);
}

function drawAbout(data) {
  const list = el("dl", "about");
  for (const [name, text] of data.about) {
    const pair = el("div", "");
    pair.append(el("dt", "muted", name), el("dd", "", text));
    list.append(pair);
  }
  return list;
}

function drawVotes(data) {
  if (data.votes.length === 0) return [];
  const list = el("ul", "votes");
  list.setAttribute("aria-label", "What people said so far");
  for (const vote of data.votes) {
    const line = el("li", vote.counts ? "" : "muted");
    line.append(el("strong", "", vote.who), el("span", "", " " + vote.said));
    list.append(line);
  }
  return [list];
}

const LABELS = { reject: ["✕", "Reject", "N"], edit: ["✎", "Edit", "E"], respond: ["↩", "Respond", "M"] };

function drawActions(state, data) {
  if (data.settled) return [];
  const bar = el("div", "actions");
  bar.setAttribute("role", "group");
  bar.setAttribute("aria-label", "Decide");
  state.approve = null;
  if (data.decisions.includes("approve")) bar.append(drawApprove(state, data));
  for (const kind of ["reject", "edit", "respond"]) {
    if (!data.decisions.includes(kind)) continue;
    const [mark, text, key] = kind === "respond" && data.gate ? ["↩", "Request changes", "M"] : LABELS[kind];
    const node = button("action", "", () => state.send("open", openPayload(data, kind)));
    node.append(el("span", "mark", mark), el("span", "", text), el("span", "key", key));
    node.dataset.name = kind;
    node.setAttribute("aria-keyshortcuts", key);
    node.disabled = data.refused[kind] !== undefined;
    bar.append(node);
  }
  state.hint = el("div", "hint muted");
  state.hint.id = "why";
  return [bar, state.hint];
}

function drawApprove(state, data) {
  const node = button("approve", "", () => approve(state));
  node.append(el("span", "mark", "✓"), el("span", "label", "Approve"));
  node.dataset.name = "approve";
  node.setAttribute("aria-describedby", "why");
  state.approve = node;
  return node;
}

function openPayload(data, kind) {
  return { kind, id: data.id, digest: data.digest };
}

function approve(state) {
  if (!state.armed || state.sent || dialogIsOpen()) return;
  if (state.data.confirm) {
    state.send("open", openPayload(state.data, "confirm"));
    return;
  }
  state.sent = true;
  arm(state);
  state.send("approve", openPayload(state.data, "approve"));
}

// Decides whether Approve may be pressed now, and says why if not.
function arm(state) {
  if (!state.data || state.data.settled || !state.root.isConnected) return;
  const looked = state.onScreen && document.visibilityState === "visible";
  if (!looked) state.since = null;
  else if (state.since === null) state.since = performance.now();
  const left = looked ? DWELL_MS - (performance.now() - state.since) : DWELL_MS;
  const refusal = state.data.refused.approve;
  const long = unread(state);
  state.armed = left <= 0 && refusal === undefined && long.length === 0 && !state.sent;
  clearTimeout(state.wake);
  if (looked && left > 0) state.wake = setTimeout(() => arm(state), left + 5);
  if (!state.approve) return say(state, refusal);
  state.approve.setAttribute("aria-disabled", String(!state.armed));
  state.approve.classList.toggle("arming", looked && left > 0 && refusal === undefined && long.length === 0);
  state.approve.querySelector(".label").textContent = state.sent ? "Approving…" : state.data.confirm ? "Approve…" : "Approve";
  say(state, refusal ?? (long.length > 0 ? "To approve, first show all of: " + long.join(", ") : ""));
}

function say(state, text) {
  if (state.hint) state.hint.textContent = text ?? "";
}

function press(state, event) {
  const data = state.data;
  if (!data || data.settled || data.editing) return;
  if (event.key === "a" && state.approve) {
    event.preventDefault();
    state.approve.focus();
  }
  const kind = { n: "reject", e: "edit", m: "respond" }[event.key];
  if (kind === undefined || !data.decisions.includes(kind) || data.refused[kind] !== undefined) return;
  event.preventDefault();
  state.send("open", openPayload(data, kind));
}

function tick(state) {
  const { data } = state;
  const now = state.now();
  state.asked.textContent = "asked " + agoText(now - data.asked_at);
  if (!state.clock) return;
  const left = data.expires_at - (data.frozen_at ?? now);
  state.clock.textContent = clockText(left);
  state.clock.classList.toggle("soon", left < 300e6);
  const share = left / Math.max(1, data.expires_at - data.asked_at);
  state.fill.style.width = Math.max(0, Math.min(100, share * 100)) + "%";
}
