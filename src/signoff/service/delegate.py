"""People lend their right to decide, from one time to another, and take it back."""

from __future__ import annotations

import secrets
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Final

from signoff.domain.actions import check_texts
from signoff.domain.delegations import Delegation, check_may_delegate
from signoff.domain.errors import DelegationNotFound, InvalidSetting, NotAllowed
from signoff.domain.ledger import Fact
from signoff.domain.principals import Principal, PrincipalKind
from signoff.ports import Reading, Store
from signoff.service.decide import check_principal
from signoff.service.reach import Directory
from signoff.service.tokens import check_name

CHAIN: Final = "signoff:delegations"


@dataclass(frozen=True, slots=True, kw_only=True)
class Loan:
    """A delegation as it is wanted.

    Attributes:
        delegator: Whose right; None is of the one who says it.
        starts: None is now.
    """

    to: str
    ends: datetime
    starts: datetime | None = None
    delegator: str | None = None
    reason: str | None = None


def delegate(
    store: Store, loan: Loan, *, by: Principal, directory: Directory
) -> Delegation:
    """Lend a right to decide. It can't be passed on.

    Raises:
        NotAuthenticated, NotAllowed: It isn't theirs to lend.
        InvalidSetting: The times or the names make no sense.
    """
    check_principal(by)
    delegator = by.id if loan.delegator is None else loan.delegator
    _check_names(loan, delegator)
    check_may_delegate(by, delegator)
    if delegator == by.id and by.kind is not PrincipalKind.PERSON:
        raise NotAllowed(by.id, "it has no right to decide that it could lend.")
    with store.writing(CHAIN) as tx:
        now = tx.now()
        made = Delegation(
            id=f"dlg_{secrets.token_hex(6)}",
            delegator=delegator,
            delegate=loan.to,
            groups=_groups(tx, delegator, by, directory),
            starts_at=now if loan.starts is None else _instant("starts", loan.starts),
            ends_at=_instant("ends", loan.ends),
            reason=loan.reason,
            made_by=by.id,
            made_at=now,
        )
        _check_times(made, now)
        _check_known(tx, "to", loan.to, directory)
        tx.add_delegation(made)
        tx.record(_fact("delegated", made, by, told(made)))
        return made


def revoke(store: Store, delegation_id: str, *, by: Principal) -> None:
    """Take a right back at once; what it has decided stays decided.

    Raises:
        NotAuthenticated, NotAllowed: It isn't theirs.
        DelegationNotFound: There is none, or it was revoked before.
    """
    check_principal(by)
    check_texts({"delegation": delegation_id})
    with store.writing(CHAIN) as tx:
        found = tx.delegation(delegation_id)
        if found is None:
            raise DelegationNotFound(delegation_id)
        if by.id != found.delegate or by.kind is not PrincipalKind.PERSON:
            check_may_delegate(by, found.delegator)
        if not tx.revoke_delegation(delegation_id, by=by.id):
            raise DelegationNotFound(delegation_id)
        tx.record(_fact("delegation_revoked", found, by, {}))


def told(delegation: Delegation) -> dict[str, object]:
    """A delegation as the ledger has it when it is made."""
    said = asdict(delegation)
    for name in ("id", "made_by", "made_at", "revoked_at", "revoked_by"):
        del said[name]
    return {**said, "groups": list(delegation.groups)}


def _groups(
    reading: Reading, delegator: str, by: Principal, directory: Directory
) -> tuple[str, ...]:
    if delegator == by.id:
        return tuple(sorted(by.groups))
    _check_known(reading, "delegator", delegator, directory)
    known = [one for one in reading.people() if one.id == delegator]
    return tuple(sorted({group for one in known for group in one.groups}))


def _check_names(loan: Loan, delegator: str) -> None:
    check_texts({"reason": loan.reason})
    check_name("to", loan.to)
    check_name("delegator", delegator)
    if loan.to == delegator:
        raise InvalidSetting("to", f"{delegator} has that right already.")


def _check_known(reading: Reading, what: str, name: str, directory: Directory) -> None:
    people = reading.people()
    if people and directory == "tokens" and all(one.id != name for one in people):
        raise InvalidSetting(what, f"nobody with a token is called {name!r}.")


def _check_times(made: Delegation, now: int) -> None:
    if made.starts_at >= made.ends_at:
        raise InvalidSetting("ends", "must be later than it starts.")
    if made.ends_at <= now:
        raise InvalidSetting("ends", "must be later than now.")


def _instant(name: str, at: datetime) -> int:
    """Microseconds since 1970 UTC."""
    if at.tzinfo is None:
        raise InvalidSetting(name, f"{at.isoformat()} has no time zone.")
    return int(at.timestamp()) * 1_000_000 + at.microsecond


def _fact(
    kind: str, delegation: Delegation, by: Principal, body: dict[str, object]
) -> Fact:
    return Fact(
        kind=kind, subject=delegation.id, actor=by.id, channel=by.channel, body=body
    )
