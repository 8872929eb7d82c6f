"""Policy: ordered rules, the first match wins, and every doubt asks."""

import functools
import re
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from signoff import (
    Action,
    Context,
    Policy,
    Rule,
    Verdict,
    allow,
    deny,
    hold,
    reversible,
    review,
)
from signoff.domain.actions import ToolTraits
from signoff.domain.errors import PolicyError
from signoff.domain.rules import read_rule


def act(tool: str = "pay", *, traits: ToolTraits | None = None, **args: Any) -> Action:  # noqa: ANN401 - JSON
    return Action(
        context=Context(thread="t1", agent="clerk", user="uma", team="ops"),
        message_id="m",
        call_id="c",
        tool=tool,
        args=args,
        traits=ToolTraits() if traits is None else traits,
    )


@pytest.mark.parametrize(
    ("rules", "tool", "verdict"),
    [
        ([], "pay", "review"),
        ([allow("pay")], "pay", "allow"),
        ([allow("pay")], "pay2", "review"),
        ([allow("pay")], "Pay", "review"),
        ([allow("search_*")], "search_web", "allow"),
        ([allow("search_*")], "research_web", "review"),
        ([allow("read_?")], "read_1", "allow"),
        ([allow("read_?")], "read_12", "review"),
        ([allow("read_[ab]")], "read_b", "allow"),
        ([allow("a", "b*")], "bx", "allow"),
        ([deny("*"), allow("pay")], "pay", "deny"),
        ([allow("pay"), deny("*")], "pay", "allow"),
        ([review("pay"), allow("*")], "pay", "review"),
        ([reversible("pay", window="10m")], "pay", "reversible"),
        ([hold("pay", window="10m")], "pay", "hold"),
        ([allow("pay\nload")], "pay\nload", "allow"),
        ([allow("pay")], "pay\n", "review"),
        ([allow("pay|*")], "anything", "review"),
        ([allow(".*")], "anything", "review"),
    ],
)
def test_the_first_match_wins(rules: list[Rule], tool: str, verdict: str) -> None:
    assert Policy(rules).decide(act(tool)).verdict is Verdict(verdict)


@pytest.mark.row("B17")
@given(st.text(max_size=30))
def test_an_unlisted_tool_is_held(tool: str) -> None:
    policy = Policy([allow("search_web"), allow("read_file")])
    if tool not in {"search_web", "read_file"}:
        assert policy.decide(act(tool)).verdict is Verdict.REVIEW
    assert Policy([]).decide(act(tool)).verdict is Verdict.REVIEW


@pytest.mark.row("B17")
def test_a_typo_in_a_rule_holds_and_is_found() -> None:
    policy = Policy([deny("send_emial"), review("pay", "delete_*"), allow("search_*")])
    assert policy.decide(act("send_email")).verdict is Verdict.REVIEW
    tools = ["send_email", "pay", "delete_file", "search_web"]
    assert [rule.label for rule in policy.unmatched(tools)] == ["deny(send_emial)"]
    assert policy.unmatched([*tools, "send_emial"]) == ()


@pytest.mark.parametrize(
    ("when", "args", "matches"),
    [
        ("args.amount > 1000", {"amount": 1001}, True),
        ("args.amount > 1000", {"amount": 1000.5}, True),
        ("args.amount > 1000", {"amount": 1000}, False),
        ("args.amount > 1000.0", {"amount": 1001}, True),
        ("args.to.endsWith('@corp.example')", {"to": "a@corp.example"}, True),
        ("args.items.all(i, i.n < 3)", {"items": [{"n": 1}, {"n": 2}]}, True),
        ("args.items.exists(i, i.n > 3)", {"items": [{"n": 1}]}, False),
        ("has(args.force) && args.force", {}, False),
        ("has(args.force) && args.force", {"force": True}, True),
        ("tool.destructive && !tool.read_only", {}, True),
        ("tool.name == 'pay'", {}, True),
        ("thread == 't1' && agent == 'clerk' && team == 'ops'", {}, True),
        ("user == 'uma'", {}, True),
        ("user == null", {}, False),
    ],
)
def test_a_cel_condition(when: str, args: dict[str, Any], matches: bool) -> None:  # noqa: FBT001 - a table
    ruling = Policy([deny("*", when=when), allow("*")]).decide(act(**args))
    assert ruling.error is None
    assert (ruling.verdict is Verdict.DENY) is matches


def boom(_: Action) -> bool:
    raise RuntimeError("the rate service is away")


@pytest.mark.row("B18")
@pytest.mark.parametrize(
    ("when", "args", "error"),
    [
        (
            "args.amount > 1000",
            {"sum": 5},
            "'amount', but the arguments are: sum",
        ),
        ("args.amount > 1000", {}, "the arguments are: none"),
        ("args.amount > 1000", {"amount": None}, "No such overload"),
        ("args.amount > 1000", {"amount": "5000"}, "No such overload"),
        ("args.amount", {"amount": 5}, "gave 5 where true or false is needed"),
        ("args.amount", {"amount": None}, "gave None where true or false"),
        ("args.n / 0 > 1", {"n": 1}, "division by zero"),
        ("args.l[3] == 1", {"l": [1]}, "index out of bounds"),
        ("unknown(args.n)", {"n": 1}, "failed: "),
        (boom, {}, "RuntimeError: the rate service is away"),
        (lambda action: action.args["nope"], {"x": 1}, "reads 'nope'"),
        (lambda action: action.args["n"], {"n": 1}, "gave 1 where true or false"),
        (lambda _: None, {}, "gave None where true or false"),
    ],
)
@pytest.mark.parametrize("make", [allow, deny, review])
def test_a_condition_that_fails_asks_and_says_why(
    make: Any,  # noqa: ANN401 - a maker of rules
    when: Any,  # noqa: ANN401 - either kind
    args: dict[str, Any],
    error: str,
) -> None:
    rule = make("pay", when=when)
    ruling = Policy([rule, allow("*")]).decide(act(**args))
    assert ruling.verdict is Verdict.REVIEW
    assert ruling.error is not None
    assert ruling.error.startswith(rule.label)
    assert error in ruling.error


