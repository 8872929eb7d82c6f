"""Advice from a record whose truth is known: what it supports, and what it doesn't."""

import builtins
from datetime import timedelta
from typing import Any

import pytest

from signoff import Policy, Signoff, allow, review
from signoff.domain.actions import Action, Context, ToolTraits
from signoff.domain.advice import Advice, Direction, Proposal
from signoff.domain.errors import InvalidSetting, MissingExtra
from signoff.domain.journal import EntryState
from signoff.domain.policy_file import parse_policy
from signoff.service import advise as advising
from tests.service.past import HOSTILE, Historian

MONTH = timedelta(days=30)
GENTLE = ToolTraits(destructive=False, open_world=False)
LOOKING = ToolTraits(read_only=True, destructive=False)
POLICY = Policy(
    [
        allow("search_*"),
        review("update_ticket", when="args.n >= 0"),
        review("wire", risk="critical"),
        review("look", risk="low"),
        review("mail", reviewers=["ops"], risk="high"),
        review("never_called"),
        review("odd", when="args.missing > 1"),
    ]
)


def past(so: Signoff) -> Historian:
    so.publish(POLICY)
    return Historian(so, POLICY)


def calls(history: Historian, tool: str, count: int, **how: Any) -> None:  # noqa: ANN401 - as `call`
    for number in range(count):
        history.call(tool, {"n": number}, **how)


def about(advice: Advice, tool: str | None) -> list[Proposal]:
    return [proposal for proposal in advice.proposals if proposal.tool == tool]


def why(advice: Advice, tool: str) -> str:
    (kept,) = [one for one in advice.kept if one.tool == tool]
    return kept.why


def test_a_clean_record_supports_a_move(so: Signoff) -> None:
    history = past(so)
    calls(history, "update_ticket", 212, traits=GENTLE, effect=EntryState.DONE)
    history.write()
    advice = so.advise(since=MONTH)
    (move,) = about(advice, "update_ticket")
    assert (move.direction, move.candidate) == (Direction.LOOSEN, "reversible")
    assert move.evidence.startswith("212 of 212 approved unchanged, median 6 s; with")
    assert move.share == pytest.approx(1 - 0.05 ** (1 / 212))
    assert move.rule == (
        "# right before review(update_ticket)\n"
        "[[rule]]\n"
        'verdict = "reversible"\n'
        'tools = ["update_ticket"]\n'
        'window = "10m"\n'
        'when = "args.n >= 0"\n'
    )
    assert not [word for word in move.cautions if "destructive" in word]
    assert so.policy_log()[0].version == POLICY.version  # nothing was applied


@pytest.mark.parametrize(
    ("clean", "other", "supported"),
    [(99, 0, False), (148, 0, False), (149, 0, True), (234, 1, False), (235, 1, True)],
)
def test_the_bound_decides_and_it_is_exact(
    so: Signoff, clean: int, other: int, *, supported: bool
) -> None:
    history = past(so)
    calls(history, "update_ticket", clean)
    calls(history, "update_ticket", other, ends="edited")
    history.write()
    found = about(so.advise(since=MONTH), "update_ticket")
    assert (len(found) == 1) is supported
    if found:
        assert found[0].share is not None
        assert found[0].share <= 0.02


@pytest.mark.parametrize("ends", ["edited", "rejected", "responded", "expired"])
def test_whatever_was_not_approved_unchanged_counts_against(
    so: Signoff, ends: str
) -> None:
    history = past(so)
    calls(history, "update_ticket", 200)
    calls(history, "update_ticket", 9, ends=ends)
    calls(history, "update_ticket", 50, ends="pending")
    history.write()
    assert about(so.advise(since=MONTH), "update_ticket") == []
    (move,) = about(so.advise(since=MONTH, at_most=0.1), "update_ticket")
    assert move.evidence.startswith("200 of 209 approved unchanged")


def test_critical_risk_and_decisions_nobody_read_support_nothing(so: Signoff) -> None:
    history = past(so)
    calls(history, "wire", 300)
    calls(history, "update_ticket", 300, seconds=1.5)
    calls(history, "mail", 300, effect=EntryState.UNKNOWN)
    history.write()
    advice = so.advise(since=MONTH)
    assert "risk is critical" in why(advice, "wire")
    assert "300 of 300 decisions came within 3 s" in why(advice, "update_ticket")
    assert "300 of 300 effects failed or are unknown" in why(advice, "mail")
    assert all(p.direction is not Direction.LOOSEN for p in advice.proposals)
    (hasty,) = about(advice, "update_ticket")
    assert (hasty.direction, hasty.candidate) == (Direction.TIGHTEN, "review")
    assert "approvals = 2" in hasty.rule
    assert 'when = "args.n >= 0"' in hasty.rule


def test_a_destructive_tool_is_never_loosened_without_saying_so(so: Signoff) -> None:
    history = past(so)
    calls(history, "mail", 200, effect=EntryState.DONE)
    history.write()
    (move,) = about(so.advise(since=MONTH), "mail")
    assert move.cautions[0].startswith("the tool counts as destructive")
    assert "one person alone decided all of them" in move.cautions
    assert 'risk = "high"' in move.rule


