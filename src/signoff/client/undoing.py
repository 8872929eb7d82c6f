"""The journal: what ran, how it is taken back, and how unknown outcomes are settled."""

from __future__ import annotations

from collections.abc import Sequence
from urllib.parse import quote

from signoff.client.agreeing import AgreeingClient
from signoff.client.documents import (
    read_dependent,
    read_entry,
    read_plan,
    read_run,
)
from signoff.client.transport import AUDIT_TIMEOUT, escaped, is_segment
from signoff.domain.actions import canonical
from signoff.domain.errors import EntryNotFound
from signoff.domain.journal import Entry, EntryState
from signoff.domain.undo_plan import UndoPlan, UndoRun
from signoff.domain.undoing import Dependent


class UndoingClient(AgreeingClient):
    """A signoff server, as far as effects are concerned."""

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
        return [read_entry(data) for data in found]

    def entry(self, entry_id: str) -> Entry:
        """One entry of the journal.

        Raises:
            EntryNotFound: There is none.
        """
        return read_entry(self._get(_path(entry_id)))

    def open_windows(self, *, limit: int = 100) -> Sequence[Entry]:
        """What can still be undone; what closes first comes first; at most 1000."""
        found = self._get("/open-windows", limit=limit)
        return [read_entry(data) for data in found]

    def unknowns(self, *, limit: int = 100) -> Sequence[Entry]:
        """Calls of which nobody knows whether they happened, the oldest first."""
        return self.journal(state=EntryState.UNKNOWN, limit=limit)

    def dependents(self, entry_id: str) -> Sequence[Dependent]:
        """What came later, stands and needs an entry; the newest first.

        Raises:
            EntryNotFound: There is no such entry.
        """
        found = self._get(_path(entry_id, "/dependents"))
        return [read_dependent(data) for data in found]

    def look_into(self, entry: Entry) -> Entry:
        """An entry whose outcome isn't known, after its probe was asked if it has one.

        Raises:
            EntryNotFound, NotAllowed: There is none, or the identity is an agent.
        """
        return read_entry(self._post(_path(entry.id, "/look"), {}))

    def undo_plan(
        self,
        entry_id: str | None = None,
        *,
        since: str | None = None,
        thread: str | None = None,
        only_dependents: bool = False,
    ) -> UndoPlan:
        """What an undo would do: of one entry, since one, or of a thread.

        Nothing is undone; the state now is read where the server can.

        Raises:
            EntryNotFound, NotAllowed: There is none, or the identity is an agent.
        """
        query: dict[str, str] = {}
        if thread is not None:
            path = f"/threads/{escaped(thread)}/plan"
        elif since is not None:
            path = _path(since, "/plan")
            query = {"since": "true", "only_dependents": _word(only_dependents)}
        else:
            path = _path(entry_id or "", "/plan")
        return read_plan(self._send("GET", path, params=query, timeout=AUDIT_TIMEOUT))

    def undo_action(
        self, entry_id: str, *, reason: str = "", force: bool = False
    ) -> Entry:
        """Take an effect back, once, if the window allows it.

        Returns:
            The entry as it is now; `undoing` if another process carries it out.

        Raises:
            EntryNotFound, NotAllowed, ForceNeedsReason, NotReversible,
            DependentsInTheWay: Refused; nothing changed.
            WindowClosed, AlreadyUndone, UndoInProgress: Somebody, or time, was faster.
            UndoConflict: Somebody changed the same thing since; nothing was undone.
        """
        body = {"reason": reason, "force": force}
        path = _path(entry_id, "/undo")
        return read_entry(self._post(path, body, timeout=AUDIT_TIMEOUT))

    def undo_since(
        self,
        entry_id: str,
        *,
        reason: str = "",
        only_dependents: bool = False,
        force: bool = False,
    ) -> UndoRun:
        """Take back an entry and what came after it in its thread, the newest first.

        It stops at what can't be undone; what was undone by then stays undone.

        Raises:
            EntryNotFound: There is no such entry.
        """
        body = {"reason": reason, "force": force, "only_dependents": only_dependents}
        path = _path(entry_id, "/undo-since")
        return read_run(self._post(path, body, timeout=AUDIT_TIMEOUT))

    def undo_thread(
        self, thread: str, *, reason: str = "", force: bool = False
    ) -> UndoRun:
        """Take back what a thread did, the newest first; as `undo_since`."""
        body = {"reason": reason, "force": force}
        path = f"/threads/{escaped(thread)}/undo"
        return read_run(self._post(path, body, timeout=AUDIT_TIMEOUT))

    def close_window(self, entry_id: str, *, reason: str = "") -> Entry:
        """Let an open window close now: the effect stays for good.

        Raises:
            EntryNotFound, NotAllowed: Refused; nothing changed.
            NotReversible: It has no open window.
        """
        path = _path(entry_id, "/close")
        return read_entry(self._post(path, {"reason": reason}))

    def cancel_held(self, entry_id: str, *, reason: str = "") -> Entry:
        """Cancel a held call before it has any effect, and what needs it.

        Raises:
            EntryNotFound, NotAllowed: Refused.
            HoldOver: It runs, has run, or was cancelled.
        """
        path = _path(entry_id, "/cancel")
        return read_entry(self._post(path, {"reason": reason}))

    def release(self, entry_id: str) -> Entry:
        """Send a held call now.

        Returns:
            The entry as it is now; `held` if another process runs it.

        Raises:
            EntryNotFound, NotAllowed: Refused.
            HoldOver: It runs, has run, or was cancelled.
            HeldIsAsked, HeldNeedsOthers, Paused: It can't be sent now.
        """
        path = _path(entry_id, "/release")
        return read_entry(self._post(path, {}, timeout=AUDIT_TIMEOUT))

    def settle(
        self,
        entry: str,
        *,
        happened: bool | None = None,
        note: str = "",
        result: object = None,
        again: bool = False,
    ) -> Entry:
        """Say how an unknown outcome ended; the thread goes on with that.

        Args:
            entry: Which.
            happened: Whether the call had its effect.
            note: What is known, for the agent and for the record.
            result: What it returned, as JSON, if it happened.
            again: Instead: let the call be tried once more, with the same key.

        Raises:
            EntryNotFound, CannotSettle, NotAllowed: Refused; nothing changed.
            InvalidSetting: It says both, or neither.
            PayloadRefused: The result is no JSON.
        """
        canonical(result, at="result")
        said = {"happened": happened, "note": note, "result": result, "again": again}
        return read_entry(self._post(_path(entry, "/settle"), said))


def _path(entry_id: str, rest: str = "") -> str:
    if not is_segment(entry_id):
        raise EntryNotFound(entry_id)
    return f"/entries/{quote(entry_id, safe='')}{rest}"


def _word(value: bool) -> str:  # noqa: FBT001 - what it says
    return "true" if value else "false"
