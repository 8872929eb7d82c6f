"""Wake-ups, turns and workers: who goes on with which thread."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from functools import lru_cache
from typing import Any, Final

from sqlalchemy import (
    Connection,
    Engine,
    Select,
    case,
    func,
    select,
    text,
)

from signoff.clock import Clock
from signoff.domain.journal import Way
from signoff.ports import Turn, Waiting, Wakeup, Worker, Workforce
from signoff.storage import rows
from signoff.storage import tables as t
from signoff.storage.clocked import Clocked
from signoff.storage.engine import CLOCKS, storage_errors
from signoff.storage.prepared import Prepared

ENDED: Final = 0
"""The `lease_until` of a turn that nobody has any more; its row keeps the fence."""
PAGE: Final = 100
FORGOTTEN_AFTER: Final = 24 * 3600 * 1_000_000

_TAKE: Final = """
    INSERT INTO turns (thread, agent, worker, fence, taken_at, lease_until)
    VALUES (:thread, :agent, :worker, 1, {now}, {now} + :lease)
    ON CONFLICT (thread) DO UPDATE SET
        agent = excluded.agent, worker = excluded.worker, fence = turns.fence + 1,
        taken_at = {now}, lease_until = {now} + :lease
    WHERE turns.lease_until = 0
    RETURNING fence, {wakeup}
"""
_REASON: Final = ("agent", "version", "attempts")
_WAKEUP_TAKEN: Final = ", ".join(
    f"(SELECT {name} FROM wakeups WHERE thread = :thread) AS wakeup_{name}"  # noqa: S608 - our columns
    for name in _REASON
)
_KEEP: Final = (
    "UPDATE turns SET lease_until = {now} + :lease "
    "WHERE worker = :worker AND lease_until > 0"
)
_BEAT: Final = (
    "UPDATE workers SET beat_at = {now}, alive_until = {now} + :lease "
    "WHERE id = :worker"
)
_HOLDS: Final = Prepared(
    "SELECT 1 AS held FROM turns WHERE thread = :thread AND worker = :worker "
    "AND fence = :fence AND lease_until > 0"
)
_END: Final = Prepared(
    "UPDATE turns SET lease_until = 0 WHERE thread = :thread AND worker = :worker "
    "AND fence = :fence AND lease_until > 0"
)
_END_LAPSED: Final = (
    "UPDATE turns SET lease_until = 0 WHERE thread = :thread AND worker = :worker "
    "AND fence = :fence AND lease_until > 0 AND lease_until <= {now}"
)
# Not waited for until it is on the disk: a database that breaks down just then wakes
# the thread once more, which is harmless. Whatever came before is kept all the same.
_DONE_AND_END: Final = Prepared(
    "WITH done AS (DELETE FROM wakeups WHERE thread = :thread AND version = :version "
    "RETURNING set_config('synchronous_commit', 'off', true)) "
    "UPDATE turns SET lease_until = 0 WHERE thread = :thread AND worker = :worker "
    "AND fence = :fence AND lease_until > 0 AND EXISTS (SELECT 1 FROM done)"
)
_DONE: Final = Prepared(
    "DELETE FROM wakeups WHERE thread = :thread AND version = :version"
)
_WAKEUP: Final = Prepared(
    "SELECT thread, agent, version, attempts FROM wakeups WHERE thread = :thread"
)
_PUT_OFF: Final = (
    "UPDATE wakeups SET due_at = {now} + :delay, attempts = attempts + 1, "
    "error = :error WHERE thread = :thread AND version = :version"
)
_ENLIST: Final = (
    "INSERT INTO workers "
    "(id, host, pid, agents, concurrency, started_at, beat_at, alive_until) VALUES "
    "(:id, :host, :pid, :agents, :concurrency, {now}, {now}, {now} + :lease)"
)
_FORGET: Final = "DELETE FROM workers WHERE alive_until < {now} - :age"


class TurnsReading(Clocked):
    """Reads of wake-ups, turns and workers, on the connection of a reader."""

    next_effect: Callable[[Sequence[str], Sequence[Way]], int | None]

    def wakeups(self, agent: str | None, *, ready: bool = False) -> Sequence[Wakeup]:
        columns = t.wakeups.c
        found = _wakeups().order_by(columns.since, columns.thread).limit(PAGE)
        if agent is not None:
            found = found.where(columns.agent == agent)
        if ready:
            # Not behind a turn that has lapsed: that one is ended first.
            busy = select(t.turns.c.thread).where(
                t.turns.c.thread == columns.thread, t.turns.c.lease_until > ENDED
            )
            found = found.where(columns.due_at <= self._clock_now(), ~busy.exists())
        return [_wakeup(row) for row in self._connection.execute(found).mappings()]

    def wakeup(self, thread: str) -> Wakeup | None:
        return _wakeup_of(self._connection, thread)

    def lapsed_turns(self, limit: int) -> Sequence[Turn]:
        columns = t.turns.c
        found = select(t.turns).where(
            columns.lease_until > ENDED, columns.lease_until <= self._clock_now()
        )
        found = found.order_by(columns.lease_until).limit(limit)
        return [_turn(row) for row in self._connection.execute(found).mappings()]

    def turn(self, thread: str) -> Turn | None:
        found = select(t.turns).where(
            t.turns.c.thread == thread, t.turns.c.lease_until > ENDED
        )
        row = self._connection.execute(found).mappings().first()
        return None if row is None else _turn(row)

    def next_due(
        self, tools: Sequence[str] = (), held: Sequence[Way] = ()
    ) -> int | None:
        deadline = select(func.min(t.requests.c.due_at)).where(text(t.DUE))
        deadline = deadline.with_hint(t.requests, t.SEEK[t.DUE], "sqlite")
        now = self._clock_now()
        retry = select(func.min(t.wakeups.c.due_at)).where(t.wakeups.c.due_at > now)
        found = select(deadline.scalar_subquery(), retry.scalar_subquery(), now)
        *moments, at = self._connection.execute(found).one()
        moments.append(self.next_effect(tools, held))
        known = [int(moment) for moment in moments if moment is not None]
        return max(0, min(known) - int(at)) if known else None

    def workforce(self) -> Workforce:
        now = int(self._connection.execute(text(f"SELECT {self._clock}")).scalar_one())
        held: dict[str, list[str]] = {}
        columns = t.turns.c
        live = select(columns.worker, columns.thread).where(columns.lease_until > ENDED)
        for worker, thread in self._connection.execute(live.order_by(columns.thread)):
            held.setdefault(worker, []).append(thread)
        found = select(t.workers).order_by(t.workers.c.started_at, t.workers.c.id)
        known = [
            _worker(row, tuple(held.pop(row["id"], ())), now)
            for row in self._connection.execute(found).mappings()
        ]
        return Workforce(
            now=now,
            workers=tuple(known),
            others={worker: tuple(threads) for worker, threads in held.items()},
            waiting=self._waiting(),
        )

    def _waiting(self) -> tuple[Waiting, ...]:
        columns = t.wakeups.c
        failing = func.sum(case((columns.attempts > 0, 1), else_=0))
        found = (
            select(
                columns.agent,
                func.count().label("count"),
                func.min(columns.since).label("since"),
                failing.label("failing"),
                func.max(columns.error).label("error"),
            )
            .group_by(columns.agent)
            .order_by(columns.agent)
        )
        return tuple(
            Waiting(
                agent=row["agent"],
                count=int(row["count"]),
                since=int(row["since"]),
                failing=int(row["failing"]),
                error=row["error"],
            )
            for row in self._connection.execute(found).mappings()
        )


class TurnsWriting:
    """How a lapsed turn ends, inside of the thread's own transaction."""

    _connection: Connection
    _clock: str

    def end_turn(self, turn: Turn, *, lapsed: bool) -> bool:
        statement = _end_lapsed(self._clock) if lapsed else _END
        return _moved(self._connection, statement, _key(turn))


