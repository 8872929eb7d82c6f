"""Fixtures: an agent on each database, of each kind, from sync and from async code."""

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Protocol

import pytest
from langchain_core.messages import AIMessage
from langchain_core.tools import BaseTool

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


@pytest.fixture
async def bench(
    kind: str, colour: str, database_url: str, tmp_path: Path
) -> AsyncIterator[MakeBench]:
    """Makes agents on one store and one checkpointer."""
    async with AsyncExitStack() as stack:
        saver = await stack.enter_async_context(
            open_saver(colour, database_url, tmp_path)
        )

        async def make(
            rules: Sequence[Rule],
            turns: Sequence[AIMessage],
            *,
            tools: Sequence[BaseTool] | None = None,
            agent: str = "payer",
            clock: Clock | None = None,
        ) -> Bench:
            so = Signoff(database_url, policy=Policy(rules), clock=clock)
            stack.callback(so.close)
            effects, model = Effects(), Scripted(turns=list(turns))
            own = effects.tools() if tools is None else list(tools)
            graph = BUILDS[kind](so, model, own, saver)
            runner = Runner(so, graph, agent=agent)
            return Bench(so, graph, runner, model, effects, colour)

        yield make


Closing = Callable[[Signoff], Signoff]


@pytest.fixture
async def closing() -> AsyncIterator[Closing]:
    """Closes stores that a test opens itself."""
    async with AsyncExitStack() as stack:

        def opened(so: Signoff) -> Signoff:
            stack.callback(so.close)
            return so

        yield opened


@pytest.fixture
def clock() -> Clock:
    """A clock that tests move."""
    return Clock()


@pytest.fixture
async def stage(
    colour: str, database_url: str, tmp_path: Path, clock: Clock
) -> AsyncIterator[Stage]:
    """A workflow to build, with a real checkpointer."""
    async with AsyncExitStack() as stack:
        saver = await stack.enter_async_context(
            open_saver(colour, database_url, tmp_path)
        )
        so = Signoff(database_url, clock=clock)
        stack.callback(so.close)
        yield Stage(so, colour, saver)
