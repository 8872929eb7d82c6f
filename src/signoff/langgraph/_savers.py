"""Checkpointers by address, for graphs that were compiled without one.

PostgreSQL's has a pool that checks its connections, so that it outlives a restart of
the server.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import (
    AbstractContextManager,
    asynccontextmanager,
    contextmanager,
)
from typing import Any, Final

from anyio.from_thread import BlockingPortal
from langgraph.checkpoint.base import BaseCheckpointSaver

from signoff.domain.errors import InvalidSetting

_SQLITE: Final = "sqlite:///"
_POSTGRESQL: Final = ("postgresql://", "postgres://")
_OPTIONS: Final = {"autocommit": True, "prepare_threshold": 0}
_SIZE: Final = 8
_WAIT_S: Final = 30
_FROZEN_S = 15
_ENDS_TRANSACTIONS: Final = 170000
"""The first PostgreSQL that ends a transaction which takes too long."""

Saver = BaseCheckpointSaver[Any]


def open_saver(
    address: str, portal: BlockingPortal | None
) -> AbstractContextManager[Saver]:
    """The checkpointer at an address; with a portal, an async one in its loop.

    Raises:
        InvalidSetting: It isn't an address of SQLite or PostgreSQL, or needs an extra.
    """
    try:
        return _opened(address, portal)
    except ModuleNotFoundError as error:
        raise InvalidSetting(
            "--checkpointer", f"this needs {error.name}: pip install 'signoff[all]'."
        ) from error


def _opened(
    address: str, portal: BlockingPortal | None
) -> AbstractContextManager[Saver]:
    if address.startswith(_SQLITE):
        file = address.removeprefix(_SQLITE)
        if portal is None:
            return _sqlite(file)
        return portal.wrap_async_context_manager(_async_sqlite(file))
    if address.startswith(_POSTGRESQL):
        if portal is None:
            return _postgresql(address)
        return portal.wrap_async_context_manager(_async_postgresql(address))
    raise InvalidSetting(
        "--checkpointer", "must be sqlite:///threads.db or postgresql://host/name."
    )


@contextmanager
def _sqlite(file: str) -> Iterator[Saver]:
    from langgraph.checkpoint.sqlite import SqliteSaver  # noqa: PLC0415 - an extra

    with SqliteSaver.from_conn_string(file) as saver:
        saver.setup()
        yield saver


@asynccontextmanager
async def _async_sqlite(file: str) -> AsyncIterator[Saver]:
    from langgraph.checkpoint.sqlite.aio import (  # noqa: PLC0415 - an extra
        AsyncSqliteSaver,
    )

    async with AsyncSqliteSaver.from_conn_string(file) as saver:
        await saver.setup()
        yield saver


@contextmanager
def _postgresql(address: str) -> Iterator[Saver]:
    from langgraph.checkpoint.postgres import PostgresSaver  # noqa: PLC0415 - an extra
    from psycopg.rows import dict_row  # noqa: PLC0415 - as above
    from psycopg_pool import ConnectionPool  # noqa: PLC0415 - as above

    pool: ConnectionPool[Any] = ConnectionPool(
        address,
        min_size=1,
        max_size=_SIZE,
        kwargs={**_OPTIONS, "row_factory": dict_row},
        check=ConnectionPool.check_connection,
        configure=_configure,
        open=False,
    )
    with pool:
        with pool.connection() as connection:
            _configure(connection, hurried=False)
            PostgresSaver(connection).setup()
            _configure(connection)
        yield PostgresSaver(pool)


@asynccontextmanager
async def _async_postgresql(address: str) -> AsyncIterator[Saver]:
    from langgraph.checkpoint.postgres.aio import (  # noqa: PLC0415 - an extra
        AsyncPostgresSaver,
    )
    from psycopg.rows import dict_row  # noqa: PLC0415 - as above
    from psycopg_pool import AsyncConnectionPool  # noqa: PLC0415 - as above

    pool: AsyncConnectionPool[Any] = AsyncConnectionPool(
        address,
        min_size=1,
        max_size=_SIZE,
        kwargs={**_OPTIONS, "row_factory": dict_row},
        check=AsyncConnectionPool.check_connection,
        configure=_aconfigure,
        open=False,
    )
    async with pool:
        async with pool.connection() as connection:
            await _aconfigure(connection, hurried=False)
            await AsyncPostgresSaver(connection).setup()
            await _aconfigure(connection)
        yield AsyncPostgresSaver(pool)


def _configure(connection: Any, *, hurried: bool = True) -> None:  # noqa: ANN401 - psycopg's
    for setting in _settings(connection, hurried=hurried):
        connection.execute(setting)


async def _aconfigure(connection: Any, *, hurried: bool = True) -> None:  # noqa: ANN401 - psycopg's
    for setting in _settings(connection, hurried=hurried):
        await connection.execute(setting)


def _settings(connection: Any, *, hurried: bool) -> Iterator[str]:  # noqa: ANN401 - psycopg's
    """A worker that freezes while it writes must not stop whoever takes over.

    LangGraph writes in a pipeline. One that isn't at its end doesn't count as idle, so
    that before PostgreSQL 17 nothing ends it: others are told that they can't write.
    Indexes of a full table may take their time.
    """
    yield f"SET lock_timeout = '{_WAIT_S if hurried else 0}s'"
    if connection.info.server_version >= _ENDS_TRANSACTIONS:
        yield f"SET transaction_timeout = '{_FROZEN_S if hurried else 0}s'"
