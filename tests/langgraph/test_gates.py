"""`gate()`: a stage waits, and what comes back is exactly what people passed."""

from datetime import timedelta
from typing import Any

import pytest
from langgraph.func import entrypoint, task
from langgraph.graph import START, StateGraph
from langgraph.types import RetryPolicy

from signoff import Approve, Edit, Reject, Respond
from signoff.clock import Clock
from signoff.domain.errors import (
    InvalidEdit,
    NobodyCanApprove,
    NoCheckpointer,
    PayloadRefused,
)
from signoff.domain.requests import Decision
from signoff.langgraph import gate
from tests.langgraph.agents import MARIA, OTTO, SYNC
from tests.langgraph.workflows import PLAN, Stage, State


async def test_what_was_shown_is_what_comes_back(stage: Stage) -> None:
    async def body(_: State) -> dict[str, Any]:
        passed = await stage.gate("plan_review", stage.plan, question="Go ahead?")
        return {"passed": [passed]}

    runner = stage.build(body)
    outcome = await stage.start(runner)
    (pause,) = outcome.waiting
    shown = {**PLAN, "number": 1}
    assert (pause["type"], pause["question"]) == ("gate", "Go ahead?")
    assert pause["payload"] == shown
    assert stage.one().args == {"value": shown}
    stage.decide(Approve())
    outcome = await stage.resume(runner)
    (passed,) = outcome.values["passed"]
    assert (passed.approved, passed.value) == (True, shown)
    assert stage.made == 1


@pytest.mark.parametrize(
    ("decision", "approved", "value", "reason"),
    [
        (Edit(args={"value": {"cost": 5}}), True, {"cost": 5}, None),
        (Reject(reason="too dear"), False, None, "too dear"),
        (Respond(message="ask Bo"), False, None, "ask Bo"),
    ],
)
async def test_other_answers(
    stage: Stage, decision: Decision, *, approved: bool, value: object, reason: str
) -> None:
    runner = stage.build(stage.one_gate(stage.plan))
    await stage.start(runner)
    stage.decide(decision)
    outcome = await stage.resume(runner)
    (passed,) = outcome.values["passed"]
    assert (passed.approved, passed.value, passed.reason) == (approved, value, reason)
    assert stage.made == 1


async def test_silence_does_not_pass(stage: Stage, clock: Clock) -> None:
    async def body(_: State) -> dict[str, Any]:
        return {"passed": [await stage.gate("plan", PLAN, expires_in="1h")]}

    runner = stage.build(body)
    await stage.start(runner)
    clock.offset = timedelta(hours=2)
    assert stage.so.expire_due() == 1
    (passed,) = (await stage.resume(runner)).values["passed"]
    assert (passed.approved, passed.value) == (False, None)
    assert passed.reason == "nobody answered in time"


@pytest.mark.row("I11")
async def test_a_gate_has_the_deadlines_of_a_rule(stage: Stage, clock: Clock) -> None:
    async def body(_: State) -> dict[str, Any]:
        low = await stage.gate(
            "low",
            PLAN,
            risk="low",
            on_expiry="approve",
            expires_in="1h",
            remind_after="30m",
        )
        high = await stage.gate(
            "high",
            PLAN,
            reviewers=["ops"],
            escalate_to=["cfo"],
            on_expiry="escalate",
            expires_in="1h",
        )
        return {"passed": [low, high]}

    runner = stage.build(body)
    await stage.start(runner)
    clock.offset = timedelta(minutes=31)
    assert stage.so.sweep().reminded == 1
    clock.offset = timedelta(hours=2)
    assert stage.so.sweep().settled == 1
    await stage.resume(runner)
    clock.offset = timedelta(hours=3, minutes=1)
    assert stage.so.sweep().escalated == 1
    assert stage.one().terms.escalated == ("cfo",)
    clock.offset = timedelta(hours=5)
    assert stage.so.sweep().settled == 1
    low, high = (await stage.resume(runner)).values["passed"]
    assert (low.approved, low.value) == (True, PLAN)
    assert "silence" in str(low.reason)
    assert (high.approved, high.value) == (False, None)
    assert "escalated to cfo" in str(high.reason)


async def test_several_gates_in_one_node(stage: Stage) -> None:
    async def body(_: State) -> dict[str, Any]:
        first = await stage.gate("first", stage.plan)
        second = await stage.gate("second", stage.plan)
        return {"passed": [first, second]}

    runner = stage.build(body)
    await stage.start(runner)
    assert stage.one().tool == "first"
    stage.decide(Approve())
    await stage.resume(runner)
    assert stage.one().tool == "second"
    stage.decide(Reject(reason="no"))
    outcome = await stage.resume(runner)
    first, second = outcome.values["passed"]
    assert (first.value["number"], first.approved) == (1, True)
    assert (second.reason, second.approved) == ("no", False)
    assert stage.made == 2


