"""The inbox's queries at 24,000 requests: an index, in order, nothing read twice."""

import re
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
from sqlalchemy import Connection, Select, event, insert

from signoff import Filter, Status
from signoff.domain.rules import Risk
from signoff.storage import SqlStore, open_store, rows
from signoff.storage import tables as t
from signoff.storage.engine import readers
from signoff.storage.paging import count_statement, cursor_after, page_statement
from tests.postgres import Databases
from tests.storage.making import request

REQUESTS = 24_000
ORDERS = {order: Filter(order=order) for order in ("deadline", "newest", "risk")}
FILTERS = {
    "thread": Filter(thread="thread-7"),
    "agent": Filter(agent="agent-1"),
    "tool": Filter(tool="tool-1"),
    "team": Filter(team="team-1"),
    "assignee": Filter(assignee="person-1"),
    "risk": Filter(risk="high"),
    "approved": Filter(status=Status.APPROVED),
    "history": Filter(status=None, order="newest"),
}
INBOX = {**ORDERS, **FILTERS}


TEMPLATE = rows.request_row(request())


def row_of(number: int) -> dict[str, object]:
    """A request; nine of ten are settled, as in an inbox that has been used."""
    risk = list(Risk)[number % 4]
    own = {
        "id": f"req_{number * 7919 % REQUESTS:020x}",
        "action_id": f"act_{number:032x}",
        "thread": f"thread-{number // 1000}",
        "agent": f"agent-{number % 3}",
        "tool": f"tool-{number % 4}",
        "team": f"team-{number % 5}",
        "assignee": f"person-{number % 9}",
        "risk": risk.value,
        "risk_rank": risk.rank,
        "asked_at": 1_000_000 + number * 977,
        "expires_at": 2_000_000 + number * 977 % 500_000,
        "due_at": 1_500_000 + number * 977 % 500_000,
    }
    settled = {"status": "approved", "settled_at": 5, "settled_by": "ann"}
    return TEMPLATE | own | (settled if number // 7 % 10 else {})


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def full(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[SqlStore]:
    if request.param == "sqlite":
        yield from filled(f"sqlite:///{tmp_path_factory.mktemp('plans') / 'full.db'}")
        return
    postgres: Databases = request.getfixturevalue("postgres")
    with postgres.fresh() as url:
        yield from filled(url)


def filled(url: str) -> Iterator[SqlStore]:
    store = open_store(url)
    with store.engine.begin() as connection:
        connection.execute(insert(t.requests), [row_of(n) for n in range(REQUESTS)])
    with readers(store.engine).connect() as connection:  # outside of transactions
        for step in ("VACUUM", "ANALYZE"):
            connection.exec_driver_sql(step)
    yield store
    store.close()


def plan(connection: Connection, statement: Select[tuple[object]]) -> str:
    """What the database would do, as text."""
    options = {"literal_binds": True}
    asked = str(statement.compile(connection.engine, compile_kwargs=options))
    lite = connection.dialect.name == "sqlite"
    explain = "EXPLAIN QUERY PLAN" if lite else "EXPLAIN"
    found = connection.exec_driver_sql(f"{explain} {asked}")
    return "\n".join(row[3 if lite else 0] for row in found)


BAD = {
    "sqlite": re.compile(r"SCAN requests$|TEMP B-TREE", re.MULTILINE),
    "postgresql": re.compile(r"Seq Scan on requests|Sort Key"),
}


@pytest.mark.parametrize("page", ["first", "next"])
@pytest.mark.parametrize("name", INBOX)
def test_a_page_is_read_from_an_index_in_order(
    full: SqlStore, name: str, page: str
) -> None:
    wanted = INBOX[name]
    with full.engine.connect() as connection:
        if page == "next":
            found = connection.execute(page_statement(wanted)).mappings().all()
            assert len(found) > 3
            wanted = replace(wanted, cursor=cursor_after(wanted, found[2]))
        shown = plan(connection, page_statement(wanted))
        dialect = connection.dialect.name
    assert not BAD[dialect].search(shown), shown
    assert re.search(r"(?i)using (covering )?index requests_by|Index Scan", shown), (
        shown
    )


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize(
    "name", ["thread", "agent", "tool", "team", "assignee", "risk"]
)
def test_a_filter_in_another_order_reads_no_whole_table(
    full: SqlStore, name: str, order: str
) -> None:
    with full.engine.connect() as connection:
        shown = plan(connection, page_statement(replace(FILTERS[name], order=order)))
    assert "Seq Scan on requests" not in shown
    assert not re.search(r"SCAN requests$", shown, re.MULTILINE), shown


@pytest.mark.parametrize("name", [*FILTERS, "deadline"])
def test_a_count_reads_an_index(full: SqlStore, name: str) -> None:
    if name == "history":
        return  # a count of everything reads everything
    with full.engine.connect() as connection:
        shown = plan(connection, count_statement(INBOX[name]))
    if name != "approved":  # nine of ten: PostgreSQL rightly reads the table
        assert "Seq Scan" not in shown, shown
    assert not re.search(r"SCAN requests$", shown, re.MULTILINE), shown


def test_what_is_due_is_sought_not_searched(full: SqlStore) -> None:
    """Also page by page, with the statements that the store really sends."""
    plans: list[str] = []

    def explain(connection: Connection, *sent: Any) -> None:  # noqa: ANN401 - the event's
        _, statement, values, *_ = sent
        if statement.startswith("EXPLAIN"):
            return
        lite = connection.dialect.name == "sqlite"
        how = "EXPLAIN QUERY PLAN" if lite else "EXPLAIN"
        found = connection.exec_driver_sql(f"{how} {statement}", values)
        plans.append("\n".join(row[3 if lite else 0] for row in found))

    event.listen(full.engine, "before_cursor_execute", explain)
    with full.reading() as reading:
        due = reading.due(100)
        later = reading.due(100, due[-1])
        first = reading.next_due()
    event.remove(full.engine, "before_cursor_execute", explain)
    assert [*due, *later] == sorted({*due, *later})
    assert (len(due), len(later), first) == (100, 100, 0)  # it is overdue
    assert ["requests_due" in shown for shown in plans[:3]] == [True] * 3
    for shown in plans:  # the last ones are of entries
        assert not BAD[full.engine.dialect.name].search(shown), shown


def test_the_table_is_as_large_as_it_says(full: SqlStore) -> None:
    with full.reading() as reading:
        assert reading.count(Filter(status=None, order="newest")) == REQUESTS
        assert reading.count(Filter()) == pytest.approx(REQUESTS / 10, rel=0.01)
