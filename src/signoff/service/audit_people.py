"""Checks what people said, and whose rights they lent, against the ledger."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from signoff.domain.delegations import Delegation
from signoff.domain.errors import SignoffError
from signoff.domain.ledger import Break, Event
from signoff.domain.requests import Vote
from signoff.ports import Reading
from signoff.service.delegate import CHAIN, told


def vote_breaks(
    reading: Reading, thread: str, events: Iterable[Event]
) -> Iterator[Break]:
    """Votes that the ledger has otherwise, or not at all."""
    said = {_said(event): event.seq for event in events if event.fact.kind == "voted"}
    cast = {_cast(vote) for vote in reading.votes_of_thread(thread)}
    for vote in sorted(said.keys() ^ cast, key=repr):
        lost = vote in said
        where = "the ledger has" if lost else "the table has"
        other = "the table doesn't" if lost else "the ledger doesn't"
        request_id, _, who, kind, *_ = vote
        problem = f"{request_id}: {where} this {kind} by {who}, {other}"
        yield Break(thread=thread, seq=said.get(vote, 0), problem=problem)


def delegation_breaks(reading: Reading) -> Iterator[Break]:
    """Delegations that the ledger has otherwise, or not at all."""
    try:
        rows = {row.id: _row(row) for row in reading.delegations()}
        known = _lent(reading.events(CHAIN))
    except (KeyError, TypeError, ValueError, SignoffError) as error:
        problem = f"a delegation can't be read: {type(error).__name__}: {error}"
        yield Break(thread=CHAIN, seq=0, problem=problem)
        return
    for name in sorted(rows.keys() | known.keys()):
        if rows.get(name) != known.get(name):
            problem = f"{name}: the table has another delegation than the ledger"
            yield Break(thread=CHAIN, seq=0, problem=problem)


def _said(event: Event) -> tuple[Any, ...]:
    fact, body = event.fact, event.fact.body
    return (
        fact.subject,
        body["revision"],
        fact.actor,
        body["decision"],
        event.at,
        fact.channel,
        body["digest"],
        body.get("reason"),
        body.get("behalf"),
        _names(body.get("groups")),
    )


def _cast(vote: Vote) -> tuple[Any, ...]:
    return (
        vote.request_id,
        vote.revision,
        vote.principal,
        vote.kind,
        vote.at,
        vote.channel,
        vote.digest,
        vote.reason,
        vote.behalf,
        vote.groups,
    )


def _names(groups: Sequence[str] | None) -> tuple[str, ...] | None:
    return None if groups is None else tuple(groups)


def _lent(events: Iterable[Event]) -> Mapping[str, dict[str, object]]:
    known: dict[str, dict[str, object]] = {}
    for event in events:
        fact = event.fact
        if fact.kind == "delegated":
            made = {"made_by": fact.actor, "made_at": event.at}
            known[fact.subject] = {**fact.body, **made, **_NOT_REVOKED}
        else:
            known[fact.subject] |= {"revoked_by": fact.actor, "revoked_at": event.at}
    return known


def _row(row: Delegation) -> dict[str, object]:
    return {
        **told(row),
        "made_by": row.made_by,
        "made_at": row.made_at,
        "revoked_by": row.revoked_by,
        "revoked_at": row.revoked_at,
    }


_NOT_REVOKED: Mapping[str, object] = {"revoked_by": None, "revoked_at": None}
