"""A policy that is tried on the record: what it says is what it would have said."""

from collections import Counter
from datetime import timedelta

import pytest
from sqlalchemy import text

from signoff import Policy, Signoff, allow, deny, hold, reversible, review
from signoff.domain.errors import InvalidSetting, PayloadRefused
from signoff.domain.simulation import Measured, Simulation
from signoff.service import simulate as simulating
from signoff.service.propose import Asked
from signoff.storage import SqlStore
from tests.service.conftest import Opener
from tests.service.making import call
from tests.service.past import HOSTILE, Historian, History, gate

DAY = timedelta(days=1)
OLD = Policy(
    [
        allow("search_*", when="args.n < 900"),
        review("pay", when="args.amount > 500", approvals=2),
        allow("pay"),
        deny("drop"),
    ]
)
NEW = Policy(
    [
        deny("search_*", when="args.n > 990"),
        allow("search_*"),
        review(
            "pay", when="args.amount > 100", any_of=[{"approvals": 3}, {"approvals": 2}]
        ),
        hold("mail", window="5m"),
        reversible("update", window="5m"),
        review("drop", approvals=2),
        review("odd", when="args.missing > 1"),
    ]
)
TOOLS = ("search_web", "pay", "pay", "drop", "mail", "update", "odd")


def written(so: Signoff, count: int = 4_000) -> History:
    """Calls of every kind, in an order that only the seed knows."""
    past = Historian(so, OLD)
    draw = past.random
    for _ in range(count):
        tool = draw.choice(
            ["search_web", "pay", "pay", "drop", "mail", "update", "odd"]
        )
        past.call(
            tool,
            {"n": draw.randrange(1_000), "amount": draw.randrange(1_000)},
            agent=draw.choice(["clerk", "boss"]),
            ends=draw.choice(["approved", "approved", "rejected", "edited", "expired"]),
            seconds=draw.randrange(1, 600) / 4,
            hours_ago=draw.choice([1, 5, 40]),
        )
    return past.write()


def moves(result: Simulation) -> Counter[tuple[str | None, str, str]]:
    return Counter(
        {
            (tool.tool, move.was, move.now): move.calls
            for tool in result.tools
            for move in tool.moves
        }
    )


def test_every_call_is_judged_as_the_policy_would(so: Signoff) -> None:
    history = written(so)
    result = so.simulate(NEW, since=timedelta(days=3))
    truth = Counter(
        (action.tool, was, NEW.decide(action).verdict.value)
        for action, was in history.calls
    )
    assert moves(result) == truth
    assert result.calls == len(history.calls) == 4_000
    assert (result.version, result.gates, result.unreadable) == (NEW.version, 0, 0)
    assert result.failed == sum(action.tool == "odd" for action, _ in history.calls)
    assert sum(result.verdicts_before.values()) == 4_000
    for verdict, calls in result.verdicts_after.items():
        assert calls == sum(n for (_, _, now), n in truth.items() if now == verdict)
    assert so.simulate(NEW, since=timedelta(days=3)).tools == result.tools


def test_the_decisions_of_people_are_counted_and_timed(so: Signoff) -> None:
    history = written(so)
    result = so.simulate(NEW, since=timedelta(days=3))
    by_tool = {tool.tool: tool for tool in result.tools}
    pay = by_tool["pay"]
    big = [a for a, _ in history.calls if a.tool == "pay" and a.args["amount"] > 500]
    more = [a for a, _ in history.calls if a.tool == "pay" and a.args["amount"] > 100]
    assert pay.before.decisions == 2 * len(big)
    assert pay.after.decisions == pay.calls + len(more)  # at least two, or no rule
    assert (pay.measured, pay.seconds) == (Measured.TOOL, history.median("pay"))
    assert pay.samples == len(history.took["pay"])
    assert pay.before.minutes == pytest.approx(
        2 * len(big) * pay.seconds / 60, abs=0.01
    )
    dropped = by_tool["drop"]
    assert (dropped.measured, dropped.seconds) == (Measured.ALL, history.median())
    assert dropped.after.decisions == 2 * dropped.calls
    held = by_tool["mail"]
    assert (
        held.after.decisions == held.calls
    )  # held calls are asked about in this version
    assert result.before.decisions == sum(t.before.decisions for t in result.tools)
    fixed = so.simulate(NEW, since=timedelta(days=3), seconds_per_decision=30)
    assert {tool.measured for tool in fixed.tools} == {Measured.GIVEN}
    assert fixed.after.minutes == pytest.approx(fixed.after.decisions / 2, abs=0.1)


