"""Who sends a request: the identity of a token, from a bearer or the inbox's cookie."""

from __future__ import annotations

from typing import Annotated, Final

from fastapi import Depends, Request
from fastapi.security import HTTPBearer
from fastapi.security.utils import get_authorization_scheme_param
from starlette.requests import HTTPConnection

from signoff.client import CHANNEL_HEADER
from signoff.domain.errors import InvalidSetting, NotAllowed, NotAuthenticated
from signoff.domain.principals import ADMINS, Principal, PrincipalKind
from signoff.server.problems import ForeignOrigin
from signoff.service import Approvals

COOKIE: Final = "signoff_session"
BEARER: Final = HTTPBearer(
    scheme_name="token",
    description="What `signoff token create NAME` printed: `sgn_...`.",
    auto_error=False,  # `authenticated` refuses, in the form that every error has
)
_CHANNELS: Final = frozenset({"api", "cli", "inbox"})
_SAFE: Final = frozenset({"GET", "HEAD", "OPTIONS"})


async def approvals(request: Request) -> Approvals:
    """The use cases that this app serves."""
    found: Approvals = request.app.state.approvals
    return found


def own_origins(connection: HTTPConnection) -> frozenset[str]:
    """The origins that this server's own pages have."""
    scheme = "https" if connection.url.scheme in {"https", "wss"} else "http"
    host = connection.headers.get("host", "")
    return frozenset({f"{scheme}://{host}", *connection.app.state.origins})


def check_same_origin(request: Request) -> None:
    """Refuse what another site's page makes a browser send.

    Raises:
        ForeignOrigin: It comes from there, or doesn't say from where.
    """
    site = request.headers.get("sec-fetch-site")
    origin = request.headers.get("origin")
    if site is not None:
        # A page can't forge it, and for some pages it is all that a browser says.
        if site != "same-origin" or origin not in {None, "null", *own_origins(request)}:
            raise ForeignOrigin
    elif origin not in own_origins(request):
        raise ForeignOrigin


def authenticated(
    request: Request, so: Annotated[Approvals, Depends(approvals)]
) -> Principal:
    """The identity that a request comes from.

    Raises:
        NotAuthenticated: No token, or one that is unknown, expired or revoked.
        ForeignOrigin: Another site's page made the browser send it.
    """
    header = request.headers.get("authorization")
    if header is not None:
        scheme, secret = get_authorization_scheme_param(header)
        if scheme.lower() != "bearer":
            raise NotAuthenticated("The Authorization header has no bearer token.")
        return so.authenticate(secret, channel=_channel(request))
    by = so.authenticate(request.cookies.get(COOKIE), channel="inbox")
    if request.method not in _SAFE:
        check_same_origin(request)
    return by


async def admin(by: Annotated[Principal, Depends(authenticated)]) -> Principal:
    """The same, if it may manage tokens and deliveries.

    Raises:
        NotAllowed: It isn't of the group `admin`, or it is an agent.
    """
    if by.kind is PrincipalKind.AGENT or ADMINS not in by.groups:
        raise NotAllowed(by.id, f"it is for the group {ADMINS!r}.")
    return by


async def keeper(by: Annotated[Principal, Depends(authenticated)]) -> Principal:
    """The same, if it isn't an agent: replaying the record is work for the server.

    Raises:
        NotAllowed: It is an agent.
    """
    if by.kind is PrincipalKind.AGENT:
        raise NotAllowed(by.id, "policies are tried by people and services.")
    return by


def _channel(request: Request) -> str:
    channel = request.headers.get(CHANNEL_HEADER, "api")
    if channel not in _CHANNELS:
        raise InvalidSetting("channel", f"must be one of {sorted(_CHANNELS)}.")
    return channel


Core = Annotated[Approvals, Depends(approvals)]
Caller = Annotated[Principal, Depends(authenticated)]
Admin = Annotated[Principal, Depends(admin)]
Keeper = Annotated[Principal, Depends(keeper)]
