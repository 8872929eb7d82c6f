"""What an undo needed goes once it can't be used any more, and not before."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import text

from signoff import Signoff
from signoff.clock import Clock
from signoff.domain.journal import Entry
from signoff.domain.ledger import Fact
from signoff.payloads import FolderPayloads
from signoff.storage import SqlStore, open_store
from signoff.storage.engine import CLOCKS
from signoff.storage.purging import purgeable_statement
from tests.payloads.test_payloads import BIG, ENTRY
from tests.storage.test_plans import plan

Made = Callable[..., Entry]


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "payloads"


@pytest.fixture
def so(database_url: str, clock: Clock, folder: Path) -> Iterator[Signoff]:
    opened = Signoff(
        database_url, clock=clock, payloads=str(folder), payload_retention="2h"
    )
    yield opened
    opened.close()


@pytest.fixture
def made(so: Signoff, database_url: str) -> Made:
    """Makes an entry that keeps a large capture, in a state."""

    def make(name: str, state: str, **more: int) -> Entry:
        entry = replace(ENTRY, id=f"ent_{name}", action_id=f"act_{name}", captured=BIG)
        entry = so.undos.keeping.keep_parts(entry, "captured")
        with so.store.writing("t1") as tx:
            started = replace(entry, started_at=tx.now())
            told = Fact(kind="started", subject=entry.id, body={})
            assert tx.add_entry(started, request=None, told=told)
        store: SqlStore = open_store(database_url)
        with store.engine.begin() as connection:
            values = {"state": state, "id": entry.id, "attempts": 1, **more}
            update = "UPDATE entries SET state = :state, attempts = :attempts"
            connection.execute(text(f"{update} WHERE id = :id"), values)
        store.close()
        return entry

    return make


@pytest.mark.row("C16")
@pytest.mark.parametrize("state", ["final", "undone", "cancelled", "failed"])
def test_what_ended_is_removed_after_the_retention(
    so: Signoff, clock: Clock, folder: Path, made: Made, state: str
) -> None:
    entry = made("1", state)
    so.run_due()
    assert so.undos.keeping.read(entry.id, entry.captured) == BIG
    clock.offset = timedelta(hours=2, seconds=1)
    so.run_due()
    with so.store.reading() as reading:
        left = reading.entry(entry.id)
        assert left is not None
        assert left.captured is None
        assert reading.latest_events("t1", 1)[0].fact.kind == "purged"
    assert list(folder.rglob("*")) == []
    so.run_due()
    with so.store.reading() as reading:
        assert [e.fact.kind for e in reading.events("t1")] == ["started", "purged"]


@pytest.mark.parametrize("state", ["done", "undoing", "undo_failed", "unknown"])
def test_what_goes_on_stays(so: Signoff, clock: Clock, made: Made, state: str) -> None:
    entry = made("1", state)
    again = made("2", "failed", attempts=2)
    clock.offset = timedelta(days=100)
    so.run_due()
    for one in (entry, again):
        assert so.undos.keeping.read(one.id, one.captured) == BIG


def test_a_place_that_is_down_holds_up_no_other(
    so: Signoff, clock: Clock, made: Made, monkeypatch: pytest.MonkeyPatch
) -> None:
    down, up = made("1", "final"), made("2", "final")
    clock.offset = timedelta(hours=3)
    purge = FolderPayloads.purge

    def fails(payloads: FolderPayloads, owner: str) -> None:
        if owner == down.id:
            raise PermissionError(owner)
        purge(payloads, owner)

    with monkeypatch.context() as patch:
        patch.setattr(FolderPayloads, "purge", fails)
        so.run_due()
    with so.store.reading() as reading:
        kept = {one: reading.entry(one) for one in (down.id, up.id)}
    assert [e.captured is None for e in kept.values() if e] == [False, True]
    so.run_due()
    with so.store.reading() as reading:
        left = reading.entry(down.id)
    assert left is not None
    assert left.captured is None


def test_what_is_to_be_removed_is_one_look_into_an_index(sqlite_url: str) -> None:
    store = open_store(sqlite_url)
    with store.engine.connect() as connection:
        statement = purgeable_statement(CLOCKS["sqlite"].format(offset=0), 1, 100)
        shown = plan(connection, statement)
    store.close()
    assert "USING INDEX entries_purging" in shown, shown
    assert "SCAN entries" not in shown
    assert "TEMP B-TREE" not in shown, shown
