"""A real agent that makes given calls: `create_agent` with `SignoffMiddleware`."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from langchain.agents import create_agent
from langchain_core.callbacks import CallbackManagerForLLMRun
from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, BaseMessage, HumanMessage, ToolCall
from langchain_core.outputs import ChatGeneration, ChatResult
from langchain_core.tools import BaseTool, StructuredTool
from langgraph.checkpoint.memory import InMemorySaver

from benchmarks.agentdojo.dojo import Around, Call, Environment, Suite, World
from signoff import Approve, Principal, Reject, Request, Signoff
from signoff.langgraph import Runner, SignoffMiddleware

REVIEWER: Final = Principal(id="reviewer@example.com")

Judge = Callable[[Request], bool]
"""Whether a reviewer approves a request."""


@dataclass
class Script:
    """What the model does next; the calls that it makes are known by their number."""

    calls: Sequence[Call] = ()
    says: str = ""
    now: int = 0


class Puppet(BaseChatModel):
    """Makes the calls of a script, one in each message, and then says its answer."""

    script: Any

    @property
    def _llm_type(self) -> str:
        return "puppet"

    def bind_tools(self, *_: Any, **__: Any) -> Puppet:  # noqa: ANN401 - LangChain's
        """It knows them."""
        return self

    def _generate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,  # noqa: ARG002 - LangChain's
        run_manager: CallbackManagerForLLMRun | None = None,  # noqa: ARG002 - as above
        **_: Any,  # noqa: ANN401 - LangChain's
    ) -> ChatResult:
        script: Script = self.script
        script.now = sum(isinstance(message, AIMessage) for message in messages)
        message = AIMessage(script.says)
        if script.now < len(script.calls):
            call = script.calls[script.now]
            made = ToolCall(
                name=call.tool, args=dict(call.args), id=f"call_{script.now}"
            )
            message = AIMessage("", tool_calls=[made])
        return ChatResult(generations=[ChatGeneration(message=message)])


@dataclass
class Run:
    """What came of one run.

    Attributes:
        asked: By tool, how often people were asked.
        approved: How many they approved.
    """

    env: Environment
    executed: list[Call]
    failed: list[Call]
    states: list[Around]
    asked: Counter[str] = field(default_factory=Counter)
    approved: int = 0
    rejected: int = 0


class Agent:
    """The agent of one suite, which runs one thread after another."""

    def __init__(self, so: Signoff, suite: Suite) -> None:
        self.so, self.suite = so, suite
        self.world = World(suite)
        self.script = Script()
        self.saver = InMemorySaver()
        graph = create_agent(
            Puppet(script=self.script),
            [self._tool(function) for function in suite.raw.tools],
            middleware=[SignoffMiddleware(so)],
            checkpointer=self.saver,
        )
        self.runner = Runner(so, graph, agent=suite.name)

    def play(
        self,
        thread: str,
        env: Environment,
        calls: Sequence[Call],
        *,
        says: str = "",
        judge: Judge | None = None,
    ) -> Run:
        """Let the agent make these calls; people answer what it is asked."""
        self.world.begin(env)
        self.script.calls, self.script.says = calls, says
        world = self.world
        run = Run(env, world.executed, world.failed, world.states)
        said = {"messages": [HumanMessage("Do your task.")]}
        outcome = self.runner.start(said, thread_id=thread)
        while not outcome.finished:
            for pause in outcome.waiting:
                self._answer(self.so.get(pause["signoff"]["request_id"]), run, judge)
            outcome = self.runner.resume(thread)
        if outcome.values["messages"][-1].content != says:
            raise AssertionError(f"{thread} ended early: {outcome.values}")
        self.saver.delete_thread(thread)
        return run

    def _answer(self, request: Request, run: Run, judge: Judge | None) -> None:
        if judge is None:
            raise AssertionError(f"nobody was to be asked: {request}")
        run.asked[request.tool] += 1
        approves = judge(request)
        run.approved += approves
        run.rejected += not approves
        decision = Approve() if approves else Reject(reason="Not what I asked for.")
        self.so.decide(request.id, decision, by=REVIEWER, digest=request.digest)

    def _tool(self, function: Any) -> BaseTool:  # noqa: ANN401 - AgentDojo's
        def run(**args: Any) -> Any:  # noqa: ANN401 - any JSON
            later = self.script.now >= len(self.script.calls)  # a held call's time came
            by = "user" if later else self.script.calls[self.script.now].by
            return self.world.run(Call(function.name, args, by))

        return StructuredTool.from_function(
            run,
            name=function.name,
            description=function.description,
            args_schema=function.parameters,
        )
