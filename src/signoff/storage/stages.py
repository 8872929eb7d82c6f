"""The stages of threads: their outline, and the work that was kept."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from sqlalchemy import Connection, select
from sqlalchemy.dialects import sqlite

from signoff.domain.stages import Kept
from signoff.storage import rows
from signoff.storage import tables as t


class StageReading:
    """The reads."""

    _connection: Connection

    def outline(self, thread: str) -> tuple[str, ...] | None:
        found = select(t.outlines.c.stages).where(t.outlines.c.thread == thread)
        text = self._connection.execute(found).scalar()
        return None if text is None else tuple(rows.from_json(text))

    def kept(self, kept_id: str) -> Kept | None:
        found = select(t.stages).where(t.stages.c.id == kept_id)
        row = self._connection.execute(found).mappings().first()
        return None if row is None else kept_from(row)

    def kept_of_thread(self, thread: str) -> Sequence[Kept]:
        columns = t.stages.c
        found = (
            select(t.stages)
            .where(columns.thread == thread)
            .order_by(columns.kept_at, columns.id)
        )
        rows_found = self._connection.execute(found).mappings().all()
        return [kept_from(row) for row in rows_found]


class StageWriting(StageReading):
    """The moves, in the transaction of one thread."""

    _thread: str
    _insert: Callable[[Any], sqlite.Insert]

    def set_outline(self, names: Sequence[str]) -> bool:
        insert = self._insert(t.outlines).values(
            thread=self._thread, stages=rows.to_json(list(names))
        )
        news = insert.excluded["stages"]
        statement = insert.on_conflict_do_update(
            index_elements=["thread"],
            set_={"stages": news},
            where=t.outlines.c.stages != news,
        )
        return self._happened(statement)

    def keep(self, kept: Kept) -> bool:
        row = {
            "id": kept.id,
            "thread": kept.thread,
            "name": kept.name,
            "value": rows.to_json(kept.value),
            "digest": kept.digest,
            "kept_at": kept.at,
        }
        return self._happened(
            self._insert(t.stages).values(**row).on_conflict_do_nothing()
        )

    def _happened(self, statement: sqlite.Insert) -> bool:
        # A closed cursor of psycopg knows no rowcount; after an INSERT it is closed.
        result = self._connection.execute(
            statement, execution_options={"preserve_rowcount": True}
        )
        return bool(result.rowcount == 1)


def kept_from(row: rows.Row) -> Kept:
    return Kept(
        id=row["id"],
        thread=row["thread"],
        name=row["name"],
        value=rows.from_json(row["value"]),
        digest=row["digest"],
        at=row["kept_at"],
    )
