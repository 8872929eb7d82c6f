"""signoff as one of the systems, in both of its ways in."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any, ClassVar

from langchain.agents import create_agent
from langchain_core.runnables import RunnableConfig
from langchain_core.tools import BaseTool
from langgraph.checkpoint.base import BaseCheckpointSaver
from langgraph.types import Command

from signoff import Approve, Edit, Reject, Request, Rule, Signoff, allow, review
from signoff.clock import Clock
from signoff.domain.requests import Decision as Said
from signoff.langgraph import SignoffMiddleware
from tests.conformance.harness import Decision, Place
from tests.langgraph.agents import MARIA, Scripted, with_guard_tools

RULES: Sequence[Rule] = (allow("look"), review("*"))


class Ours:
    """`SignoffMiddleware` in LangChain's agent."""

    name: str = "signoff, create_agent"
    column: str = "signoff"
    hand_built: bool = False
    rules: ClassVar[Sequence[Rule]] = RULES

    def __init__(self, place: Place, *, ahead: timedelta = timedelta()) -> None:
        clock = Clock(offset=ahead)
        self.so = Signoff(place.url, policy=self.rules, clock=clock)

    def agent(
        self,
        model: Scripted,
        tools: Sequence[BaseTool],
        saver: BaseCheckpointSaver[Any] | None,
        *,
        outside: Sequence[Any] = (),
        inside: Sequence[Any] = (),
    ) -> Any:  # noqa: ANN401 - a compiled graph
        return create_agent(
            model,
            list(tools),
            middleware=[*outside, SignoffMiddleware(self.so), *inside],
            checkpointer=saver,
        )

    def asked(self, config: RunnableConfig) -> dict[int, Request]:
        """The requests of a thread that wait, by their amounts."""
        thread = config["configurable"]["thread_id"]
        found = [r for r in self.so.thread(thread) if r.status.value == "pending"]
        return {request.args["amount"]: request for request in found}

    def answer(
        self,
        graph: Any,  # noqa: ANN401 - a compiled graph
        config: RunnableConfig,
        said: Mapping[int, Decision],
    ) -> Command[Any]:
        pauses = graph.get_state(config).interrupts
        asked = self.asked(config)
        for amount, decision in said.items():
            request = asked[amount]
            self.so.decide(request.id, _said(decision), by=MARIA, digest=request.digest)
        ours = [p.id for p in pauses if isinstance(p.value, dict)]
        return Command(resume=dict.fromkeys(ours, "wake up"))

    def bare_answer(self, decision: Decision) -> Command[Any]:
        return Command(resume={"type": decision})

    def close(self) -> None:
        self.so.close()


class OursByHand(Ours):
    """`guard_tools` in a graph built by hand."""

    name = "signoff, guard_tools"
    hand_built = True

    def agent(
        self,
        model: Scripted,
        tools: Sequence[BaseTool],
        saver: BaseCheckpointSaver[Any] | None,
        *,
        outside: Sequence[Any] = (),
        inside: Sequence[Any] = (),
    ) -> Any:  # noqa: ANN401 - a compiled graph
        assert not outside
        assert not inside
        return with_guard_tools(self.so, model, list(tools), saver)


def _said(decision: Decision) -> Said:
    if decision == "approve":
        return Approve()
    if decision == "reject":
        return Reject(reason="no")
    assert isinstance(decision, Mapping)
    return Edit(args=decision)
