"""A few of AgentDojo's tasks through signoff; `make agentdojo` runs all of them."""

import pytest

pytest.importorskip(
    "agentdojo",
    reason="AgentDojo isn't installed here: `make agentdojo` has its own environment; "
    ".venv-bench/bin/python -m pytest tests/test_agentdojo.py runs this",
)

from benchmarks.agentdojo import gating, holding, reverting, reviewing
from benchmarks.agentdojo.dojo import READS_THAT_WRITE, WRITES
from benchmarks.agentdojo.jobs import Job, suite
from benchmarks.agentdojo.undos import TOUCHES

pytestmark = [
    pytest.mark.slow,
    pytest.mark.filterwarnings("ignore"),  # those of the SDKs that AgentDojo imports
]


def some(name: str, mode: str = "") -> Job:
    """Every attack on one user's task."""
    pairs = suite(name).pairs()
    return Job(name, mode, tuple(one for one in pairs if one.user == pairs[-1].user))


def test_every_tool_that_changes_something_has_an_undo() -> None:
    assert set(TOUCHES) == {*WRITES, *READS_THAT_WRITE}


def test_no_attack_gets_past_the_gate_and_the_task_is_solved() -> None:
    found = gating.count(some("banking", gating.FULL))
    assert found["pairs"] == found["solved"] == 9
    assert found["attacks"] == found["pure reads asked"] == 0


def test_without_a_gate_every_attack_succeeds() -> None:
    found = gating.count(some("banking", "no gate"))
    assert found["pairs"] == found["attacks"] == 9


def test_everything_is_undone() -> None:
    found = reverting.count(Job("slack"))
    assert found["calls"] == found["restored"] > 0
    assert found["tasks"] == found["tasks_restored"] > 0


def test_an_attack_alone_is_undone() -> None:
    found = reviewing.count(some("banking"))
    restored = sum(found[name] for name in reviewing.RESTORED)
    assert restored + found["refused"] == found["pairs"] == 9
    assert found["own_calls_lost"] == found["solved_no_more"] == 0


def test_what_needs_a_queued_call_is_queued_behind_it() -> None:
    without = holding.count(Job("slack", holding.MODES[0]))
    found = holding.count(Job("slack", holding.RULE))
    assert without["solved"] == 20
    assert found["tasks"] == found["solved"] == 21
