"""Engines for both databases, and what differs between them."""

from __future__ import annotations

import os
import re
import sqlite3
import threading
import weakref
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

from sqlalchemy import Connection, Engine, create_engine, event
from sqlalchemy.dialects.sqlite.base import SQLiteCompiler
from sqlalchemy.engine import URL, make_url
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.exc import ArgumentError, DBAPIError, NoSuchModuleError, SQLAlchemyError
from sqlalchemy.pool import ConnectionPoolEntry

from signoff.clock import monotonic
from signoff.domain.errors import InvalidSetting, StorageUnavailable
from signoff.storage.liveness import noticing_losses
from signoff.storage.prepared import sent

MODE: Final = "signoff_mode"
WAIT_S: Final = 30
LOCKED_S: Final = 0.005
CONNECT_S: Final = 10
POOL_SIZE: Final = 8
# The begin of a SQLite transaction; a writer's is the default.
_BEGINS: Final = {
    "reading": None,
    "snapshot": "BEGIN",
    "brief": "BEGIN IMMEDIATE",
    None: "BEGIN IMMEDIATE",
}
# The level of a PostgreSQL transaction, in psycopg's numbers: repeatable read, or read
# committed whatever the server's default is: after waiting for the chain's lock, a
# statement must see what was committed meanwhile.
_LEVELS: Final = {"snapshot": 3, None: 2}
_MADE_FOR: Final = "signoff_made_for"
_FLUSHED: Final = "signoff_flushed"

CLOCKS: Final = {
    # Milliseconds: julianday('now') holds them exactly, and stays fixed in a statement.
    "sqlite": (
        "(CAST(ROUND((julianday('now') - 2440587.5) * 86400000.0) AS INTEGER)"
        " * 1000 + {offset})"
    ),
    # Not now(): that is the start of the transaction, stale after waiting for a lock.
    "postgresql": (
        "(CAST(EXTRACT(EPOCH FROM clock_timestamp()) * 1000000 AS BIGINT) + {offset})"
    ),
}


def read_url(url: str) -> URL:
    """Check a store's address and name its driver.

    Raises:
        InvalidSetting: If it isn't sqlite:///file or postgresql://...
    """
    try:
        parsed = make_url(url)
    except ArgumentError:
        raise _not_a_store(url) from None
    name = parsed.get_backend_name()
    if name in {"postgresql", "postgres"}:
        return parsed.set(drivername="postgresql+psycopg")
    if name != "sqlite":
        raise _not_a_store(url)
    if parsed.database in {None, "", ":memory:"}:
        raise InvalidSetting(
            "store", "an in-memory database is lost with the process; name a file."
        )
    return parsed.set(drivername="sqlite+pysqlite")


def make_engine(url: str) -> Engine:
    """An engine with the durability and locking that the promises need."""
    parsed = read_url(url)
    engine = _make(parsed)
    _forget_after_fork(engine)
    return engine


def _make(parsed: URL) -> Engine:
    try:
        if parsed.get_backend_name() == "sqlite":
            return _sqlite(parsed)
        return _postgresql(parsed)
    except (ImportError, NoSuchModuleError) as error:
        raise InvalidSetting(
            "store", "PostgreSQL needs an extra: pip install 'signoff[postgres]'."
        ) from error


def readers(engine: Engine) -> Engine:
    """The same pool, for reads: each statement on its own, no transaction held."""
    return engine.execution_options(**{MODE: "reading"})


def snapshots(engine: Engine) -> Engine:
    """The same pool, for reads that all see one moment; no writer waits for them."""
    return engine.execution_options(**{MODE: "snapshot"})


def brief(engine: Engine) -> Engine:
    """The same pool, for moves whose last ones a failing power may take back.

    Only on SQLite, where it ends every worker too: nobody goes on with a turn that was
    forgotten, and a thread that was woken in vain stays as it is. A killed process
    takes nothing back.
    """
    if engine.dialect.name == "sqlite":
        return engine.execution_options(**{MODE: "brief"})
    return engine


@contextmanager
def storage_errors(engine: Engine) -> Iterator[None]:
    """Turn the driver's errors into StorageUnavailable, with their cause kept."""
    try:
        yield
    except DBAPIError as error:
        raise unavailable(engine.url, error.orig or error) from error
    except SQLAlchemyError as error:
        raise unavailable(engine.url, error) from error


def unavailable(url: URL, error: BaseException) -> StorageUnavailable:
    """The error with the address but not its password."""
    reason = str(error).strip().partition("\n")[0].rstrip(".") or type(error).__name__
    return StorageUnavailable(shown_url(url), reason)


def shown_url(url: URL) -> str:
    """The address without its password, which may stand in two places."""
    open_keys = {key: url.query[key] for key in ("host", "port") if key in url.query}
    plain = url.set(drivername=url.get_backend_name(), query=open_keys)
    return plain.render_as_string(hide_password=True)


def _postgresql(url: URL) -> Engine:
    waits = {} if "connect_timeout" in url.query else {"connect_timeout": CONNECT_S}
    engine = create_engine(
        url,
        pool_size=POOL_SIZE,
        max_overflow=POOL_SIZE,
        pool_use_lifo=True,  # the one that knows the statements
        connect_args=waits,
    )
    event.listen(engine, "connect", _configure_postgresql)
    event.listen(engine, "begin", _begin_postgresql)
    event.listen(engine, "after_cursor_execute", _end_pipeline)
    noticing_losses(engine)
    return engine