class TurnsStore:
    """Moves of turns, wake-ups and workers that change no request and no entry."""

    engine: Engine
    _readers: Engine
    _brief: Engine
    _clock: Clock

    def take_turn(
        self, thread: str, agent: str, *, worker: str, lease: int
    ) -> tuple[Turn, Wakeup | None] | None:
        """Take a thread's turn, if nobody has it, with the thread's wake-up then."""
        values = {"thread": thread, "agent": agent, "worker": worker, "lease": lease}
        with storage_errors(self.engine), self._at_once() as connection:
            taken = self._timed(_TAKE).first(connection, values)
            if taken is None:
                return None
            turn = Turn(
                thread=thread, agent=agent, worker=worker, fence=int(taken["fence"])
            )
            reason = _wakeup_taken(thread, taken)
            # Not seen by a statement that had to wait for the turn: it came meanwhile.
            return turn, reason or _wakeup_of(connection, thread)

    def holds(self, turn: Turn) -> bool:
        """Whether a turn is still its worker's."""
        with storage_errors(self.engine), self._readers.connect() as connection:
            return _HOLDS.first(connection, _key(turn)) is not None

    def end_turn(self, turn: Turn) -> bool:
        """Give a turn back; False if it was lost before."""
        with storage_errors(self.engine), self._at_once() as connection:
            return _moved(connection, _END, _key(turn))

    def end_waking(self, turn: Turn, done: Wakeup) -> Wakeup | None:
        """Forget a wake-up and end the turn, unless a new reason has come since."""
        values = {"thread": done.thread, "version": done.version}
        if self.engine.dialect.name == "postgresql" and self._ended(turn, done):
            return None
        with storage_errors(self.engine), self._brief.begin() as connection:
            if not _moved(connection, _DONE, values):
                newer = _wakeup_of(connection, turn.thread)
                if newer is not None:
                    return newer
            _END.run(connection, _key(turn))
        return None

    def _ended(self, turn: Turn, done: Wakeup) -> bool:
        """Both moves in one statement; False says nothing of what became of either."""
        values = {**_key(turn), "version": done.version}
        with storage_errors(self.engine), self._at_once() as connection:
            return _moved(connection, _DONE_AND_END, values)

    def keep_turns(self, worker: str, lease: int) -> None:
        """Say that a worker is alive, and with it every turn that it still has."""
        values = {"worker": worker, "lease": lease}
        with storage_errors(self.engine), self.engine.begin() as connection:
            self._timed(_KEEP).run(connection, values)
            self._timed(_BEAT).run(connection, values)

    def enlist(self, worker: Worker, lease: int) -> None:
        """Enter a worker, and forget those that ended long ago."""
        values = {
            "id": worker.id,
            "host": worker.host,
            "pid": worker.pid,
            "agents": rows.to_json(worker.agents),
            "concurrency": worker.concurrency,
            "lease": lease,
        }
        with storage_errors(self.engine), self.engine.begin() as connection:
            self._timed(_FORGET).run(connection, {"age": FORGOTTEN_AFTER})
            self._timed(_ENLIST).run(connection, values)

    def dismiss(self, worker: str) -> None:
        """A worker has ended in order."""
        gone = t.workers.delete().where(t.workers.c.id == worker)
        with storage_errors(self.engine), self.engine.begin() as connection:
            connection.execute(gone)

    def put_off(self, wakeup: Wakeup, *, delay: int, error: str) -> bool:
        """Try a wake-up again later, unless a new reason has come since."""
        values = {"thread": wakeup.thread, "version": wakeup.version}
        more = {"delay": delay, "error": error}
        with storage_errors(self.engine), self.engine.begin() as connection:
            return _moved(connection, self._timed(_PUT_OFF), {**values, **more})

    def _at_once(self) -> AbstractContextManager[Connection]:
        """For a statement that is a transaction of its own: it needs no round trips.

        On SQLite, where there are none, its transaction begins as every writer's.
        """
        if self.engine.dialect.name == "postgresql":
            return self._readers.connect()
        return self._brief.begin()

    def _timed(self, statement: str) -> Prepared:
        return _timed(statement, self.engine.dialect.name, self._clock.offset_us)


