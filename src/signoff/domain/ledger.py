"""The ledger: every event once, in one SHA-256 chain per thread."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from signoff.domain.actions import canonical, sha256
from signoff.domain.errors import PayloadRefused

GENESIS: Final = "0" * 64


@dataclass(frozen=True, slots=True, kw_only=True)
class Fact:
    """Something that happened, before it has its place in a chain.

    Attributes:
        kind: Such as `asked`, `voted`, `approved`, `started`, `finished`.
        subject: The request, entry or action that it is about.
        actor: Who did it; None is signoff itself.
        channel: By which way: `inbox`, `cli`, `python`, ...
        body: JSON: digests, reasons, the verdict and its rule.
    """

    kind: str
    subject: str
    actor: str | None = None
    channel: str | None = None
    body: Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """A fact in its place: position `seq` of its thread's chain, from 1."""

    thread: str
    seq: int
    at: int
    fact: Fact
    previous: str
    hash: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Break:
    """Where a chain doesn't hold, and how that shows."""

    thread: str
    seq: int
    problem: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Audit:
    """What a check of the ledger found.

    Attributes:
        breaks: Each place where a chain or a table doesn't hold; none is good.
    """

    threads: int
    events: int
    breaks: tuple[Break, ...]

    @property
    def holds(self) -> bool:
        """Whether nothing was found."""
        return self.breaks == ()


def append(thread: str, seq: int, at: int, fact: Fact, previous: str) -> Event:
    """Put a fact at the end of a chain whose head is `previous`."""
    sealed = _hash(thread, seq, at, fact, previous)
    return Event(
        thread=thread, seq=seq, at=at, fact=fact, previous=previous, hash=sealed
    )


def verify(thread: str, events: Iterable[Event], head: tuple[int, str]) -> Break | None:
    """Check one thread's chain, in order, against the head that was kept apart.

    Finds an event that was edited, removed, moved or cut off. Somebody who rewrites
    the whole chain and its head is found by checkpoints kept outside the database.
    """
    seq, previous = 0, GENESIS
    for event in events:
        seq += 1
        if problem := _problem(event, seq, previous):
            return Break(thread=thread, seq=seq, problem=problem)
        previous = event.hash
    if (seq, previous) != head:
        lost = f"the chain should end at {head[0]}, it ends at {seq}"
        return Break(thread=thread, seq=seq, problem=lost)
    return None


def _problem(event: Event, seq: int, previous: str) -> str | None:
    if event.seq != seq:
        return f"event {seq} is missing"
    if event.previous != previous:
        return f"event {seq} doesn't follow the one before it"
    try:
        sealed = _hash(event.thread, event.seq, event.at, event.fact, event.previous)
    except PayloadRefused:  # what was never sealed in the first place
        sealed = ""
    return None if sealed == event.hash else f"event {seq} was changed"


def _hash(thread: str, seq: int, at: int, fact: Fact, previous: str) -> str:
    content = {
        "thread": thread,
        "seq": seq,
        "at": at,
        "kind": fact.kind,
        "subject": fact.subject,
        "actor": fact.actor,
        "channel": fact.channel,
        "body": fact.body,
        "previous": previous,
    }
    return sha256(canonical(content, at="event"))
