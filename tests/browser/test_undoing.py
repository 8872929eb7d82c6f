"""Taking back what an agent did, in a real browser; what it wrote stays literal."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from signoff import Action, Context
from signoff.domain.journal import EntryState
from signoff.domain.undoing import Effect
from signoff.service.propose import Asked
from tests.browser.conftest import Site
from tests.browser.test_hostile import HIDDEN, MARKUP, REVEALED, harmless
from tests.support import wait_until

PageOf = Callable[..., Page]


def called(tool: str, args: dict[str, Any]) -> Action:
    context = Context(thread="thread-" + MARKUP, agent="agent-7")
    return Action(context=context, message_id="m", call_id=tool, tool=tool, args=args)


@pytest.mark.row("I14")
def test_an_effect_is_taken_back_and_a_held_call_cancelled(
    page_of: PageOf, site: Site, tmp_path: Path
) -> None:
    notes = {"title": "before"}

    @site.so.undo(
        "set_note",
        capture=lambda _args: dict(notes),
        fingerprint=lambda _effect: dict(notes),
    )
    def put_back(effect: Effect) -> None:
        notes.update(effect.captured)

    one = called("set_note", {"title": HIDDEN, "note": MARKUP})
    entry = site.so.begin_reversible(one, Asked())
    assert entry is not None
    notes["title"] = HIDDEN
    site.so.finish(entry, "finish", result=b"", summary=MARKUP)
    held = site.so.begin_held(called("mail_out", {"to": HIDDEN, "subject": MARKUP}))
    assert held is not None
    page = page_of()
    bar = page.get_by_role("region", name="Undo")
    expect(bar).to_contain_text(REVEALED)
    expect(bar).to_contain_text(re.compile(r"undo for 0?9:\d\d"))
    expect(bar).to_contain_text(re.compile(r"runs in 59:\d\d"))
    harmless(page)
    page.screenshot(path=tmp_path / "undo-bar.png")
    bar.get_by_role("button", name="Cancel it").click()
    expect(page.get_by_role("status")).to_contain_text("Cancelled before effect")
    assert site.so.entry(held.id).state is EntryState.CANCELLED
    take_back(page, tmp_path)
    wait_until(site.so.run_due, "this process has the undo")
    assert site.so.entry(entry.id).state is EntryState.UNDONE
    assert notes == {"title": "before"}
    expect(bar).to_contain_text("Nothing can be undone")
    harmless(page)


def take_back(page: Page, tmp_path: Path) -> None:
    """The one effect that there is, from the page that shows all."""
    bar = page.get_by_role("region", name="Undo")
    bar.get_by_role("button", name="See all by thread").click()
    expect(bar).to_contain_text("Thread thread-[Approve safely]")
    page.screenshot(path=tmp_path / "undo-page.png")
    bar.get_by_role("button", name="Undo", exact=True).click()
    dialog = page.get_by_role("dialog")
    expect(dialog).to_contain_text(REVEALED)
    expect(dialog).to_contain_text("Undo: exact")
    harmless(page)
    page.screenshot(path=tmp_path / "undo-dialog.png")
    dialog.get_by_label("Reason (kept, and the agent is told)").fill("not like this")
    dialog.get_by_role("button", name="Undo", exact=True).click()
    admitted = "Admitted; a process that has its undo does it"
    expect(page.get_by_role("status")).to_contain_text(admitted)
