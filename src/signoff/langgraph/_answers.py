"""Answers in LangChain's format, and calls that wait for one."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from langchain.agents.middleware import HumanInTheLoopMiddleware
from langchain.agents.middleware import human_in_the_loop as hitl
from langchain_core.messages import ToolMessage

from signoff.domain.requests import (
    Approve,
    Decision,
    Edit,
    Reject,
    Request,
    Respond,
    Status,
)
from signoff.langgraph import _words as words
from signoff.langgraph._calls import Call
from signoff.langgraph._guard import Guard
from signoff.langgraph._results import Result

SchemaOf = Callable[[str], Mapping[str, Any] | None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Gated:
    """A call that waits for an answer: what LangChain shows, and what signoff recorded.

    Attributes:
        request: As it was found; None if it could never be asked about.
        refused: Why it couldn't, for the model.
    """

    call: Call
    config: hitl.InterruptOnConfig
    shown: hitl.ActionRequest
    review: hitl.ReviewConfig
    request: Request | None = None
    refused: str | None = None

    @property
    def waits(self) -> bool:
        return self.request is not None and self.request.status is Status.PENDING


@dataclass(frozen=True, slots=True, kw_only=True)
class VouchedGuard(Guard):
    """Runs and answers calls in LangChain's words."""

    upstream: HumanInTheLoopMiddleware[Any, Any, Any]

    def problem(self, call: Call) -> str | None:  # noqa: ARG002 - Guard's signature
        """None: in LangChain a person is asked, and may mend the arguments."""
        return None

    def told(self, call: Call, request: Request) -> ToolMessage:
        """LangChain's own text for a rejection or a response."""
        said = request.outcome or {}
        answer: hitl.RejectDecision | hitl.RespondDecision
        if request.status is Status.RESPONDED:
            answer = {"type": "respond", "message": str(said.get("message", ""))}
        elif request.status is Status.REJECTED:
            answer = {"type": "reject", "message": str(said.get("reason") or "")}
        else:
            return words.settled_message(call, request)
        return hitl._answer_message(call.request.tool_call, answer)  # noqa: SLF001 - LangChain's words, pinned by its own tests

    def noted(self, call: Call, request: Request, result: Result) -> Result:
        """LangChain's own notice of an edit."""
        return self.upstream._annotate_edited_result(  # noqa: SLF001 - as above
            result, call.request, executed(request)
        )


def read_decision(
    said: hitl.Decision, request: Request, schema_of: SchemaOf
) -> Decision:
    """A decision in LangChain's format, which was checked, as one of signoff's.

    `schema_of` finds the JSON Schema of another tool, for an edit that switches to it.
    """
    if said["type"] == "approve":
        return Approve()
    if said["type"] == "reject":
        return Reject(reason=said.get("message") or None)
    if said["type"] == "respond":
        return Respond(message=said["message"])
    name, args = said["edited_action"]["name"], said["edited_action"]["args"]
    if name == request.tool:
        return Edit(args=_declared(args, request.schema))
    return Edit(args=_declared(args, schema_of(name)), tool=name)


def executed(request: Request) -> hitl.Action:
    return hitl.Action(name=request.tool, args=dict(request.args))


def _declared(
    args: Mapping[str, Any], schema: Mapping[str, Any] | None
) -> dict[str, Any]:
    """The arguments that reach the tool: it ignores those that it doesn't declare."""
    names = None if schema is None else schema.get("properties")
    if schema is None or names is None or schema.get("additionalProperties", False):
        return dict(args)
    return {name: value for name, value in args.items() if name in names}
