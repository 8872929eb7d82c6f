"""What people do: decide, cancel, settle."""

from __future__ import annotations

from signoff.domain.errors import InvalidSetting
from signoff.domain.journal import Entry
from signoff.domain.principals import Principal
from signoff.domain.requests import Decision, Edit, Request
from signoff.service import decide as deciding
from signoff.service import settling
from signoff.service.core import NO_RULES, Core
from signoff.service.settling import Said


class Answering(Core):
    """The use cases of people."""

    def decide(
        self,
        request_id: str,
        decision: Decision,
        *,
        by: Principal,
        digest: str | None,
        behalf: str | None = None,
    ) -> Request:
        """Take one person's decision; `digest` is that of what they were shown.

        They decide by their own right, else by one that somebody lends them now; with
        `behalf`, by that person's.

        Returns:
            The request as it stands now: settled, or still gathering approvals.

        Raises:
            NotAuthenticated, RequestNotFound, NotAllowed, DecisionNotOffered: Refused.
            DigestMismatch: It asks something else now; look again.
            InvalidEdit: The edit fits neither tool nor policy; the request waits on.
            AlreadyDecided: Somebody else, or the deadline, was faster.
        """
        ballot = deciding.Ballot(
            decision=decision,
            by=by,
            digest=digest,
            behalf=behalf,
            directory=self.directory,
        )
        policy = NO_RULES
        if isinstance(decision, Edit):
            policy = self._policy_for(request_id)
            if policy is self.policy:
                self.publish(policy)  # the edited request names it
        settled = deciding.decide(self.store, policy, request_id, ballot)
        self.bell.ring()
        return settled

    def cancel_request(self, request_id: str, *, by: Principal, reason: str) -> Request:
        """Withdraw a request; it never runs.

        Raises:
            RequestNotFound, AlreadyDecided: There is nothing to withdraw.
            NotAllowed: It is neither theirs nor theirs to decide.
        """
        cancelled = deciding.cancel(self.store, request_id, by=by, reason=reason)
        self.bell.ring()
        return cancelled

    def settle(
        self,
        entry: str,
        *,
        happened: bool | None = None,
        note: str = "",
        by: Principal,
        result: object = None,
        again: bool = False,
    ) -> Entry:
        """Say how an unknown outcome ended; the thread goes on with that.

        Args:
            entry: Which.
            happened: Whether the call had its effect.
            note: What is known, for the agent and for the record.
            by: Who says so.
            result: What it returned, as JSON, if it happened.
            again: Instead: let the call be tried once more, with the same key.

        Raises:
            EntryNotFound, CannotSettle, NotAllowed: Refused; nothing changed.
            InvalidSetting: It says both, or neither.
            PayloadRefused: The result is no JSON.
        """
        if (happened is None) is not again:
            raise InvalidSetting(
                "settle", "takes happened= True or False, or again=True: one of them."
            )
        if again:
            settled = settling.let_again(self.store, entry, note=note, by=by)
        else:
            said = Said(happened=happened is True, note=note, result=result)
            settled = settling.settle(self.store, self.undos, entry, said, by=by)
        self.bell.ring()
        return settled
