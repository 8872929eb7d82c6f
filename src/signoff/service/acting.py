"""What an agent's process does: propose, claim, finish."""

from __future__ import annotations

import logging
import os
import socket
import threading
from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Final

from signoff.domain.actions import Action
from signoff.domain.duration import microseconds
from signoff.domain.errors import WorldError
from signoff.domain.journal import Entry, EntryKind
from signoff.domain.policy import Policy, Ruling
from signoff.domain.requests import Request
from signoff.domain.rules import Verdict
from signoff.domain.text import joined
from signoff.ports import Calendars, KnownTool, Store
from signoff.service import execute, parking, propose, reversing
from signoff.service.core import NO_RULES, Core
from signoff.service.propose import Asked, Standing
from signoff.service.pulse import Pulse
from signoff.service.reach import Directory
from signoff.service.recorder import Recorder
from signoff.service.reversing import NotTakenBack
from signoff.service.take_back import Desk

log: Final = logging.getLogger("signoff")

TOOLS_CHAIN: Final = "signoff:tools"
DEFAULT_LEASE: Final = timedelta(seconds=30)


class Acting(Core):
    """The use cases of an agent's process."""

    def __init__(
        self,
        store: Store,
        *,
        policy: Policy | None = None,
        lease: timedelta = DEFAULT_LEASE,
        directory: Directory = "tokens",
        calendars: Calendars | None = None,
    ) -> None:
        super().__init__(store, policy=policy, directory=directory, calendars=calendars)
        lease_us = microseconds(lease)
        worker = f"{socket.gethostname()}/{os.getpid()}"
        self._worker = execute.Worker(name=worker, lease=lease_us)
        self._pulse = Pulse(store.beat, lease_us)
        self._desk = Desk(self._worker, Pulse(store.beat_undos, lease_us))
        self._recorder = Recorder(store)
        self._known = threading.Lock()
        self._seen: set[tuple[str, str]] = set()

    def rule(self, action: Action) -> Ruling:
        """The verdict of this process's policy. Nothing is recorded."""
        return (NO_RULES if self.policy is None else self.policy).decide(action)

    def allowed(self, action: Action, ruling: Ruling) -> None:
        """Record an allowed call, in batches, behind the call's back.

        Raises:
            PayloadRefused: The arguments aren't exact JSON.
        """
        if ruling.rule.record:
            self._recorder.add(action, ruling)

    def standing(self, action_id: str) -> Standing | None:
        """Where an action stands, or None if it was never recorded."""
        return propose.standing(self.store, action_id)

    def propose(
        self, action: Action, asked: Asked, *, ruling: Ruling | None = None
    ) -> Standing:
        """Give an action its verdict, once, and make its request if it needs one.

        The same action, re-executed, finds what was recorded: the verdict is never
        evaluated again.

        A `ruling` is the verdict of the caller's own policy, instead of this one's.

        Raises:
            PayloadRefused: The arguments aren't exact JSON; nothing runs.
            NobodyCanApprove: Its reviewers could never suffice; nothing was asked.
            StorageUnavailable: Nothing could be recorded; nothing runs.
        """
        found = self.standing(action.id)
        if found is None:
            fresh = self.rule(action) if ruling is None else ruling
            return self._first(action, fresh, asked)
        if self._lapsed(found):
            fresh = self.rule(action) if ruling is None else ruling
            return self._ask(action, fresh, asked)
        return found

    def begin(
        self,
        request: Request,
        *,
        action: Action | None = None,
        ruling: Ruling | None = None,
    ) -> Entry | None:
        """Claim an approved call; None means that somebody else has it.

        Where a `ruling` on the `action` as it was approved makes it reversible and the
        state before it can be kept, it gets its window like any other.

        Raises:
            DigestMismatch: What is stored isn't what was approved; nothing runs.
            Paused: A pause covers it; it stays approved.
        """
        known = self.undos.get(request.tool)
        probed = known is not None and known.spec.probe is not None
        made = None
        if action is not None and ruling is not None:
            made = reversing.approved(self.undos, request, action, ruling, self._worker)
        entry = execute.begin(
            self.store, request, self._worker, probed=probed, made=made
        )
        if entry is not None:
            self._pulse.hold(entry)
            self.bell.ring()
        return entry

    def begin_allowed(self, action: Action) -> Entry | None:
        """Claim a call that needs no approval but may be re-executed.

        Raises:
            Paused: A pause covers it.
        """
        entry = execute.begin_allowed(self.store, action, self._worker)
        if entry is not None:
            self._pulse.hold(entry)
        return entry

    def begin_reversible(
        self, action: Action, asked: Asked, *, ruling: Ruling | None = None
    ) -> Entry | None:
        """Claim a call that runs at once and can be taken back.

        None: look again. Somebody else has it; or the state before couldn't be kept,
        so that it is asked about.

        Raises:
            PayloadRefused: The arguments aren't exact JSON; nothing runs.
            Paused: A pause covers it.
        """
        fresh = self.rule(action) if ruling is None else ruling
        try:
            entry = reversing.begin(self.store, self.undos, action, fresh, self._worker)
        except NotTakenBack as refused:
            self._asked_because(action, fresh, asked, refused.reason)
            return None
        if entry is not None:
            self._pulse.hold(entry)
        return entry

    def begin_again(self, entry: Entry, *, raised: bool = False) -> Entry | None:
        """Claim another attempt of a call, or go on with a suspended one.

        With `raised` the caller saw the last attempt raise and tries again on purpose.

        Raises:
            AttemptsExhausted: The approval doesn't cover another.
            Paused: A pause covers it.
        """
        again = execute.begin_again(self.store, entry, self._worker, raised=raised)
        if again is not None:
            self._pulse.hold(again)
        return again

    def finish(
        self,
        entry: Entry,
        move: str,
        *,
        result: bytes | None,
        summary: str,
        output: object = None,
    ) -> bool:
        """Record how an attempt ended: `finish`, `fail`, `lose` or `suspend`.

        `output` is the result as JSON, for the undo of a reversible call.

        False: a later attempt has the entry (fenced), or the store is down; then the
        lease runs out and the outcome counts as unknown.
        """
        try:
            if entry.kind is EntryKind.REVERSIBLE and move == "finish":
                return self._finish_reversible(entry, output, result, summary)
            return execute.finish(
                self.store, entry, move, result=result, summary=summary
            )
        except WorldError:
            log.exception("the result of %s could not be recorded", entry.id)
            return False
        finally:
            self._pulse.release(entry)
            self.bell.ring()

    def look_again(self, entry: Entry) -> Entry:
        """A running entry as it is now; unknown if its worker went silent."""
        return execute.lose_lapsed(self.store, entry)

    def know_tools(self, tools: Sequence[KnownTool]) -> None:
        """Remember which tools an agent has; each is written once per process."""
        new = [tool for tool in tools if (tool.agent, tool.name) not in self._seen]
        if not new:
            return
        with self._known, self.store.writing(TOOLS_CHAIN) as tx:
            tx.add_tools(new)
        self._seen.update((tool.agent, tool.name) for tool in new)

    def flush(self) -> None:
        """Write the allowed calls that are still queued."""
        self._recorder.flush()

    def _finish_reversible(
        self, entry: Entry, output: object, result: bytes | None, summary: str
    ) -> bool:
        done = reversing.way_back(self.undos, entry, output)
        return reversing.end(self.store, entry, done, result=result, summary=summary)

    def _lapsed(self, found: Standing) -> bool:
        if found.request is None or found.request.valid_until is None:
            return False
        return propose.lapsed(found, self.now())

    def _first(self, action: Action, ruling: Ruling, asked: Asked) -> Standing:
        if ruling.verdict is Verdict.DENY:
            propose.refuse(self.store, action, ruling)
            return Standing(verdict=ruling.verdict, ruling=ruling)
        undone = self._repeated(action)
        if undone is not None:
            return self._asked_because(
                action, ruling, asked, reversing.asked_again(undone)
            )
        if ruling.verdict is Verdict.ALLOW:
            self.allowed(action, ruling)
            return Standing(verdict=ruling.verdict, ruling=ruling)
        if ruling.verdict is Verdict.REVIEW:
            return self._ask(action, ruling, asked)
        reason = self._no_way(action, ruling)
        if reason is None:
            return Standing(verdict=ruling.verdict, ruling=ruling)
        return self._asked_because(action, ruling, asked, reason)

    def _no_way(self, action: Action, ruling: Ruling) -> str | None:
        """Why it is asked although its rule lets it run, or run later."""
        if ruling.verdict is Verdict.REVERSIBLE:
            return reversing.refusal(self.undos, action)
        known = self.holds.get(action.context.agent, action.tool) is not None
        return None if known else parking.NO_TOOL

    def _repeated(self, action: Action) -> Entry | None:
        """What people took back, or cancelled, and this call would do again."""
        if self.undos.get(action.tool) is None and not self.holds.expected:
            return None
        return reversing.repeats(self.store, self.undos, action)

    def _asked_because(
        self, action: Action, ruling: Ruling, asked: Asked, reason: str
    ) -> Standing:
        note = joined(asked.note, reason)
        return self._ask(action, ruling, replace(asked, note=note))

    def _ask(self, action: Action, ruling: Ruling, asked: Asked) -> Standing:
        if self.policy is not None:
            self.publish(self.policy)
        asked = reversing.previewed(self.undos, action, asked)
        request = propose.ask(
            self.store,
            action,
            ruling,
            asked,
            directory=self.directory,
            calendars=self.calendars,
        )
        self.bell.ring()
        return Standing(verdict=Verdict.REVIEW, request=request, ruling=ruling)
