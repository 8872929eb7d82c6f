"""Numbered migrations, a file for each database; safe when several processes start."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import resources
from typing import Final

from sqlalchemy import Connection, Engine, inspect, text

from signoff.domain.errors import SchemaTooNew
from signoff.storage.engine import readers, storage_errors

_FILE: Final = re.compile(r"(\d{4})_([a-z0-9_]+)\.(sqlite|postgresql)\.sql")
_LOCK: Final = 0x5167_0FF0  # any number that no other program on the server uses


@dataclass(frozen=True, slots=True, kw_only=True)
class Migration:
    """One step of the schema."""

    number: int
    name: str
    sql: str


def migrations(dialect: str) -> tuple[Migration, ...]:
    """All migrations for a database, in order."""
    found = []
    folder = resources.files("signoff.storage") / "migrations"
    for file in folder.iterdir():
        match = _FILE.fullmatch(file.name)
        if match and match[3] == dialect:
            sql = file.read_text(encoding="utf-8")
            found.append(Migration(number=int(match[1]), name=match[2], sql=sql))
    return tuple(sorted(found, key=lambda migration: migration.number))


def migrate(engine: Engine, say: Callable[[str], None] = lambda _: None) -> int:
    """Bring the schema up to date and return its number.

    Four processes may do this at once: one works, the others wait and find it done.

    Raises:
        SchemaTooNew: If a newer signoff migrated this database; nothing is changed.
        StorageUnavailable: If the database can't be opened.
    """
    known = migrations(engine.dialect.name)
    newest = known[-1].number
    # As a rule there is nothing to do, and whoever holds the lock isn't waited for.
    if schema_version(engine) == newest:
        return newest
    with storage_errors(engine), _alone(engine) as connection:
        found = _version(connection)
        if found > newest:
            raise SchemaTooNew(found, newest)
        for migration in (one for one in known if one.number > found):
            say(f"applying {migration.number:04d} {migration.name}")
            _apply(connection, migration)
    return newest


def schema_version(engine: Engine) -> int:
    """The number of the last migration that was applied; 0 for an empty database."""
    with storage_errors(engine), readers(engine).connect() as connection:
        return _version(connection)


@contextmanager
def _alone(engine: Engine) -> Iterator[Connection]:
    # On PostgreSQL the lock comes first: CREATE TABLE IF NOT EXISTS from two sessions
    # fails in the catalogue. On SQLite the transaction itself (IMMEDIATE) is the lock.
    with engine.begin() as connection:
        if engine.dialect.name == "postgresql":
            connection.execute(text(f"SELECT pg_advisory_xact_lock({_LOCK})"))
        yield connection


def _version(connection: Connection) -> int:
    if not inspect(connection).has_table("signoff_schema"):
        return 0
    found = connection.execute(text("SELECT MAX(number) FROM signoff_schema")).scalar()
    return int(found or 0)


def _apply(connection: Connection, migration: Migration) -> None:
    connection.exec_driver_sql(
        "CREATE TABLE IF NOT EXISTS signoff_schema "
        "(number INTEGER PRIMARY KEY, name TEXT NOT NULL)"
    )
    for statement in migration.sql.split(";\n"):
        if statement.strip():
            connection.exec_driver_sql(statement)
    connection.execute(
        text("INSERT INTO signoff_schema (number, name) VALUES (:number, :name)"),
        {"number": migration.number, "name": migration.name},
    )
