"""LangChain's own semantics on signoff's store: here a resume does decide.

The application says who answers its resumes. Every answer is recorded as that person's
and LangGraph keeps none, so that a refused or malformed one leaves nothing behind.
What runs is read from the store as ever: claimed once, journaled, safe in a crash.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from functools import partial
from typing import Annotated, Any, Final, cast

import anyio.to_thread
from langchain.agents.middleware import HumanInTheLoopMiddleware, ToolCallRequest
from langchain.agents.middleware import human_in_the_loop as hitl
from langchain.agents.middleware.types import AgentState, ModelRequest, ModelResponse
from langchain_core.messages import AIMessage, ToolCall, ToolMessage
from langchain_core.runnables import RunnableConfig
from langchain_core.tools import BaseTool
from langgraph.config import get_config
from langgraph.runtime import Runtime, get_runtime
from pydantic import ValidatorFunctionWrapHandler, WrapValidator

from signoff.domain.errors import AlreadyDecided, InvalidSetting, PayloadRefused
from signoff.domain.principals import Principal
from signoff.domain.requests import (
    Request,
    Status,
)
from signoff.domain.rules import Verdict
from signoff.langgraph import _words as words
from signoff.langgraph._answers import (
    Gated,
    VouchedGuard,
    executed,
    read_decision,
)
from signoff.langgraph._calls import (
    Call,
    json_schema,
    known_tool,
    messages_of,
    read_call,
    read_context,
)
from signoff.langgraph._interrupt_on import (
    DESCRIPTION_PREFIX,
    InterruptOn,
    asking_about,
    vouched_policy,
)
from signoff.langgraph._middleware import ModelAnswer, ResumeAs, SignoffMiddleware
from signoff.langgraph._results import Result
from signoff.langgraph._steps import recorded
from signoff.langgraph._wakes import drop_wakes
from signoff.service import Approvals
from signoff.service.propose import Asked

log: Final = logging.getLogger("signoff")

IN_A_GRAPH: Final = "__pregel_scratchpad"
ATTEMPTS: Final = 3
"""One call and the two retries that LangChain's ToolRetryMiddleware makes by itself."""


class _Recorded(Exception):
    """Leaves `interrupt()`: the answer is in the store, and LangGraph keeps none.

    A value that it kept would answer the next question of the same node: the tool's.
    """


