"""The same use cases as `Approvals`, over HTTP: for the inbox, the CLI and programs."""

from __future__ import annotations

import base64
import inspect
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, fields
from datetime import timedelta
from functools import cache
from types import TracebackType
from typing import Any, Final, Self, TypeAlias, TypeVar
from urllib.parse import quote

import httpx2

from signoff.domain import errors
from signoff.domain.actions import ToolTraits, canonical
from signoff.domain.errors import (
    CallerError,
    EntryNotFound,
    InvalidEdit,
    InvalidSetting,
    NotAuthenticated,
    PayloadRefused,
    RequestNotFound,
    ServerUnreachable,
    SignoffError,
    WorldError,
)
from signoff.domain.journal import Entry, EntryState
from signoff.domain.ledger import Audit, Break, Event, Fact
from signoff.domain.principals import Principal, PrincipalKind, Token
from signoff.domain.requests import (
    Decision,
    Edit,
    Request,
    RequestKind,
    Status,
    Terms,
    Vote,
)
from signoff.ports import Filter, KnownTool, Page

CHANNEL_HEADER: Final = "X-Signoff-Channel"
PREFIX: Final = "/api/v1"
_TIMEOUT: Final = httpx2.Timeout(30.0, connect=5.0)
_AUDIT_TIMEOUT: Final = httpx2.Timeout(600.0, connect=5.0)
# Shorter than servers keep an idle connection, so that none is used as it closes.
_LIMITS: Final = httpx2.Limits(keepalive_expiry=2.0)
_LOOPBACK: Final = frozenset({"localhost", "127.0.0.1", "::1"})
T = TypeVar("T")
Json: TypeAlias = Any
"""A document that the server sent."""


