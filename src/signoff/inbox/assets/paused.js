// What people have stopped; read aloud by a screen reader as it comes.
export default function paused({ data, parentElement }) {
  const state = stateOf(parentElement, (root) => {
    root.setAttribute("role", "alert");
    return { root };
  });
  state.root.replaceChildren(...data.pauses.map(drawPause));
}

function drawPause(pause) {
  const row = el("div", "paused");
  row.append(el("span", "mark", "❚❚"));
  const body = el("div", "body");
  body.append(el("div", "what", pause.what), el("div", "said", pause.said));
  row.append(body);
  return row;
}
