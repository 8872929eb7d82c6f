// The page's own frame: which of the two halves a narrow screen shows.
export default function frame({ data }) {
  document.documentElement.dataset.signoffFocus = data.focus;
  document.documentElement.lang = "en";
}