@SYNC
async def test_two_approvals_of_a_named_group(stage: Stage) -> None:
    async def body(_: State) -> dict[str, Any]:
        return {
            "passed": [await stage.gate("p", PLAN, approvals=2, reviewers=["finance"])]
        }

    runner = stage.build(body)
    await stage.start(runner)
    stage.decide(Approve())
    assert not (await stage.resume(runner)).finished
    request = stage.one()
    stage.so.decide(request.id, Approve(), by=OTTO, digest=request.digest)
    assert (await stage.resume(runner)).values["passed"][0].approved


@SYNC
async def test_an_edit_must_keep_the_shape_of_a_gate(stage: Stage) -> None:
    runner = stage.build(stage.one_gate(PLAN))
    await stage.start(runner)
    with pytest.raises(InvalidEdit):
        stage.decide(Edit(args={"plan": 1}))
    assert stage.one().args == {"value": PLAN}


@SYNC
async def test_a_payload_that_is_not_json_is_refused(stage: Stage) -> None:
    runner = stage.build(stage.one_gate({"cost": float("nan")}))
    with pytest.raises(PayloadRefused, match=r"payload\.cost"):
        await stage.start(runner)
    assert stage.so.count() == 0


@pytest.mark.row("B8")
async def test_a_group_that_nobody_is_in_is_refused(stage: Stage) -> None:
    stage.so.create_token(MARIA.id, groups=["sales"])
    runner = stage.build(stage.one_gate(PLAN, reviewers=["legal"]))
    with pytest.raises(NobodyCanApprove, match="token create NAME --group legal"):
        await stage.start(runner)
    assert stage.so.thread("t1") == []
    stage.so.create_token(OTTO.id, groups=["legal"])
    await stage.resume(runner)  # nothing is lost: the thread goes on
    assert stage.one().args == {"value": PLAN}
    assert stage.so.audit().holds


async def test_in_an_entrypoint_with_tasks(stage: Stage) -> None:
    made: list[int] = []

    @task
    def make(number: int) -> dict[str, int]:
        made.append(number)
        return {"number": number}

    @entrypoint(checkpointer=stage.saver)
    def flow(value: int) -> list[Any]:
        plan = make(value).result()
        passed = gate(stage.so, "plan", plan)
        return [passed.approved, passed.value]

    @entrypoint(checkpointer=stage.saver)
    async def aflow(value: int) -> list[Any]:
        plan = await make(value)
        passed = await stage.gate("plan", plan)
        return [passed.approved, passed.value]

    runner = stage.runner(aflow if stage.colour == "async" else flow)
    await stage.start(runner, 7)
    stage.decide(Approve())
    outcome = await stage.resume(runner)
    assert outcome.values == [True, {"number": 7}]
    assert made == [7]


@SYNC
async def test_without_a_checkpointer_it_is_refused(stage: Stage) -> None:
    builder = StateGraph(State)
    builder.add_node("stage", lambda _: {"made": gate(stage.so, "p", PLAN)})
    builder.add_edge(START, "stage")
    with pytest.raises(NoCheckpointer):
        builder.compile().invoke({})
    assert stage.so.count() == 0


async def test_gates_of_one_name_in_a_loop_are_all_shown(stage: Stage) -> None:
    async def body(_: State) -> dict[str, Any]:
        return {"passed": [await stage.gate("publish", text) for text in "abc"]}

    runner = stage.build(body)
    outcome = await stage.start(runner)
    for text in "abc":
        assert stage.one().args == {"value": text}
        stage.decide(Approve() if text != "b" else Reject(reason="no"))
        outcome = await stage.resume(runner)
    assert [one.value for one in outcome.values["passed"]] == ["a", None, "c"]


async def test_a_plan_is_made_anew_until_people_pass_it(stage: Stage) -> None:
    async def body(_: State) -> dict[str, Any]:
        passed = await stage.gate("plan", stage.plan)
        while not passed.approved:
            passed = await stage.gate("plan", stage.plan)
        return {"passed": [passed]}

    runner = stage.build(body)
    await stage.start(runner)
    for number in (1, 2):
        assert stage.one().args["value"]["number"] == number
        stage.decide(Reject(reason="another"))
        await stage.resume(runner)
    stage.decide(Approve())
    (passed,) = (await stage.resume(runner)).values["passed"]
    assert passed.value["number"] == stage.made == 3


async def test_a_node_that_is_retried_after_its_gate_does_not_ask_again(
    stage: Stage,
) -> None:
    tries: list[int] = []

    async def body(state: State) -> dict[str, Any]:
        passed = await stage.gate("plan", stage.plan)
        tries.append(1)
        if len(tries) < 3:
            raise ConnectionError("down")
        return {"passed": [passed]}

    retry = RetryPolicy(initial_interval=0.01, max_attempts=3, jitter=False)
    runner = stage.build(body, retry_policy=retry)
    await stage.start(runner)
    stage.decide(Approve())
    outcome = await stage.resume(runner)
    assert outcome.values["passed"][0].value["number"] == 1
    assert (len(tries), stage.made) == (3, 1)