@lru_cache(maxsize=64)
def _timed(statement: str, dialect: str, offset: int) -> Prepared:
    now = CLOCKS[dialect].format(offset=offset)
    return Prepared(statement.format(now=now, wakeup=_WAKEUP_TAKEN))


@lru_cache(maxsize=16)
def _end_lapsed(clock: str) -> Prepared:
    return Prepared(_END_LAPSED.format(now=clock))


def _wakeup_of(connection: Connection, thread: str) -> Wakeup | None:
    row = _WAKEUP.first(connection, {"thread": thread})
    return None if row is None else _wakeup(row)


def _wakeup_taken(thread: str, taken: rows.Row) -> Wakeup | None:
    if taken["wakeup_version"] is None:
        return None
    return Wakeup(
        thread=thread,
        agent=taken["wakeup_agent"],
        version=taken["wakeup_version"],
        attempts=taken["wakeup_attempts"],
    )


def _moved(
    connection: Connection, statement: Prepared, values: Mapping[str, Any]
) -> bool:
    return statement.run(connection, values) == 1


def _key(turn: Turn) -> dict[str, Any]:
    return {"thread": turn.thread, "worker": turn.worker, "fence": turn.fence}


def _wakeups() -> Select[Any]:
    columns = t.wakeups.c
    return select(columns.thread, columns.agent, columns.version, columns.attempts)


def _wakeup(row: rows.Row) -> Wakeup:
    return Wakeup(
        thread=row["thread"],
        agent=row["agent"],
        version=row["version"],
        attempts=row["attempts"],
    )


def _turn(row: rows.Row) -> Turn:
    return Turn(
        thread=row["thread"],
        agent=row["agent"],
        worker=row["worker"],
        fence=row["fence"],
        taken_at=row["taken_at"],
        lease_until=row["lease_until"],
    )


def _worker(row: rows.Row, threads: tuple[str, ...], now: int) -> Worker:
    return Worker(
        id=row["id"],
        host=row["host"],
        pid=row["pid"],
        agents=tuple(rows.from_json(row["agents"])),
        concurrency=row["concurrency"],
        started_at=row["started_at"],
        beat_at=row["beat_at"],
        alive=row["alive_until"] > now,
        threads=threads,
    )
