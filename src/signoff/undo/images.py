"""Images of rows: every value as the database has it, so that it goes back unchanged.

On PostgreSQL a value is its own text, which is exact for every type there is; on
SQLite it is what the driver gives, which has five types.
"""

from __future__ import annotations

import json
import math
from base64 import b64decode, b64encode
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Final

from sqlalchemy import (
    BindParameter,
    Column,
    ColumnElement,
    Connection,
    MetaData,
    RowMapping,
    Table,
    Text,
    and_,
    bindparam,
    cast,
    inspect,
    select,
    text,
)
from sqlalchemy.exc import NoSuchTableError
from sqlalchemy.types import NullType

from signoff.domain.errors import CannotCapture

Key = Mapping[str, Any]
Image = Mapping[str, Any]
"""A row: its columns by name, as `packed` gives them."""

_FOLLOWED: Final = frozenset({"CASCADE", "SET NULL", "SET DEFAULT"})
_TRIGGERS: Final = {
    "sqlite": (
        "SELECT name FROM sqlite_master WHERE type = 'trigger' AND tbl_name = :name"
    ),
    "postgresql": (
        "SELECT tgname FROM pg_trigger WHERE NOT tgisinternal AND tgenabled <> 'D' "
        "AND tgrelid = to_regclass(:name)"
    ),
}


@dataclass(frozen=True, slots=True)
class Row:
    """Which row: its table and its primary key, as JSON text."""

    table: str
    encoded: str

    @classmethod
    def of(cls, table: str, key: Mapping[str, Any]) -> Row:
        """The row with this key; its columns in any order."""
        return cls(table, json.dumps(dict(key), sort_keys=True))

    @property
    def key(self) -> dict[str, Any]:
        """Its primary key, as `packed` gives its values."""
        found: dict[str, Any] = json.loads(self.encoded)
        return found

    @property
    def path(self) -> str:
        """As people read it: `tickets[7]`."""
        values = (unpacked(value) for value in self.key.values())
        return f"{self.table}[{','.join(map(str, values))}]"

    def as_json(self) -> list[Any]:
        """As it is kept."""
        return [self.table, self.key]


@dataclass(frozen=True, slots=True)
class Link:
    """A foreign key by which the database itself changes or deletes other rows."""

    child: str
    columns: tuple[str, ...]
    referred: tuple[str, ...]


@dataclass(frozen=True)
class Shape:
    """What is known of a table."""

    table: Table
    key: tuple[str, ...]
    columns: tuple[str, ...]


class Schema:
    """The tables of a database, read when they are needed."""

    def __init__(self, connection: Connection) -> None:
        self.connection = connection
        self.dialect = connection.dialect.name
        self._look = inspect(connection)
        self._shapes: dict[str, Shape] = {}

    def shape(self, name: str) -> Shape:
        """A table's columns and primary key; `schema.table` outside of the default one.

        Raises:
            CannotCapture: There is no such table, or its rows have no primary key.
        """
        if name not in self._shapes:
            self._shapes[name] = self._read(name)
        return self._shapes[name]

    def links_to(self, name: str) -> Sequence[Link]:
        """The foreign keys through which a change of these rows reaches others."""
        place = self._place(*_split(name))
        return [link for parent, link in self._links if parent == place]

    def triggers(self, name: str) -> Sequence[str]:
        """The triggers of a table."""
        table = self.shape(name).table
        quoted = self.connection.dialect.identifier_preparer.format_table(table)
        about = table.name if self.dialect == "sqlite" else quoted
        found = self.connection.execute(text(_TRIGGERS[self.dialect]), {"name": about})
        return [str(trigger) for trigger in found.scalars()]

    def _read(self, name: str) -> Shape:
        schema, table = _split(name)
        try:
            columns = self._look.get_columns(table, schema=schema)
            key = self._look.get_pk_constraint(table, schema=schema)
        except NoSuchTableError:
            raise CannotCapture(name, "is no table of this database") from None
        names = tuple(key["constrained_columns"])
        if not names:
            raise CannotCapture(name, "has no primary key, so its rows have no names")
        stored = [str(c["name"]) for c in columns if not c.get("computed")]
        shape = [Column(column, NullType()) for column in stored]
        made = Table(table, MetaData(), *shape, schema=schema)
        return Shape(made, names, tuple(stored))

    @cached_property
    def _links(self) -> Sequence[tuple[tuple[str | None, str], Link]]:
        return [
            (self._place(key["referred_schema"], key["referred_table"]), link)
            for schema in self._schemas()
            for table, keys in self._keys(schema)
            for key in keys
            if (link := _link(_joined(schema, table), key)) is not None
        ]

    def _schemas(self) -> set[str | None]:
        """All of them, because a foreign key may come from any; None is the default."""
        known = {None, *self._look.get_schema_names()}
        return known - {self._look.default_schema_name, "information_schema"}

    def _place(self, schema: str | None, table: str) -> tuple[str | None, str]:
        default = self._look.default_schema_name
        return None if schema == default else schema, table

    def _keys(
        self, schema: str | None
    ) -> Iterable[tuple[str, Sequence[Mapping[str, Any]]]]:
        """The foreign keys of each table."""
        found = self._look.get_multi_foreign_keys(schema=schema)
        for (_, table), keys in found.items():
            yield table, self._with_actions(table, keys)

    def _with_actions(
        self, table: str, keys: Sequence[Mapping[str, Any]]
    ) -> Sequence[Mapping[str, Any]]:
        if self.dialect != "sqlite":
            return keys
        # SQLAlchemy reads these options from the table's text, and not all of them.
        asked = text("SELECT * FROM pragma_foreign_key_list(:name)")
        parts: dict[int, list[RowMapping]] = {}
        for part in self.connection.execute(asked, {"name": table}).mappings():
            parts.setdefault(part["id"], []).append(part)
        acting = {_named(known): _options(known[0]) for known in parts.values()}
        return [{**key, "options": acting[_known(key)]} for key in keys]


