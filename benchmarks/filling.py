"""A million rows of a table, inserted by the database itself."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from sqlalchemy import Connection, Engine, text

from benchmarks.measure import progress

NUMBERS: Final = {
    "sqlite": (
        "WITH RECURSIVE numbers(n) AS "
        "(SELECT 1 UNION ALL SELECT n + 1 FROM numbers WHERE n < :many)"
    ),
    "postgresql": (
        "WITH numbers AS (SELECT n FROM generate_series(1, CAST(:many AS BIGINT)) AS n)"
    ),
}
# Ids in no order, as real ones are: hashes. 2654435761 is odd, so no two are the same.
SCATTERED: Final = {
    "sqlite": "printf('%08x', (n * 2654435761) & 4294967295)",
    "postgresql": "lpad(to_hex((n * 2654435761) & 4294967295), 8, '0')",
}
_INDEXES: Final = {
    "sqlite": (
        "SELECT name, sql FROM sqlite_master "
        "WHERE type = 'index' AND tbl_name = :table AND sql IS NOT NULL"
    ),
    "postgresql": (
        "SELECT indexname, indexdef FROM pg_indexes "
        "WHERE tablename = :table AND indexname NOT LIKE '%_pkey'"
    ),
}


def fill(
    connection: Connection, table: str, insert: str, values: Mapping[str, Any]
) -> None:
    """Insert without the indexes, which are made anew afterwards: that is faster."""
    dialect = connection.dialect.name
    listed = connection.execute(text(_INDEXES[dialect]), {"table": table})
    indexes = list(listed)
    for name, _ in indexes:
        connection.execute(text(f"DROP INDEX {name}"))
    connection.execute(text(insert), values)
    for name, definition in indexes:
        progress(f"{table}, {dialect}: {name}")
        connection.execute(text(definition))


def settle_down(engine: Engine, table: str) -> None:
    """What a PostgreSQL server does by itself within a minute of such a load."""
    if engine.dialect.name == "postgresql":
        with engine.connect().execution_options(
            isolation_level="AUTOCOMMIT"
        ) as connection:
            connection.execute(text(f"VACUUM ANALYZE {table}"))
