"""The undo bar, its page and its dialog; and outcomes that nobody knows."""

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

from signoff import hold
from signoff.domain.journal import Entry, EntryState
from signoff.inbox.desk import Desk
from signoff.inbox.looking import look
from signoff.inbox.undoing import shown
from signoff.server import Server
from tests.conformance.outside import (
    RULE,
    World,
    action,
    begun,
    created,
    opened,
    renamed,
)
from tests.inbox.conftest import Office
from tests.inbox.test_page import opened as page_of
from tests.inbox.test_page import script, texts

HOSTILE = "a\u202eb [x](https://evil.example) **bold**"
REVEALED = "a[U+202E]b [x](https://evil.example) **bold**"


@pytest.fixture
def world(tmp_path: Path) -> World:
    made = World(tmp_path / "world.db")
    made.set("7", title="old")
    return made


@pytest.fixture
def office(database_url: str, world: World) -> Iterator[Office]:
    """A server that has the undos."""
    rules = [hold("mail", window="1h"), RULE]
    with (
        opened(database_url, world, *rules) as so,
        Server(so) as server,
        ExitStack() as closing,
    ):
        yield Office(url=server.url, so=so, closing=closing)


def items(desk: Desk) -> list[dict[str, object]]:
    found = shown(desk, look(desk))
    return [item for thread in found["threads"] for item in thread["items"]]


def dialog_of(office: Office, entry: Entry, *groups: str) -> AppTest:
    """The page of somebody who pressed Undo."""
    token = office.so.create_token("mira", groups=groups)[1]
    page = page_of(office.url, token)
    desk: Desk = page.session_state["desk"]
    desk.take({"entry": entry.id})
    page.run()
    assert list(page.exception) == []
    return page


def test_the_bar_shows_the_short_deadline_and_the_honest_label(
    office: Office, world: World
) -> None:
    entry = renamed(office.so, world, title=HOSTILE)
    (item,) = items(office.desk("maria"))
    assert entry.undo_until is not None
    assert item["until"] == entry.undo_until - 5_000_000
    assert (item["label"], item["open"], item["held"]) == ("exact", True, False)
    assert REVEALED in str(item["what"])
    assert "\u202e" not in str(item)


def test_it_is_taken_back_after_the_dialog(office: Office, world: World) -> None:
    entry = renamed(office.so, world, title=HOSTILE)
    page = dialog_of(office, entry)
    assert REVEALED in texts(page)
    assert "Undo: exact" in texts(page)
    page.text_input(key=f"undo_{entry.id}_reason").input("a typo").run()
    page.button(key=f"undo_{entry.id}_go").click().run()
    assert list(page.exception) == []
    now = office.so.entry(entry.id)
    assert (now.state, now.undo_reason) == (EntryState.UNDONE, "a typo")
    desk: Desk = page.session_state["desk"]
    assert desk.notices[0].told.text == "Undone (exact)"
    assert world.get("7") == {"title": "old"}


def test_a_conflict_shows_before_after_and_now_and_who_may_overrides_it(
    office: Office, world: World
) -> None:
    entry = renamed(office.so, world)
    world.set("7", title=HOSTILE)
    page = dialog_of(office, entry, "admin")
    (code,) = [one.value for one in page.code if "before" in one.value]
    assert ("old" in code, "\u202e" in code, "evil.example" in code) == (
        True,
        False,
        True,
    )
    page.checkbox(key=f"undo_{entry.id}_force").check().run()
    page.text_input(key=f"undo_{entry.id}_reason").input("it must go").run()
    page.button(key=f"undo_{entry.id}_go").click().run()
    assert office.so.entry(entry.id).undo_forced
    assert world.get("7") == {"title": "old"}


def test_who_may_not_force_is_not_offered_it(office: Office, world: World) -> None:
    entry = renamed(office.so, world)
    world.set("7", title="theirs")
    page = dialog_of(office, entry)
    assert list(page.checkbox) == []
    page.button(key=f"undo_{entry.id}_go").click().run()
    desk: Desk = page.session_state["desk"]
    assert "title changed since" in desk.notices[0].told.text
    assert office.so.entry(entry.id).state is EntryState.DONE