def test_a_tool_that_only_looks_may_be_allowed(so: Signoff) -> None:
    history = past(so)
    calls(history, "look", 200, traits=LOOKING)
    history.write()
    (move,) = about(so.advise(since=MONTH), "look")
    assert move.candidate == "allow"


def test_what_should_be_stricter_or_put_right_is_named(so: Signoff) -> None:
    history = past(so)
    calls(history, "search_web", 30, effect=EntryState.DONE)
    calls(history, "search_web", 20, effect=EntryState.FAILED)
    calls(history, "mail", 20, ends="expired")
    calls(history, "stranger", 40)
    calls(history, "odd", 7)
    history.write()
    advice = so.advise(since=MONTH)
    (failing,) = about(advice, "search_web")
    assert failing.direction is Direction.TIGHTEN
    assert "20 of 50 effects failed or are unknown" in failing.evidence
    (silent,) = about(advice, "mail")
    assert "20 of 20 requests expired unanswered" in silent.evidence
    assert 'reviewers = ["ops"]' in silent.rule
    (stranger,) = about(advice, "stranger")
    assert "no rule names it, so all 40 calls" in stranger.evidence
    (odd,) = about(advice, "odd")
    assert "on 7 calls a condition failed" in odd.evidence
    unmatched = [proposal.evidence for proposal in about(advice, None)]
    labels = ("update_ticket", "wire", "look", "never_called")
    assert len(unmatched) == len(labels)
    for label, evidence in zip(labels, unmatched, strict=True):
        assert f"review({label}), matched none of 117 calls" in evidence


def test_each_agent_has_its_own_record(so: Signoff) -> None:
    history = past(so)
    calls(history, "update_ticket", 200, agent="clerk")
    calls(history, "update_ticket", 200, agent="boss", ends="rejected")
    history.write()
    (move,) = about(so.advise(since=MONTH), "update_ticket")
    assert move.agent == "clerk"
    assert 'when = "(args.n >= 0) && (agent == \\"clerk\\")"' in move.rule
    assert so.advise(since=MONTH, agent="boss").proposals == ()
    assert len(so.advise(since=MONTH, agent="clerk").proposals) == 1


def test_hostile_names_stay_names_in_the_rule_to_write(so: Signoff) -> None:
    tool = f'{HOSTILE}*[a]?"\\\n\U000e0001'
    history = past(so)
    calls(history, tool, 160, agent=HOSTILE)
    calls(history, tool, 160, agent="other", ends="rejected")
    history.write()
    moves = [
        p
        for p in so.advise(since=MONTH).proposals
        if p.direction is Direction.LOOSEN and p.tool == tool
    ]
    (move,) = moves
    assert "\u202e" not in move.rule
    assert "\x1b" not in move.rule
    policy = parse_policy(move.rule, "p.toml")
    for agent, name, verdict in (
        (HOSTILE, tool, "reversible"),
        ("other", tool, "review"),
        (HOSTILE, f"{HOSTILE}x", "review"),
    ):
        action = Action(
            context=Context(thread="t", agent=agent),
            message_id="m",
            call_id="c",
            tool=name,
            args={},
        )
        assert policy.decide(action).verdict == verdict


def test_every_rule_it_prints_can_be_read(so: Signoff) -> None:
    history = past(so)
    draw = history.random
    ends = ["approved"] * 40 + ["edited", "rejected", "expired"]
    for _ in range(3_000):
        history.call(
            draw.choice(["update_ticket", "mail", "look", "odd", "new", "search_web"]),
            {"n": 1},
            agent=draw.choice(["clerk", "boss"]),
            ends=draw.choice(ends),
            seconds=draw.choice([1, 5, 60]),
            effect=draw.choice([None, EntryState.DONE, EntryState.FAILED]),
        )
    history.write()
    advice = so.advise(since=MONTH, at_most=0.5)
    assert len(advice.proposals) > 8
    for proposal in advice.proposals:
        assert len(parse_policy(proposal.rule, "p.toml").rules) == 1
    assert so.advise(since=MONTH, at_most=0.5).proposals == advice.proposals


def test_an_empty_record_supports_nothing(so: Signoff) -> None:
    advice = so.advise(since=MONTH)
    assert (advice.tools, advice.proposals, advice.kept) == (0, (), ())


@pytest.mark.parametrize(
    ("name", "value"),
    [("since", timedelta(0)), ("at_most", 0.0), ("at_most", 1.5), ("least", 0)],
)
def test_numbers_out_of_range_are_refused(
    so: Signoff, name: str, value: object
) -> None:
    asked: dict[str, Any] = {"since": MONTH, name: value}
    with pytest.raises(InvalidSetting, match=name):
        so.advise(**asked)


def test_without_scipy_there_is_one_clear_error(
    so: Signoff, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = builtins.__import__

    def without(name: str, *args: Any, **kwargs: Any) -> object:  # noqa: ANN401 - as the built-in
        if name.startswith("scipy"):
            raise ModuleNotFoundError(name=name)
        return real(name, *args, **kwargs)

    advising._bound.cache_clear()  # noqa: SLF001 - its answers would hide the import
    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(MissingExtra, match=r"pip install 'signoff\[advise\]'"):
        so.advise(since=MONTH)
