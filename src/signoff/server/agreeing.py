"""The API's routes about agreeing: progress, hand-over, delegations."""

from __future__ import annotations

from typing import Final

from fastapi import APIRouter
from starlette.responses import Response

from signoff.domain.delegations import Delegation, Lent
from signoff.domain.requests import Request
from signoff.domain.voting import Progress
from signoff.server.auth import Caller, Core
from signoff.server.bodies import AssignBody, DelegationBody, Name
from signoff.server.wire import Json

router: Final = APIRouter()


@router.get(
    "/requests/{request_id}/agreement",
    response_model=Progress,
    operation_id="getAgreement",
    tags=["requests"],
)
def agreement(so: Core, request_id: Name) -> Response:
    """How far the agreement on a request is: who counts, and what is missing."""
    return Json(so.agreement(request_id))


@router.post(
    "/requests/{request_id}/assign",
    response_model=Request,
    operation_id="assignRequest",
    tags=["requests"],
)
def assign(so: Core, by: Caller, request_id: Name, body: AssignBody) -> Response:
    """Ask somebody to decide a request. Others who may decide it still may."""
    return Json(so.assign(request_id, to=body.to, by=by))


@router.get(
    "/delegations",
    response_model=list[Delegation],
    operation_id="listDelegations",
    tags=["identities"],
)
def delegations(so: Core) -> Response:
    """Every delegation ever made, oldest first."""
    return Json(so.delegations())


@router.post(
    "/delegations",
    response_model=Delegation,
    operation_id="delegate",
    tags=["identities"],
)
def delegate(so: Core, by: Caller, body: DelegationBody) -> Response:
    """Lend the caller's right to decide; the group `admin` lends others' too."""
    made = so.delegate(
        body.to,
        ends=body.ends,
        starts=body.starts,
        delegator=body.delegator,
        reason=body.reason,
        by=by,
    )
    return Json(made)


@router.delete(
    "/delegations/{delegation_id}",
    status_code=204,
    operation_id="revokeDelegation",
    tags=["identities"],
)
def revoke_delegation(so: Core, by: Caller, delegation_id: Name) -> Response:
    """Take a right back at once. What was decided by it stays decided."""
    so.revoke_delegation(delegation_id, by=by)
    return Response(status_code=204)


@router.get(
    "/me/lent", response_model=list[Lent], operation_id="listLent", tags=["identities"]
)
def lent(so: Core, by: Caller) -> Response:
    """The rights of others by which the caller may decide now."""
    return Json(so.lent_to(by.id))
