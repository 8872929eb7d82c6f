"""How people agree: by whose right, who is asked, and how far it is."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from signoff.domain.delegations import Delegation, Lent
from signoff.domain.errors import RequestNotFound
from signoff.domain.principals import Principal
from signoff.domain.requests import Request
from signoff.domain.voting import Progress, progress
from signoff.service import assigning
from signoff.service import delegate as delegating
from signoff.service.core import Core


class Agreeing(Core):
    """The use cases of people who decide together, or for each other."""

    def agreement(self, request_id: str) -> Progress:
        """How far the agreement on a request is: who counts, what is missing.

        Raises:
            RequestNotFound: There is none.
        """
        with self.store.reading() as reading:
            request = reading.request(request_id)
            if request is None:
                raise RequestNotFound(request_id)
            return progress(request, reading.votes(request_id))

    def assign(self, request_id: str, *, to: str | None, by: Principal) -> Request:
        """Ask somebody to decide a request; None is nobody in particular.

        Others who may decide it still may.

        Raises:
            NotAuthenticated, RequestNotFound: Refused.
            NotAllowed: `by` may not hand it over, or `to` could not approve it.
            AlreadyDecided: It is settled.
        """
        assigned = assigning.assign(
            self.store, request_id, to=to, by=by, directory=self.directory
        )
        self.bell.ring()
        return assigned

    def delegate(
        self,
        to: str,
        *,
        ends: datetime,
        by: Principal,
        starts: datetime | None = None,
        delegator: str | None = None,
        reason: str | None = None,
    ) -> Delegation:
        """Lend a right to decide, from one time (else now) to another.

        It is one's own; an administrator lends also another `delegator`'s. The delegate
        can't pass it on, and never decides by it what its holder asked for.

        Raises:
            NotAuthenticated, NotAllowed: It isn't theirs to lend.
            InvalidSetting: A time without a zone, an end in the past, a strange name.
        """
        loan = delegating.Loan(
            to=to, ends=ends, starts=starts, delegator=delegator, reason=reason
        )
        return delegating.delegate(self.store, loan, by=by, directory=self.directory)

    def delegations(self) -> Sequence[Delegation]:
        """Every delegation ever made, oldest first."""
        with self.store.reading() as reading:
            return reading.delegations()

    def revoke_delegation(self, delegation_id: str, *, by: Principal) -> None:
        """Take a right back at once; what was decided by it stays decided.

        Its holder, its delegate and administrators may.

        Raises:
            NotAuthenticated, NotAllowed: It isn't theirs.
            DelegationNotFound: There is none, or it was revoked before.
        """
        delegating.revoke(self.store, delegation_id, by=by)

    def lent_to(self, person: str) -> Sequence[Lent]:
        """The rights of others by which this person may decide now."""
        with self.store.reading() as reading:
            return reading.lent_to(person)
