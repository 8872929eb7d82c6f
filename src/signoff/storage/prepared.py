"""Statements made once: those few that every approved call waits for.

SQLAlchemy writes them, for both databases. At each use they go straight to the driver,
which costs a fraction of an execution by SQLAlchemy.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import Connection, Dialect, text
from sqlalchemy.exc import DBAPIError, StatementError
from sqlalchemy.sql.expression import ClauseElement

_CURSOR: Final = "signoff_cursor"

Found = list[dict[str, Any]]


@dataclass(slots=True)
class _Made:
    """A statement as a driver takes it.

    Attributes:
        order: The names of its values, where they go by place.
        fixed: The values that are always the same.
        columns: The names of what it returns, once that is known; psycopg describes
            them anew after every execution, which costs as much as reading the rows.
    """

    sql: str
    order: tuple[str, ...] | None
    fixed: Mapping[str, Any]
    columns: tuple[str, ...] | None = None

    def arguments(self, values: Mapping[str, Any]) -> Any:  # noqa: ANN401 - a tuple or a dictionary
        filled = {**self.fixed, **values}
        if self.order is None:
            return filled
        return tuple([filled[name] for name in self.order])


class Prepared:
    """One statement, whose values are given by name.

    Values and columns are texts, integers, bytes and NULL: what both drivers take and
    give as it is. Nothing is converted.
    """

    def __init__(self, statement: ClauseElement | str) -> None:
        self._statement = text(statement) if isinstance(statement, str) else statement
        self._made: dict[str, _Made] = {}

    def all(self, connection: Connection, values: Mapping[str, Any]) -> Found:
        """The rows, by the names of their columns."""
        return self._run(connection, values)[0]

    def first(
        self, connection: Connection, values: Mapping[str, Any]
    ) -> dict[str, Any] | None:
        """The first row, or None."""
        found, _ = self._run(connection, values)
        return found[0] if found else None

    def run(self, connection: Connection, values: Mapping[str, Any]) -> int:
        """How many rows it changed."""
        return self._run(connection, values)[1]

    def _run(
        self, connection: Connection, values: Mapping[str, Any]
    ) -> tuple[Found, int]:
        made = self._made_for(connection.dialect)
        arguments = made.arguments(values)
        if connection.dispatch.before_cursor_execute:
            return _heard(connection, made.sql, arguments)
        if not connection.in_transaction():
            connection.begin()
        return _sent(connection, made, arguments)

    def _made_for(self, dialect: Dialect) -> _Made:
        made = self._made.get(dialect.name)
        if made is None:
            made = self._made[dialect.name] = _made(self._statement, dialect)
        return made


def _made(statement: ClauseElement, dialect: Dialect) -> _Made:
    compiled: Any = statement.compile(dialect=dialect)
    order = tuple(compiled.positiontup) if compiled.positional else None
    names = compiled.bind_names.items()
    # The others have to be given, and their lack is noticed.
    fixed = {name: bound.value for bound, name in names if not bound.required}
    return _Made(str(compiled), order, fixed)


def sent(connection: Connection, sql: str) -> None:
    """Send a statement that has no values and finds nothing."""
    _sent(connection, _Made(sql, (), {}), ())


def _sent(
    connection: Connection,
    made: _Made,
    arguments: Any,  # noqa: ANN401 - a tuple or a dictionary
) -> tuple[Found, int]:
    """What a statement finds and how many rows it changes; errors are SQLAlchemy's."""
    dialect: Any = connection.dialect
    try:
        return _received(connection, made, arguments)
    except dialect.loaded_dbapi.Error as error:
        raise _refusal(connection, made.sql, error) from error
    except Exception:
        raise
    except BaseException as stop:
        connection.invalidate(stop)  # nobody knows how far it came
        raise


def _received(
    connection: Connection,
    made: _Made,
    arguments: Any,  # noqa: ANN401 - a tuple or a dictionary
) -> tuple[Found, int]:
    cursor = _cursor(connection)
    cursor.execute(made.sql, arguments)
    if made.columns is None:
        made.columns = tuple(column[0] for column in cursor.description or ())
    if made.columns == ():
        return [], int(cursor.rowcount)
    rows = cursor.fetchall()
    found = [dict(zip(made.columns, row, strict=True)) for row in rows]
    return found, int(cursor.rowcount)


def _cursor(connection: Connection) -> Any:  # noqa: ANN401 - the driver's own
    """One for a connection's whole life: psycopg takes its time to make another."""
    kept = connection.info.get(_CURSOR)
    if kept is None:
        kept = connection.info[_CURSOR] = connection.connection.cursor()
    return kept


def _heard(
    connection: Connection,
    sql: str,
    arguments: Any,  # noqa: ANN401 - a tuple or a dictionary
) -> tuple[Found, int]:
    """By SQLAlchemy's own way, where a listener wants to know of every statement."""
    result: Any = connection.exec_driver_sql(
        sql, arguments, execution_options={"preserve_rowcount": True}
    )
    found = [dict(row) for row in result.mappings()] if result.returns_rows else []
    return found, int(result.rowcount)


def _refusal(connection: Connection, sql: str, error: Exception) -> StatementError:
    """What SQLAlchemy would raise; a connection that was lost is given up."""
    dialect: Any = connection.dialect
    lost = dialect.is_disconnect(error, connection.connection.dbapi_connection, None)
    if lost:
        connection.invalidate(error)
    return DBAPIError.instance(
        sql,
        None,  # not shown: they may hold what people decide about
        error,
        dialect.loaded_dbapi.Error,
        connection_invalidated=lost,
        dialect=dialect,
    )
