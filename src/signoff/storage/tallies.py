"""Counts over what was recorded, by agent and tool. The database counts, not we."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from typing import Any, Final

from sqlalchemy import (
    ColumnElement,
    Connection,
    Select,
    and_,
    case,
    distinct,
    func,
    select,
)

from signoff.domain.actions import ToolTraits
from signoff.domain.advice import Counts, Judged
from signoff.storage import rows
from signoff.storage import tables as t
from signoff.storage.paging import RANKS
from signoff.storage.records import GATE, took_statement

MOST_ROWS: Final = 5_000
_A: Final = t.actions.c
_R: Final = t.requests.c
_E: Final = t.entries.c
_TOOL: Final = (_A.agent, _A.tool)


class SqlTallies:
    """The reads of the port that count; each is bounded by its number of rows."""

    _connection: Connection

    def judged(self, since: int, agent: str | None) -> Sequence[Judged]:
        by = (*_TOOL, _A.verdict, _A.rule, _A.policy_version)
        calls = func.count().label("calls")
        statement = (
            select(
                *by,
                calls,
                func.count(_A.error).label("failing"),
                func.max(_A.proposed_at).label("last"),
                func.min(_A.traits).label("least"),
                func.max(_A.traits).label("most"),
            )
            .where(_A.proposed_at >= since, _A.policy_version != GATE)
            .group_by(*by)
            .order_by(calls.desc(), *by)
        )
        return [_judged(row) for row in self._rows(statement, agent)]

    def counted(self, since: int, agent: str | None, hasty: int) -> Iterable[Counts]:
        """How requests ended, how long people took, how effects went."""
        for row in self._rows(_ends(since), agent):
            names = (*_ENDS, "people")
            numbers = {name: int(row[name] or 0) for name in names}
            risk = next(r for r, rank in RANKS.items() if rank == row["rank"])
            yield Counts(
                agent=row["agent"], tool=row["tool"], numbers=numbers, risk=risk
            )
        for row in self._rows(took_statement(since, agent, *_TOOL, hasty=hasty), None):
            pace: dict[str, float] = {
                "votes": row["count"],
                "hasty": int(row["hasty"]),
                "median": round(float(row["median"]) / 1_000_000, 3),
            }
            yield Counts(agent=row["agent"], tool=row["tool"], numbers=pace)
        for row in self._rows(_effects(since), agent):
            numbers = {name: int(row[name] or 0) for name in _EFFECTS}
            yield Counts(agent=row["agent"], tool=row["tool"], numbers=numbers)

    def _rows(self, statement: Select[Any], agent: str | None) -> Sequence[rows.Row]:
        if agent is not None:
            statement = statement.where(_A.agent == agent)
        found = self._connection.execute(statement.limit(MOST_ROWS))
        return found.mappings().all()


def _sum(condition: ColumnElement[bool], name: str) -> ColumnElement[int]:
    return func.sum(case((condition, 1), else_=0)).label(name)


_ENDS: Final = {
    "unchanged": and_(_R.status == "approved", _R.revision == 1),
    "edited": and_(_R.status == "approved", _R.revision > 1),
    **{
        name: _R.status == name
        for name in ("rejected", "responded", "expired", "cancelled", "pending")
    },
}
_EFFECTS: Final = {
    **{
        state: and_(_E.request_id.is_not(None), _E.state == state)
        for state in ("done", "failed", "unknown")
    },
    "allowed_ended": and_(
        _E.request_id.is_(None), _E.state.in_(("done", "failed", "unknown"))
    ),
    "allowed_bad": and_(_E.request_id.is_(None), _E.state.in_(("failed", "unknown"))),
}


def _ends(since: int) -> Select[Any]:
    approver = case((_R.status == "approved", _R.settled_by))
    return (
        select(
            *_TOOL,
            *(_sum(condition, name) for name, condition in _ENDS.items()),
            func.count(distinct(approver)).label("people"),
            func.min(_R.risk_rank).label("rank"),
        )
        .join(t.requests, _R.action_id == _A.id)
        .where(_R.asked_at >= since, _R.kind != GATE)
        .group_by(*_TOOL)
        .order_by(func.count().desc(), *_TOOL)
    )


def _effects(since: int) -> Select[Any]:
    return (
        select(*_TOOL, *(_sum(found, name) for name, found in _EFFECTS.items()))
        .join(t.entries, _E.action_id == _A.id)
        .where(_A.proposed_at >= since)
        .group_by(*_TOOL)
        .order_by(func.count().desc(), *_TOOL)
    )


def _judged(row: rows.Row) -> Judged:
    said = [_traits(row[name]) for name in ("least", "most")]
    return Judged(
        agent=row["agent"],
        tool=row["tool"],
        verdict=row["verdict"],
        rule=row["rule"],
        version=row["policy_version"],
        calls=row["calls"],
        failing=row["failing"],
        last=row["last"],
        traits=ToolTraits(
            read_only=all(one.read_only for one in said),
            destructive=any(one.destructive for one in said),
            idempotent=all(one.idempotent for one in said),
            open_world=any(one.open_world for one in said),
        ),
    )


def _traits(text: str) -> ToolTraits:
    try:
        return ToolTraits(**json.loads(text))
    except (TypeError, ValueError):
        return ToolTraits()  # nothing is taken as destructive