def _configure_postgresql(dbapi: DBAPIConnection, _entry: ConnectionPoolEntry) -> None:
    # A worker that is frozen inside a transaction must not stop its thread for ever. So
    # its transaction ends before those who wait for it give up.
    cursor = dbapi.cursor()
    cursor.execute(f"SET lock_timeout = '{WAIT_S}s'")
    idle = WAIT_S * 1000 // 2
    cursor.execute(f"SET idle_in_transaction_session_timeout = '{idle}ms'")
    cursor.close()
    dbapi.commit()


def keep_none(engine: Engine) -> None:
    """Close every connection, and from now on each that another thread gives back."""

    def close(_dbapi: DBAPIConnection | None, entry: ConnectionPoolEntry) -> None:
        entry.close()

    event.listen(engine, "checkin", close)
    engine.dispose()


def _forget_after_fork(engine: Engine) -> None:
    """A child must open connections of its own; two on one socket garble each other."""
    reference = weakref.ref(engine)

    def forget() -> None:
        kept = reference()
        if kept is not None:
            kept.dispose(close=False)

    if hasattr(os, "register_at_fork"):
        os.register_at_fork(after_in_child=forget)


def _sqlite(url: URL) -> Engine:
    engine = create_engine(
        url,
        pool_size=POOL_SIZE,
        max_overflow=POOL_SIZE,
        pool_use_lifo=True,  # the one that has the pages
        connect_args={"timeout": WAIT_S, "check_same_thread": False},
    )
    engine.dialect.statement_compiler = _Compiler
    event.listen(engine, "connect", _configure_sqlite)
    event.listen(engine, "begin", _begin_sqlite)
    return engine


class _Compiler(SQLiteCompiler):
    """Writes `INDEXED BY`, which SQLAlchemy's own leaves out."""

    def get_from_hint_text(
        self,
        table: object,  # noqa: ARG002 - SQLAlchemy gives it
        text: str | None,
    ) -> str | None:
        """What stands after the table's name."""
        return text


def _configure_sqlite(dbapi: sqlite3.Connection, _entry: ConnectionPoolEntry) -> None:
    # The driver's own implicit BEGIN is deferred: a transaction that reads and then
    # writes would fail at once with SQLITE_BUSY_SNAPSHOT whatever the time-out says.
    dbapi.isolation_level = None
    dbapi.execute(f"PRAGMA busy_timeout = {WAIT_S * 1000}")
    _begin_wal(dbapi)
    for pragma in ("synchronous = FULL", "foreign_keys = ON"):
        dbapi.execute(f"PRAGMA {pragma}")


def _begin_wal(dbapi: sqlite3.Connection) -> None:
    # SQLite's busy time-out doesn't hold for the change to WAL: of two processes that
    # open a new file at once, one may be told at once that it is locked.
    until = monotonic() + WAIT_S
    while True:
        try:
            dbapi.execute("PRAGMA journal_mode = WAL")
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode != sqlite3.SQLITE_BUSY or monotonic() > until:
                raise
            threading.Event().wait(LOCKED_S)
        else:
            return


def _begin_sqlite(connection: Connection) -> None:
    mode = _mode(connection)
    begin = _BEGINS[mode]
    if begin is not None:
        _flush(connection, "NORMAL" if mode == "brief" else "FULL")
        sent(connection, begin)


def _begin_postgresql(connection: Connection) -> None:
    # psycopg begins a transaction by itself before its first statement, or none. To set
    # SQLAlchemy's isolation level at each use would cost as much as a statement.
    mode = _mode(connection)
    if connection.info.get(_MADE_FOR, "nothing") == mode:
        return
    dbapi: Any = connection.connection.dbapi_connection
    dbapi.autocommit = mode == "reading"
    if mode in _LEVELS:
        dbapi.isolation_level = _LEVELS[mode]
    connection.info[_MADE_FOR] = mode


def _end_pipeline(
    _connection: Connection,
    cursor: Any,  # noqa: ANN401 - psycopg's
    _statement: str,
    _values: object,
    _context: object,
    executemany: bool,  # noqa: FBT001 - as above
) -> None:
    # psycopg sends many rows in a pipeline and then a flush, after which PostgreSQL no
    # longer notices that the transaction stands idle. Any other statement mends that.
    if executemany:
        cursor.connection.pgconn.exec_(b"")


def _mode(connection: Connection) -> str | None:
    options: Any = connection.get_execution_options()
    mode: str | None = options.get(MODE)
    return mode


def _flush(connection: Connection, level: str) -> None:
    if connection.info.get(_FLUSHED) != level:
        sent(connection, f"PRAGMA synchronous = {level}")
        connection.info[_FLUSHED] = level


def _not_a_store(url: str) -> InvalidSetting:
    shown = re.sub(r"//[^@]*@", "//***@", url)
    return InvalidSetting(
        "store", f"{shown!r} is neither sqlite:///file.db nor postgresql://host/name."
    )
