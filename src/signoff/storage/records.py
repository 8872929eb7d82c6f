"""Reads about what was recorded over a time: calls to replay, and how people took."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Final

from sqlalchemy import (
    Column,
    Connection,
    Float,
    Select,
    case,
    cast,
    func,
    or_,
    select,
)

from signoff.domain.actions import Action, Context, ToolTraits
from signoff.domain.errors import PolicyError
from signoff.domain.requests import read_terms
from signoff.domain.simulation import Past, Took
from signoff.storage import rows
from signoff.storage import tables as t

_A: Final = t.actions.c
_R: Final = t.requests.c
_V: Final = t.votes.c
GATE: Final = "gate"


def past_statement(
    after: tuple[int, str], *, until: int, agent: str | None, limit: int
) -> Select[Any]:
    """A page of recorded calls in the order of time.

    The calls of one moment are few: one transaction's batch.
    """
    at, last = after
    statement = (
        select(t.actions)
        .where(
            _A.proposed_at >= at,
            _A.proposed_at < until,
            or_(_A.proposed_at > at, _A.id > last),
        )
        .order_by(_A.proposed_at, _A.id)
        .limit(limit)
    )
    return statement if agent is None else statement.where(_A.agent == agent)


def asked_statement(actions: Sequence[str]) -> Select[Any]:
    """The first requests of these calls. A join would tempt a planner to read all."""
    found = select(_R.action_id, _R.kind, _R.terms)
    return found.where(_R.action_id.in_(actions), _R.ask == 1)


def took_statement(
    since: int, agent: str | None, *by: Column[Any], hasty: int = 0
) -> Select[Any]:
    """The median of asked -> decided over the votes, for each of `by`.

    Also how many took less than `hasty` microseconds. Neither database has a median
    that the other has: it is the mean of the one or two votes in the middle.
    """
    took = (_V.at - _R.asked_at).label("took")
    within = by or None
    votes = (
        select(
            *by,
            took,
            func.row_number()
            .over(partition_by=within, order_by=(took, _V.principal))
            .label("n"),
            func.count().over(partition_by=within).label("count"),
            func.sum(case((took < hasty, 1), else_=0))
            .over(partition_by=within)
            .label("hasty"),
        )
        .join(t.requests, _R.id == _V.request_id)
        .join(t.actions, _A.id == _R.action_id)
        .where(_R.asked_at >= since, _R.kind != GATE)
    )
    if agent is not None:
        votes = votes.where(_A.agent == agent)
    ranked = votes.subquery()
    n, count = ranked.c.n, ranked.c.count
    keys = [ranked.c[column.name] for column in by]
    same = (*keys, count, ranked.c.hasty)
    return (
        select(*same, func.avg(cast(ranked.c.took, Float)).label("median"))
        .where(2 * n >= count, 2 * n <= count + 2)
        .group_by(*same)
        .order_by(count.desc(), *keys)
    )


class SqlRecords:
    """The reads of the port that are about what was recorded over a time."""

    _connection: Connection

    def past_actions(
        self, after: tuple[int, str], *, until: int, agent: str | None, limit: int
    ) -> Sequence[Past]:
        statement = past_statement(after, until=until, agent=agent, limit=limit)
        page = self._connection.execute(statement).mappings().all()
        asking = asked_statement([row["id"] for row in page])
        asked = self._connection.execute(asking).mappings()
        by_action = {row["action_id"]: row for row in asked}
        return [_past(row, by_action.get(row["id"])) for row in page]

    def took(self, since: int, agent: str | None) -> Iterable[Took]:
        for by in ((_A.tool,), ()):
            found = self._connection.execute(took_statement(since, agent, *by))
            for row in found.mappings():
                yield Took(
                    tool=row["tool"] if by else None,
                    decisions=row["count"],
                    median=round(float(row["median"]) / 1_000_000, 3),
                )

    def versions_used(self, since: int, until: int) -> Sequence[str]:
        found = (
            select(_A.policy_version)
            .where(_A.proposed_at >= since, _A.proposed_at < until)
            .distinct()
            .order_by(_A.policy_version)
        )
        return list(self._connection.execute(found).scalars())


def _past(row: rows.Row, asked: rows.Row | None) -> Past:
    return Past(
        id=row["id"],
        at=row["proposed_at"],
        tool=row["tool"],
        verdict=row["verdict"],
        action=_action(row),
        gate=asked is not None and asked["kind"] == GATE,
        decisions=0 if asked is None else _decisions(asked["terms"]),
    )


def _action(row: rows.Row) -> Action | None:
    """The call of a row; None if somebody wrote there what nobody can read."""
    try:
        args = dict(rows.from_json(row["args"]))
        traits = ToolTraits(**rows.from_json(row["traits"]))
    except (TypeError, ValueError):
        return None
    context = Context(
        thread=row["thread"],
        agent=row["agent"],
        user=row["user_id"],
        team=row["team"],
    )
    return Action(
        context=context,
        message_id=row["message_id"],
        call_id=row["call_id"],
        tool=row["tool"],
        args=args,
        traits=traits,
    )


def _decisions(terms: str) -> int:
    """How many people had to agree, at least."""
    try:
        return read_terms(rows.from_json(terms)).approvals
    except (AttributeError, KeyError, TypeError, ValueError, PolicyError):
        return 1  # somebody wrote there what nobody can read
