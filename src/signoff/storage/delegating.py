"""Delegations: who may use whose right now, and what that right is."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from sqlalchemy import (
    Select,
    case,
    select,
)

from signoff.domain.delegations import Delegation, Lent
from signoff.domain.principals import Principal, PrincipalKind
from signoff.storage import rows
from signoff.storage import tables as t
from signoff.storage.clocked import Clocked

_ALL: Final = select(t.delegations).order_by(
    t.delegations.c.made_at, t.delegations.c.id
)


class ReadingDelegations(Clocked):
    """The reads of the port that are about delegations."""

    def delegations(self) -> Sequence[Delegation]:
        found = self._connection.execute(_ALL).mappings()
        return [rows.delegation_from(row) for row in found]

    def delegation(self, delegation_id: str) -> Delegation | None:
        found = select(t.delegations).where(t.delegations.c.id == delegation_id)
        row = self._connection.execute(found).mappings().first()
        return None if row is None else rows.delegation_from(row)

    def lent_to(self, delegate: str) -> Sequence[Lent]:
        """The rights that this person may use now, the oldest delegation first."""
        found = self._connection.execute(self._lent_to(delegate)).mappings().all()
        by_id: dict[str, list[rows.Row]] = {}
        for row in found:
            by_id.setdefault(row["id"], []).append(row)
        lent = (_lent(group) for group in by_id.values())
        return [one for one in lent if one is not None]

    def _lent_to(self, delegate: str) -> Select[Any]:
        d, o, now = t.delegations.c, t.tokens.c, self._clock_now()
        works = (
            (o.kind == PrincipalKind.PERSON.value)
            & o.revoked_at.is_(None)
            & (o.expires_at.is_(None) | (o.expires_at > now))
        )
        return (
            select(
                t.delegations,
                o.id.label("token"),
                o.groups.label("token_groups"),
                case((works, 1), else_=0).label("token_works"),
            )
            .select_from(t.delegations.outerjoin(t.tokens, o.principal == d.delegator))
            .where(
                d.delegate == delegate,
                d.revoked_at.is_(None),
                d.starts_at <= now,
                d.ends_at > now,
            )
            .order_by(d.starts_at, d.id)
        )


class WritingDelegations(ReadingDelegations):
    """The moves of the port that are about delegations."""

    _now: int

    def add_delegation(self, delegation: Delegation) -> None:
        row = rows.delegation_row(delegation)
        self._connection.execute(t.delegations.insert(), row)

    def revoke_delegation(self, delegation_id: str, *, by: str) -> bool:
        columns = t.delegations.c
        revoked = self._connection.execute(
            t.delegations.update()
            .where(columns.id == delegation_id, columns.revoked_at.is_(None))
            .values(revoked_at=self._now, revoked_by=by)
        )
        return bool(revoked.rowcount == 1)

    def _lent_to(self, delegate: str) -> Select[Any]:
        # A revocation waits for the votes that use it, and they for a revocation.
        return super()._lent_to(delegate).with_for_update(read=True, of=t.delegations)


def _lent(group: Sequence[rows.Row]) -> Lent | None:
    """The right as it is now; None once every token of its holder has ended."""
    first = group[0]
    if first["token"] is None:
        groups = frozenset(rows.from_json(first["groups"]))
    else:
        working = [row for row in group if row["token_works"] == 1]
        if not working:
            return None
        names = (rows.from_json(row["token_groups"]) for row in working)
        groups = frozenset(name for listed in names for name in listed)
    holder = Principal(id=first["delegator"], groups=groups)
    return Lent(delegation=first["id"], holder=holder)
