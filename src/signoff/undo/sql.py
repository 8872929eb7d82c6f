"""Undos for tools that change rows.

Their limits are in docs/ready-made-undos.md.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import Engine, create_engine, make_url
from sqlalchemy.exc import DBAPIError

from signoff.domain.errors import CannotCapture, InvalidSetting, NotApplied
from signoff.domain.undoing import Effect, Undo
from signoff.undo.images import Image, Row, Rows
from signoff.undo.showing import shown

MAX_ROWS: Final = 1000

Keys = Iterable[tuple[str, Mapping[str, Any]]]
"""Rows: a table, and the primary key of one of its rows."""
Named = Mapping[str, Mapping[str, str]] | Callable[[Any], Keys]
"""Which rows: by table the key's columns and what holds their values, or a function."""


class Tables:
    """Undos for tools that insert, change and delete rows. Label: exact.

    Before the call, the rows that it names are kept, with those that the database
    changes along with them (`ON DELETE CASCADE` and the like). An undo puts back, in
    one transaction, the columns that the call changed, and leaves the others alone.

    Refused before the effect, so that it is asked about: a table without a primary
    key or with a trigger, and more rows than the limit. New rows are known only after
    the call; where that holds for them, it can't be taken back.

    Not covered are rows that the tool changes and doesn't name, changes of a primary
    key, and counters: a new row after an undo doesn't get the old number. An undo
    doesn't lock the rows between its check and its own transaction.

    Args:
        database: An engine, or an address as SQLAlchemy has them: SQLite or PostgreSQL.
        max_rows: How many rows one call may change.

    Raises:
        InvalidSetting: It is another kind of database.
    """

    def __init__(self, database: Engine | str, *, max_rows: int = MAX_ROWS) -> None:
        engine = _engine(database) if isinstance(database, str) else database
        if engine.dialect.name not in {"sqlite", "postgresql"}:
            raise InvalidSetting("database", "must be SQLite or PostgreSQL.")
        self._engine, self._max_rows = engine, max_rows

    def rows(
        self, tool: str, *, changes: Named | None = None, makes: Named | None = None
    ) -> Undo:
        """For a tool that changes, deletes or inserts rows.

        Args:
            tool: The tool's name.
            changes: Which rows, from the arguments: `{"tickets": {"id": "ticket_id"}}`
                for the row of `tickets` whose `id` is the argument `ticket_id`, or a
                function of the arguments that gives pairs of a table and a key.
            makes: Which rows are new, from the result, in the same two ways. A result
                that doesn't say so can't be taken back.
        """
        kind = _Changed(self._engine, self._max_rows, changes, makes)
        return Undo(
            tool=tool,
            undo=kind.undo,
            capture=kind.capture,
            fingerprint=kind.fingerprint,
            preview=kind.preview,
            bind=kind.bind,
            resource=_arguments(changes),
        )


@dataclass(frozen=True)
class _Changed:
    engine: Engine
    limit: int
    changes: Named | None
    makes: Named | None

    def capture(self, args: Mapping[str, Any]) -> list[Any]:
        named = _read(self.changes, args, "args")
        try:
            with self.rows() as rows:
                found = rows.with_dependents(self.known(rows, named), self.limit)
        except DBAPIError as error:
            raise CannotCapture("a row", f"can't be read ({error.orig})") from error
        return [[*row.as_json(), image] for row, image in found.items()]

    def fingerprint(self, effect: Effect) -> dict[str, Any]:
        with self.rows() as rows:
            images = self.now(rows, effect)
            along = self.taken_along(rows, effect, images)
        columns = {
            f"{row.path}.{column}": shown(value)
            for row, image in images.items()
            for column, value in ({} if image is None else image).items()
        }
        return {**columns, **along}

    def taken_along(
        self, rows: Rows, effect: Effect, images: Mapping[Row, Image | None]
    ) -> dict[str, Any]:
        """What else goes when a new row is deleted: others may have added to it."""
        before = _kept(effect.captured)
        new = (
            row
            for row, image in images.items()
            if image is not None and before.get(row) is None
        )
        found = {row: rows.with_dependents([row], self.limit).keys() for row in new}
        return {
            f"{row.path} takes along": shown(sorted(r.path for r in along - {row}))
            for row, along in found.items()
        }

    def bind(self, effect: Effect) -> dict[str, Any]:
        """What to do: which columns to set back, which rows to insert and to delete."""
        before = _kept(effect.captured)
        with self.rows() as rows:
            after = self.now(rows, effect)
        changed = [(row, before.get(row), after[row]) for row in after]
        return {
            "insert": [r.as_json() for r, was, now in changed if was and not now],
            "delete": [r.as_json() for r, was, now in changed if now and not was],
            "update": [
                [*row.as_json(), names]
                for row, was, now in changed
                if was and now and (names := [n for n in was if was[n] != now[n]])
            ],
        }

    def undo(self, effect: Effect) -> None:
        try:
            with self.rows() as rows:
                self.put_back(rows, effect)
        except DBAPIError as error:
            raise NotApplied(f"The database refused: {error.orig}") from error

    def put_back(self, rows: Rows, effect: Effect) -> None:
        before, bound = _kept(effect.captured), effect.bound
        for table, key in reversed(bound["delete"]):
            rows.delete(Row.of(table, key))
        for table, key in bound["insert"]:
            row = Row.of(table, key)
            image = before[row]
            if image is not None and rows.image(row) is None:
                rows.insert(row, image)
        for table, key, names in bound["update"]:
            row = Row.of(table, key)
            image = before[row]
            if image is not None:
                rows.update(row, {name: image[name] for name in names})

    def preview(self, args: Mapping[str, Any]) -> dict[str, Any]:
        captured = _kept(self.capture(args))
        return {"puts back": [row.path for row, image in captured.items() if image]}

    def now(self, rows: Rows, effect: Effect) -> dict[Row, Image | None]:
        known = list(_kept(effect.captured))
        if effect.result is not None:
            made = _read(self.makes, effect.result, "result")
            known += self.known(rows, made)
        return {row: rows.image(row) for row in known}

    def known(self, rows: Rows, keys: Keys) -> list[Row]:
        return [rows.named(table, key) for table, key in keys]

    @contextmanager
    def rows(self) -> Iterator[Rows]:
        """One transaction."""
        with self.engine.begin() as connection:
            yield Rows(connection)


def _engine(address: str) -> Engine:
    url = make_url(address)
    if url.drivername in {"postgres", "postgresql"}:
        url = url.set(drivername="postgresql+psycopg")
    return create_engine(url)


def _read(named: Named | None, source: Any, what: str) -> list[tuple[str, Any]]:  # noqa: ANN401 - arguments, or a result
    """The rows that arguments or a result name."""
    if named is None:
        return []
    if not isinstance(named, Mapping):
        return list(named(source))
    if not isinstance(source, Mapping):
        raise CannotCapture(what, "has no names, so it doesn't say which row it is")
    return [
        (table, {column: _at(source, name, what) for column, name in key.items()})
        for table, key in named.items()
    ]


def _at(source: Mapping[str, Any], name: str, what: str) -> Any:  # noqa: ANN401 - any JSON
    if name not in source:
        raise CannotCapture(what, f"has no {name!r}, so it doesn't say which row it is")
    return source[name]


def _kept(captured: Sequence[Any]) -> dict[Row, Image | None]:
    return {Row.of(table, key): image for table, key, image in captured}


def _arguments(named: Named | None) -> tuple[str, ...]:
    if not isinstance(named, Mapping):
        return ()
    return tuple(name for key in named.values() for name in key.values())
