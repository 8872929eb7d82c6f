"""What a tool's author has: a key, attempts, and a way to say that nothing happened."""

import pytest
from langchain_core.tools import BaseTool, tool

from signoff import NotApplied, allow, review
from signoff.domain.journal import EntryState
from signoff.langgraph import idempotency_key
from tests.langgraph.agents import ONE_KIND, SYNC, answers, call, said, turn
from tests.langgraph.conftest import MakeBench

SHIP = [turn(call("ship", "c1", order="7"))]


def shipping(keys: list[str | None], failures: int, colour: str) -> BaseTool:
    """A tool that is refused some times before it works, and notes its keys."""

    def once(order: str) -> str:
        keys.append(idempotency_key())
        if len(keys) <= failures:
            raise NotApplied("the carrier is closed")
        return f"shipped {order}"

    @tool("ship")
    def ship(order: str) -> str:
        """Ship an order."""
        return once(order)

    @tool("ship")
    async def aship(order: str) -> str:
        """Ship an order."""
        return once(order)

    return aship if colour == "async" else ship


async def test_a_call_has_one_key_at_every_attempt(
    bench: MakeBench, colour: str
) -> None:
    keys: list[str | None] = []
    tools = [shipping(keys, 1, colour)]
    agent = await bench([review("ship", attempts=2)], SHIP, tools=tools)
    await agent.start()
    with pytest.raises(NotApplied):
        await agent.approved()
    (entry,) = agent.so.journal()
    assert (entry.state, entry.attempt) == (EntryState.FAILED, 1)
    finished = await agent.resume()
    assert said(answers(finished)[0]) == "shipped 7"
    (entry,) = agent.so.journal()
    assert (entry.state, entry.attempt) == (EntryState.DONE, 2)
    assert keys == [entry.key, entry.key]
    assert idempotency_key() is None


async def test_an_approval_covers_the_attempts_that_its_rule_states(
    bench: MakeBench, colour: str
) -> None:
    keys: list[str | None] = []
    tools = [shipping(keys, 9, colour)]
    agent = await bench([review("ship", attempts=2)], SHIP, tools=tools)
    await agent.start()
    with pytest.raises(NotApplied):
        await agent.approved()
    with pytest.raises(NotApplied):
        await agent.resume()
    finished = await agent.resume()
    assert finished.finished
    assert len(keys) == 2
    assert "the carrier is closed" in said(answers(finished)[0])


@SYNC
@ONE_KIND
async def test_an_allowed_call_has_no_key(bench: MakeBench) -> None:
    keys: list[str | None] = []
    agent = await bench([allow("*")], SHIP, tools=[shipping(keys, 0, "sync")])
    assert (await agent.start()).finished
    assert keys == [None]
