"""A database that can't be used: one clear error, quickly, without its password."""

import socket
from contextlib import ExitStack
from pathlib import Path
from time import monotonic
from typing import Any

import pytest
from psycopg.pq import TransactionStatus
from sqlalchemy import Engine, text

from signoff import Signoff
from signoff.domain.actions import ToolTraits
from signoff.domain.errors import InvalidSetting, StorageUnavailable
from signoff.domain.ledger import Fact
from signoff.ports import KnownTool
from signoff.storage import open_store
from signoff.storage.engine import (
    CONNECT_S,
    brief,
    make_engine,
    read_url,
    readers,
    snapshots,
)
from tests.support import free_port, wait_until


@pytest.mark.parametrize(
    "content", [b"this is no database\n" * 100, b"\0" * 5000, b"SQLite format 3\0junk"]
)
def test_a_file_that_is_no_database(tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "garbage.db"
    file.write_bytes(content)
    with pytest.raises(StorageUnavailable, match="Check the address") as refused:
        Signoff(f"sqlite:///{file}")
    assert str(file) in str(refused.value)
    assert file.read_bytes() == content


@pytest.mark.parametrize("name", ["", "missing/signoff.db"])
def test_a_path_that_is_no_file(tmp_path: Path, name: str) -> None:
    with pytest.raises(StorageUnavailable, match="unable to open database file"):
        Signoff(f"sqlite:///{tmp_path / name}")


def test_a_half_written_file(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'half.db'}"
    open_store(url).close()
    whole = (tmp_path / "half.db").read_bytes()
    (tmp_path / "half.db").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(StorageUnavailable, match="malformed"):
        Signoff(url).audit()


def test_no_server_there() -> None:
    url = f"postgresql://ann:s3cret@127.0.0.1:{free_port()}/signoff"
    with pytest.raises(StorageUnavailable, match="refused") as refused:
        Signoff(url)
    assert "s3cret" not in str(refused.value)
    assert "ann:***@127.0.0.1" in str(refused.value)


def test_a_password_in_the_query_is_not_shown() -> None:
    url = f"postgresql://127.0.0.1:{free_port()}/signoff?user=ann&password=s3cret"
    with pytest.raises(StorageUnavailable) as refused:
        Signoff(url)
    assert "s3cret" not in str(refused.value)


@pytest.mark.slow
def test_a_server_that_does_not_answer() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        started = monotonic()
        with pytest.raises(StorageUnavailable, match="timeout"):
            Signoff(f"postgresql://127.0.0.1:{port}/signoff")
        assert monotonic() - started < CONNECT_S + 10


@pytest.mark.parametrize(
    ("url", "problem"),
    [
        ("", "neither sqlite"),
        ("signoff.db", "neither sqlite"),
        ("mysql://ann:s3cret@host/db", r"//\*\*\*@host/db"),
        ("postgres ql://ann:s3cret@host/db", r"//\*\*\*@host/db"),
        ("http://127.0.0.1:8000", "neither sqlite"),
        ("sqlite://", "in-memory"),
        ("sqlite:///:memory:", "in-memory"),
    ],
)
def test_addresses_of_no_store(url: str, problem: str) -> None:
    with pytest.raises(InvalidSetting, match=problem) as refused:
        make_engine(url)
    assert "s3cret" not in str(refused.value)


@pytest.mark.parametrize("scheme", ["postgresql", "postgres", "postgresql+psycopg"])
def test_spellings_of_postgresql(scheme: str) -> None:
    url = read_url(f"{scheme}://ann@host/db")
    assert url.drivername == "postgresql+psycopg"


def a_tool(name: str) -> KnownTool:
    return KnownTool(
        agent="a", name=name, description="", schema={}, traits=ToolTraits()
    )


def test_a_transaction_that_is_frozen_ends_before_others_give_up(
    postgres_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("signoff.storage.engine.WAIT_S", 4)
    store = open_store(postgres_url)
    with ExitStack() as stack:
        frozen = stack.enter_context(store.writing("t"))
        frozen.add_tools([a_tool("one"), a_tool("two")])
        with store.writing("t") as tx:  # waits, and then it is free
            tx.record(Fact(kind="here", subject="t", body={}))
        frozen.record(Fact(kind="thawed", subject="t", body={}))
        with pytest.raises(StorageUnavailable, match="idle-in-transaction"):
            stack.close()
    with store.reading() as reading:
        kinds = [event.fact.kind for event in reading.events("t")]
    assert kinds == ["here"]
    store.close()


def test_a_transaction_that_goes_on_stops_others_for_a_while_only(
    postgres_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("signoff.storage.engine.WAIT_S", 1)
    store = open_store(postgres_url)
    with store.engine.connect() as busy:
        busy.exec_driver_sql("SET idle_in_transaction_session_timeout = 0")
        busy.exec_driver_sql("INSERT INTO chains VALUES ('t', 0, '')")
        with (
            pytest.raises(StorageUnavailable, match="lock timeout"),
            store.writing("t"),
        ):
            pytest.fail("two transactions hold one thread")
        busy.rollback()
    store.close()


def test_a_server_with_another_isolation_by_default(postgres_url: str) -> None:
    options = "&options=-c%20default_transaction_isolation%3Dserializable"
    store = open_store(f"{postgres_url}{options}")
    with store.engine.connect() as connection:
        found = connection.exec_driver_sql("SHOW transaction_isolation").scalar()
    store.close()
    assert found == "read committed"


def test_one_connection_serves_reads_and_transactions_in_turn(
    postgres_url: str,
) -> None:
    engine = make_engine(postgres_url)
    asked = "SELECT current_setting('transaction_isolation'), pg_backend_pid()"
    idle, within = TransactionStatus.IDLE, TransactionStatus.INTRANS

    def found(mode: Engine) -> tuple[str, int, TransactionStatus]:
        with mode.connect() as connection:
            level, process = connection.exec_driver_sql(asked).one()
            raw: Any = connection.connection.dbapi_connection
            return level, process, raw.info.transaction_status

    modes = (engine, readers(engine), snapshots(engine), readers(engine), engine)
    seen = [found(mode) for mode in modes]
    engine.dispose()
    assert len({process for _, process, _ in seen}) == 1
    read, repeatable = "read committed", "repeatable read"
    assert [(level, status) for level, _, status in seen[::2]] == [
        (read, within),
        (repeatable, within),
        (read, within),
    ]
    assert {status for _, _, status in seen[1::2]} == {idle}


def test_connections_that_the_server_closed_are_replaced(postgres_url: str) -> None:
    store = open_store(postgres_url)
    with store.reading() as first, store.reading() as second:
        assert first.now() <= second.now()
    others = (
        "FROM pg_stat_activity WHERE datname = current_database() "
        "AND backend_type = 'client backend' AND pid <> pg_backend_pid()"
    )
    operator = make_engine(postgres_url)
    with readers(operator).connect() as connection:
        end = text(f"SELECT pg_terminate_backend(pid) {others}")
        assert len(connection.execute(end).all()) >= 2
        count = text(f"SELECT count(*) {others}")
        wait_until(lambda: connection.execute(count).scalar() == 0, "they are closed")
    with store.reading() as reading:
        assert reading.now() > 0
    with store.writing("t1") as tx:
        assert tx.now() > 0
    operator.dispose()
    store.close()


def test_only_turns_are_not_flushed_to_the_disk_at_once(sqlite_url: str) -> None:
    store, levels = open_store(sqlite_url), []
    for engine in (store.engine, brief(store.engine), store.engine):
        with engine.begin() as connection:
            levels.append(connection.exec_driver_sql("PRAGMA synchronous").scalar())
    assert levels == [2, 1, 2]
    store.close()
