"""People decide. One winner; the digest they saw is the digest that counts."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

from signoff.domain.actions import (
    check_texts,
)
from signoff.domain.errors import (
    AlreadyDecided,
    DecisionNotOffered,
    DigestMismatch,
    NotAllowed,
    NotAuthenticated,
    RequestNotFound,
)
from signoff.domain.ledger import Fact
from signoff.domain.notices import Notice
from signoff.domain.policy import Policy
from signoff.domain.principals import Principal
from signoff.domain.requests import (
    Approve,
    Decision,
    Edit,
    Reject,
    Request,
    Respond,
    Status,
    Vote,
)
from signoff.domain.voting import (
    Seat,
    check_may_cancel,
    check_not_rejected,
    tally,
)
from signoff.ports import Reading, Store, Writing
from signoff.service.amend import amend
from signoff.service.reach import Directory
from signoff.service.seats import had_seat, seat_after, seat_of
from signoff.service.standstill import refit


@dataclass(frozen=True, slots=True, kw_only=True)
class Ballot:
    """One decision on its way in: who says what, seeing which digest.

    Attributes:
        behalf: For whom, by that person's right; None is by one's own, or else by one
            that somebody lends.
        directory: Who is known, when an edit is judged.
    """

    decision: Decision
    by: Principal
    digest: str | None
    behalf: str | None = None
    directory: Directory = "tokens"

    @property
    def approving(self) -> bool:
        """Whether it would be a yes."""
        return self.decision.kind in {"approve", "edit"}


def decide(store: Store, policy: Policy, request_id: str, ballot: Ballot) -> Request:
    """Take one person's decision on a request; the same one twice is one decision.

    Returns:
        The request as it stands afterwards: settled, or still gathering approvals.

    Raises:
        NotAuthenticated, RequestNotFound, NotAllowed, DecisionNotOffered: Refused.
        DigestMismatch: The decision is about something else than what is asked now.
        InvalidEdit: The edit doesn't fit the tool or the policy; the request waits on.
        AlreadyDecided: Somebody else, or the deadline, was faster.
    """
    request = find(store, request_id)
    _check(store, request, ballot)
    while True:
        try:
            return _decide(store, policy, request, ballot)
        except _DeadlinePassed:
            from signoff.service.overdue import catch_up  # noqa: PLC0415 - it settles, too

            catch_up(store, request_id)
        request = find(store, request_id)
        if request.status is not Status.PENDING:
            raise too_late(request)


class _DeadlinePassed(Exception):
    """The request's time was over inside the transaction, which is rolled back."""


def _decide(store: Store, policy: Policy, request: Request, ballot: Ballot) -> Request:
    amended = None
    if isinstance(ballot.decision, Edit) and ballot.digest == request.digest:
        _check_in_time(store, request)
        amended = amend(
            store, policy, request, ballot.decision, directory=ballot.directory
        )
    with store.writing(request.thread) as tx:
        current = tx.request(request.id) or request
        if _already_said(tx, current, ballot):
            return current
        if current.status is not Status.PENDING:
            raise too_late(current)
        _check_digest(current, ballot)
        if isinstance(ballot.decision, Edit) and amended is None:
            raise DigestMismatch(request.id, ballot.digest)
        seat = _seat(tx, current, ballot)
        _vote(tx, current, amended, ballot, seat)
        return tx.request(request.id) or current


def cancel(store: Store, request_id: str, *, by: Principal, reason: str) -> Request:
    """Withdraw a request: nobody has to decide it any more, and it never runs.

    Raises:
        RequestNotFound: There is none.
        NotAllowed: It is neither theirs nor theirs to decide.
        AlreadyDecided: It is settled already.
    """
    check_principal(by)
    check_texts({"reason": reason})
    request = find(store, request_id)
    with store.writing(request.thread) as tx:
        current = tx.request(request_id) or request
        check_may_cancel(current, by)
        if not settle(tx, current, Status.CANCELLED, by=by, said={"reason": reason}):
            raise too_late(current)
        return tx.request(request_id) or current


