"""A1, A7, A9, A14, A17 from async code, where the hooks are others."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest
from langchain.agents.middleware import ToolRetryMiddleware
from langchain_core.messages import HumanMessage
from langchain_core.tools import BaseTool, tool
from langgraph.checkpoint.base import BaseCheckpointSaver
from langgraph.types import Command, interrupt

from signoff import Approve, Reject
from signoff.domain.journal import EntryState
from tests.conformance.harness import (
    GO,
    TRIALS,
    Place,
    Tally,
    asking,
    asking_at_once,
    at,
)
from tests.conformance.ours import Ours, OursByHand
from tests.langgraph.agents import MARIA, Scripted, call, open_saver, turn

BOTH = pytest.mark.parametrize("system", [Ours, OursByHand], ids=lambda one: one.name)


@pytest.fixture
def place(database_url: str, tmp_path: Path) -> Place:
    """Both databases."""
    return Place(database_url, tmp_path)


@pytest.fixture
async def saver(place: Place) -> AsyncIterator[BaseCheckpointSaver[Any]]:
    """An async checkpointer on the same kind of database as the store."""
    async with open_saver("async", place.url, place.folder) as one:
        yield one


@pytest.fixture
async def one(system: type[Ours], place: Place) -> AsyncIterator[Ours]:
    """Signoff in one of its ways in."""
    async with AsyncExitStack() as stack:
        opened = system(place)
        stack.callback(opened.close)
        yield opened


def turns_of_the_loop(dice: random.Random) -> int:
    """How long a tool takes, in the turns that others have meanwhile."""
    return dice.randint(0, 20)


def apay(tally: Tally, dice: random.Random) -> BaseTool:
    """A payment that gives others their turns before its effect."""

    @tool
    async def pay(amount: int) -> str:
        """Pay an amount."""
        for _ in range(turns_of_the_loop(dice)):
            await asyncio.sleep(0)
        tally.add(f"pay {amount}")
        return f"paid {amount}"

    return pay


def alook(tally: Tally) -> BaseTool:
    """The harmless neighbour."""

    @tool
    async def look(what: str) -> str:
        """Look something up."""
        tally.add(f"look {what}")
        return f"found {what}"

    return look


async def says(
    one: Ours, thread: str, amount: int, decision: Approve | Reject | None = None
) -> None:
    """Decide on the payment of an amount."""
    request = one.asked(at(thread))[amount]
    said = Approve() if decision is None else decision
    await asyncio.to_thread(
        one.so.decide, request.id, said, by=MARIA, digest=request.digest
    )


@pytest.mark.row("A9", "A10")
@pytest.mark.parametrize("system", [OursByHand], ids=lambda one: one.name)
async def test_in_a_plain_tools_node_every_answer_reaches_its_call(
    one: Ours, saver: BaseCheckpointSaver[Any], place: Place
) -> None:
    dice = random.Random(11)  # noqa: S311 - no secret
    for trial in range(TRIALS // 5):
        thread, tally = f"t{trial}", Tally(place.folder / f"effects{trial}")
        amounts = dice.sample([1, 2, 3], 3)
        model = asking_at_once(*amounts, look=True)
        graph = one.agent(model, [apay(tally, dice), alook(tally)], saver)
        await graph.ainvoke(GO, at(thread))
        paid = []
        for amount in dice.sample(amounts, 3):
            yes = dice.random() < 0.5
            await says(one, thread, amount, Approve() if yes else Reject())
            paid += [f"pay {amount}"] if yes else []
            if dice.random() < 0.5:
                await graph.ainvoke(None, at(thread))
        await graph.ainvoke(None, at(thread))
        assert sorted(tally.lines) == sorted([*paid, "look rates"])
        assert (await graph.aget_state(at(thread))).interrupts == ()


@BOTH
@pytest.mark.row("A7")
async def test_what_woke_the_thread_does_not_answer_the_tools_own_question(
    one: Ours, saver: BaseCheckpointSaver[Any], place: Place
) -> None:
    @tool
    async def survey(amount: int) -> str:
        """Ask for a colour and a size."""
        colour, size = interrupt("colour?"), interrupt("size?")
        place.tally.add(f"{amount} {colour} {size}")
        return "asked"

    model = Scripted(turns=[turn(call("survey", "s1", amount=1))])
    graph = one.agent(model, [survey], saver)
    await graph.ainvoke(GO, at("t1"))
    (pause,) = (await graph.aget_state(at("t1"))).interrupts
    await says(one, "t1", 1)
    await graph.ainvoke(Command(resume={pause.id: "blue"}), at("t1"))
    for question, answer in (("colour?", "red"), ("size?", "small")):
        (pause,) = (await graph.aget_state(at("t1"))).interrupts
        assert pause.value == question
        await graph.ainvoke(Command(resume={pause.id: answer}), at("t1"))
    assert place.tally.lines == ["1 red small"]


@BOTH
@pytest.mark.row("A14")
@pytest.mark.parametrize("inside", [Ours, OursByHand], ids=lambda one: one.name)
async def test_an_agent_that_is_a_tool_asks_for_its_own_calls(
    one: Ours, inside: type[Ours], saver: BaseCheckpointSaver[Any], place: Place
) -> None:
    nested = inside(place)
    pay = apay(place.tally, random.Random(3))  # noqa: S311 - no secret
    inner = nested.agent(asking(2, 3), [pay], None)

    @tool
    async def delegate(amount: int) -> str:
        """Hand work to another agent."""
        told = await inner.ainvoke({"messages": [HumanMessage("pay")]})
        return str(told["messages"][-1].content)

    model = Scripted(turns=[turn(call("delegate", "d1", amount=1))])
    graph = one.agent(model, [delegate], saver)
    await graph.ainvoke(GO, at("t1"))
    for amount in (1, 2, 3):
        assert set(one.asked(at("t1"))) == {amount}
        await says(one, "t1", amount)
        await graph.ainvoke(None, at("t1"))
    assert place.tally.lines == ["pay 2", "pay 3"]
    assert (await graph.aget_state(at("t1"))).interrupts == ()
    nested.close()


@pytest.mark.row("A17")
@pytest.mark.parametrize("system", [Ours], ids=lambda one: one.name)
@pytest.mark.parametrize("where", ["outside", "inside"])
async def test_one_approval_covers_the_stated_attempts(
    one: Ours, saver: BaseCheckpointSaver[Any], where: str
) -> None:
    tries: list[int] = []

    @tool
    async def pay(amount: int) -> str:
        """Fail after half of the work."""
        tries.append(amount)
        raise ConnectionError("half done")

    retry = ToolRetryMiddleware(max_retries=2, initial_delay=0.0, jitter=False)
    around: Any = {where: [retry]}
    graph: Any = one.agent(asking(10), [pay], saver, **around)
    await graph.ainvoke(GO, at("t1"))
    await says(one, "t1", 10)
    await graph.ainvoke(None, at("t1"))
    assert tries == [10]
    state = await graph.aget_state(at("t1"))
    assert state.interrupts == ()
    assert state.values["messages"][-1].content == "done"
    (entry,) = one.so.journal()
    assert (entry.state, entry.attempt) == (EntryState.UNKNOWN, 1)
