"""What is due is sought by its moment: what isn't due yet is never read."""

from collections.abc import Callable
from typing import Any

import pytest
from sqlalchemy import Connection, event

from signoff.ports import Reading
from signoff.storage import SqlStore, open_store

ASKED: dict[str, Callable[[Reading], object]] = {
    "windows that end": lambda reading: reading.closing(5),
    "windows that are open": lambda reading: reading.open_windows(5),
    "undos": lambda reading: reading.undos_due(["tag"], 5),
    "probes": lambda reading: reading.probes_due(["tag"], 5),
    "held calls": lambda reading: reading.releasable(None, 5),
    "what is purged": lambda reading: reading.purgeable(1, 5),
    "wake-ups": lambda reading: reading.wakeups(None, ready=True),
    "turns": lambda reading: reading.lapsed_turns(5),
    "deadlines": lambda reading: reading.due(5),
    "deliveries": lambda reading: reading.due_deliveries("mail", 5),
}


@pytest.mark.parametrize("name", ASKED)
def test_the_clock_is_read_once_and_not_for_every_row(
    postgres_url: str, name: str
) -> None:
    """PostgreSQL seeks no index with a function that it has to call for each row."""
    store = open_store(postgres_url)
    plans = plans_of(store, ASKED[name])
    store.close()
    assert len(plans) == 1
    clocked = [line for line in plans[0] if "clock_timestamp" in line]
    assert len(clocked) == 1
    assert "Output:" in clocked[0], plans[0]


SOUGHT: dict[str, tuple[Callable[[Reading], object], tuple[str, ...]]] = {
    "deadlines": (lambda reading: reading.due(5), ("requests_due",)),
    "windows": (lambda reading: reading.closing(5), ("entries_closing",)),
    "open windows": (lambda reading: reading.open_windows(5), ("entries_closing",)),
    "orphans": (lambda reading: reading.open_ways(), ("entries_closing",)),
    "any effect": (lambda reading: reading.any_effects(), ("entries_closing",)),
    "next": (lambda reading: reading.next_due(), ("requests_due", "entries_closing")),
}


@pytest.mark.parametrize("name", SOUGHT)
def test_sqlite_seeks_it_in_its_own_index_without_statistics(
    sqlite_url: str, name: str
) -> None:
    """It would read every row of that state: all that waits, all that was done."""
    store, (ask, indexes) = open_store(sqlite_url), SOUGHT[name]
    plans = plans_of(store, ask, "EXPLAIN QUERY PLAN")
    store.close()
    lines = [line for plan in plans for line in plan]
    for index in indexes:
        assert any(index in line for line in lines), lines
    assert not any("requests_by_" in line for line in lines), lines
    assert not any("SCAN entries" in line for line in lines), lines


def plans_of(
    store: SqlStore, ask: Callable[[Reading], object], how: str = "EXPLAIN VERBOSE"
) -> list[list[str]]:
    """The plan of each statement that is really sent, line by line."""
    plans: list[list[str]] = []

    def explain(connection: Connection, *sent: Any) -> None:  # noqa: ANN401 - the event's
        _, statement, values, *_ = sent
        if statement.startswith("EXPLAIN"):
            return
        found = connection.exec_driver_sql(f"{how} {statement}", values)
        plans.append([str(row[-1]) for row in found])

    event.listen(store.engine, "before_cursor_execute", explain)
    with store.reading() as reading:
        ask(reading)
    return plans
