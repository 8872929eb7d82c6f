"""An action is proposed: it gets its verdict, once, and if need be its request."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from functools import partial
from typing import Any, Final

from signoff.domain.actions import Action, canonical, check_texts, digest, sha256
from signoff.domain.agreement import Quorum
from signoff.domain.calendars import check_hours
from signoff.domain.deadlines import Silence
from signoff.domain.duration import microseconds
from signoff.domain.errors import NobodyCanApprove
from signoff.domain.journal import Entry, EntryState, entry_id
from signoff.domain.ledger import Fact
from signoff.domain.notices import Notice
from signoff.domain.policy import Ruling
from signoff.domain.requests import (
    Request,
    RequestKind,
    Status,
    Terms,
    due_next,
    shown,
)
from signoff.domain.rules import Rule, Verdict
from signoff.domain.text import joined, storable
from signoff.domain.timeline import After, plain_hours, timeline
from signoff.ports import Calendars, Ruled, Store, Writing
from signoff.service.reach import Directory, check_reach, refused_fact
from signoff.service.standstill import frozen_since

UNLIMITED: Final = 1_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """Where an action stands. At most one of the parts decides what happens next.

    Attributes:
        verdict: The recorded verdict.
        request: The newest request, if the action was ever asked about.
        entry: The record of its effect, if it ever ran.
        ruling: The fresh ruling, if this call made it.
    """

    verdict: Verdict
    request: Request | None = None
    entry: Entry | None = None
    ruling: Ruling | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What a request shows besides the action itself.

    Attributes:
        args: A gate's payload: not part of the action, since its function may make
            another one when the node is re-executed.
    """

    kind: RequestKind = RequestKind.ACTION
    args: Mapping[str, Any] | None = None
    schema: Mapping[str, Any] | None = None
    description: str = ""
    note: str | None = None
    decisions: tuple[str, ...] | None = None


def standing(store: Store, action_id: str) -> Standing | None:
    """Where an action stands, or None if it was never recorded."""
    with store.reading() as reading:
        entry = reading.entry(entry_id(action_id))
        request = reading.request_of(action_id)
        if request is None and entry is None:
            verdict = reading.ruled(action_id)
            if verdict is None:
                return None
            # Committed with its verdict, maybe between the reads above and the last.
            request = reading.request_of(action_id)
            return Standing(verdict=Verdict(verdict), request=request)
        return Standing(verdict=Verdict.REVIEW, request=request, entry=entry)


def lapsed(found: Standing, now: int) -> bool:
    """Whether the approval waited too long to be used, so that it is asked again."""
    request = found.request
    return (
        found.entry is None
        and request is not None
        and request.status is Status.APPROVED
        and request.valid_until is not None
        and request.frozen_at is None
        and request.valid_until <= now
    )


def ask(
    store: Store,
    action: Action,
    ruling: Ruling,
    asked: Asked,
    *,
    directory: Directory = "tokens",
    calendars: Calendars | None = None,
) -> Request:
    """Record the verdict and make the request; the same action makes it only once.

    Raises:
        NobodyCanApprove: Too few of the people with a token could ever approve it.
    """
    action_id = action.id
    check_action(action)
    after = hours_of(ruling.rule, calendars)
    with store.writing(action.context.thread) as tx:
        before = tx.request_of(action_id)
        if before is not None:
            entry = tx.entry(entry_id(action_id))
            found = Standing(verdict=Verdict.REVIEW, request=before, entry=entry)
            if not lapsed(found, tx.now()):
                return before
        number = 1 if before is None else before.ask + 1
        reached = make_in(
            tx, action, ruling, asked, ask=number, after=after, directory=directory
        )
        if isinstance(reached, Request):
            return reached
    raise reached


def make_in(  # noqa: PLR0913 - what is asked, for the how manieth time, and of whom
    tx: Writing,
    action: Action,
    ruling: Ruling,
    asked: Asked,
    *,
    ask: int,
    after: After,
    directory: Directory,
) -> Request | NobodyCanApprove:
    """Make a request, in the caller's transaction, or note why nobody could."""
    request = make_request(action, ruling, asked, now=tx.now(), ask=ask, after=after)
    reached = check_reach(tx, request, ruling.rule, directory)
    if not isinstance(reached, Request):
        refused_fact(tx, request, reached)
        return reached
    reached = replace(reached, frozen_at=frozen_since(tx, reached))
    if tx.ruled(action.id) is None:
        tx.add_actions([ruled(action, ruling)])
    tx.add_request(reached)
    tx.record(asked_fact(reached, ruling))
    tx.tell(Notice(kind="asked", request_id=reached.id, revision=1))
    return reached


def refuse(store: Store, action: Action, ruling: Ruling) -> None:
    """Record a verdict of `deny`."""
    check_action(action)
    with store.writing(action.context.thread) as tx:
        if tx.ruled(action.id) is None:
            tx.add_actions([ruled(action, ruling)])
            tx.record(ruled_fact(action, ruling, kind="denied"))


def check_action(action: Action) -> None:
    """Refuse names and ids that a database couldn't keep as they are.

    Raises:
        PayloadRefused: Says which; nothing is recorded and nothing runs.
    """
    context = action.context
    check_texts(
        {
            "thread": context.thread,
            "agent": context.agent,
            "user": context.user,
            "team": context.team,
            "message_id": action.message_id,
            "call_id": action.call_id,
            "tool": action.tool,
        }
    )


