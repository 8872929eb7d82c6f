"""One person's view of the use cases, wherever they run."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Protocol

from signoff import Filter, Policy, Principal, Request, Signoff
from signoff.domain.advice import Advice
from signoff.domain.delegations import Delegation
from signoff.domain.journal import Entry, EntryState
from signoff.domain.ledger import Audit, Event
from signoff.domain.notices import Delivery, DeliveryState
from signoff.domain.pauses import Pause
from signoff.domain.policy_changes import Published, Recorded
from signoff.domain.principals import PrincipalKind, Token
from signoff.domain.requests import Decision, Vote
from signoff.domain.simulation import Simulation
from signoff.domain.stages import Stage
from signoff.domain.voting import Progress
from signoff.ports import KnownTool, Page
from tests.server.house import House


class Desk(Protocol):
    """What `Client` promises."""

    def whoami(self) -> Principal: ...
    def get(self, request_id: str) -> Request: ...
    def find(self, start: str) -> Request: ...
    def pending(self, wanted: Filter | None = None) -> Page: ...
    def count(self, wanted: Filter | None = None) -> int: ...
    def votes(self, request_id: str) -> Sequence[Vote]: ...
    def history(self, request_id: str) -> Sequence[Event]: ...
    def entry_of(self, request: Request) -> Entry | None: ...
    def journal(
        self,
        *,
        thread: str | None = None,
        state: EntryState | None = None,
        limit: int = 100,
    ) -> Sequence[Entry]: ...
    def thread(self, thread: str) -> Sequence[Request]: ...
    def stages(self, thread: str) -> Sequence[Stage]: ...
    def tools(self, agent: str | None = None) -> Sequence[KnownTool]: ...
    def policy_log(self, *, limit: int = 100) -> Sequence[Published]: ...
    def policy_version(self, start: str) -> Recorded: ...
    def simulate(
        self,
        policy: Policy,
        *,
        since: timedelta,
        agent: str | None = None,
        seconds_per_decision: float | None = None,
        examples: int = 3,
    ) -> Simulation: ...
    def advise(
        self,
        *,
        since: timedelta,
        agent: str | None = None,
        at_most: float = 0.02,
        least: int = 100,
    ) -> Advice: ...
    def now(self) -> int: ...
    def changed(self) -> int: ...
    def audit(self) -> Audit: ...
    def decide(
        self,
        request_id: str,
        decision: Decision,
        *,
        digest: str | None,
        behalf: str | None = None,
    ) -> Request: ...
    def agreement(self, request_id: str) -> Progress: ...
    def assign(self, request_id: str, *, to: str | None) -> Request: ...
    def delegate(
        self,
        to: str,
        *,
        ends: datetime,
        starts: datetime | None = None,
        delegator: str | None = None,
        reason: str | None = None,
    ) -> Delegation: ...
    def delegations(self) -> Sequence[Delegation]: ...
    def revoke_delegation(self, delegation_id: str) -> None: ...
    def cancel(self, request_id: str, *, reason: str) -> Request: ...
    def settle(self, entry: str, *, happened: bool, note: str = "") -> Entry: ...
    def deliveries(
        self, *, state: DeliveryState | None = None, limit: int = 100
    ) -> Sequence[Delivery]: ...
    def retry_delivery(self, delivery_id: str) -> Delivery: ...
    def pauses(self, *, active: bool = True) -> Sequence[Pause]: ...
    def stalled(self) -> int: ...
    def pause(
        self,
        *,
        agent: str | None = None,
        thread: str | None = None,
        tool: str | None = None,
        reason: str | None = None,
    ) -> Pause: ...
    def lift(self, pause_id: str) -> Pause: ...
    def tokens(self) -> Sequence[Token]: ...
    def create_token(
        self,
        principal: str,
        *,
        kind: PrincipalKind = PrincipalKind.PERSON,
        groups: Sequence[str] = (),
        expires_in: timedelta | None = None,
    ) -> tuple[Token, str]: ...
    def revoke_token(self, token_id: str) -> None: ...


class Direct:
    """The use cases on the database, as somebody."""

    def __init__(self, so: Signoff, by: Principal) -> None:
        self._so, self._by = so, by
        self.get, self.find = so.get, so.find
        self.pending, self.count = so.pending, so.count
        self.votes, self.history = so.votes, so.history
        self.entry_of, self.journal = so.entry_of, so.journal
        self.thread, self.tools = so.thread, so.tools
        self.stages = so.stages
        self.now, self.changed, self.audit = so.now, so.changed, so.audit
        self.deliveries, self.retry_delivery = so.deliveries, so.retry_delivery
        self.tokens, self.delegations = so.tokens, so.delegations
        self.agreement = so.agreement
        self.policy_log, self.policy_version = so.policy_log, so.policy_version
        self.simulate, self.advise = so.simulate, so.advise
        self.pauses, self.stalled = so.pauses, so.stalled

    def whoami(self) -> Principal:
        return self._by

    def decide(
        self,
        request_id: str,
        decision: Decision,
        *,
        digest: str | None,
        behalf: str | None = None,
    ) -> Request:
        return self._so.decide(
            request_id, decision, by=self._by, digest=digest, behalf=behalf
        )

    def assign(self, request_id: str, *, to: str | None) -> Request:
        return self._so.assign(request_id, to=to, by=self._by)

    def delegate(
        self,
        to: str,
        *,
        ends: datetime,
        starts: datetime | None = None,
        delegator: str | None = None,
        reason: str | None = None,
    ) -> Delegation:
        return self._so.delegate(
            to,
            ends=ends,
            starts=starts,
            delegator=delegator,
            reason=reason,
            by=self._by,
        )

    def revoke_delegation(self, delegation_id: str) -> None:
        self._so.revoke_delegation(delegation_id, by=self._by)

    def cancel(self, request_id: str, *, reason: str) -> Request:
        return self._so.cancel(request_id, by=self._by, reason=reason)

    def settle(self, entry: str, *, happened: bool, note: str = "") -> Entry:
        return self._so.settle(entry, happened=happened, note=note, by=self._by)

    def pause(
        self,
        *,
        agent: str | None = None,
        thread: str | None = None,
        tool: str | None = None,
        reason: str | None = None,
    ) -> Pause:
        return self._so.pause(
            by=self._by, agent=agent, thread=thread, tool=tool, reason=reason
        )

    def lift(self, pause_id: str) -> Pause:
        return self._so.lift(pause_id, by=self._by)

    def create_token(
        self,
        principal: str,
        *,
        kind: PrincipalKind = PrincipalKind.PERSON,
        groups: Sequence[str] = (),
        expires_in: timedelta | None = None,
    ) -> tuple[Token, str]:
        return self._so.create_token(
            principal, kind=kind, groups=groups, expires_in=expires_in, by=self._by.id
        )

    def revoke_token(self, token_id: str) -> None:
        self._so.revoke_token(token_id, by=self._by.id)


@dataclass(frozen=True)
class Office:
    """A house, and a desk in it for anybody."""

    house: House
    desk: Callable[[str], Desk]