class Client:
    """A signoff server, as the identity of a token.

    It has the methods of `Approvals` with the same results and errors. Where those
    take `by`, the server takes the token's identity instead. Safe to share by threads.

    Args:
        url: Where the server is, such as `http://127.0.0.1:8765`.
        token: The secret that `signoff token create` printed.
        channel: What the record says a decision came by: `api`, `cli` or `inbox`.

    Raises:
        InvalidSetting: The address is no server's.
        NotAuthenticated: The token is none.
    """

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

    def whoami(self) -> Principal:
        """Who the token stands for.

        Raises:
            NotAuthenticated: It is unknown, expired or revoked.
        """
        return _principal(self._get("/me"))

    # What people do.

    def decide(
        self, request_id: str, decision: Decision, *, digest: str | None
    ) -> Request:
        """Take a decision; `digest` is that of what was shown.

        Returns:
            The request as it stands now: settled, or still gathering approvals.

        Raises:
            NotAuthenticated, RequestNotFound, NotAllowed, DecisionNotOffered: Refused.
            DigestMismatch: It asks something else now; look again.
            InvalidEdit: The edit fits neither tool nor policy; the request waits on.
            AlreadyDecided: Somebody else, or the deadline, was faster.
        """
        if isinstance(decision, Edit):
            _check_exact(request_id, decision)
        said = {field.name: getattr(decision, field.name) for field in fields(decision)}
        body = {"type": decision.kind, "digest": digest, **said}
        return _request(self._post(_request_path(request_id, "/decisions"), body))

    def cancel(self, request_id: str, *, reason: str) -> Request:
        """Withdraw a request; it never runs.

        Raises:
            RequestNotFound, AlreadyDecided: There is nothing to withdraw.
        """
        path = _request_path(request_id, "/cancel")
        return _request(self._post(path, {"reason": reason}))

    def settle(self, entry: str, *, happened: bool, note: str = "") -> Entry:
        """Say how an unknown outcome ended; the thread goes on with that.

        Raises:
            EntryNotFound, CannotSettle, NotAllowed: Refused; nothing changed.
        """
        if not _is_segment(entry):
            raise EntryNotFound(entry)
        path = f"/entries/{quote(entry, safe='')}/settle"
        return _entry(self._post(path, {"happened": happened, "note": note}))

    # What people look at.

    def get(self, request_id: str) -> Request:
        """One request.

        Raises:
            RequestNotFound: There is none.
        """
        return _request(self._get(_request_path(request_id)))

    def find(self, start: str) -> Request:
        """The one request whose id starts like this.

        Raises:
            RequestNotFound: None does, or several do.
        """
        return _request(self._get("/find", start=start))

    def pending(self, wanted: Filter | None = None) -> Page:
        """A page of requests; by default those that wait, the most urgent first."""
        query = _query(Filter() if wanted is None else wanted)
        found = self._get("/requests", **query)
        requests = tuple(_request(data) for data in found["requests"])
        return Page(requests=requests, next=found["next"])

    def count(self, wanted: Filter | None = None) -> int:
        """How many requests match."""
        query = _query(Filter() if wanted is None else wanted)
        return int(self._get("/requests/count", **query))

    def votes(self, request_id: str) -> Sequence[Vote]:
        """What was said on a request so far, oldest first."""
        found = self._get(_request_path(request_id, "/votes"))
        return [_plain(Vote, data) for data in found]

    def history(self, request_id: str) -> Sequence[Event]:
        """Everything that happened about a request and its effect, oldest first."""
        return [_event(d) for d in self._get(_request_path(request_id, "/history"))]

    def entry_of(self, request: Request) -> Entry | None:
        """The journal's entry of a request's action, if it ever ran."""
        found = self._get(_request_path(request.id, "/entry"))
        return None if found is None else _entry(found)

    def journal(
        self,
        *,
        thread: str | None = None,
        state: EntryState | None = None,
        limit: int = 100,
    ) -> Sequence[Entry]:
        """Entries of the journal, oldest first; at most 1000."""
        name = None if state is None else EntryState(state).value
        found = self._get("/entries", thread=thread, state=name, limit=limit)
        return [_entry(data) for data in found]

    def thread(self, thread: str) -> Sequence[Request]:
        """Every request of a thread, oldest first."""
        found = self._get(f"/threads/{_escaped(thread)}/requests")
        return [_request(data) for data in found]

    def tools(self, agent: str | None = None) -> Sequence[KnownTool]:
        """The tools that agents were seen to have."""
        return [_tool(data) for data in self._get("/tools", agent=agent)]

    def now(self) -> int:
        """The database's clock, microseconds since 1970 UTC."""
        return int(self._get("/now"))

    def changed(self) -> int:
        """Grows whenever a request is made or changes, in any process."""
        return int(self._get("/changed"))

    def audit(self) -> Audit:
        """Check the ledger, and the tables against it."""
        found = self._send("GET", "/audit", timeout=_AUDIT_TIMEOUT)
        breaks = tuple(_plain(Break, data) for data in found["breaks"])
        return _plain(Audit, found, breaks=breaks)

    # Identities; for the group `admin` only.

    def tokens(self) -> Sequence[Token]:
        """Every token ever made, without its secret.

        Raises:
            NotAllowed: The identity isn't of the group `admin`.
        """
        return [_token(data) for data in self._get("/tokens")]

    def create_token(
        self,
        principal: str,
        *,
        kind: PrincipalKind = PrincipalKind.PERSON,
        groups: Sequence[str] = (),
        expires_in: timedelta | None = None,
    ) -> tuple[Token, str]:
        """Make a token; the secret is returned this once.

        Raises:
            NotAllowed: The identity isn't of the group `admin`.
        """
        body = {
            "principal": principal,
            "kind": PrincipalKind(kind).value,
            "groups": list(groups),
            "expires_in_s": None if expires_in is None else expires_in.total_seconds(),
        }
        made = self._post("/tokens", body)
        return _token(made["token"]), str(made["secret"])

    def revoke_token(self, token_id: str) -> None:
        """End a token at once.

        Raises:
            NotAllowed: The identity isn't of the group `admin`.
            InvalidSetting: There is no such token, or it was revoked before.
        """
        if not _is_segment(token_id):
            raise InvalidSetting("token", f"{token_id!r} is unknown.")
        self._send("DELETE", f"/tokens/{quote(token_id, safe='')}")

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

    def _post(self, path: str, body: Mapping[str, Any]) -> Json:
        content = json.dumps(body, ensure_ascii=True, allow_nan=False)
        headers = {"Content-Type": "application/json"}
        return self._send("POST", path, content=content, headers=headers)

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


