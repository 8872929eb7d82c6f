"""Held calls: what is due, and their moves; each is one conditional statement."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final, Protocol

from sqlalchemy import (
    BigInteger,
    ColumnElement,
    Connection,
    Executable,
    Select,
    Update,
    UpdateBase,
    and_,
    false,
    func,
    literal_column,
    or_,
    select,
    text,
)

from signoff.domain import journal
from signoff.domain.journal import Entry, EntryKind, Way
from signoff.domain.requests import Status
from signoff.storage import rows
from signoff.storage import tables as t
from signoff.storage.clocked import Clocked

_E: Final = t.entries.c


class _Changing(Protocol):
    def __call__(
        self, statement: UpdateBase, values: Mapping[str, Any] | None = None
    ) -> bool: ...


class HoldsReading(Clocked):
    """What is to be done with held calls."""

    def releasable(self, ways: Sequence[Way] | None, limit: int) -> Sequence[Entry]:
        """Held calls whose time has come; of these agents' tools, or of any."""
        found = due(t.RELEASING, _E.commit_at, self._clock_now(), limit)
        found = found.where(_E.held_open.is_(None))
        return self._found(found if ways is None else found.where(of_ways(ways)))

    def any_held(self) -> bool:
        """Whether there is anything to do about held calls, now or later."""
        again = _E.kind == EntryKind.HELD.value
        found = select(
            or_(
                select(_E.id).where(text(t.RELEASING)).limit(1).exists(),
                select(_E.id)
                .where(text("state = 'prepared'"), again)
                .limit(1)
                .exists(),
            )
        )
        return bool(self._connection.execute(found).scalar_one())

    def held_settled(self, limit: int) -> Sequence[Entry]:
        """Held calls that people were asked about and have decided on."""
        asked = t.requests.c
        found = (
            select(t.entries)
            .join(t.requests, asked.id == _E.request_id)
            .where(text("entries.state = 'held'"), asked.status != Status.PENDING.value)
            .order_by(_E.id)
            .limit(limit)
        )
        return self._found(found)

    def held_stopped(self, limit: int) -> Sequence[Entry]:
        """Held calls whose timer something stops."""
        found = select(t.entries).where(
            text("state = 'held'"), text("held_open IS NOT NULL")
        )
        return self._found(found.order_by(_E.held_open, _E.id).limit(limit))

    def to_try_again(self, ways: Sequence[Way], limit: int) -> Sequence[Entry]:
        """Held calls that ran, and that a person lets run once more."""
        found = select(t.entries).where(
            text("state = 'prepared'"), _E.kind == EntryKind.HELD.value, of_ways(ways)
        )
        return self._found(found.order_by(_E.started_at, _E.id).limit(limit))

    def held_in(self, thread: str) -> Sequence[Entry]:
        """What was held in a thread and didn't end well so far, oldest first."""
        found = select(t.entries).where(
            _E.thread == thread,
            _E.kind == EntryKind.HELD.value,
            _E.state.in_(("held", "running", "unknown", "failed", "cancelled")),
        )
        return self._found(found.order_by(_E.seq, _E.id))

    def held_ways(self) -> Sequence[tuple[str | None, str, int]]:
        """The agents and tools of what is held, and how often."""
        columns = _E.agent, _E.tool
        found = (
            select(*columns, func.count())
            .where(text(t.RELEASING))
            .group_by(*columns)
            .order_by(_E.tool)
        )
        rows = self._connection.execute(found)
        return [(row[0], row[1], int(row[2])) for row in rows]

    def _found(self, statement: Executable, **values: object) -> Sequence[Entry]:
        return [rows.entry_from(row) for row in self._read(statement, **values)]

    def _read(self, statement: Executable, **values: object) -> Sequence[rows.Row]:
        return self._connection.execute(statement, values).mappings().all()


class HoldsWriting:
    """Moves of held calls, in one transaction."""

    _connection: Connection
    _clock: str
    _now: int
    _changed: _Changing

    def release_held(
        self, entry: Entry, *, worker: str, lease: int, early: bool
    ) -> bool:
        """Let a held call run: its time has come, or people let it run now."""
        news = {
            "worker": worker,
            "lease_until": self._now + lease,
            "started_at": self._now,
            "held_open": None,
        }
        now = literal_column(self._clock, BigInteger)
        due = () if early else (_E.commit_at <= now, _E.held_open.is_(None))
        return self._step(entry, "release", news, _same_hold(entry), *due)

    def cancel_held(
        self,
        entry: Entry,
        *,
        by: str,
        reason: str | None,
        intent: str | None = None,
    ) -> bool:
        """Cancel a call that is still held, whatever the time.

        By its `intent` a repetition of it is known.
        """
        news = {
            "intent": intent,
            "finished_at": self._now,
            "undo_by": by,
            "undo_reason": reason,
            "undo_at": self._now,
        }
        return self._step(entry, "cancel", news)

    def rehold(self, entry: Entry, now: Entry) -> bool:
        """Hold a call otherwise: until when, what stops its timer, who is asked."""
        return self._changed(
            as_it_was(entry)
            .where(_same_hold(entry))
            .values(
                commit_at=now.commit_at,
                held_open=now.held_open,
                request_id=now.request_id,
                changed_at=self._now,
            )
        )

    def _step(
        self,
        entry: Entry,
        move: str,
        news: Mapping[str, Any],
        *where: ColumnElement[bool],
    ) -> bool:
        to = journal.step(entry.state, move)
        values = {**news, "state": to.value, "changed_at": self._now}
        return self._changed(as_it_was(entry).where(*where).values(**values))


def _same_hold(entry: Entry) -> ColumnElement[bool]:
    """Whether it is held as it was when it was read: so that was judged."""
    return and_(
        _E.commit_at.is_not_distinct_from(entry.commit_at),
        _E.held_open.is_not_distinct_from(entry.held_open),
        _E.request_id.is_not_distinct_from(entry.request_id),
    )


def of_ways(ways: Sequence[Way]) -> ColumnElement[bool]:
    """Whether it is a call of one of these tools by one of these agents."""
    tools: dict[str | None, list[str]] = {}
    for agent, tool in ways:
        tools.setdefault(agent, []).append(tool)
    return or_(
        false(),
        *(
            and_(_E.agent.is_not_distinct_from(agent), _E.tool.in_(named))
            for agent, named in tools.items()
        ),
    )


def as_it_was(entry: Entry) -> Update:
    """A change of an entry, if it is still in that state."""
    return t.entries.update().where(_E.id == entry.id, _E.state == entry.state.value)


def due(
    where: str, column: ColumnElement[Any], now: ColumnElement[int], limit: int
) -> Select[Any]:
    """The rows whose moment has passed, the oldest first."""
    found = among(select(t.entries), where).where(column <= now)
    return found.order_by(column, _E.id).limit(limit)


def among(statement: Select[Any], where: str) -> Select[Any]:
    """Only the rows of a partial index, sought in it."""
    found, hint = statement.where(text(where)), t.SEEK.get(where)
    return found if hint is None else found.with_hint(t.entries, hint, "sqlite")