class Rows:
    """Reads and writes images in one transaction."""

    def __init__(self, connection: Connection) -> None:
        self._schema, self._connection = Schema(connection), connection

    def named(self, table: str, key: Mapping[str, Any]) -> Row:
        """The row with this primary key, whether it is there or not.

        Raises:
            CannotCapture: That isn't the table's primary key.
        """
        names = self._schema.shape(table).key
        if key.keys() != set(names) or None in key.values():
            reason = f"has the primary key {', '.join(names)}; {dict(key)} isn't one"
            raise CannotCapture(table, reason)
        sqlite = self._schema.dialect == "sqlite"
        given = {name: key[name] if sqlite else _as_text(key[name]) for name in names}
        found = self._matching(table, given)
        # As the database spells it, such as a UUID in lower case.
        return self.row_of(table, found[0] if found else given)

    def image(self, row: Row) -> Image | None:
        """What is there now; None if there is no such row."""
        found = self._matching(row.table, row.key)
        return found[0] if found else None

    def with_dependents(self, first: Iterable[Row], limit: int) -> dict[Row, Any]:
        """Images of rows, and of those that the database changes along with them.

        Raises:
            CannotCapture: More than `limit`, or a trigger does who knows what.
        """
        found: dict[Row, Any] = {}
        pending = list(first)
        while pending:
            row = pending.pop(0)
            if row in found:
                continue
            if len(found) == limit:
                reason = f"and more come to over {limit} rows"
                raise CannotCapture(row.table, reason)
            self._check_triggers(row.table)
            found[row] = self.image(row)
            if found[row] is not None:
                pending.extend(self._children(row.table, found[row]))
        return found

    def insert(self, row: Row, image: Image) -> None:
        """Put a row back."""
        shape = self._schema.shape(row.table)
        quote = self._connection.dialect.identifier_preparer
        names = [name for name in shape.columns if name in image]
        into = ", ".join(quote.quote(name) for name in names)
        values = ", ".join(f":v{at}" for at in range(len(names)))
        # An identity column that is always generated takes its old value only so.
        over = " OVERRIDING SYSTEM VALUE" if self._schema.dialect != "sqlite" else ""
        target = quote.format_table(shape.table)
        statement = f"INSERT INTO {target} ({into}){over} VALUES ({values})"  # noqa: S608 - names are quoted
        filled = [_bound(f"v{at}", image[name]) for at, name in enumerate(names)]
        self._connection.execute(text(statement).bindparams(*filled))

    def update(self, row: Row, values: Image) -> None:
        """Change some columns of a row."""
        table = self._schema.shape(row.table).table
        news = {name: unpacked(value) for name, value in values.items()}
        self._connection.execute(table.update().where(_is(table, row)).values(news))

    def delete(self, row: Row) -> None:
        """Take a row away, if it is there."""
        table = self._schema.shape(row.table).table
        self._connection.execute(table.delete().where(_is(table, row)))

    def row_of(self, table: str, image: Image) -> Row:
        """Which row an image is of."""
        key = self._schema.shape(table).key
        return Row.of(table, {name: image[name] for name in key})

    def _matching(self, name: str, values: Mapping[str, Any]) -> list[Image]:
        shape = self._schema.shape(name)
        columns = [shape.table.c[column] for column in shape.columns]
        read = [self._read(column).label(column.name) for column in columns]
        where = _where(shape.table, values)
        found = self._connection.execute(select(*read).where(where)).mappings()
        return [
            {key: packed(row[key], f"{name}.{key}") for key in row} for row in found
        ]

    def _read(self, column: Column[Any]) -> ColumnElement[Any]:
        return column if self._schema.dialect == "sqlite" else cast(column, Text)

    def _children(self, parent: str, image: Image) -> Iterable[Row]:
        for link in self._schema.links_to(parent):
            pairs = zip(link.columns, link.referred, strict=True)
            values = {mine: image[theirs] for mine, theirs in pairs}
            for child in self._matching(link.child, values):
                yield self.row_of(link.child, child)

    def _check_triggers(self, table: str) -> None:
        if triggers := self._schema.triggers(table):
            reason = f"has the trigger {triggers[0]}, and what that does isn't known"
            raise CannotCapture(table, reason)


