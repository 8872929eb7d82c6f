"""What can be registered as an undo, what it covers, and which windows there are."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from signoff import Policy, Rule, hold, reversible
from signoff.domain.errors import InvalidSetting, PolicyError
from signoff.domain.predicates import Condition
from signoff.domain.rules import read_rule
from signoff.domain.undoing import (
    EXACT,
    Effect,
    Undo,
    compensated,
    conflicts,
    intent_of,
    left_over,
    shown_until,
    touched,
)
from signoff.service.propose import Asked
from signoff.service.undos import HandlerFailed
from signoff.service.undos import call as answered
from tests.service.conftest import Opener
from tests.service.making import call
from tests.storage.test_undoing import entry

RULE = reversible("pay", window="10m")


def back(effect: Effect) -> None:
    """Takes nothing back."""


@pytest.mark.parametrize(
    ("covers", "told"),
    [
        ("args.amount < 100", None),
        ("args.amount > 100", "doesn't cover this call"),
        ("args.nothing > 1", "can't tell"),
        (lambda action: action.args["amount"] < 100, None),
        (lambda _action: 1, "can't tell"),
    ],
)
def test_an_undo_covers_what_its_condition_says(
    open_signoff: Opener, covers: Condition, told: str | None
) -> None:
    so = open_signoff(RULE)
    so.add_undo(Undo(tool="pay", undo=back, when=covers))
    request = so.propose(call(amount=10), Asked()).request
    assert (request is None) is (told is None)
    if request is not None:
        assert told is not None
        assert told in (request.note or "")


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        ({"tool": ""}, "name of a tool"),
        ({"version": 0}, "1 or more"),
        ({"version": True}, "1 or more"),
        ({"capture": 7}, "must be a function"),
        ({"undo": None}, "must be a function"),
        ({"resource": "id"}, "names of arguments"),
        ({"label": compensated("")}, "what stays behind"),
    ],
)
def test_what_makes_no_sense_is_refused(wrong: dict[str, Any], told: str) -> None:
    with pytest.raises(InvalidSetting, match=told):
        Undo(**{"tool": "pay", "undo": back, **wrong})


def test_the_decorator_reads_what_people_write(open_signoff: Opener) -> None:
    so = open_signoff(RULE)
    assert so.undo("pay", label="exact", timeout="5s")(back) is back
    found = so.undos.get("pay")
    assert found is not None
    assert (found.spec.label, found.spec.timeout) == (EXACT, timedelta(seconds=5))
    with pytest.raises(InvalidSetting, match="compensated"):
        so.undo("pay", label="mostly")(back)
    with pytest.raises(PolicyError, match="timeout"):
        so.undo("pay", timeout="soon")(back)
    with pytest.raises(PolicyError, match="when="):
        so.undo("pay", when="args.")(back)
    with pytest.raises(InvalidSetting, match="the tool's name"):
        so.undo(back)


@pytest.mark.parametrize("make", [reversible, hold])
@pytest.mark.parametrize(
    ("window", "told"),
    [("0s", "longer than zero"), ("91d", "at most 90 days"), ("1y", "a span such as")],
)
def test_a_window_is_neither_nothing_nor_a_year(
    make: Callable[..., Rule], window: str, told: str
) -> None:
    with pytest.raises(PolicyError, match=told):
        make("pay", window=window)
    assert make("pay", window="90d").window == timedelta(days=90)


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        ({"undoers": []}, "undoers is empty"),
        ({"undoers": "support"}, "list of names"),
        ({"force_by": "lead"}, "list of names"),
        ({"on_untold": "ask"}, "must be"),
    ],
)
def test_a_rule_says_who_may_undo(wrong: dict[str, Any], told: str) -> None:
    with pytest.raises(PolicyError, match=told):
        reversible("pay", window="10m", **wrong)


def test_a_rule_is_read_back_as_it_was() -> None:
    made = reversible(
        "pay", window="10m", undoers=["a"], force_by=["b"], on_untold="finalize"
    )
    assert read_rule(made.describe()) == made
    earlier = {k: v for k, v in RULE.describe().items() if k != "undoers"}
    assert read_rule(earlier) == RULE
    assert Policy([made]).version != Policy([RULE]).version


def test_a_diff_is_of_what_the_effect_changed() -> None:
    done = entry(
        before={"a": 1, "b": 1, "gone": 1}, after={"a": 2, "b": 1, "new": [1.0]}
    )
    assert touched(done.before, done.after) == ("a", "gone", "new")
    assert conflicts(done, {"a": 2, "b": 9, "new": [1.0]}) == ()
    (change,) = conflicts(done, {"a": 2, "b": 1, "new": [True]})
    assert (change.path, change.now) == ("new", [True])
    assert [c.path for c in left_over(done, {"a": 1, "new": [1.0]})] == ["gone", "new"]
    assert left_over(done, {"a": 1, "b": 9, "gone": 1}) == ()
    assert touched(None, {"a": 1}) == ()


def test_the_same_is_meant_by_what_a_call_acts_on() -> None:
    one = intent_of("pay", {"to": "a", "amount": 1}, ("to",))
    assert one == intent_of("pay", {"to": "a", "amount": 2}, ("to",))
    assert one != intent_of("pay", {"to": "b", "amount": 1}, ("to",))
    assert one != intent_of("wire", {"to": "a", "amount": 1}, ("to",))
    assert intent_of("pay", {"to": "a"}, ()) == intent_of("pay", {"to": "b"}, ())


@pytest.mark.parametrize(
    ("window", "shorter"), [(600_000_000, 5_000_000), (8_000_000, 2_000_000)]
)
def test_people_are_shown_a_little_less(window: int, shorter: int) -> None:
    assert shown_until(window, window) == window - shorter


def test_a_function_that_raises_is_told_from_one_that_hangs() -> None:
    def late() -> None:
        raise TimeoutError

    with pytest.raises(HandlerFailed, match="late raised TimeoutError"):
        answered(late, within=timedelta(seconds=10))
