"""What a message says, for channels that people read. Agent text is data."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from signoff.clock import as_datetime
from signoff.domain.effect_notices import EFFECTS
from signoff.domain.notices import Message
from signoff.domain.text import count_hidden, reveal

LONGEST: Final = 2_000
_ADDRESS: Final = re.compile(r"://|www\.")
_HEADLINES: Final[Mapping[str, str]] = {
    "asked": "Your decision is wanted.",
    "reminded": "Your decision is still wanted.",
    "escalated": "This was handed up to you. Your decision is wanted.",
    "assigned": "This was handed over to you. Your decision is wanted.",
    "edited": "It was edited, so your decision on the new version is wanted.",
    "approved": "Approved",
    "rejected": "Rejected",
    "responded": "Answered instead of run",
    "expired": "Expired: nobody decided in time, so it did not run.",
    "cancelled": "Withdrawn: it never runs",
    "reversible": "An agent did this, and it can be undone for a while.",
    "irreversible": "An agent did this, and it can't be undone.",
    "held": "This waits, not done yet, and can be cancelled.",
    "test": "This is a test. Nothing waits for you.",
}
_DONE_BY: Final = {"assigned": "Handed over by", "edited": "Edited by"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Letter:
    """The parts of a message, each one safe to show as literal text.

    Attributes:
        facts: Pairs of a name and what it is, in the order of reading.
        args: The same for the arguments of the call.
    """

    subject: str
    headline: str
    facts: tuple[tuple[str, str], ...]
    args: tuple[tuple[str, str], ...]
    warnings: tuple[str, ...]
    link: str
    is_open: bool


def letter(message: Message) -> Letter:
    """What a message says."""
    request, notice = message.request, message.notice
    return Letter(
        subject=subject(message),
        headline=headline(message),
        facts=tuple(_facts(message)),
        args=tuple((one_line(k), shown(v)) for k, v in request.args.items()),
        warnings=tuple(_warnings(message)),
        link=message.link,
        is_open=not (notice.is_settled or notice.kind in EFFECTS),
    )


def subject(message: Message) -> str:
    """The same for all messages about a request, so that mail programs thread them."""
    request = message.request
    tool = request.proposed.get("tool", request.tool)
    who = "an agent" if request.agent is None else request.agent
    verb = "done" if message.notice.kind in EFFECTS else "asked"
    named = one_line(f"{tool}, {verb} by {who}")
    return f"[signoff] {cut(named, 120)} ({request.id})"


def headline(message: Message) -> str:
    """What happened, and who did it."""
    notice = message.notice
    said = _HEADLINES.get(notice.kind, f"News: {one_line(notice.kind)}.")
    if said.endswith("."):
        return said
    if notice.said.get("by") == "silence":
        return f"{said} by silence: nobody answered in time."
    return f"{said} by {'signoff' if notice.by is None else one_line(notice.by)}."


def shown(value: object) -> str:
    """A value as a reader sees it: a text as it is, anything else as JSON."""
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return cut(reveal(text), LONGEST)


def one_line(text: str) -> str:
    """A text of any origin on one line, with nothing hidden in it."""
    return reveal(text).replace("\n", "[U+000A]").replace("\t", "[U+0009]")


def cut(text: str, longest: int) -> str:
    """A text's beginning and end, and how much is left out between them."""
    if len(text) <= longest:
        return text
    head, tail = longest * 3 // 4, longest // 4
    left_out = len(text) - head - tail
    return f"{text[:head]} [… {left_out:,} characters left out …] {text[-tail:]}"


def _facts(message: Message) -> Iterator[tuple[str, str]]:
    request, notice = message.request, message.notice
    yield "What", one_line(request.tool)
    if notice.kind in EFFECTS:
        yield from _effect(message)
        return
    yield "Risk", one_line(request.risk)
    if request.user is not None:
        yield "On behalf of", one_line(request.user)
    if request.team is not None:
        yield "Team", one_line(request.team)
    if not notice.is_settled:
        yield from _wanted(message)
    for name in ("reason", "message"):
        if notice.said.get(name) is not None:
            yield name.capitalize(), shown(notice.said[name])
    if request.note is not None:
        yield "Note", shown(request.note)


def _effect(message: Message) -> Iterator[tuple[str, str]]:
    request, said = message.request, message.notice.said
    if request.agent is not None:
        yield "Done by", one_line(request.agent)
    if request.user is not None:
        yield "On behalf of", one_line(request.user)
    if said.get("until") is not None:
        yield "Until", f"{as_datetime(int(said['until'])):%Y-%m-%d %H:%M:%S} UTC"
    if said.get("label") is not None:
        yield "An undo is", shown(said["label"])
    for name, told in (("remains", "What remains"), ("not_undoable", "Because")):
        if said.get(name) is not None:
            yield told, shown(said[name])


def _wanted(message: Message) -> Iterator[tuple[str, str]]:
    request, notice = message.request, message.notice
    if notice.kind in _DONE_BY and notice.by is not None:
        yield _DONE_BY[notice.kind], one_line(notice.by)
    due = as_datetime(request.expires_at)
    yield "Decide until", f"{due:%Y-%m-%d %H:%M} UTC"
    if request.terms.approvals > 1:
        yield "Approvals needed", str(request.terms.approvals)


def _texts(value: object) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        for key, item in value.items():
            yield key
            yield from _texts(item)
    elif isinstance(value, Sequence):
        for item in value:
            yield from _texts(item)


def _warnings(message: Message) -> Iterator[str]:
    request = message.request
    if message.redacted != ():
        places = ", ".join(one_line(place) for place in message.redacted)
        yield (
            f"Secrets were left out of this message ({cut(places, 300)}). The inbox "
            "shows what will run; the digest is over all of it."
        )
    written = "\n".join(shown(value) for value in request.args.values())
    if _ADDRESS.search(written):
        yield "Web addresses in the arguments are the agent's, not signoff's."
    hidden = sum(map(count_hidden, _texts(request.args)))
    if hidden > 0:
        yield f"{hidden} hidden characters are shown as [U+XXXX]."
    if request.edited:
        yield "A person edited what the agent asked for."
