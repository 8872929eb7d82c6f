"""`SignoffMiddleware`: the gate for `create_agent`, a drop-in for LangChain's own."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from functools import partial
from typing import Any, Self, cast

import anyio.to_thread
from langchain.agents.middleware import AgentMiddleware
from langchain.agents.middleware.types import (
    ExtendedModelResponse,
    ModelRequest,
    ModelResponse,
    ToolCallRequest,
)
from langchain_core.messages import AIMessage, BaseMessage, RemoveMessage
from langchain_core.runnables import RunnableConfig
from langgraph.config import get_config
from langgraph.graph.message import REMOVE_ALL_MESSAGES
from langgraph.types import Command

from signoff.domain.errors import UnknownThread
from signoff.domain.principals import Principal
from signoff.langgraph import _words as words
from signoff.langgraph._calls import read_context
from signoff.langgraph._guard import Guard
from signoff.langgraph._heal import heal
from signoff.langgraph._held import cancel_held
from signoff.langgraph._interrupt_on import (
    DESCRIPTION_PREFIX,
    InterruptOn,
    WordedGuard,
    asking_about,
    policy_from,
)
from signoff.langgraph._notices import unheard
from signoff.langgraph._results import Result
from signoff.service import Approvals

ModelAnswer = ModelResponse[Any] | AIMessage | ExtendedModelResponse[Any]


ResumeAs = Principal | Callable[[RunnableConfig], Principal]
"""Who answers by a resume: one person, or found from the configuration of its run."""


class SignoffMiddleware(AgentMiddleware[Any, Any, Any]):
    """Holds the tool calls of an agent until people have decided on them.

    The gate stands where a call is executed: nothing that another middleware, an edit
    or a subgraph does goes round it. Decisions are read from signoff's store; what a
    resume carries is ignored, it only wakes the thread.

    With `resume_as` it behaves as LangChain's `HumanInTheLoopMiddleware` does: a resume
    in LangChain's format is a decision, recorded as that person's, and `interrupt_on`
    is the whole policy. The application vouches for who answers its resumes.

    Where the policy holds calls, the agent gets a tool to cancel those that it queued.

    Args:
        so: Where requests, decisions and effects are kept.
        interrupt_on: LangChain's own argument; each tool named becomes a rule that
            comes before the policy of `so`.
        resume_as: Who answers by a resume; None: nobody, resumes never decide.
        interrupt_mode: The shape of a pause's value: `per_call` (ToolApprovalRequest)
            or `batched` (HITLRequest). `per_call` unless `resume_as` is given, then
            `batched`, as in LangChain. Without `resume_as` every call is its own pause
            and its own request in both.
        description_prefix: Put before the description of a tool that `interrupt_on`
            names and does not describe.
        edit_notice: Begins the note that the model finds on the result of an edited
            call; None adds none.
        attempts: With `resume_as`: how often one approval lets retry middleware try.
        agent: The agent's name, unless the run's configuration names one.
        team: The team, likewise.

    Raises:
        ValueError: A tool's configuration offers no decision, or there is no such mode.
    """

    # True for every drop-in: only without `interrupt_on` can there be none.
    _has_conditions: bool = True

    def __new__(cls, *_: Any, **named: Any) -> Self:  # noqa: ANN401 - those of __init__
        """A resume that decides is a class of its own, chosen by `resume_as`."""
        if cls is not SignoffMiddleware or named.get("resume_as") is None:
            return super().__new__(cls)
        from signoff.langgraph._dropin import VouchedMiddleware  # noqa: PLC0415 - cycle

        return cast("Self", super().__new__(VouchedMiddleware))

    def __init__(  # noqa: PLR0913 - LangChain's arguments and who is who
        self,
        so: Approvals,
        interrupt_on: Mapping[str, InterruptOn] | None = None,
        *,
        resume_as: ResumeAs | None = None,  # noqa: ARG002 - read by __new__
        interrupt_mode: str = "per_call",
        description_prefix: str = DESCRIPTION_PREFIX,
        edit_notice: str | None = words.EDIT_NOTICE,
        attempts: int | None = None,
        agent: str | None = None,
        team: str | None = None,
    ) -> None:
        super().__init__()
        self.so = so
        self._has_conditions = interrupt_on is not None
        payload = {"per_call": words.approval_payload, "batched": words.batched_payload}
        if interrupt_mode not in payload:
            known = " or ".join(map(repr, payload))
            raise ValueError(f"interrupt_mode must be {known}, not {interrupt_mode!r}.")
        if attempts is not None:
            raise ValueError(
                "attempts= goes with resume_as=; otherwise the rules say it: "
                "review('send_email', attempts=3)."
            )
        self.guard: Guard = WordedGuard(
            so=so,
            context=partial(read_context, agent=agent, team=team),
            policy=policy_from(interrupt_on, so.policy),
            payload=payload[interrupt_mode],
            interrupt_on={} if interrupt_on is None else interrupt_on,
            prefix=description_prefix,
            edit_notice=edit_notice,
        )
        if so.expects_holds(self.guard.policy):
            self.tools = [cancel_held(so, agent=agent)]

    def wrap_tool_call(
        self, request: ToolCallRequest, handler: Callable[[ToolCallRequest], Result]
    ) -> Result:
        """Judge, hold and run one tool call."""
        if not self._has_conditions:
            return self.guard.run(request, handler)
        with asking_about(request):
            return self.guard.run(request, handler)

    async def awrap_tool_call(
        self,
        request: ToolCallRequest,
        handler: Callable[[ToolCallRequest], Awaitable[Result]],
    ) -> Result:
        """Judge, hold and run one tool call, from async code."""
        if not self._has_conditions:
            return await self.guard.arun(request, handler)
        with asking_about(request):
            return await self.guard.arun(request, handler)

    def wrap_model_call(
        self,
        request: ModelRequest[Any],
        handler: Callable[[ModelRequest[Any]], ModelResponse[Any]],
    ) -> ModelAnswer:
        """Refuse a graph that can't pause, and complete the conversation.

        Calls that were left open are answered, and the agent is told what people did.
        """
        config = _resumable(request)
        whole = completed(self.so, request.messages, config)
        if whole is None:
            return handler(request)
        return _with_history(
            whole, handler(request.override(messages=list[Any](whole)))
        )

    async def awrap_model_call(
        self,
        request: ModelRequest[Any],
        handler: Callable[[ModelRequest[Any]], Awaitable[ModelResponse[Any]]],
    ) -> ModelAnswer:
        """The same, from async code."""
        config = _resumable(request)
        work = partial(completed, self.so, request.messages, config)
        whole = await anyio.to_thread.run_sync(work)
        if whole is None:
            return await handler(request)
        return _with_history(
            whole, await handler(request.override(messages=list[Any](whole)))
        )


def completed(
    so: Approvals, messages: Sequence[BaseMessage], config: RunnableConfig
) -> list[BaseMessage] | None:
    """The conversation as the model must see it; None if it is already so."""
    healed = heal(so, messages, config)
    news = unheard(so, messages, config)
    if healed is None and not news:
        return None
    return [*(messages if healed is None else healed), *news]


def _resumable(request: ModelRequest[Any]) -> RunnableConfig:
    """The run's configuration, once it is known that the thread can be resumed."""
    config = get_config()
    thread = read_context(config).thread
    if not request.messages:
        raise UnknownThread(thread)
    return config


def _with_history(
    whole: list[BaseMessage], response: ModelResponse[Any]
) -> ExtendedModelResponse[Any]:
    messages = [RemoveMessage(id=REMOVE_ALL_MESSAGES), *whole, *response.result]
    return ExtendedModelResponse(
        model_response=response, command=Command(update={"messages": messages})
    )
