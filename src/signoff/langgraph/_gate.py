"""`gate()`: a stage waits for people, and what comes back is what they approved."""

from __future__ import annotations

import glob
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, TypedDict, Unpack

from langchain_core.runnables import RunnableConfig
from langgraph.config import get_config
from langgraph.types import interrupt

from signoff.domain.actions import Action, Context, canonical, digest
from signoff.domain.agreement import Quorum
from signoff.domain.deadlines import Escalation, Silence
from signoff.domain.errors import DigestMismatch
from signoff.domain.pauses import Pause
from signoff.domain.policy import Ruling
from signoff.domain.requests import Request, RequestKind, Status, shown
from signoff.domain.rules import Risk, Span, Verdict, review
from signoff.domain.stages import Stage, check_name
from signoff.langgraph._calls import read_context
from signoff.langgraph._execution import execution_of, node_of
from signoff.langgraph._making import (
    Make,
    Payload,
    Steps,
    adrive,
    check_off_loop,
    check_payload,
    drive,
)
from signoff.langgraph._steps import do
from signoff.langgraph._wakes import drop_own_wakes
from signoff.langgraph._words import reference, why_paused
from signoff.service import Approvals
from signoff.service.propose import Asked

_SLOT: Final = {"type": "object", "properties": {"value": {}}, "required": ["value"]}
"""A gate's payload as one argument, so that it is edited like a tool's."""


_NO_RULES: Final = frozenset({"question", "agent"})
"""What a gate takes beside the keywords of a rule."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Passed:
    """What people said of a stage.

    Attributes:
        approved: Whether the next stage may go on.
        value: What was approved, after edits; None if it wasn't.
        reason: Why not, or the answer that was given instead; of an approval, that
            it was given by silence.
        changes: What people want to have changed; None if they asked for no changes.
    """

    approved: bool
    value: Any = None
    reason: str | None = None
    changes: str | None = None
    request_id: str


class GateTerms(TypedDict, total=False):
    """What a gate asks, whom, and for how long.

    Attributes:
        question: What is asked, in the application's own words.
        reviewers: Groups or people who may decide; None, the default, is any person.
        approvals: How many different people must approve; 1 by default.
        any_of: Alternatives, instead of `approvals` and `reviewers`.
        denials: How many different people must reject to end it; 1 by default.
        expires_in: How long people may take, seven days by default.
        remind_after: When they are reminded, counted from the ask.
        escalate_to: Who may decide as well, after `escalate_after` or at the end.
        escalate_after: When that is.
        ladder: Further escalations, each with its own time from the ask.
        on_expiry: What silence means: `reject`, the default, `approve` (of low risk
            only) or `escalate`.
        risk: How the inbox sorts and colours it.
        hours: The calendar in whose hours all these spans are counted.
        agent: The agent's name, unless the run's configuration names one.
    """

    question: str
    reviewers: Sequence[str] | None
    approvals: int
    any_of: Sequence[Quorum | Mapping[str, Any]] | None
    denials: int
    expires_in: Span
    remind_after: Span | Sequence[Span]
    escalate_to: Sequence[str] | None
    escalate_after: Span | None
    ladder: Sequence[Escalation | Mapping[str, Any]]
    on_expiry: str | Silence
    risk: str | Risk
    hours: str | None
    agent: str | None


def gate(
    so: Approvals,
    name: str,
    payload: Payload,
    **terms: Unpack[GateTerms],
) -> Passed:
    """Hold a stage's output until people have decided on it; `agate` in async code.

    A callable is called once per pause, ever: a re-executed node gets the value that
    people saw (or edited), never a newly made one. Gates of one name in one node, as in
    a loop, are told apart by their order. In a node that also asks with `interrupt()`,
    resume through a Runner: its wake-ups answer no question.

    Args:
        so: Where the request is kept.
        name: What the gate is called on screen and in the ledger.
        payload: A JSON value, or a function that makes it.
        terms: What is asked, whom, and by when: see `GateTerms`.

    Raises:
        InvalidSetting: It has no name.
        PayloadRefused: The payload isn't exact JSON.
        NoCheckpointer: The graph could never be resumed.
        GateNameTaken: Another gate of this name waits in the same node at once.
        BlocksEventLoop: It was called from async code.
    """
    config = get_config()
    check_off_loop(config, "gate", "agate")
    return drive(so, gate_steps(config, name, payload, terms))


async def agate(
    so: Approvals,
    name: str,
    payload: Payload,
    **terms: Unpack[GateTerms],
) -> Passed:
    """`gate`, from async code. The payload's function may be async.

    A sync function is called in a thread of its own, so that it may block.
    """
    return await adrive(so, gate_steps(get_config(), name, payload, terms))


def gate_steps(
    config: RunnableConfig,
    name: str,
    payload: Payload,
    terms: GateTerms,
    outline: Sequence[str] | None = None,
) -> Steps[Passed]:
    """What a gate does, one step at a time; `outline` names the workflow's stages."""
    check_payload(payload)
    check_name(name, at="gate")
    context = read_context(config, agent=terms.get("agent"))
    with execution_of(config).turn(name) as number:
        action = _action(context, node_of(config), name, number)
        if outline is not None:
            yield do("declare_stages", context.thread, outline)
        drop_own_wakes()
        yield from _unpaused(action)
        request = yield from _request(action, payload, terms)
        while request.status is Status.PENDING:
            stages = yield do("stages", context.thread)
            interrupt(_value(request, stages))
            request = yield do("get", request.id)
        return _passed(request)


