"""In async code nothing of signoff's blocks the event loop, whatever happens."""

import pytest
from blockbuster import blockbuster_ctx

from signoff import Approve, Reject, review
from tests.langgraph.agents import ASYNC, call, turn
from tests.langgraph.conftest import MakeBench
from tests.langgraph.workflows import Stage

pytestmark = ASYNC


@pytest.mark.parametrize("tool", ["pay", "fail"])
async def test_of_a_tool_call(bench: MakeBench, tool: str) -> None:
    args = {"amount": 10} if tool == "pay" else {"how": "half way"}
    agent = await bench([review("*", attempts=2)], [turn(call(tool, "c1", **args))])
    with blockbuster_ctx():
        await agent.start()
    seen = agent.decide(Approve())
    with blockbuster_ctx():
        if tool == "pay":
            await agent.resume()
        else:
            with pytest.raises(ConnectionError, match="half way"):
                await agent.resume()
    entry = agent.so.entry_of(seen)
    assert entry is not None
    assert entry.state.value == ("done" if tool == "pay" else "unknown")


async def test_of_a_rejection(bench: MakeBench) -> None:
    agent = await bench([review("*")], [turn(call("pay", "c1", amount=10))])
    await agent.start()
    agent.decide(Reject(reason="no"))
    with blockbuster_ctx():
        assert (await agent.resume()).finished


async def test_of_a_gate(stage: Stage) -> None:
    runner = stage.build(stage.one_gate(stage.plan))
    with blockbuster_ctx():
        await stage.start(runner)
    stage.decide(Approve())
    with blockbuster_ctx():
        assert (await stage.resume(runner)).finished
