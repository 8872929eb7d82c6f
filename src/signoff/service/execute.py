"""Effects: recorded before they are done, claimed by one, fenced by attempt."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from signoff.domain.actions import Action, digest
from signoff.domain.errors import (
    AttemptsExhausted,
    DigestMismatch,
)
from signoff.domain.journal import TRANSITIONS, Entry, EntryState, may_retry
from signoff.domain.ledger import Fact
from signoff.domain.requests import Request, shown
from signoff.domain.text import storable
from signoff.domain.undoing import Dependency
from signoff.domain.voting import is_covered
from signoff.ports import Store
from signoff.service.propose import allowed_entry, check_action, running_entry
from signoff.service.standstill import check_unpaused

SUMMARY_LENGTH: Final = 2000


@dataclass(frozen=True, slots=True, kw_only=True)
class Worker:
    """Who runs effects in this process, and for how long it may stay silent.

    Attributes:
        name: Host and process, for people to read.
        lease: Microseconds after which a silent worker is taken for dead.
    """

    name: str
    lease: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Made:
    """An approved call as it will be journaled, if not as a plain one.

    Attributes:
        way: What the ledger keeps of its way back.
        needs: What it depends on.
    """

    entry: Entry
    way: Mapping[str, Any]
    needs: Sequence[Dependency]


def begin(
    store: Store,
    request: Request,
    worker: Worker,
    *,
    probed: bool = False,
    made: Made | None = None,
) -> Entry | None:
    """Claim an approved call. None means that somebody else has it, or had it.

    With `probed` its tool has a probe, for when its outcome is unknown; with `made` it
    can be taken back, and the state before it was read.

    Raises:
        DigestMismatch: What is stored isn't what was approved; nothing runs.
        Paused: A pause covers it; it stays approved.
    """
    if digest(shown(request)) != request.digest:
        _record_mismatch(store, request)
        raise DigestMismatch(request.id, request.digest)
    with store.writing(request.thread) as tx:
        asked = str(request.proposed["tool"])
        # Votes only change under the thread's lock, which this transaction holds.
        active, votes = tx.pauses_and_votes(request.id)
        check_unpaused(active, request.agent, request.thread, request.tool, asked=asked)
        if not is_covered(request, votes):
            return None
        entry = running_entry(
            request,
            worker=worker.name,
            now=tx.now(),
            lease=worker.lease,
            seq=tx.place(),
        )
        if made is not None:
            entry = _placed(made.entry, entry)
        elif probed:
            entry = replace(entry, probe_at=0)
        way = {} if made is None else made.way
        started = entry_fact("started", entry, {"digest": request.digest, **way})
        if not tx.add_entry(entry, request=request, told=started):
            return None
        if made is not None:
            tx.add_dependencies(made.needs)
        return entry


def _placed(made: Entry, now: Entry) -> Entry:
    return replace(
        made, started_at=now.started_at, lease_until=now.lease_until, seq=now.seq
    )


def begin_allowed(store: Store, action: Action, worker: Worker) -> Entry | None:
    """Claim a call that needs no approval but may be re-executed by its neighbour.

    After a crash it runs again without a question, as it would without signoff.

    Raises:
        Paused: A pause covers it.
    """
    check_action(action)
    context = action.context
    with store.writing(context.thread) as tx:
        check_unpaused(tx.pauses(), context.agent, context.thread, action.tool)
        entry = allowed_entry(
            action,
            worker=worker.name,
            now=tx.now(),
            lease=worker.lease,
            seq=tx.place(),
        )
        started = entry_fact("started", entry, {})
        claimed = tx.add_entry(entry, request=None, told=started)
        return entry if claimed else None


def begin_again(
    store: Store, entry: Entry, worker: Worker, *, raised: bool = False
) -> Entry | None:
    """Claim another attempt, or go on with a suspended one; None if somebody else has.

    With `raised` the caller saw the last attempt raise and tries again on purpose; a
    pause doesn't break into that, since the call has begun.

    Raises:
        AttemptsExhausted: The approval doesn't cover another attempt.
        Paused: A pause covers it.
    """
    move = "start" if entry.state is EntryState.PREPARED else "retry"
    if move not in TRANSITIONS[entry.state]:
        return None
    covered = entry.attempt < entry.attempts if raised else may_retry(entry)
    if move == "retry" and not covered:
        raise AttemptsExhausted(entry.id, entry.attempts)
    with store.writing(entry.thread) as tx:
        if not raised:
            request = tx.request_of(entry.action_id)
            agent = entry.agent if request is None else request.agent
            check_unpaused(tx.pauses(), agent, entry.thread, entry.tool)
        if not tx.restart_entry(entry, move, worker=worker.name, lease=worker.lease):
            return None
        again = tx.entry(entry.id) or entry
        tx.record(entry_fact("started", again, {"attempt": again.attempt}))
        return again


def finish(
    store: Store, entry: Entry, move: str, *, result: bytes | None, summary: str
) -> bool:
    """Record how an attempt ended. False: a later attempt has the entry now (fenced).

    `move` is `finish` (it happened), `fail` (known not applied), `lose` (unknown) or
    `suspend` (the tool itself waits for a person).
    """
    summary = storable(summary)[:SUMMARY_LENGTH]
    body = {"attempt": entry.attempt, "summary": summary}
    ended = entry_fact(KINDS[move], entry, body)
    with store.writing(entry.thread) as tx:
        moved = tx.move_entry(entry, move, result=result, summary=summary, told=ended)
        if not moved:
            tx.record(entry_fact("late_result", entry, body))
        return moved


def lose_lapsed(store: Store, entry: Entry) -> Entry:
    """If a running entry's worker went silent, its outcome is unknown. As it is now."""
    with store.reading() as reading:
        current = reading.entry(entry.id) or entry
        if current.state is not EntryState.RUNNING:
            return current
        if current.lease_until > reading.now():
            return current
    with store.writing(entry.thread) as tx:
        if tx.move_entry(entry, "lose", summary=_LOST, lapsed=True):
            body = {"attempt": entry.attempt, "worker": entry.worker, "summary": _LOST}
            tx.record(entry_fact("lost", entry, body))
        return tx.entry(entry.id) or entry


KINDS: Final = {
    "finish": "finished",
    "fail": "failed",
    "lose": "lost",
    "suspend": "suspended",
}
_LOST: Final = "the worker went silent before it recorded a result"


def entry_fact(kind: str, entry: Entry, body: dict[str, Any]) -> Fact:
    about = {"action": entry.action_id, "request": entry.request_id, **body}
    return Fact(kind=kind, subject=entry.id, actor=entry.worker, body=about)


def _record_mismatch(store: Store, request: Request) -> None:
    with store.writing(request.thread) as tx:
        body = {"stored": digest(shown(request)), "approved": request.digest}
        tx.record(Fact(kind="mismatch", subject=request.id, body=body))
