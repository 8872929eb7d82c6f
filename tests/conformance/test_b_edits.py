"""B1-B2: what a reviewer changes is judged anew, checked, and kept as it was typed."""

from enum import Enum
from typing import Any

import pytest
from langchain_core.tools import tool
from pydantic import BaseModel

from signoff import Approve, Edit, Principal, Status, allow, deny, review
from signoff.domain.errors import InvalidEdit, NotAllowed
from tests.langgraph.agents import MARIA, OTTO, SYNC, Effects, call, said, turn
from tests.langgraph.conftest import MakeBench

CLERK = Principal(id="clerk@example.com")
PAY = [turn(call("pay", "c1", amount=10))]


@pytest.mark.row("B1")
async def test_an_edit_to_a_stricter_tool_asks_again_under_its_rule(
    bench: MakeBench,
) -> None:
    rules = [review("wire", approvals=2, reviewers=["finance"]), review("*")]
    agent = await bench(rules, PAY)
    await agent.start()
    amended = agent.decide(Edit(tool="wire", args={"amount": 9}), by=CLERK)
    assert (amended.status, amended.revision) == (Status.PENDING, 2)
    assert (amended.tool, amended.terms.approvals) == ("wire", 2)
    outcome = await agent.resume()
    assert not outcome.finished
    (pause,) = outcome.waiting
    assert (pause["name"], pause["args"]) == ("wire", {"amount": 9})
    assert pause["signoff"]["digest"] == amended.digest
    # The editor may not approve what his edit became; one who may isn't enough.
    with pytest.raises(NotAllowed):
        agent.decide(Approve(), by=CLERK)
    agent.decide(Approve(), by=MARIA)
    assert not (await agent.resume()).finished
    assert agent.effects.done == []
    agent.decide(Approve(), by=OTTO)
    assert (await agent.resume()).finished
    assert agent.effects.done == [("wire", {"amount": 9, "to": "ana"})]


@pytest.mark.row("B1")
async def test_an_edit_over_a_limit_asks_again(bench: MakeBench) -> None:
    rules = [review("pay", when="args.amount > 1000.0", approvals=2), review("*")]
    agent = await bench(rules, PAY)
    await agent.start()
    assert agent.one().terms.approvals == 1
    amended = agent.decide(Edit(args={"amount": 5000}), by=MARIA)
    assert amended.status is Status.PENDING
    assert not (await agent.resume()).finished
    assert agent.effects.done == []
    agent.decide(Approve(), by=OTTO)
    assert (await agent.resume()).finished
    assert agent.effects.of("pay") == [{"amount": 5000, "to": "ana"}]


@SYNC
@pytest.mark.row("B1")
async def test_an_edit_that_policy_denies_is_refused_and_the_call_still_waits(
    bench: MakeBench,
) -> None:
    rules = [deny("wire", reason="no foreign payments"), review("*")]
    agent = await bench(rules, PAY)
    await agent.start()
    before = agent.one()
    with pytest.raises(InvalidEdit, match="no foreign payments"):
        agent.decide(Edit(tool="wire", args={"amount": 1}))
    assert agent.one() == before
    assert not (await agent.resume()).finished
    assert agent.effects.done == []


@SYNC
@pytest.mark.row("B1")
async def test_an_edit_never_makes_approval_easier(bench: MakeBench) -> None:
    rules = [
        review("pay", when="args.amount > 1000.0", approvals=2, reviewers=["finance"]),
        allow("look", "pay"),
    ]
    agent = await bench(rules, [turn(call("pay", "c1", amount=5000))])
    await agent.start()
    with pytest.raises(NotAllowed):
        agent.decide(Edit(tool="look", args={"what": "x"}), by=CLERK)
    amended = agent.decide(Edit(args={"amount": 1}), by=MARIA)
    assert (amended.status, amended.terms.approvals) == (Status.PENDING, 2)
    assert not (await agent.resume()).finished
    assert agent.effects.done == []