def settle(
    tx: Writing,
    request: Request,
    to: Status,
    *,
    by: Principal | None,
    said: Mapping[str, Any],
) -> bool:
    """Move a pending request to its end, with its event and its thread's wake-up."""
    late = by is None or to is Status.CANCELLED
    actor = None if by is None else by.id
    if not tx.settle_request(request, to, by=actor, outcome=said, late=late):
        return False
    body = {"digest": request.digest, "revision": request.revision, **said}
    tx.record(
        Fact(
            kind=to.value,
            subject=request.id,
            actor=actor,
            channel=None if by is None else by.channel,
            body=body,
        )
    )
    tx.tell(
        Notice(
            kind=to.value,
            request_id=request.id,
            revision=request.revision,
            by=actor,
            said=said,
        )
    )
    tx.wake(request.agent)
    return True


def find(store: Store, request_id: str) -> Request:
    """The request as it is now.

    Raises:
        RequestNotFound: There is none.
    """
    with store.reading() as reading:
        request = reading.request(request_id)
    if request is None:
        raise RequestNotFound(request_id)
    return request


def _check_in_time(store: Store, request: Request) -> None:
    with store.reading() as reading:
        late = request.frozen_at is None and request.expires_at <= reading.now()
    if late and request.status is Status.PENDING:
        raise _DeadlinePassed


def check_principal(by: object) -> None:
    """Whether somebody says it at all; there is no identity to fall back on.

    Raises:
        NotAuthenticated: It isn't a principal.
    """
    if not isinstance(by, Principal):
        raise NotAuthenticated("A decision needs a principal.")


def _check(store: Store, request: Request, ballot: Ballot) -> None:
    """What can be refused at once; who may decide is looked at again in the move."""
    check_principal(ballot.by)
    check_texts({**_texts(ballot.decision), "behalf": ballot.behalf})
    kind = ballot.decision.kind
    with store.reading() as reading:
        if not _has_voted(reading.votes(request.id), ballot):
            _check_seat(reading, request, ballot)
    if kind not in request.terms.decisions:
        raise DecisionNotOffered(request.id, kind, request.terms.decisions)


def _check_seat(reading: Reading, request: Request, ballot: Ballot) -> None:
    try:
        _seat(reading, request, ballot)
    except NotAllowed:
        # Of a settled request the votes say nothing: their own no may have settled it.
        current = reading.request(request.id) or request
        by, approving, behalf = ballot.by, ballot.approving, ballot.behalf
        if current.status is Status.PENDING or not had_seat(
            reading, request, by, approving=approving, behalf=behalf
        ):
            raise
        raise too_late(current) from None


def _seat(reading: Reading, request: Request, ballot: Ballot) -> Seat:
    by, approving = ballot.by, ballot.approving
    seat = seat_of(reading, request, by, approving=approving, behalf=ballot.behalf)
    if approving and not isinstance(ballot.decision, Edit):
        check_not_rejected(request, by, reading.votes(request.id))
    return seat


def _check_digest(request: Request, ballot: Ballot) -> None:
    if ballot.digest != request.digest:
        raise DigestMismatch(request.id, ballot.digest)


def _texts(decision: Decision) -> dict[str, str | None]:
    said: dict[str, str | None] = {"reason": decision.reason}
    if isinstance(decision, Respond):
        said["message"] = decision.message
    return said


def _already_said(tx: Writing, request: Request, ballot: Ballot) -> bool:
    """Whether this person said the same before, seeing the same."""
    if isinstance(ballot.decision, Edit):
        return _already_edited(tx, request, ballot, ballot.decision)
    if not _has_voted(tx.votes(request.id), ballot):
        return False
    told = {} if request.outcome is None else request.outcome
    return told.get("message") == _texts(ballot.decision).get("message")


def _has_voted(votes: Iterable[Vote], ballot: Ballot) -> bool:
    said = (ballot.by.id, ballot.decision.kind, ballot.digest)
    return any((v.principal, v.kind, v.digest) == said for v in votes)


