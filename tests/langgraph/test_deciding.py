"""What people say, and what then happens: in every kind of agent, in both colours."""

from itertools import permutations

import pytest

from signoff import Approve, Edit, Reject, Respond, allow, deny, review
from signoff.domain.requests import Decision
from signoff.domain.undoing import agent_notice_id
from tests.langgraph.agents import MARIA, ONE_KIND, SYNC, answers, call, said, turn
from tests.langgraph.conftest import MakeBench

RULES = [allow("look"), review("*")]
PAY = [turn(call("pay", "c1", amount=10))]


async def test_nothing_happens_before_approval_and_one_thing_after(
    bench: MakeBench,
) -> None:
    agent = await bench(RULES, PAY)
    outcome = await agent.start()
    assert not outcome.finished
    assert agent.effects.done == []
    finished = await agent.approved()
    assert finished.finished
    assert agent.effects.of("pay") == [{"amount": 10, "to": "ana"}]
    (answer,) = answers(finished)
    assert answer.tool_call_id == "c1"
    assert said(answer) == "paid 10.0 to ana"
    assert said(finished.values["messages"][-1]) == "done"
    assert agent.so.audit().holds
    assert (await agent.resume()).finished
    assert len(agent.effects.done) == 1


async def test_a_rejection_and_its_reason_reach_the_model(bench: MakeBench) -> None:
    agent = await bench(RULES, PAY)
    await agent.start()
    agent.decide(Reject(reason="Ana was paid yesterday"))
    finished = await agent.resume()
    assert finished.finished
    assert agent.effects.done == []
    (told,) = [m for m in agent.model.heard[-1] if m.type == "tool"]
    assert "Ana was paid yesterday" in said(told)
    assert "not executed" in said(told)
    assert answers(finished)[0].status == "error"


async def test_an_edit_runs_as_edited_and_the_model_is_told(bench: MakeBench) -> None:
    record = {"n": 1, "f": 1.5, "yes": True, "none": None, "list": ["1", 1], "s": "1"}
    agent = await bench(RULES, [turn(call("store", "c1", record={"n": 0}))])
    await agent.start()
    agent.decide(Edit(args={"record": record}))
    finished = await agent.resume()
    (ran,) = agent.effects.of("store")
    assert ran["record"] == record
    assert {k: type(v) for k, v in ran["record"].items()} == {
        k: type(v) for k, v in record.items()
    }
    (answer,) = answers(finished)
    assert said(answer).startswith("Note: a reviewer changed this call")
    assert said(answer).endswith("stored")
    (entry,) = agent.so.journal()
    assert answer.id == agent_notice_id(entry.id, "edited")
    asked = finished.values["messages"][1]
    assert asked.tool_calls[0]["args"] == {"record": {"n": 0}}


async def test_an_edit_may_switch_to_another_tool_of_the_agent(
    bench: MakeBench,
) -> None:
    agent = await bench(RULES, PAY)
    await agent.start()
    agent.decide(Edit(tool="wire", args={"amount": 3, "to": "bo"}))
    finished = await agent.resume()
    assert agent.effects.done == [("wire", {"amount": 3, "to": "bo"})]
    (answer,) = answers(finished)
    assert (answer.tool_call_id, answer.name) == ("c1", "wire")
    assert "Executed instead: wire" in said(answer)


async def test_a_response_is_the_result_and_the_tool_never_runs(
    bench: MakeBench,
) -> None:
    agent = await bench(RULES, PAY)
    await agent.start()
    agent.decide(Respond(message="Ask Ana for the invoice first."))
    finished = await agent.resume()
    assert agent.effects.done == []
    (answer,) = answers(finished)
    assert (said(answer), answer.status) == (
        "Ask Ana for the invoice first.",
        "success",
    )


async def test_calls_of_one_turn_are_answered_each_on_its_own(
    bench: MakeBench,
) -> None:
    calls = [call("pay", f"c{n}", amount=n) for n in (1, 2, 3)]
    agent = await bench(
        RULES, [turn(calls[0], call("look", "c0", what="a"), *calls[1:])]
    )
    for order in permutations(range(3)):
        thread = "t" + "".join(map(str, order))
        await agent.start(thread)
        asked = agent.asked(thread)
        assert [request.args["amount"] for request in asked] == [1, 2, 3]
        # The ungated sibling ran at once, though its neighbours wait.
        assert agent.effects.done == [("look", {"what": "a"})]
        decisions: list[Decision]
        decisions = [Approve(), Reject(reason="no"), Edit(args={"amount": 30})]
        rests = []
        for which in order:
            agent.decide(decisions[which], asked[which])
            rests.append(await agent.resume(thread))
        assert [rest.finished for rest in rests] == [False, False, True]
        assert agent.effects.of("look") == [{"what": "a"}]
        paid = [args["amount"] for args in agent.effects.of("pay")]
        assert sorted(paid) == [1, 30]
        told = answers(rests[-1])
        assert [m.tool_call_id for m in told] == ["c1", "c0", "c2", "c3"]
        assert "with reason: no" in said(told[2])
        agent.effects.done.clear()