class VouchedMiddleware(SignoffMiddleware, HumanInTheLoopMiddleware[Any, Any, Any]):
    """`SignoffMiddleware(so, interrupt_on=..., resume_as=...)`.

    Called outside of a graph it has no thread to record anything for and behaves
    exactly as LangChain's class.
    """

    def __init__(  # noqa: PLR0913 - LangChain's arguments and who is who
        self,
        so: Approvals,
        interrupt_on: Mapping[str, InterruptOn] | None = None,
        *,
        resume_as: ResumeAs,
        interrupt_mode: str = "batched",
        description_prefix: str = DESCRIPTION_PREFIX,
        edit_notice: str | None = hitl._EDIT_NOTICE,  # noqa: SLF001 - LangChain's default
        attempts: int = ATTEMPTS,
        agent: str | None = None,
        team: str | None = None,
    ) -> None:
        if interrupt_on is None:
            raise ValueError(
                "resume_as= needs interrupt_on=: it is the whole policy, as in "
                "LangChain. Without resume_as= the policy of `so` decides who is asked."
            )
        HumanInTheLoopMiddleware.__init__(
            self,
            cast("dict[str, bool | hitl.InterruptOnConfig]", dict(interrupt_on)),
            description_prefix=description_prefix,
            edit_notice=edit_notice,
            interrupt_mode=cast("hitl.InterruptMode", interrupt_mode),
        )
        self.so = so
        self.resume_as = resume_as
        self._policy = vouched_policy(interrupt_on, attempts=attempts)
        self.guard = VouchedGuard(
            so=so,
            context=partial(read_context, agent=agent, team=team),
            policy=self._policy,
            upstream=self,
        )
        self._tools: dict[str, BaseTool] = {}
        self._schemas: dict[str, dict[str, Any] | None] = {}
        self._decision_schemas: dict[str, tuple[BaseTool | None, Any]] = {}

    @property
    def name(self) -> str:
        """LangChain's own: a thread that paused in its node finds that node here."""
        return HumanInTheLoopMiddleware.__name__

    def wrap_model_call(
        self,
        request: ModelRequest[Any],
        handler: Callable[[ModelRequest[Any]], ModelResponse[Any]],
    ) -> ModelAnswer:
        """As in strict mode, and get to know the agent's tools."""
        self._meet(request)
        return super().wrap_model_call(request, handler)

    async def awrap_model_call(
        self,
        request: ModelRequest[Any],
        handler: Callable[[ModelRequest[Any]], Awaitable[ModelResponse[Any]]],
    ) -> ModelAnswer:
        """The same, from async code."""
        self._meet(request)
        return await super().awrap_model_call(request, handler)

    def after_model(
        self, state: AgentState[Any], runtime: Runtime[Any]
    ) -> dict[str, Any] | None:
        """In `batched` mode: ask about every gated call of the turn, in one pause."""
        if self.interrupt_mode == "per_call":
            return None
        if not _in_a_graph(_config()):
            return HumanInTheLoopMiddleware.after_model(self, state, runtime)
        message = _last_answer(state)
        gated = [] if message is None else self._gated_calls(message, state, runtime)
        if message is None or gated == []:
            # An earlier turn's edits must not meet this turn's calls.
            return {_EDITS: {}} if state.get(_EDITS) else None
        return self._outcome(message, self._answered(gated))

    async def aafter_model(
        self, state: AgentState[Any], runtime: Runtime[Any]
    ) -> dict[str, Any] | None:
        """The same, from async code."""
        if self.interrupt_mode == "per_call":
            return None
        return await anyio.to_thread.run_sync(self.after_model, state, runtime)

    def wrap_tool_call(
        self, request: ToolCallRequest, handler: Callable[[ToolCallRequest], Result]
    ) -> Result:
        """Ask if nobody was asked yet, then run what was approved, once."""
        if not _in_a_graph(getattr(request.runtime, "config", None)):
            return HumanInTheLoopMiddleware.wrap_tool_call(self, request, handler)
        self._settle(request)
        return super().wrap_tool_call(request, handler)

    async def awrap_tool_call(
        self,
        request: ToolCallRequest,
        handler: Callable[[ToolCallRequest], Awaitable[Result]],
    ) -> Result:
        """The same, from async code."""
        if not _in_a_graph(getattr(request.runtime, "config", None)):
            return await HumanInTheLoopMiddleware.awrap_tool_call(
                self, request, handler
            )
        await anyio.to_thread.run_sync(self._settle, request)
        return await super().awrap_tool_call(request, handler)

    def _meet(self, request: ModelRequest[Any]) -> None:
        for tool in request.tools:
            if isinstance(tool, BaseTool):
                self._tools[tool.name] = tool

    def _settle(self, request: ToolCallRequest) -> None:
        """See to it that the store has an answer before the call has its turn."""
        if request.tool_call["name"] not in self.interrupt_on:
            return
        gated = self._gated(request, *self._recorded(request), get_runtime())
        if gated is not None:
            self._answered([gated])

    def _gated_calls(
        self, message: AIMessage, state: AgentState[Any], runtime: Runtime[Any]
    ) -> list[Gated]:
        requests = [
            self._as_request(tool_call, state, runtime)
            for tool_call in message.tool_calls
            if tool_call["name"] in self.interrupt_on
        ]
        found = [(request, *self._recorded(request)) for request in requests]
        if any(before is not None for _, _, before in found):
            # It was judged before; were another call to join now, answers would shift.
            # One that wasn't recorded is judged again where it runs.
            found = [one for one in found if one[2] is not None]
        gated = [self._gated(*one, runtime) for one in found]
        return [one for one in gated if one is not None]

    def _as_request(
        self, tool_call: ToolCall, state: AgentState[Any], runtime: Runtime[Any]
    ) -> ToolCallRequest:
        """The request that LangChain hands to a `when` in `batched` mode."""
        seen: list[ToolCallRequest] = []

        def note(request: ToolCallRequest) -> bool:
            seen.append(request)
            return False

        config = hitl.InterruptOnConfig(allowed_decisions=[], when=note)
        self._should_interrupt(tool_call, config, state, runtime)
        return seen[0]

    def _gated(
        self,
        request: ToolCallRequest,
        call: Call,
        before: Request | None,
        runtime: Runtime[Any],
    ) -> Gated | None:
        """The call, if a person is to be asked or was asked before; else None."""
        with asking_about(request):
            ruling = None if before is not None else self.guard.rule(call)
        if ruling is not None and ruling.verdict is Verdict.ALLOW:
            return None
        config = self.interrupt_on[call.action.tool]
        shown, review = self._show(request, config, runtime)
        gated = Gated(
            call=call, config=config, shown=shown, review=review, request=before
        )
        if ruling is None:
            return gated
        try:
            with recorded():
                asked = self._asked(call, shown)
                found = self.so.propose(call.action, asked, ruling=ruling)
        except PayloadRefused as error:
            return replace(gated, refused=str(error))
        return None if found.request is None else replace(gated, request=found.request)

    def _recorded(self, request: ToolCallRequest) -> tuple[Call, Request | None]:
        """The call, with its request if this is a re-execution and it has one."""
        tool_call = request.tool_call
        if self.interrupt_mode == "per_call" and tool_call["id"] is None:
            config = self.interrupt_on[tool_call["name"]]
            self._tool_approval_request(request, config)  # raises, in LangChain's words
        call = read_call(request, self.guard.context)
        if not call.resuming:
            return call, None
        try:
            with recorded():
                found = self.so.standing(call.action.id)
        except PayloadRefused:
            return call, None
        return call, None if found is None else found.request

    def _show(
        self,
        request: ToolCallRequest,
        config: hitl.InterruptOnConfig,
        runtime: Runtime[Any],
    ) -> tuple[hitl.ActionRequest, hitl.ReviewConfig]:
        return self._create_action_and_config(
            request.tool_call, config, request.state, runtime
        )

    def _asked(self, call: Call, shown: hitl.ActionRequest) -> Asked:
        """What the request shows; the agent's tools are made known once."""
        name, agent = call.action.tool, call.action.context.agent
        described = shown.get("description", "")
        if name not in self._schemas:
            tools = {**self._tools, **{t.name: t for t in call.request.runtime.tools}}
            self.so.know_tools([known_tool(one, agent) for one in tools.values()])
            self.so.publish(self._policy)
            if name not in tools:
                return Asked(description=described)
            self._schemas[name] = json_schema(tools[name])
        return Asked(schema=self._schemas[name], description=described)

    def _answered(self, gated: Sequence[Gated]) -> Sequence[Gated]:
        """The same calls once each is settled; pauses until then."""
        while any(one.waits for one in gated):
            asked = [one for one in gated if one.request is not None]
            # By LangChain's name for it: its own tests put another in its place there.
            pause: Callable[..., object] = vars(hitl)["interrupt"]
            with suppress(_Recorded):
                pause(self._value(asked), response_schema=self._schema(asked))
            drop_wakes()
            gated = [self._again(one) for one in gated]
        return gated

    def _again(self, one: Gated) -> Gated:
        with recorded():
            found = self.so.standing(one.call.action.id)
        return replace(one, request=None if found is None else found.request)

    def _value(
        self, asked: Sequence[Gated]
    ) -> hitl.HITLRequest | hitl.ToolApprovalRequest:
        if self.interrupt_mode == "batched":
            return hitl.HITLRequest(
                action_requests=[one.shown for one in asked],
                review_configs=[one.review for one in asked],
            )
        (one,) = asked
        return hitl.ToolApprovalRequest(
            type="tool_approval",
            tool_call_id=one.call.call_id,
            name=one.shown["name"],
            args=one.shown["args"],
            description=one.shown.get("description", ""),
        )

    def _schema(self, asked: Sequence[Gated]) -> Any:  # noqa: ANN401 - a type made here
        """LangChain's schema; what passes it is recorded at once."""

        # Not a partial: pydantic shows the validator's repr, and so the whole state.
        def take(answer: Any, check: ValidatorFunctionWrapHandler) -> object:  # noqa: ANN401 - whatever a resume carries
            self._take(asked, answer, check)
            raise _Recorded

        if self.interrupt_mode == "batched":
            return Annotated[hitl.HITLResponse, WrapValidator(take)]
        (one,) = asked
        return Annotated[self._decision_schema(one), WrapValidator(take)]

    def _decision_schema(self, one: Gated) -> Any:  # noqa: ANN401 - a type made by LangChain
        """LangChain's schema for one tool, which is dearer to make than to use."""
        name, tool = one.shown["name"], one.call.request.tool
        made_for, schema = self._decision_schemas.get(name, (None, None))
        if schema is None or made_for is not tool:
            schema = hitl._decision_schema(  # noqa: SLF001 - pinned by LangChain's own tests
                one.config["allowed_decisions"], name, tool
            )
            self._decision_schemas[name] = tool, schema
        return schema

    def _take(
        self,
        asked: Sequence[Gated],
        answer: Any,  # noqa: ANN401 - whatever a resume carries
        check: ValidatorFunctionWrapHandler,
    ) -> None:
        """Record an answer in LangChain's format as the decisions that it is.

        It runs inside `interrupt()`: what is refused here was not saved by LangGraph,
        so that the pause can be answered again, by anybody.
        """
        check(answer)
        batched = self.interrupt_mode == "batched"
        answers: Sequence[hitl.Decision] = answer["decisions"] if batched else [answer]
        if len(answers) != len(asked):
            raise ValueError(
                f"Number of human decisions ({len(answers)}) does not match "
                f"number of hanging tool calls ({len(asked)})."
            )
        for one, said in zip(asked, answers, strict=True):
            self._process_decision(said, one.call.request.tool_call, one.config)
        by = self._speaker()
        for one, said in zip(asked, answers, strict=True):
            self._record(one, said, by)

    def _speaker(self) -> Principal:
        """Who answers by this resume.

        Raises:
            InvalidSetting: `resume_as` names nobody.
        """
        named = self.resume_as
        by = named if isinstance(named, Principal) else named(get_config())
        if not isinstance(by, Principal):
            raise InvalidSetting(
                "resume_as",
                "it named nobody for a resume that carries an answer; return a "
                "Principal for every run that may answer.",
            )
        return by

    def _record(self, one: Gated, said: hitl.Decision, by: Principal) -> None:
        request = one.request
        if request is None or not one.waits:
            log.warning(
                "an answer to %s came after it was settled, and does not count",
                one.call.call_id,
            )
            return
        decision = read_decision(said, request, partial(self._schema_of, request))
        try:
            with recorded():
                self.so.decide(request.id, decision, by=by, digest=request.digest)
        except AlreadyDecided as error:
            if _SAME.get(decision.kind) != error.outcome:
                raise

    def _schema_of(self, request: Request, tool: str) -> Mapping[str, Any] | None:
        known = {one.name: one for one in self.so.tools(request.agent or "")}
        return known[tool].schema if tool in known else None

    def _outcome(self, message: AIMessage, settled: Sequence[Gated]) -> dict[str, Any]:
        """What LangChain's own `after_model` writes: answers for calls, and edits."""
        told: list[ToolMessage] = []
        edited: dict[str, hitl.Action] = {}
        for one in settled:
            request = one.request
            if request is None:
                told.append(words.refused_message(one.call, one.refused or "unknown"))
            elif request.status is not Status.APPROVED:
                told.append(self.guard.told(one.call, request))
            elif request.edited:
                edited[one.call.call_id] = executed(request)
        return {"messages": [message, *told], _EDITS: edited}


_EDITS: Final = hitl._EDITED_TOOL_CALLS_KEY  # noqa: SLF001 - a key of LangChain's state
_SAME: Final = {"approve": "approved", "reject": "rejected"}
"""Decisions that two people may take at once, and both got what they wanted."""


def _config() -> RunnableConfig | None:
    try:
        return get_config()
    except RuntimeError:
        return None


def _in_a_graph(config: RunnableConfig | None) -> bool:
    return config is not None and IN_A_GRAPH in config.get("configurable", {})


def _last_answer(state: AgentState[Any]) -> AIMessage | None:
    for message in reversed(messages_of(state)):
        if isinstance(message, AIMessage):
            return message
    return None
