"""By when: reminders, escalations, and what silence means."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum
from typing import Final

from signoff.domain.agreement import is_names
from signoff.domain.duration import duration, exactly
from signoff.domain.errors import PolicyError

_KEYS: Final = frozenset({"after", "to"})


class Silence(StrEnum):
    """What it means that nobody answered in time."""

    REJECT = "reject"
    APPROVE = "approve"
    ESCALATE = "escalate"


@dataclass(frozen=True, slots=True, kw_only=True)
class Escalation:
    """Who may decide as well, from a time after the ask on."""

    after: timedelta
    to: tuple[str, ...]

    def __post_init__(self) -> None:
        if self.to == ():
            raise PolicyError("ladder: to is empty; name somebody.")

    def describe(self) -> dict[str, object]:
        """The step as JSON."""
        return {"after": exactly(self.after), "to": list(self.to)}


def escalation(after: str | timedelta, *to: str) -> Escalation:
    """After this time, these groups or people may decide as well."""
    return Escalation(after=duration(after, name="after"), to=to)


def read_escalation(value: object) -> Escalation:
    """A step of a ladder, or the table of one: `{after = "2h", to = ["cfo"]}`.

    Raises:
        PolicyError: It is neither.
    """
    if isinstance(value, Escalation):
        return value
    if not isinstance(value, Mapping) or set(value) != _KEYS:
        form = '{after = "2h", to = ["cfo"]}'
        raise PolicyError(f"ladder is a list of tables such as {form}, not {value!r}.")
    if not is_names(value["to"]):
        raise PolicyError(f"ladder: to is a list of names, not {value['to']!r}.")
    after = duration(value["after"], name="ladder: after")
    return Escalation(after=after, to=tuple(value["to"]))


def read_silence(value: str | Silence) -> Silence:
    """What silence means, by its name.

    Raises:
        PolicyError: If there is no such meaning.
    """
    try:
        return Silence(value)
    except ValueError:
        known = ", ".join(one.value for one in Silence)
        raise PolicyError(f"on_expiry must be one of {known}, not {value!r}.") from None
