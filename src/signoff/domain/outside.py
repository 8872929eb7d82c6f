"""Errors that are nobody's mistake here: somebody was faster, something failed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from signoff.domain.faults import LostRace, WorldError


class AlreadyDecided(LostRace):
    """The request is settled: by whom, how and when.

    Attributes:
        outcome: The status that the request has now, e.g. `rejected`.
        by: Who settled it, or None if its deadline did.
        at: When, microseconds since 1970 UTC on the database clock.
    """

    code = "already_decided"

    def __init__(
        self, request_id: str, outcome: str, by: str | None, at: int | None
    ) -> None:
        self.request_id, self.outcome, self.by, self.at = request_id, outcome, by, at
        who = "its deadline" if by is None else by
        super().__init__(f"{request_id} was already {outcome} by {who}.")


class AlreadyLifted(LostRace):
    """The pause was lifted before.

    Attributes:
        by: Who lifted it.
        at: When, microseconds since 1970 UTC on the database clock.
    """

    code = "already_lifted"

    def __init__(self, pause_id: str, by: str | None, at: int | None) -> None:
        self.pause_id, self.by, self.at = pause_id, by, at
        super().__init__(f"{pause_id} was already lifted by {by}.")


class Paused(LostRace):
    """A pause covers this call: it didn't start, and goes on once that is lifted.

    Attributes:
        pauses: The ids of the pauses.
    """

    code = "paused"

    def __init__(self, tool: str, pauses: tuple[str, ...]) -> None:
        self.tool, self.pauses = tool, pauses
        listed = ", ".join(pauses)
        super().__init__(
            f"The call of {tool} waits, because {listed} holds it. "
            f"`signoff resume {pauses[0]}` lifts it."
        )


class WindowClosed(LostRace):
    """The time in which it could be undone, or cancelled, has passed.

    Attributes:
        closed_at: When, microseconds since 1970 UTC on the database clock.
    """

    code = "window_closed"

    def __init__(self, entry_id: str, closed_at: int | None) -> None:
        self.entry_id, self.closed_at = entry_id, closed_at
        super().__init__(
            f"The window of {entry_id} has closed, so it stays as it is; "
            "only a new action can change it now."
        )


class AlreadyUndone(LostRace):
    """It was undone before; doing it once more is a new action.

    Attributes:
        by: Who undid it.
        at: When, microseconds since 1970 UTC on the database clock.
    """

    code = "already_undone"

    def __init__(self, entry_id: str, by: str | None, at: int | None) -> None:
        self.entry_id, self.by, self.at = entry_id, by, at
        super().__init__(
            f"{entry_id} was already undone by {by}. "
            "To do it again the agent must propose it again, as a new action."
        )


class UndoInProgress(LostRace):
    """Somebody is undoing it right now.

    Attributes:
        by: Who.
    """

    code = "undo_in_progress"

    def __init__(self, entry_id: str, by: str | None) -> None:
        self.entry_id, self.by = entry_id, by
        super().__init__(
            f"{entry_id} is already being undone, by {by}. "
            "`signoff journal` shows what comes of it."
        )


class UndoConflict(LostRace):
    """Somebody changed the same thing since; nothing was undone.

    Attributes:
        diff: By path: what was before the action, after it, and what is now.
    """

    code = "undo_conflict"

    def __init__(self, entry_id: str, diff: Sequence[Mapping[str, Any]]) -> None:
        self.entry_id, self.diff = entry_id, tuple(diff)
        paths = ", ".join(str(change["path"]) for change in self.diff[:5])
        super().__init__(
            f"{entry_id} was not undone: {paths} changed since. Open its diff; "
            "whoever may force an undo can override it with a reason."
        )


class HoldOver(LostRace):
    """The held call isn't held any more.

    Attributes:
        state: What it is now, such as `cancelled` or `running`.
        by: Who cancelled or released it; None if its time had come.
    """

    code = "hold_over"

    def __init__(self, entry_id: str, state: str, by: str | None) -> None:
        self.entry_id, self.state, self.by = entry_id, state, by
        who = "" if by is None else f", by {by}"
        super().__init__(
            f"{entry_id} is already {state}{who}; only what is held can be cancelled "
            "or sent now."
        )


class AttemptsExhausted(LostRace):
    """The approval doesn't cover another attempt at running the call."""

    code = "attempts_exhausted"

    def __init__(self, entry_id: str, allowed: int) -> None:
        self.entry_id, self.allowed = entry_id, allowed
        super().__init__(
            f"{entry_id} was approved for {allowed} attempt(s) and has used them. "
            "A rule's `attempts=` allows more."
        )


