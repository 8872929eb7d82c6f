"""Stages: what a workflow has done, what waits for people, and what is ahead.

Nothing here is a life cycle of its own. Where a stage stands follows from the work
that was kept and from the requests of its gates.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final

from signoff.domain.actions import canonical, check_texts, sha256
from signoff.domain.errors import InvalidSetting
from signoff.domain.requests import Request, RequestKind, Status


class StageState(StrEnum):
    """Where a stage of a thread stands."""

    DONE = "done"
    WAITING = "waiting"
    CHANGES = "changes"
    STOPPED = "stopped"
    AHEAD = "ahead"


@dataclass(frozen=True, slots=True, kw_only=True)
class Kept:
    """The work of a stage, kept so that a re-executed node finds it again.

    Attributes:
        id: The same for every re-execution of this piece of work.
        digest: SHA-256 over the value's RFC 8785 bytes.
        at: Microseconds since 1970 UTC on the database clock.
    """

    id: str
    thread: str
    name: str
    value: Any
    digest: str
    at: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Stage:
    """One stage of a thread, as it stands now.

    Attributes:
        value: What it made: the work that was kept, or its gate's payload as people
            see it or passed it; None while it is ahead.
        request_id: The newest request of its gate, if it has one.
        round: 1, and one more for each time that people asked for changes.
        remarks: What they asked for in the rounds before, oldest first.
        at: When it was kept or asked, microseconds since 1970 UTC on the database
            clock; None while it is ahead.
    """

    name: str
    state: StageState
    value: Any = None
    request_id: str | None = None
    round: int = 1
    remarks: tuple[str, ...] = ()
    at: int | None = None


_STATES: Final[Mapping[Status, StageState]] = {
    Status.PENDING: StageState.WAITING,
    Status.APPROVED: StageState.DONE,
    Status.RESPONDED: StageState.CHANGES,
    Status.REJECTED: StageState.STOPPED,
    Status.EXPIRED: StageState.STOPPED,
    Status.CANCELLED: StageState.STOPPED,
}


def check_name(name: object, *, at: str) -> str:
    """The name of a gate or stage.

    Raises:
        InvalidSetting: It is missing.
        PayloadRefused: It holds characters that no database keeps.
    """
    if not isinstance(name, str) or name.strip() == "":
        raise InvalidSetting(
            at, f"{name!r} is no name; give one that says what people decide on."
        )
    check_texts({at: name})
    return name


def check_outline(names: Sequence[object]) -> tuple[str, ...]:
    """The names of a workflow's stages, in order.

    Raises:
        InvalidSetting: There are none, one is missing, or one stands there twice.
    """
    checked = tuple(check_name(name, at="stage") for name in names)
    twice = sorted({name for name in checked if checked.count(name) > 1})
    if twice:
        raise InvalidSetting("stages", f"{twice[0]!r} is named twice; rename one.")
    if checked == ():
        raise InvalidSetting("stages", "there are none; name them in their order.")
    return checked


def check_among(name: str, names: Sequence[str]) -> str:
    """The name of a stage that was declared.

    Raises:
        InvalidSetting: It wasn't; with what was probably meant.
    """
    if name not in names:
        close = difflib.get_close_matches(name, names, 1)
        hint = f" Did you mean {close[0]!r}?" if close else ""
        known = ", ".join(names)
        raise InvalidSetting("stage", f"{name!r} is none of the stages {known}.{hint}")
    return name


def kept_id(thread: str, node: str, name: str, number: int) -> str:
    """The identity of a stage's work: its node's task, its name, which of that name."""
    return "stg_" + sha256(canonical([thread, node, name, number]))[:32]


def value_digest(value: object) -> str:
    """The SHA-256 over a value's exact bytes.

    Raises:
        PayloadRefused: It isn't exact JSON.
    """
    return sha256(canonical(value, at="value"))


def progress(
    outline: Sequence[str] | None, kept: Iterable[Kept], requests: Iterable[Request]
) -> tuple[Stage, ...]:
    """Where each stage stands, in order.

    Declared stages run one after another: one that began before a stage in front of it
    began again is ahead once more. Gates that aren't among them come at the end, in
    the order in which they were first asked.
    """
    works = {work.name: work for work in sorted(kept, key=lambda work: work.at)}
    gates: dict[str, list[Request]] = {}
    for request in requests:
        if request.kind is RequestKind.GATE:
            gates.setdefault(request.tool, []).append(request)
    declared = () if outline is None else tuple(outline)
    others = [name for name in gates if name not in declared]
    found, newest = [], 0
    for name in declared:
        stage = _stage(name, works.get(name), gates.get(name, ()))
        fresh = stage.at is not None and stage.at >= newest
        newest = max(newest, stage.at or 0)
        found.append(stage if fresh else Stage(name=name, state=StageState.AHEAD))
    found.extend(_stage(name, None, gates[name]) for name in others)
    return tuple(found)


def _stage(name: str, work: Kept | None, asked: Sequence[Request]) -> Stage:
    """The newest of what a stage made counts."""
    if asked and (work is None or asked[-1].asked_at >= work.at):
        request, remarks = asked[-1], _remarks(asked)
        return Stage(
            name=name,
            state=_STATES[request.status],
            value=request.args.get("value"),
            request_id=request.id,
            round=len(remarks) + 1,
            remarks=remarks,
            at=request.asked_at,
        )
    if work is None:
        return Stage(name=name, state=StageState.AHEAD)
    return Stage(name=name, state=StageState.DONE, value=work.value, at=work.at)


def _remarks(asked: Sequence[Request]) -> tuple[str, ...]:
    """What people asked for in the rounds that led to the newest request."""
    remarks: list[str] = []
    for request in reversed(asked[:-1]):
        if request.status is not Status.RESPONDED:
            break
        remarks.append(str((request.outcome or {}).get("message", "")))
    return tuple(reversed(remarks))
