"""Rows C6, C14, C15 and C21 of held calls: sent once or cancelled, and never late."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from functools import partial
from multiprocessing.synchronize import Barrier
from pathlib import Path
from threading import Event, Semaphore

import pytest

from signoff import (
    Approve,
    Policy,
    Principal,
    Reject,
    Request,
    Rule,
    Signoff,
    hold,
    review,
)
from signoff.clock import Clock
from signoff.domain.errors import (
    EntryNotFound,
    HeldIsAsked,
    HeldNeedsOthers,
    HoldOver,
    NotAllowed,
    NotAuthenticated,
    Paused,
)
from signoff.domain.journal import Entry, EntryState
from signoff.domain.principals import PrincipalKind
from signoff.domain.undoing import Dependence
from signoff.service.holds import AT_ONCE, Held, Ran
from signoff.service.propose import Asked
from signoff.storage import SqlStore
from signoff.storage import tables as t
from tests.conformance.harness import attempt, in_process, together
from tests.conformance.outside import ANN, BOB, World, action, die
from tests.forked import processes
from tests.support import wait_until

RULE = hold("send", window="10m", max_late="1h")
SOON = timedelta(minutes=11)
BOT = Principal(id="clerk", kind=PrincipalKind.AGENT)
KILLED = -9


@contextmanager
def office(
    url: str,
    world: World | None,
    *rules: Rule,
    ahead: timedelta = timedelta(0),
    then: Callable[[], object] = lambda: None,
    lease: str = "30s",
) -> Iterator[Signoff]:
    """A process's signoff; with a world it has the tool that sends."""
    so = Signoff(
        url,
        policy=Policy(list(rules or [RULE])),
        clock=Clock(offset=ahead),
        lease=lease,
    )

    def send(entry: Entry) -> Ran:
        assert world is not None
        world.set(str((entry.args or {})["to"]), "sent")
        then()
        return Ran(summary="sent", result=b"r", output={"ok": True})

    if world is not None:
        so.add_held(Held(tool="send", run=send, agent="clerk"))
    try:
        yield so
    finally:
        so.close()


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path / "world.db")


@pytest.fixture
def so(database_url: str, world: World) -> Iterator[Signoff]:
    with office(database_url, world) as one:
        yield one
        assert one.audit().holds


def parked(so: Signoff, number: int = 1) -> Entry:
    entry = so.begin_held(action("send", number, to=f"p{number}"))
    assert entry is not None
    return entry


def due(so: Signoff) -> None:
    while so.run_due():
        pass


@contextmanager
def asked_late(url: str, world: World) -> Iterator[tuple[Signoff, Request]]:
    """Three hours later people are asked about what was to be sent long ago."""
    with office(url, world, ahead=timedelta(hours=3)) as later:
        due(later)
        (request,) = later.thread("t1")
        yield later, request


@pytest.mark.row("C6")
def test_release_cancel_and_timer_in_threads_have_one_winner(
    so: Signoff, world: World, database_url: str
) -> None:
    with (
        office(database_url, world, ahead=SOON) as one,
        office(database_url, world, ahead=SOON) as other,
    ):
        for number in range(10):
            entry = parked(so, number)
            together(
                partial(one.release, entry.id, by=ANN),
                partial(other.cancel_held, entry.id, by=BOB, reason="no"),
                partial(due, one),
                partial(other.release, entry.id, by=BOB),
                partial(due, other),
            )
            wait_until(partial(_ended, so, entry), "it ended")
            state, sent = so.entry(entry.id).state, world.get(f"p{number}") is not None
            assert state in {EntryState.DONE, EntryState.CANCELLED}
            assert (state is EntryState.DONE) == sent
    done = [one for one in so.journal() if one.state is EntryState.DONE]
    assert world.count("sent") == len(done)


def _ended(so: Signoff, entry: Entry) -> bool:
    open_ones = {EntryState.HELD, EntryState.RUNNING}
    return so.entry(entry.id).state not in open_ones


def _race(url: str, file: Path, entry: str, start: Barrier, doing: str) -> None:
    with office(url, World(file), ahead=SOON) as so:
        start.wait(60)
        work: dict[str, Callable[[], object]] = {
            "release": partial(so.release, entry, by=ANN),
            "cancel": partial(so.cancel_held, entry, by=BOB, reason="no"),
            "timer": partial(due, so),
        }
        attempt(work[doing])


@pytest.mark.row("C6")
def test_release_cancel_and_timer_in_processes_have_one_winner(
    so: Signoff, world: World, database_url: str
) -> None:
    for number in range(3):
        entry = parked(so, number)
        start = processes().Barrier(4)
        racers = [
            processes().Process(
                target=_race, args=(database_url, world.file, entry.id, start, doing)
            )
            for doing in ("release", "cancel", "timer", "timer")
        ]
        for one in racers:
            one.start()
        for one in racers:
            one.join(60)
        state, sent = so.entry(entry.id).state, world.get(f"p{number}") is not None
        assert state in {EntryState.DONE, EntryState.CANCELLED}
        assert (state is EntryState.DONE) == sent
    done = [one for one in so.journal() if one.state is EntryState.DONE]
    assert world.count("sent") == len(done)


