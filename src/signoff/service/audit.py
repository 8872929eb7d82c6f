"""Checks the ledger, and the tables against the ledger."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, Final

from signoff.domain.actions import digest
from signoff.domain.errors import SignoffError
from signoff.domain.journal import EntryState
from signoff.domain.ledger import Audit, Break, Event, verify
from signoff.domain.requests import Request, Status, Terms, due_next, shown
from signoff.ports import Reading, Store

__all__ = ["Audit", "audit"]


def audit(store: Store) -> Audit:
    """Check every thread's chain against its head, and the tables against the chain."""
    threads, total, breaks = 0, 0, list[Break]()
    with store.snapshot() as reading:
        for thread, seq, head in reading.heads():
            events = reading.events(thread)
            threads, total = threads + 1, total + len(events)
            if broken := verify(thread, events, (seq, head)):
                breaks.append(broken)
            breaks.extend(_unreadable_too(reading, thread, events))
    return Audit(threads=threads, events=total, breaks=tuple(breaks))


def _unreadable_too(
    reading: Reading, thread: str, events: Sequence[Event]
) -> list[Break]:
    try:
        return list(_contradictions(reading, thread, events))
    except (KeyError, TypeError, ValueError, SignoffError) as error:
        shown_error = f"{type(error).__name__}: {error}"
        problem = f"a row of this thread can't be read: {shown_error}"
        return [Break(thread=thread, seq=0, problem=problem)]


def _contradictions(
    reading: Reading, thread: str, events: Sequence[Event]
) -> Iterator[Break]:
    rows = {request.id: request for request in reading.requests_of_thread(thread)}
    told = _told(events)
    for request_id, last in told.items():
        if problem := _request_problem(rows.get(request_id), last):
            yield Break(thread=thread, seq=last.seq, problem=f"{request_id}: {problem}")
    for request_id in rows.keys() - told.keys():
        problem = f"{request_id} is in the table, but the ledger never saw it asked"
        yield Break(thread=thread, seq=0, problem=problem)
    yield from _entry_contradictions(reading, thread, events)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Told:
    """What the ledger says of a request, up to its last event."""

    seq: int
    status: Status
    digest: str
    terms: object
    risk: str | None = None
    timeline: object = ()
    level: int = 0
    expires_at: int = 0
    by: str | None = None


def _told(events: Iterable[Event]) -> Mapping[str, _Told]:
    told: dict[str, _Told] = {}
    for event in events:
        fact, subject = event.fact, event.fact.subject
        if fact.kind == "asked":
            told[subject] = _asked(event)
        elif fact.kind == "edited":
            told[subject] = _edited(event, told[subject])
        elif fact.kind in _STEPS and subject in told:
            level, terms = fact.body["level"], fact.body["terms"]
            told[subject] = replace(
                told[subject], seq=event.seq, level=level, terms=_terms(terms)
            )
        elif fact.kind in _SETTLED and subject in told:
            status = Status(fact.kind)
            told[subject] = replace(
                told[subject], seq=event.seq, status=status, by=fact.actor
            )
    return told


def _asked(event: Event) -> _Told:
    body = event.fact.body
    return _Told(
        seq=event.seq,
        status=Status.PENDING,
        digest=body["digest"],
        terms=_terms(body["terms"]),
        risk=body.get("risk"),
        timeline=body.get("timeline", []),
        expires_at=body["expires_at"],
    )


def _edited(event: Event, asked: _Told) -> _Told:
    body = event.fact.body
    return replace(
        asked,
        seq=event.seq,
        digest=body["now"]["digest"],
        terms=_terms(body["terms"]),
        risk=body.get("risk"),
        timeline=body.get("timeline", []),
    )


def _terms(told: Mapping[str, object]) -> object:
    """The terms as they are kept now; an older ledger doesn't say all of them."""
    return {**_plain(asdict(Terms())), **told}


def _plain(value: object) -> Any:  # noqa: ANN401 - any JSON value
    return json.loads(json.dumps(value))


def _request_problem(row: Request | None, told: _Told) -> str | None:
    if row is None:
        return f"the ledger has it as {told.status.value}, the table lost it"
    if (row.status, row.settled_by) != (told.status, told.by):
        said = f"{told.status.value} by {told.by}"
        return (
            f"the table says {row.status.value} by {row.settled_by}, the ledger {said}"
        )
    if row.digest != told.digest or digest(shown(row)) != told.digest:
        return "the table shows something else than what the ledger saw asked"
    if _plain(asdict(row.terms)) != told.terms:
        return "the table has other terms than the ledger"
    if told.risk not in {None, row.risk}:
        return f"the table says {row.risk} risk, the ledger {told.risk}"
    return _clock_problem(row, told)


def _clock_problem(row: Request, told: _Told) -> str | None:
    steps = _plain([asdict(step) for step in row.timeline])
    planned = (row.level, row.expires_at - row.shift, steps)
    if planned != (told.level, told.expires_at, told.timeline):
        return "the table has another deadline, or other steps, than the ledger"
    if row.status is Status.PENDING and row.due_at != due_next(row):
        return "the table has the next step at another time than its own plan"
    return None


def _entry_contradictions(
    reading: Reading, thread: str, events: Iterable[Event]
) -> Iterator[Break]:
    told: dict[str, tuple[int, EntryState]] = {}
    for event in events:
        state = _state_after(event)
        if state is not None:
            told[event.fact.subject] = (event.seq, state)
    rows = {e.id: e.state for e in reading.entries_of_thread(thread)}
    for entry in sorted(rows.keys() | told.keys()):
        seq, state = told.get(entry, (0, None))
        if rows.get(entry) != state:
            known, said = rows.get(entry, "nothing"), state or "nothing"
            problem = f"{entry}: the table says {known}, the ledger {said}"
            yield Break(thread=thread, seq=seq, problem=problem)


def _state_after(event: Event) -> EntryState | None:
    if event.fact.kind == "settled":
        happened = event.fact.body["happened"]
        return EntryState.DONE if happened else EntryState.FAILED
    return _STATES.get(event.fact.kind) if _about_entry(event) else None


def _about_entry(event: Event) -> bool:
    return event.fact.subject.startswith("ent_")


_STEPS: Final = frozenset({"reminded", "escalated"})
_SETTLED: Final = frozenset(s.value for s in Status if s is not Status.PENDING)
_STATES: Final = {
    "started": EntryState.RUNNING,
    "suspended": EntryState.PREPARED,
    "finished": EntryState.DONE,
    "failed": EntryState.FAILED,
    "lost": EntryState.UNKNOWN,
}
