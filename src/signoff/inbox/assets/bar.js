// The head of the page: counts, who is signed in, filters, and the live line.
const RISKS = ["critical", "high", "medium", "low"];
const ORDERS = [["deadline", "Deadline first"], ["risk", "Risk first"], ["newest", "Newest first"]];

export default function bar({ data, parentElement, setTriggerValue }) {
  const state = stateOf(parentElement, (root) => {
    const made = { root, filters: {}, live: el("span", "live", "connecting") };
    made.head = root.appendChild(el("div", "head"));
    made.filtersRow = root.appendChild(el("div", "filters"));
    made.filtersRow.setAttribute("role", "search");
    listen(made);
    return made;
  });
  state.send = setTriggerValue;
  state.root.classList.toggle("focused", data.focused);
  state.filters = data.filters;
  state.changed = data.changed;
  if (!isNews(state, data)) return;
  drawHead(state, data);
  drawFilters(state, data);
}

function listen(state) {
  const source = new EventSource("/api/v1/events");
  let first = true;
  let timer = null;
  source.addEventListener("changed", (event) => {
    if (!state.root.isConnected) return source.close();
    const known = first && JSON.parse(event.data).changed === state.changed;
    first = false;
    if (known) return;
    clearTimeout(timer);
    timer = setTimeout(() => {
      afterDialogs(state.root, () => state.send("changed", event.data));
    }, 60);
  });
  source.onopen = () => mark(state, "on", "live");
  source.onerror = () => {
    first = false;
    mark(state, "away", "reconnecting");
  };
}

function mark(state, className, text) {
  state.live.className = "live " + className;
  state.live.textContent = text;
}

function drawHead(state, data) {
  const brand = el("span", "brand");
  brand.append(el("span", "mark", "✓"), el("h1", "", "Inbox (" + data.waiting + ")"));
  const me = el("span", "me", data.me);
  me.title = "signed in as " + data.me;
  const out = button("plain", "Sign out", () => {
    fetch("/logout", { method: "POST" }).then(() => location.assign("/login"));
  });
  state.head.replaceChildren(brand, state.live, el("span", "gap"), me, out);
}

function drawFilters(state, data) {
  const active = state.root.getRootNode().activeElement;
  const focused = active && active.dataset ? active.dataset.name : null;
  const chips = el("div", "chips");
  chips.setAttribute("role", "group");
  chips.setAttribute("aria-label", "Risk");
  for (const risk of RISKS) {
    const on = data.filters.risk === risk;
    const chip = button("chip" + (on ? " on" : ""), risk, () => change(state, "risk", on ? null : risk));
    chip.prepend(el("span", "dot " + risk));
    chip.dataset.name = "risk-" + risk;
    chip.setAttribute("aria-pressed", String(on));
    chips.append(chip);
  }
  const agents = choice(state, "agent", "Any agent", data.agents.map((name) => [name.value, name.shown]));
  const tools = choice(state, "tool", "Any tool", data.tools.map((name) => [name.value, name.shown]));
  const order = choice(state, "order", null, ORDERS);
  const found = el("span", "muted found", data.found === data.waiting ? "" : data.found + " match");
  state.filtersRow.replaceChildren(chips, agents, tools, order, found);
  if (focused) state.filtersRow.querySelector('[data-name="' + CSS.escape(focused) + '"]')?.focus();
}

function choice(state, name, any, options) {
  const select = el("select", "");
  select.dataset.name = name;
  select.setAttribute("aria-label", name === "order" ? "Order" : "Filter by " + name);
  if (any !== null) select.append(new Option(any, ""));
  options.forEach(([value, shown], index) => select.append(new Option(shown, String(index))));
  const at = options.findIndex(([value]) => value === state.filters[name]);
  select.selectedIndex = at + (any === null ? 0 : 1);
  select.addEventListener("change", () => {
    change(state, name, select.value === "" ? null : options[Number(select.value)][0]);
  });
  return select;
}

function change(state, name, value) {
  state.filters = { ...state.filters, [name]: value };
  state.send("filter", state.filters);
}
