"""How a process notices what others change in the database that they share."""

from __future__ import annotations

import sqlite3
from typing import Final

from sqlalchemy import Engine
from sqlalchemy.engine.interfaces import DBAPIConnection

from signoff.domain.errors import StorageUnavailable
from signoff.ports import Watch
from signoff.storage.engine import unavailable

SQLITE_S: Final = 0.03
POSTGRESQL_S: Final = 0.25


class FileWatch:
    """Asks SQLite for its counter of commits, which costs microseconds.

    It has a connection of its own: the counter leaves out the connection's own commits.
    """

    every = SQLITE_S

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._connection: DBAPIConnection | None = None
        self._seen: int | None = None

    def changed(self) -> bool:
        """Whether anybody committed since the last call.

        Raises:
            StorageUnavailable: The file can't be read.
        """
        try:
            seen = self._count()
        except sqlite3.Error as error:
            self.close()
            raise self._failed(error) from error
        changed, self._seen = seen != self._seen, seen
        return changed

    def close(self) -> None:
        """Let go of the file."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _count(self) -> int:
        if self._connection is None:
            dialect = self._engine.dialect
            args, more = dialect.create_connect_args(self._engine.url)
            self._connection = dialect.connect(*args, **more)
        cursor = self._connection.cursor()
        cursor.execute("PRAGMA data_version")
        (count,) = cursor.fetchone() or (0,)
        return int(count)

    def _failed(self, error: sqlite3.Error) -> StorageUnavailable:
        return unavailable(self._engine.url, error)


class IntervalWatch:
    """Says yes at every look: whoever has no cheap sign looks less often."""

    every = POSTGRESQL_S

    def changed(self) -> bool:
        """Whether anything may have changed."""
        return True

    def close(self) -> None:
        """Nothing is held."""


def watch(engine: Engine) -> Watch:
    """The watch that fits a database."""
    if engine.dialect.name == "sqlite":
        return FileWatch(engine)
    return IntervalWatch()
