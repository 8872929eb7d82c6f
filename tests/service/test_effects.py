"""Effects: recorded before they are done, claimed once, fenced, honestly unknown."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace

import pytest

from signoff import Approve, Principal, Signoff, allow, deny, review
from signoff.domain.errors import (
    AttemptsExhausted,
    CannotSettle,
    DigestMismatch,
    EntryNotFound,
    NotAllowed,
)
from signoff.domain.journal import TRANSITIONS, Entry, EntryState
from signoff.domain.principals import PrincipalKind
from signoff.domain.rules import Verdict
from signoff.ports import Reading, Store
from signoff.service import propose
from signoff.service.propose import Asked
from signoff.testing import MovableClock
from tests.service.conftest import Opener
from tests.service.making import ANN, CAT, approved, ask, call, running, say
from tests.storage.test_undoing import ARROWS as WAYS_BACK
from tests.support import wait_until

Mover = Callable[[Signoff, Entry], object]


def now(so: Signoff, entry: Entry) -> Entry:
    found = so.entry_of(so.thread(entry.thread)[0])
    assert found is not None
    return found


def finish(move: str) -> Mover:
    return lambda so, entry: so.finish(entry, move, result=b"\0\xff", summary=move)


def settle(*, happened: bool) -> Mover:
    return lambda so, entry: so.settle(entry.id, happened=happened, by=ANN)


MOVES: dict[tuple[EntryState, str], Mover] = {
    (EntryState.PREPARED, "start"): lambda so, entry: so.begin_again(entry),
    (EntryState.RUNNING, "suspend"): finish("suspend"),
    (EntryState.RUNNING, "finish"): finish("finish"),
    (EntryState.RUNNING, "fail"): finish("fail"),
    (EntryState.RUNNING, "lose"): finish("lose"),
    (EntryState.FAILED, "retry"): lambda so, entry: so.begin_again(entry),
    (EntryState.UNKNOWN, "retry"): lambda so, entry: so.begin_again(entry),
    (EntryState.UNKNOWN, "settle_done"): settle(happened=True),
    (EntryState.UNKNOWN, "settle_failed"): settle(happened=False),
    (EntryState.UNKNOWN, "again"): lambda so, entry: so.settle(
        entry.id, again=True, by=ANN
    ),
}
WAY: dict[EntryState, Mover] = {
    EntryState.PREPARED: finish("suspend"),
    EntryState.RUNNING: lambda _so, _entry: None,
    EntryState.FAILED: finish("fail"),
    EntryState.UNKNOWN: finish("lose"),
}


def test_every_arrow_of_an_entry_is_tested() -> None:
    arrows = {(s, move) for s, moves in TRANSITIONS.items() for move in moves}
    assert arrows == set(MOVES) | set(WAYS_BACK)


@pytest.mark.parametrize(("state", "move"), MOVES)
def test_a_move_happens_once(
    open_signoff: Opener, state: EntryState, move: str
) -> None:
    so = open_signoff(review("pay", attempts=5, idempotent=True))
    entry = running(so)
    WAY[state](so, entry)
    before = now(so, entry)
    assert before.state is state
    assert MOVES[state, move](so, before)
    after = now(so, entry)
    assert after.state is TRANSITIONS[state][move]
    assert after.attempt == before.attempt + (move in {"retry", "again"})
    assert so.audit().holds
    if move in {"settle_done", "settle_failed", "again"}:
        with pytest.raises(CannotSettle):
            MOVES[state, move](so, before)
    else:
        assert not MOVES[state, move](so, before)  # the loser is told
    assert now(so, entry) == after


@pytest.mark.row("A3", "I5")
def test_an_approved_call_is_claimed_once(so: Signoff) -> None:
    request = approved(so)
    assert so.begin(request) is not None
    assert so.begin(request) is None
    entry = so.entry_of(request)
    assert entry is not None
    assert (entry.state, entry.attempt, entry.key) == (
        EntryState.RUNNING,
        1,
        request.action_id,
    )


@pytest.mark.row("I2")
@pytest.mark.parametrize(
    "change", [{"args": {"amount": 11}}, {"tool": "wire"}, {"user": "eve"}]
)
def test_what_was_not_approved_does_not_run(
    so: Signoff, change: dict[str, object]
) -> None:
    request = approved(so)
    with pytest.raises(DigestMismatch):
        so.begin(replace(request, **change))  # type: ignore[arg-type]
    assert so.entry_of(request) is None
    assert so.history(request.id)[-1].fact.kind == "mismatch"


def test_a_result_is_kept_byte_for_byte(so: Signoff) -> None:
    entry = running(so)
    result = bytes(range(256)) * 100
    assert so.finish(entry, "finish", result=result, summary="nul \0 half \ud800")
    kept = now(so, entry)
    assert kept.result == result
    assert kept.summary == "nul [U+0000] half [U+D800]"


def test_attempts_are_what_was_approved(open_signoff: Opener) -> None:
    so = open_signoff(review("pay", attempts=2))
    entry = running(so)
    so.finish(entry, "fail", result=None, summary="refused")
    second = so.begin_again(now(so, entry))
    assert second is not None
    assert second.attempt == 2
    so.finish(second, "fail", result=None, summary="refused")
    with pytest.raises(AttemptsExhausted, match="attempts="):
        so.begin_again(now(so, entry))


@pytest.mark.row("I5")
def test_an_unknown_outcome_is_not_retried(open_signoff: Opener) -> None:
    so = open_signoff(review("pay", attempts=3))
    entry = running(so)
    so.finish(entry, "lose", result=None, summary="timed out")
    with pytest.raises(AttemptsExhausted):
        so.begin_again(now(so, entry))
    assert so.begin_again(now(so, entry), raised=True) is not None


@pytest.mark.parametrize("state", [EntryState.RUNNING, EntryState.DONE])
def test_what_runs_or_is_done_is_not_claimed_again(
    open_signoff: Opener, state: EntryState
) -> None:
    so = open_signoff(review("pay", attempts=3, idempotent=True))
    entry = running(so)
    if state is EntryState.DONE:
        so.finish(entry, "finish", result=None, summary="")
    assert so.begin_again(now(so, entry), raised=True) is None


@pytest.mark.row("C3", "I5")
def test_a_silent_worker_leaves_an_unknown_outcome(
    open_signoff: Opener, clock: MovableClock
) -> None:
    so = open_signoff(lease="30s")
    entry = running(so)
    assert so.look_again(entry) == entry
    clock.advance("31s")
    lost = so.look_again(entry)
    assert lost.state is EntryState.UNKNOWN
    assert so.finish(entry, "finish", result=b"late", summary="late") is False
    facts = [event.fact for event in so.history(so.thread("thread-1")[0].id)]
    assert [fact.kind for fact in facts[-2:]] == ["lost", "late_result"]
    assert facts[-1].body["summary"] == "late"  # what people see who settle it
    assert now(so, entry) == lost
    with pytest.raises(AttemptsExhausted):
        so.begin_again(lost)
    assert so.settle(entry.id, happened=True, by=ANN).state is EntryState.DONE
    assert so.audit().holds


@pytest.mark.row("I5")
def test_a_worker_that_comes_back_is_fenced_off(open_signoff: Opener) -> None:
    so = open_signoff(review("pay", attempts=2))
    first = running(so)
    so.finish(first, "lose", result=None, summary="")
    second = so.begin_again(now(so, first), raised=True)
    assert second is not None
    assert so.finish(first, "finish", result=b"late", summary="late") is False
    assert now(so, first) == second
    assert so.finish(second, "finish", result=b"r", summary="") is True


def test_a_worker_that_lives_keeps_its_lease(open_signoff: Opener) -> None:
    so = open_signoff(lease="1s")
    entry = running(so)
    wait_until(lambda: now(so, entry).lease_until > entry.lease_until, "a beat")
    so.finish(entry, "finish", result=None, summary="")


def test_a_beat_is_for_its_own_attempt(open_signoff: Opener) -> None:
    so = open_signoff(review("pay", attempts=2))
    entry = running(so)
    so.finish(entry, "fail", result=None, summary="")
    second = so.begin_again(now(so, entry))
    assert second is not None
    so.store.beat([(entry.id, 1)], 1_000_000_000)
    assert now(so, entry).lease_until == second.lease_until
    so.store.beat([(entry.id, 2)], 1_000_000_000)
    assert now(so, entry).lease_until > second.lease_until


@pytest.mark.parametrize("happened", [True, False])
def test_a_person_settles_what_is_unknown(so: Signoff, *, happened: bool) -> None:
    entry = running(so)
    so.finish(entry, "lose", result=None, summary="")
    woken = so.wakeups()[0]
    so.done_waking(woken)
    settled = so.settle(entry.id, happened=happened, note="I called the bank", by=CAT)
    assert settled.state is (EntryState.DONE if happened else EntryState.FAILED)
    assert settled.summary == "I called the bank"
    assert [w.thread for w in so.wakeups("clerk")] == ["thread-1"]
    assert so.audit().holds


def test_only_those_who_decide_settle(open_signoff: Opener) -> None:
    so = open_signoff(review("pay", reviewers=["finance"]))
    entry = running(so)
    so.finish(entry, "lose", result=None, summary="")
    with pytest.raises(NotAllowed, match="decided by: finance"):
        so.settle(entry.id, happened=False, by=CAT)
    robot = Principal(id="clerk", kind=PrincipalKind.AGENT)
    with pytest.raises(NotAllowed, match="by people"):
        so.settle(entry.id, happened=False, by=robot)
    with pytest.raises(EntryNotFound):
        so.settle("ent_unknown", happened=False, by=ANN)


@pytest.mark.row("I3")
def test_the_verdict_is_recorded_once(open_signoff: Opener) -> None:
    first = open_signoff(review("pay"))
    request = ask(first)
    lax = open_signoff(allow("pay"))
    again = lax.propose(call(), Asked())
    assert (again.verdict, again.request) == (Verdict.REVIEW, request)
    say(lax, request, Approve(), ANN)
    denied = open_signoff(deny("*"))
    assert denied.propose(call(), Asked()).request == denied.get(request.id)


def test_a_denied_call_is_recorded_and_asks_nobody(open_signoff: Opener) -> None:
    so = open_signoff(deny("pay", reason="not today"))
    for _ in range(2):
        standing = so.propose(call(), Asked())
        assert standing.verdict is Verdict.DENY
        assert standing.request is None
    assert so.count() == 0
    assert so.standing(call().id) is not None
    assert so.audit().events == 1


def test_a_wakeup_that_came_since_is_kept(so: Signoff) -> None:
    first, second = ask(so), ask(so, call(call_id="2"))
    say(so, first, Approve(), ANN)
    seen = so.wakeups()
    say(so, second, Approve(), ANN)
    so.done_waking(seen[0])
    (kept,) = so.wakeups()
    assert kept.version > seen[0].version
    so.done_waking(kept)
    assert so.wakeups() == []
    third = ask(so, call(call_id="3"))
    say(so, third, Approve(), ANN)
    so.done_waking(kept)  # by a runner that holds an old one
    assert len(so.wakeups()) == 1


def test_the_end_of_a_call_tells_everybody_who_looks(open_signoff: Opener) -> None:
    """`changed` grows and the bell rings when a call starts and when it ends."""
    so = open_signoff(review("pay"))
    request = approved(so)
    before, heard = so.changed(), so.bell.rings
    entry = so.begin(request)
    assert entry is not None
    started, rung = so.changed(), so.bell.rings
    so.finish(entry, "finish", result=b"", summary="paid")
    assert before < started < so.changed()
    assert heard < rung < so.bell.rings


class AskedMeanwhile:
    """A real store in which another worker asks between two reads."""

    def __init__(self, store: Store, meanwhile: Callable[[], object]) -> None:
        self._store, self._meanwhile = store, meanwhile

    @contextmanager
    def reading(self) -> Iterator["AskedMeanwhile.Reading"]:
        with self._store.reading() as reading:
            yield self.Reading(reading, self._meanwhile)

    class Reading:
        def __init__(self, real: Reading, meanwhile: Callable[[], object]) -> None:
            self.entry, self.request_of = real.entry, real.request_of
            self._real, self._meanwhile = real, meanwhile

        def ruled(self, action_id: str) -> str | None:
            self._meanwhile()
            return self._real.ruled(action_id)


def test_a_standing_with_a_question_has_its_request(so: Signoff) -> None:
    store = AskedMeanwhile(so.store, lambda: ask(so))
    found = propose.standing(store, call().id)  # type: ignore[arg-type]  # it only reads
    assert found is not None
    assert found.request == so.get(so.pending().requests[0].id)
