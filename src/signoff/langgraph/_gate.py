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
from signoff.domain.errors import DigestMismatch
from signoff.domain.pauses import Pause
from signoff.domain.policy import DEFAULT_EXPIRY, Rule, Ruling, Span, Verdict, review
from signoff.domain.requests import Request, RequestKind, Status, shown
from signoff.langgraph._calls import read_context
from signoff.langgraph._wakes import drop_own_wakes
from signoff.langgraph._words import reference, why_paused
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
        reason: Why not, or the answer that was given instead.
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
        expires_in: How long people may take; silence then rejects.
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
        name=f"gate {name}",
    )
    drop_own_wakes()
    _wait_while_paused(so, action)
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


def _wait_while_paused(so: Approvals, action: Action) -> None:
    """Park the thread while people have paused what this stage is part of."""
    stopping = so.known_pauses(action)
    if stopping is None:
        stopping = so.pauses_on(action)
    while stopping != () and (stopping := so.stall(action)) != ():
        interrupt(_paused(action, stopping))


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


def _paused(action: Action, pauses: Sequence[Pause]) -> dict[str, Any]:
    return {
        "type": "paused",
        "name": action.tool,
        "description": why_paused(pauses),
        "signoff": {"pause": pauses[0].id, "pauses": [one.id for one in pauses]},
    }


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
    return Passed(approved=True, value=request.args["value"], request_id=request.id)
