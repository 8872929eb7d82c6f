"""Checks the ledger, and the tables against the ledger."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Final

from signoff.domain.actions import digest
from signoff.domain.errors import SignoffError
from signoff.domain.ledger import Audit, Break, Event, verify
from signoff.domain.pauses import PAUSES_CHAIN, Pause
from signoff.domain.requests import (
    Request,
    Status,
    Terms,
    due_next,
    read_terms,
    shown,
)
from signoff.domain.stages import value_digest
from signoff.ports import Reading, Store
from signoff.service import policies
from signoff.service.audit_effects import entry_breaks
from signoff.service.audit_pauses import (
    Clocked,
    clock_problem,
    pause_breaks,
    read_pauses,
)
from signoff.service.audit_people import delegation_breaks, vote_breaks
from signoff.service.stages import OUTLINE

__all__ = ["Audit", "audit"]


def audit(store: Store) -> Audit:
    """Check every thread's chain against its head, and the tables against the chain."""
    threads, total, breaks = 0, 0, list[Break]()
    with store.snapshot() as reading:
        pauses = read_pauses(reading.events(PAUSES_CHAIN))
        breaks.extend(pause_breaks(reading, pauses))
        for thread, seq, head in reading.heads():
            events = reading.events(thread)
            threads, total = threads + 1, total + len(events)
            if broken := verify(thread, events, (seq, head)):
                breaks.append(broken)
            breaks.extend(_unreadable_too(reading, thread, events, pauses))
        breaks.extend(delegation_breaks(reading))
    return Audit(threads=threads, events=total, breaks=tuple(breaks))


def _unreadable_too(
    reading: Reading,
    thread: str,
    events: Sequence[Event],
    pauses: Mapping[str, Pause],
) -> list[Break]:
    try:
        return list(_contradictions(reading, thread, events, pauses))
    except (KeyError, TypeError, ValueError, SignoffError) as error:
        shown_error = f"{type(error).__name__}: {error}"
        problem = f"a row of this thread can't be read: {shown_error}"
        return [Break(thread=thread, seq=0, problem=problem)]


def _contradictions(
    reading: Reading,
    thread: str,
    events: Sequence[Event],
    pauses: Mapping[str, Pause],
) -> Iterator[Break]:
    rows = {request.id: request for request in reading.requests_of_thread(thread)}
    told = _told(events)
    for request_id, last in told.items():
        problem = _request_problem(rows.get(request_id), last, [*pauses.values()])
        if problem is not None:
            yield Break(thread=thread, seq=last.seq, problem=f"{request_id}: {problem}")
    for request_id in rows.keys() - told.keys():
        problem = f"{request_id} is in the table, but the ledger never saw it asked"
        yield Break(thread=thread, seq=0, problem=problem)
    yield from vote_breaks(reading, thread, events)
    yield from entry_breaks(reading, thread, events)
    if thread == policies.CHAIN:
        yield from policies.contradictions(reading, events)
    yield from _stage_contradictions(reading, thread, events)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Told:
    """What the ledger says of a request, up to its last event."""

    seq: int
    status: Status
    digest: str
    terms: Terms
    clocks: Clocked
    risk: str | None = None
    timeline: object = ()
    level: int = 0
    by: str | None = None
    assignee: str | None = None
    settled_at: int | None = None


def _told(events: Iterable[Event]) -> Mapping[str, _Told]:
    told: dict[str, _Told] = {}
    for event in events:
        fact, subject = event.fact, event.fact.subject
        if fact.kind == "asked":
            told[subject] = _asked(event)
        elif fact.kind == "edited":
            told[subject] = _edited(event, told[subject])
        elif fact.kind == "assigned":
            told[subject] = replace(
                told[subject], seq=event.seq, assignee=fact.body["to"]
            )
        elif fact.kind in _STEPS and subject in told:
            told[subject] = replace(
                told[subject],
                seq=event.seq,
                level=fact.body["level"],
                terms=read_terms(fact.body["terms"]),
            )
        elif fact.kind in _SETTLED and subject in told:
            status = Status(fact.kind)
            told[subject] = replace(
                told[subject],
                seq=event.seq,
                status=status,
                by=fact.actor,
                settled_at=event.at,
            )
    return told


