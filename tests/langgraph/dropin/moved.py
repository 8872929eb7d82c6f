"""An agent that was moved over from LangChain's middleware, and how it is answered."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from langchain.agents import create_agent
from langchain.agents.middleware import AgentMiddleware
from langchain_core.messages import AIMessage, HumanMessage, ToolMessage
from langchain_core.runnables import RunnableConfig
from langchain_core.tools import BaseTool
from langgraph.pregel import Pregel
from langgraph.types import Command, Interrupt

from signoff import Principal, Request, Signoff
from signoff.langgraph import SignoffMiddleware
from tests.langgraph.agents import Effects, Scripted

ANA = Principal(id="ana@example.com", channel="resume")
EVE = Principal(id="eve@example.com", channel="resume")
PERSON = "person"


def whoever_runs(config: RunnableConfig) -> Principal:
    """Who answers: the application put the signed-in person into the configuration."""
    signed_in: Principal = config["configurable"][PERSON]
    return signed_in


@dataclass
class Moved:
    """One agent, driven from sync or from async code."""

    so: Signoff
    graph: Pregel[Any]
    effects: Effects
    model: Scripted
    mode: str
    colour: str

    async def invoke(
        self,
        value: Any,  # noqa: ANN401 - LangGraph's
        thread: str = "t1",
        **values: Any,  # noqa: ANN401 - any configuration
    ) -> dict[str, Any]:
        """Invoke the graph with more values in the run's configuration."""
        config: RunnableConfig = {"configurable": {"thread_id": thread, **values}}
        if self.colour == "async":
            done: dict[str, Any] = await self.graph.ainvoke(value, config)
            return done
        return await asyncio.to_thread(self.graph.invoke, value, config)

    async def start(self, thread: str = "t1", **values: Any) -> list[Interrupt]:  # noqa: ANN401 - any configuration
        """Send a user's message; the pauses."""
        return pauses(
            await self.invoke({"messages": [HumanMessage("go")]}, thread, **values)
        )

    async def answer(
        self,
        *decisions: Mapping[str, Any],
        thread: str = "t1",
        by_id: bool = True,
        **values: Any,  # noqa: ANN401 - any configuration
    ) -> dict[str, Any]:
        """Resume with decisions in LangChain's format, in the order of the calls."""
        waiting = await self.waiting(thread)
        if self.mode == "batched":
            answers: list[Any] = [{"decisions": list(decisions)}]
        else:
            answers = list(decisions)
        if not by_id:
            (only,) = answers
            return await self.invoke(Command(resume=only), thread, **values)
        ids = [pause.id for pause in waiting]
        resume = dict(zip(ids, answers, strict=True))
        return await self.invoke(Command(resume=resume), thread, **values)

    async def waiting(self, thread: str = "t1") -> list[Interrupt]:
        """What a thread waits on, in the order of the calls."""
        config: RunnableConfig = {"configurable": {"thread_id": thread}}
        if self.colour == "async":
            snapshot = await self.graph.aget_state(config)
        else:
            snapshot = await asyncio.to_thread(self.graph.get_state, config)
        return in_order(snapshot.interrupts)

    def requests(self, thread: str = "t1") -> list[Request]:
        """Every request of a thread, in the order of the calls."""
        return sorted(self.so.thread(thread), key=lambda request: str(request.proposed))

    def told(self, values: Mapping[str, Any]) -> list[ToolMessage]:
        """What the model was told about its calls."""
        return [m for m in values["messages"] if isinstance(m, ToolMessage)]


def moved_agent(
    so: Signoff,
    saver: Any,  # noqa: ANN401 - any checkpointer
    turns: Sequence[AIMessage],
    *,
    interrupt_on: Mapping[str, Any],
    mode: str = "batched",
    colour: str = "sync",
    others: Sequence[AgentMiddleware] = (),
    tools: Sequence[BaseTool] | None = None,
    **more: Any,  # noqa: ANN401 - the middleware's own arguments
) -> Moved:
    """`create_agent` with LangChain's arguments on signoff's class."""
    effects, model = Effects(), Scripted(turns=list(turns))
    ours = SignoffMiddleware(so, interrupt_on, interrupt_mode=mode, **more)
    graph: Pregel[Any] = create_agent(
        model,
        effects.tools() if tools is None else tools,
        middleware=[ours, *others],
        checkpointer=saver,
    )
    return Moved(so, graph, effects, model, mode, colour)


def pauses(values: Mapping[str, Any]) -> list[Interrupt]:
    """The pauses that a run ended with, in the order of the calls."""
    return in_order(values.get("__interrupt__", ()))


def in_order(found: Sequence[Interrupt]) -> list[Interrupt]:
    """Pauses sorted by what they show."""
    return sorted(found, key=lambda pause: str(pause.value))
