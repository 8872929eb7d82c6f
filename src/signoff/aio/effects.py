"""What can be taken back, and what is held, for async callers."""

from __future__ import annotations

from collections.abc import Sequence

from signoff.aio.running import Running
from signoff.domain.actions import Action
from signoff.domain.journal import Entry
from signoff.domain.policy import Policy, Ruling
from signoff.domain.principals import Principal
from signoff.domain.requests import Request
from signoff.domain.undo_plan import UndoPlan, UndoRun
from signoff.domain.undoing import AgentNotice, Dependent, Orphan, Undo
from signoff.service.holds import Held
from signoff.service.parking import Need


class AsyncEffects(Running):
    """Undos, unknown outcomes and held calls."""

    async def undo_action(
        self, entry_id: str, *, by: Principal, reason: str = "", force: bool = False
    ) -> Entry:
        return await self._run(
            self.sync.undo_action, entry_id, by=by, reason=reason, force=force
        )

    async def close_window(
        self, entry_id: str, *, by: Principal, reason: str = ""
    ) -> Entry:
        return await self._run(self.sync.close_window, entry_id, by=by, reason=reason)

    async def undo_since(
        self,
        entry_id: str,
        *,
        by: Principal,
        reason: str = "",
        only_dependents: bool = False,
        force: bool = False,
    ) -> UndoRun:
        return await self._run(
            self.sync.undo_since,
            entry_id,
            by=by,
            reason=reason,
            only_dependents=only_dependents,
            force=force,
        )

    async def undo_thread(
        self, thread: str, *, by: Principal, reason: str = "", force: bool = False
    ) -> UndoRun:
        return await self._run(
            self.sync.undo_thread, thread, by=by, reason=reason, force=force
        )

    async def undo_plan(
        self,
        entry_id: str | None = None,
        *,
        since: str | None = None,
        thread: str | None = None,
        only_dependents: bool = False,
    ) -> UndoPlan:
        return await self._run(
            self.sync.undo_plan,
            entry_id,
            since=since,
            thread=thread,
            only_dependents=only_dependents,
        )

    async def dependents(self, entry_id: str) -> Sequence[Dependent]:
        return await self._run(self.sync.dependents, entry_id)

    async def entry(self, entry_id: str) -> Entry:
        return await self._run(self.sync.entry, entry_id)

    async def open_windows(self, *, limit: int = 100) -> Sequence[Entry]:
        return await self._run(self.sync.open_windows, limit=limit)

    async def unknowns(self, *, limit: int = 100) -> Sequence[Entry]:
        return await self._run(self.sync.unknowns, limit=limit)

    async def look_into(self, entry: Entry) -> Entry:
        return await self._run(self.sync.look_into, entry)

    async def orphans(self) -> Sequence[Orphan]:
        return await self._run(self.sync.orphans)

    async def hold_orphans(self, agents: Sequence[str]) -> int:
        return await self._run(self.sync.hold_orphans, agents)

    async def agent_notices(self, thread: str) -> Sequence[AgentNotice]:
        return await self._run(self.sync.agent_notices, thread)

    async def saw_notices(self, thread: str, ids: Sequence[str]) -> None:
        return await self._run(self.sync.saw_notices, thread, ids)

    async def add_undo(self, spec: Undo) -> None:
        return self.sync.add_undo(spec)

    async def add_held(self, held: Held) -> None:
        return self.sync.add_held(held)

    async def expects_holds(self, policy: Policy | None = None) -> bool:
        return self.sync.expects_holds(policy)

    async def begin_held(
        self,
        action: Action,
        *,
        ruling: Ruling | None = None,
        needs: Sequence[Need] = (),
    ) -> Entry | None:
        return await self._run(self.sync.begin_held, action, ruling=ruling, needs=needs)

    async def held_needs(
        self, action: Action, *, ruling: Ruling | None = None
    ) -> tuple[Need, ...]:
        return await self._run(self.sync.held_needs, action, ruling=ruling)

    async def offer_held(self, entry_id: str) -> Request | None:
        return await self._run(self.sync.offer_held, entry_id)

    async def release(self, entry_id: str, *, by: Principal) -> Entry:
        return await self._run(self.sync.release, entry_id, by=by)

    async def cancel_held(
        self, entry_id: str, *, by: Principal, reason: str = ""
    ) -> Entry:
        return await self._run(self.sync.cancel_held, entry_id, by=by, reason=reason)

    async def cancel_own(
        self, entry_id: str, *, thread: str, agent: str | None, reason: str = ""
    ) -> Entry:
        return await self._run(
            self.sync.cancel_own, entry_id, thread=thread, agent=agent, reason=reason
        )

    async def run_held(self, entry_id: str) -> Entry:
        return await self._run(self.sync.run_held, entry_id)

    async def stranded(self) -> Sequence[tuple[str | None, str, int]]:
        return await self._run(self.sync.stranded)
