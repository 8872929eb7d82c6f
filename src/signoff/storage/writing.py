"""One transaction on one thread. Every move is one conditional statement."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any, Final

from sqlalchemy import (
    BigInteger,
    ColumnElement,
    Connection,
    Table,
    Update,
    UpdateBase,
    literal_column,
)

from signoff.domain import ledger
from signoff.domain import requests as life
from signoff.domain.ledger import Event, Fact
from signoff.domain.principals import Token
from signoff.domain.requests import Request, Status, Vote
from signoff.ports import KnownTool, Ruled
from signoff.storage import rows
from signoff.storage import tables as t
from signoff.storage.delegating import WritingDelegations
from signoff.storage.entries import INSERTS, EntriesWriting
from signoff.storage.moves import Move, append
from signoff.storage.outbox import Telling
from signoff.storage.pausing import PausesWriting, after, shared_lock
from signoff.storage.prepared import Prepared
from signoff.storage.purging import PurgingWriting
from signoff.storage.reading import SqlReading
from signoff.storage.stages import StageWriting
from signoff.storage.turns import TurnsWriting
from signoff.storage.undoing import UndosWriting

# A new reason is tried at once, whatever became of the last one.
_WAKE: Final = Prepared(
    "INSERT INTO wakeups (thread, agent, since, version, due_at, attempts, error) "
    "VALUES (:thread, :agent, :since, :version, 0, 0, NULL) "
    "ON CONFLICT (thread) DO UPDATE SET agent = excluded.agent, "
    "version = excluded.version, due_at = 0, attempts = 0, error = NULL"
)


@lru_cache(maxsize=16)
def _opening(dialect: str, clock: str) -> Prepared:
    # The upsert takes the thread's row lock and reads the clock after the wait.
    return Prepared(
        "INSERT INTO chains (thread, seq, head) VALUES (:thread, 0, :head) "  # noqa: S608 - our clock
        "ON CONFLICT (thread) DO UPDATE SET thread = excluded.thread "
        f"RETURNING seq, head, {shared_lock(dialect)} AS shared, {clock} AS clock"
    )


class SqlWriting(
    StageWriting,
    EntriesWriting,
    UndosWriting,
    PurgingWriting,
    SqlReading,
    Telling,
    PausesWriting,
    WritingDelegations,
    TurnsWriting,
):
    """The moves of the port, in the transaction of `connection`."""

    def __init__(self, connection: Connection, offset: int, thread: str) -> None:
        super().__init__(connection, offset)
        self._thread = thread
        self._facts: list[Fact] = []
        self._insert = INSERTS[connection.dialect.name]
        (opened,) = _opening(connection.dialect.name, self._clock).all(
            connection, {"thread": thread, "head": ledger.GENESIS}
        )
        self._seq, self._head = opened["seq"], opened["head"]
        self._now = int(opened["clock"])

    def now(self) -> int:
        """The database clock when the thread's lock was taken."""
        return self._now

    def record(self, *facts: Fact) -> None:
        self._facts.extend(facts)

    def seal(self) -> None:
        """Append the facts to the chain; the last thing before the commit."""
        if not self._facts:
            return
        events = []
        for fact in self._facts:
            events.append(self._next(fact))
            self._passed(events[-1])
        append(self._connection, events)

    def _next(self, fact: Fact) -> Event:
        return ledger.append(self._thread, self._seq + 1, self._now, fact, self._head)

    def _passed(self, event: Event) -> None:
        self._seq, self._head = event.seq, event.hash

    def _moved(self, move: Move, values: Mapping[str, Any], told: Fact | None) -> bool:
        if told is None or self._facts:
            moved = move.run(self._connection, values)
            if moved and told is not None:
                self.record(told)
            return moved
        event = self._next(told)
        moved = move.run_and_tell(self._connection, values, event)
        if moved:
            self._passed(event)
        return moved

    def add_actions(self, ruled: Sequence[Ruled]) -> None:
        added = [rows.action_row(one, self._now) for one in ruled]
        self._connection.execute(
            self._insert(t.actions).on_conflict_do_nothing(), added
        )

    def add_request(self, request: Request) -> bool:
        return self._added(t.requests, rows.request_row(request))

    def add_vote(self, vote: Vote) -> bool:
        return self._added(t.votes, rows.vote_row(vote))

    def touch_request(self, request: Request) -> bool:
        return self._changed(self._pending(request).values(changed_at=after(self._now)))

    def amend_request(self, request: Request, *, was: Request) -> bool:
        life.step(was.status, "repropose")
        return self._changed(
            self._pending(was).values(
                **rows.content_row(request), changed_at=after(self._now)
            )
        )

    def settle_request(
        self,
        request: Request,
        to: Status,
        *,
        by: str | None,
        outcome: Mapping[str, Any],
        late: bool = False,
    ) -> bool:
        columns = t.requests.c
        statement = self._pending(request, in_time=not late)
        if by is None:
            # Only the deadline settles in nobody's name, and only once it has passed.
            statement = statement.where(
                columns.expires_at <= self._sql_now(), columns.frozen_at.is_(None)
            )
        valid = request.terms.valid_for
        until = (
            None if valid is None or to is not Status.APPROVED else self._now + valid
        )
        return self._changed(
            statement.values(
                status=to.value,
                settled_at=self._now,
                settled_by=by,
                outcome=rows.to_json(outcome),
                valid_until=until,
                changed_at=after(self._now),
            )
        )

    def assign_request(self, request: Request, to: str | None) -> bool:
        return self._changed(
            self._pending(request).values(assignee=to, changed_at=after(self._now))
        )

    def advance_request(self, request: Request, *, was: Request) -> bool:
        columns = t.requests.c
        return self._changed(
            self._pending(was, in_time=False)
            .where(
                columns.level == was.level,
                columns.due_at <= self._sql_now(),
                columns.frozen_at.is_(None),
            )
            .values(
                level=request.level,
                due_at=request.due_at,
                terms=rows.content_row(request)["terms"],
                changed_at=after(self._now),
            )
        )

    def wake(self, agent: str | None) -> None:
        values = {
            "thread": self._thread,
            "agent": agent,
            "since": self._now,
            # Every wake-up stands beside a fact, so its place in the chain is new.
            "version": self._seq + len(self._facts),
        }
        _WAKE.run(self._connection, values)

    def add_token(self, token: Token, secret_hash: str) -> None:
        row = {**rows.token_row(token), "secret_hash": secret_hash}
        self._connection.execute(t.tokens.insert(), row)

    def revoke_token(self, token_id: str) -> bool:
        return self._changed(
            t.tokens.update()
            .where(t.tokens.c.id == token_id, t.tokens.c.revoked_at.is_(None))
            .values(revoked_at=self._now)
        )

    def add_tools(self, tools: Sequence[KnownTool]) -> None:
        insert = self._insert(t.tools)
        news = {
            name: insert.excluded[name] for name in ("description", "schema", "traits")
        }
        statement = insert.on_conflict_do_update(
            index_elements=["agent", "name"], set_=news
        )
        self._connection.execute(statement, [rows.tool_row(tool) for tool in tools])

    def add_policy(self, version: str, rules: Sequence[Mapping[str, Any]]) -> bool:
        row = {
            "version": version,
            "rules": rows.to_json(rules),
            "published_at": self._now,
        }
        return self._added(t.policies, row)

    def _pending(self, request: Request, *, in_time: bool = True) -> Update:
        columns = t.requests.c
        statement = t.requests.update().where(
            columns.id == request.id,
            columns.status == Status.PENDING.value,
            columns.revision == request.revision,
            columns.digest == request.digest,
        )
        if in_time:
            stands_still = columns.frozen_at.is_not(None)
            statement = statement.where(
                (columns.expires_at > self._sql_now()) | stands_still
            )
        return statement

    def _sql_now(self) -> ColumnElement[int]:
        return literal_column(self._clock, BigInteger)

    def _added(self, table: Table, row: Mapping[str, Any]) -> bool:
        return self._changed(self._insert(table).on_conflict_do_nothing(), row)

    def _changed(
        self, statement: UpdateBase, values: Mapping[str, Any] | None = None
    ) -> bool:
        # A closed cursor of psycopg knows no rowcount; after an INSERT it is closed.
        result = self._connection.execute(
            statement, values or {}, execution_options={"preserve_rowcount": True}
        )
        return bool(result.rowcount == 1)
