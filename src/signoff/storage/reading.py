"""Reads: each method is one statement."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final

from sqlalchemy import (
    Connection,
    Executable,
    Table,
    bindparam,
    func,
    literal,
    select,
    text,
    true,
    tuple_,
    union,
)

from signoff.domain.journal import Entry, EntryState
from signoff.domain.ledger import GENESIS, Event
from signoff.domain.pauses import Pause
from signoff.domain.principals import Principal, PrincipalKind, Token
from signoff.domain.requests import Request, Vote
from signoff.ports import Filter, KnownTool, Page
from signoff.storage import paging, rows
from signoff.storage import tables as t
from signoff.storage.delegating import ReadingDelegations
from signoff.storage.engine import CLOCKS
from signoff.storage.outbox_reading import OutboxReading
from signoff.storage.pausing import PAUSE_COLUMNS, PausesReading
from signoff.storage.policies import SqlPolicies
from signoff.storage.prepared import Prepared
from signoff.storage.purging import PurgingReading
from signoff.storage.records import SqlRecords
from signoff.storage.stages import StageReading
from signoff.storage.tallies import SqlTallies
from signoff.storage.turns import TurnsReading
from signoff.storage.undoing import UndosReading

_IN_FLIGHT: Final = 100
_REQUEST_COLUMNS: Final = t.requests.columns.keys()
_ENTRY_COLUMNS: Final = t.entries.columns.keys()
_VOTE_COLUMNS: Final = t.votes.columns.keys()
_REQUEST: Final = Prepared(select(t.requests).where(t.requests.c.id == bindparam("id")))
_NEWEST: Final = (
    select(t.requests)
    .where(t.requests.c.action_id == bindparam("action_id"))
    .order_by(t.requests.c.ask.desc())
    .limit(1)
)
_REQUEST_OF: Final = Prepared(_NEWEST)
_ENTRY: Final = Prepared(select(t.entries).where(t.entries.c.id == bindparam("id")))
_VERDICT: Final = Prepared(
    select(t.actions.c.verdict).where(t.actions.c.id == bindparam("id"))
)
_ASKED: Final = _NEWEST.subquery("asked")
# One row, whatever is missing. Short names: psycopg takes a statement of more than
# 4,096 characters apart anew each time.
_STANDING: Final = Prepared(
    select(
        t.actions.c.verdict,
        *(column.label(f"r_{column.name}") for column in _ASKED.columns),
        *(column.label(f"e_{column.name}") for column in t.entries.columns),
    ).select_from(
        select(literal(1))
        .subquery("one")
        .outerjoin(t.actions, t.actions.c.id == bindparam("action_id"))
        .outerjoin(_ASKED, true())
        .outerjoin(t.entries, t.entries.c.id == bindparam("entry_id"))
    )
)
# Each pause beside each vote: as a rule there is no pause, and there are few votes.
_PAUSES_AND_VOTES: Final = Prepared(
    select(
        *(t.pauses.c[name].label(f"pause_{name}") for name in PAUSE_COLUMNS),
        *(column.label(f"vote_{column.name}") for column in t.votes.columns),
    )
    .select_from(
        select(literal(1))
        .subquery("one")
        .outerjoin(t.pauses, t.pauses.c.lifted_at.is_(None))
        .outerjoin(t.votes, t.votes.c.request_id == bindparam("request"))
    )
    .order_by(t.pauses.c.paused_at, t.pauses.c.id, t.votes.c.at, t.votes.c.principal)
)
_VOTES: Final = Prepared(
    select(t.votes)
    .where(t.votes.c.request_id == bindparam("request"))
    .order_by(t.votes.c.at, t.votes.c.principal)
)


class SqlReading(
    SqlPolicies,
    StageReading,
    OutboxReading,
    SqlRecords,
    SqlTallies,
    PausesReading,
    ReadingDelegations,
    UndosReading,
    PurgingReading,
    TurnsReading,
):
    """The reads of the port, on one connection."""

    def __init__(self, connection: Connection, offset: int) -> None:
        self._connection = connection
        self._clock = CLOCKS[connection.dialect.name].format(offset=int(offset))

    def now(self) -> int:
        return int(self._connection.execute(text(f"SELECT {self._clock}")).scalar_one())

    def request(self, request_id: str) -> Request | None:
        if "\0" in request_id:
            return None
        row = _REQUEST.first(self._connection, {"id": request_id})
        return None if row is None else rows.request_from(row)

    def requests_like(self, prefix: str) -> Sequence[str]:
        column = t.requests.c.id
        # Ids end in hexadecimal: "g" is after all of them under any collation.
        found = select(column).where(column >= prefix, column < prefix + "g").limit(3)
        return list(self._connection.execute(found).scalars())

    def request_of(self, action_id: str) -> Request | None:
        row = _REQUEST_OF.first(self._connection, {"action_id": action_id})
        return None if row is None else rows.request_from(row)

    def standing(
        self, action_id: str, entry_id: str
    ) -> tuple[str | None, Request | None, Entry | None]:
        values = {"action_id": action_id, "entry_id": entry_id}
        (found,) = _STANDING.all(self._connection, values)
        request = entry = None
        if found["r_id"] is not None:
            request = rows.request_from(_part(found, "r_", _REQUEST_COLUMNS))
        if found["e_id"] is not None:
            entry = rows.entry_from(_part(found, "e_", _ENTRY_COLUMNS))
        return found["verdict"], request, entry

    def requests_of_thread(self, thread: str) -> Sequence[Request]:
        columns = t.requests.c
        found = (
            select(t.requests)
            .where(columns.thread == thread)
            .order_by(columns.asked_at, columns.id)
        )
        return [rows.request_from(row) for row in self._all(found)]

    def ruled(self, action_id: str) -> str | None:
        row = _VERDICT.first(self._connection, {"id": action_id})
        return None if row is None else str(row["verdict"])

    def ruled_among(self, action_ids: Sequence[str]) -> frozenset[str]:
        column = t.actions.c.id
        found = select(column).where(column.in_(action_ids))
        return frozenset(self._connection.execute(found).scalars())

    def page(self, wanted: Filter) -> Page:
        found = self._all(paging.page_statement(wanted))
        shown = found[: wanted.limit]
        more = len(found) > wanted.limit
        return Page(
            requests=tuple(rows.request_from(row) for row in shown),
            next=paging.cursor_after(wanted, shown[-1]) if more else None,
        )

    def count(self, wanted: Filter) -> int:
        return int(
            self._connection.execute(paging.count_statement(wanted)).scalar_one()
        )

    def votes(self, request_id: str) -> Sequence[Vote]:
        found = _VOTES.all(self._connection, {"request": request_id})
        return [rows.vote_from(row) for row in found]

    def pauses_and_votes(
        self, request_id: str
    ) -> tuple[Sequence[Pause], Sequence[Vote]]:
        pauses, votes = dict[Pause, None](), dict[Vote, None]()
        for row in _PAUSES_AND_VOTES.all(self._connection, {"request": request_id}):
            if row["pause_id"] is not None:
                pauses[Pause(**_part(row, "pause_", PAUSE_COLUMNS))] = None
            if row["vote_request_id"] is not None:
                votes[rows.vote_from(_part(row, "vote_", _VOTE_COLUMNS))] = None
        return list(pauses), list(votes)

    def votes_of_thread(self, thread: str) -> Sequence[Vote]:
        found = (
            select(t.votes)
            .join(t.requests, t.requests.c.id == t.votes.c.request_id)
            .where(t.requests.c.thread == thread)
        )
        return [rows.vote_from(row) for row in self._all(found)]

    def entry(self, entry_id: str) -> Entry | None:
        if "\0" in entry_id:
            return None
        row = _ENTRY.first(self._connection, {"id": entry_id})
        return None if row is None else rows.entry_from(row)

    def entries(
        self, *, thread: str | None, state: EntryState | None, limit: int
    ) -> Sequence[Entry]:
        columns = t.entries.c
        found = select(t.entries).order_by(columns.started_at, columns.id).limit(limit)
        if thread is not None:
            found = found.where(columns.thread == thread)
        if state is not None:
            found = found.where(columns.state == state.value)
        return [rows.entry_from(row) for row in self._all(found)]

    def entries_of_thread(self, thread: str) -> Sequence[Entry]:
        columns = t.entries.c
        found = select(t.entries).where(columns.thread == thread)
        found = found.order_by(columns.seq, columns.started_at, columns.id)
        return [rows.entry_from(row) for row in self._all(found)]

    def events(self, thread: str) -> Sequence[Event]:
        found = select(t.events).where(t.events.c.thread == thread)
        return [
            rows.event_from(row) for row in self._all(found.order_by(t.events.c.seq))
        ]

    def events_about(self, thread: str, subjects: Sequence[str]) -> Sequence[Event]:
        found = (
            select(t.events)
            .where(t.events.c.thread == thread, t.events.c.subject.in_(subjects))
            .order_by(t.events.c.seq)
        )
        return [rows.event_from(row) for row in self._all(found)]

    def heads(self) -> Iterable[tuple[str, int, str]]:
        columns = t.chains.c
        kept = select(columns.thread, columns.seq, columns.head)
        # What stands in a table without a chain has lost it, or never had one.
        bare = [
            select(table.c.thread, literal(0), literal(GENESIS)).where(
                table.c.thread.not_in(select(columns.thread))
            )
            for table in (t.events, t.requests, t.entries, t.stages, t.outlines)
        ]
        found = union(kept, *bare).order_by("thread")
        return [(row[0], row[1], row[2]) for row in self._connection.execute(found)]

    def due(
        self, limit: int, after: tuple[int, str] = (0, "")
    ) -> Sequence[tuple[int, str]]:
        columns = t.requests.c
        found = (
            select(columns.due_at, columns.id)
            # Spelled out: a parameter would hide the partial index from the planner.
            .where(text(t.DUE))
            .with_hint(t.requests, t.SEEK[t.DUE], "sqlite")
            .where(
                columns.due_at <= self._clock_now(),
                tuple_(columns.due_at, columns.id) > tuple_(*map(literal, after)),
            )
            .order_by(columns.due_at, columns.id)
            .limit(limit)
        )
        return [(row[0], row[1]) for row in self._connection.execute(found)]

    def people(self) -> Sequence[Principal]:
        columns = t.tokens.c
        found = select(t.tokens).where(
            columns.kind == PrincipalKind.PERSON.value,
            columns.revoked_at.is_(None),
            (columns.expires_at.is_(None)) | (columns.expires_at > self._clock_now()),
        )
        return [rows.principal_from(row) for row in self._all(found)]

    def token(self, secret_hash: str) -> Token | None:
        columns = t.tokens.c
        found = select(t.tokens).where(
            columns.secret_hash == secret_hash,
            columns.revoked_at.is_(None),
            (columns.expires_at.is_(None)) | (columns.expires_at > self._clock_now()),
        )
        row = self._one(found)
        return None if row is None else rows.token_from(row)

    def tokens(self) -> Sequence[Token]:
        found = select(t.tokens).order_by(t.tokens.c.created_at, t.tokens.c.id)
        return [rows.token_from(row) for row in self._all(found)]

    def tools(self, agent: str | None = None) -> Sequence[KnownTool]:
        found = select(t.tools).order_by(t.tools.c.agent, t.tools.c.name)
        if agent is not None:
            found = found.where(t.tools.c.agent == agent)
        return [rows.tool_from(row) for row in self._all(found)]

    def changed(self) -> int:
        return sum(map(self._newest, (t.requests, t.entries, t.pauses)))

    def _newest(self, table: Table) -> int:
        # Not the newest alone: a slower transaction may commit an older time after it.
        newest = select(table.c.changed_at)
        newest = newest.order_by(table.c.changed_at.desc()).limit(_IN_FLIGHT)
        found = select(func.sum(newest.subquery().c.changed_at))
        return int(self._connection.execute(found).scalar() or 0)

    def _one(self, statement: Executable) -> rows.Row | None:
        return self._connection.execute(statement).mappings().first()

    def _all(self, statement: Executable) -> Sequence[rows.Row]:
        return self._connection.execute(statement).mappings().all()


def _part(found: rows.Row, prefix: str, names: Iterable[str]) -> rows.Row:
    """The columns of one of the tables that were read together."""
    return {name: found[prefix + name] for name in names}
