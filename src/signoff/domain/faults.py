"""Whose fault an error is: the roots of the tree that `errors` draws."""

from __future__ import annotations

from typing import ClassVar


class SignoffError(Exception):
    """Base of all errors of signoff; `code` is stable and appears in the HTTP API."""

    code: ClassVar[str] = "signoff_error"
    status: ClassVar[int] = 500


class NotApplied(SignoffError):
    """Raise it in a tool to say: this failed, and nothing happened in the world.

    Any other exception leaves the outcome unknown, because a tool may raise after
    half of its effect; a person then says what is so.
    """

    code = "not_applied"
    status = 502


class CallerError(SignoffError):
    """The caller's mistake: asking again in the same way can't work."""

    code = "caller_error"
    status = 400


class LostRace(SignoffError):
    """Somebody else was faster; nothing of this call took effect."""

    code = "lost_race"
    status = 409


class WorldError(SignoffError):
    """Something outside signoff failed; trying later may work."""

    code = "world_error"
    status = 503
