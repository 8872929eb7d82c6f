"""What the components are given: plain data, every foreign text revealed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any, Final

from signoff.clock import ago, as_datetime
from signoff.domain.delegations import Lent
from signoff.domain.duration import in_words
from signoff.domain.errors import NotAllowed
from signoff.domain.ledger import Event
from signoff.domain.outlook import next_escalation, next_step, silence_means
from signoff.domain.pauses import Pause
from signoff.domain.principals import Principal
from signoff.domain.requests import (
    Request,
    RequestKind,
    Status,
    Vote,
    approves_by_silence,
)
from signoff.domain.text import reveal
from signoff.domain.voting import (
    Progress,
    Seat,
    check_not_rejected,
    lent_seat,
    own_seat,
    progress,
)
from signoff.inbox.desk import Desk
from signoff.inbox.looking import Case, Line, Seen, is_filtered
from signoff.inbox.outcome import approvals, since, what_happened
from signoff.inbox.staging import staged
from signoff.inbox.wording import agreed, headline, hidden_in, rows_of

Data = dict[str, Any]

_MUST_READ: Final = frozenset({"high", "critical"})
_CONFIRMED: Final = "critical"
_KINDS: Final = ("approve", "reject", "edit", "respond")
_SAID: Final[Mapping[str, str]] = {
    "approve": "approved",
    "reject": "rejected",
    "edit": "edited it and approved",
    "respond": "answered the agent",
}


def bar(desk: Desk, seen: Seen) -> Data:
    """The head of the page."""
    wanted = desk.filter
    return {
        "changed": seen.changed,
        "waiting": seen.waiting,
        "found": seen.found,
        "me": reveal(desk.me.id),
        "focused": desk.focused,
        "filters": {
            "risk": wanted.risk,
            "agent": wanted.agent,
            "tool": wanted.tool,
            "order": wanted.order,
        },
        "agents": _options(desk.agents, wanted.agent),
        "tools": _options(desk.tools, wanted.tool),
    }


def paused(seen: Seen) -> Data:
    """What people have stopped, in red."""
    return {"pauses": [_pause(pause, seen) for pause in seen.pauses]}


def notices(seen: Seen) -> Data:
    """The lines at the top."""
    return {"lines": [_line(line) for line in seen.lines], "awaits": seen.awaits}


def listing(desk: Desk, seen: Seen) -> Data:
    """The list of what waits."""
    return {
        "now": seen.now,
        "selected": desk.selected,
        "more": seen.more,
        "filtered": is_filtered(desk.filter) and seen.waiting > 0,
        "items": [_item(request) for request in seen.requests],
    }


def detail(desk: Desk, case: Case, now: int) -> Data:
    """One request, with the buttons that this person may press."""
    request = case.request
    editing = desk.opened is not None and desk.opened.kind == "edit"
    return {
        "id": request.id,
        "digest": request.digest,
        "turn": desk.turn,
        "now": now,
        "asked_at": request.asked_at,
        "expires_at": request.expires_at,
        "frozen_at": request.frozen_at,
        "editing": editing,
        "headline": headline(request.tool, request.args, request.kind),
        "chips": _chips(case),
        "settled": _settled(case, desk.me.id, now),
        "silence": "approved" if approves_by_silence(request) else "rejected",
        **staged(request, case.stages),
        "warnings": _warnings(request),
        "compared": request.edited,
        "before": "Proposed by the agent",
        "after": "Now",
        "rows": [row.as_data() for row in rows_of(request)],
        "must_read": request.risk in _MUST_READ,
        "confirm": request.risk == _CONFIRMED,
        "about": _about(case, desk.me, now),
        "votes": [_vote(vote, request, desk.me.id, now) for vote in case.votes],
        "decisions": list(request.terms.decisions),
        "refused": refusals(request, case.votes, desk.me, case.lent),
    }


def refusals(
    request: Request,
    votes: Sequence[Vote],
    me: Principal,
    lent: Sequence[Lent] = (),
) -> dict[str, str]:
    """Why this person can't decide in each way that they can't."""
    found = {}
    for kind in _KINDS:
        try:
            _seat(request, votes, me, lent, approving=kind in {"approve", "edit"})
            if kind == "approve":
                check_not_rejected(request, me, votes)
        except NotAllowed as error:
            found[kind] = reveal(error.reason)
    mine = (v for v in votes if (v.principal, v.revision) == (me.id, request.revision))
    if any(vote.kind in {"approve", "edit"} for vote in mine):
        found["approve"] = "You approve this already; somebody else must too."
    return found


def _seat(
    request: Request,
    votes: Sequence[Vote],
    me: Principal,
    lent: Sequence[Lent],
    *,
    approving: bool,
) -> Seat:
    """By whose right this person would decide: their own, else one that is lent.

    Raises:
        NotAllowed: By nobody's.
    """
    try:
        return own_seat(request, me, approving=approving)
    except NotAllowed:
        found = lent_seat(request, me, lent, votes, approving=approving)
        if found is None:
            raise
        return found


def timeline(history: Sequence[Event], me: str, now: int) -> Data:
    """Everything that happened about a request."""
    return {"events": [_event(event, me, now) for event in history]}


def _options(names: frozenset[str], chosen: str | None) -> list[Data]:
    known = names if chosen is None else names | {chosen}
    return [{"value": name, "shown": reveal(name)} for name in sorted(known)]


def _line(line: Line) -> Data:
    return {
        "id": line.id,
        "tone": line.told.tone,
        "text": line.told.text,
        "what": line.what,
        "request": line.request_id,
    }


def _pause(pause: Pause, seen: Seen) -> Data:
    why = "" if pause.reason is None else f": {pause.reason}"
    said = f"By {pause.paused_by} {ago(pause.paused_at, seen.now)}{why}"
    lift = f"signoff resume {pause.id}"
    return {
        "what": reveal(f"Paused: {pause.scope()}. Calls wait, deadlines stand still."),
        "said": f"{reveal(said)}\n{_stalled(seen.stalled)} To lift it: {lift}",
    }


def _stalled(count: int) -> str:
    if count == 0:
        return "No call waits yet."
    told = "1 call waits" if count == 1 else f"{count} calls wait"
    return f"{told} for a pause to be lifted."


def _item(request: Request) -> Data:
    return {
        "id": request.id,
        "headline": headline(request.tool, request.args, request.kind),
        "risk": request.risk,
        "tool": reveal(request.tool),
        "agent": reveal(request.agent or ""),
        "asked_at": request.asked_at,
        "expires_at": request.expires_at,
        "frozen": request.frozen_at is not None,
        "hidden": _hidden(request),
    }


def _hidden(request: Request) -> int:
    return hidden_in(request.args) + hidden_in(request.tool)


def _chips(case: Case) -> list[Data]:
    request = case.request
    chips: list[Data] = [
        {"tone": request.risk, "dot": request.risk, "text": f"{request.risk} risk"},
        {"tone": "", "text": reveal(request.tool)},
    ]
    if progress(request, case.votes).needed > 1:
        have = approvals(request, case.votes)
        chips.append({"tone": "info", "text": f"{have} approvals"})
    if request.edited:
        chips.append({"tone": "info", "text": "edited"})
    return chips


def _settled(case: Case, me: str, now: int) -> Data | None:
    request = case.request
    if request.status is Status.PENDING:
        return None
    told = what_happened(request, case.entry, case.votes, me)
    when = "" if request.settled_at is None else f" · {since(request.settled_at, now)}"
    return {"tone": told.tone, "text": told.text + when}


def _warnings(request: Request) -> list[str]:
    found = []
    if request.note is not None:
        found.append(reveal(request.note))
    count = _hidden(request)
    if count > 0:
        noun = "character" if count == 1 else "characters"
        found.append(
            f"{count} hidden {noun} in this call, shown below as [U+…] or as escapes: "
            "somebody may be trying to mislead you."
        )
    return found


def _about(case: Case, me: Principal, now: int) -> list[tuple[str, str]]:
    request = case.request
    found = progress(request, case.votes)
    waits = request.status is Status.PENDING
    pairs = [
        ("Agent", request.agent),
        ("On behalf of", request.user),
        ("Team", request.team),
        ("Thread", request.thread),
        ("Rule", request.rule),
        ("Decided by", _decided_by(request, found)),
        ("Agreed", agreed(found) if waits and case.votes else None),
        ("Assigned to", _assigned(request, me.id)),
        ("You decide", _for_whom(case, me) if waits else None),
        *_clock(request, now),
        ("Asks", "again: the first approval lapsed" if request.ask > 1 else None),
        ("Digest", request.digest[:16] + "…"),
    ]
    return [(name, reveal(text)) for name, text in pairs if text is not None]


def _decided_by(request: Request, found: Progress) -> str:
    also = " or ".join(request.terms.escalated)
    more = f"; {also} as well" if also else ""
    noes = "" if found.denials == 1 else f"; {found.denials} rejections end it"
    return f"{found.words}{more}{noes}"


def _assigned(request: Request, me: str) -> str | None:
    if request.assignee is None:
        return None
    who = "you" if request.assignee == me else request.assignee
    return f"{who}; others may decide it too"


def _for_whom(case: Case, me: Principal) -> str | None:
    """Whose right this person would use, if it isn't their own."""
    try:
        seat = _seat(case.request, case.votes, me, case.lent, approving=True)
    except NotAllowed:
        return None
    return None if seat.behalf is None else f"for {seat.behalf}"