def packed(value: Any, at: str) -> Any:  # noqa: ANN401 - any JSON
    """A value of a row as JSON, from which `unpacked` makes exactly that value.

    Raises:
        CannotCapture: A type that no database here has.
    """
    if value is None or isinstance(value, str):
        return value
    if isinstance(value, bytes):
        return {"bytes": b64encode(value).decode("ascii")}
    if isinstance(value, int):
        return value if abs(value) < _SAFE else {"integer": str(value)}
    if isinstance(value, float):
        whole = not math.isfinite(value) or value.is_integer()
        return {"real": repr(value)} if whole else value
    raise CannotCapture(at, f"holds {type(value).__name__}, which isn't kept")


def unpacked(value: Any) -> Any:  # noqa: ANN401 - any value of a driver
    """The value that `packed` packed."""
    if not isinstance(value, Mapping):
        return value
    ((kind, stored),) = value.items()
    return _UNPACK[kind](stored)


_SAFE: Final = 2**53
_UNPACK: Final[Mapping[str, Callable[[str], Any]]] = {
    "bytes": b64decode,
    "integer": int,
    "real": float,
}


def _is(table: Table, row: Row) -> ColumnElement[bool]:
    return _where(table, row.key)


def _where(table: Table, values: Mapping[str, Any]) -> ColumnElement[bool]:
    return and_(*(table.c[name] == _bound(None, values[name]) for name in values))


def _bound(name: str | None, value: Any) -> BindParameter[Any]:  # noqa: ANN401 - any JSON
    """A value without a type, which takes that of its column."""
    return bindparam(name, unpacked(value), type_=NullType())


def _as_text(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _split(name: str) -> tuple[str | None, str]:
    schema, _, table = name.rpartition(".")
    return schema or None, table


def _joined(schema: str | None, table: str) -> str:
    return table if schema is None else f"{schema}.{table}"


def _known(key: Mapping[str, Any]) -> tuple[str, ...]:
    """A foreign key, by its columns and the table that it leads to."""
    return (key["referred_table"], *key["constrained_columns"])


def _named(parts: Sequence[RowMapping]) -> tuple[str, ...]:
    """The same for one as SQLite lists it, a row for each column."""
    return (parts[0]["table"], *(part["from"] for part in parts))


def _options(part: RowMapping) -> dict[str, str]:
    return {"ondelete": part["on_delete"], "onupdate": part["on_update"]}


def _link(child: str, key: Mapping[str, Any]) -> Link | None:
    options = key.get("options", {})
    if {options.get("ondelete"), options.get("onupdate")}.isdisjoint(_FOLLOWED):
        return None
    return Link(
        child, tuple(key["constrained_columns"]), tuple(key["referred_columns"])
    )
