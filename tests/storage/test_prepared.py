"""Statements that go straight to the driver behave as SQLAlchemy's own."""

from typing import Any

import pytest
from sqlalchemy import bindparam, event, select
from sqlalchemy.exc import DBAPIError

from signoff.domain.errors import StorageUnavailable
from signoff.storage import SqlStore, open_store
from signoff.storage import tables as t
from signoff.storage.engine import readers, snapshots
from signoff.storage.prepared import Prepared

PUT = Prepared(t.chains.insert())
FOUND = Prepared(
    select(t.chains.c.seq, t.chains.c.head)
    .where(t.chains.c.thread == bindparam("thread"), t.chains.c.seq > 0)
    .limit(1)
)
END = Prepared(
    "SELECT pg_terminate_backend(pid) AS ended FROM pg_stat_activity "
    "WHERE datname = current_database() AND state = 'idle in transaction'"
)
GONE = Prepared("DELETE FROM chains WHERE thread = :thread")
ROW = {"thread": "100% ?:x", "seq": 1, "head": "é\U0001f600"}


def test_values_go_in_and_come_out_as_they_are(store: SqlStore) -> None:
    with store.engine.begin() as connection:
        assert PUT.run(connection, ROW) == 1
    with readers(store.engine).connect() as connection:
        for _ in range(7):  # also where the driver has prepared it
            assert FOUND.all(connection, {"thread": ROW["thread"]}) == [
                {"seq": 1, "head": ROW["head"]}
            ]
        assert FOUND.first(connection, {"thread": "other"}) is None
    with store.engine.begin() as connection:
        assert GONE.run(connection, {"thread": "other"}) == 0
        assert GONE.run(connection, {"thread": ROW["thread"]}) == 1


def test_a_value_that_is_missing_is_not_null(store: SqlStore) -> None:
    with store.engine.connect() as connection, pytest.raises((KeyError, DBAPIError)):
        FOUND.all(connection, {})


def test_it_is_part_of_the_transaction(store: SqlStore) -> None:
    with store.engine.connect() as connection:
        PUT.run(connection, ROW)
        connection.rollback()
        assert FOUND.all(connection, ROW) == []
        connection.rollback()
    with snapshots(store.engine).connect() as seeing:
        assert FOUND.all(seeing, ROW) == []
        with store.engine.begin() as connection:
            PUT.run(connection, ROW)
        assert FOUND.all(seeing, ROW) == []


def test_an_error_is_sqlalchemys_and_shows_no_values(store: SqlStore) -> None:
    with store.engine.begin() as connection:
        PUT.run(connection, ROW)
    with pytest.raises(DBAPIError) as refused, store.engine.begin() as connection:
        PUT.run(connection, ROW)
    assert refused.type.__name__ == "IntegrityError"
    assert not refused.value.connection_invalidated
    assert "INSERT INTO chains" in str(refused.value.statement)
    assert refused.value.params is None


def test_whoever_listens_hears_of_them(store: SqlStore) -> None:
    heard: list[str] = []

    def note(_c: Any, _r: Any, statement: str, *_: Any) -> None:  # noqa: ANN401 - SQLAlchemy's six arguments
        heard.append(statement)

    event.listen(store.engine, "before_cursor_execute", note)
    with store.engine.begin() as connection:
        assert PUT.run(connection, ROW) == 1
        assert FOUND.first(connection, ROW) == {"seq": 1, "head": ROW["head"]}
    event.remove(store.engine, "before_cursor_execute", note)
    ours = [statement for statement in heard if "chains" in statement]
    assert [statement.split()[0] for statement in ours] == ["INSERT", "SELECT"]


def test_an_interrupt_gives_the_connection_up(
    store: SqlStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody knows how far the statement came."""

    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    with store.engine.connect() as connection:
        PUT.run(connection, ROW)
        monkeypatch.setattr("signoff.storage.prepared._received", interrupted)
        with pytest.raises(KeyboardInterrupt):
            FOUND.all(connection, ROW)
        monkeypatch.undo()
        assert connection.invalidated
    with store.engine.connect() as connection:
        assert FOUND.all(connection, ROW) == []


def wake_on_a_lost_connection(store: SqlStore) -> None:
    with store.writing("t1") as tx:
        with readers(store.engine).connect() as connection:
            assert END.all(connection, {}) == [{"ended": True}]
        tx.wake("clerk")


def test_what_was_lost_beside_it_is_not_used_either(postgres_url: str) -> None:
    """A network that lost one connection says nothing of the others."""
    store = open_store(postgres_url)
    with store.engine.connect() as taken:
        with store.engine.connect() as waiting:
            beside = waiting.connection.driver_connection
        ended = taken.connection.driver_connection
        FOUND.all(taken, ROW)
        with readers(store.engine).connect() as connection:
            assert END.all(connection, {}) == [{"ended": True}]
        with pytest.raises(DBAPIError):
            FOUND.all(taken, ROW)
    with store.engine.connect() as one, store.engine.connect() as other:
        used = {one.connection.driver_connection, other.connection.driver_connection}
        assert not used & {beside, ended}
    store.close()


def test_a_connection_that_is_lost_in_use_is_given_up(postgres_url: str) -> None:
    store = open_store(postgres_url)
    with pytest.raises(StorageUnavailable) as lost:
        wake_on_a_lost_connection(store)
    cause = lost.value.__cause__
    assert isinstance(cause, DBAPIError)
    assert cause.connection_invalidated
    with store.writing("t1") as tx:
        assert tx.wakeup("t1") is None
    store.close()
