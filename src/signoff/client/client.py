"""The client: each use case is one request."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, fields
from datetime import timedelta
from typing import TYPE_CHECKING
from urllib.parse import quote

from signoff.client.documents import (
    read_advice,
    read_delivery,
    read_entry,
    read_event,
    read_plain,
    read_principal,
    read_published,
    read_recorded,
    read_request,
    read_simulation,
    read_stage,
    read_token,
    read_tool,
    read_vote,
)
from signoff.client.transport import (
    AUDIT_TIMEOUT,
    escaped,
    is_segment,
    request_path,
)
from signoff.client.undoing import UndoingClient
from signoff.domain.actions import canonical
from signoff.domain.advice import Advice
from signoff.domain.errors import (
    DeliveryNotFound,
    InvalidEdit,
    InvalidSetting,
    PauseNotFound,
    PayloadRefused,
    PolicyNotFound,
)
from signoff.domain.journal import Entry, is_entry
from signoff.domain.ledger import Audit, Break, Event
from signoff.domain.notices import Delivery, DeliveryState
from signoff.domain.pauses import Pause
from signoff.domain.policy_changes import Published, Recorded
from signoff.domain.principals import Principal, PrincipalKind, Token
from signoff.domain.requests import Decision, Edit, Request, Status, Vote
from signoff.domain.simulation import Simulation
from signoff.domain.stages import Stage
from signoff.ports import Filter, KnownTool, Page

if TYPE_CHECKING:
    from signoff.domain.policy import Policy


class Client(UndoingClient):
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

    def whoami(self) -> Principal:
        """Who the token stands for.

        Raises:
            NotAuthenticated: It is unknown, expired or revoked.
        """
        return read_principal(self._get("/me"))

    # What people do.

    def decide(
        self,
        request_id: str,
        decision: Decision,
        *,
        digest: str | None,
        behalf: str | None = None,
    ) -> Request:
        """Take a decision; `digest` is that of what was shown.

        It is by the identity's own right, else by one that somebody lends it now; with
        `behalf`, by that person's.

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
        body = {"type": decision.kind, "digest": digest, "behalf": behalf, **said}
        return read_request(self._post(request_path(request_id, "/decisions"), body))

    def cancel(self, name: str, *, reason: str = "") -> Request | Entry:
        """Withdraw a request, or cancel a held call by its entry: it never runs.

        Raises:
            RequestNotFound, EntryNotFound, NotAllowed: Refused.
            AlreadyDecided, HoldOver: There is nothing to cancel any more.
        """
        if is_entry(name):
            return self.cancel_held(name, reason=reason)
        return self.cancel_request(name, reason=reason)

    def cancel_request(self, request_id: str, *, reason: str) -> Request:
        """Withdraw a request; it never runs.

        Raises:
            RequestNotFound, AlreadyDecided: There is nothing to withdraw.
        """
        path = request_path(request_id, "/cancel")
        return read_request(self._post(path, {"reason": reason}))

    # Pauses.

    def pause(
        self,
        *,
        agent: str | None = None,
        thread: str | None = None,
        tool: str | None = None,
        reason: str | None = None,
    ) -> Pause:
        """Stop an agent, a thread, tools of a name, or everything, at the next action.

        Raises:
            NotAllowed: People and services pause, agents don't.
            InvalidSetting: A name is empty.
        """
        body = {"agent": agent, "thread": thread, "tool": tool, "reason": reason}
        return read_plain(Pause, self._post("/pauses", body))

    def lift(self, pause_id: str) -> Pause:
        """Let go on what a pause stopped, unless another one stops it too.

        Raises:
            NotAllowed: Only people lift.
            PauseNotFound, AlreadyLifted: There is nothing to lift.
        """
        if not is_segment(pause_id):
            raise PauseNotFound(pause_id)
        path = f"/pauses/{quote(pause_id, safe='')}/lift"
        return read_plain(Pause, self._post(path, {}))

    def pauses(self, *, active: bool = True) -> Sequence[Pause]:
        """The pauses that hold, or all there ever were, oldest first."""
        found = self._get("/pauses", active="true" if active else "false")
        return [read_plain(Pause, data) for data in found]

    def stalled(self) -> int:
        """How many calls wait for a pause to be lifted."""
        return int(self._get("/stalled"))

    # What people look at.

    def get(self, request_id: str) -> Request:
        """One request.

        Raises:
            RequestNotFound: There is none.
        """
        return read_request(self._get(request_path(request_id)))

    def find(self, start: str) -> Request:
        """The one request whose id starts like this.

        Raises:
            RequestNotFound: None does, or several do.
        """
        return read_request(self._get("/find", start=start))

    def pending(self, wanted: Filter | None = None) -> Page:
        """A page of requests; by default those that wait, the most urgent first."""
        query = _query(Filter() if wanted is None else wanted)
        found = self._get("/requests", **query)
        requests = tuple(read_request(data) for data in found["requests"])
        return Page(requests=requests, next=found["next"])

    def count(self, wanted: Filter | None = None) -> int:
        """How many requests match."""
        query = _query(Filter() if wanted is None else wanted)
        return int(self._get("/requests/count", **query))

    def votes(self, request_id: str) -> Sequence[Vote]:
        """What was said on a request so far, oldest first."""
        found = self._get(request_path(request_id, "/votes"))
        return [read_vote(data) for data in found]

    def history(self, request_id: str) -> Sequence[Event]:
        """Everything that happened about a request and its effect, oldest first."""
        return [read_event(d) for d in self._get(request_path(request_id, "/history"))]

    def entry_of(self, request: Request) -> Entry | None:
        """The journal's entry of a request's action, if it ever ran."""
        found = self._get(request_path(request.id, "/entry"))
        return None if found is None else read_entry(found)

    def thread(self, thread: str) -> Sequence[Request]:
        """Every request of a thread, oldest first."""
        found = self._get(f"/threads/{escaped(thread)}/requests")
        return [read_request(data) for data in found]

    def stages(self, thread: str) -> Sequence[Stage]:
        """Where each stage of a thread stands: done, waiting, ahead."""
        return [read_stage(d) for d in self._get(f"/threads/{escaped(thread)}/stages")]

    def tools(self, agent: str | None = None) -> Sequence[KnownTool]:
        """The tools that agents were seen to have."""
        return [read_tool(data) for data in self._get("/tools", agent=agent)]

    def now(self) -> int:
        """The database's clock, microseconds since 1970 UTC."""
        return int(self._get("/now"))

    def changed(self) -> int:
        """Grows whenever a request is made or changes, in any process."""
        return int(self._get("/changed"))

    def audit(self) -> Audit:
        """Check the ledger, and the tables against it."""
        found = self._send("GET", "/audit", timeout=AUDIT_TIMEOUT)
        breaks = tuple(read_plain(Break, data) for data in found["breaks"])
        return read_plain(Audit, found, breaks=breaks)

    # Telling people; for the group `admin` only.

    def deliveries(
        self, *, state: DeliveryState | None = None, limit: int = 100
    ) -> Sequence[Delivery]:
        """Deliveries, the newest first; at most 1000.

        Raises:
            NotAllowed: The identity isn't of the group `admin`.
        """
        name = None if state is None else DeliveryState(state).value
        found = self._get("/deliveries", state=name, limit=limit)
        return [read_delivery(data) for data in found]

    def retry_delivery(self, delivery_id: str) -> Delivery:
        """Let a dead delivery be sent again, with all its attempts.

        Raises:
            NotAllowed: The identity isn't of the group `admin`.
            DeliveryNotFound, CannotRetry: There is none, or it isn't dead.
        """
        if not is_segment(delivery_id):
            raise DeliveryNotFound(delivery_id)
        path = f"/deliveries/{quote(delivery_id, safe='')}/retry"
        return read_delivery(self._post(path, {}))

    # Policies.

    def policy_log(self, *, limit: int = 100) -> Sequence[Published]:
        """The policies that came into use, the newest first; at most 1000."""
        return [read_published(data) for data in self._get("/policies", limit=limit)]

    def policy_version(self, start: str) -> Recorded:
        """The one recorded policy whose version starts like this.

        Raises:
            PolicyNotFound: None does, or several do.
        """
        if not is_segment(start):
            raise PolicyNotFound(start)
        return read_recorded(self._get(f"/policies/{quote(start, safe='')}"))

    def simulate(
        self,
        policy: Policy,
        *,
        since: timedelta,
        agent: str | None = None,
        seconds_per_decision: float | None = None,
        examples: int = 3,
    ) -> Simulation:
        """What another policy would have said of the calls that were recorded.

        A condition in Python can't be sent: its rule asks about every call.

        Raises:
            InvalidSetting: A number out of range.
            NotAllowed: The identity is an agent.
        """
        body = {
            "rules": [rule.describe() for rule in policy.rules],
            "since_s": since.total_seconds(),
            "agent": agent,
            "seconds_per_decision": seconds_per_decision,
            "examples": examples,
        }
        found = self._post("/policies/simulate", body, timeout=AUDIT_TIMEOUT)
        return read_simulation(found)

    def advise(
        self,
        *,
        since: timedelta,
        agent: str | None = None,
        at_most: float = 0.02,
        least: int = 100,
    ) -> Advice:
        """Moves that the record supports. None is applied.

        Raises:
            InvalidSetting: A number out of range.
            MissingExtra: scipy isn't installed at the server.
            NotAllowed: The identity is an agent.
        """
        given = {
            "since_s": since.total_seconds(),
            "agent": agent,
            "at_most": at_most,
            "least": least,
        }
        query = {name: value for name, value in given.items() if value is not None}
        found = self._send("GET", "/advice", params=query, timeout=AUDIT_TIMEOUT)
        return read_advice(found)

    # Identities; for the group `admin` only.

    def tokens(self) -> Sequence[Token]:
        """Every token ever made, without its secret.

        Raises:
            NotAllowed: The identity isn't of the group `admin`.
        """
        return [read_token(data) for data in self._get("/tokens")]

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
        return read_token(made["token"]), str(made["secret"])

    def revoke_token(self, token_id: str) -> None:
        """End a token at once.

        Raises:
            NotAllowed: The identity isn't of the group `admin`.
            InvalidSetting: There is no such token, or it was revoked before.
        """
        if not is_segment(token_id):
            raise InvalidSetting("token", f"{token_id!r} is unknown.")
        self._send("DELETE", f"/tokens/{quote(token_id, safe='')}")


def _query(wanted: Filter) -> dict[str, str | int | None]:
    query: dict[str, str | int | None] = asdict(wanted)
    query["status"] = "any" if wanted.status is None else Status(wanted.status).value
    return query


def _check_exact(request_id: str, edit: Edit) -> None:
    try:
        canonical(edit.args, at="args")
    except PayloadRefused as error:
        raise InvalidEdit(request_id, (str(error),)) from error