def _clock(request: Request, now: int) -> list[tuple[str, str | None]]:
    """What happens if nobody answers; what became of it stands elsewhere."""
    if request.status is not Status.PENDING:
        return [("Approval lapses", _lapse(request, now))]
    return [
        ("Silence", silence_means(request, now)),
        ("Before that", next_step(request, now)),
        ("Later", next_escalation(request, now)),
        ("Escalated to", ", ".join(request.terms.escalated) or None),
    ]


def _lapse(request: Request, now: int) -> str | None:
    if request.valid_until is None:
        return None
    left = request.valid_until - now
    when = in_words(timedelta(microseconds=left))
    return f"in {when}, if it isn't used" if left > 0 else "it has, unless it was used"


def _vote(vote: Vote, request: Request, me: str, now: int) -> Data:
    counts = vote.revision == request.revision
    said = _SAID.get(vote.kind, vote.kind)
    if request.kind is RequestKind.GATE and vote.kind == "respond":
        said = "asked for changes"
    reason = "" if vote.reason is None else f": {reveal(vote.reason)}"
    before = "" if counts else ", before it was edited"
    who = "You" if vote.principal == me else reveal(vote.principal)
    right = "" if vote.behalf is None else f"for {reveal(vote.behalf)}, "
    return {
        "who": who,
        "said": f"{right}{said} {since(vote.at, now)}{before}{reason}",
        "counts": counts,
    }


def _event(event: Event, me: str, now: int) -> Data:
    fact = event.fact
    who = "signoff" if fact.actor is None else reveal(fact.actor)
    by = "" if fact.channel is None else f" via {reveal(fact.channel)}"
    said = [
        f"{name}: {reveal(str(fact.body[name]))}"
        for name in ("decision", "rule", "reason", "message", "summary", "error")
        if fact.body.get(name) is not None
    ]
    return {
        "what": reveal(fact.kind),
        "who": ("you" if fact.actor == me else who) + by,
        "when": in_words(timedelta(microseconds=max(0, now - event.at))) + " ago",
        "at": as_datetime(event.at).isoformat(),
        "said": " · ".join(said),
    }