def test_what_needs_it_is_shown_and_undone_first(office: Office, world: World) -> None:
    first = created(office.so, world, 1, "i1")
    later = begun(office.so, action("create", 2, id="i2", parent="made-i1"))
    world.put("i2", {"uid": 2}, "created")
    done = office.so.finish(
        later, "finish", result=b"", summary="", output={"id": "i2"}
    )
    assert done
    page = dialog_of(office, first)
    assert texts(page).index("1. Create") < texts(page).index("2. Create")
    page.button(key=f"undo_{first.id}_go").click().run()
    states = {office.so.entry(one.id).state for one in (first, later)}
    assert states == {EntryState.UNDONE}
    assert (world.get("i1"), world.get("i2")) == (None, None)


def test_a_link_of_a_notice_opens_the_dialog(office: Office, world: World) -> None:
    entry = renamed(office.so, world)
    page = linked(office, entry.id)
    assert "Undo: exact" in texts(page)
    page.button(key=f"undo_{entry.id}_keep").click().run()
    assert office.so.entry(entry.id).state is EntryState.DONE
    desk: Desk = linked(office, "ent_none").session_state["desk"]
    assert "No journal entry" in desk.notices[0].told.text


def linked(office: Office, entry: str) -> AppTest:
    page = AppTest.from_function(script, default_timeout=30)
    page.kwargs = {"url": office.url, "token": office.token("mira")}
    page.query_params["undo"] = entry
    page.run()
    assert list(page.exception) == []
    return page


def parked(office: Office, number: int) -> Entry:
    entry = office.so.begin_held(action("mail", number, to=HOSTILE))
    assert entry is not None
    return entry


def test_a_held_call_is_cancelled_or_let_go(office: Office) -> None:
    first, second = parked(office, 1), parked(office, 2)
    desk = office.desk("maria")
    assert [item["held"] for item in items(desk)] == [True, True]
    assert items(desk)[0]["until"] == first.commit_at
    assert "no effect yet" in str(items(desk)[0]["label"])
    desk.cancel_held(first.id)
    assert office.so.entry(first.id).state is EntryState.CANCELLED
    assert desk.notices[0].told.text == "Cancelled before effect"
    desk.release(second.id)  # no process here has the tool
    assert "a process that has its tool runs it" in desk.notices[0].told.text
    desk.cancel_held(first.id)
    assert "already cancelled" in desk.notices[0].told.text


@pytest.mark.parametrize(
    "nonsense", [None, 1, "x", {}, {"entry": 1}, {"entry": "a", "thread": "b"}]
)
def test_nonsense_opens_nothing(office: Office, nonsense: object) -> None:
    desk = office.desk("maria")
    desk.take(nonsense)
    assert desk.taken is None


def test_did_this_happen_has_three_buttons(office: Office, world: World) -> None:
    lost = []
    for number in (1, 2, 3):
        entry = begun(office.so, action("rename", number, id="7", title=HOSTILE))
        assert office.so.finish(entry, "lose", result=None, summary=HOSTILE)
        lost.append(entry.id)
    page = page_of(office.url, office.token("mira"))
    assert REVEALED in texts(page)
    page.button(key=f"probe_{lost[0]}").click().run()
    desk: Desk = page.session_state["desk"]
    assert "no probe knows it" in desk.notices[0].told.text
    page.text_input(key=f"result_{lost[0]}").input("{").run()
    page.button(key=f"yes_{lost[0]}").click().run()
    assert "has to be JSON" in texts(page)
    page.text_input(key=f"result_{lost[0]}").input('{"n": 1.0}').run()
    page.button(key=f"yes_{lost[0]}").click().run()
    page.text_input(key=f"result_{lost[1]}").input("1").run()
    page.button(key=f"no_{lost[1]}").click().run()
    assert "only what happened returned something" in texts(page)
    page.text_input(key=f"result_{lost[1]}").input("").run()
    page.button(key=f"no_{lost[1]}").click().run()
    page.button(key=f"again_{lost[2]}").click().run()
    assert list(page.exception) == []
    now = [office.so.entry(one) for one in lost]
    assert [one.state.value for one in now] == ["done", "failed", "prepared"]
    assert repr(now[0].output) == repr({"n": 1.0})
