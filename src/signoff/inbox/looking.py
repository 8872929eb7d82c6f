"""Everything that one drawing of the page shows, read from the server beforehand."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

from signoff.domain.delegations import Lent
from signoff.domain.errors import RequestNotFound
from signoff.domain.journal import Entry, EntryState
from signoff.domain.ledger import Event
from signoff.domain.pauses import Pause
from signoff.domain.requests import Request, RequestKind, Status, Vote
from signoff.domain.stages import Stage
from signoff.inbox.desk import Desk, Notice
from signoff.inbox.outcome import Told, explain, what_happened
from signoff.inbox.wording import headline
from signoff.ports import Filter

_LARGEST_PAGE: Final = 200
_UNKNOWN_SHOWN: Final = 5
_EFFECTS: Final = 100
_TROUBLED: Final = (
    EntryState.UNDOING,
    EntryState.UNDO_FAILED,
    EntryState.UNDO_UNVERIFIED,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One request with all that is known about it.

    Attributes:
        lent: The rights of others that the reviewer may use now.
        stages: Where the stages of a gate's thread stand.
    """

    request: Request
    votes: Sequence[Vote]
    entry: Entry | None
    history: Sequence[Event]
    lent: Sequence[Lent] = ()
    stages: Sequence[Stage] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """A line at the top: what happened to a decision, or a notice."""

    id: str
    told: Told
    what: str | None = None
    request_id: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """What the page shows.

    Attributes:
        now: The server's clock, microseconds since 1970 UTC.
        waiting: How many requests wait, whatever the filter.
        found: How many of them match it.
        awaits: A decision whose effect hasn't ended, so that the page looks again.
        effects: What can be undone or is held, and undos that need a person.
        stalled: How many calls wait for a pause to be lifted.
    """

    changed: int
    now: int
    waiting: int
    found: int
    requests: tuple[Request, ...]
    more: bool
    case: Case | None
    lines: tuple[Line, ...]
    awaits: str | None
    unknown: tuple[tuple[Entry, str], ...]
    pauses: tuple[Pause, ...]
    stalled: int
    effects: tuple[Entry, ...] = ()


def look(desk: Desk) -> Seen:
    """Read what the page shows; the first request is selected if none is.

    Raises:
        NotAuthenticated: The session ended.
        ServerUnreachable: Nothing answers.
    """
    changed = desk.client.changed()  # before the rest, so that no change is missed
    requests, more = _listed(desk)
    desk.order = tuple(request.id for request in requests)
    if desk.selected is None and desk.order:
        desk.selected = desk.order[0]
    waiting = desk.client.count(Filter())
    case = _case(desk, requests)
    lines, awaits = _lines(desk)
    tools = desk.client.tools()
    desk.agents |= _names([r.agent for r in requests], [t.agent for t in tools])
    desk.tools |= _names([r.tool for r in requests], [t.name for t in tools])
    return Seen(
        changed=changed,
        now=desk.client.now(),
        waiting=waiting,
        found=desk.client.count(desk.filter) if is_filtered(desk.filter) else waiting,
        requests=requests,
        more=more,
        case=case,
        lines=lines,
        awaits=awaits,
        unknown=_unknown(desk),
        pauses=tuple(desk.client.pauses()),
        stalled=desk.client.stalled(),
        effects=_effects(desk),
    )


def is_filtered(wanted: Filter) -> bool:
    """Whether the list leaves any waiting request out."""
    return (wanted.agent, wanted.tool, wanted.risk) != (None, None, None)


def _listed(desk: Desk) -> tuple[tuple[Request, ...], bool]:
    """As many requests as the list shows, in as few pages as the server allows."""
    found: list[Request] = []
    cursor = None
    while len(found) < desk.shown:
        limit = min(_LARGEST_PAGE, desk.shown - len(found))
        page = desk.client.pending(replace(desk.filter, cursor=cursor, limit=limit))
        found.extend(page.requests)
        cursor = page.next
        if cursor is None:
            break
    return tuple(found), cursor is not None


def _case(desk: Desk, requests: Sequence[Request]) -> Case | None:
    if desk.selected is None:
        return None
    listed = [request for request in requests if request.id == desk.selected]
    try:
        request = listed[0] if listed else desk.client.get(desk.selected)
    except RequestNotFound as error:
        desk.tell(explain(error, me=desk.me.id, now=0))
        desk.selected = None
        return None
    return Case(
        request=request,
        votes=desk.client.votes(request.id),
        entry=_entry(desk, request),
        history=desk.client.history(request.id),
        lent=desk.client.lent(),
        stages=_stages(desk, request),
    )


def _stages(desk: Desk, request: Request) -> Sequence[Stage]:
    gate = request.kind is RequestKind.GATE
    return desk.client.stages(request.thread) if gate else ()


def _entry(desk: Desk, request: Request) -> Entry | None:
    approved = request.status is Status.APPROVED
    return desk.client.entry_of(request) if approved else None


def _lines(desk: Desk) -> tuple[tuple[Line, ...], str | None]:
    lines = [_notice(notice) for notice in desk.notices]
    awaits = None
    for request_id in desk.decided:
        request = desk.client.get(request_id)
        votes = desk.client.votes(request_id)
        told = what_happened(request, _entry(desk, request), votes, desk.me.id)
        lines.append(
            Line(
                id=request_id,
                told=told,
                what=headline(request.tool, request.args, request.kind),
                request_id=request_id,
            )
        )
        if request.status is Status.APPROVED and not told.final:
            awaits = awaits or request_id
    return tuple(lines), awaits


def _notice(notice: Notice) -> Line:
    return Line(id=notice.id, told=notice.told, request_id=notice.request_id)


def _unknown(desk: Desk) -> tuple[tuple[Entry, str], ...]:
    entries = desk.client.journal(state=EntryState.UNKNOWN, limit=_UNKNOWN_SHOWN)
    return tuple((entry, _what(desk, entry)) for entry in entries)


def _effects(desk: Desk) -> tuple[Entry, ...]:
    client = desk.client
    held = client.journal(state=EntryState.HELD, limit=_EFFECTS)
    found = [*held, *client.open_windows(limit=_EFFECTS)]
    for state in _TROUBLED:
        found += client.journal(state=state, limit=_EFFECTS)
    linked = desk.taken.entry if desk.taken is not None else None
    known = {entry.id: entry for entry in found}
    if linked is not None and linked in known:  # what was asked for comes first
        known = {linked: known.pop(linked), **known}
    return tuple(known.values())


def _what(desk: Desk, entry: Entry) -> str:
    if entry.request_id is None:
        return headline(entry.tool, entry.args or {}, RequestKind.ACTION)
    request = desk.client.get(entry.request_id)
    return headline(request.tool, request.args, request.kind)


def _names(*groups: Sequence[str | None]) -> frozenset[str]:
    return frozenset(name for group in groups for name in group if name)
