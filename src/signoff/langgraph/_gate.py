"""`gate()`: a stage waits for people, and what comes back is what they approved."""

from __future__ import annotations

import glob
from collections.abc import Callable, Mapping, Sequence
from contextvars import ContextVar
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Final

from langchain_core.runnables import RunnableConfig
from langgraph.config import get_config
from langgraph.types import interrupt

from signoff.domain.actions import Action, canonical, digest
from signoff.domain.deadlines import Escalation, Silence
from signoff.domain.errors import DigestMismatch
from signoff.domain.policy import Ruling
from signoff.domain.requests import Request, RequestKind, Status, shown
from signoff.domain.rules import DEFAULT_EXPIRY, Risk, Rule, Span, Verdict, review
from signoff.langgraph._calls import read_context
from signoff.langgraph._wakes import drop_own_wakes
from signoff.langgraph._words import reference
from signoff.service import Approvals
from signoff.service.propose import Asked

_SLOT: Final = {"type": "object", "properties": {"value": {}}, "required": ["value"]}
"""A gate's payload as one argument, so that it is edited like a tool's."""

# LangGraph runs every execution of a node in a copied context, so that a re-executed
# or retried node counts from the start again.
_PASSED: Final[ContextVar[Mapping[tuple[str, str], int]]] = ContextVar(
    "signoff_gates_passed", default=MappingProxyType({})
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Passed:
    """What people said of a stage.

    Attributes:
        approved: Whether the next stage may go on.
        value: What was approved, after edits; None if it wasn't.
        reason: Why not, or the answer that was given instead; of an approval, that
            it was given by silence.
    """

    approved: bool
    value: Any = None
    reason: str | None = None
    request_id: str


def gate(  # noqa: PLR0913 - each keyword is one condition of the gate
    so: Approvals,
    name: str,
    payload: Any | Callable[[], Any],  # noqa: ANN401 - any JSON value
    *,
    question: str = "",
    reviewers: Sequence[str] | None = None,
    approvals: int = 1,
    expires_in: Span = DEFAULT_EXPIRY,
    remind_after: Span | Sequence[Span] = (),
    escalate_to: Sequence[str] | None = None,
    escalate_after: Span | None = None,
    ladder: Sequence[Escalation | Mapping[str, Any]] = (),
    on_expiry: str | Silence = Silence.REJECT,
    risk: str | Risk = Risk.MEDIUM,
    hours: str | None = None,
    agent: str | None = None,
) -> Passed:
    """Hold a stage's output until people have decided on it.

    A callable is called once per pause, ever: a re-executed node gets the value that
    people saw (or edited), never a newly made one. Gates of one name in one node, as in
    a loop, are told apart by their order; concurrent ones need names of their own. In a
    node that also asks with `interrupt()`, resume through a Runner: its wake-ups answer
    no question.

    Args:
        so: Where the request is kept.
        name: What the gate is called on screen and in the ledger.
        payload: A JSON value, or a function that makes it.
        question: What is asked, in the application's own words.
        reviewers: Groups or people who may decide; None is any person.
        approvals: How many different people must approve.
        expires_in: How long people may take.
        remind_after: When they are reminded, counted from the ask.
        escalate_to: Who may decide as well, after `escalate_after` or at the end.
        escalate_after: When that is.
        ladder: Further escalations, each with its own time from the ask.
        on_expiry: What silence means: `reject`, `approve` (of low risk only) or
            `escalate`.
        risk: How the inbox sorts and colours it.
        hours: The calendar in whose hours all these spans are counted.
        agent: The agent's name, unless the run's configuration names one.

    Raises:
        PayloadRefused: The payload isn't exact JSON.
        NoCheckpointer: The graph could never be resumed.
    """
    action = _action(name, get_config(), agent)
    rule = review(
        glob.escape(name),
        approvals=approvals,
        reviewers=reviewers,
        expires_in=expires_in,
        remind_after=remind_after,
        escalate_to=escalate_to,
        escalate_after=escalate_after,
        ladder=ladder,
        on_expiry=on_expiry,
        risk=risk,
        hours=hours,
        name=f"gate {name}",
    )
    drop_own_wakes()
    while True:
        request = _standing(so, action) or _ask(so, action, rule, payload, question)
        if request.status is not Status.PENDING:
            return _passed(request)
        interrupt(_value(request))


def _action(name: str, config: RunnableConfig, agent: str | None) -> Action:
    """The gate's identity: its node's task, its name, and which one of that name."""
    node = str(config.get("configurable", {}).get("checkpoint_ns", ""))
    passed = _PASSED.get()
    number = passed.get((node, name), 0) + 1
    _PASSED.set({**passed, (node, name): number})
    return Action(
        context=read_context(config, agent=agent),
        message_id=f"gate:{node}",
        call_id=name if number == 1 else f"{name}#{number}",
        tool=name,
        args={},
    )


def _standing(so: Approvals, action: Action) -> Request | None:
    found = so.standing(action.id)
    return None if found is None else found.request


def _ask(
    so: Approvals,
    action: Action,
    rule: Rule,
    payload: Any,  # noqa: ANN401 - any JSON value
    question: str,
) -> Request:
    value = payload() if callable(payload) else payload
    canonical(value, at="payload")
    asked = Asked(
        kind=RequestKind.GATE, args={"value": value}, schema=_SLOT, description=question
    )
    ruling = Ruling(verdict=Verdict.REVIEW, rule=rule, policy_version="gate")
    request = so.propose(action, asked, ruling=ruling).request
    if request is None:
        raise AssertionError("a gate always asks")
    return request


def _value(request: Request) -> dict[str, Any]:
    return {
        "type": "gate",
        "name": request.tool,
        "question": request.description,
        "payload": request.args["value"],
        "signoff": reference(request),
    }


def _passed(request: Request) -> Passed:
    said = request.outcome or {}
    if request.status is not Status.APPROVED:
        reason = said.get("message") or said.get("reason") or request.status.value
        return Passed(approved=False, reason=str(reason), request_id=request.id)
    if digest(shown(request)) != request.digest:
        raise DigestMismatch(request.id, request.digest)
    silent = str(said.get("reason")) if request.settled_by is None else None
    value = request.args["value"]
    return Passed(approved=True, value=value, reason=silent, request_id=request.id)
