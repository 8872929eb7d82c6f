"""Pauses in SQL: what holds, whose deadlines stand still, and which calls wait."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any, Final

from sqlalchemy import (
    ColumnElement,
    Connection,
    FromClause,
    Table,
    and_,
    case,
    false,
    func,
    literal,
    not_,
    or_,
    select,
    text,
    true,
)
from sqlalchemy.dialects import sqlite
from sqlalchemy.exc import OperationalError

from signoff.domain.pauses import Pause
from signoff.domain.requests import Request, Status
from signoff.ports import Stalled
from signoff.storage import tables as t
from signoff.storage.engine import WAIT_S
from signoff.storage.prepared import Prepared

MOVES: Final = 0x5167_0FF1
"""The advisory lock that every move shares and a change of the pauses has alone."""

_LOCK_TIMEOUT: Final = "55P03"
_R: Final = t.requests.c
_STANDS: Final = t.pauses.c.lifted_at.is_(None)
PAUSE_COLUMNS: Final = [name for name in t.pauses.c.keys() if name != "changed_at"]  # noqa: SIM118 - not a dictionary
_COLUMNS: Final = [t.pauses.c[name] for name in PAUSE_COLUMNS]
_OLDEST_FIRST: Final = select(*_COLUMNS).order_by(t.pauses.c.paused_at, t.pauses.c.id)
_EVER: Final = Prepared(_OLDEST_FIRST)
_HOLDING: Final = Prepared(_OLDEST_FIRST.where(_STANDS))


class PausesReading:
    """Reads of pauses, on one connection."""

    _connection: Connection

    def pauses(self, *, active: bool = True) -> Sequence[Pause]:
        found = (_HOLDING if active else _EVER).all(self._connection, {})
        return [Pause(**row) for row in found]

    def find_pause(self, pause_id: str) -> Pause | None:
        found = select(*_COLUMNS).where(t.pauses.c.id == pause_id)
        row = self._connection.execute(found).mappings().first()
        return None if row is None else Pause(**row)

    def freed(self, limit: int) -> Sequence[str]:
        column = t.stalled.c.thread
        found = select(column).where(t.stalled.c.pause_id.is_(None))
        return list(self._connection.execute(found.distinct().limit(limit)).scalars())

    def stalled(self) -> int:
        found = select(func.count()).select_from(t.stalled)
        return int(self._connection.execute(found).scalar_one())


class PausesWriting(PausesReading):
    """Moves of pauses, in one transaction."""

    _insert: Callable[[Any], sqlite.Insert]
    _clock: str
    _now: int
    _thread: str

    def alone(self, *, patience_s: float) -> bool:
        """Wait until no other move is under way, and let none begin before the commit.

        False: one was still under way after `patience_s`. On SQLite it is always so.
        """
        if self._connection.dialect.name == "postgresql" and not self._exclude(
            patience_s
        ):
            return False
        self._now = int(self._scalar(text(f"SELECT {self._clock}")))
        return True

    def _exclude(self, patience_s: float) -> bool:
        patience = {"patience": f"{int(patience_s * 1000)}ms"}
        lock_timeout = text("SELECT set_config('lock_timeout', :patience, true)")
        try:
            with self._connection.begin_nested():
                self._connection.execute(lock_timeout, patience)
                self._connection.execute(
                    text("SELECT pg_advisory_xact_lock(:key)"), {"key": MOVES}
                )
        except OperationalError as error:
            if getattr(error.orig, "sqlstate", None) != _LOCK_TIMEOUT:
                raise
            return False
        self._connection.execute(lock_timeout, {"patience": f"{WAIT_S}s"})
        return True

    def add_pause(self, pause: Pause) -> None:
        row = {column.name: getattr(pause, column.name, None) for column in t.pauses.c}
        row["changed_at"] = self._now
        self._connection.execute(t.pauses.insert(), row)

    def lift_pause(self, pause: Pause, by: str) -> bool:
        moved = (
            t.pauses.update()
            .where(t.pauses.c.id == pause.id, _STANDS)
            .values(lifted_by=by, lifted_at=self._now, changed_at=self._now)
        )
        return self._count(moved) == 1

    def freeze_within(self, pause: Pause) -> int:
        """Stop the deadlines of what a pause covers and no earlier one stopped."""
        start = literal(pause.paused_at)
        asked_later = case((_R.asked_at > start, _R.asked_at), else_=start)
        waits = and_(_R.status == Status.PENDING.value, _R.expires_at > pause.paused_at)
        unused = and_(
            _R.status == Status.APPROVED.value, _R.valid_until > pause.paused_at
        )
        return sum(
            self._count(
                t.requests.update()
                .where(_R.frozen_at.is_(None), which, self._within(t.requests, pause))
                .values(frozen_at=asked_later, changed_at=after(self._now))
            )
            for which in (waits, unused)
        )

    def thaw_without(self, pauses: Iterable[Pause]) -> int:
        """Let the deadlines go on of what none of these pauses covers."""
        covered = [self._within(t.requests, pause) for pause in pauses]
        # Coalesced: a request without an agent is no agent's, not an unknown one's.
        return self._thaw(not_(func.coalesce(or_(false(), *covered), false())))

    def freeze(self, request: Request, since: int) -> bool:
        """Stop one request's deadlines."""
        moved = (
            t.requests.update()
            .where(_R.id == request.id, _R.frozen_at.is_(None))
            .values(frozen_at=since, changed_at=after(self._now))
        )
        return self._count(moved) == 1

    def thaw(self, request: Request) -> bool:
        """Let one request's deadlines go on, later by as long as they stood still."""
        return self._thaw(_R.id == request.id) == 1

    def _thaw(self, which: ColumnElement[bool]) -> int:
        # The one place that moves deadlines; a further column of times goes here too.
        since = _R.frozen_at
        used_from = case((_R.settled_at > since, _R.settled_at), else_=since)
        waits = _R.status == Status.PENDING.value
        shifted = {
            "expires_at": case(
                (waits, _R.expires_at + self._since(since)), else_=_R.expires_at
            ),
            "due_at": case((waits, _R.due_at + self._since(since)), else_=_R.due_at),
            "shift": case((waits, _R.shift + self._since(since)), else_=_R.shift),
            "valid_until": _R.valid_until + self._since(used_from),
            "frozen_at": None,
            "changed_at": after(self._now),
        }
        return self._count(
            # Not IS NOT NULL: SQLite seeks no index with it.
            t.requests.update().where(since > 0, which).values(**shifted)
        )

    def _since(self, start: ColumnElement[Any]) -> ColumnElement[int]:
        """The time since then; none where the clock went back."""
        return case((start < self._now, self._now - start), else_=literal(0))

    def add_stalled(self, call: Stalled, pause: Pause) -> bool:
        """Note that a call waits; False if that was known."""
        row = {
            "action_id": call.action_id,
            "thread": call.thread,
            "agent": call.agent,
            "tool": call.tool,
            "pause_id": pause.id,
            "since": self._now,
        }
        insert = self._insert(t.stalled).values(**row)
        known = {"pause_id": insert.excluded.pause_id}
        added = self._count(insert.on_conflict_do_nothing()) == 1
        if not added:
            self._connection.execute(
                insert.on_conflict_do_update(index_elements=["action_id"], set_=known)
            )
        return added

    def hand_over(self, lifted: Pause, others: Sequence[Pause]) -> int:
        """The calls that waited for a pause wait for another one, or may go on."""
        c = t.stalled.c
        waiting = c.pause_id == lifted.id
        for other in others:
            self._count(
                t.stalled.update()
                .where(waiting, self._within(t.stalled, other))
                .values(pause_id=other.id)
            )
        return self._count(t.stalled.update().where(waiting).values(pause_id=None))

    def take_freed(self) -> Sequence[Stalled]:
        """Forget the calls of this thread that may go on; which they were."""
        c = t.stalled.c
        gone = (
            t.stalled.delete()
            .where(c.thread == self._thread, c.pause_id.is_(None))
            .returning(c.action_id, c.thread, c.agent, c.tool)
        )
        found = [Stalled(**row) for row in self._connection.execute(gone).mappings()]
        return sorted(found, key=lambda call: call.action_id)

    def _within(self, table: Table, pause: Pause) -> ColumnElement[bool]:
        c = table.c
        named: list[ColumnElement[bool]] = [true()]
        if pause.agent is not None:
            named.append(c.agent == pause.agent)
        if pause.thread is not None:
            named.append(c.thread == pause.thread)
        if pause.tool is not None:
            named.append(c.tool.in_(self._matching(table, pause)))
        return and_(*named)

    def _matching(self, table: FromClause, pause: Pause) -> Sequence[str]:
        # A glob means the same on both databases only where Python reads it.
        found = select(table.c.tool).distinct()
        if table is t.requests:
            active = (Status.PENDING.value, Status.APPROVED.value)
            found = found.where(table.c.status.in_(active))
        names = self._connection.execute(found).scalars()
        only_tool = Pause(id="", tool=pause.tool, paused_by="", paused_at=0)
        return [name for name in names if only_tool.covers(None, "", name)]

    def _scalar(self, statement: Any) -> Any:  # noqa: ANN401 - any statement and value
        return self._connection.execute(statement).scalar_one()

    def _count(self, statement: Any) -> int:  # noqa: ANN401 - any statement
        kept = {"preserve_rowcount": True}
        result: Any = self._connection.execute(statement, execution_options=kept)
        return int(result.rowcount)


def shared_lock(dialect: str) -> str:
    """What every move returns first, so that no pause changes beside it.

    On SQLite a writer is alone anyway. The clock is read after it, left to right.
    """
    if dialect != "postgresql":
        return "NULL"
    return f"CAST(pg_advisory_xact_lock_shared({MOVES}) AS TEXT)"


def after(now: int) -> ColumnElement[int]:
    """Now, but past the row's last change even where the clock stood or went back."""
    last = _R.changed_at
    return case((last >= now, last + 1), else_=now)