async def test_a_decision_while_others_wait_lets_only_that_call_run(
    bench: MakeBench,
) -> None:
    agent = await bench(
        RULES, [turn(call("pay", "c1", amount=1), call("pay", "c2", amount=2))]
    )
    await agent.start()
    _, second = agent.asked()
    outcome = await agent.approved(second)
    assert not outcome.finished
    assert [args["amount"] for args in agent.effects.of("pay")] == [2]
    assert len(outcome.waiting) == 1
    assert (await agent.approved()).finished
    assert [args["amount"] for args in agent.effects.of("pay")] == [2, 1]


async def test_a_denied_call_is_told_why_and_asks_nobody(bench: MakeBench) -> None:
    rules = [deny("wire", reason="no foreign payments"), review("*")]
    agent = await bench(rules, [turn(call("wire", "c1", amount=1))])
    finished = await agent.start()
    assert finished.finished
    assert agent.effects.done == []
    assert agent.so.count() == 0
    (answer,) = answers(finished)
    assert answer.status == "error"
    assert "no foreign payments" in said(answer)
    assert agent.so.audit().events > 0


async def test_who_and_where_is_carried_also_after_a_resume(bench: MakeBench) -> None:
    agent = await bench(
        RULES, [turn(call("pay", "c1", amount=1)), turn(call("pay", "c2", amount=2))]
    )
    await agent.start(user="ana@example.com", team="sales")
    first = agent.one()
    assert (first.agent, first.user, first.team) == (
        "payer",
        "ana@example.com",
        "sales",
    )
    await agent.approved()
    second = agent.one()
    assert second.args == {"amount": 2}
    assert (second.agent, second.user, second.team) == (
        "payer",
        "ana@example.com",
        "sales",
    )


@SYNC
async def test_the_pause_has_langchains_shape_and_our_ids(
    bench: MakeBench,
) -> None:
    agent = await bench(RULES, PAY)
    outcome = await agent.start()
    (pause,) = outcome.waiting
    request = agent.one()
    assert pause["type"] == "tool_approval"
    assert (pause["tool_call_id"], pause["name"]) == ("c1", "pay")
    assert pause["args"] == {"amount": 10}
    assert pause["description"] == "Pay an amount."
    assert pause["signoff"]["request_id"] == request.id
    assert pause["signoff"]["digest"] == request.digest


@SYNC
async def test_several_pauses_of_one_turn(bench: MakeBench, kind: str) -> None:
    agent = await bench(
        RULES, [turn(call("pay", "c1", amount=1), call("wire", "c2", amount=2))]
    )
    outcome = await agent.start()
    ids = {request.proposed["tool"]: request.id for request in agent.asked()}
    if kind == "create_agent":
        shown = {pause["name"]: pause["signoff"] for pause in outcome.waiting}
        assert {name: one["request_id"] for name, one in shown.items()} == ids
        return
    (pause,) = outcome.waiting
    assert [one["name"] for one in pause["action_requests"]] == ["pay", "wire"]
    assert [one["action_name"] for one in pause["review_configs"]] == ["pay", "wire"]
    assert [one["request_id"] for one in pause["signoff"]["calls"]] == [
        ids["pay"],
        ids["wire"],
    ]


@SYNC
@ONE_KIND
@pytest.mark.parametrize(
    ("hints", "asked"),
    [
        ({}, True),
        ({"destructiveHint": True}, True),
        ({"destructiveHint": False}, False),
        ({"readOnlyHint": True}, False),
        ({"annotations": {"readOnlyHint": True}}, False),
        ({"destructiveHint": "no"}, True),
    ],
)
async def test_annotations_of_a_tool_inform_a_rule(
    bench: MakeBench, hints: dict[str, object], *, asked: bool
) -> None:
    rules = [review("*", when="tool.destructive"), allow("pay")]
    agent = await bench(rules, PAY)
    tools = agent.effects.tools()
    tools[0].metadata = hints
    hinted = await bench(rules, PAY, tools=tools)
    outcome = await hinted.start()
    assert outcome.finished is not asked


@SYNC
async def test_an_annotation_never_overrides_a_rule(bench: MakeBench) -> None:
    agent = await bench(RULES, PAY)
    tools = agent.effects.tools()
    tools[0].metadata = {"readOnlyHint": True}
    hinted = await bench(RULES, PAY, tools=tools)
    assert not (await hinted.start()).finished


@SYNC
async def test_the_request_says_what_a_reviewer_needs(bench: MakeBench) -> None:
    agent = await bench(RULES, PAY)
    await agent.start()
    request = agent.one()
    assert request.description == "Pay an amount."
    assert request.schema is not None
    assert request.schema["properties"]["amount"]["type"] == "number"
    settled = agent.decide(Approve(reason="invoice 7"))
    assert settled.settled_by == MARIA.id
    kinds = [event.fact.kind for event in agent.so.history(request.id)]
    assert kinds == ["asked", "voted", "approved"]
    await agent.resume()
    kinds = [event.fact.kind for event in agent.so.history(request.id)]
    assert kinds[-2:] == ["started", "finished"]
