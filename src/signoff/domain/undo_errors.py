"""Errors of those who ask for an undo that there can't be."""

from __future__ import annotations

from signoff.domain.faults import CallerError


class NotReversible(CallerError):
    """This entry can't be undone.

    Attributes:
        reason: Why.
    """

    code = "not_reversible"
    status = 409

    def __init__(self, entry_id: str, reason: str) -> None:
        self.entry_id, self.reason = entry_id, reason
        super().__init__(
            f"{entry_id} can't be undone: {reason}. `signoff journal` shows what can."
        )


class ForceNeedsReason(CallerError):
    """An undo that overrides what others did must say why."""

    code = "force_needs_reason"
    status = 422

    def __init__(self, entry_id: str) -> None:
        self.entry_id = entry_id
        super().__init__(
            f"Forcing the undo of {entry_id} needs a reason; it is kept for good. "
            "Say it and send it again, or try without force."
        )


class DependentsInTheWay(CallerError):
    """Later entries need what is to be undone; nothing was undone.

    Attributes:
        dependents: Their ids, the newest first; each with `declared` or `probable`.
    """

    code = "dependents_in_the_way"
    status = 409

    def __init__(self, entry_id: str, dependents: tuple[tuple[str, str], ...]) -> None:
        self.entry_id, self.dependents = entry_id, dependents
        listed = ", ".join(f"{one} ({how})" for one, how in dependents)
        super().__init__(
            f"{entry_id} can't be undone while these need it: {listed}. "
            f"`signoff undo --since {entry_id}` undoes them first, newest first."
        )


class UndoHandlerMissing(CallerError):
    """No undo of this tool and version is registered in this process.

    Attributes:
        version: Which one the entry was made for.
    """

    code = "undo_handler_missing"
    status = 409

    def __init__(self, tool: str, version: int, entry_id: str) -> None:
        self.tool, self.version, self.entry_id = tool, version, entry_id
        super().__init__(
            f"{entry_id} needs the undo of {tool!r}, version {version}, and none that "
            "takes it is registered here. Open the process that has it, or register "
            "it again with so.undo(..., upcast=...)."
        )


class HeldIsAsked(CallerError):
    """People are asked about this held call, so that decides and nobody's word alone.

    Attributes:
        request_id: What they are asked.
    """

    code = "held_is_asked"
    status = 409

    def __init__(self, entry_id: str, request_id: str) -> None:
        self.entry_id, self.request_id = entry_id, request_id
        super().__init__(
            f"{entry_id} waits for a decision on {request_id}. Approve that, and it "
            "runs."
        )


class HeldNeedsOthers(CallerError):
    """A held call needs others that are still held; it runs after them.

    Attributes:
        needs: Their ids.
    """

    code = "held_needs_others"
    status = 409

    def __init__(self, entry_id: str, needs: tuple[str, ...]) -> None:
        self.entry_id, self.needs = entry_id, needs
        super().__init__(
            f"{entry_id} needs what has not happened yet: {', '.join(needs)}. "
            "It only runs after that: send that first, or wait."
        )
