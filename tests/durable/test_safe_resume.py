"""Killed at every write and around the effect: another process brings it to its end."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from datetime import timedelta
from pathlib import Path

import pytest
from langgraph.types import StateSnapshot

from signoff import Signoff, review
from signoff.clock import Clock
from signoff.domain.journal import EntryState
from signoff.langgraph import Runner
from signoff.langgraph._runner import next_input
from tests.conformance.harness import Place, asking, at, in_process, tools
from tests.durable import dying
from tests.langgraph.agents import MARIA, with_create_agent
from tests.postgres import Databases

KILLED = -9
LATER = Clock(offset=timedelta(minutes=5))


MakePlace = Callable[[str], Place]


@pytest.fixture(params=["sqlite", "postgresql"])
def new_place(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[MakePlace]:
    """Makes a folder with a migrated database of its own, of one kind."""
    sqlite: Path = request.getfixturevalue("sqlite_template")
    with ExitStack() as stack:

        def make(name: str) -> Place:
            folder = tmp_path / name
            folder.mkdir()
            if request.param == "postgresql":
                template = request.getfixturevalue("postgres_template")
                servers: Databases = request.getfixturevalue("postgres")
                url = stack.enter_context(servers.fresh(template=template))
                return Place(url, folder)
            shutil.copy(sqlite, folder / "signoff.db")
            return Place(f"sqlite:///{folder / 'signoff.db'}", folder)

        yield make


def steps_of_a_resume(place: Place) -> int:
    """How many there are when nobody is killed."""
    report = place.folder / "steps"
    assert in_process(dying.asked, place) == 0
    assert in_process(dying.resume, place, 0, report) == 0
    assert place.tally.lines == ["pay 10"]
    return int(report.read_text())


@pytest.mark.slow
@pytest.mark.row("A2")
@pytest.mark.row("A16")
@pytest.mark.timeout(600)
def test_killed_at_any_step_it_comes_to_its_end_with_one_effect(
    new_place: MakePlace,
) -> None:
    count = steps_of_a_resume(new_place("whole"))
    assert count >= 10
    unknown = 0
    for last in range(1, count + 1):
        place = new_place(str(last))
        assert in_process(dying.asked, place) == 0
        assert in_process(dying.resume, place, last) == KILLED, last
        unknown += recovered(place, last)
    assert unknown >= 2  # at least before and after the effect


def recovered(place: Place, last: int) -> bool:
    """Another process goes on; whether a person had to say what happened."""
    so = Signoff(place.url, policy=[review("*")], clock=LATER)
    effects = len(place.tally.lines)
    with place.saver() as saver:
        graph = with_create_agent(so, asking(10), tools(place.tally), saver)
        runner = Runner(so, graph, agent="payer")
        runner.run_due()
        open_ones = so.journal(state=EntryState.UNKNOWN)
        for entry in open_ones:
            happened = effects == 1
            so.settle(entry.id, happened=happened, note="looked it up", by=MARIA)
            runner.run_due()
        state: StateSnapshot = graph.get_state(at("t1"))
        assert state.values["messages"][-1].content == "done", last
        assert so.wakeups() == [], last
        assert next_input(state) is None
        runner.resume("t1")  # harmless on a finished thread
        assert graph.get_state(at("t1")).config == state.config
    assert so.audit().holds, last
    so.close()
    assert len(place.tally.lines) == (effects if open_ones else 1), last
    return open_ones != []
