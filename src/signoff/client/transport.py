"""How a client speaks to a server: one connection pool, one identity."""

from __future__ import annotations

import json
from collections.abc import Mapping
from types import TracebackType
from typing import Any, Final, Self, TypeAlias
from urllib.parse import quote

import httpx2

from signoff.client.problems import read_problem
from signoff.domain.errors import (
    InvalidSetting,
    NotAuthenticated,
    RequestNotFound,
    ServerUnreachable,
)

CHANNEL_HEADER: Final = "X-Signoff-Channel"
PREFIX: Final = "/api/v1"
_TIMEOUT: Final = httpx2.Timeout(30.0, connect=5.0)
AUDIT_TIMEOUT: Final = httpx2.Timeout(600.0, connect=5.0)
# Shorter than servers keep an idle connection, so that none is used as it closes.
_LIMITS: Final = httpx2.Limits(keepalive_expiry=2.0)
_LOOPBACK: Final = frozenset({"localhost", "127.0.0.1", "::1"})
Json: TypeAlias = Any
"""A document that the server sent."""


class Transport:
    """Sends a client's requests and reads its answers. Safe to share by threads."""

    def __init__(self, url: str, token: str, *, channel: str = "api") -> None:
        address = _address(url)
        self.url = str(address).rstrip("/")
        if not (token.isascii() and token.isprintable() and token.strip() != ""):
            raise NotAuthenticated("That is not a token of signoff.")
        self._http = httpx2.Client(
            base_url=self.url + PREFIX,
            headers={"Authorization": f"Bearer {token}", CHANNEL_HEADER: channel},
            timeout=_TIMEOUT,
            limits=_LIMITS,
            # A proxy for the web must not see tokens that stay on this machine.
            trust_env=address.host not in _LOOPBACK,
        )

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def _get(self, path: str, **query: str | int | None) -> Json:
        given = {name: value for name, value in query.items() if value is not None}
        return self._send("GET", path, params=given)

    def _post(self, path: str, body: Mapping[str, Any], **options: Json) -> Json:
        content = json.dumps(body, ensure_ascii=True, allow_nan=False)
        headers = {"Content-Type": "application/json"}
        return self._send("POST", path, content=content, headers=headers, **options)

    def _send(self, method: str, path: str, **options: Json) -> Json:
        try:
            response = self._answer(method, path, **options)
        except httpx2.HTTPError as error:
            reason = str(error).strip() or type(error).__name__
            raise ServerUnreachable(self.url, reason) from error
        data = _document(self.url, response)
        if response.is_success:
            return data
        raise read_problem(self.url, data)

    def _answer(self, method: str, path: str, **options: Json) -> httpx2.Response:
        try:
            return self._http.request(method, path, **options)
        except httpx2.RemoteProtocolError:
            # The server closed an idle connection just now. A decision isn't repeated.
            if method != "GET":
                raise
        return self._http.request(method, path, **options)


def _address(url: str) -> httpx2.URL:
    try:
        address = httpx2.URL(url)
    except httpx2.InvalidURL as error:
        raise InvalidSetting("url", f"{url!r} is no address: {error}.") from error
    if address.scheme not in {"http", "https"} or address.host == "":
        raise InvalidSetting(
            "url", f"{url!r} is not a server's address such as http://127.0.0.1:8765."
        )
    if address.userinfo != b"" or address.query != b"" or address.fragment != "":
        raise InvalidSetting(
            "url", "must have neither a user, a password nor a query in it."
        )
    return address


def is_segment(name: str) -> bool:
    """Whether a name is one part of a path; what isn't, is no id of ours either."""
    return name not in {"", ".", ".."} and "/" not in name


def request_path(request_id: str, rest: str = "") -> str:
    if not is_segment(request_id):
        raise RequestNotFound(request_id)
    return f"/requests/{quote(request_id, safe='')}{rest}"


def escaped(name: str) -> str:
    """A thread's name as part of a path; it is the application's, so it may be any."""
    return quote(name, safe="").replace(".", "%2E")


def _document(url: str, response: httpx2.Response) -> Json:
    kind = response.headers.get("Content-Type", "").partition(";")[0]
    if response.status_code == httpx2.codes.NO_CONTENT:
        return None
    if kind not in {"application/json", "application/problem+json"}:
        raise _not_signoff(url, response.status_code)
    try:
        return response.json()
    except ValueError as error:
        raise _not_signoff(url, response.status_code) from error


def _not_signoff(url: str, status: int) -> ServerUnreachable:
    return ServerUnreachable(url, f"what answers, with status {status}, isn't signoff")