def _is_segment(name: str) -> bool:
    """Whether a name is one part of a path; what isn't, is no id of ours either."""
    return name not in {"", ".", ".."} and "/" not in name


def _request_path(request_id: str, rest: str = "") -> str:
    if not _is_segment(request_id):
        raise RequestNotFound(request_id)
    return f"/requests/{quote(request_id, safe='')}{rest}"


def _escaped(name: str) -> str:
    """A thread's name as part of a path; it is the application's, so it may be any."""
    return quote(name, safe="").replace(".", "%2E")


def _query(wanted: Filter) -> dict[str, str | int | None]:
    query: dict[str, str | int | None] = asdict(wanted)
    query["status"] = "any" if wanted.status is None else Status(wanted.status).value
    return query


def _check_exact(request_id: str, edit: Edit) -> None:
    try:
        canonical(edit.args, at="args")
    except PayloadRefused as error:
        raise InvalidEdit(request_id, (str(error),)) from error


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


# Errors.


def read_problem(url: str, problem: Json) -> SignoffError:
    """The error that the server met, as the same class with the same fields."""
    if not isinstance(problem, Mapping) or "code" not in problem:
        return ServerUnreachable(url, "what answers isn't signoff")
    kind = _kinds().get(problem["code"])
    rebuilt = None if kind is None else _rebuilt(kind, problem)
    if rebuilt is not None:
        return rebuilt
    general = CallerError if problem.get("status", 500) < 500 else WorldError  # noqa: PLR2004 - HTTP's own border
    return general(str(problem.get("detail", problem["code"])))


def _rebuilt(
    kind: type[SignoffError], problem: Mapping[str, Any]
) -> SignoffError | None:
    if "__init__" not in vars(kind):
        return kind(problem["detail"])
    given: dict[str, Any] = {}
    for name, parameter in inspect.signature(kind).parameters.items():
        if name in problem:
            value = problem[name]
            given[name] = tuple(value) if isinstance(value, list) else value
        elif parameter.default is parameter.empty:
            return None
    return kind(**given)


@cache
def _kinds() -> Mapping[str, type[SignoffError]]:
    found = (getattr(errors, name) for name in dir(errors))
    classes = (one for one in found if isinstance(one, type))
    return {one.code: one for one in classes if issubclass(one, SignoffError)}


# Domain objects. A field that this version doesn't know is left out.


def _plain(kind: Callable[..., T], data: Mapping[str, Any], /, **read: object) -> T:
    known = {field.name for field in fields(kind)}  # type: ignore[arg-type]  # dataclasses only
    given = {name: value for name, value in data.items() if name in known}
    return kind(**{**given, **read})


def _request(data: Mapping[str, Any]) -> Request:
    terms = data["terms"]
    reviewers = terms["reviewers"]
    return _plain(
        Request,
        data,
        kind=RequestKind(data["kind"]),
        status=Status(data["status"]),
        terms=_plain(
            Terms,
            terms,
            reviewers=None if reviewers is None else tuple(reviewers),
            decisions=tuple(terms["decisions"]),
        ),
    )


def _event(data: Mapping[str, Any]) -> Event:
    return _plain(Event, data, fact=_plain(Fact, data["fact"]))


def _entry(data: Mapping[str, Any]) -> Entry:
    result = data["result"]
    return _plain(
        Entry,
        data,
        state=EntryState(data["state"]),
        result=None if result is None else base64.b64decode(result),
    )


def _tool(data: Mapping[str, Any]) -> KnownTool:
    return _plain(KnownTool, data, traits=_plain(ToolTraits, data["traits"]))


def _token(data: Mapping[str, Any]) -> Token:
    kind, groups = PrincipalKind(data["kind"]), tuple(data["groups"])
    return _plain(Token, data, kind=kind, groups=groups)


def _principal(data: Mapping[str, Any]) -> Principal:
    kind, groups = PrincipalKind(data["kind"]), frozenset(data["groups"])
    return _plain(Principal, data, kind=kind, groups=groups)
