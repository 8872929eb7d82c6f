"""Migrations: by four processes at once, never backwards, the same as the tables."""

import subprocess
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import Connection, Engine, event, inspect, text

from signoff.domain.errors import SchemaTooNew
from signoff.storage import tables
from signoff.storage.engine import make_engine
from signoff.storage.migrate import _LOCK, migrate, migrations, schema_version
from tests.forked import forked

OPEN = """
import sys
from signoff.storage import open_store
print("ready", flush=True)
sys.stdin.readline()
open_store(sys.argv[1]).close()
"""


def test_a_new_file_may_be_opened_by_many_at_once(tmp_path: Path) -> None:
    together = threading.Barrier(8)

    def open_new(url: str) -> None:
        engine = make_engine(url)
        together.wait(timeout=30)
        with engine.connect():
            engine.dispose()

    with ThreadPoolExecutor(8) as people:
        for number in range(100):
            url = f"sqlite:///{tmp_path / f'{number}.db'}"
            list(people.map(open_new, [url] * 8))  # none raises "database is locked"


def test_four_processes_start_at_once(empty_database_url: str) -> None:
    pipe = subprocess.PIPE
    for _ in range(3):  # the later ones find it done
        starters = [
            forked(
                *("-c", OPEN, empty_database_url), stdin=pipe, stdout=pipe, stderr=pipe
            )
            for _ in range(4)
        ]
        for starter in starters:
            assert starter.stdout is not None
            assert starter.stdout.readline() == "ready\n"
        for starter in starters:
            assert starter.stdin is not None
            starter.stdin.write("go\n")
            starter.stdin.flush()
        ends = [(s.communicate(timeout=60)[1], s.returncode) for s in starters]
        assert ends == [("", 0)] * 4
    engine = make_engine(empty_database_url)
    with engine.connect() as connection:
        applied = connection.execute(text("SELECT number FROM signoff_schema")).all()
    assert [tuple(row) for row in applied] == [
        (m.number,) for m in migrations(engine.dialect.name)
    ]
    engine.dispose()


def test_they_say_what_they_do(empty_database_url: str) -> None:
    engine = make_engine(empty_database_url)
    said: list[str] = []
    assert schema_version(engine) == 0
    latest = migrate(engine, said.append)
    assert said[0] == "applying 0001 first"
    steps = migrations(engine.dialect.name)
    assert schema_version(engine) == latest == steps[-1].number
    assert len(said) == len(steps)
    assert migrate(engine, said.append) == latest
    assert len(said) == len(steps)
    engine.dispose()


def test_both_databases_have_the_same_steps() -> None:
    steps = [
        [(m.number, m.name) for m in migrations(d)] for d in ("sqlite", "postgresql")
    ]
    assert steps[0] == steps[1]
    numbers = [number for number, _ in steps[0]]
    assert numbers == sorted(set(numbers))


def test_a_newer_schema_is_left_alone(database_url: str) -> None:
    engine = make_engine(database_url)
    with engine.begin() as connection:
        connection.execute(text("INSERT INTO signoff_schema VALUES (99, 'future')"))
    with pytest.raises(SchemaTooNew, match="schema 99, this signoff knows up to"):
        migrate(engine)
    assert schema_version(engine) == 99
    engine.dispose()


def test_a_current_schema_needs_no_lock(database_url: str) -> None:
    busy, opening = make_engine(database_url), make_engine(database_url)
    event.listen(opening, "begin", _soon)
    with busy.begin() as connection:  # SQLite's only writer
        if busy.dialect.name == "postgresql":
            connection.execute(text(f"SELECT pg_advisory_xact_lock({_LOCK})"))
        assert migrate(opening) == schema_version(opening)
    busy.dispose()
    opening.dispose()


def _soon(connection: Connection) -> None:
    """Give up at once, instead of after half a minute."""
    raw: Any = connection.connection.dbapi_connection
    short = "PRAGMA busy_timeout = 100"
    if connection.dialect.name == "postgresql":
        short = "SET lock_timeout = '100ms'"
    raw.cursor().execute(short)


def test_the_migrations_make_the_tables(database_url: str) -> None:
    engine = make_engine(database_url)
    with engine.connect() as connection:
        context = MigrationContext.configure(
            connection, opts={"compare_type": True, "include_name": _ours}
        )
        differences = compare_metadata(context, tables.metadata)
    engine.dispose()
    assert differences == []


def _ours(name: str | None, kind: str, _parents: object) -> bool:
    return (kind, name) != ("table", "signoff_schema")


def test_the_comparison_finds_differences(database_url: str) -> None:
    engine = make_engine(database_url)
    with engine.begin() as connection:
        connection.execute(text("DROP INDEX requests_by_deadline"))
        connection.execute(text("ALTER TABLE votes ADD COLUMN extra TEXT"))
    with engine.connect() as connection:
        context = MigrationContext.configure(connection)
        differences = compare_metadata(context, tables.metadata)
    engine.dispose()
    assert {difference[0] for difference in differences} >= {
        "add_index",
        "remove_column",
    }


def test_every_column_is_null_where_the_table_says(database_url: str) -> None:
    engine: Engine = make_engine(database_url)
    inspector = inspect(engine)
    for table in tables.metadata.tables.values():
        nullable = {c["name"]: c["nullable"] for c in inspector.get_columns(table.name)}
        assert nullable == {c.name: c.nullable for c in table.columns}, table.name
    engine.dispose()
