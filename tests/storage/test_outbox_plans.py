"""The outbox at 20,000 deliveries: what is due is sought, whatever else there is."""

import re
from collections.abc import Iterator

import pytest
from sqlalchemy import insert

from signoff.domain.notices import Delivery, DeliveryState
from signoff.storage import SqlStore, open_store, rows
from signoff.storage import tables as t
from signoff.storage.engine import readers
from signoff.storage.outbox_reading import due_statement, list_statement, new_statement
from tests.postgres import Databases
from tests.storage.test_plans import plan

DELIVERIES = 20_000
STATES = [DeliveryState.SENT] * 17 + [
    DeliveryState.DEAD,
    DeliveryState.DROPPED,
    DeliveryState.QUEUED,
]


def delivery_row(number: int) -> dict[str, object]:
    """A delivery; nearly all arrived long ago."""
    state = STATES[number % len(STATES)]
    delivery = Delivery(
        id=f"dlv_{number * 7919 % DELIVERIES:024x}",
        notice_id=f"ntc_{number // 4}",
        request_id=f"req_{number // 8}",
        kind="asked" if number // 4 % 2 else "approved",
        seq=number // 4 % 2 + 1,
        channel=f"channel-{number % 3}",
        recipient=f"person-{number % 7}",
        state=state,
        attempts=1,
        queued_at=1_000_000 + number,
        due_at=2_000_000 + number if state is DeliveryState.QUEUED else None,
    )
    return rows.delivery_row(delivery)


def notice_row(number: int) -> dict[str, object]:
    return {
        "id": f"ntc_{number}",
        "kind": "asked",
        "request_id": f"req_{number // 2}",
        "thread": f"thread-{number // 100}",
        "seq": number % 100,
        "at": 1_000_000 + number,
        "body": '{"to": null, "revision": 1}',
        "state": "spread" if number % 50 else "new",
    }


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
        added = [delivery_row(number) for number in range(DELIVERIES)]
        connection.execute(insert(t.deliveries), added)
        notices = [notice_row(number) for number in range(DELIVERIES // 4)]
        connection.execute(insert(t.notices), notices)
    with readers(store.engine).connect() as connection:  # outside of transactions
        for step in ("VACUUM", "ANALYZE"):
            connection.exec_driver_sql(step)
    yield store
    store.close()


ASKED = {
    "due": (due_statement("channel-1", 50), "deliveries"),
    "dead": (list_statement(DeliveryState.DEAD, 50), "deliveries"),
    "listed": (list_statement(None, 50), "deliveries"),
    "new": (new_statement(50), "notices"),
}


@pytest.mark.parametrize("name", ASKED)
def test_it_is_read_from_an_index_in_order(full: SqlStore, name: str) -> None:
    statement, table = ASKED[name]
    with full.engine.connect() as connection:
        shown = plan(connection, statement)
    assert not re.search(rf"SCAN {table}$|TEMP B-TREE", shown, re.MULTILINE), shown
    assert not re.search(rf"Seq Scan on {table}|\bSort Key", shown), shown
    assert re.search(rf"(?i)using (covering )?index {table}_by|Index Scan", shown), (
        shown
    )


def test_the_tables_are_as_large_as_they_say(full: SqlStore) -> None:
    with full.reading() as reading:
        queued = reading.deliveries(state=DeliveryState.QUEUED, limit=DELIVERIES)
        assert len(queued) == DELIVERIES / 20
        assert len(reading.new_notices(DELIVERIES)) == DELIVERIES / 4 / 50
        assert len(reading.due_deliveries("channel-1", 50)) == 50
