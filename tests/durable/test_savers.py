"""Checkpointers by address: a worker that freezes in a write doesn't stop others."""

from __future__ import annotations

import os
import signal
from contextlib import ExitStack
from multiprocessing.synchronize import Event
from typing import Any

import pytest
from anyio.from_thread import start_blocking_portal
from langgraph.checkpoint.base import empty_checkpoint

from signoff.langgraph import _savers
from signoff.langgraph._savers import open_saver
from tests.forked import processes

FROZEN_S = 2
WRITES = [("messages", "one"), ("messages", "two")]


def config(checkpoint: str) -> Any:  # noqa: ANN401 - LangGraph's configuration
    where = {"thread_id": "t1", "checkpoint_ns": "", "checkpoint_id": checkpoint}
    return {"configurable": where}


def freeze_in_a_write(url: str, checkpoint: str, about: Event) -> None:
    """Send the writes of a task, and freeze before they are committed."""
    _savers._FROZEN_S = FROZEN_S  # noqa: SLF001 - it freezes sooner
    with open_saver(url, None) as saver:
        own: Any = saver
        with own._cursor(pipeline=True) as cursor:  # noqa: SLF001 - as it writes itself
            rows = own._dump_writes("t1", "", checkpoint, "task", "", WRITES)  # noqa: SLF001 - as above
            cursor.executemany(own.UPSERT_CHECKPOINT_WRITES_SQL, rows)
            cursor.connection.pgconn.flush()
            about.set()
            os.kill(os.getpid(), signal.SIGSTOP)


def test_whoever_takes_over_waits_for_a_while_only(postgres_url: str) -> None:
    checkpoint = empty_checkpoint()
    context = processes()
    about = context.Event()
    with open_saver(postgres_url, None) as saver:
        where: Any = {"configurable": {"thread_id": "t1", "checkpoint_ns": ""}}
        saver.put(where, checkpoint, {}, {})
        frozen = context.Process(
            target=freeze_in_a_write, args=(postgres_url, checkpoint["id"], about)
        )
        frozen.start()
        try:
            assert about.wait(30)
            saver.put_writes(config(checkpoint["id"]), WRITES, "task")
        finally:
            frozen.kill()
            frozen.join()
        found = saver.get_tuple(where)
    assert found is not None
    written = [(channel, value) for _, channel, value in found.pending_writes or ()]
    assert written == WRITES


@pytest.mark.parametrize("asynchronous", [False, True])
def test_both_colours_wait_as_long(postgres_url: str, *, asynchronous: bool) -> None:
    asked = (
        "SELECT current_setting('lock_timeout') AS waits, "
        "current_setting('transaction_timeout') AS takes"
    )

    async def look(saver: Any) -> Any:  # noqa: ANN401 - AsyncPostgresSaver
        async with saver.conn.connection() as connection:
            return await (await connection.execute(asked)).fetchone()

    with ExitStack() as stack:
        if asynchronous:
            portal = stack.enter_context(start_blocking_portal())
            saver: Any = stack.enter_context(open_saver(postgres_url, portal))
            found = portal.call(look, saver)
        else:
            saver = stack.enter_context(open_saver(postgres_url, None))
            with saver.conn.connection() as connection:
                found = connection.execute(asked).fetchone()
    assert found == {"waits": "30s", "takes": "15s"}
