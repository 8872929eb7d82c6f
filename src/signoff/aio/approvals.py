"""The use cases for async callers: one line per method over the sync core.

Each call runs in a thread, under a limiter of its own so that it never waits for
other people's threads. A test holds names and signatures equal.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

from signoff.aio.effects import AsyncEffects
from signoff.domain.actions import Action
from signoff.domain.advice import Advice
from signoff.domain.delegations import Delegation, Lent
from signoff.domain.journal import Entry, EntryState
from signoff.domain.ledger import Event
from signoff.domain.notices import Delivery, DeliveryState
from signoff.domain.pauses import Pause
from signoff.domain.policy import Policy, Ruling
from signoff.domain.policy_changes import Published, Recorded
from signoff.domain.principals import Principal, PrincipalKind, Token
from signoff.domain.requests import Decision, Request, Vote
from signoff.domain.simulation import Simulation
from signoff.domain.stages import Kept, Stage
from signoff.domain.voting import Progress
from signoff.ports import Filter, KnownTool, Outlets, Page, Wakeup, Workforce
from signoff.service.audit import Audit
from signoff.service.overdue import Swept
from signoff.service.propose import Asked, Standing
from signoff.service.upkeep import Upkeep


class AsyncApprovals(AsyncEffects):
    """`Approvals` for async callers; the docs of each method are there."""

    async def rule(self, action: Action) -> Ruling:
        return self.sync.rule(action)

    async def allowed(self, action: Action, ruling: Ruling) -> None:
        return self.sync.allowed(action, ruling)

    async def standing(self, action_id: str) -> Standing | None:
        return await self._run(self.sync.standing, action_id)

    async def propose(
        self, action: Action, asked: Asked, *, ruling: Ruling | None = None
    ) -> Standing:
        return await self._run(self.sync.propose, action, asked, ruling=ruling)

    async def publish(self, policy: Policy) -> None:
        return await self._run(self.sync.publish, policy)

    async def begin(
        self,
        request: Request,
        *,
        action: Action | None = None,
        ruling: Ruling | None = None,
    ) -> Entry | None:
        return await self._run(self.sync.begin, request, action=action, ruling=ruling)

    async def begin_allowed(self, action: Action) -> Entry | None:
        return await self._run(self.sync.begin_allowed, action)

    async def begin_reversible(
        self, action: Action, asked: Asked, *, ruling: Ruling | None = None
    ) -> Entry | None:
        return await self._run(self.sync.begin_reversible, action, asked, ruling=ruling)

    async def begin_again(self, entry: Entry, *, raised: bool = False) -> Entry | None:
        return await self._run(self.sync.begin_again, entry, raised=raised)

    async def finish(
        self,
        entry: Entry,
        move: str,
        *,
        result: bytes | None,
        summary: str,
        output: object = None,
    ) -> bool:
        return await self._run(
            self.sync.finish,
            entry,
            move,
            result=result,
            summary=summary,
            output=output,
        )

    async def look_again(self, entry: Entry) -> Entry:
        return await self._run(self.sync.look_again, entry)

    async def know_tools(self, tools: Sequence[KnownTool]) -> None:
        return await self._run(self.sync.know_tools, tools)

    async def decide(
        self,
        request_id: str,
        decision: Decision,
        *,
        by: Principal,
        digest: str | None,
        behalf: str | None = None,
    ) -> Request:
        return await self._run(
            self.sync.decide, request_id, decision, by=by, digest=digest, behalf=behalf
        )

    async def agreement(self, request_id: str) -> Progress:
        return await self._run(self.sync.agreement, request_id)

    async def assign(
        self, request_id: str, *, to: str | None, by: Principal
    ) -> Request:
        return await self._run(self.sync.assign, request_id, to=to, by=by)

    async def delegate(
        self,
        to: str,
        *,
        ends: datetime,
        by: Principal,
        starts: datetime | None = None,
        delegator: str | None = None,
        reason: str | None = None,
    ) -> Delegation:
        return await self._run(
            self.sync.delegate,
            to,
            ends=ends,
            by=by,
            starts=starts,
            delegator=delegator,
            reason=reason,
        )

    async def delegations(self) -> Sequence[Delegation]:
        return await self._run(self.sync.delegations)

    async def revoke_delegation(self, delegation_id: str, *, by: Principal) -> None:
        return await self._run(self.sync.revoke_delegation, delegation_id, by=by)

    async def lent_to(self, person: str) -> Sequence[Lent]:
        return await self._run(self.sync.lent_to, person)

    async def cancel(
        self, name: str, *, by: Principal, reason: str = ""
    ) -> Request | Entry:
        return await self._run(self.sync.cancel, name, by=by, reason=reason)

    async def cancel_request(
        self, request_id: str, *, by: Principal, reason: str
    ) -> Request:
        return await self._run(
            self.sync.cancel_request, request_id, by=by, reason=reason
        )

    async def settle(
        self,
        entry: str,
        *,
        happened: bool | None = None,
        note: str = "",
        by: Principal,
        result: object = None,
        again: bool = False,
    ) -> Entry:
        return await self._run(
            self.sync.settle,
            entry,
            happened=happened,
            note=note,
            by=by,
            result=result,
            again=again,
        )

    async def pause(
        self,
        *,
        by: Principal,
        agent: str | None = None,
        thread: str | None = None,
        tool: str | None = None,
        reason: str | None = None,
    ) -> Pause:
        return await self._run(
            self.sync.pause, by=by, agent=agent, thread=thread, tool=tool, reason=reason
        )

    async def lift(self, pause_id: str, *, by: Principal) -> Pause:
        return await self._run(self.sync.lift, pause_id, by=by)

    async def pauses(self, *, active: bool = True) -> Sequence[Pause]:
        return await self._run(self.sync.pauses, active=active)

    async def stalled(self) -> int:
        return await self._run(self.sync.stalled)

    async def known_pauses(self, action: Action) -> tuple[Pause, ...] | None:
        return self.sync.known_pauses(action)

    async def pauses_on(self, action: Action) -> tuple[Pause, ...]:
        return await self._run(self.sync.pauses_on, action)

    async def stall(self, action: Action, tool: str | None = None) -> tuple[Pause, ...]:
        return await self._run(self.sync.stall, action, tool)

    async def get(self, request_id: str) -> Request:
        return await self._run(self.sync.get, request_id)

    async def find(self, start: str) -> Request:
        return await self._run(self.sync.find, start)

    async def pending(self, wanted: Filter | None = None) -> Page:
        return await self._run(self.sync.pending, wanted)

    async def count(self, wanted: Filter | None = None) -> int:
        return await self._run(self.sync.count, wanted)

    async def votes(self, request_id: str) -> Sequence[Vote]:
        return await self._run(self.sync.votes, request_id)

    async def history(self, request_id: str) -> Sequence[Event]:
        return await self._run(self.sync.history, request_id)

    async def entry_of(self, request: Request) -> Entry | None:
        return await self._run(self.sync.entry_of, request)

    async def journal(
        self,
        *,
        thread: str | None = None,
        state: EntryState | None = None,
        limit: int = 100,
    ) -> Sequence[Entry]:
        return await self._run(
            self.sync.journal, thread=thread, state=state, limit=limit
        )

    async def thread(self, thread: str) -> Sequence[Request]:
        return await self._run(self.sync.thread, thread)

    async def declare_stages(self, thread: str, names: Sequence[str]) -> None:
        return await self._run(self.sync.declare_stages, thread, names)

    async def kept(self, kept_id: str) -> Kept | None:
        return await self._run(self.sync.kept, kept_id)

    async def keep(
        self, kept_id: str, *, thread: str, stage: str, value: object
    ) -> Kept:
        return await self._run(
            self.sync.keep, kept_id, thread=thread, stage=stage, value=value
        )

    async def stages(self, thread: str) -> Sequence[Stage]:
        return await self._run(self.sync.stages, thread)

    async def tools(self, agent: str | None = None) -> Sequence[KnownTool]:
        return await self._run(self.sync.tools, agent)

    async def now(self) -> int:
        return await self._run(self.sync.now)

    async def changed(self) -> int:
        return await self._run(self.sync.changed)

    async def audit(self) -> Audit:
        return await self._run(self.sync.audit)

    async def authenticate(self, secret: str | None, *, channel: str) -> Principal:
        return await self._run(self.sync.authenticate, secret, channel=channel)

    async def create_token(
        self,
        principal: str,
        *,
        kind: PrincipalKind = PrincipalKind.PERSON,
        groups: Sequence[str] = (),
        expires_in: timedelta | None = None,
        by: str | None = None,
    ) -> tuple[Token, str]:
        return await self._run(
            self.sync.create_token,
            principal,
            kind=kind,
            groups=groups,
            expires_in=expires_in,
            by=by,
        )

    async def revoke_token(self, token_id: str, *, by: str | None = None) -> None:
        return await self._run(self.sync.revoke_token, token_id, by=by)

    async def tokens(self) -> Sequence[Token]:
        return await self._run(self.sync.tokens)

    async def policy_log(self, *, limit: int = 100) -> Sequence[Published]:
        return await self._run(self.sync.policy_log, limit=limit)

    async def policy_version(self, start: str) -> Recorded:
        return await self._run(self.sync.policy_version, start)

    async def deliver_due(self, outlets: Outlets) -> int:
        return await self._run(self.sync.deliver_due, outlets)

    async def next_delivery(self, outlets: Outlets) -> int | None:
        return await self._run(self.sync.next_delivery, outlets)

    async def deliveries(
        self, *, state: DeliveryState | None = None, limit: int = 100
    ) -> Sequence[Delivery]:
        return await self._run(self.sync.deliveries, state=state, limit=limit)

    async def retry_delivery(self, delivery_id: str) -> Delivery:
        return await self._run(self.sync.retry_delivery, delivery_id)

    async def simulate(
        self,
        policy: Policy,
        *,
        since: timedelta,
        agent: str | None = None,
        seconds_per_decision: float | None = None,
        examples: int = 3,
    ) -> Simulation:
        return await self._run(
            self.sync.simulate,
            policy,
            since=since,
            agent=agent,
            seconds_per_decision=seconds_per_decision,
            examples=examples,
        )

    async def advise(
        self,
        *,
        since: timedelta,
        agent: str | None = None,
        at_most: float = 0.02,
        least: int = 100,
    ) -> Advice:
        return await self._run(
            self.sync.advise, since=since, agent=agent, at_most=at_most, least=least
        )

    async def sweep(self) -> Swept:
        return await self._run(self.sync.sweep)

    async def wake_freed(self) -> int:
        return await self._run(self.sync.wake_freed)

    async def expire_due(self) -> int:
        return await self._run(self.sync.expire_due)

    async def run_due(self) -> int:
        return await self._run(self.sync.run_due)

    async def next_due(self) -> int | None:
        return await self._run(self.sync.next_due)

    async def lose_turns(self) -> int:
        return await self._run(self.sync.lose_turns)

    async def wakeups(
        self, agent: str | None = None, *, ready: bool = False
    ) -> Sequence[Wakeup]:
        return await self._run(self.sync.wakeups, agent, ready=ready)

    async def wakeup(self, thread: str) -> Wakeup | None:
        return await self._run(self.sync.wakeup, thread)

    async def put_off(self, wakeup: Wakeup, error: str) -> float:
        return await self._run(self.sync.put_off, wakeup, error)

    async def join(self, other: Upkeep) -> None:
        return self.sync.join(other)

    async def workforce(self) -> Workforce:
        return await self._run(self.sync.workforce)

    async def done_waking(self, wakeup: Wakeup) -> None:
        return await self._run(self.sync.done_waking, wakeup)

    async def flush(self) -> None:
        return await self._run(self.sync.flush)

    async def close(self) -> None:
        return await self._run(self.sync.close)
