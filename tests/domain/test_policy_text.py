"""Rules written as text are read back as the rules they were."""

from collections.abc import Callable
from datetime import timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from signoff import Policy, Rule, allow, deny, hold, reversible, review
from signoff.domain.errors import PolicyError
from signoff.domain.policy_file import parse_policy
from signoff.domain.policy_text import cel, glob_of, rule_text

NAMES = st.text(
    st.characters(exclude_characters="\0", exclude_categories=["Cs"]), min_size=1
)
WITH_WINDOW: list[Callable[..., Rule]] = [hold, reversible]
TOOLS = st.lists(NAMES, min_size=1, max_size=3)
SPANS = st.integers(1, 10_000_000_000).map(lambda us: timedelta(microseconds=us * 13))
WHEN = st.none() | NAMES.map(lambda text: f"args.x == {cel(text)}")
RULES = st.one_of(
    st.builds(
        lambda tools, when, record: allow(*tools, when=when, record=record),
        TOOLS,
        WHEN,
        st.booleans(),
    ),
    st.builds(
        lambda tools, when, reason: deny(*tools, when=when, reason=reason),
        TOOLS,
        WHEN,
        st.none() | NAMES,
    ),
    st.builds(
        lambda make, tools, window: make(*tools, window=window),
        st.sampled_from(WITH_WINDOW),
        TOOLS,
        SPANS,
    ),
    st.builds(
        lambda tools, when, names, span, count, risk: review(
            *tools,
            when=when,
            any_of=[{"approvals": count, "reviewers": names}, {"approvals": 1}],
            denials=count,
            expires_in=span + timedelta(days=1),
            valid_for=span,
            remind_after=["1h"],
            ladder=[{"after": "2h", "to": names}],
            attempts=count + 1,
            idempotent=True,
            self_approval=True,
            decisions=["approve", "reject"],
            risk=risk,
            name=names[0],
        ),
        TOOLS,
        WHEN,
        TOOLS,
        SPANS,
        st.integers(1, 9),
        st.sampled_from(["low", "high"]),
    ),
)


@settings(max_examples=200)
@given(st.lists(RULES, max_size=4))
def test_what_is_written_is_what_was_meant(rules: list[Rule]) -> None:
    text = "\n".join(rule_text(rule, "\u202ea comment\nof two lines") for rule in rules)
    assert parse_policy(text, "p.toml").version == Policy(rules).version


@given(NAMES, NAMES)
def test_a_glob_of_a_name_names_only_it(name: str, other: str) -> None:
    (rule,) = parse_policy(rule_text(deny(glob_of(name))), "p.toml").rules
    assert Policy([rule]).unmatched([name]) == ()
    assert (Policy([rule]).unmatched([other]) == ()) == (name == other)


def test_only_what_differs_is_written() -> None:
    rule = review("pay", approvals=2, expires_in="4h")
    assert rule_text(rule, "why") == (
        "# why\n"
        "[[rule]]\n"
        'verdict = "review"\n'
        'tools = ["pay"]\n'
        "approvals = 2\n"
        'expires_in = "4h"\n'
    )


def test_a_condition_in_python_cannot_be_written() -> None:
    with pytest.raises(PolicyError, match="in Python"):
        rule_text(deny("pay", when=bool))
