"""Pauses: who may, what they stop, and that deadlines move by exactly that time."""

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as some
from sqlalchemy import create_engine, text

from signoff import Approve, Edit, Principal, Signoff, Status, review
from signoff.domain.errors import (
    AlreadyDecided,
    AlreadyLifted,
    InvalidSetting,
    NotAllowed,
    NotAuthenticated,
    Paused,
    PauseNotFound,
    PayloadRefused,
)
from signoff.domain.pauses import Pause, moved, union
from signoff.domain.principals import PrincipalKind
from signoff.service import pauses as moves
from signoff.storage.engine import read_url
from signoff.testing import MovableClock
from tests.service.conftest import Opener
from tests.service.making import ANN, BOB, approved, ask, call, running, say, tool
from tests.support import wait_until

ROBOT = Principal(id="robot", kind=PrincipalKind.AGENT)
MONITOR = Principal(id="monitor", kind=PrincipalKind.SERVICE)
HOUR = 3_600_000_000
SCOPES = {
    "everything": {},
    "agent": {"agent": "clerk"},
    "thread": {"thread": "thread-1"},
    "tool": {"tool": "pay"},
    "glob": {"tool": "p?y*"},
    "all three": {"agent": "clerk", "thread": "thread-1", "tool": "*"},
}
OTHERS = {
    "agent": {"agent": "Clerk"},
    "thread": {"thread": "thread-10"},
    "tool": {"tool": "Pay"},
    "glob": {"tool": "pay?"},
    "one of three": {"agent": "clerk", "thread": "thread-2"},
}


def test_people_and_services_pause_and_people_lift(so: Signoff) -> None:
    with pytest.raises(NotAllowed, match="people and services"):
        so.pause(by=ROBOT)
    with pytest.raises(NotAuthenticated):
        so.pause(by=None)  # type: ignore[arg-type]  # what a caller may do all the same
    made = so.pause(by=MONITOR, reason="strange")
    for nobody in (ROBOT, MONITOR):
        with pytest.raises(NotAllowed, match="lifted by people"):
            so.lift(made.id, by=nobody)
    assert so.pauses() == [made]
    lifted = so.lift(made.id, by=ANN)
    assert (lifted.lifted_by, lifted.active) == ("ann", False)
    assert so.pauses() == []
    assert so.pauses(active=False) == [lifted]
    with pytest.raises(AlreadyLifted, match="already lifted by ann"):
        so.lift(made.id, by=BOB)
    with pytest.raises(PauseNotFound, match="signoff pauses"):
        so.lift("pau_x", by=BOB)
    with so.store.reading() as reading:
        told = [
            (event.fact.kind, event.fact.actor)
            for event in reading.events("signoff:pauses")
        ]
    assert told == [("paused", "monitor"), ("lifted", "ann")]
    assert so.audit().holds


@pytest.mark.parametrize("name", ["agent", "thread", "tool"])
def test_names_that_match_nothing_are_refused(so: Signoff, name: str) -> None:
    with pytest.raises(InvalidSetting, match="is empty"):
        so.pause(by=ANN, **{name: " "})
    with pytest.raises(PayloadRefused):
        so.pause(by=ANN, **{name: "nul \0"})
    assert so.pauses() == []


@pytest.mark.parametrize("scope", SCOPES)
def test_an_approved_call_in_scope_does_not_start(so: Signoff, scope: str) -> None:
    request = approved(so)
    made = so.pause(by=ANN, **SCOPES[scope])
    with pytest.raises(Paused, match=made.id):
        so.begin(request)
    with pytest.raises(Paused):
        so.begin_allowed(call())
    assert so.pauses_on(call()) == (made,)
    assert so.journal() == []
    so.lift(made.id, by=ANN)
    assert so.pauses_on(call()) == ()
    assert so.begin(request) is not None
    assert so.begin(request) is None
    assert so.audit().holds


@pytest.mark.parametrize("scope", OTHERS)
def test_a_call_out_of_scope_goes_on(so: Signoff, scope: str) -> None:
    request = ask(so)
    so.pause(by=ANN, **OTHERS[scope])
    assert so.get(request.id).frozen_at is None
    assert so.begin(say(so, request, Approve(), ANN)) is not None


