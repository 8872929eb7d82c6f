"""Workflows of one node or more, driven from sync and from async code alike."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, TypedDict

from langgraph.graph import START, StateGraph

from signoff import Request, Signoff
from signoff.domain.requests import Decision
from signoff.langgraph import Outcome, Passed, Runner, agate, gate
from tests.langgraph.agents import MARIA

PLAN = {"steps": ["book", "pay"], "cost": 10}


class State(TypedDict, total=False):
    """What the stages hand on."""

    passed: list[Passed]
    made: int


Body = Callable[[Any], Coroutine[Any, Any, dict[str, Any]]]


def at_once(coroutine: Coroutine[Any, Any, dict[str, Any]]) -> dict[str, Any]:
    """The result of a coroutine that awaits nothing, from sync code."""
    try:
        coroutine.send(None)
    except StopIteration as done:
        result: dict[str, Any] = done.value
        return result
    raise AssertionError("sync code can't wait")


class Stage:
    """A workflow of one node whose plan differs each time that it is made."""

    def __init__(self, so: Signoff, colour: str, saver: Any) -> None:  # noqa: ANN401 - any saver
        self.so, self.colour, self.saver, self.made = so, colour, saver, 0

    def plan(self) -> dict[str, Any]:
        """Make another plan."""
        self.made += 1
        return {**PLAN, "number": self.made}

    async def gate(self, name: str, payload: Any, **terms: Any) -> Passed:  # noqa: ANN401 - `gate`'s own
        """`gate` or `agate`, as the node's colour needs."""
        if self.colour == "async":
            return await agate(self.so, name, payload, **terms)
        return gate(self.so, name, payload, **terms)

    def node(self, body: Body) -> Any:  # noqa: ANN401 - whatever `add_node` takes
        """A node with this body, sync or async."""
        if self.colour == "async":
            return body
        return lambda state: at_once(body(state))

    def build(self, body: Body, **options: Any) -> Runner:  # noqa: ANN401 - `add_node`'s own
        """A graph with this body as its node."""
        builder = StateGraph(State)
        builder.add_node("stage", self.node(body), **options)
        builder.add_edge(START, "stage")
        return self.runner(builder.compile(checkpointer=self.saver))

    def one_gate(self, payload: Any, **terms: Any) -> Body:  # noqa: ANN401 - `gate`'s own
        """A body with one gate."""

        async def body(_: State) -> dict[str, Any]:
            return {"passed": [await self.gate("plan", payload, **terms)]}

        return body

    def runner(self, graph: Any) -> Runner:  # noqa: ANN401 - a graph of any kind
        """A runner for it."""
        return Runner(self.so, graph, agent="planner")

    async def start(
        self,
        runner: Runner,
        value: Any = None,  # noqa: ANN401 - a graph's input
    ) -> Outcome:
        """Start the thread."""
        given = {} if value is None else value
        if self.colour == "async":
            return await runner.astart(given, thread_id="t1")
        return await asyncio.to_thread(runner.start, given, thread_id="t1")

    async def resume(self, runner: Runner) -> Outcome:
        """Go on."""
        if self.colour == "async":
            return await runner.aresume("t1")
        return await asyncio.to_thread(runner.resume, "t1")

    def one(self) -> Request:
        """The only request that waits."""
        (request,) = self.so.pending().requests
        return request

    def decide(self, decision: Decision) -> Request:
        """Decide on it."""
        return self.say(self.one(), decision)

    def say(self, request: Request, decision: Decision) -> Request:
        """Decide on this one."""
        return self.so.decide(request.id, decision, by=MARIA, digest=request.digest)