@SYNC
@pytest.mark.row("B1")
async def test_an_edit_to_a_tool_without_a_rule_is_asked_about_like_it(
    bench: MakeBench,
) -> None:
    agent = await bench([review("pay", reviewers=["finance"])], PAY)
    await agent.start()
    amended = agent.decide(Edit(tool="wire", args={"amount": 2}), by=MARIA)
    assert amended.status is Status.APPROVED
    assert amended.rule == "no rule matched"
    await agent.resume()
    assert agent.effects.done == [("wire", {"amount": 2, "to": "ana"})]


@SYNC
@pytest.mark.row("B1")
async def test_an_edit_to_another_agents_tool_is_refused(bench: MakeBench) -> None:
    agent = await bench([review("*")], PAY)
    await agent.start()
    with pytest.raises(InvalidEdit, match="the agent has no tool 'drop_tables'"):
        agent.decide(Edit(tool="drop_tables", args={}))
    assert agent.one().revision == 1


class Currency(Enum):
    """The currencies there are."""

    EUR = "EUR"
    USD = "USD"


class Line(BaseModel):
    """One line of an order."""

    sku: str
    count: int
    price: float | None = None


def order_tool(effects: Effects) -> Any:  # noqa: ANN401 - a tool
    """A tool with a schema of every kind."""

    @tool
    def order(lines: list[Line], currency: Currency, urgent: bool = False) -> str:  # noqa: FBT001, FBT002 - a tool's argument
        """Order some lines."""
        effects.done.append(
            ("order", {"lines": lines, "currency": currency, "urgent": urgent})
        )
        return "ordered"

    return order


ORDER = {"lines": [{"sku": "7", "count": 1}], "currency": "EUR"}


@pytest.mark.row("B2")
async def test_edited_values_keep_their_types(bench: MakeBench) -> None:
    effects = Effects()
    agent = await bench(
        [review("*")], [turn(call("order", "c1", **ORDER))], tools=[order_tool(effects)]
    )
    await agent.start()
    lines = [
        {"sku": "007", "count": 3, "price": 2.5},
        {"sku": "true", "count": 0, "price": None},
    ]
    args = {"lines": lines, "currency": "USD", "urgent": True}
    agent.decide(Edit(args=args))
    finished = await agent.resume()
    assert finished.finished
    ((_, ran),) = effects.done
    assert ran["lines"] == [
        Line(sku="007", count=3, price=2.5),
        Line(sku="true", count=0),
    ]
    assert ran["lines"][1].price is None
    assert ran["currency"] is Currency.USD
    assert ran["urgent"] is True
    (request,) = agent.so.thread("t1")
    assert request.args == args
    assert said(finished.values["messages"][-2]).endswith("ordered")


UNFIT: list[tuple[dict[str, Any], str]] = [
    ({**ORDER, "lines": [{"sku": "7", "count": "three"}]}, "args.lines[0].count"),
    ({**ORDER, "lines": [{"sku": 7, "count": 1}]}, "args.lines[0].sku"),
    ({**ORDER, "urgent": "yes"}, "args.urgent"),
    ({**ORDER, "currency": "GBP"}, "args.currency"),
    ({"lines": []}, "currency"),
    ({**ORDER, "urgnet": True}, "did you mean 'urgent'"),
    ({**ORDER, "lines": "[]"}, "args.lines"),
    ({**ORDER, "lines": [{"sku": "7", "count": 2**60}]}, "2^53"),
]


@SYNC
@pytest.mark.row("B2")
async def test_an_edit_that_does_not_fit_the_tool_is_refused_and_the_call_waits(
    bench: MakeBench,
) -> None:
    effects = Effects()
    agent = await bench(
        [review("*")], [turn(call("order", "c1", **ORDER))], tools=[order_tool(effects)]
    )
    await agent.start()
    before = agent.one()
    for args, named in UNFIT:
        with pytest.raises(InvalidEdit) as refused:
            agent.decide(Edit(args=args))
        assert named in str(refused.value)
        assert agent.one() == before
    agent.decide(Approve())
    assert (await agent.resume()).finished
    assert len(effects.done) == 1
