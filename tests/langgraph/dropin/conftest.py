"""Agents that were moved over from LangChain's class, on either database."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import pytest
from langchain.agents.middleware import AgentMiddleware
from langchain_core.messages import AIMessage
from langgraph.checkpoint.base import BaseCheckpointSaver

from signoff import Policy, Signoff
from tests.langgraph.agents import call, turn
from tests.langgraph.conftest import Closing
from tests.langgraph.dropin.moved import ANA, Moved, moved_agent

PAY = [turn(call("pay", "c1", amount=10))]
TWO = [turn(call("pay", "c1", amount=1), call("wire", "c2", amount=2))]
BOTH = {"pay": True, "wire": True}
ONCE = [{"amount": 10.0, "to": "ana"}]
YES = {"type": "approve"}
NO = {"type": "reject", "message": "not now"}
SYNC = pytest.mark.parametrize("colour", ["sync"], indirect=True)
BY_ID = pytest.mark.parametrize("addressed", ["by_id", "scalar"])
BATCHED = pytest.mark.parametrize("mode", ["batched"], indirect=True)


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
def moved(
    mode: str,
    colour: str,
    database_url: str,
    saver: BaseCheckpointSaver[Any],
    closing: Closing,
) -> MakeMoved:
    """Makes moved agents, answered by Ana unless the test says otherwise."""

    def make(
        turns: Sequence[AIMessage] = PAY,
        *,
        interrupt_on: Mapping[str, Any] = BOTH,
        policy: Policy | None = None,
        others: Sequence[AgentMiddleware] = (),
        **more: Any,  # noqa: ANN401 - the middleware's own arguments
    ) -> Moved:
        return moved_agent(
            closing(Signoff(database_url, policy=policy)),
            saver,
            turns,
            interrupt_on=interrupt_on,
            mode=mode,
            colour=colour,
            others=others,
            **{"resume_as": ANA, **more},
        )

    return make
