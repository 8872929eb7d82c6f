// Nobody is signed in: a way to the server's own form, and back to this page.
export default function signIn({ data, parentElement }) {
  const root = parentElement.querySelector(".root");
  const card = el("main", "card");
  const link = el("a", "go", "Sign in");
  link.href = "/login?next=" + encodeURIComponent(location.pathname + location.search);
  card.append(el("div", "mark", "✓"), el("h1", "", data.title), el("p", "muted", data.text), link);
  root.replaceChildren(card);
}