def _asked(event: Event) -> _Told:
    body = event.fact.body
    clocks = Clocked(
        asked_at=event.at,
        expires_at=body["expires_at"],
        tools=((event.at, body["tool"]),),
        valid_for=body["terms"]["valid_for"],
    )
    return _Told(
        seq=event.seq,
        status=Status.PENDING,
        digest=body["digest"],
        terms=read_terms(body["terms"]),
        clocks=clocks,
        risk=body.get("risk"),
        timeline=body.get("timeline", []),
    )


def _edited(event: Event, before: _Told) -> _Told:
    now, terms = event.fact.body["now"], event.fact.body["terms"]
    clocks = replace(
        before.clocks,
        tools=(*before.clocks.tools, (event.at, now["tool"])),
        valid_for=terms["valid_for"],
    )
    return replace(
        before,
        seq=event.seq,
        digest=now["digest"],
        terms=read_terms(terms),
        clocks=clocks,
        risk=event.fact.body.get("risk"),
        timeline=event.fact.body.get("timeline", []),
    )


def _request_problem(
    row: Request | None, told: _Told, pauses: Sequence[Pause]
) -> str | None:
    if row is None:
        return f"the ledger has it as {told.status.value}, the table lost it"
    return (
        _content_problem(row, told)
        or clock_problem(row, told.clocks, told.settled_at, pauses)
        or _plan_problem(row, told)
    )


def _content_problem(row: Request, told: _Told) -> str | None:
    if (row.status, row.settled_by) != (told.status, told.by):
        said = f"{told.status.value} by {told.by}"
        return (
            f"the table says {row.status.value} by {row.settled_by}, the ledger {said}"
        )
    if row.digest != told.digest or digest(shown(row)) != told.digest:
        return "the table shows something else than what the ledger saw asked"
    if row.terms != told.terms:
        return "the table has other terms than the ledger"
    if row.assignee != told.assignee:
        return f"the table has it assigned to {row.assignee}, not to {told.assignee}"
    if told.risk not in {None, row.risk}:
        return f"the table says {row.risk} risk, the ledger {told.risk}"
    return None


def _plan_problem(row: Request, told: _Told) -> str | None:
    steps = json.loads(json.dumps([asdict(step) for step in row.timeline]))
    planned = (row.level, row.expires_at - row.shift, steps)
    if planned != (told.level, told.clocks.expires_at, told.timeline):
        return "the table has another deadline, or other steps, than the ledger"
    if row.status is Status.PENDING and row.due_at != due_next(row):
        return "the table has the next step at another time than its own plan"
    return None


def _stage_contradictions(
    reading: Reading, thread: str, events: Iterable[Event]
) -> Iterator[Break]:
    told: dict[str, tuple[int, tuple[object, ...]]] = {}
    for event in events:
        fact = event.fact
        if fact.kind == "kept":
            work = (fact.body["stage"], fact.body["digest"])
            told[fact.subject] = (event.seq, work)
        elif fact.kind == "outlined":
            told[fact.subject] = (event.seq, tuple(fact.body["stages"]))
    rows: dict[str, tuple[object, ...]] = {
        kept.id: (kept.name, value_digest(kept.value))
        for kept in reading.kept_of_thread(thread)
    }
    outline = reading.outline(thread)
    if outline is not None:
        rows[OUTLINE] = outline
    for subject in sorted(rows.keys() | told.keys()):
        seq, said = told.get(subject, (0, ()))
        if rows.get(subject) != said:
            problem = f"{subject}: the table has other stages than the ledger"
            yield Break(thread=thread, seq=seq, problem=problem)


_STEPS: Final = frozenset({"reminded", "escalated"})
_SETTLED: Final = frozenset(s.value for s in Status if s is not Status.PENDING)
