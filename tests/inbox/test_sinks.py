"""Text that we did not write reaches the page through one door only."""

import ast
import re
from pathlib import Path

import pytest

from tests.support import ROOT

INBOX = ROOT / "src" / "signoff" / "inbox"
SOURCES = sorted(INBOX.glob("*.py"))
SCRIPTS = sorted((INBOX / "assets").glob("*.js"))

# What Streamlit renders as Markdown or HTML, wherever it is called.
FORBIDDEN = {
    "badge",
    "caption",
    "chat_message",
    "dataframe",
    "divider",
    "error",
    "exception",
    "expander",
    "header",
    "html",
    "iframe",
    "image",
    "info",
    "json",
    "latex",
    "link_button",
    "markdown",
    "metric",
    "popover",
    "radio",
    "status",
    "subheader",
    "success",
    "table",
    "title",
    "toast",
    "warning",
    "write",
    "write_stream",
}
LITERAL = {"text", "code"}
LABELLED = {
    "button",
    "checkbox",
    "multiselect",
    "number_input",
    "pills",
    "segmented_control",
    "selectbox",
    "text_area",
    "text_input",
    "toggle",
}
MARKUP_IN_SCRIPTS = re.compile(
    r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\b|new Function"
    r"|DOMParser|srcdoc|createContextualFragment|\.src\s*="
)


def calls(source: str) -> list[tuple[str, ast.Call]]:
    """Every call of an attribute: its name, and the call."""
    return [
        (node.func.attr, node)
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute)
    ]


def on_streamlit(call: ast.Call) -> bool:
    function = call.func
    assert isinstance(function, ast.Attribute)
    return isinstance(function.value, ast.Name) and function.value.id == "st"


def is_ours(node: ast.expr) -> bool:
    """Whether a label can only be our own words, or passed `plain_label`."""
    if isinstance(node, ast.Constant):
        return True
    if isinstance(node, ast.Attribute):
        return node.attr == "label"  # Field.label, which is made by plain_label
    if isinstance(node, ast.JoinedStr):
        names = [v.value for v in node.values if isinstance(v, ast.FormattedValue)]
        return all(isinstance(n, ast.Name) and n.id == "plain" for n in names)
    return False


def breaches(source: str, file: str) -> list[str]:
    """Where a source file could render a foreign text as markup."""
    found = []
    for name, call in calls(source):
        where = f"{file}:{call.lineno} {name}"
        if name in FORBIDDEN and not is_logging(call):
            found.append(where)
        if on_streamlit(call) and name in LITERAL and file != "sinks.py":
            found.append(where)
        if name in LABELLED and not (call.args and is_ours(call.args[0])):
            found.append(where)
        help_texts = [k.value for k in call.keywords if k.arg in {"help", "icon"}]
        if not all(isinstance(text, ast.Constant) for text in help_texts):
            found.append(where)
    return found


def is_logging(call: ast.Call) -> bool:
    function = call.func
    assert isinstance(function, ast.Attribute)
    return isinstance(function.value, ast.Name) and function.value.id == "log"


@pytest.mark.row("B16")
@pytest.mark.parametrize("path", SOURCES, ids=lambda path: path.name)
def test_foreign_text_has_one_way_to_the_page(path: Path) -> None:
    assert breaches(path.read_text("utf-8"), path.name) == []


@pytest.mark.parametrize(
    "source",
    [
        "st.markdown(text)",
        "column.write(text)",
        "st.text(text)",
        "st.code(text)",
        "st.button(text)",
        "st.text_input(f'{name} *')",
        "st.button('Go', help=text)",
        "st.error(text)",
    ],
)
def test_a_breach_is_found(source: str) -> None:
    assert breaches(source, "page.py") != []


@pytest.mark.row("B16")
@pytest.mark.parametrize("path", SCRIPTS, ids=lambda path: path.name)
def test_components_write_text_and_no_markup(path: Path) -> None:
    assert MARKUP_IN_SCRIPTS.search(path.read_text("utf-8")) is None


def test_components_ask_nothing_of_other_sites() -> None:
    assets = sorted((INBOX / "assets").iterdir())
    texts = {path.name: path.read_text("utf-8") for path in assets}
    named = {
        name: re.findall(r"(?:https?:)?//[\w.-]+\.\w+", text)
        for name, text in texts.items()
    }
    del named["icon.svg"]  # names the SVG namespace, which nothing fetches
    assert {name: urls for name, urls in named.items() if urls} == {}
