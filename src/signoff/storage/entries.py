"""Moves of journal entries, whose statements are made once and then only filled."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Any, Final, Protocol, cast

from sqlalchemy import (
    BigInteger,
    ColumnElement,
    Connection,
    Exists,
    Select,
    Update,
    and_,
    bindparam,
    distinct,
    func,
    literal_column,
    or_,
    select,
)
from sqlalchemy.dialects import postgresql, sqlite

from signoff.domain import journal
from signoff.domain import requests as life
from signoff.domain.journal import Entry, EntryState
from signoff.domain.ledger import Fact
from signoff.domain.requests import Request, Status
from signoff.storage import rows
from signoff.storage import tables as t
from signoff.storage.moves import Move

INSERTS: Final[Mapping[str, Callable[[Any], sqlite.Insert]]] = {
    "sqlite": sqlite.insert,
    # Its conflict clauses are spelled the same; the types don't know.
    "postgresql": cast("Callable[[Any], sqlite.Insert]", postgresql.insert),
}
_E: Final = t.entries.c
_AS_IT_WAS: Final = t.entries.update().where(
    _E.id == bindparam("entry"),
    _E.state == bindparam("was"),
    _E.attempt == bindparam("of_attempt"),
)
_NEW: Final = {
    column.name: bindparam(f"new_{column.name}", type_=column.type) for column in _E
}
# The others may be left out where they are NULL: most of them are, in most entries.
_FILLED: Final = frozenset(column.name for column in _E if not column.nullable)
_MOVED: Final = ("state", "finished_at", "result", "summary", "changed_at")
_RESTARTED: Final = (*_MOVED, "attempt", "worker", "lease_until", "started_at")


class _Moving(Protocol):
    def __call__(
        self, move: Move, values: Mapping[str, Any], told: Fact | None
    ) -> bool: ...


class EntriesWriting:
    """Moves of entries, in one transaction."""

    _connection: Connection
    _clock: str
    _now: int
    _seq: int
    _facts: list[Fact]
    _moved: _Moving

    def place(self) -> int:
        # That of the event that comes next: it grows with every entry of the thread.
        return self._seq + len(self._facts) + 1

    def add_entry(self, entry: Entry, *, request: Request | None, told: Fact) -> bool:
        dialect = self._connection.dialect.name
        row = rows.entry_row(entry) | {"seq": self.place()}
        names = tuple(name for name in row if row[name] is not None or name in _FILLED)
        values = {f"new_{name}": row[name] for name in names}
        if request is None:
            return self._moved(_add(dialect, names), values, told)
        silent = life.approves_by_silence(request)
        values |= _approval(request, silent=silent)
        claim = _claim(dialect, self._clock, names, silent=silent)
        return self._moved(claim, values, told)

    def restart_entry(
        self, entry: Entry, move: str, *, worker: str, lease: int
    ) -> bool:
        to = journal.step(entry.state, move)
        news = {
            "state": to.value,
            "attempt": entry.attempt + (1 if move == "retry" else 0),
            "worker": worker,
            "lease_until": self._now + lease,
            "started_at": self._now,
            "finished_at": None,
            "result": None,
            "summary": None,
            "changed_at": self._now,
        }
        return self._moved(_RESTART, _filled(entry, news), None)

    def move_entry(
        self,
        entry: Entry,
        move: str,
        *,
        result: bytes | None = None,
        summary: str | None = None,
        lapsed: bool = False,
        told: Fact | None = None,
    ) -> bool:
        to = journal.step(entry.state, move)
        news = {
            "state": to.value,
            "finished_at": None if to is EntryState.RUNNING else self._now,
            "result": result,
            "summary": summary,
            "changed_at": self._now,
        }
        statement = _lose(self._clock) if lapsed else _MOVE
        return self._moved(statement, _filled(entry, news), told)


def _filled(entry: Entry, news: Mapping[str, Any]) -> dict[str, Any]:
    values = {f"new_{name}": value for name, value in news.items()}
    was = {"entry": entry.id, "was": entry.state.value, "of_attempt": entry.attempt}
    return {**values, **was}


def _setting(names: tuple[str, ...]) -> Update:
    return _AS_IT_WAS.values({name: bindparam(f"new_{name}") for name in names})


_MOVE: Final = Move(_setting(_MOVED))
_RESTART: Final = Move(_setting(_RESTARTED))


@lru_cache(maxsize=16)
def _lose(clock: str) -> Move:
    return Move(_setting(_MOVED).where(_E.lease_until <= _sql_now(clock)))


@lru_cache(maxsize=32)
def _add(dialect: str, names: tuple[str, ...]) -> Move:
    row = {name: _NEW[name] for name in names}
    return Move(INSERTS[dialect](t.entries).values(row).on_conflict_do_nothing())


@lru_cache(maxsize=32)
def _claim(dialect: str, clock: str, names: tuple[str, ...], *, silent: bool) -> Move:
    row = [_NEW[name] for name in names]
    guarded = select(*row).where(_approved(clock, silent=silent))
    # SQLite's grammar needs a WHERE between SELECT and ON CONFLICT; there is one.
    insert = INSERTS[dialect](t.entries).from_select(names, guarded)
    return Move(insert.on_conflict_do_nothing())


def _approval(request: Request, *, silent: bool) -> dict[str, Any]:
    """What fills `_approved`."""
    seen = {
        "request": request.id,
        "seen_digest": request.digest,
        "least": request.terms.approvals,
    }
    if silent:
        seen["seen_terms"] = rows.content_row(request)["terms"]
        seen["seen_risk"] = request.risk
    return seen


def _approved(clock: str, *, silent: bool) -> Exists:
    """Approved, still valid, unchanged, by enough people who saw this digest.

    Which people those must be is the domain's rule; this is its lower bound.
    """
    r, v = t.requests.c, t.votes.c
    least = bindparam("least", type_=BigInteger)
    people, rights = (
        select(func.count(distinct(who)))
        .where(
            v.request_id == r.id,
            v.revision == r.revision,
            v.digest == r.digest,
            or_(v.kind == "approve", v.kind == "edit"),
        )
        .scalar_subquery()
        for who in (v.principal, func.coalesce(v.behalf, v.principal))
    )
    agreed: ColumnElement[bool] = and_(people >= least, rights >= least)
    return (
        select(literal_column("1"))
        .where(
            r.id == bindparam("request"),
            r.status == Status.APPROVED.value,
            r.digest == bindparam("seen_digest"),
            (r.valid_until.is_(None)) | (r.valid_until > _sql_now(clock)),
            or_(agreed, _by_silence()) if silent else agreed,
        )
        .exists()
    )


def _by_silence() -> ColumnElement[bool]:
    """Approved by its deadline: as its terms say, and as the ledger has it."""
    r, e = t.requests.c, t.events.c
    told: Select[Any] = select(literal_column("1")).where(
        e.thread == r.thread,
        e.subject == r.id,
        e.kind == Status.APPROVED.value,
        e.actor.is_(None),
    )
    return and_(
        r.terms == bindparam("seen_terms"),
        r.risk == bindparam("seen_risk"),
        r.settled_by.is_(None),
        r.settled_at >= r.expires_at,
        told.exists(),
    )


def _sql_now(clock: str) -> ColumnElement[int]:
    return literal_column(clock, BigInteger)