def test_a_failing_review_keeps_its_own_terms() -> None:
    policy = Policy([review("pay", when="args.x > 1", approvals=3)])
    assert policy.decide(act()).rule.approvals == 3


@pytest.mark.parametrize(
    ("make", "problem"),
    [
        (allow, "names no tool"),
        (lambda: allow(""), "tool names are texts"),
        (lambda: allow(["pay"]), r"allow\(\['pay'\]\): tool names"),  # type: ignore[arg-type]
        (lambda: review("p", approvals=0), "approvals must be 1 or more, not 0"),
        (lambda: review("p", approvals="2"), "approvals must be 1 or more, not '2'"),  # type: ignore[arg-type]
        (lambda: review("p", approvals=True), "approvals must be 1 or more, not True"),
        (lambda: review("p", attempts=1.5), "attempts must be 1 or more"),  # type: ignore[arg-type]
        (lambda: review("p", reviewers=[]), "nobody could approve"),
        (lambda: review("p", reviewers="finance"), r"a list of names: \['finance'\]"),
        (lambda: review("p", escalate_to=[]), "escalate_to is empty"),
        (lambda: review("p", decisions=[]), "decisions must be some of"),
        (lambda: review("p", decisions=["yes"]), "some of approve, reject, edit"),
        (lambda: review("p", decisions="approve"), "decisions must be some"),
        (lambda: review("p", risk="huge"), "risk must be one of low, medium"),
        (lambda: review("p", expires_in="soon"), "expires_in must be a span"),
        (lambda: review("p", valid_for="0s"), "valid_for must be longer than zero"),
        (lambda: hold("p", window="-1m"), "window must be a span"),
        (lambda: Policy([review("p", when="args.")]), "when='args.': Failed to parse"),
        (lambda: Policy([review("p", when="")]), "when='': Failed to parse"),
        (lambda: Policy([review("p", when="arg.n > 1")]), "names 'arg'; it may use"),
        (lambda: Policy([review("p", when=3)]), "when= takes a CEL text"),  # type: ignore[arg-type]
        (lambda: Policy([review("p", when=later)]), "this one is async"),  # type: ignore[arg-type]
        (lambda: Policy(["pay"]), "A policy is a list of rules"),  # type: ignore[list-item]
    ],
)
def test_a_rule_that_makes_no_sense_is_refused(make: Any, problem: str) -> None:  # noqa: ANN401 - a maker
    with pytest.raises(PolicyError, match=problem):
        make()


async def later(_: Action) -> bool:
    return True


RULES = [
    allow("search_*", record=False),
    review(
        "pay",
        when="args.amount > 1000",
        approvals=2,
        reviewers=["finance"],
        expires_in="4h",
        valid_for="10m",
        escalate_to=["cfo"],
        escalate_after="2h",
        decisions=["approve", "reject"],
        attempts=3,
        idempotent=True,
        self_approval=True,
        risk="high",
        name="big payments",
    ),
    reversible("update", window="10m"),
    hold("send", window="15m", when="true"),
    deny("rm", reason="never"),
]


def test_what_is_described_reads_back_the_same() -> None:
    again = [read_rule(rule.describe()) for rule in RULES]
    assert again == RULES
    assert Policy(again).version == Policy(RULES).version


def test_a_description_from_before_a_setting_reads_as_it_was_meant() -> None:
    newer = {"any_of", "denials", "remind_after", "ladder", "on_expiry", "hours"}
    rule = review("pay", reviewers=["finance"], approvals=2, expires_in="4h")
    did_nothing = {"escalate_to": ["cfo"]}
    described = rule.describe()
    assert newer <= described.keys()
    older = {name: said for name, said in described.items() if name not in newer}
    assert read_rule({**older, **did_nothing}) == read_rule(older) == rule
    with pytest.raises(KeyError, match="approvals"):
        read_rule({k: v for k, v in older.items() if k != "approvals"})


def test_a_python_condition_reads_back_as_a_question() -> None:
    policy = Policy([allow("pay", when=lambda _: True), deny("rm")])
    again = Policy([read_rule(rule.describe()) for rule in policy.rules])
    assert again.version == policy.version
    assert policy.decide(act()).verdict is Verdict.ALLOW
    asked = again.decide(act())
    assert asked.verdict is Verdict.REVIEW
    assert "Python code of the agent's own process" in (asked.error or "")
    assert again.decide(act("rm")).verdict is Verdict.DENY


def over(limit: int) -> Policy:
    return Policy([review("pay", when=lambda action: action.args["n"] > limit)])


def test_the_version_changes_with_what_the_rules_do() -> None:
    versions = {
        Policy(RULES).version,
        Policy(RULES[1:]).version,
        Policy(RULES[::-1]).version,
        Policy([]).version,
        over(1).version,
        over(2).version,
    }
    assert len(versions) == 6
    assert over(1).version == over(1).version
    assert Policy([review("a", when=functools.partial(boom))]).version != "x"
    assert all(re.fullmatch("[0-9a-f]{16}", version) for version in versions)


def test_a_rule_has_stated_defaults() -> None:
    rule = review("pay")
    assert rule.expires_in == timedelta(days=7)
    assert (rule.approvals, rule.attempts, rule.idempotent) == (1, 1, False)
    assert (rule.reviewers, rule.valid_for, rule.self_approval) == (None, None, False)
