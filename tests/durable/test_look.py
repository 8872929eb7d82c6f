"""A paused thread is read once to look at it and to run it, and never too seldom."""

from __future__ import annotations

import asyncio
import operator
from collections.abc import Iterator
from contextlib import closing
from typing import Annotated, Any, TypedDict

import pytest
from langchain_core.runnables import RunnableConfig
from langgraph.checkpoint.base import CheckpointTuple
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.graph import START, StateGraph
from langgraph.pregel import Pregel

from signoff import Approve, Principal, Signoff
from signoff.langgraph import Runner, agate, gate

MARIA = Principal(id="maria@example.com")


def put_in(left: list[str], right: list[str]) -> list[str]:
    """A reducer that changes what it is given, as careless ones do."""
    left.extend(right)
    return left


class State(TypedDict, total=False):
    """What the branches did, by both kinds of reducers."""

    put: Annotated[list[str], put_in]
    added: Annotated[list[str], operator.add]


class Counting(InMemorySaver):
    """Knows how often a thread's latest checkpoint was read."""

    reads = 0

    def get_tuple(self, config: RunnableConfig) -> CheckpointTuple | None:
        """One more."""
        self.reads += 1
        return super().get_tuple(config)

    async def aget_tuple(self, config: RunnableConfig) -> CheckpointTuple | None:
        """One more; the inherited one would count by itself."""
        return self.get_tuple(config)


@pytest.fixture
def so(sqlite_url: str) -> Iterator[Signoff]:
    with closing(Signoff(sqlite_url, directory="open")) as one:
        yield one


def branches(so: Signoff, saver: Counting, *names: str) -> Pregel[Any]:
    """A graph whose first branch asks, beside others that are done at once."""

    def asks(_: State) -> State:
        said = str(gate(so, "go", "now").value)
        return {"put": [said], "added": [said]}

    builder: Any = StateGraph(State)
    builder.add_node("asks", asks)
    builder.add_edge(START, "asks")
    for name in names:
        done: State = {"put": [name], "added": [name]}
        builder.add_node(name, lambda _, done=done: done)
        builder.add_edge(START, name)
    graph: Pregel[Any] = builder.compile(checkpointer=saver)
    return graph


def approve(so: Signoff) -> None:
    (asked,) = so.thread("t1")
    so.decide(asked.id, Approve(), by=MARIA, digest=asked.digest)


def test_a_paused_thread_is_read_once(so: Signoff) -> None:
    saver = Counting()
    runner = Runner(so, branches(so, saver), agent="writer")
    runner.start({"put": ["before"], "added": []}, thread_id="t1")
    approve(so)
    saver.reads = 0
    assert runner.wake("t1")
    assert saver.reads == 1
    assert runner.graph.get_state({"configurable": {"thread_id": "t1"}}).values == {
        "put": ["before", "now"],
        "added": ["now"],
    }


def test_a_thread_whose_branch_is_done_is_read_again(so: Signoff) -> None:
    saver = Counting()
    runner = Runner(so, branches(so, saver, "left", "right"), agent="writer")
    runner.start({"put": ["before"], "added": []}, thread_id="t1")
    approve(so)
    saver.reads = 0
    assert runner.wake("t1")
    assert saver.reads == 2
    found = runner.graph.get_state({"configurable": {"thread_id": "t1"}}).values
    assert sorted(found["put"]) == ["before", "left", "now", "right"]
    assert sorted(found["added"]) == ["left", "now", "right"]


def test_a_second_pause_is_found_and_not_the_first_again(so: Signoff) -> None:
    def twice(_: State) -> State:
        said = [str(gate(so, name, name).value) for name in ("one", "two")]
        return {"put": said, "added": said}

    builder: Any = StateGraph(State)
    builder.add_node("twice", twice)
    builder.add_edge(START, "twice")
    graph = builder.compile(checkpointer=Counting())
    runner = Runner(so, graph, agent="writer")
    runner.start({"put": []}, thread_id="t1")
    for waits in (True, False):
        (asked,) = [one for one in so.thread("t1") if one.settled_at is None]
        so.decide(asked.id, Approve(), by=MARIA, digest=asked.digest)
        assert runner.resume("t1").finished is not waits
    assert graph.get_state({"configurable": {"thread_id": "t1"}}).values["put"] == [
        "one",
        "two",
    ]


def test_an_async_thread_is_read_once_too(so: Signoff) -> None:
    saver = Counting()

    async def asks(_: State) -> State:
        return {"added": [str((await agate(so, "go", "now")).value)]}

    builder: Any = StateGraph(State)
    builder.add_node("asks", asks)
    builder.add_edge(START, "asks")
    runner = Runner(so, builder.compile(checkpointer=saver), agent="writer")

    async def run() -> None:
        await runner.astart({"added": ["before"]}, thread_id="t1")
        approve(so)
        saver.reads = 0
        assert (await runner.aresume("t1")).values["added"] == ["before", "now"]

    asyncio.run(run())
    assert saver.reads == 2  # the second is the outcome's
