"""Fixtures: an agent on each database, of each kind, from sync and from async code."""

from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Protocol

import pytest
from langchain_core.messages import AIMessage
from langchain_core.tools import BaseTool
from langgraph.checkpoint.base import BaseCheckpointSaver

from signoff import Policy, Rule, Signoff
from signoff.clock import Clock
from signoff.langgraph import Runner
from tests.langgraph.agents import BUILDS, Bench, Effects, Scripted, open_saver
from tests.langgraph.workflows import Stage


class MakeBench(Protocol):
    """Builds an agent that follows a script under some rules."""

    async def __call__(
        self,
        rules: Sequence[Rule],
        turns: Sequence[AIMessage],
        *,
        tools: Sequence[BaseTool] | None = None,
        agent: str = "payer",
        clock: Clock | None = None,
    ) -> Bench: ...


@pytest.fixture(params=["create_agent", "guard_tools"])
def kind(request: pytest.FixtureRequest) -> str:
    """Both ways of building an agent."""
    return str(request.param)


@pytest.fixture(params=["sync", "async"])
def colour(request: pytest.FixtureRequest) -> str:
    """Both ways of driving it."""
    return str(request.param)


Closing = Callable[[Signoff], Signoff]


@pytest.fixture
async def saver(
    colour: str, database_url: str, tmp_path: Path
) -> AsyncIterator[BaseCheckpointSaver[Any]]:
    """A real checkpointer, for the way in which the graph is driven."""
    async with open_saver(colour, database_url, tmp_path) as opened:
        yield opened


@pytest.fixture
def closing() -> Iterator[Closing]:
    """Closes stores when the test is over."""
    with ExitStack() as stack:

        def opened(so: Signoff) -> Signoff:
            stack.callback(so.close)
            return so

        yield opened


@pytest.fixture
def bench(
    kind: str,
    colour: str,
    database_url: str,
    saver: BaseCheckpointSaver[Any],
    closing: Closing,
) -> MakeBench:
    """Makes agents on one store and one checkpointer."""

    async def make(
        rules: Sequence[Rule],
        turns: Sequence[AIMessage],
        *,
        tools: Sequence[BaseTool] | None = None,
        agent: str = "payer",
        clock: Clock | None = None,
    ) -> Bench:
        so = closing(Signoff(database_url, policy=Policy(rules), clock=clock))
        effects, model = Effects(), Scripted(turns=list(turns))
        own = effects.tools() if tools is None else list(tools)
        graph = BUILDS[kind](so, model, own, saver)
        runner = Runner(so, graph, agent=agent)
        return Bench(so, graph, runner, model, effects, colour)

    return make


@pytest.fixture
def clock() -> Clock:
    """A clock that tests move."""
    return Clock()


@pytest.fixture
def stage(
    colour: str,
    database_url: str,
    saver: BaseCheckpointSaver[Any],
    clock: Clock,
    closing: Closing,
) -> Stage:
    """A workflow to build, with a real checkpointer."""
    return Stage(closing(Signoff(database_url, clock=clock)), colour, saver)
