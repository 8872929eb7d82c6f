"""Reads about policies: the recorded ones, and the ledger's events about them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from sqlalchemy import Connection, select

from signoff.domain.ledger import Event
from signoff.storage import rows
from signoff.storage import tables as t


class SqlPolicies:
    """The reads of the port that are about policies."""

    _connection: Connection

    def policy(self, version: str) -> Sequence[Mapping[str, Any]] | None:
        found = select(t.policies.c.rules).where(t.policies.c.version == version)
        value: Any = rows.from_json(self._connection.execute(found).scalar())
        return value  # type: ignore[no-any-return]

    def policies(self) -> Iterable[tuple[str, Sequence[Mapping[str, Any]]]]:
        columns = t.policies.c
        found = select(columns.version, columns.rules).order_by(columns.version)
        for version, rules in self._connection.execute(found):
            yield version, rows.from_json(rules)

    def policies_like(self, prefix: str) -> Sequence[str]:
        column = t.policies.c.version
        # Versions are hexadecimal: "g" is after all of them under any collation.
        found = select(column).where(column >= prefix, column < prefix + "g").limit(3)
        return list(self._connection.execute(found).scalars())

    def last_event(self, thread: str, *, kind: str, channel: str) -> Event | None:
        columns = t.events.c
        found = (
            select(t.events)
            .where(
                columns.thread == thread,
                columns.kind == kind,
                columns.channel == channel,
            )
            .order_by(columns.seq.desc())
            .limit(1)
        )
        row = self._connection.execute(found).mappings().first()
        return None if row is None else rows.event_from(row)

    def latest_events(self, thread: str, limit: int) -> Sequence[Event]:
        columns = t.events.c
        found = (
            select(t.events)
            .where(columns.thread == thread)
            .order_by(columns.seq.desc())
            .limit(limit)
        )
        events = self._connection.execute(found).mappings().all()
        return [rows.event_from(row) for row in events]
