"""Checks the pauses against the ledger, and deadlines against the pauses."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from signoff.domain.ledger import Break, Event
from signoff.domain.pauses import PAUSES_CHAIN, Pause, Span, moved, union
from signoff.domain.requests import Request, Status
from signoff.ports import Reading


@dataclass(frozen=True, slots=True, kw_only=True)
class Clocked:
    """What the ledger says of a request's clocks.

    Attributes:
        tools: Which tool it was about, from when on.
        valid_for: Microseconds that an approval may wait; None is no limit.
    """

    asked_at: int
    expires_at: int
    tools: tuple[tuple[int, str], ...]
    valid_for: int | None


def read_pauses(events: Iterable[Event]) -> Mapping[str, Pause]:
    """The pauses as the ledger has them."""
    found: dict[str, Pause] = {}
    for event in events:
        fact = event.fact
        if fact.kind == "paused":
            found[fact.subject] = Pause(
                id=fact.subject,
                **fact.body,
                paused_by=str(fact.actor),
                paused_at=event.at,
            )
        elif fact.kind == "lifted" and fact.subject in found:
            found[fact.subject] = replace(
                found[fact.subject], lifted_by=fact.actor, lifted_at=event.at
            )
    return found


def pause_breaks(reading: Reading, told: Mapping[str, Pause]) -> Iterator[Break]:
    """Where the table of pauses says something else than the ledger."""
    rows = {pause.id: pause for pause in reading.pauses(active=False)}
    for pause_id in sorted(rows.keys() | told.keys()):
        if rows.get(pause_id) != told.get(pause_id):
            problem = f"the table has another pause {pause_id} than the ledger"
            yield Break(thread=PAUSES_CHAIN, seq=0, problem=problem)


def clock_problem(
    row: Request, told: Clocked, settled_at: int | None, pauses: Sequence[Pause]
) -> str | None:
    """Whether a deadline that still decides something is another than it was to be."""
    spans = list(_spans(row, told, pauses))
    if row.status is Status.PENDING:
        ends, frozen = moved(told.expires_at, told.asked_at, spans)
        # One that a pause missed while it was set is frozen before it could expire.
        if row.expires_at != ends or row.frozen_at not in {None, frozen}:
            return "the table has another deadline than the ledger"
    if row.status is Status.APPROVED and settled_at is not None:
        until = None
        if told.valid_for is not None:
            until, _ = moved(settled_at + told.valid_for, settled_at, spans)
        if row.valid_until != until:
            return "the table has another deadline of its approval than the ledger"
    return None


def _spans(row: Request, told: Clocked, pauses: Sequence[Pause]) -> Iterator[Span]:
    """When pauses covered the request, which may have changed its tool."""
    ends: list[int | None] = [start for start, _ in told.tools[1:]]
    for (start, tool), end in zip(told.tools, [*ends, None], strict=True):
        covering = union(
            (one.paused_at, one.lifted_at)
            for one in pauses
            if one.covers(row.agent, row.thread, tool)
        )
        for span in covering:
            if clipped := _clip(span, start, end):
                yield clipped


def _clip(span: Span, start: int, end: int | None) -> Span | None:
    """The part of a span from `start` to `end`."""
    first = max(span[0], start)
    known = [one for one in (span[1], end) if one is not None]
    last = min(known) if known != [] else None
    return None if last is not None and last <= first else (first, last)
