"""Real databases for the benchmarks, gone when they are done."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from langgraph.checkpoint.base import BaseCheckpointSaver
from langgraph.checkpoint.postgres import PostgresSaver
from langgraph.checkpoint.sqlite import SqliteSaver

from tests.postgres import Databases, bundled_server

DATABASES = ("sqlite", "postgresql")


class Place:
    """Databases and checkpointers of one kind."""

    def __init__(self, stack: ExitStack, databases: Databases | None) -> None:
        self._stack = stack
        self._databases = databases
        self._folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        self._made = 0

    def url(self) -> str:
        """A new, empty database."""
        if self._databases is not None:
            return self._stack.enter_context(self._databases.fresh())
        self._made += 1
        return f"sqlite:///{self._folder / f'{self._made}.db'}"

    def saver(self) -> BaseCheckpointSaver[Any]:
        """A new checkpointer in a database of its own."""
        url = self.url()
        if self._databases is not None:
            saver: Any = PostgresSaver.from_conn_string(url)
        else:
            saver = SqliteSaver.from_conn_string(url.removeprefix("sqlite:///"))
        opened = self._stack.enter_context(saver)
        opened.setup()
        ready: BaseCheckpointSaver[Any] = opened
        return ready


@contextmanager
def place(kind: str) -> Iterator[Place]:
    """SQLite files in a folder, or databases on a real PostgreSQL server."""
    with ExitStack() as stack:
        yield Place(stack, None if kind == "sqlite" else _server(stack))


def _server(stack: ExitStack) -> Databases:
    named = os.environ.get("SIGNOFF_TEST_POSTGRES")
    url = stack.enter_context(bundled_server(lasting=True)) if named is None else named
    return Databases.on(url)
