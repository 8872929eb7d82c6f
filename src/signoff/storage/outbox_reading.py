"""Reads of the outbox: what is to be told, and how its deliveries stand."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import (
    ColumnElement,
    Exists,
    Select,
    exists,
    select,
)

from signoff.domain.notices import SETTLED, Delivery, DeliveryState, Posted
from signoff.storage import rows
from signoff.storage.clocked import Clocked
from signoff.storage.tables import deliveries as d
from signoff.storage.tables import notices as n


class OutboxReading(Clocked):
    """Each method is one statement."""

    def new_notices(self, limit: int) -> Sequence[Posted]:
        found = self._connection.execute(new_statement(limit)).mappings()
        return [rows.posted_from(row) for row in found]

    def notice(self, notice_id: str) -> Posted | None:
        found = select(n).where(n.c.id == notice_id)
        row = self._connection.execute(found).mappings().first()
        return None if row is None else rows.posted_from(row)

    def due_deliveries(self, channel: str, limit: int) -> Sequence[Delivery]:
        found = due_statement(channel, limit)
        found = found.where(d.c.due_at <= self._clock_now())
        return self._deliveries(found)

    def next_delivery(self, channel: str) -> int | None:
        found = self._deliveries(due_statement(channel, 1))
        return found[0].due_at if found else None

    def delivery(self, delivery_id: str) -> Delivery | None:
        if "\0" in delivery_id:
            return None
        found = self._deliveries(select(d).where(d.c.id == delivery_id))
        return found[0] if found else None

    def deliveries(
        self, *, state: DeliveryState | None, limit: int
    ) -> Sequence[Delivery]:
        return self._deliveries(list_statement(state, limit))

    def earlier(self, delivery: Delivery) -> Sequence[str]:
        found = select(d.c.reference).where(
            *_of_the_same(delivery.request_id, delivery.channel, delivery.recipient),
            d.c.seq < delivery.seq,
            d.c.reference.is_not(None),
        )
        return list(self._connection.execute(found.order_by(d.c.seq)).scalars())

    def told(self, request_id: str, channel: str) -> Sequence[str]:
        found = select(d.c.recipient).where(
            d.c.request_id == request_id,
            d.c.channel == channel,
            d.c.kind.not_in(SETTLED),
            d.c.state != DeliveryState.DEAD.value,
        )
        found = found.group_by(d.c.recipient).order_by(d.c.recipient)
        return list(self._connection.execute(found).scalars())

    def _deliveries(self, statement: Select[tuple[object]]) -> Sequence[Delivery]:
        found = self._connection.execute(statement).mappings()
        return [rows.delivery_from(row) for row in found]


def new_statement(limit: int) -> Select[tuple[object]]:
    """The notices that nobody has seen to yet, oldest first."""
    found = select(n).where(n.c.state == "new")
    return found.order_by(n.c.at, n.c.seq).limit(limit)


def due_statement(channel: str, limit: int) -> Select[tuple[object]]:
    """A channel's open deliveries, next first, but none before an earlier one's end."""
    found = select(d).where(
        d.c.channel == channel, d.c.due_at.is_not(None), ~is_behind()
    )
    return found.order_by(d.c.due_at, d.c.seq).limit(limit)


def list_statement(state: DeliveryState | None, limit: int) -> Select[tuple[object]]:
    """Deliveries, newest first."""
    found = select(d).order_by(d.c.queued_at.desc(), d.c.id.desc()).limit(limit)
    return found if state is None else found.where(d.c.state == state.value)


def is_behind() -> Exists:
    """Whether the same recipient has yet to get something earlier about the request."""
    before = d.alias("before")
    return exists().where(
        before.c.request_id == d.c.request_id,
        before.c.channel == d.c.channel,
        before.c.recipient == d.c.recipient,
        before.c.seq < d.c.seq,
        before.c.due_at.is_not(None),
    )


def _of_the_same(
    request_id: str, channel: str, recipient: str
) -> tuple[ColumnElement[bool], ...]:
    return (
        d.c.request_id == request_id,
        d.c.channel == channel,
        d.c.recipient == recipient,
    )
