// Shared by every component. Data reaches the page through textContent only.
function el(tag, className, text) {
  const node = document.createElement(tag);
  if (className) node.className = className;
  if (text !== undefined && text !== null) node.textContent = String(text);
  return node;
}

function button(className, text, onClick) {
  const node = el("button", className, text);
  node.type = "button";
  node.addEventListener("click", onClick);
  return node;
}

// What lives as long as the component is on the page, whatever is drawn into it.
function stateOf(parentElement, start) {
  const root = parentElement.querySelector(".root");
  if (root.signoff === undefined) root.signoff = start(root);
  return root.signoff;
}

// Whether there is anything to draw that isn't drawn: a press must not lose its button.
function isNews(state, data) {
  const content = JSON.stringify({ ...data, now: null, changed: null });
  if (state.content === content) return false;
  state.content = content;
  return true;
}

// The server's clock in microseconds, from the moment that its answer was drawn.
function clockFrom(nowUs) {
  const drawn = performance.now();
  return () => nowUs + (performance.now() - drawn) * 1000;
}

function pad(number) {
  return String(number).padStart(2, "0");
}

function spanText(us) {
  const s = Math.max(0, Math.floor(us / 1e6));
  if (s < 60) return s + "s";
  if (s < 3600) return Math.floor(s / 60) + "m " + pad(s % 60) + "s";
  if (s < 86400) return Math.floor(s / 3600) + "h " + pad(Math.floor((s % 3600) / 60)) + "m";
  return Math.floor(s / 86400) + "d " + Math.floor((s % 86400) / 3600) + "h";
}

function clockText(us) {
  const s = Math.max(0, Math.floor(us / 1e6));
  if (s >= 86400) return spanText(us);
  const hours = s >= 3600 ? Math.floor(s / 3600) + ":" : "";
  return hours + pad(Math.floor((s % 3600) / 60)) + ":" + pad(s % 60);
}

function agoText(us) {
  const s = Math.max(0, us / 1e6);
  if (s < 60) return Math.floor(s) + "s ago";
  if (s < 3600) return Math.floor(s / 60) + "m ago";
  if (s < 86400) return (s / 3600).toFixed(1) + "h ago";
  return Math.floor(s / 86400) + "d ago";
}

function dialogIsOpen() {
  return document.querySelector('[role="dialog"], [role="alertdialog"], dialog[open]') !== null;
}

// Keys count only where nobody types, and never under a dialog.
function isBareKey(event) {
  if (event.defaultPrevented || event.repeat || event.isComposing) return false;
  if (event.ctrlKey || event.metaKey || event.altKey) return false;
  if (dialogIsOpen()) return false;
  const target = event.composedPath()[0];
  if (!(target instanceof Element)) return true;
  return target.closest("input, textarea, select, [contenteditable='true']") === null;
}

// Drawing the page anew clears what is being typed into an open dialog, so it waits.
function afterDialogs(root, act) {
  if (!root.isConnected) return;
  if (dialogIsOpen()) setTimeout(() => afterDialogs(root, act), 250);
  else act();
}

// A listener on the document that goes when its component goes.
function onDocumentKey(root, handler) {
  const listener = (event) => {
    if (!root.isConnected) {
      document.removeEventListener("keydown", listener);
    } else if (isBareKey(event)) {
      handler(event);
    }
  };
  document.addEventListener("keydown", listener);
}

// Calls `tick` each half second for as long as the component is on the page.
function onTick(root, tick) {
  const timer = setInterval(() => {
    if (!root.isConnected) clearInterval(timer);
    else tick();
  }, 500);
}