def test_an_edit_leads_into_a_pause_and_out_of_it(
    open_signoff: Opener, clock: MovableClock
) -> None:
    so = open_signoff(review("*", expires_in="1h", approvals=2))
    so.know_tools([tool("pay", amount="number"), tool("wire", amount="number")])
    into, out = ask(so), ask(so, call("wire", call_id="2"))
    made = so.pause(by=ANN, tool="wire")
    clock.advance("10m")
    into = say(so, into, Edit(args={"amount": 1}, tool="wire"), ANN)
    out = say(so, out, Edit(args={"amount": 1}, tool="pay"), ANN)
    assert (into.status, out.status) == (Status.PENDING, Status.PENDING)
    assert into.frozen_at is not None
    assert out.frozen_at is None
    assert so.audit().holds
    clock.advance("5m")
    lifted = so.lift(made.id, by=ANN)
    assert lifted.lifted_at is not None
    ends = so.get(into.id).expires_at
    assert ends - into.expires_at == lifted.lifted_at - into.frozen_at
    assert so.get(out.id).expires_at == out.expires_at
    assert so.audit().holds, so.audit().breaks


@pytest.mark.row("I11")
def test_a_deadline_moves_by_exactly_the_time_that_it_stood_still(
    open_signoff: Opener, clock: MovableClock
) -> None:
    so = open_signoff(review("pay", expires_in="1h"))
    request = ask(so)
    made = so.pause(by=ANN)
    clock.advance("3h")
    assert so.expire_due() == 0
    frozen = so.get(request.id)
    assert (frozen.status, frozen.frozen_at) == (Status.PENDING, made.paused_at)
    late = ask(so, call(call_id="2"))  # asked meanwhile: it stands still from the start
    assert late.frozen_at == late.asked_at
    assert so.audit().holds
    lifted = so.lift(made.id, by=BOB)
    assert lifted.lifted_at is not None
    stood = lifted.lifted_at - made.paused_at
    assert stood >= 3 * HOUR
    after = so.get(request.id)
    assert (after.expires_at, after.frozen_at) == (request.expires_at + stood, None)
    moved_too = so.get(late.id).expires_at - late.expires_at
    assert moved_too == lifted.lifted_at - late.asked_at
    assert so.audit().holds, so.audit().breaks
    clock.advance("61m")
    assert so.expire_due() == 2
    assert so.audit().holds, so.audit().breaks


@pytest.mark.row("I11")
def test_what_is_paused_can_be_decided_after_its_deadline(
    open_signoff: Opener, clock: MovableClock
) -> None:
    so = open_signoff(review("pay", expires_in="1h", valid_for="10m"))
    request = ask(so)
    before = approved(so, call(call_id="2"))
    made = so.pause(by=ANN)
    clock.advance("3h")
    during = say(so, request, Approve(), BOB)
    assert during.status is Status.APPROVED
    clock.advance("1h")
    assert so.audit().holds, so.audit().breaks
    lifted = so.lift(made.id, by=ANN)
    for one, start in ((before, made.paused_at), (during, during.settled_at)):
        after = so.get(one.id)
        assert after.frozen_at is None
        assert one.valid_until is not None
        assert lifted.lifted_at is not None
        assert start is not None
        assert after.valid_until == one.valid_until + lifted.lifted_at - start
        assert so.begin(after) is not None
    assert so.audit().holds, so.audit().breaks


def test_what_was_overdue_when_paused_expires_all_the_same(
    open_signoff: Opener, clock: MovableClock
) -> None:
    so = open_signoff(review("pay", expires_in="1h"))
    request = ask(so)
    clock.advance("2h")
    made = so.pause(by=ANN)
    assert so.audit().holds, so.audit().breaks
    with pytest.raises(AlreadyDecided, match="already expired"):
        say(so, request, Approve(), BOB)
    so.lift(made.id, by=ANN)
    assert so.get(request.id).status is Status.EXPIRED
    assert so.audit().holds


def test_one_that_the_pause_missed_is_frozen_instead_of_expired(
    open_signoff: Opener, clock: MovableClock, database_url: str
) -> None:
    so = open_signoff(review("pay", expires_in="1h"))
    swept, decided, lifted_first = (ask(so, call(call_id=n)) for n in "123")
    made = so.pause(by=ANN)
    tamper(database_url, "UPDATE requests SET frozen_at = NULL")
    clock.advance("2h")
    assert say(so, decided, Approve(), BOB).status is Status.APPROVED
    with so.store.reading() as reading:
        due = {request_id for _, request_id in reading.due(10)}
    assert due == {swept.id, lifted_first.id}
    assert so.expire_due() == 0
    assert so.get(swept.id).frozen_at == made.paused_at
    tamper(database_url, "UPDATE requests SET frozen_at = NULL")
    lifted = so.lift(made.id, by=ANN)
    assert lifted.lifted_at is not None
    for one in (swept, lifted_first):
        stood = so.get(one.id).expires_at - one.expires_at
        assert stood == lifted.lifted_at - made.paused_at
    assert so.audit().holds, so.audit().breaks


