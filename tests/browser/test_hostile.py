"""What an agent wrote is shown as it is: no markup, no request, nothing hidden."""

from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from signoff import Approve, Principal
from tests.browser.conftest import Site
from tests.support import wait_until

PageOf = Callable[..., Page]

BEACON = "https://evil.example/beacon.png"
MARKUP = (
    f"[Approve safely](https://evil.example/x) ![]({BEACON}) "
    ":green-badge[Verified by Security] :material/verified: $\\sqrt{x}$ **bold** "
    f"<b>bold</b><img src='{BEACON}' onerror='window.hit=1'>"
    "<script>window.hit=1</script> dana@example.com www.evil.example"
)
HIDDEN = "alice\u202emoc.live\u200b\u2066x\u2069\U000e0041"
REVEALED = "alice[U+202E]moc.live[U+200B][U+2066]x[U+2069][U+E0041]"
ESCAPED = '"alice\\u202emoc.live\\u200b\\u2066x\\u2069\\udb40\\udc41"'
SCHEMA: dict[str, Any] = {
    "type": "object",
    "title": MARKUP,
    "properties": {
        "to": {"type": "string", "title": MARKUP, "description": MARKUP},
        "kind": {"enum": [MARKUP, "plain", "_sly_"]},
        "list": {"type": "array", "items": {"type": "string"}},
        MARKUP: {"type": "string"},
    },
}
ARGS: dict[str, Any] = {
    "to": HIDDEN,
    "subject": MARKUP,
    "kind": MARKUP,
    "list": [MARKUP, "b"],
    "nested": {MARKUP: [MARKUP, {"deep": HIDDEN}]},
    MARKUP: MARKUP,
}
OPERATOR = Principal(id="operator@example.com")


def markup_in(page: Page) -> dict[str, int]:
    """Elements that only markup could have made, in the page and its components."""
    counts: dict[str, int] = page.evaluate(
        """() => {
          const roots = [document];
          for (const node of document.querySelectorAll("*"))
            if (node.shadowRoot) roots.push(node.shadowRoot);
          const within = (root, selector) => root.querySelectorAll(selector).length;
          const count = (selector) =>
            roots.reduce((sum, root) => sum + within(root, selector), 0);
          return {
            links: count('a[href*="evil"], a[href^="mailto"]'),
            images: count('img[src*="evil"]'),
            badges: count('[data-testid="stMarkdownBadge"], .stMarkdownBadge'),
            formulas: count(".katex"),
            bold: count("b"),
          };
        }"""
    )
    return counts


def harmless(page: Page) -> None:
    assert markup_in(page) == dict.fromkeys(
        ("links", "images", "badges", "formulas", "bold"), 0
    )
    assert page.evaluate("window.hit") is None


@pytest.mark.row("B16")
def test_hostile_text_is_literal_everywhere(
    page_of: PageOf, site: Site, tmp_path: Path
) -> None:
    request = site.ask("send_" + MARKUP, ARGS, schema=SCHEMA, agent=MARKUP)
    page = page_of()  # it fails if a request leaves the site
    expect(page.locator("li.item")).to_contain_text("evil.example")
    rows = page.locator(".rows")
    expect(rows).to_contain_text(REVEALED)
    expect(rows).to_contain_text(MARKUP)
    expect(page.locator(".warning")).to_contain_text("hidden characters in this call")
    harmless(page)
    page.screenshot(path=tmp_path / "hostile.png")
    for tab in ("History", "Raw", "About the tool"):
        page.get_by_role("tab", name=tab).click()
        expect(page.get_by_role("tab", name=tab)).to_have_attribute(
            "aria-selected", "true"
        )
    expect(page.locator("pre, code").first).to_be_attached()
    harmless(page)
    for kind in ("reject", "respond"):
        page.locator(f".actions [data-name={kind}]").click()
        expect(page.get_by_role("dialog")).to_contain_text("[Approve safely]")
        harmless(page)
        page.get_by_role("dialog").get_by_role("button", name="Cancel").click()
        expect(page.get_by_role("dialog")).to_have_count(0)
    page.locator(".actions [data-name=edit]").click()
    expect(page.get_by_role("button", name="Approve with edits")).to_be_visible()
    expect(page.get_by_label("To", exact=True)).to_have_value(ESCAPED)
    harmless(page)
    wait_until(lambda: _opens(page), "the list is open", 20)
    harmless(page)
    page.screenshot(path=tmp_path / "hostile-edit.png", full_page=True)
    site.so.cancel(request.id, by=OPERATOR, reason=MARKUP)
    expect(page.locator(".settled")).to_contain_text("[Approve safely]")
    harmless(page)


def _opens(page: Page) -> bool:
    """Open the list of kinds; a page that is being brought up to date closes it."""
    page.get_by_role("combobox", name="Kind").press("ArrowDown")
    with suppress(AssertionError):
        expect(page.get_by_role("option", name="plain")).to_be_visible(timeout=1000)
        return True
    return False


@pytest.mark.row("B16")
def test_a_failed_call_cannot_speak_markup_either(page_of: PageOf, site: Site) -> None:
    request = site.ask("pay_bill", {"to": "ACME", "amount": 5})
    site.so.decide(request.id, Approve(), by=OPERATOR, digest=request.digest)
    entry = site.so.begin(site.so.get(request.id))
    assert entry is not None
    site.so.finish(entry, "fail", result=None, summary=MARKUP + HIDDEN)
    page = page_of("mira", f"/?request={request.id}")
    expect(page.locator(".settled")).to_contain_text("[Approve safely]")
    page.get_by_role("tab", name="History").click()
    expect(page.locator(".line")).to_contain_text("summary: [Approve safely]")
    harmless(page)