class ThreadBusy(LostRace):
    """A LangGraph Server runs one run of a thread at a time, and one is under way."""

    code = "thread_busy"

    def __init__(self, thread: str) -> None:
        self.thread = thread
        super().__init__(
            f"Another run of thread {thread!r} is under way on the server, so nothing "
            "was started; try again when it has ended."
        )


class TurnLost(LostRace):
    """Another worker goes on with this thread; what this one still does isn't kept."""

    code = "turn_lost"

    def __init__(self, thread: str, worker: str) -> None:
        self.thread, self.worker = thread, worker
        super().__init__(
            f"{worker} was silent for too long and lost its turn on thread {thread!r}, "
            "so this run of it was stopped. Another worker goes on with the thread: "
            "`signoff worker --status` shows which."
        )


class CallNotRecorded(WorldError):
    """The store is down. Says nothing of its cause: the model may read this."""

    code = "call_not_recorded"

    def __init__(self) -> None:
        super().__init__(
            "This call could not be recorded, so it was not run. "
            "The operator's log names the cause; try again later."
        )


class StorageUnavailable(WorldError):
    """The database can't be opened, read or written; nothing was half done."""

    code = "storage_unavailable"

    def __init__(self, url: str, reason: str) -> None:
        self.url, self.reason = url, reason
        super().__init__(
            f"The database {url} can't be used: {reason}. "
            "Check the address, that the file or server exists and may be written."
        )


class GraphServerFailed(WorldError):
    """A LangGraph Server can't be reached, or a run failed there."""

    code = "graph_server_failed"

    def __init__(self, thread: str, reason: str) -> None:
        self.thread, self.reason = thread, reason
        super().__init__(
            f"The server that runs thread {thread!r} failed: {reason}. "
            "Its own log says why; decisions are kept, try again later."
        )


class SchemaTooNew(WorldError):
    """A newer signoff migrated this database; this one leaves it alone."""

    code = "schema_too_new"

    def __init__(self, found: int, supported: int) -> None:
        self.found, self.supported = found, supported
        super().__init__(
            f"The database has schema {found}, this signoff knows up to {supported}. "
            "Upgrade signoff: `pip install -U signoff`."
        )


class ServerUnreachable(WorldError):
    """No signoff server answers at that address."""

    code = "server_unreachable"

    def __init__(self, url: str, reason: str) -> None:
        self.url, self.reason = url, reason
        super().__init__(
            f"No signoff server answers at {url} ({reason}). "
            "Start one with `signoff serve`, or correct SIGNOFF_STORE."
        )


class DeliveryFailed(WorldError):
    """A channel couldn't take a message now; it is tried again by itself.

    Attributes:
        after: Seconds that the other side asked to wait, or None.
    """

    code = "delivery_failed"

    def __init__(self, channel: str, reason: str, after: float | None = None) -> None:
        self.channel, self.reason, self.after = channel, reason, after
        super().__init__(f"Channel {channel!r}: {reason}. It is tried again later.")


class DeliveryRefused(WorldError):
    """A message that this channel will never take; trying again can't work.

    Attributes:
        reason: Why, with the cure where there is one.
    """

    code = "delivery_refused"
    status = 502

    def __init__(self, channel: str, reason: str) -> None:
        self.channel, self.reason = channel, reason
        super().__init__(
            f"Channel {channel!r}: {reason}. "
            "Once that is mended: `signoff deliveries retry ID`."
        )


class PortTaken(WorldError):
    """Another program listens on that port."""

    code = "port_taken"

    def __init__(self, host: str, port: int) -> None:
        self.host, self.port = host, port
        super().__init__(
            f"Port {port} on {host} is taken by another program. "
            f"Choose another with --port, or --port 0 for any free one."
        )


class MissingExtra(WorldError):
    """A library that this needs isn't installed; nothing was done.

    Attributes:
        library: Its name.
        extra: The extra of signoff that brings it.
    """

    code = "missing_extra"

    def __init__(self, library: str, extra: str) -> None:
        self.library, self.extra = library, extra
        super().__init__(f"This needs {library}: `pip install 'signoff[{extra}]'`.")
