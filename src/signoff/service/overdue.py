"""What is done while nobody answers: reminders, escalations, and the deadline.

Each is one conditional move, so any number of processes may sweep at once. What was
missed while none ran is caught up with in order, in one transaction a request.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from typing import Final

from signoff.domain.ledger import Fact
from signoff.domain.notices import Notice
from signoff.domain.requests import Request, Status, due_next, silence
from signoff.domain.timeline import Due, now_due
from signoff.ports import Store, Writing
from signoff.service.decide import settle
from signoff.service.standstill import frozen_since

log: Final = logging.getLogger("signoff")

BATCH: Final = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class Swept:
    """How many requests one sweep reminded of, escalated and settled."""

    reminded: int = 0
    escalated: int = 0
    settled: int = 0

    def __add__(self, other: Swept) -> Swept:
        return Swept(
            reminded=self.reminded + other.reminded,
            escalated=self.escalated + other.escalated,
            settled=self.settled + other.settled,
        )

    @property
    def total(self) -> int:
        """How many moves it made."""
        return self.reminded + self.escalated + self.settled

    def __bool__(self) -> bool:
        return self != Swept()


_SETTLED: Final = Swept(settled=1)
_MOVES: Final = {
    Due.REMIND: ("reminded", Swept(reminded=1)),
    Due.ESCALATE: ("escalated", Swept(escalated=1)),
}


def sweep(store: Store) -> Swept:
    """Do everything that is due, the longest overdue first.

    A row that can't be read stays behind and is logged; it holds up no other.
    """
    done = Swept()
    for request_id in _due(store):
        try:
            done += catch_up(store, request_id)
        except (KeyError, TypeError, ValueError):
            log.exception("%s can't be read, so its deadline does nothing", request_id)
    return done


def catch_up(store: Store, request_id: str) -> Swept:
    """Do what is due about one request: its steps in order, then its deadline."""
    with store.reading() as reading:
        request = reading.request(request_id)
    if request is None:
        return Swept()
    done = Swept()
    with store.writing(request.thread) as tx:
        while (request := tx.request(request_id)) is not None:
            step = _advance(tx, request)
            if not step:
                break
            done += step
    return done


def _due(store: Store) -> Iterator[str]:
    last = (0, "")
    while True:
        with store.reading() as reading:
            found = reading.due(BATCH, last)
        yield from (request_id for _, request_id in found)
        if len(found) < BATCH:
            return
        last = found[-1]


def _advance(tx: Writing, request: Request) -> Swept:
    """The next move that is due, if there is one and nobody else made it."""
    if request.status is not Status.PENDING or request.frozen_at is not None:
        return Swept()
    since = frozen_since(tx, request)
    if since is not None and since < request.expires_at:
        # It was asked while the pause was being set, which froze all others.
        tx.freeze(request, since)
        return Swept()
    now, ends = tx.now() - request.shift, request.expires_at - request.shift
    number = now_due(request.timeline, request.level, now=now, ends=ends)
    if number is not None:
        return _step(tx, request, number)
    return _expire(tx, request) if ends <= now else Swept()


def _step(tx: Writing, request: Request, number: int) -> Swept:
    step = request.timeline[number]
    names = dict.fromkeys((*request.terms.escalated, *step.to))
    terms = replace(request.terms, escalated=tuple(names))
    moved = replace(request, level=number + 1, terms=terms)
    moved = replace(moved, due_at=due_next(moved))
    if not tx.advance_request(moved, was=request):
        return Swept()
    kind, counted = _MOVES[step.due]
    body = {
        "digest": request.digest,
        "level": moved.level,
        "left_out": number - request.level,
        "to": list(step.to),
        "terms": asdict(terms),
    }
    tx.record(Fact(kind=kind, subject=request.id, body=body))
    told = Notice(
        kind=kind,
        request_id=request.id,
        revision=request.revision,
        to=step.to or None,
        said={"to": list(step.to)} if step.to else {},
    )
    tx.tell(told)
    return counted


def _expire(tx: Writing, request: Request) -> Swept:
    to = silence(request, tx.votes(request.id))
    said = {"by": "silence", "reason": _reason(request, to)}
    return _SETTLED if settle(tx, request, to, by=None, said=said) else Swept()


def _reason(request: Request, to: Status) -> str:
    if to is Status.APPROVED:
        return "nobody answered in time, and its rule takes silence for a yes"
    if request.terms.on_expiry == "approve":
        return (
            "nobody answered in time; silence approves only what is of low risk and "
            f"nobody said no to, and this is of {request.risk} risk"
        )
    if request.terms.escalated:
        names = ", ".join(request.terms.escalated)
        return f"nobody answered in time, also after it was escalated to {names}"
    return "nobody answered in time"
