"""Finds what ended entries still keep for their undo, and forgets it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final, Protocol

from sqlalchemy import (
    BigInteger,
    Connection,
    Select,
    UpdateBase,
    bindparam,
    or_,
    select,
    text,
)

from signoff.domain.journal import Entry
from signoff.storage import rows
from signoff.storage import tables as t
from signoff.storage.clocked import read_once

_E: Final = t.entries.c
# One that failed may be tried again, and then needs what it kept.
_ENDED: Final = or_(_E.state != "failed", _E.attempt >= _E.attempts)
_FORGOTTEN: Final = dict.fromkeys(
    ("captured", "before", "after", "bound", "steps", "diff")
)


class _Changing(Protocol):
    def __call__(
        self, statement: UpdateBase, values: Mapping[str, Any] | None = None
    ) -> bool: ...


class PurgingReading:
    """What is to be removed."""

    _connection: Connection
    _clock: str

    def purgeable(self, retention: int, limit: int) -> Sequence[Entry]:
        """Entries that ended more than `retention` ago and still keep something."""
        found = purgeable_statement(self._clock, retention, limit)
        read = self._connection.execute(found).mappings().all()
        return [rows.entry_from(row) for row in read]


def purgeable_statement(clock: str, retention: int, limit: int) -> Select[Any]:
    """What ended long enough ago, the longest first."""
    kept = bindparam("kept", retention, BigInteger)
    return (
        select(t.entries)
        .where(text(t.PURGING), _E.changed_at <= read_once(clock) - kept, _ENDED)
        .order_by(_E.changed_at, _E.id)
        .limit(limit)
    )


class PurgingWriting:
    """Forgets it."""

    _changed: _Changing

    def purge_entry(self, entry: Entry) -> bool:
        """Forget what an ended entry kept. False: somebody else has, or it goes on."""
        statement = (
            t.entries.update()
            .where(_E.id == entry.id, text(t.PURGING), _ENDED)
            .values(_FORGOTTEN)
        )
        return self._changed(statement)
