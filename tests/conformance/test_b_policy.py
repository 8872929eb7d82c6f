"""B17-B18: a rule that is wrong, or that can't be read, asks."""

from collections.abc import Sequence
from typing import Any

import pytest
from langchain.agents import create_agent
from langgraph.checkpoint.memory import InMemorySaver

from signoff import Action, Approve, Rule, Signoff, allow, deny, review
from signoff.langgraph import Runner, SignoffMiddleware
from tests.langgraph.agents import (
    MARIA,
    ONE_KIND,
    SYNC,
    Effects,
    Scripted,
    answers,
    call,
    said,
    turn,
)
from tests.langgraph.conftest import MakeBench

PAY = [turn(call("pay", "c1", amount=10))]


@SYNC
@ONE_KIND
@pytest.mark.row("B17")
@pytest.mark.parametrize(
    "rules",
    [
        [],
        [review("pya")],
        [allow("look"), allow("Pay"), allow("pay2"), allow("p")],
        [deny("pays"), allow("read_*")],
    ],
)
async def test_a_tool_that_no_rule_names_is_held(
    bench: MakeBench, rules: Sequence[Rule]
) -> None:
    agent = await bench(rules, PAY)
    assert not (await agent.start()).finished
    assert agent.effects.done == []
    assert agent.one().rule == "no rule matched"


@SYNC
@ONE_KIND
@pytest.mark.row("B17")
async def test_the_rules_that_match_no_tool_are_named(bench: MakeBench) -> None:
    typo, fine = review("mkae_payment"), allow("look")
    agent = await bench([fine, typo, review("send_*"), review("pay", "wrie")], PAY)
    await agent.start()
    assert agent.so.policy is not None
    names = [tool.name for tool in agent.so.tools("payer")]
    assert names == sorted(["pay", "wire", "look", "store", "fail"])
    unmatched = agent.so.policy.unmatched(names)
    assert [rule.tools for rule in unmatched] == [
        ("mkae_payment",),
        ("send_*",),
        ("pay", "wrie"),
    ]


@pytest.mark.row("B17")
def test_a_typo_in_interrupt_on_holds_the_tool_it_meant(database_url: str) -> None:
    so, effects = Signoff(database_url), Effects()
    graph: Any = create_agent(
        Scripted(turns=PAY),
        effects.tools(),
        middleware=[SignoffMiddleware(so, interrupt_on={"pya": True, "look": False})],
        checkpointer=InMemorySaver(),
    )
    outcome = Runner(so, graph, agent="payer").start(
        {"messages": [("user", "go")]}, thread_id="t1"
    )
    assert not outcome.finished
    assert effects.done == []
    so.close()


@SYNC
@pytest.mark.row("B17")
async def test_a_tool_that_does_not_exist_is_not_run_and_says_so(
    bench: MakeBench,
) -> None:
    invented = [turn(call("transfer_everything", "c1", to="eve"))]
    agent = await bench([allow("look"), review("*")], invented)
    await agent.start()
    request = agent.one()
    assert request.note is not None
    assert "no tool of this name" in request.note
    agent.so.decide(request.id, Approve(), by=MARIA, digest=request.digest)
    finished = await agent.resume()
    assert finished.finished
    assert agent.effects.done == []
    (answer,) = answers(finished)
    assert answer.status == "error"
    assert "transfer_everything" in said(answer)


def _raises(_: Action) -> bool:
    raise ZeroDivisionError("division by zero")


def _none_against_number(action: Action) -> bool:
    return bool(action.args.get("currency") > 3)  # type: ignore[operator]  # the mistake itself


def _truthy(action: Action) -> bool:
    return action.args  # type: ignore[return-value]  # the mistake itself


@SYNC
@ONE_KIND
@pytest.mark.row("B18")
@pytest.mark.parametrize("rule", [allow, deny])
@pytest.mark.parametrize(
    ("when", "shown"),
    [
        ("args.amonut < 100", "amonut"),
        ("args.to == null || args.to > 5", "to"),
        ("args.amount", "true or false"),
        ("args.amount < '100'", "failed"),
        (_raises, "division by zero"),
        (_none_against_number, "NoneType"),
        (_truthy, "true or false"),
    ],
)
async def test_a_condition_that_fails_asks_and_shows_why(
    bench: MakeBench,
    rule: Any,  # noqa: ANN401 - one of the rules' functions
    when: Any,  # noqa: ANN401 - a text or a function
    shown: str,
) -> None:
    agent = await bench([rule("pay", when=when), allow("*")], PAY)
    assert not (await agent.start()).finished
    assert agent.effects.done == []
    note = agent.one().note
    assert note is not None
    assert shown in note


@SYNC
@ONE_KIND
@pytest.mark.row("B18")
async def test_the_shown_error_is_in_the_ledger_too(bench: MakeBench) -> None:
    agent = await bench([allow("pay", when="args.amonut < 100")], PAY)
    await agent.start()
    request = agent.one()
    asked = agent.so.history(request.id)[0]
    assert asked.fact.kind == "asked"
    assert asked.fact.body["note"] == request.note


@pytest.mark.row("B18")
def test_a_condition_that_never_returns_a_boolean_still_asks(
    database_url: str,
) -> None:
    """`interrupt_on`'s own `when` fails closed as well."""
    so, effects = Signoff(database_url), Effects()
    config = {"allowed_decisions": ["approve"], "when": lambda _: 1 / 0}
    graph: Any = create_agent(
        Scripted(turns=PAY),
        effects.tools(),
        middleware=[SignoffMiddleware(so, interrupt_on={"pay": config})],
        checkpointer=InMemorySaver(),
    )
    outcome = Runner(so, graph, agent="payer").start(
        {"messages": [("user", "go")]}, thread_id="t1"
    )
    assert not outcome.finished
    assert effects.done == []
    (request,) = so.pending().requests
    assert request.note is not None
    assert "division by zero" in request.note
    so.close()
