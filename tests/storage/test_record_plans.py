"""Replaying reads pages of an index, however long the record is."""

import re
from collections.abc import Iterator

import pytest
from sqlalchemy import insert

from signoff.storage import SqlStore, open_store
from signoff.storage import tables as t
from signoff.storage.engine import readers
from signoff.storage.records import asked_statement, past_statement
from tests.postgres import Databases
from tests.storage.test_plans import plan, row_of

ACTIONS = 20_000
ROW = {
    "message_id": "m",
    "args": '{"n":1}',
    "traits": "{}",
    "verdict": "allow",
    "rule": "allow(*)",
    "policy_version": "v",
    "tool": "search",
}
BAD = {
    "sqlite": re.compile(r"SCAN |USE TEMP B-TREE FOR ORDER BY"),
    # What one moment holds is sorted, after the index gave the order of time.
    "postgresql": re.compile(r"Seq Scan|^ *-> +Sort|^Sort", re.MULTILINE),
}


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def recorded(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[SqlStore]:
    if request.param == "sqlite":
        yield from filled(f"sqlite:///{tmp_path_factory.mktemp('record') / 'full.db'}")
        return
    postgres: Databases = request.getfixturevalue("postgres")
    with postgres.fresh() as url:
        yield from filled(url)


def filled(url: str) -> Iterator[SqlStore]:
    store = open_store(url)
    rows = [
        {
            **ROW,
            "id": f"act_{n * 7919 % ACTIONS:032x}",
            "thread": f"t{n % 100}",
            "call_id": str(n),
            "agent": f"agent-{n % 3}",
            "proposed_at": 1_000 * (n // 10),
        }
        for n in range(ACTIONS)
    ]
    with store.engine.begin() as connection:
        connection.execute(insert(t.actions), rows)
        asked = [{**row_of(n), "action_id": rows[n]["id"]} for n in range(ACTIONS)]
        connection.execute(insert(t.requests), asked)
    with readers(store.engine).connect() as connection:
        for step in ("VACUUM", "ANALYZE"):
            connection.exec_driver_sql(step)
    yield store
    store.close()


@pytest.mark.parametrize("agent", [None, "agent-1"])
@pytest.mark.parametrize("after", [(0, ""), (1_000_000, "act_5")])
def test_a_page_of_calls_is_read_from_the_index_of_time(
    recorded: SqlStore, after: tuple[int, str], agent: str | None
) -> None:
    statement = past_statement(after, until=1_500_000, agent=agent, limit=500)
    with recorded.engine.connect() as connection:
        shown = plan(connection, statement)
        dialect = connection.dialect.name
    assert "actions_by_time" in shown, shown
    assert not BAD[dialect].search(shown), shown


def test_their_requests_are_sought_by_call(recorded: SqlStore) -> None:
    calls = [f"act_{n:032x}" for n in range(500)]
    with recorded.engine.connect() as connection:
        shown = plan(connection, asked_statement(calls))
    assert "requests_by_action" in shown, shown
    assert "Seq Scan" not in shown


def test_pages_hold_every_call_once_in_order(recorded: SqlStore) -> None:
    seen, after = list[tuple[int, str]](), (500_000, "")
    with recorded.reading() as reading:
        while page := reading.past_actions(
            after, until=1_500_000, agent=None, limit=333
        ):
            seen += [(past.at, past.id) for past in page]
            after = seen[-1]
    assert seen == sorted(set(seen))
    assert len(seen) == ACTIONS // 2
