"""Events at the end of their chain, and moves of entries that bring theirs along."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from sqlalchemy import (
    Connection,
    Insert,
    Update,
    bindparam,
    literal_column,
    select,
)

from signoff.domain.ledger import Event
from signoff.storage import rows
from signoff.storage import tables as t
from signoff.storage.prepared import Prepared

_TOLD: Final = {
    column.name: bindparam(f"told_{column.name}", type_=column.type)
    for column in t.events.columns
}
_TELL: Final = t.events.insert().values(_TOLD)
_END: Final = (
    t.chains.update()
    .where(t.chains.c.thread == bindparam("chain"))
    .values(seq=bindparam("at_seq"), head=bindparam("at_head"))
)
_TELL_ONE: Final = Prepared(_TELL)
_END_THERE: Final = Prepared(_END)
# One round trip instead of two. SQLite, which has none, knows no such statement.
_TELL_AND_END: Final = Prepared(_END.add_cte(_TELL.cte("told")))


class Move:
    """One conditional statement that changes one entry or none."""

    def __init__(self, statement: Insert | Update) -> None:
        self._alone = Prepared(statement)
        moved = statement.returning(literal_column("1").label("one")).cte("moved")
        there = select(moved.c.one).exists()
        told = t.events.insert().from_select(
            list(_TOLD), select(*_TOLD.values()).where(there)
        )
        self._told = Prepared(_END.where(there).add_cte(told.cte("told")))

    def run(self, connection: Connection, values: Mapping[str, Any]) -> bool:
        """Whether it changed something."""
        return self._alone.run(connection, values) == 1

    def run_and_tell(
        self, connection: Connection, values: Mapping[str, Any], event: Event
    ) -> bool:
        """Whether it changed something; then its event ends the chain, else nothing.

        On PostgreSQL it is one round trip instead of two.
        """
        if connection.dialect.name == "postgresql":
            return self._told.run(connection, {**values, **_telling(event)}) == 1
        moved = self.run(connection, values)
        if moved:
            append(connection, [event])
        return moved


def append(connection: Connection, events: Sequence[Event]) -> None:
    """Put events at the end of their chain."""
    if len(events) > 1:
        connection.execute(t.events.insert(), [rows.event_row(one) for one in events])
        _END_THERE.run(connection, _end(events[-1]))
    elif connection.dialect.name == "postgresql":
        _TELL_AND_END.run(connection, _telling(events[0]))
    else:
        _TELL_ONE.run(connection, _telling(events[0]))
        _END_THERE.run(connection, _end(events[0]))


def _telling(event: Event) -> dict[str, Any]:
    told = {f"told_{name}": value for name, value in rows.event_row(event).items()}
    return {**told, **_end(event)}


def _end(event: Event) -> dict[str, Any]:
    return {"chain": event.thread, "at_seq": event.seq, "at_head": event.hash}