def _killed_at_it(url: str, file: Path) -> None:
    with office(url, World(file), ahead=SOON, then=die, lease="1s") as so:
        due(so)


@pytest.mark.row("C2", "C6")
def test_killed_after_the_claim_it_is_unknown_and_not_sent_again(
    so: Signoff, world: World, database_url: str
) -> None:
    entry = parked(so)
    assert in_process(_killed_at_it, database_url, world.file) == KILLED
    with office(database_url, world, ahead=timedelta(minutes=20)) as later:
        due(later)
        assert later.entry(entry.id).state is EntryState.UNKNOWN
        assert [one.id for one in later.unknowns()] == [entry.id]
        due(later)
    assert world.count("sent") == 1


@pytest.mark.row("C14")
def test_the_moment_is_the_databases(
    so: Signoff, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("time.time", lambda: 4_000_000_000.0)
    entry = parked(so)
    assert entry.commit_at == entry.started_at + 600_000_000
    due(so)
    assert world.count("sent") == 0
    left = so.next_due()
    assert left is not None
    assert 590_000_000 < left <= 600_000_000


@pytest.mark.row("C21")
@pytest.mark.parametrize(("stopped", "sent"), [("30m", 1), ("3h", 0)])
def test_after_a_stop_it_is_sent_unless_that_is_too_late(
    so: Signoff, world: World, database_url: str, stopped: str, sent: int
) -> None:
    entry = parked(so)
    hours = {"30m": timedelta(minutes=40), "3h": timedelta(hours=3)}
    with office(database_url, world, ahead=hours[stopped]) as later:
        due(later)
        now = later.entry(entry.id)
        assert (now.state is EntryState.DONE, world.count("sent")) == (bool(sent), sent)
        if not sent:
            (request,) = later.thread("t1")
            assert "later than its rule allows" in (request.note or "")
            with pytest.raises(HeldIsAsked):
                later.release(entry.id, by=ANN)
            later.decide(request.id, Approve(), by=ANN, digest=request.digest)
            due(later)
            assert world.count("sent") == 1


@pytest.mark.row("C15")
def test_without_its_tool_a_person_decides(
    so: Signoff, world: World, database_url: str
) -> None:
    entry = parked(so)
    with office(database_url, None, ahead=SOON) as bare:
        assert bare.stranded() == [("clerk", "send", 1)]
        due(bare)
        assert bare.entry(entry.id).state is EntryState.HELD
    with office(database_url, None, ahead=timedelta(hours=3)) as bare:
        due(bare)
        (request,) = bare.thread("t1")
        assert bare.entry(entry.id).state is EntryState.HELD
        bare.decide(request.id, Approve(), by=ANN, digest=request.digest)
        due(bare)
        assert bare.entry(entry.id).state is EntryState.HELD
    due(so)
    assert so.entry(entry.id).state is EntryState.DONE
    assert world.count("sent") == 1


def test_sent_now_where_the_tool_is_not_it_runs_where_it_is(
    so: Signoff, world: World, database_url: str
) -> None:
    entry = parked(so)
    with office(database_url, None) as bare:
        assert bare.release(entry.id, by=ANN).state is EntryState.HELD
    due(so)
    assert so.entry(entry.id).state is EntryState.DONE
    assert world.count("sent") == 1


def test_a_pause_stops_it_and_its_window_stands_still(
    so: Signoff, world: World, database_url: str
) -> None:
    entry = parked(so)
    pause = so.pause(by=ANN, tool="send")
    with pytest.raises(Paused):
        so.release(entry.id, by=ANN)
    with office(database_url, world, ahead=SOON) as later:
        due(later)
        assert later.entry(entry.id).held_open == "paused"
        later.lift(pause.id, by=ANN)
        due(later)
        moved = later.entry(entry.id)
        assert (moved.state, moved.held_open) == (EntryState.HELD, None)
        assert entry.commit_at is not None
        assert moved.commit_at is not None
        assert moved.commit_at > entry.commit_at + 600_000_000
    with office(database_url, world, ahead=2 * SOON) as later:
        due(later)
        assert later.entry(entry.id).state is EntryState.DONE
    assert world.count("sent") == 1


@pytest.mark.row("C20")
def test_what_needs_a_held_one_is_not_sent_before_it(so: Signoff, world: World) -> None:
    first = parked(so, 1)
    second = so.begin_held(
        action("send", 2, to="p2"), needs=[(first, Dependence.DECLARED)]
    )
    assert second is not None
    with pytest.raises(HeldNeedsOthers) as raised:
        so.release(second.id, by=ANN)
    assert raised.value.needs == (first.id,)
    so.release(first.id, by=ANN)
    assert so.release(second.id, by=ANN).state is EntryState.DONE
    assert world.count("sent") == 2


def test_who_may_not_and_what_is_not_held(so: Signoff) -> None:
    entry = parked(so)
    for work in (so.release, so.cancel_held):
        with pytest.raises(NotAllowed):
            work(entry.id, by=BOT)
        with pytest.raises(NotAuthenticated):
            work(entry.id, by=None)  # type: ignore[arg-type]
        with pytest.raises(EntryNotFound):
            work("ent_x", by=ANN)
    so.cancel_held(entry.id, by=ANN, reason="no")
    for work in (so.release, so.cancel_held):
        with pytest.raises(HoldOver) as raised:
            work(entry.id, by=BOB)
        assert raised.value.by == "ann"


def test_undoers_cancel_and_reviewers_send(database_url: str, world: World) -> None:
    rule = hold("send", window="10m", undoers=["admin"], reviewers=["desk"])
    with office(database_url, world, rule) as so:
        entry = parked(so)
        cat = Principal(id="cat")
        with pytest.raises(NotAllowed):
            so.cancel_held(entry.id, by=ANN)
        with pytest.raises(NotAllowed):
            so.release(entry.id, by=cat)
        assert so.cancel_held(entry.id, by=BOB).state is EntryState.CANCELLED


def test_what_is_stored_must_be_what_was_queued(
    database_url: str, world: World
) -> None:
    with office(database_url, world) as so:
        entry = parked(so)
        assert isinstance(so.store, SqlStore)
        forged = t.entries.update().where(t.entries.c.id == entry.id)
        with so.store.engine.begin() as connection:
            connection.execute(forged.values(args='{"to":"mallory"}'))
        so.release(entry.id, by=ANN)
        assert so.entry(entry.id).state is EntryState.CANCELLED
        assert world.count("sent") == 0
        assert not so.audit().holds


def test_the_audit_sees_a_moved_moment(so: Signoff, database_url: str) -> None:
    entry = parked(so)
    assert isinstance(so.store, SqlStore)
    row = t.entries.update().where(t.entries.c.id == entry.id)
    with so.store.engine.begin() as connection:
        connection.execute(row.values(commit_at=1))
    assert "commit_at" in so.audit().breaks[0].problem
    with so.store.engine.begin() as connection:
        connection.execute(row.values(commit_at=entry.commit_at))


def test_a_stricter_rule_with_other_reviewers_counts(
    so: Signoff, world: World, database_url: str
) -> None:
    entry = parked(so)
    strict = review("send", reviewers=["admin"])
    with office(database_url, world, strict, ahead=SOON) as later:
        due(later)
        (request,) = later.thread("t1")
        with pytest.raises(NotAllowed):
            later.decide(request.id, Approve(), by=ANN, digest=request.digest)
        later.cancel_held(entry.id, by=ANN, reason="no need")
        assert later.get(request.id).status.value == "cancelled"
        due(later)
    assert world.count("sent") == 0


@pytest.mark.row("C6")
def test_what_people_refused_is_not_sent_by_anybody(
    so: Signoff, world: World, database_url: str
) -> None:
    entry = parked(so)
    with asked_late(database_url, world) as (later, request):
        later.decide(request.id, Reject(reason="no"), by=BOB, digest=request.digest)
        later.release(entry.id, by=ANN)  # before anybody has acted on the refusal
        ended = later.entry(entry.id)
        assert (ended.state, ended.undo_by) == (EntryState.CANCELLED, "bob")
    assert world.count("sent") == 0


def test_what_people_refused_is_asked_about_when_the_agent_tries_again(
    so: Signoff, world: World, database_url: str
) -> None:
    parked(so)
    with asked_late(database_url, world) as (later, request):
        later.decide(request.id, Reject(reason="no"), by=BOB, digest=request.digest)
        due(later)
        again = later.propose(action("send", 2, to="p1"), Asked())
        assert again.request is not None
        assert "bob" in (again.request.note or "")


def test_an_approval_of_something_else_is_asked_for_anew(
    so: Signoff, world: World, database_url: str
) -> None:
    entry = parked(so)
    with asked_late(database_url, world) as (later, request):
        later.decide(request.id, Approve(), by=BOB, digest=request.digest)
        forged = t.requests.update().where(t.requests.c.id == request.id)
        assert isinstance(later.store, SqlStore)
        with later.store.engine.begin() as connection:
            connection.execute(forged.values(digest="another"))
        due(later)
        asked = later.entry(entry.id).request_id
        assert asked != request.id
        assert "its approval isn't one of" in (later.get(asked or "").note or "")
        with later.store.engine.begin() as connection:
            connection.execute(forged.values(digest=request.digest))
    assert world.count("sent") == 0


def test_no_more_than_eight_are_sent_at_once(
    so: Signoff, world: World, database_url: str
) -> None:
    many, sending, go = 11, Semaphore(0), Event()

    def wait() -> None:
        sending.release()
        assert go.wait(30)

    for number in range(many):
        parked(so, number)
    with office(database_url, world, ahead=SOON, then=wait) as later:
        assert later.run_due() >= AT_ONCE
        for _ in range(AT_ONCE):
            assert sending.acquire(timeout=30)
        later.run_due()
        assert not sending.acquire(blocking=False)
        go.set()
        wait_until(lambda: later.run_due() >= 0 and world.count("sent") == many, "all")
        wait_until(lambda: all(_ended(later, one) for one in later.journal()), "ends")
