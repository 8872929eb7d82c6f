"""The use cases for async callers: one line per method over the sync core.

Each call runs in a thread, under a limiter of its own so that it never waits for
other people's threads. A test holds names and signatures equal.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import timedelta
from functools import partial
from typing import ParamSpec, TypeVar

import anyio.to_thread

from signoff.domain.actions import Action
from signoff.domain.journal import Entry, EntryState
from signoff.domain.ledger import Event
from signoff.domain.policy import Policy, Ruling
from signoff.domain.principals import Principal, PrincipalKind, Token
from signoff.domain.requests import Decision, Request, Vote
from signoff.ports import Filter, KnownTool, Page, Wakeup
from signoff.service import Approvals
from signoff.service.audit import Audit
from signoff.service.overdue import Swept
from signoff.service.propose import Asked, Standing

P = ParamSpec("P")
T = TypeVar("T")


class AsyncApprovals:
    """`Approvals` for async callers; the docs of each method are there."""

    def __init__(self, sync: Approvals, *, threads: int = 8) -> None:
        self.sync = sync
        self._limiter = anyio.CapacityLimiter(threads)

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

    async def begin(self, request: Request) -> Entry | None:
        return await self._run(self.sync.begin, request)

    async def begin_allowed(self, action: Action) -> Entry | None:
        return await self._run(self.sync.begin_allowed, action)

    async def begin_again(self, entry: Entry, *, raised: bool = False) -> Entry | None:
        return await self._run(self.sync.begin_again, entry, raised=raised)

    async def finish(
        self, entry: Entry, move: str, *, result: bytes | None, summary: str
    ) -> bool:
        return await self._run(
            self.sync.finish, entry, move, result=result, summary=summary
        )

    async def look_again(self, entry: Entry) -> Entry:
        return await self._run(self.sync.look_again, entry)

    async def know_tools(self, tools: Sequence[KnownTool]) -> None:
        return await self._run(self.sync.know_tools, tools)

    async def decide(
        self, request_id: str, decision: Decision, *, by: Principal, digest: str | None
    ) -> Request:
        return await self._run(
            self.sync.decide, request_id, decision, by=by, digest=digest
        )

    async def cancel(self, request_id: str, *, by: Principal, reason: str) -> Request:
        return await self._run(self.sync.cancel, request_id, by=by, reason=reason)

    async def settle(
        self, entry: str, *, happened: bool, note: str = "", by: Principal
    ) -> Entry:
        return await self._run(
            self.sync.settle, entry, happened=happened, note=note, by=by
        )

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

    async def run_due(self) -> Swept:
        return await self._run(self.sync.run_due)

    async def next_due(self) -> int | None:
        return await self._run(self.sync.next_due)

    async def expire_due(self) -> int:
        return await self._run(self.sync.expire_due)

    async def wakeups(self, agent: str | None = None) -> Sequence[Wakeup]:
        return await self._run(self.sync.wakeups, agent)

    async def done_waking(self, wakeup: Wakeup) -> None:
        return await self._run(self.sync.done_waking, wakeup)

    async def flush(self) -> None:
        return await self._run(self.sync.flush)

    async def close(self) -> None:
        return await self._run(self.sync.close)

    async def _run(self, call: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        work = partial(call, *args, **kwargs)
        return await anyio.to_thread.run_sync(work, limiter=self._limiter)
