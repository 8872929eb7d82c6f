"""Held calls: parked, released, cancelled, and run by a process that has their tool."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from functools import partial
from threading import Thread
from typing import Final

from signoff.clock import monotonic
from signoff.domain.actions import Action
from signoff.domain.errors import (
    CallerError,
    HoldOver,
    LostRace,
    NotApplied,
    WorldError,
)
from signoff.domain.journal import Entry, EntryState
from signoff.domain.policy import Policy, Ruling
from signoff.domain.principals import Principal
from signoff.domain.requests import Request, Status
from signoff.domain.text import storable
from signoff.service import held_ends, parking, releasing
from signoff.service.decide import check_principal
from signoff.service.holds import Check, Held, Needs, Ran
from signoff.service.parking import OPEN, Need
from signoff.service.releasing import Office
from signoff.service.undoing import BATCH, Undoing

log: Final = logging.getLogger("signoff")

PATIENCE_S: Final = 2.0
"""How long `run_due` waits for the held calls that it started; then they run on."""
SEND_S: Final = 30.0
"""How long `release` waits for the call that it sends."""


class Holding(Undoing):
    """The use cases of held calls."""

    def add_held(self, held: Held) -> None:
        """Register a tool whose held calls this process can run.

        Middleware, tool nodes and runners do so with the tools they know.
        """
        self.holds.add(held)

    @property
    def precondition(self) -> Callable[[str], Callable[[Check], Check]]:
        """A decorator: this must still hold when a held call of a tool runs.

        @so.precondition("send_email")
        def still_open(args): ...

        It gets the arguments. True lets the call run; False or a reason cancels it. If
        it raises, hangs or gives anything else, people are asked.
        """
        return self.holds.register_precondition

    @property
    def needs(self) -> Callable[[str], Callable[[Needs], Needs]]:
        """A decorator: this tells which held calls a call of a tool needs.

        @so.needs("add_to_channel")
        def invited(args, held): ...

        It gets the arguments, and an `Effect` for each held call of the thread; it
        gives the ids of those that must happen first.
        """
        return self.holds.register_needs

    def expects_holds(self, policy: Policy | None = None) -> bool:
        """Whether calls may be held here, by this process's policy or by this one."""
        return self.holds.expect(policy) or self.holds.expected

    def begin_held(
        self,
        action: Action,
        *,
        ruling: Ruling | None = None,
        needs: Sequence[Need] = (),
    ) -> Entry | None:
        """Park a call until its window ends, and until what it needs has happened.

        None: it was recorded before; look again.

        Raises:
            PayloadRefused: The arguments aren't exact JSON; nothing is recorded.
            Paused: A pause covers it.
        """
        fresh = self.rule(action) if ruling is None else ruling
        if self.policy is not None:
            self.publish(self.policy)
        entry = parking.park(self.store, self.undos, action, fresh, self._worker, needs)
        self.bell.ring()
        return entry

    def held_needs(
        self, action: Action, *, ruling: Ruling | None = None
    ) -> tuple[Need, ...]:
        """The held calls of its thread that a call needs, and how that is known."""
        fresh = self.rule(action) if ruling is None else ruling
        with self.store.reading() as reading:
            return parking.needed(
                reading, self.holds, self.undos, action, fresh.verdict
            )

    def offer_held(self, entry_id: str) -> Request | None:
        """Ask people to let a held call run now, since a later one needs it.

        Its timer runs on. None: it isn't held any more.
        """
        offered = releasing.offer(self._office, entry_id)
        self.bell.ring()
        return offered

    def release(self, entry_id: str, *, by: Principal) -> Entry:
        """Send a held call now.

        Policy, precondition and pauses are heeded as ever. It runs in this process if
        that has its tool, otherwise in one that has; then it is `held` until then.

        Raises:
            EntryNotFound, NotAuthenticated, NotAllowed: Refused.
            HoldOver: It runs, has run, or was cancelled.
            HeldIsAsked, HeldNeedsOthers, Paused: It can't be sent now.
        """
        check_principal(by)
        entry = self.entry(entry_id)
        held_ends.check_may_release(entry, by)
        held_ends.check_held(entry)
        if self.holds.get(entry.agent, entry.tool) is None:
            sent = held_ends.admit_release(self.store, entry, by)
            self.bell.ring()
            return sent
        claimed = releasing.commit(self._office, entry, by)
        if claimed is None:
            return self._not_sent(entry)
        self._start(claimed).join(SEND_S)
        return self.entry(entry_id)

    def cancel_held(self, entry_id: str, *, by: Principal, reason: str = "") -> Entry:
        """Cancel a held call before it has any effect, and what needs it.

        The agent is told, and the same call of its thread is asked about from now on.

        Raises:
            EntryNotFound, NotAuthenticated, NotAllowed: Refused; `undoers` of its rule
                says who may.
            HoldOver: It runs, has run, or was cancelled.
        """
        cancelled = held_ends.cancel(self.store, entry_id, by=by, reason=reason)
        self.bell.ring()
        return cancelled

    def cancel_own(
        self, entry_id: str, *, thread: str, agent: str | None, reason: str = ""
    ) -> Entry:
        """An agent cancels a call that it queued itself in this thread.

        Raises:
            EntryNotFound: It has no such held call there.
            HoldOver: It runs, has run, or was cancelled.
        """
        cancelled = held_ends.cancel_own(
            self.store, entry_id, thread=thread, agent=agent, reason=reason
        )
        self.bell.ring()
        return cancelled

    def run_held(self, entry_id: str) -> Entry:
        """Run a held call here if people let it run or its time has come.

        It is as it is then; still `held` if it may not run or isn't this process's.
        """
        entry = self.entry(entry_id)
        office = self._office
        if entry.state is EntryState.HELD and self._may_run(entry):
            claimed = releasing.commit(office, entry)
            if claimed is not None:
                self._start(claimed).join(SEND_S)
        return self.entry(entry_id)

    def stranded(self) -> Sequence[tuple[str | None, str, int]]:
        """The agents, tools and numbers of held calls that this process can't run."""
        with self.store.reading() as reading:
            ways = reading.held_ways()
        known = {way for one in self._all for way in one.holds.known}
        return [one for one in ways if one[:2] not in known]

    def hold_orphans(self, agents: Sequence[str]) -> int:
        """Report held calls of these agents without a tool too; the rest as before."""
        for agent, tool, count in self.stranded():
            if agent in agents:
                said = "no tool %s of %s is here: its held calls (%d) are asked about"
                log.error(said, tool, agent, count)
        return super().hold_orphans(agents)

    def _may_run(self, entry: Entry) -> bool:
        if self.holds.get(entry.agent, entry.tool) is None:
            return False
        if entry.commit_at is not None and entry.commit_at <= self.now():
            return True
        with self.store.reading() as reading:
            request = reading.request(entry.request_id or "")
        return request is not None and request.status is Status.APPROVED

    @property
    def _office(self) -> Office:
        return Office(
            store=self.store,
            holds=self.holds,
            undos=self.undos,
            rule=self.rule,
            worker=self._worker,
            directory=self.directory,
            calendars=self.calendars,
        )

    def _not_sent(self, entry: Entry) -> Entry:
        """It may have been cancelled or be asked about, else somebody was faster."""
        now = self.entry(entry.id)
        self.bell.ring()
        if now.state in OPEN - {EntryState.HELD}:
            raise HoldOver(now.id, now.state.value, now.undo_by)
        return now

    def _held_work(self) -> Sequence[Callable[[], int]]:
        """What `run_due` does about held calls."""
        return (self._held_due,)

    def _held_due(self) -> int:
        with self.store.reading() as reading:
            if not reading.any_held():
                return 0
        office = self._office
        done = releasing.let_go(office, BATCH) + self._release_due()
        return done + releasing.ask_overdue(office, BATCH)

    def _release_due(self) -> int:
        office, started = self._office, []
        found = list(releasing.settled(office, BATCH))
        with self.store.reading() as reading:
            ways = self.holds.ways
            if ways:
                found += reading.releasable(ways, BATCH)
                found += reading.to_try_again(ways, BATCH)
        for entry in found:
            if not self.holds.free:
                break
            claimed = self._committed(office, entry)
            if claimed is not None:
                started.append(self._start(claimed))
        until = monotonic() + PATIENCE_S
        for thread in started:
            thread.join(max(0.0, until - monotonic()))
        return len(started)

    def _committed(self, office: Office, entry: Entry) -> Entry | None:
        try:
            return releasing.commit(office, entry)
        except (CallerError, LostRace) as error:
            # Otherwise it would be looked at again and again.
            log.exception("%s can't be released, so it is cancelled", entry.id)
            with self.store.writing(entry.thread) as tx:
                reason = storable(f"it could not be released: {error}")
                held_ends.cancel_in(tx, entry, by=held_ends.SIGNOFF, reason=reason)
            return None

    def _start(self, entry: Entry) -> Thread:
        self._pulse.hold(entry)
        return self.holds.start(partial(self._carry_out, entry))

    def _carry_out(self, entry: Entry) -> None:
        held = self.holds.get(entry.agent, entry.tool)
        if held is None:
            raise AssertionError("only what this process can run is claimed")
        move, ran = "finish", Ran(summary="")
        try:
            ran = held.run(entry)
        except NotApplied as error:
            move, ran = "fail", Ran(summary=f"{type(error).__name__}: {error}")
        except BaseException as error:  # noqa: BLE001 - whatever it was, it ended so
            move, ran = "lose", Ran(summary=f"{type(error).__name__}: {error}")
        try:
            held_ends.finish(self.store, entry, move, ran)
        except WorldError:
            log.exception("the result of %s could not be recorded", entry.id)
        finally:
            self._pulse.release(entry)
            self.bell.ring()