def test_overlapping_pauses_count_once(
    open_signoff: Opener, clock: MovableClock
) -> None:
    so = open_signoff(review("pay", expires_in="1h"))
    request = ask(so)
    first = so.pause(by=ANN, tool="pay")
    clock.advance("10m")
    second = so.pause(by=BOB, agent="clerk")
    clock.advance("10m")
    so.lift(first.id, by=ANN)
    between = so.get(request.id)
    assert (between.expires_at, between.frozen_at) == (
        request.expires_at,
        first.paused_at,
    )
    clock.advance("10m")
    lifted = so.lift(second.id, by=ANN)
    assert lifted.lifted_at is not None
    after = so.get(request.id)
    assert after.expires_at == request.expires_at + lifted.lifted_at - first.paused_at
    assert so.audit().holds, so.audit().breaks


STEPS = some.lists(
    some.tuples(
        some.sampled_from(["pause pay", "pause wire", "pause all", "lift", "ask"]),
        some.integers(1, 40),
    ),
    min_size=1,
    max_size=14,
)


@settings(
    max_examples=25,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(steps=STEPS, number=some.integers())
def test_any_sequence_of_pauses_moves_deadlines_by_their_union(
    open_signoff: Opener, clock: MovableClock, steps: list[tuple[str, int]], number: int
) -> None:
    so = open_signoff(review("*", expires_in="30m"))
    for made in so.pauses():
        so.lift(made.id, by=ANN)
    asked = []
    for index, (step, minutes) in enumerate(steps):
        kind, _, name = step.partition(" ")
        active = so.pauses()
        if kind == "pause":
            so.pause(by=ANN, tool={"all": None, "pay": "p*"}.get(name, name))
        elif kind == "lift" and active != []:
            so.lift(active[index % len(active)].id, by=BOB)
        elif kind == "ask":
            thread = f"{number}-{len(steps)}-{clock.offset}-{index}"
            asked += [
                ask(so, call(t, thread=thread, call_id=t)) for t in ("pay", "wire")
            ]
        clock.offset += timedelta(minutes=minutes)
        so.expire_due()
    history = so.pauses(active=False)
    for request in asked:
        spans = [
            (one.paused_at, one.lifted_at)
            for one in history
            if one.covers("clerk", request.thread, request.tool)
        ]
        now = so.get(request.id)
        wanted = moved(request.expires_at, request.asked_at, spans)
        if now.status is Status.PENDING:
            assert (now.expires_at, now.frozen_at) == wanted
        else:
            assert wanted[1] is None
            assert now.settled_at is not None
            assert wanted[0] <= now.settled_at
    assert so.audit().holds, so.audit().breaks


SPANS = some.lists(
    some.tuples(
        some.integers(0, 60), some.one_of(some.none(), some.integers(0, 30))
    ).map(lambda s: (s[0], None if s[1] is None else s[0] + s[1])),
    max_size=6,
)


@settings(max_examples=300)
@given(spans=SPANS, since=some.integers(0, 60), left=some.integers(1, 60))
def test_a_deadline_counts_the_moments_that_no_pause_covers(
    spans: list[tuple[int, int | None]], since: int, left: int
) -> None:
    """Tick by tick: the same as an hourglass that somebody lays down and puts up."""
    deadline, frozen = moved(since + left, since, spans)
    at, sand = since, left
    while sand > 0 and at < 200:
        stands = any(a <= at and (b is None or at < b) for a, b in spans)
        sand -= not stands
        at += 1
    if sand == 0:
        assert (deadline, frozen) == (at, None)
    else:
        assert frozen is not None
        assert deadline - frozen == sand
    assert all(
        a[1] is not None and a[1] < b[0]
        for a, b in zip(union(spans), union(spans)[1:], strict=False)
    )


def test_no_effect_starts_after_the_pause_was_set(so: Signoff) -> None:
    """A claim comes before a pause or after it, never beside it."""
    requests = [approved(so, call(call_id=str(n), thread=f"t{n}")) for n in range(24)]
    started: list[int] = []

    def claim(request: object) -> bool:
        try:
            return so.begin(request) is not None  # type: ignore[arg-type]  # a request
        except Paused:
            return False

    def stop() -> Pause:
        wait_until(lambda: len(so.journal()) > 0, "some calls run")
        made = so.pause(by=ANN)
        started.append(len(so.journal(limit=1000)))
        return made

    with ThreadPoolExecutor(6) as pool:
        stopping = pool.submit(stop)
        ran = sum(pool.map(claim, requests))
        stopping.result()
    assert started == [ran]
    assert so.audit().holds


@pytest.mark.row("I12")
def test_lifting_wakes_the_threads_that_came_to_wait_and_no_others(
    so: Signoff,
) -> None:
    everything, pay = so.pause(by=ANN, agent="clerk"), so.pause(by=ANN, tool="pay")
    waits = {name: call(thread=name, call_id=name) for name in ("a", "b")}
    other = call("look", thread="c")
    assert so.stall(waits["a"]) == (everything, pay)
    assert so.stall(waits["a"]) == (everything, pay)
    assert so.stall(waits["b"]) == (everything, pay)
    assert so.stall(other) == (everything,)
    assert so.stalled() == 3
    so.lift(everything.id, by=ANN)
    assert [wakeup.thread for wakeup in so.wakeups("clerk")] == ["c"]
    so.lift(pay.id, by=ANN)
    assert {wakeup.thread for wakeup in so.wakeups("clerk")} == {"a", "b", "c"}
    assert so.stalled() == 0
    with so.store.reading() as reading:
        told = [(e.fact.kind, e.fact.subject) for e in reading.events("a")]
    assert told == [("stalled", waits["a"].id), ("freed", waits["a"].id)]
    assert so.stall(other) == ()
    assert so.audit().holds


def test_a_sweep_writes_the_wake_ups_that_a_crash_left_out(so: Signoff) -> None:
    made = so.pause(by=ANN)
    for name in "abc":
        so.stall(call(thread=name))
    moves.lift(so.store, made.id, by=ANN)  # and the process dies here
    assert so.wakeups() == []
    assert so.stalled() == 3
    so.run_due()
    assert {wakeup.thread for wakeup in so.wakeups()} == set("abc")
    assert so.stalled() == 0
    so.run_due()
    assert so.audit().holds


def test_a_call_that_runs_is_not_broken_into(so: Signoff) -> None:
    entry = running(so)
    so.pause(by=ANN)
    assert so.finish(entry, "finish", result=b"", summary="paid")
    assert so.audit().holds


def test_what_is_known_here_is_known_at_once_and_elsewhere_within_a_second(
    open_signoff: Opener,
) -> None:
    here, there = open_signoff(), open_signoff()
    assert here.known_pauses(call()) is None  # nobody looked yet
    assert here.pauses_on(call()) == there.pauses_on(call()) == ()
    made = here.pause(by=ANN)
    assert here.known_pauses(call()) is None  # so it looks
    assert here.pauses_on(call()) == (made,)
    wait_until(lambda: there.known_pauses(call()) == (made,), "told there", timeout=5)
    there.lift(made.id, by=ANN)
    assert there.known_pauses(call()) != (made,)


def tamper(database_url: str, statement: str) -> None:
    engine = create_engine(read_url(database_url))
    with engine.begin() as connection:
        connection.execute(text(statement))
    engine.dispose()


TAMPERINGS = {
    "deadline": ("UPDATE requests SET expires_at = expires_at + 1", "deadline"),
    "validity": ("UPDATE requests SET valid_until = valid_until + 1", "deadline"),
    "frozen": ("UPDATE requests SET frozen_at = 5", "deadline"),
    "lifted": (
        "UPDATE pauses SET lifted_by = 'ann', lifted_at = 7 WHERE lifted_at IS NULL",
        "pause",
    ),
    "unlifted": ("UPDATE pauses SET lifted_by = NULL, lifted_at = NULL", "pause"),
    "scope": ("UPDATE pauses SET agent = 'x'", "pause"),
    "gone": ("DELETE FROM pauses", "pause"),
    "made up": (
        """INSERT INTO pauses
        VALUES ('pau_f', NULL, NULL, NULL, NULL, 'x', 5, NULL, NULL, 5)""",
        "pause",
    ),
}


@pytest.mark.row("I13", "D1")
@pytest.mark.parametrize("tampering", TAMPERINGS)
def test_an_audit_finds_what_was_done_to_pauses_and_deadlines(
    open_signoff: Opener, clock: MovableClock, database_url: str, tampering: str
) -> None:
    so = open_signoff(review("pay", valid_for="10m"))
    approved(so, call(call_id="0"))
    ask(so)
    made = so.pause(by=ANN)
    clock.advance("5m")
    so.lift(made.id, by=BOB)
    so.pause(by=ANN, tool="look")
    assert so.audit().holds, so.audit().breaks
    statement, problem = TAMPERINGS[tampering]
    tamper(database_url, statement)
    found = so.audit()
    assert not found.holds
    assert problem in " ".join(found_break.problem for found_break in found.breaks)
