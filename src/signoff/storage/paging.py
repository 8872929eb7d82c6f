"""Keyset pages: each order has an index that ends in the id, so a page is one seek."""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Mapping
from typing import Any, Final

from sqlalchemy import Column, ColumnElement, Select, select, tuple_
from sqlalchemy import func as sql

from signoff.domain.actions import check_texts
from signoff.domain.errors import InvalidSetting
from signoff.domain.rules import Risk
from signoff.ports import Filter
from signoff.storage.tables import requests as r

MAX_LIMIT: Final = 200
_ORDERS: Final[dict[str, tuple[Column[Any], ...]]] = {
    "deadline": (r.c.expires_at, r.c.id),
    "risk": (r.c.risk_rank, r.c.expires_at, r.c.id),
    "newest": (r.c.asked_at, r.c.id),
}
_EQUAL: Final[dict[str, Column[Any]]] = {
    "thread": r.c.thread,
    "agent": r.c.agent,
    "tool": r.c.tool,
    "team": r.c.team,
    "assignee": r.c.assignee,
}
_BEYOND_64_BITS: Final = 2**63
RANKS: Final = {risk.value: risk.rank for risk in Risk}


def page_statement(wanted: Filter) -> Select[Any]:
    """One row more than the page holds, so that the caller sees whether more follow.

    Raises:
        InvalidSetting: For an unknown order, a limit out of range or a bad cursor.
        PayloadRefused: For a text that no column could hold.
    """
    columns = _columns(wanted)
    statement = select(r).where(*_conditions(wanted)).limit(_limit(wanted) + 1)
    if wanted.cursor is not None:
        values = _read_cursor(wanted)
        after = tuple_(*columns)
        reached = tuple_(*values)
        statement = statement.where(
            after < reached if wanted.order == "newest" else after > reached
        )
    if wanted.order == "newest":
        return statement.order_by(*(column.desc() for column in columns))
    return statement.order_by(*columns)


def count_statement(wanted: Filter) -> Select[Any]:
    """How many requests the filter matches, whatever the page."""
    return select(sql.count()).select_from(r).where(*_conditions(wanted))


def cursor_after(wanted: Filter, row: Mapping[Any, Any]) -> str:
    """The cursor of the page that follows this row."""
    values = [row[column.name] for column in _columns(wanted)]
    packed = json.dumps([wanted.order, *values], separators=(",", ":")).encode()
    return base64.urlsafe_b64encode(packed).decode().rstrip("=")


def _columns(wanted: Filter) -> tuple[Column[Any], ...]:
    if wanted.order not in _ORDERS:
        known = ", ".join(_ORDERS)
        raise InvalidSetting("order", f"must be one of {known}, not {wanted.order!r}.")
    if wanted.status is None and wanted.order != "newest":
        raise InvalidSetting("order", "requests of any status are listed newest first.")
    return _ORDERS[wanted.order]


def _conditions(wanted: Filter) -> list[ColumnElement[bool]]:
    check_texts({name: getattr(wanted, name) for name in _EQUAL})
    found = [
        column == getattr(wanted, name)
        for name, column in _EQUAL.items()
        if getattr(wanted, name) is not None
    ]
    if wanted.risk is not None:
        # The rank is what the index by risk holds; no risk has the rank -1.
        found.append(r.c.risk_rank == RANKS.get(wanted.risk, -1))
    if wanted.status is not None:
        # A thread has few requests: without its statistics, SQLite would rather walk
        # the index of another order than sort them. An expression is in no index.
        sorted_after = wanted.thread is not None and wanted.order != "deadline"
        status = r.c.status.concat("") if sorted_after else r.c.status
        found.append(status == wanted.status.value)
    return found


def _limit(wanted: Filter) -> int:
    if not 1 <= wanted.limit <= MAX_LIMIT:
        raise InvalidSetting("limit", f"must be 1 to {MAX_LIMIT}, not {wanted.limit}.")
    return wanted.limit


def _fits_a_column(value: object) -> bool:
    """Whether PostgreSQL can compare with it: no NUL in a text, 64 bits in a number."""
    if isinstance(value, str):
        return "\0" not in value
    return not isinstance(value, int) or abs(value) < _BEYOND_64_BITS


def _read_cursor(wanted: Filter) -> list[Any]:
    text = wanted.cursor or ""
    try:
        padded = text + "=" * (-len(text) % 4)
        found = list(json.loads(base64.urlsafe_b64decode(padded)))
    except (binascii.Error, ValueError, TypeError):
        found = []
    order, values = found[:1], found[1:]
    types = [column.type.python_type for column in _columns(wanted)]
    right = order == [wanted.order] and [type(value) for value in values] == types
    if not right or not all(map(_fits_a_column, values)):
        raise InvalidSetting("cursor", "isn't one of this list; start without one.")
    return values