def _unpaused(action: Action) -> Steps[None]:
    """Park the thread while people have paused what this stage is part of."""
    stopping = yield do("known_pauses", action)
    if stopping is None:
        stopping = yield do("pauses_on", action)
    if stopping != ():
        stopping = yield do("stall", action)
    while stopping != ():
        interrupt(_paused(action, stopping))
        stopping = yield do("stall", action)


def _request(action: Action, payload: Payload, terms: GateTerms) -> Steps[Request]:
    found = yield do("standing", action.id)
    if found is None:
        value = yield Make(payload)
        canonical(value, at="payload")
        asked = Asked(
            kind=RequestKind.GATE,
            args={"value": value},
            schema=_SLOT,
            description=terms.get("question", ""),
        )
        found = yield do("propose", action, asked, ruling=_ruling(action.tool, terms))
    request: Request = found.request
    return request


def _action(context: Context, node: str, name: str, number: int) -> Action:
    """The gate's identity: its node's task, its name, and which one of that name."""
    return Action(
        context=context,
        message_id=f"gate:{node}",
        call_id=name if number == 1 else f"{name}#{number}",
        tool=name,
        args={},
    )


def _ruling(name: str, terms: GateTerms) -> Ruling:
    asked: dict[str, Any] = {
        key: value for key, value in terms.items() if key not in _NO_RULES
    }
    rule = review(glob.escape(name), name=f"gate {name}", **asked)
    return Ruling(verdict=Verdict.REVIEW, rule=rule, policy_version="gate")


def _paused(action: Action, pauses: Sequence[Pause]) -> dict[str, Any]:
    return {
        "type": "paused",
        "name": action.tool,
        "description": why_paused(pauses),
        "signoff": {"pause": pauses[0].id, "pauses": [one.id for one in pauses]},
    }


def _value(request: Request, stages: Sequence[Stage]) -> dict[str, Any]:
    """The interrupt's value: what is asked, which round it is, how far the work is."""
    here = next((one for one in stages if one.request_id == request.id), None)
    return {
        "type": "gate",
        "name": request.tool,
        "question": request.description,
        "payload": request.args["value"],
        "round": 1 if here is None else here.round,
        "remarks": [] if here is None else list(here.remarks),
        "stages": [{"name": one.name, "state": one.state.value} for one in stages],
        "signoff": reference(request),
    }


def _passed(request: Request) -> Passed:
    said: Mapping[str, Any] = request.outcome or {}
    if request.status is not Status.APPROVED:
        reason = said.get("message") or said.get("reason") or request.status.value
        changes = said.get("message") if request.status is Status.RESPONDED else None
        return Passed(
            approved=False,
            reason=str(reason),
            changes=None if changes is None else str(changes),
            request_id=request.id,
        )
    if digest(shown(request)) != request.digest:
        raise DigestMismatch(request.id, request.digest)
    silent = str(said.get("reason")) if request.settled_by is None else None
    value = request.args["value"]
    return Passed(approved=True, value=value, reason=silent, request_id=request.id)
