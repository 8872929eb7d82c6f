"""Agents that were moved over from LangChain's class, on either database."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any, Protocol

import pytest
from langchain.agents.middleware import AgentMiddleware
from langchain_core.messages import AIMessage

from signoff import Policy, Signoff
from tests.langgraph.agents import call, open_saver, turn
from tests.langgraph.dropin.moved import ANA, Moved, moved_agent

PAY = [turn(call("pay", "c1", amount=10))]
TWO = [turn(call("pay", "c1", amount=1), call("wire", "c2", amount=2))]
BOTH = {"pay": True, "wire": True}


class MakeMoved(Protocol):
    """Builds a moved agent."""

    def __call__(
        self,
        turns: Sequence[AIMessage] = PAY,
        *,
        interrupt_on: Mapping[str, Any] = BOTH,
        policy: Policy | None = None,
        others: Sequence[AgentMiddleware] = (),
        **more: Any,  # noqa: ANN401 - the middleware's own arguments
    ) -> Moved: ...


@pytest.fixture(params=["batched", "per_call"])
def mode(request: pytest.FixtureRequest) -> str:
    """Both of LangChain's ways of pausing."""
    return str(request.param)


@pytest.fixture
async def moved(
    mode: str, colour: str, database_url: str, tmp_path: Path
) -> AsyncIterator[MakeMoved]:
    """Makes moved agents, answered by Ana unless the test says otherwise."""
    async with AsyncExitStack() as stack:
        saver = await stack.enter_async_context(
            open_saver(colour, database_url, tmp_path)
        )

        def make(
            turns: Sequence[AIMessage] = PAY,
            *,
            interrupt_on: Mapping[str, Any] = BOTH,
            policy: Policy | None = None,
            others: Sequence[AgentMiddleware] = (),
            **more: Any,  # noqa: ANN401 - the middleware's own arguments
        ) -> Moved:
            so = Signoff(database_url, policy=policy)
            stack.callback(so.close)
            return moved_agent(
                so,
                saver,
                turns,
                interrupt_on=interrupt_on,
                mode=mode,
                colour=colour,
                others=others,
                **{"resume_as": ANA, **more},
            )

        yield make
