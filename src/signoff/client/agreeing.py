"""How people agree: whom they ask, whose rights they use, how far it is."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from urllib.parse import quote

from signoff.client.documents import (
    read_delegation,
    read_lent,
    read_progress,
    read_request,
)
from signoff.client.transport import Transport, is_segment, request_path
from signoff.domain.delegations import Delegation, Lent
from signoff.domain.errors import DelegationNotFound, InvalidSetting
from signoff.domain.requests import Request
from signoff.domain.voting import Progress


class AgreeingClient(Transport):
    """The part of the client for people who decide together, or for each other."""

    def agreement(self, request_id: str) -> Progress:
        """How far the agreement on a request is: who counts, what is missing.

        Raises:
            RequestNotFound: There is none.
        """
        return read_progress(self._get(request_path(request_id, "/agreement")))

    def assign(self, request_id: str, *, to: str | None) -> Request:
        """Ask somebody to decide a request; None is nobody in particular.

        Others who may decide it still may.

        Raises:
            RequestNotFound, AlreadyDecided: There is nothing to hand over.
            NotAllowed: The identity may not, or `to` could not approve it.
        """
        path = request_path(request_id, "/assign")
        return read_request(self._post(path, {"to": to}))

    def delegate(
        self,
        to: str,
        *,
        ends: datetime,
        starts: datetime | None = None,
        delegator: str | None = None,
        reason: str | None = None,
    ) -> Delegation:
        """Lend a right to decide, from one time (else now) to another.

        It is the identity's own; one of the group `admin` lends also another's.

        Raises:
            NotAllowed: It isn't theirs to lend.
            InvalidSetting: A time without a zone, an end in the past, a strange name.
        """
        body = {
            "to": to,
            "ends": _written("ends", ends),
            "starts": None if starts is None else _written("starts", starts),
            "delegator": delegator,
            "reason": reason,
        }
        return read_delegation(self._post("/delegations", body))

    def delegations(self) -> Sequence[Delegation]:
        """Every delegation ever made, oldest first."""
        return [read_delegation(data) for data in self._get("/delegations")]

    def revoke_delegation(self, delegation_id: str) -> None:
        """Take a right back at once; what was decided by it stays decided.

        Raises:
            NotAllowed: It isn't theirs.
            DelegationNotFound: There is none, or it was revoked before.
        """
        if not is_segment(delegation_id):
            raise DelegationNotFound(delegation_id)
        self._send("DELETE", f"/delegations/{quote(delegation_id, safe='')}")

    def lent(self) -> Sequence[Lent]:
        """The rights of others by which the identity may decide now."""
        return [read_lent(data) for data in self._get("/me/lent")]


def _written(name: str, at: datetime) -> str:
    if at.tzinfo is None:
        raise InvalidSetting(name, f"{at.isoformat()} has no time zone.")
    return at.isoformat()
