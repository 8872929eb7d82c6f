"""What people do about effects that can be taken back, and what keeps them going."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Final

from signoff.domain.errors import EntryNotFound, UndoConflict, UndoHandlerMissing
from signoff.domain.journal import Entry, EntryState
from signoff.domain.principals import Principal
from signoff.domain.undo_plan import UndoPlan, UndoRun
from signoff.domain.undoing import AgentNotice, Dependent, Orphan, Undo
from signoff.service import several, take_back, windows
from signoff.service.acting import Acting
from signoff.service.take_back import Wish
from signoff.service.undos import Function

BATCH: Final = 50


class Undoing(Acting):
    """The use cases of reversible actions."""

    @property
    def undo(self) -> Callable[..., Callable[[Function], Function]]:
        """A decorator: this function takes back what a tool did.

        @so.undo("update_ticket", capture=read_ticket, fingerprint=ticket_now)
        def restore(effect): ...

        It gets an `Effect`; the keywords are the parts of
        `signoff.domain.undoing.Undo`.
        """
        return self.undos.register

    @property
    def takes_back(self) -> bool:
        """Whether people could take back what an agent of this process did.

        Otherwise there is nothing that its agents would have to be told.
        """
        return self.holds.expected or self.undos.tools != ()

    def undo_action(
        self, entry_id: str, *, by: Principal, reason: str = "", force: bool = False
    ) -> Entry:
        """Take an effect back, once, if the window allows it.

        It is carried out at once if its undo is registered in this process; otherwise
        by a process that has it, and the entry is `undoing` until then.

        Args:
            entry_id: Which.
            by: Who; `undoers` of its rule says who may.
            reason: Why; kept for good.
            force: Override a conflict, and what depends on it; needs a reason.

        Returns:
            The entry as it is now: `undone`, `undo_failed`, `undo_unverified`, or
            `undoing`.

        Raises:
            EntryNotFound, NotAuthenticated, NotAllowed, ForceNeedsReason,
            NotReversible, DependentsInTheWay: Refused; nothing changed.
            UndoHandlerMissing: The undo here is for other versions than this entry's.
            WindowClosed, AlreadyUndone, UndoInProgress: Somebody, or time, was faster.
            UndoConflict: Somebody changed the same thing since; nothing was undone.
        """
        wish = Wish(by=by, reason=reason, force=force)
        self._check_handler(self.entry(entry_id))
        entry = take_back.admit(self.store, entry_id, wish)
        self.bell.ring()
        if self.undos.get(entry.tool) is None:
            return entry
        ended = take_back.carry_out(self.store, self.undos, entry, self._desk)
        self.bell.ring()
        if ended.state is EntryState.DONE and ended.diff:
            read = self.undos.keeping.read_change
            raise UndoConflict(entry_id, [read(entry_id, one) for one in ended.diff])
        return ended

    def close_window(self, entry_id: str, *, by: Principal, reason: str = "") -> Entry:
        """Let an open window close now: the effect stays for good.

        For one that is held open because its undo is gone or nobody was told.

        Raises:
            EntryNotFound, NotAuthenticated, NotAllowed: Refused; nothing changed.
            NotReversible: It has no open window.
        """
        closed = windows.close_now(self.store, entry_id, Wish(by=by, reason=reason))
        self.bell.ring()
        return closed

    def undo_since(
        self,
        entry_id: str,
        *,
        by: Principal,
        reason: str = "",
        only_dependents: bool = False,
        force: bool = False,
    ) -> UndoRun:
        """Take back an entry and what came after it in its thread, the newest first.

        It stops at what can't be undone; what was undone by then stays undone.

        Args:
            entry_id: The oldest.
            by: Who.
            reason: Why; kept with each.
            only_dependents: Of what came after it, only what needs it.
            force: Pass over what can't be undone, and override conflicts.

        Raises:
            EntryNotFound: There is no such entry.
        """
        chosen = self._chosen(entry_id, only_dependents=only_dependents)
        return self._run(chosen, Wish(by=by, reason=reason, force=force))

    def undo_thread(
        self, thread: str, *, by: Principal, reason: str = "", force: bool = False
    ) -> UndoRun:
        """Take back what a thread did, the newest first; as `undo_since`."""
        with self.store.reading() as reading:
            chosen = several.whole(reading, thread)
        return self._run(chosen, Wish(by=by, reason=reason, force=force))

    def undo_plan(
        self,
        entry_id: str | None = None,
        *,
        since: str | None = None,
        thread: str | None = None,
        only_dependents: bool = False,
    ) -> UndoPlan:
        """What an undo would do: of one entry, since one, or of a thread.

        Nothing is undone; the state now is read where this process can.

        Raises:
            EntryNotFound: There is no such entry.
        """
        if thread is not None:
            with self.store.reading() as reading:
                chosen = several.whole(reading, thread)
        elif since is not None:
            chosen = self._chosen(since, only_dependents=only_dependents)
        else:
            chosen = [self.entry(entry_id or "")]
        of = chosen[0].thread if chosen else thread or ""
        return several.plan(self.store, self.undos, of, chosen, full=True)

    def dependents(self, entry_id: str) -> Sequence[Dependent]:
        """What came later, stands and needs an entry; the newest first.

        Raises:
            EntryNotFound: There is no such entry.
        """
        with self.store.reading() as reading:
            return take_back.dependents(reading, take_back.find(reading, entry_id))

    def entry(self, entry_id: str) -> Entry:
        """One entry of the journal.

        Raises:
            EntryNotFound: There is none.
        """
        with self.store.reading() as reading:
            found = reading.entry(entry_id)
        if found is None:
            raise EntryNotFound(entry_id)
        return found

    def open_windows(self, *, limit: int = 100) -> Sequence[Entry]:
        """What can still be undone; what closes first comes first."""
        with self.store.reading() as reading:
            return reading.open_windows(limit)

    def unknowns(self, *, limit: int = 100) -> Sequence[Entry]:
        """Calls of which nobody knows whether they happened, the oldest first."""
        with self.store.reading() as reading:
            return reading.entries(thread=None, state=EntryState.UNKNOWN, limit=limit)

    def look_into(self, entry: Entry) -> Entry:
        """An entry whose outcome isn't known, after its probe was asked if it has one.

        As it is then: still `unknown` where nobody can tell yet.
        """
        if entry.probe_at is not None and self.undos.get(entry.tool) is not None:
            windows.look_into(self.store, self.undos, entry)
        return self.entry(entry.id)

    def orphans(self) -> Sequence[Orphan]:
        """What can still be undone, but by no undo that this process has."""
        return windows.orphans(self.store, self._has_undo)

    def hold_orphans(self, agents: Sequence[str]) -> int:
        """Keep the windows of these agents' orphans open, until somebody decides.

        For the start of a process that should have every undo of its agents. A window
        closes again once a process with its undo is there. Returns how many there are.
        """
        return windows.hold_orphans(self.store, self._has_undo, agents)

    def agent_notices(self, thread: str) -> Sequence[AgentNotice]:
        """What the agent of a thread was not told yet, the oldest first."""
        with self.store.reading() as reading:
            return reading.agent_notices(thread)

    def saw_notices(self, thread: str, ids: Sequence[str]) -> None:
        """Note that the agent's conversation has these notices."""
        if ids:
            with self.store.writing(thread) as tx:
                tx.see_notices(ids)

    def add_undo(self, spec: Undo) -> None:
        """Register an undo that was made as an object.

        Raises:
            PolicyError: Its condition is no expression.
        """
        self.undos.add(spec)

    @property
    def _all(self) -> Sequence[Undoing]:
        """Whose undos and tools are here."""
        return (self,)

    def _has_undo(self, tool: str, version: int) -> bool:
        return any(one.undos.has(tool, version) for one in self._all)

    def _check_handler(self, entry: Entry) -> None:
        known = self.undos.get(entry.tool) is not None
        wanted = entry.undo_version
        if known and wanted is not None and not self.undos.fits(entry):
            raise UndoHandlerMissing(entry.tool, wanted, entry.id)

    def _chosen(self, entry_id: str, *, only_dependents: bool) -> Sequence[Entry]:
        pick = several.with_dependents if only_dependents else several.since
        with self.store.reading() as reading:
            return pick(reading, take_back.find(reading, entry_id))

    def _run(self, chosen: Sequence[Entry], wish: Wish) -> UndoRun:
        of = chosen[0].thread if chosen else ""
        planned = several.plan(self.store, self.undos, of, chosen, full=False)
        undo = partial(self._undo_one, wish)
        return several.run(planned.steps, undo, force=wish.force)

    def _undo_one(self, wish: Wish, entry: Entry) -> Entry:
        return self.undo_action(
            entry.id, by=wish.by, reason=wish.reason, force=wish.force
        )

    def _undo_work(self) -> Sequence[Callable[[], int]]:
        """What `run_due` does about effects."""
        store, undos = self.store, self.undos
        return (
            partial(windows.close_due, store, BATCH),
            partial(windows.let_close, store, undos, BATCH),
            partial(windows.lose_lapsed, store, BATCH),
            partial(windows.probe_due, store, undos, BATCH),
            partial(take_back.run_due, store, undos, self._desk, BATCH),
        )
