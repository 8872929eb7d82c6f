"""One transaction on one thread. Every move is one conditional statement."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, cast

from sqlalchemy import (
    BigInteger,
    ColumnElement,
    Connection,
    Exists,
    Table,
    Update,
    UpdateBase,
    and_,
    bindparam,
    distinct,
    false,
    func,
    literal,
    literal_column,
    or_,
    select,
    text,
)
from sqlalchemy.dialects import postgresql, sqlite

from signoff.domain import journal, ledger
from signoff.domain import requests as life
from signoff.domain.journal import Entry, EntryState
from signoff.domain.ledger import Fact
from signoff.domain.principals import Token
from signoff.domain.requests import Request, Status, Vote
from signoff.ports import KnownTool, Ruled
from signoff.storage import rows
from signoff.storage import tables as t
from signoff.storage.delegating import WritingDelegations
from signoff.storage.outbox import Telling
from signoff.storage.pausing import PausesWriting, after, shared_lock
from signoff.storage.reading import SqlReading
from signoff.storage.stages import StageWriting
from signoff.storage.turns import TurnsWriting

_INSERTS: Final[Mapping[str, Callable[[Any], sqlite.Insert]]] = {
    "sqlite": sqlite.insert,
    # Its conflict clauses are spelled the same; the types don't know.
    "postgresql": cast("Callable[[Any], sqlite.Insert]", postgresql.insert),
}
_SEAL: Final = (
    t.chains.update()
    .where(t.chains.c.thread == bindparam("chain"))
    .values(seq=bindparam("at_seq"), head=bindparam("at_head"))
)


class SqlWriting(
    StageWriting, SqlReading, Telling, PausesWriting, WritingDelegations, TurnsWriting
):
    """The moves of the port, in the transaction of `connection`."""

    def __init__(self, connection: Connection, offset: int, thread: str) -> None:
        super().__init__(connection, offset)
        self._thread = thread
        self._facts: list[Fact] = []
        self._insert = _INSERTS[connection.dialect.name]
        lock = shared_lock(connection.dialect.name)
        # The upsert takes the thread's row lock and reads the clock after the wait.
        opened = connection.execute(
            text(
                "INSERT INTO chains (thread, seq, head) VALUES (:thread, 0, :head) "  # noqa: S608 - our clock
                "ON CONFLICT (thread) DO UPDATE SET thread = excluded.thread "
                f"RETURNING seq, head, {lock} AS shared, {self._clock} AS clock"
            ),
            {"thread": thread, "head": ledger.GENESIS},
        ).one()
        self._seq, self._head, self._now = opened.seq, opened.head, int(opened.clock)

    def now(self) -> int:
        """The database clock when the thread's lock was taken."""
        return self._now

    def record(self, *facts: Fact) -> None:
        self._facts.extend(facts)

    def seal(self) -> None:
        """Append the facts to the chain; the last thing before the commit."""
        if not self._facts:
            return
        sealed = []
        for fact in self._facts:
            event = ledger.append(
                self._thread, self._seq + 1, self._now, fact, self._head
            )
            self._seq, self._head = event.seq, event.hash
            sealed.append(rows.event_row(event))
        self._connection.execute(t.events.insert(), sealed)
        self._connection.execute(
            _SEAL,
            {"chain": self._thread, "at_seq": self._seq, "at_head": self._head},
        )

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

    def add_entry(self, entry: Entry, *, request: Request | None) -> bool:
        row = rows.entry_row(entry)
        statement = self._insert(t.entries)
        if request is None:
            return self._added(t.entries, row)
        names = [column.name for column in t.entries.columns]
        values = [
            literal(row[name], t.entries.c[name].type).label(name) for name in names
        ]
        guarded = select(*values).where(self._approved(request))
        # SQLite's grammar needs a WHERE between SELECT and ON CONFLICT; there is one.
        return self._changed(
            statement.from_select(names, guarded).on_conflict_do_nothing()
        )

    def restart_entry(
        self, entry: Entry, move: str, *, worker: str, lease: int
    ) -> bool:
        to = journal.step(entry.state, move)
        return self._changed(
            self._entry(entry).values(
                state=to.value,
                attempt=entry.attempt + (1 if move == "retry" else 0),
                worker=worker,
                lease_until=self._now + lease,
                started_at=self._now,
                finished_at=None,
                result=None,
                summary=None,
                changed_at=self._now,
            )
        )

    def move_entry(
        self,
        entry: Entry,
        move: str,
        *,
        result: bytes | None = None,
        summary: str | None = None,
        lapsed: bool = False,
    ) -> bool:
        to = journal.step(entry.state, move)
        statement = self._entry(entry)
        if lapsed:
            statement = statement.where(t.entries.c.lease_until <= self._sql_now())
        return self._changed(
            statement.values(
                state=to.value,
                finished_at=None if to is EntryState.RUNNING else self._now,
                result=result,
                summary=summary,
                changed_at=self._now,
            )
        )

    def wake(self, agent: str | None) -> None:
        insert = self._insert(t.wakeups).values(
            thread=self._thread,
            agent=agent,
            since=self._now,
            # Every wake-up stands beside a fact, so its place in the chain is new.
            version=self._seq + len(self._facts),
            due_at=0,
            attempts=0,
            error=None,
        )
        # A new reason is tried at once, whatever became of the last one.
        names = ("version", "agent", "due_at", "attempts", "error")
        news = {name: insert.excluded[name] for name in names}
        self._connection.execute(
            insert.on_conflict_do_update(index_elements=["thread"], set_=news)
        )

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

    def _approved(self, request: Request) -> Exists:
        """Approved, still valid, unchanged, by enough people who saw this digest.

        Which people those must be is the domain's rule; this is its lower bound.
        """
        r, v = t.requests.c, t.votes.c
        least = request.terms.approvals
        people, rights = (
            select(func.count(distinct(who)))
            .where(
                v.request_id == r.id,
                v.revision == r.revision,
                v.digest == r.digest,
                v.kind.in_(("approve", "edit")),
            )
            .scalar_subquery()
            for who in (v.principal, func.coalesce(v.behalf, v.principal))
        )
        return (
            select(literal(1))
            .where(
                r.id == request.id,
                r.status == Status.APPROVED.value,
                r.digest == request.digest,
                (r.valid_until.is_(None)) | (r.valid_until > self._sql_now()),
                or_(and_(people >= least, rights >= least), self._by_silence(request)),
            )
            .exists()
        )

    def _by_silence(self, request: Request) -> ColumnElement[bool]:
        """Approved by its deadline: as its terms say, and as the ledger has it."""
        if not life.approves_by_silence(request):
            return false()
        r, e = t.requests.c, t.events.c
        told = select(literal(1)).where(
            e.thread == r.thread,
            e.subject == r.id,
            e.kind == Status.APPROVED.value,
            e.actor.is_(None),
        )
        return and_(
            r.terms == rows.content_row(request)["terms"],
            r.risk == request.risk,
            r.settled_by.is_(None),
            r.settled_at >= r.expires_at,
            told.exists(),
        )

    def _entry(self, entry: Entry) -> Update:
        columns = t.entries.c
        return t.entries.update().where(
            columns.id == entry.id,
            columns.state == entry.state.value,
            columns.attempt == entry.attempt,
        )

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
