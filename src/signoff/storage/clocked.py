"""The database's clock as a part of statements that read."""

from __future__ import annotations

from sqlalchemy import BigInteger, ColumnElement, Connection, literal_column, select


class Clocked:
    """A connection, and the database's clock as part of a statement."""

    _connection: Connection
    _clock: str

    def _clock_now(self) -> ColumnElement[int]:
        return read_once(self._clock)


def read_once(clock: str) -> ColumnElement[int]:
    """The clock, the same for every row."""
    # A subquery is read once; PostgreSQL seeks no index with a volatile function.
    return select(literal_column(clock, BigInteger)).scalar_subquery()