def make_request(
    action: Action,
    ruling: Ruling,
    asked: Asked,
    *,
    now: int,
    ask: int,
    after: After = plain_hours,
) -> Request:
    """The request for an action, complete with its digest."""
    rule, context = ruling.rule, action.context
    planned = timeline(rule, start=now, after=after)
    request_id = "req_" + sha256(canonical([action.id, ask]))[:20]
    args = dict(action.args if asked.args is None else asked.args)
    request = Request(
        id=request_id,
        kind=asked.kind,
        action_id=action.id,
        ask=ask,
        thread=context.thread,
        agent=context.agent,
        user=context.user,
        team=context.team,
        tool=action.tool,
        args=args,
        proposed={"tool": action.tool, "args": args},
        schema=asked.schema,
        description=storable(asked.description),
        digest="",
        revision=1,
        status=Status.PENDING,
        risk=rule.risk.value,
        rule=rule.label,
        policy_version=ruling.policy_version,
        terms=terms_of(rule, asked.decisions, error=ruling.error),
        note=joined(ruling.error, asked.note),
        asked_at=now,
        expires_at=planned.expires_at,
        changed_at=now,
        timeline=planned.steps,
    )
    request = replace(request, due_at=due_next(request))
    return replace(request, digest=digest(shown(request)))


def hours_of(rule: Rule, calendars: Calendars | None) -> After:
    """How a rule's spans are counted.

    Raises:
        PolicyError: Its calendar isn't there; nothing is asked, so nothing runs.
    """
    if rule.hours is None:
        return plain_hours
    names = frozenset[str]() if calendars is None else calendars.names
    check_hours(rule, names)
    if calendars is None:
        raise AssertionError("a calendar that is there has a place")
    return partial(calendars.after, rule.hours)


def terms_of(
    rule: Rule, decisions: tuple[str, ...] | None = None, *, error: str | None = None
) -> Terms:
    """Who must agree, copied from a rule."""
    valid = rule.valid_for
    only = Quorum(approvals=rule.approvals, reviewers=rule.reviewers)
    # Asked because a condition failed: an error never means yes.
    failed = rule.on_expiry is Silence.APPROVE and error is not None
    return Terms(
        agreement=((only,) if rule.any_of is None else rule.any_of,),
        denials=rule.denials,
        decisions=rule.decisions if decisions is None else decisions,
        self_approval=rule.self_approval,
        attempts=rule.attempts,
        idempotent=rule.idempotent,
        valid_for=None if valid is None else microseconds(valid),
        on_expiry=(Silence.REJECT if failed else rule.on_expiry).value,
    )


def ruled(action: Action, ruling: Ruling) -> Ruled:
    """The verdict as it is recorded."""
    return Ruled(
        action=action,
        action_id=action.id,
        verdict=ruling.verdict.value,
        rule=ruling.rule.label,
        policy_version=ruling.policy_version,
        error=joined(ruling.error),
    )


def asked_fact(request: Request, ruling: Ruling) -> Fact:
    """The ledger's event for a new request."""
    return Fact(
        kind="asked",
        subject=request.id,
        actor=request.agent,
        body={
            "action": request.action_id,
            "digest": request.digest,
            "tool": request.tool,
            "verdict": ruling.verdict.value,
            "rule": request.rule,
            "policy": request.policy_version,
            "user": request.user,
            "expires_at": request.expires_at,
            "terms": asdict(request.terms),
            "risk": request.risk,
            "timeline": [asdict(step) for step in request.timeline],
            "note": request.note,
        },
    )


def ruled_fact(action: Action, ruling: Ruling, *, kind: str) -> Fact:
    """The ledger's event for a verdict that asks nobody."""
    return Fact(
        kind=kind,
        subject=action.id,
        actor=action.context.agent,
        body={
            "tool": action.tool,
            "args": sha256(canonical(action.args, at="args")),
            "rule": ruling.rule.label,
            "policy": ruling.policy_version,
        },
    )


def running_entry(
    request: Request, *, worker: str, now: int, lease: int, seq: int = 0
) -> Entry:
    """The journal's record of a call that starts now."""
    return Entry(
        id=entry_id(request.action_id),
        action_id=request.action_id,
        request_id=request.id,
        thread=request.thread,
        tool=request.tool,
        key=request.action_id,
        state=EntryState.RUNNING,
        attempt=1,
        attempts=request.terms.attempts,
        idempotent=request.terms.idempotent,
        worker=worker,
        lease_until=now + lease,
        started_at=now,
        seq=seq,
        agent=request.agent,
        user=request.user,
        args=request.args,
    )


def allowed_entry(
    action: Action, *, worker: str, now: int, lease: int, seq: int = 0
) -> Entry:
    """The journal's record of an allowed call that starts now."""
    return Entry(
        id=entry_id(action.id),
        action_id=action.id,
        request_id=None,
        thread=action.context.thread,
        tool=action.tool,
        key=action.id,
        state=EntryState.RUNNING,
        attempt=1,
        attempts=UNLIMITED,
        idempotent=True,
        worker=worker,
        lease_until=now + lease,
        started_at=now,
        seq=seq,
        agent=action.context.agent,
        user=action.context.user,
        args=action.args,
    )