def _already_edited(tx: Writing, request: Request, ballot: Ballot, edit: Edit) -> bool:
    """Whether the ledger has this edit: a vote on it would carry its own digest."""
    if ballot.digest == request.digest and request.status is Status.PENDING:
        return False
    wanted = {"tool": edit.tool, "args": edit.args}
    for event in tx.events_about(request.thread, (request.id,)):
        fact = event.fact
        if fact.kind != "edited" or fact.actor != ballot.by.id:
            continue
        was, now = fact.body["was"], fact.body["now"]
        asked = wanted | ({"tool": was["tool"]} if edit.tool is None else {})
        made = {"tool": now["tool"], "args": now["args"]}
        if was["digest"] == ballot.digest and asked == made:
            return True
    return False


def too_late(request: Request) -> AlreadyDecided:
    """What the loser is told: how it ended, by whom and when."""
    return AlreadyDecided(
        request.id, request.status.value, request.settled_by, request.settled_at
    )


def _vote(
    tx: Writing,
    request: Request,
    amended: Request | None,
    ballot: Ballot,
    seat: Seat,
) -> None:
    if amended is not None:
        request = _repropose(tx, request, amended, ballot, seat)
        counting = seat_after(tx, request, ballot.by, seat)
        if counting is None:
            return
        seat = counting
    decision = ballot.decision
    vote = _ballot_vote(tx, request, ballot, seat)
    tx.add_vote(vote)
    body = {"digest": request.digest, "revision": request.revision, **_said(decision)}
    told = {"decision": decision.kind, **body, **seat.told()}
    tx.record(_fact("voted", request, ballot, told))
    to = tally(request, tx.votes(request.id))
    if to is Status.PENDING:
        moved = tx.touch_request(request)
    else:
        moved = settle(tx, request, to, by=ballot.by, said=_said(decision))
    if not moved:
        raise _DeadlinePassed


def _ballot_vote(tx: Writing, request: Request, ballot: Ballot, seat: Seat) -> Vote:
    return Vote(
        request_id=request.id,
        revision=request.revision,
        principal=ballot.by.id,
        kind=ballot.decision.kind,
        at=tx.now(),
        channel=ballot.by.channel,
        digest=request.digest,
        reason=ballot.decision.reason,
        behalf=seat.behalf,
        groups=seat.groups,
    )


def _repropose(
    tx: Writing, request: Request, amended: Request, ballot: Ballot, seat: Seat
) -> Request:
    if not tx.amend_request(amended, was=request):
        raise _DeadlinePassed
    was = {"tool": request.tool, "args": request.args, "digest": request.digest}
    now = {"tool": amended.tool, "args": amended.args, "digest": amended.digest}
    if amended.tool != request.tool:
        refit(tx, amended)
    body = {
        "was": was,
        "now": now,
        "terms": asdict(amended.terms),
        "risk": amended.risk,
        "timeline": [asdict(step) for step in amended.timeline],
    }
    tx.record(_fact("edited", request, ballot, {**body, **seat.told()}))
    tx.tell(
        Notice(
            kind="edited",
            request_id=amended.id,
            revision=amended.revision,
            by=ballot.by.id,
        )
    )
    return amended


def _fact(kind: str, request: Request, ballot: Ballot, body: Mapping[str, Any]) -> Fact:
    return Fact(
        kind=kind,
        subject=request.id,
        actor=ballot.by.id,
        channel=ballot.by.channel,
        body=body,
    )


def _said(decision: Decision) -> dict[str, Any]:
    said: dict[str, Any] = {"decision": decision.kind}
    if decision.reason is not None:
        said["reason"] = decision.reason
    if isinstance(decision, Respond):
        said["message"] = decision.message
    return said


DECISIONS: Mapping[str, type[Decision]] = {
    "approve": Approve,
    "reject": Reject,
    "edit": Edit,
    "respond": Respond,
}
