// What an edit would change, before it is sent.
export default function changes({ data, parentElement }) {
  const state = stateOf(parentElement, (root) => ({ root, opened: new Set() }));
  state.redraw = () => changes({ data, parentElement });
  const title = el("h3", "title", data.title);
  const problems = data.problems.map((text) => el("div", "problem", text));
  if (data.problems.length > 0) state.root.setAttribute("role", "alert");
  const table = data.rows.length > 0 ? [drawRows(state, data)] : [];
  state.root.replaceChildren(title, ...problems, ...table);
}
