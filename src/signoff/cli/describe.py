"""A request as a person reads it: what will happen, field by field."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from signoff.cli.screen import cut, grid, line, literal, one_line
from signoff.cli.staged import staged
from signoff.clock import ago, as_datetime
from signoff.domain.agreement import in_words
from signoff.domain.duration import in_words as span_in_words
from signoff.domain.journal import Entry, EntryState
from signoff.domain.ledger import Event
from signoff.domain.outlook import next_escalation, next_step, silence_means
from signoff.domain.requests import (
    Request,
    RequestKind,
    Status,
    Vote,
    approves_by_silence,
)
from signoff.domain.stages import Stage
from signoff.domain.text import count_hidden
from signoff.domain.voting import progress

HEADLINE: Final = 100
FIELD: Final = 32
SHORT_ID: Final = 12
SHORT_DIGEST: Final = 16

RISK_STYLES: Final[Mapping[str, str]] = {
    "critical": "bold red",
    "high": "red",
    "medium": "yellow",
    "low": "green",
}
STATUS_STYLES: Final[Mapping[Status, str]] = {
    Status.PENDING: "bold cyan",
    Status.APPROVED: "bold green",
    Status.REJECTED: "bold red",
    Status.RESPONDED: "bold blue",
    Status.EXPIRED: "bold red",
    Status.CANCELLED: "dim",
}
_TYPES: Final = {
    bool: "true/false",
    int: "integer",
    float: "number",
    str: "text",
    type(None): "null",
}
_PLAIN: Final = re.compile(r"[^\W\d][\w-]*")
_SAID: Final = {
    "approve": "approved",
    "reject": "rejected",
    "edit": "edited and approved",
    "respond": "answered",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class File:
    """A request with what belongs to it."""

    request: Request
    votes: Sequence[Vote]
    entry: Entry | None
    now: int
    stages: Sequence[Stage] = ()


def headline(tool: str, args: Mapping[str, Any], width: int = HEADLINE) -> str:
    """The call on one line, made by us from its parts."""
    given = (f"{name}={_brief(value)}" for name, value in args.items())
    text = one_line(f"{tool}({', '.join(given)})")
    return text if len(text) <= width else f"{text[: width - 2]}…)"


def fields(args: Mapping[str, Any]) -> Mapping[str, Any]:
    """Every single value by its path, such as `to.address` or `items[0].price`."""
    return dict(_leaves("", args))


def described(file: File, *, full: bool) -> RenderableType:
    """All that a person needs to decide."""
    request = file.request
    parts: list[RenderableType] = [_title(request), Text()]
    if request.edited:
        was = request.proposed
        if was["tool"] != request.tool:
            parts.append(line(f"Tool changed: {was['tool']} became {request.tool}"))
        parts.append(difference(was["args"], request.args, full=full))
    else:
        parts.append(_arguments(request.args, full=full))
    if hidden := hidden_in(request):
        warning = f"{hidden} hidden character(s), shown as [U+....]. Look twice."
        parts.append(Text(f"\n! {warning}", "bold yellow"))
    return Group(*parts, Text(), _about(file, full=full))


def difference(
    was: Mapping[str, Any],
    now: Mapping[str, Any],
    *,
    full: bool,
    headings: tuple[str, str] = ("the agent proposed", "now"),
) -> Table:
    """Two sets of arguments side by side, a mark at what differs."""
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="dim")
    for heading in ("", "field", *headings):
        table.add_column(heading, overflow="fold")
    table.columns[1].max_width = FIELD
    before, after = fields(was), fields(now)
    for path in dict.fromkeys((*before, *after)):
        old, new = _cell(before, path, full=full), _cell(after, path, full=full)
        if (
            path in before
            and path in after
            and _type(before[path]) != _type(after[path])
        ):
            old.append(f" ({_type(before[path])})", "dim")
            new.append(f" ({_type(after[path])})", "dim")
        same = _same(before, after, path)
        new.stylize("" if same else "bold green")
        old.stylize("" if same else "red")
        table.add_row("" if same else "~", line(path, "bold"), old, new)
    return table


def hidden_in(request: Request) -> int:
    """How many characters of the call nobody would see as they are."""
    values = fields(request.args)
    texts = [request.tool, *values, *(v for v in values.values() if isinstance(v, str))]
    return sum(count_hidden(text) for text in texts)


def time_left(request: Request, now: int) -> str:
    """How long people may still take."""
    if request.frozen_at is not None:
        return "paused"
    left = request.expires_at - now
    if left <= 0:
        return "its time ran out"
    then = ", then approved" if approves_by_silence(request) else ""
    return f"{_words(left)}{then}"


def history(events: Sequence[Event]) -> Table:
    """What happened, oldest first."""
    table = grid("dim", "dim", "bold", "", "dim")
    for event in events:
        fact = event.fact
        table.add_row(
            str(event.seq),
            moment(event.at),
            line(fact.kind),
            line(_actor(fact.actor, fact.channel)),
            line(_short(_brief_body(fact.body), HEADLINE)),
        )
    return table


def moment(at: int) -> str:
    """A time to the second, in UTC."""
    return as_datetime(at).strftime("%Y-%m-%d %H:%M:%S UTC")


def outcome(request: Request, now: int) -> Text:
    """Where a request stands, in words."""
    style = STATUS_STYLES[request.status]
    if request.status is Status.PENDING:
        return Text("waits for people", style)
    if request.status is Status.EXPIRED:
        words = "expired: nobody answered in time, so it counts as rejected"
    elif request.status is Status.APPROVED and request.settled_by is None:
        words = "approved by silence: nobody answered in time, and its rule allows that"
    else:
        words = f"{request.status.value} by {request.settled_by or 'signoff'}"
    when = "" if request.settled_at is None else f", {ago(request.settled_at, now)}"
    return line(words + when, style)


def _title(request: Request) -> Text:
    gate = request.kind is RequestKind.GATE
    title = line(request.tool, "bold")
    title.append(" wants to go on with" if gate else " would run with", "")
    return title


def _arguments(args: Mapping[str, Any], *, full: bool) -> RenderableType:
    values = fields(args)
    if values == {}:
        return Text("  no arguments", "dim")
    table = grid("", "bold", "", "dim")
    table.columns[1].max_width = FIELD
    for path, value in values.items():
        table.add_row("", line(path), _value(value, full=full), _type(value))
    return table


def _about(file: File, *, full: bool) -> Table:
    table = grid("dim", "")
    for name, value in _rows(file, full=full):
        table.add_row(name, value)
    return table


def _rows(file: File, *, full: bool) -> Iterator[tuple[str, RenderableType]]:
    request, now = file.request, file.now
    yield "request", Text(request.id)
    yield "status", outcome(request, now)
    yield "risk", Text(request.risk, RISK_STYLES.get(request.risk, ""))
    if request.description.strip():
        gate = request.kind is RequestKind.GATE
        said_by = "question" if gate else "the tool says"
        yield said_by, cut(request.description.strip(), full=full)
    yield "context", _context(request)
    yield from staged(file.stages, request, full=full)
    yield "asked", Text(f"{ago(request.asked_at, now)} ({moment(request.asked_at)})")
    if request.status is Status.PENDING:
        yield "deadline", Text(silence_means(request, now))
        yield from _steps(request, now)
        yield "who", line(_who(request))
        if file.votes:
            yield "agreed", line(_agreed(request, file.votes))
        if request.assignee is not None:
            yield "assigned to", line(f"{request.assignee}; others may decide it too")
        yield "answers", Text(", ".join(request.terms.decisions))
    for vote in file.votes:
        yield "vote", _vote(request, vote, now)
    yield "rule", line(f"{request.rule} · policy {request.policy_version}")
    if request.note is not None:
        yield "note", literal(request.note, "yellow")
    yield from _settled(file, full=full)
    yield "digest", Text(request.digest)


def _steps(request: Request, now: int) -> Iterator[tuple[str, RenderableType]]:
    for found in (next_step(request, now), next_escalation(request, now)):
        if found is not None:
            yield "before that", line(found)
    if request.terms.escalated:
        yield "escalated to", line(", ".join(request.terms.escalated))


def _settled(file: File, *, full: bool) -> Iterator[tuple[str, RenderableType]]:
    said = {} if file.request.outcome is None else file.request.outcome
    for name in ("reason", "message"):
        if said.get(name) is not None:
            yield name, cut(str(said[name]), full=full)
    if file.entry is not None:
        yield "effect", _effect(file.entry, file.now, full=full)
    elif file.request.status is Status.APPROVED:
        yield "effect", Text(_unused(file.request, file.now))


def _unused(request: Request, now: int) -> str:
    if request.valid_until is None:
        return "not run yet"
    left = request.valid_until - now
    if left <= 0:
        return "not run; the approval has lapsed, so it is asked again"
    return f"not run yet; the approval is good for {_words(left)} more"


def _effect(entry: Entry, now: int, *, full: bool) -> Text:
    at = entry.started_at if entry.finished_at is None else entry.finished_at
    words = {
        EntryState.RUNNING: f"running since {ago(at, now)}",
        EntryState.DONE: f"done {ago(at, now)}",
        EntryState.FAILED: f"failed {ago(at, now)}; it had no effect",
        EntryState.UNKNOWN: f"unknown: settle it with `signoff settle {entry.id}`",
        EntryState.HELD: "held: not done yet",
        EntryState.CANCELLED: "cancelled before it had any effect",
        EntryState.UNDOING: "done, and being undone",
        EntryState.UNDONE: f"done, and undone by {entry.undo_by}",
        EntryState.UNDO_FAILED: "done; its undo failed",
        EntryState.UNDO_UNVERIFIED: "done; its undo could not be verified",
        EntryState.FINAL: f"done {ago(at, now)}; its window has closed",
    }
    text = Text(words.get(entry.state, entry.state.value))
    if entry.attempt > 1:
        text.append(f" (attempt {entry.attempt} of {entry.attempts})")
    if entry.summary is not None:
        text.append(": ").append_text(cut(entry.summary, full=full))
    return text


def _context(request: Request) -> Text:
    said = (
        ("agent ", request.agent),
        ("thread ", request.thread),
        ("for ", request.user),
        ("team ", request.team),
    )
    return line(" · ".join(name + value for name, value in said if value is not None))


def _who(request: Request) -> str:
    terms = request.terms
    also = f"; {' or '.join(terms.escalated)} as well" if terms.escalated else ""
    noes = "" if terms.denials == 1 else f"; {terms.denials} rejections end it"
    but = ""
    if request.user is not None and not terms.self_approval:
        but = f", but not {request.user}, for whom it runs"
    return f"{in_words(terms.agreement)}{also}{but}{noes}"


def _agreed(request: Request, votes: Sequence[Vote]) -> str:
    found = progress(request, votes)
    said = f"{found.have} of {found.needed}"
    if found.missing is not None:
        said = f"{said}: still {found.missing}"
    if found.rejected == 0:
        return said
    return f"{said}; {found.rejected} of {found.denials} rejections"


def _vote(request: Request, vote: Vote, now: int) -> Text:
    old = (
        "" if vote.revision == request.revision else " on what was asked before an edit"
    )
    right = "" if vote.behalf is None else f" for {vote.behalf}"
    right += f" ({', '.join(vote.groups)})" if vote.groups else ""
    done = _SAID.get(vote.kind, vote.kind)
    said = f"{vote.principal}{right} {done}{old}, {ago(vote.at, now)}"
    return line(said if vote.reason is None else f"{said}: {vote.reason}")


def _leaves(path: str, value: object) -> Iterator[tuple[str, object]]:
    if isinstance(value, Mapping) and value != {}:
        for name, item in value.items():
            yield from _leaves(_path(path, str(name)), item)
    elif isinstance(value, Sequence) and not isinstance(value, str) and len(value) > 0:
        for number, item in enumerate(value):
            yield from _leaves(f"{path}[{number}]", item)
    elif path or value != {}:
        yield path, value


def _path(start: str, name: str) -> str:
    # Quoted when it isn't plain: {"a.b": 1, "a": {"b": 2}} are two fields, not one.
    if _PLAIN.fullmatch(name) is None:
        return f"{start}[{json.dumps(name, ensure_ascii=False)}]"
    return f"{start}.{name}" if start else name


def _cell(values: Mapping[str, Any], path: str, *, full: bool) -> Text:
    return _value(values[path], full=full) if path in values else Text("—", "dim")


def _same(before: Mapping[str, Any], after: Mapping[str, Any], path: str) -> bool:
    if path not in before or path not in after:
        return False
    old, new = before[path], after[path]
    return type(old) is type(new) and bool(old == new)


def _value(value: object, *, full: bool) -> Text:
    if isinstance(value, str) and value != "":
        return cut(value, full=full)
    return literal(json.dumps(value))


def _type(value: object) -> str:
    kind = "object" if isinstance(value, Mapping) else "list"
    return _TYPES.get(type(value), kind)


def _brief(value: object) -> str:
    return _short(json.dumps(value, ensure_ascii=False, default=str), HEADLINE)


def _brief_body(body: Mapping[str, Any]) -> str:
    told = ((name, value) for name, value in body.items() if value is not None)
    return " ".join(f"{name}={_short(_brief(value), 40)}" for name, value in told)


def _short(text: str, width: int) -> str:
    return text if len(text) <= width else f"{text[: width - 1]}…"


def _actor(actor: str | None, channel: str | None) -> str:
    who = "signoff" if actor is None else actor
    return who if channel is None else f"{who} ({channel})"


def _words(microseconds: int) -> str:
    return span_in_words(timedelta(microseconds=microseconds))
