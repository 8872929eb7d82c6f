// What happened about a request, oldest first.
export default function timeline({ data, parentElement }) {
  const root = parentElement.querySelector(".root");
  const list = el("ol", "line");
  for (const event of data.events) {
    const item = el("li", "");
    const head = el("div", "");
    head.append(el("strong", "", event.what), el("span", "muted", " · " + event.who));
    const when = el("time", "muted", event.when);
    when.dateTime = event.at;
    when.title = event.at;
    head.append(el("span", "muted", " · "), when);
    item.append(head);
    if (event.said) item.append(el("div", "said", event.said));
    list.append(item);
  }
  root.replaceChildren(list);
}
