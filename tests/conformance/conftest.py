"""A world outside, and a signoff with its undos whose audit holds at the end."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from signoff import Signoff
from tests.conformance.outside import World, opened
from tests.langgraph import conftest as agents
from tests.langgraph.agents import open_saver

kind, colour, bench = agents.kind, agents.colour, agents.bench
saver, closing = agents.saver, agents.closing


@pytest.fixture
def world(tmp_path: Path) -> World:
    made = World(tmp_path / "world.db")
    made.set("7", title="old", owner="eve")
    return made


@pytest.fixture
def so(database_url: str, world: World) -> Iterator[Signoff]:
    with opened(database_url, world) as one:
        yield one
        assert one.audit().holds


@pytest.fixture
async def kept(database_url: str, tmp_path: Path) -> Any:  # noqa: ANN401 - any checkpointer
    """A checkpointer on the store's kind of database, driven from sync code."""
    async with open_saver("sync", database_url, tmp_path) as one:
        yield one
