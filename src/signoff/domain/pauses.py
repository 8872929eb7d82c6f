"""Pauses: people stop an agent, a thread, a tool or everything, until they lift it.

Nothing is denied by a pause. A call in its scope waits, and deadlines stand still.
"""

from __future__ import annotations

import fnmatch
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from signoff.domain.errors import InvalidSetting, NotAllowed
from signoff.domain.principals import Principal, PrincipalKind

PAUSES_CHAIN: Final = "signoff:pauses"


@dataclass(frozen=True, slots=True, kw_only=True)
class Pause:
    """One order to stop. What isn't named is any; what is named must all match.

    Times are microseconds since 1970 UTC on the database clock.

    Attributes:
        tool: A glob on tool and gate names, case-sensitive (`send_*`).
        reason: Why, for people.
        lifted_at: When it ended; None while it holds.
    """

    id: str
    agent: str | None = None
    thread: str | None = None
    tool: str | None = None
    reason: str | None = None
    paused_by: str
    paused_at: int
    lifted_by: str | None = None
    lifted_at: int | None = None

    @property
    def active(self) -> bool:
        """Whether it holds now."""
        return self.lifted_at is None

    def covers(self, agent: str | None, thread: str, tool: str) -> bool:
        """Whether a call of this tool by this agent in this thread has to wait."""
        if self.agent is not None and self.agent != agent:
            return False
        if self.thread is not None and self.thread != thread:
            return False
        return self.tool is None or fnmatch.fnmatchcase(tool, self.tool)

    def scope(self) -> str:
        """What it stops, in words."""
        named = {"agent": self.agent, "thread": self.thread, "tool": self.tool}
        parts = [f"{key} {name}" for key, name in named.items() if name is not None]
        return ", ".join(parts) if parts != [] else "everything"


Span = tuple[int, int | None]
"""When a pause held: from, to; None is until now."""


def covering(
    pauses: Iterable[Pause], agent: str | None, thread: str, tool: str
) -> tuple[Pause, ...]:
    """Those of the pauses that stop such a call."""
    return tuple(one for one in pauses if one.covers(agent, thread, tool))


def union(spans: Iterable[Span]) -> list[Span]:
    """The same times, in order and without overlap."""
    joined: list[Span] = []
    for start, end in sorted(spans, key=lambda span: span[0]):
        if joined == [] or not _reaches(joined[-1], start):
            joined.append((start, end))
        else:
            joined[-1] = (joined[-1][0], _later(joined[-1][1], end))
    return joined


def moved(deadline: int, since: int, spans: Iterable[Span]) -> tuple[int, int | None]:
    """Where pauses move a deadline that was set at `since`.

    It moves by exactly the time that it stood still. One that had passed when a pause
    began doesn't move any more.

    Returns:
        The deadline, without the pause that still holds, and since when that one stops
        it; None if none does.
    """
    for start, end in union(spans):
        if end is not None and end <= since:
            continue
        from_then = max(start, since)
        if deadline <= from_then:
            break
        if end is None:
            return deadline, from_then
        deadline += end - from_then
    return deadline, None


def check_may_pause(by: Principal) -> None:
    """Whether this identity may set a pause: people and services.

    Raises:
        NotAllowed: It is an agent.
    """
    if by.kind is PrincipalKind.AGENT:
        raise NotAllowed(by.id, "pauses are set by people and services.")


def check_may_lift(by: Principal) -> None:
    """Whether this identity may let things go on: people only.

    Raises:
        NotAllowed: It isn't a person.
    """
    if by.kind is not PrincipalKind.PERSON:
        raise NotAllowed(by.id, f"pauses are lifted by people, not by a {by.kind}.")


def check_scope(named: dict[str, str | None]) -> None:
    """Refuse a name that could match nothing.

    Raises:
        InvalidSetting: Says which, and how to stop everything.
    """
    for key, name in named.items():
        if name is not None and name.strip() == "":
            raise InvalidSetting(key, "is empty; leave it out to pause any.")


def _later(one: int | None, other: int | None) -> int | None:
    return None if one is None or other is None else max(one, other)


def _reaches(span: Span, start: int) -> bool:
    return span[1] is None or span[1] >= start


def names(pauses: Sequence[Pause]) -> list[str]:
    """Their ids."""
    return [one.id for one in pauses]
