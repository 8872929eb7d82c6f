"""`Stages`: the work of a stage is kept, shown, and not done again."""

from typing import Any

import pytest
from langgraph.graph import START, StateGraph

from signoff import Approve, Reject, Respond
from signoff.domain.errors import (
    BlocksEventLoop,
    InvalidSetting,
    NoCheckpointer,
    PayloadRefused,
)
from signoff.langgraph import Stages
from tests.langgraph.agents import ASYNC, SYNC
from tests.langgraph.workflows import Stage, State

NAMES = ("research", "plan", "publish")


class Flow:
    """Research, a plan that people pass, publication; in one node or in three."""

    def __init__(self, stage: Stage) -> None:
        self.at, self.stages = stage, Stages(stage.so, *NAMES)
        self.did: list[str] = []

    async def do(self, name: str, work: Any) -> Any:  # noqa: ANN401 - any JSON value
        """`stage` or `astage`, as the node's colour needs."""
        if self.at.colour == "async":
            return await self.stages.astage(name, work)
        return self.stages.stage(name, work)

    async def ask(self, payload: Any) -> Any:  # noqa: ANN401 - any JSON value
        """`gate` or `agate`, likewise."""
        if self.at.colour == "async":
            return await self.stages.agate("plan", payload, question="Go?")
        return self.stages.gate("plan", payload, question="Go?")

    def work(self, name: str) -> dict[str, Any]:
        """Something that is noted each time that it is done."""
        self.did.append(name)
        return {"made": f"{name} {len(self.did)}"}

    async def body(self, _: State) -> dict[str, Any]:
        """All stages in one node."""
        notes = await self.do("research", lambda: self.work("research"))
        passed = await self.ask(lambda: {**self.work("plan"), "of": notes})
        if not passed.approved:
            return {"passed": [passed]}
        await self.do("publish", lambda: self.work("publish"))
        return {"passed": [passed]}

    def states(self) -> str:
        """What people see."""
        return " ".join(one.state.value for one in self.at.so.stages("t1"))


@pytest.fixture
def flow(stage: Stage) -> Flow:
    """The workflow."""
    return Flow(stage)


async def test_partial_work_is_kept_and_shown(flow: Flow) -> None:
    stage = flow.at
    runner = stage.build(flow.body)
    (pause,) = (await stage.start(runner)).waiting
    assert flow.states() == "done waiting ahead"
    assert pause["stages"] == [
        {"name": "research", "state": "done"},
        {"name": "plan", "state": "waiting"},
        {"name": "publish", "state": "ahead"},
    ]
    research, plan, _ = stage.so.stages("t1")
    assert research.value == {"made": "research 1"}
    assert plan.value == {"made": "plan 2", "of": {"made": "research 1"}}
    assert plan.request_id == stage.one().id
    stage.decide(Approve())
    assert (await stage.resume(runner)).finished
    assert flow.states() == "done done done"
    assert flow.did == ["research", "plan", "publish"]
    assert stage.so.audit().holds


async def test_a_stage_that_people_stop(flow: Flow) -> None:
    runner = flow.at.build(flow.body)
    await flow.at.start(runner)
    flow.at.decide(Reject(reason="no"))
    await flow.at.resume(runner)
    assert flow.states() == "done stopped ahead"
    assert flow.did == ["research", "plan"]


async def test_a_stage_that_people_want_changed(flow: Flow) -> None:
    runner = flow.at.build(flow.body)
    await flow.at.start(runner)
    flow.at.decide(Respond(message="shorter"))
    await flow.at.resume(runner)
    assert flow.states() == "done changes ahead"


async def test_a_node_that_failed_goes_on_behind_its_kept_stages(flow: Flow) -> None:
    broken = True

    async def body(_: State) -> dict[str, Any]:
        await flow.do("research", lambda: flow.work("research"))
        if broken:
            raise ConnectionError("down")
        await flow.do("plan", lambda: flow.work("plan"))
        return {}

    runner = flow.at.build(body)
    with pytest.raises(ConnectionError):
        await flow.at.start(runner)
    assert flow.states() == "done ahead ahead"
    broken = False
    await flow.at.resume(runner)
    assert flow.states() == "done done ahead"
    assert flow.did == ["research", "plan"]


async def test_another_run_in_the_thread_does_its_own_work(flow: Flow) -> None:
    runner = flow.at.build(flow.body)
    for _ in range(2):
        await flow.at.start(runner)
        assert flow.states() == "done waiting ahead"
        flow.at.decide(Approve())
        await flow.at.resume(runner)
    assert flow.did == ["research", "plan", "publish"] * 2


async def test_a_stage_of_one_name_may_come_several_times(flow: Flow) -> None:
    async def body(_: State) -> dict[str, Any]:
        for number in range(3):
            assert await flow.do("research", number) == number
        await flow.ask("plan")
        return {}

    runner = flow.at.build(body)
    await flow.at.start(runner)
    flow.at.decide(Approve())
    assert (await flow.at.resume(runner)).finished
    assert flow.at.so.stages("t1")[0].value == 2


async def test_wrong_stages_are_refused(flow: Flow) -> None:
    async def unknown(_: State) -> dict[str, Any]:
        await flow.do("reserch", lambda: flow.work("x"))
        return {}

    with pytest.raises(InvalidSetting, match="Did you mean 'research'"):
        await flow.at.start(flow.at.build(unknown))

    async def inexact(_: State) -> dict[str, Any]:
        await flow.do("research", {"at": float("nan")})
        return {}

    with pytest.raises(PayloadRefused, match=r"value\.at"):
        await flow.at.start(flow.at.build(inexact))
    assert flow.did == []


@SYNC
async def test_without_a_checkpointer_nothing_is_done(flow: Flow) -> None:
    builder = StateGraph(State)
    builder.add_node("stage", flow.at.node(flow.body))
    builder.add_edge(START, "stage")
    with pytest.raises(NoCheckpointer):
        builder.compile().invoke({})
    assert flow.did == []


@ASYNC
async def test_sync_stages_are_refused_on_the_loop(flow: Flow) -> None:
    async def body(_: State) -> dict[str, Any]:
        return {"made": flow.stages.stage("research", 1)}

    async def gating(_: State) -> dict[str, Any]:
        return {"passed": [flow.stages.gate("plan", 1)]}

    for wrong, cure in ((body, "astage"), (gating, "agate")):
        with pytest.raises(BlocksEventLoop, match=f"await {cure}"):
            await flow.at.start(flow.at.build(wrong))
    assert flow.at.so.thread("t1") == []


def test_stages_have_names(stage: Stage) -> None:
    with pytest.raises(InvalidSetting, match="twice"):
        Stages(stage.so, "plan", "plan")
