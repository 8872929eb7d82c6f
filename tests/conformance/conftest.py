"""A world outside, and a signoff with its undos whose audit holds at the end."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from signoff import Signoff
from tests.conformance.outside import World, opened


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
