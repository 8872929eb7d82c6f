"""Hand-over: a request gets somebody who is asked to decide it."""

from __future__ import annotations

from signoff.domain.errors import NotAllowed
from signoff.domain.ledger import Fact
from signoff.domain.notices import Notice
from signoff.domain.principals import ADMINS, Principal, PrincipalKind
from signoff.domain.requests import Request, Status
from signoff.ports import Reading, Store, Writing
from signoff.service.decide import check_principal, find, too_late
from signoff.service.overdue import catch_up
from signoff.service.reach import Directory
from signoff.service.seats import seat_of
from signoff.service.tokens import check_name


def assign(
    store: Store,
    request_id: str,
    *,
    to: str | None,
    by: Principal,
    directory: Directory,
) -> Request:
    """Ask somebody to decide a request, or nobody in particular with None.

    Raises:
        NotAuthenticated, RequestNotFound: Refused.
        NotAllowed: `by` may not hand it over, or `to` could not approve it.
        AlreadyDecided: It is settled.
    """
    check_principal(by)
    if to is not None:
        check_name("to", to)
    while True:
        found = find(store, request_id)
        with store.writing(found.thread) as tx:
            current = tx.request(request_id) or found
            _check_may_assign(tx, current, by)
            if to is not None:
                _check_could_approve(tx, current, to, by, directory)
            if _assign(tx, current, to, by):
                return tx.request(request_id) or current
        if current.status is not Status.PENDING:
            raise too_late(current)
        catch_up(store, request_id)  # its deadline passed, and nobody had looked


def _assign(tx: Writing, request: Request, to: str | None, by: Principal) -> bool:
    waits = request.status is Status.PENDING
    if waits and request.assignee == to:
        return True
    if not tx.assign_request(request, to):
        return False
    tx.record(
        Fact(
            kind="assigned",
            subject=request.id,
            actor=by.id,
            channel=by.channel,
            body={"to": to, "was": request.assignee},
        )
    )
    if to is not None:
        tx.tell(
            Notice(
                kind="assigned",
                request_id=request.id,
                revision=request.revision,
                to=(to,),
                by=by.id,
                said={"to": [to]},
            )
        )
    return True


def _check_may_assign(reading: Reading, request: Request, by: Principal) -> None:
    """Whoever may decide it, and administrators.

    Raises:
        NotAllowed: With who may.
    """
    if by.kind is not PrincipalKind.AGENT and ADMINS in by.groups:
        return
    seat_of(reading, request, by, approving=False)


def _check_could_approve(
    reading: Reading,
    request: Request,
    to: str,
    by: Principal,
    directory: Directory,
) -> None:
    """Whether the one who is asked could approve it, as far as that is known.

    Raises:
        NotAllowed: They could not; with who could.
    """
    if to == by.id:
        seat_of(reading, request, by, approving=True)
        return
    people = reading.people()
    known = [one for one in people if one.id == to]
    if not known and (directory == "open" or not people):
        # The application vouches for them; deciding checks it again.
        known = [Principal(id=to, groups=frozenset(request.terms.reviewers or ()))]
    if not known:
        raise NotAllowed(to, f"nobody with a token is called that. {_who(request)}")
    groups = frozenset(group for one in known for group in one.groups)
    try:
        whole = Principal(id=to, groups=groups)
        seat_of(reading, request, whole, approving=True)
    except NotAllowed as refused:
        raise NotAllowed(to, f"{refused.reason} {_who(request)}") from None


def _who(request: Request) -> str:
    names = request.terms.reviewers
    who = "any person with a token" if names is None else " or ".join(names)
    return f"It can be assigned to: {who}."
