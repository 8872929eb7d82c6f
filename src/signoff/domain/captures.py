"""Errors about what is kept so that an effect can be taken back."""

from __future__ import annotations

from signoff.domain.faults import CallerError, WorldError


class CannotCapture(CallerError):
    """What an undo would need can't be kept, so the call can't be taken back.

    Raised before the effect, by a `capture`: then the call is asked about instead.

    Attributes:
        what: The file, row, ... that it is about.
        reason: Why, with the cure where there is one.
    """

    code = "cannot_capture"
    status = 422

    def __init__(self, what: str, reason: str) -> None:
        self.what, self.reason = what, reason
        super().__init__(f"{what} {reason}: only what is kept whole is taken back.")


class PayloadLost(WorldError):
    """What was kept for an undo can't be read any more, so nothing was undone.

    Attributes:
        owner: The entry that it was kept for.
        reason: It is gone, or changed, or sealed with another key.
    """

    code = "payload_lost"

    def __init__(self, owner: str, reason: str) -> None:
        self.owner, self.reason = owner, reason
        super().__init__(
            f"What was kept to undo {owner} can't be read: {reason}. Nothing was "
            "undone; try again once that is mended, or put things right by hand."
        )
