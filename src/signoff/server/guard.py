"""What every request passes: host, origin, size; and what every answer gets."""

from __future__ import annotations

from collections.abc import Iterable
from http import HTTPStatus
from typing import Final
from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, HTTPConnection
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from starlette.websockets import WebSocketClose

from signoff.domain.errors import InvalidSetting
from signoff.server.auth import own_origins
from signoff.server.problems import Problem, log, unexpected

MAX_BODY: Final = 1024 * 1024
LOOPBACK_HOSTS: Final = frozenset({"localhost", "127.0.0.1", "::1"})
_PORTS: Final = {"http": 80, "https": 443}
_FRAMES: Final = "frame-ancestors 'none'; base-uri 'none'; form-action 'self'"
_STRICT: Final = f"default-src 'none'; style-src 'unsafe-inline'; {_FRAMES}"
# Streamlit evaluates its own code and loads components from blobs. Images from
# elsewhere stay out, so that an agent's text can't call home.
_PAGE: Final = (
    "default-src 'self'; script-src 'self' 'unsafe-inline' 'unsafe-eval' blob:; "
    "style-src 'self' 'unsafe-inline'; img-src 'self' data: blob:; "
    "font-src 'self' data:; connect-src 'self'; worker-src 'self' blob:; "
    f"object-src 'none'; {_FRAMES}"
)
# The interactive documentation comes from there; it is off unless asked for.
_DOCS: Final = (
    "default-src 'none'; script-src 'unsafe-inline' https://cdn.jsdelivr.net; "
    "style-src 'unsafe-inline' https://cdn.jsdelivr.net; connect-src 'self'; "
    f"img-src 'self' data: https://fastapi.tiangolo.com; {_FRAMES}"
)
_HEADERS: Final = {
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
}
_OWN: Final = ("/api", "/login", "/logout", "/healthz")
# Streamlit's own: numbers for anybody, and a way for programs to press buttons.
_CLOSED: Final = ("/_stcore/metrics", "/_stcore/agent")
_TOO_LARGE: Final = f"A body may have {MAX_BODY} bytes at most."


class Guard:
    """Wraps the whole app, what is mounted in it too.

    Args:
        hosts: The names by which this server may be called. Any other is a page
            elsewhere whose name was made to point here (DNS rebinding).
    """

    def __init__(self, app: ASGIApp, *, hosts: frozenset[str]) -> None:
        self._app, self._hosts = app, hosts

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            await self._http(scope, receive, send)
        elif scope["type"] == "websocket":
            await self._websocket(scope, receive, send)
        else:
            await self._app(scope, receive, send)

    async def _http(self, scope: Scope, receive: Receive, send: Send) -> None:
        answer = _Answer(scope["path"], send)
        refusal = self._refusal(scope["path"], Headers(scope=scope))
        if refusal is not None:
            await refusal(scope, receive, answer)
            return
        try:
            await self._app(scope, _limited(receive), answer)
        except ClientDisconnect:
            return  # nobody is left to answer
        except Exception:
            log.exception("%s %r failed", scope["method"], scope["path"])
            if answer.started:
                raise
            await unexpected()(scope, receive, answer)

    async def _websocket(self, scope: Scope, receive: Receive, send: Send) -> None:
        origin = Headers(scope=scope).get("origin")
        known = _names_host(Headers(scope=scope), self._hosts)
        if not known or origin not in own_origins(HTTPConnection(scope)):
            await WebSocketClose()(scope, receive, send)  # before accepting it: 403
            return
        await self._app(scope, receive, send)

    def _refusal(self, path: str, headers: Headers) -> Problem | None:
        if not _names_host(headers, self._hosts):
            status = HTTPStatus.MISDIRECTED_REQUEST
            detail = (
                "This server isn't known by that name. Its `base_url` says by which "
                "one people call it."
            )
            return Problem(status, "unknown_host", status.phrase, detail)
        if path.startswith(_CLOSED):
            return Problem(404, "no_such_page", "Not Found", "There is no such page.")
        length = headers.get("content-length", "0")
        if not length.isdecimal() or int(length) > MAX_BODY:
            status = HTTPStatus.REQUEST_ENTITY_TOO_LARGE
            return Problem(status, "body_too_large", status.phrase, _TOO_LARGE)
        return None


def host_names(hosts: Iterable[str], base_url: str | None) -> frozenset[str]:
    """The names by which a server may be called: loopback's, and those given.

    Raises:
        InvalidSetting: If `base_url` is no address.
    """
    names = {*LOOPBACK_HOSTS, *(host.lower().strip("[]") for host in hosts)}
    if base_url is not None:
        names.add(urlsplit(origin_of(base_url)).hostname or "")
    return frozenset(names)


def origin_of(base_url: str) -> str:
    """The origin that pages at an address have.

    Raises:
        InvalidSetting: If it is no address.
    """
    try:
        parts = urlsplit(base_url)
        host, port = parts.hostname or "", parts.port
    except ValueError:
        parts, host, port = urlsplit(""), "", None
    if parts.scheme not in _PORTS or host == "":
        raise InvalidSetting(
            "base_url", f"{base_url!r} must be like https://signoff.example.com."
        )
    name = f"[{host}]" if ":" in host else host
    usual = port in {None, _PORTS[parts.scheme]}
    return f"{parts.scheme}://{name}" if usual else f"{parts.scheme}://{name}:{port}"


def _names_host(headers: Headers, hosts: frozenset[str]) -> bool:
    named = headers.getlist("host")
    if len(named) != 1:
        return False
    try:
        return urlsplit(f"//{named[0]}").hostname in hosts
    except ValueError:
        return False


def _limited(receive: Receive) -> Receive:
    seen = 0

    async def counted() -> Message:
        nonlocal seen
        message = await receive()
        seen += len(message.get("body", b""))
        if seen > MAX_BODY:
            status = HTTPStatus.REQUEST_ENTITY_TOO_LARGE
            raise HTTPException(status, _TOO_LARGE)
        return message

    return counted


class _Answer:
    """Sends a response, with the headers that every one has."""

    def __init__(self, path: str, send: Send) -> None:
        self.started = False
        self._path, self._send = path, send

    async def __call__(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.started = True
            self._add(MutableHeaders(scope=message))
        await self._send(message)

    def _add(self, headers: MutableHeaders) -> None:
        for name, value in _HEADERS.items():
            headers.setdefault(name, value)
        headers.setdefault("Content-Security-Policy", _policy(self._path))
        if _is_own(self._path):
            headers.setdefault("Cache-Control", "no-store")


def _policy(path: str) -> str:
    if path == "/docs":
        return _DOCS
    return _STRICT if _is_own(path) else _PAGE


def _is_own(path: str) -> bool:
    return any(path == own or path.startswith(f"{own}/") for own in _OWN)