def test_a_time_and_an_agent_bound_what_is_replayed(so: Signoff) -> None:
    past = Historian(so, OLD)
    for number in range(30):
        past.call("pay", {"amount": 1}, agent="clerk", hours_ago=1 + number)
        past.call("pay", {"amount": 1}, agent="boss", hours_ago=1 + number)
    past.write()
    assert so.simulate(NEW, since=timedelta(hours=10.5)).calls == 20
    assert so.simulate(NEW, since=timedelta(hours=10.5), agent="boss").calls == 10
    assert so.simulate(NEW, since=timedelta(minutes=1)).calls == 0
    assert so.simulate(NEW, since=DAY, agent="nobody' OR 1=1").calls == 0


def test_an_empty_record_is_no_calls_and_no_minutes(so: Signoff) -> None:
    result = so.simulate(NEW, since=DAY)
    assert (result.calls, result.tools, result.untraced) == (0, (), ())
    assert (result.before.minutes, result.after.minutes) == (0, 0)
    assert set(result.verdicts_after.values()) == {0}


def test_gates_and_rows_that_nobody_can_read_are_told_apart(so: Signoff) -> None:
    gate(so)
    so.propose(call("pay"), Asked())
    assert isinstance(so.store, SqlStore)
    past = Historian(so, OLD)
    for _ in range(3):
        past.call("pay", {"amount": 1})
    past.write()
    with so.store.engine.begin() as connection:
        connection.execute(
            text("UPDATE actions SET args = '[1' WHERE call_id IN ('1', '2')")
        )
        connection.execute(text("UPDATE actions SET traits = '[]' WHERE call_id = '3'"))
    result = so.simulate(NEW, since=DAY)
    assert (result.calls, result.gates, result.unreadable) == (1, 1, 3)
    assert [tool.tool for tool in result.tools] == ["pay"]


def test_rules_that_leave_no_trace_are_named(open_signoff: Opener) -> None:
    so = open_signoff(allow("quiet_*", record=False), review("*"))
    so.propose(call("pay"), Asked())
    assert so.simulate(NEW, since=DAY).untraced == ("allow(quiet_*)",)


def test_hostile_names_and_arguments_are_only_data(so: Signoff) -> None:
    past = Historian(so, OLD)
    past.call(HOSTILE, {"text": HOSTILE, HOSTILE: [1.5, None, True]}, agent=HOSTILE)
    past.call("pay", {"amount": 1, "blob": "x" * 50_000})
    past.write()
    result = so.simulate(Policy([deny("*")]), since=DAY)
    examples = {t.tool: t.moves[0].examples[0] for t in result.tools}
    assert set(examples) == {HOSTILE, "pay"}
    assert examples[HOSTILE].agent == HOSTILE
    assert "DROP TABLE" in examples[HOSTILE].args
    assert len(examples["pay"].args) == 2_000
    assert so.simulate(Policy([]), since=DAY, agent=HOSTILE).calls == 1


def test_memory_is_bounded_however_many_tools_a_model_invents(
    so: Signoff, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(simulating, "TOOLS", 10)
    monkeypatch.setattr(simulating, "EXAMPLES", 7)
    monkeypatch.setattr(simulating, "PAGE", 13)
    past = Historian(so, OLD)
    for number in range(200):
        past.call(f"invented_{number}", {"n": number})
    past.write()
    result = so.simulate(Policy([deny("*")]), since=DAY)
    assert result.calls == 200
    assert len(result.tools) == 11
    assert sum(len(m.examples) for t in result.tools for m in t.moves) == 7
    (rest,) = [tool for tool in result.tools if tool.tool is None]
    assert rest.calls == 190


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("since", timedelta(0)),
        ("since", timedelta(days=40_000)),
        ("seconds_per_decision", 0.0),
        ("seconds_per_decision", float("nan")),
        ("examples", 21),
        ("examples", -1),
    ],
)
def test_numbers_out_of_range_are_refused(
    so: Signoff, name: str, value: object
) -> None:
    asked = {"since": DAY, name: value}
    with pytest.raises(InvalidSetting, match=name):
        so.simulate(NEW, **asked)  # type: ignore[arg-type]


def test_a_name_that_no_column_holds_is_refused(so: Signoff) -> None:
    with pytest.raises(PayloadRefused):
        so.simulate(NEW, since=DAY, agent="\0")


def test_nothing_is_written(so: Signoff) -> None:
    written(so, 50)
    before = so.changed()
    events = so.audit().events
    so.simulate(NEW, since=timedelta(days=3))
    assert (so.changed(), so.audit().events) == (before, events)
