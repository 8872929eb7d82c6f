// Lines that say what happened; read aloud by a screen reader as they come.
export default function notices({ data, parentElement, setTriggerValue }) {
  const state = stateOf(parentElement, (root) => {
    root.setAttribute("role", "status");
    root.setAttribute("aria-live", "polite");
    return { root, looks: 0, of: null, timer: null };
  });
  state.root.replaceChildren(...data.lines.map((line) => drawLine(line, setTriggerValue)));
  look(state, data, setTriggerValue);
}

function drawLine(line, send) {
  const row = el("div", "notice " + line.tone);
  row.append(el("span", "mark", { good: "✓", bad: "✕", warn: "!", plain: "•" }[line.tone]));
  const body = el("div", "body");
  if (line.what) body.append(el("div", "what", line.what));
  body.append(el("div", "said", line.text));
  row.append(body);
  if (line.request) {
    row.append(button("plain", "Open", () => send("open", line.request)));
  }
  const close = button("close", "×", () => send("dismiss", line.id));
  close.setAttribute("aria-label", "Dismiss");
  row.append(close);
  return row;
}

// An effect that ends changes no request, so the page looks again, a few times. It is
// not drawn again while it stays the same, so the next look doesn't wait for that.
function look(state, data, send) {
  state.send = send;
  if (state.of === data.awaits) return;
  state.of = data.awaits;
  state.looks = 0;
  clearTimeout(state.timer);
  lookLater(state);
}

function lookLater(state) {
  if (!state.of || state.looks >= 12) return;
  state.timer = setTimeout(() => {
    afterDialogs(state.root, () => {
      state.looks += 1;
      if (state.of) state.send("look", state.of);
      lookLater(state);
    });
  }, Math.min(8000, 400 * 1.5 ** state.looks));
}
