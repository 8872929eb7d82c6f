"""People are told of what an agent did, and until when it can be undone."""

from pathlib import Path

import pytest

from signoff import Signoff, hold, reversible
from signoff.domain.journal import Entry, EntryState
from signoff.service.holds import Held, Ran
from signoff.testing import MovableClock
from tests.conformance.outside import ANN, World, action, register, renamed
from tests.notify.conftest import hook_to, mail_to, outlets
from tests.notify.hosts import MailHost, WebHost
from tests.service.conftest import Opener

UNTOLD = "untold"


@pytest.fixture
def world(tmp_path: Path) -> World:
    made = World(tmp_path / "world.db")
    made.set("7", title="old")
    return made


def opened(open_signoff: Opener, world: World, **terms: object) -> Signoff:
    so = open_signoff(reversible("*", window="10m", **terms))  # type: ignore[arg-type]
    register(so, world)
    return so


@pytest.mark.row("I12")
def test_an_effect_is_told_once_with_its_window(
    open_signoff: Opener, world: World, web_host: WebHost, mail_host: MailHost
) -> None:
    so = opened(open_signoff, world)
    with web_host.up(), mail_host.up():
        post = outlets(hook_to(web_host), mail_to(mail_host, "bob"))
        entry = renamed(so, world)
        while so.deliver_due(post):
            pass
    ((_, told),) = web_host.got
    assert told["type"] == "effect.reversible"
    assert told["data"]["link"].endswith(f"/?undo={entry.id}")
    assert told["data"]["said"]["label"] == "exact"
    assert entry.undo_until is not None
    shown = told["data"]["said"]["until"]
    assert entry.undo_until - shown == 5_000_000  # a late click still wins
    ((_, mail),) = mail_host.mails
    assert "can be undone for a while" in mail.as_string()
    assert so.audit().holds


@pytest.mark.row("C17")
def test_a_window_that_nobody_was_told_of_stays_open(
    open_signoff: Opener, world: World, web_host: WebHost, clock: MovableClock
) -> None:
    so, post = opened(open_signoff, world), outlets(hook_to(web_host))
    with web_host.up():
        renamed(so, world, 1, "first")
        assert so.deliver_due(post) == 1
    entry = renamed(so, world, 2)
    assert so.deliver_due(post) == 0  # the host is down
    clock.advance("20m")
    while so.run_due():
        pass
    held = so.entry(entry.id)
    assert (held.state, held.held_open) == (EntryState.DONE, UNTOLD)
    with web_host.up():
        assert so.deliver_due(post) == 1
    while so.run_due():
        pass
    again = so.entry(entry.id)
    assert (again.state, again.held_open) == (EntryState.DONE, None)
    assert again.undo_until is not None
    assert again.undo_until > so.now()
    assert so.undo_action(entry.id, by=ANN).state is EntryState.UNDONE
    assert so.audit().holds


@pytest.mark.row("C17")
def test_a_rule_may_let_it_close(
    open_signoff: Opener, world: World, web_host: WebHost, clock: MovableClock
) -> None:
    so = opened(open_signoff, world, on_untold="finalize")
    post = outlets(hook_to(web_host))
    with web_host.up():
        renamed(so, world, 1, "first")
        assert so.deliver_due(post) == 1
    entry = renamed(so, world, 2)
    clock.advance("20m")
    while so.run_due():
        pass
    assert so.entry(entry.id).state is EntryState.FINAL


def test_without_channels_a_window_closes(
    open_signoff: Opener, world: World, clock: MovableClock
) -> None:
    so = opened(open_signoff, world)
    entry = renamed(so, world)
    clock.advance("20m")
    while so.run_due():
        pass
    assert so.entry(entry.id).state is EntryState.FINAL
    assert so.audit().holds


@pytest.mark.row("C17")
def test_a_held_call_that_nobody_was_told_of_waits(
    open_signoff: Opener, web_host: WebHost, clock: MovableClock
) -> None:
    sent: list[str] = []

    def send(entry: Entry) -> Ran:
        sent.append(entry.id)
        return Ran(summary="sent")

    so, post = open_signoff(hold("send", window="10m")), outlets(hook_to(web_host))
    so.add_held(Held(tool="send", run=send, agent="clerk"))
    with web_host.up():
        first = so.begin_held(action("send", 1, to="ann"))
        assert so.deliver_due(post) == 1
    ((_, told),) = web_host.got
    assert told["type"] == "effect.held"
    second = so.begin_held(action("send", 2, to="bob"))
    assert first is not None
    assert second is not None
    assert so.deliver_due(post) == 0  # the host is down
    clock.advance("11m")
    while so.run_due():
        pass
    assert sent == [first.id]
    assert so.entry(second.id).held_open == "unheard"
    with web_host.up():
        assert so.deliver_due(post) == 1
    while so.run_due():
        pass
    assert sent == [first.id]  # they have as long as they were promised
    clock.advance("11m")
    while so.run_due():
        pass
    assert sent == [first.id, second.id]
    assert so.audit().holds
