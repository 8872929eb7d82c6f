"""The API, version 1: the use cases, each one route."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import Annotated, Final

from fastapi import APIRouter, Query
from starlette.responses import Response

from signoff.domain.advice import Advice
from signoff.domain.journal import Entry
from signoff.domain.ledger import Audit, Event
from signoff.domain.notices import Delivery
from signoff.domain.pauses import Pause
from signoff.domain.policy_changes import Published, Recorded
from signoff.domain.principals import Principal, Token
from signoff.domain.requests import Request, Vote
from signoff.domain.simulation import Simulation
from signoff.domain.stages import Stage
from signoff.ports import KnownTool, Page
from signoff.server.auth import Admin, Caller, Core, Keeper
from signoff.server.bodies import (
    CancelBody,
    DecisionBody,
    Name,
    PauseBody,
    SimulateBody,
    TokenBody,
    Wanted,
    WantedAdvice,
    WantedDeliveries,
)
from signoff.server.wire import Json

router: Final = APIRouter()


@dataclass(frozen=True, slots=True, kw_only=True)
class MadeToken:
    """A new token; its secret is shown this once."""

    token: Token
    secret: str


@router.get("/me", response_model=Principal, operation_id="whoami", tags=["identities"])
def whoami(by: Caller) -> Response:
    """Who the token stands for."""
    return Json(by)


@router.get(
    "/requests", response_model=Page, operation_id="listRequests", tags=["requests"]
)
def list_requests(so: Core, wanted: Annotated[Wanted, Query()]) -> Response:
    """A page of requests; by default those that wait, the most urgent first.

    `next` of a page is the `cursor` of the page after it; null ends the list.
    """
    return Json(so.pending(wanted.filter()))


@router.get(
    "/requests/count",
    response_model=int,
    operation_id="countRequests",
    tags=["requests"],
)
def count_requests(so: Core, wanted: Annotated[Wanted, Query()]) -> Response:
    """How many requests match."""
    return Json(so.count(wanted.filter()))


@router.get(
    "/find", response_model=Request, operation_id="findRequest", tags=["requests"]
)
def find_request(so: Core, start: Annotated[Name, Query()]) -> Response:
    """The one request whose id starts like this."""
    return Json(so.find(start))


@router.get(
    "/requests/{request_id}",
    response_model=Request,
    operation_id="getRequest",
    tags=["requests"],
)
def get_request(so: Core, request_id: Name) -> Response:
    """One request."""
    return Json(so.get(request_id))


@router.post(
    "/requests/{request_id}/decisions",
    response_model=Request,
    operation_id="decide",
    tags=["requests"],
)
def decide(so: Core, by: Caller, request_id: Name, body: DecisionBody) -> Response:
    """Take the caller's decision on what was shown, which the digest names.

    Answers with the request as it stands now: settled, or still gathering approvals.
    The same decision sent twice is one decision. People only.
    """
    decided = so.decide(
        request_id, body.decision(), by=by, digest=body.digest, behalf=body.behalf
    )
    return Json(decided)


@router.post(
    "/requests/{request_id}/cancel",
    response_model=Request,
    operation_id="cancelRequest",
    tags=["requests"],
)
def cancel(so: Core, by: Caller, request_id: Name, body: CancelBody) -> Response:
    """Withdraw a request; it never runs."""
    return Json(so.cancel_request(request_id, by=by, reason=body.reason))


@router.get(
    "/requests/{request_id}/votes",
    response_model=list[Vote],
    operation_id="listVotes",
    tags=["requests"],
)
def votes(so: Core, request_id: Name) -> Response:
    """What was said on a request so far, oldest first."""
    return Json(so.votes(request_id))


@router.get(
    "/requests/{request_id}/history",
    response_model=list[Event],
    operation_id="getHistory",
    tags=["requests"],
)
def history(so: Core, request_id: Name) -> Response:
    """Everything that happened about a request and its effect, oldest first."""
    return Json(so.history(request_id))


@router.get(
    "/requests/{request_id}/entry",
    response_model=Entry | None,
    operation_id="getEntryOfRequest",
    tags=["journal"],
)
def entry_of(so: Core, request_id: Name) -> Response:
    """The journal's entry of a request's action; null if it never ran.

    `result` is what the tool returned, in base64.
    """
    return Json(so.entry_of(so.get(request_id)))


@router.get(
    "/threads/{thread:path}/requests",
    response_model=list[Request],
    operation_id="listRequestsOfThread",
    tags=["requests"],
)
def requests_of_thread(so: Core, thread: Name) -> Response:
    """Every request of a thread, oldest first."""
    return Json(so.thread(thread))


@router.get(
    "/threads/{thread:path}/stages",
    response_model=list[Stage],
    operation_id="listStages",
    tags=["requests"],
)
def stages(so: Core, thread: Name) -> Response:
    """Where each stage of a workflow stands, in order: done, waiting, ahead.

    A thread without declared stages shows its gates; without any, nothing.
    """
    return Json(so.stages(thread))


@router.get(
    "/pauses", response_model=list[Pause], operation_id="listPauses", tags=["pauses"]
)
def pauses(so: Core, *, active: bool = True) -> Response:
    """The pauses that hold, or with `active=false` all there ever were."""
    return Json(so.pauses(active=active))


@router.post("/pauses", response_model=Pause, operation_id="pause", tags=["pauses"])
def pause(so: Core, by: Caller, body: PauseBody) -> Response:
    """Stop an agent, a thread, tools, or everything. People and services only.

    Nothing is denied: calls wait and deadlines stand still until the pause is lifted.
    """
    return Json(so.pause(by=by, **body.model_dump()))


@router.post(
    "/pauses/{pause_id}/lift",
    response_model=Pause,
    operation_id="liftPause",
    tags=["pauses"],
)
def lift(so: Core, by: Caller, pause_id: Name) -> Response:
    """Let go on what a pause stopped, unless another one stops it too. People only."""
    return Json(so.lift(pause_id, by=by))


@router.get(
    "/stalled", response_model=int, operation_id="countStalled", tags=["pauses"]
)
def stalled(so: Core) -> Response:
    """How many calls wait for a pause to be lifted."""
    return Json(so.stalled())


@router.get(
    "/tools", response_model=list[KnownTool], operation_id="listTools", tags=["tools"]
)
def tools(so: Core, agent: Annotated[Name | None, Query()] = None) -> Response:
    """The tools that agents were seen to have."""
    return Json(so.tools(agent))


@router.get("/audit", response_model=Audit, operation_id="audit", tags=["ledger"])
def audit(so: Core) -> Response:
    """Check the ledger, and the tables against it; no breaks is good."""
    return Json(so.audit())


@router.get(
    "/policies",
    response_model=list[Published],
    operation_id="listPolicies",
    tags=["policies"],
)
def policy_log(
    so: Core, limit: Annotated[int, Query(ge=1, le=1_000)] = 100
) -> Response:
    """The policies that came into use, the newest first, each with what changed."""
    return Json(so.policy_log(limit=limit))


@router.get(
    "/policies/{start}",
    response_model=Recorded,
    operation_id="getPolicy",
    tags=["policies"],
)
def policy_version(so: Core, start: Name) -> Response:
    """The one recorded policy whose version starts like this."""
    return Json(so.policy_version(start))


@router.post(
    "/policies/simulate",
    response_model=Simulation,
    operation_id="simulatePolicy",
    tags=["policies"],
)
def simulate(so: Core, _by: Keeper, body: SimulateBody) -> Response:
    """What another policy would have said of the recorded calls. Changes nothing.

    Conditions in Python can't be sent: a rule that has one asks. Not for agents.
    """
    found = so.simulate(
        body.policy(),
        since=body.since,
        agent=body.agent,
        seconds_per_decision=body.seconds_per_decision,
        examples=body.examples,
    )
    return Json(found)


@router.get("/advice", response_model=Advice, operation_id="advise", tags=["policies"])
def advise(so: Core, _by: Keeper, wanted: Annotated[WantedAdvice, Query()]) -> Response:
    """Moves between verdicts that the record supports. None is applied.

    Not for agents.
    """
    found = so.advise(
        since=wanted.since,
        agent=wanted.agent,
        at_most=wanted.at_most,
        least=wanted.least,
    )
    return Json(found)


@router.get(
    "/tokens",
    response_model=list[Token],
    operation_id="listTokens",
    tags=["identities"],
)
def tokens(so: Core, _by: Admin) -> Response:
    """Every token ever made, without its secret. For the group `admin`."""
    return Json(so.tokens())


@router.post(
    "/tokens",
    response_model=MadeToken,
    operation_id="createToken",
    tags=["identities"],
)
def create_token(so: Core, by: Admin, body: TokenBody) -> Response:
    """Make a token; its secret is shown this once. For the group `admin`."""
    seconds = body.expires_in_s
    token, secret = so.create_token(
        body.principal,
        kind=body.principal_kind,
        groups=body.groups,
        expires_in=None if seconds is None else timedelta(seconds=seconds),
        by=by.id,
    )
    return Json(MadeToken(token=token, secret=secret))


@router.delete(
    "/tokens/{token_id}",
    status_code=204,
    operation_id="revokeToken",
    tags=["identities"],
)
def revoke_token(so: Core, by: Admin, token_id: Name) -> Response:
    """End a token at once. For the group `admin`."""
    so.revoke_token(token_id, by=by.id)
    return Response(status_code=204)


@router.get(
    "/deliveries",
    response_model=list[Delivery],
    operation_id="listDeliveries",
    tags=["deliveries"],
)
def deliveries(
    so: Core, _by: Admin, wanted: Annotated[WantedDeliveries, Query()]
) -> Response:
    """What people were told and what never arrived, newest first. For `admin`."""
    return Json(so.deliveries(state=wanted.state, limit=wanted.limit))


@router.post(
    "/deliveries/{delivery_id}/retry",
    response_model=Delivery,
    operation_id="retryDelivery",
    tags=["deliveries"],
)
def retry_delivery(so: Core, _by: Admin, delivery_id: Name) -> Response:
    """Let a dead delivery be sent again. For the group `admin`."""
    return Json(so.retry_delivery(delivery_id))


@router.get("/now", response_model=int, operation_id="now", tags=["server"])
def now(so: Core) -> Response:
    """The database's clock, microseconds since 1970 UTC."""
    return Json(so.now())


@router.get("/changed", response_model=int, operation_id="changed", tags=["server"])
def changed(so: Core) -> Response:
    """Grows whenever a request is made or changes, in any process."""
    return Json(so.changed())
