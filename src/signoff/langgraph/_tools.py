"""`guard_tools`: the gate for hand-built graphs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from langchain_core.runnables import RunnableConfig
from langchain_core.tools import BaseTool
from langgraph.prebuilt import ToolNode
from langgraph.runtime import Runtime

from signoff.domain.policy import Policy
from signoff.langgraph._calls import read_context
from signoff.langgraph._guard import Guard
from signoff.langgraph._owners import know_tools_of
from signoff.langgraph._steps import parking
from signoff.langgraph._wakes import pause
from signoff.service import Approvals


def guard_tools(
    so: Approvals,
    tools: Sequence[BaseTool | Callable[..., Any]],
    *,
    agent: str | None = None,
    team: str | None = None,
    policy: Policy | None = None,
    **tool_node: Any,  # noqa: ANN401 - ToolNode's own options
) -> ToolNode:
    """A tools node whose calls are judged, held, run once and recorded.

    Calls of one message are answered each on its own and in any order. One that needs
    no approval runs at once, and only once, though the node is re-executed.

    Args:
        so: Where requests, decisions and effects are kept.
        tools: What ToolNode takes.
        agent: The agent's name, unless the run's configuration names one.
        team: The team, likewise.
        policy: Rules for this node; None is the policy of `so`.
        tool_node: Options of LangGraph's ToolNode, such as `handle_tool_errors`.
    """
    guard = Guard(
        so=so,
        context=partial(read_context, agent=agent, team=team),
        policy=policy,
        replays=True,
    )
    node = GuardedToolNode(
        tools, wrap_tool_call=guard.run, awrap_tool_call=guard.arun, **tool_node
    )
    know_tools_of(so, node, agent=agent, portal=None)
    return node


class GuardedToolNode(ToolNode):
    """A ToolNode that gives every call its turn and then pauses once for the rest."""

    def _func(self, input: Any, config: RunnableConfig, runtime: Runtime) -> Any:  # noqa: A002, ANN401 - ToolNode's signature
        with parking() as parked:
            done = super()._func(input, config, runtime)
        if parked.payloads:
            pause(parked.value())
        return done

    async def _afunc(self, input: Any, config: RunnableConfig, runtime: Runtime) -> Any:  # noqa: A002, ANN401 - ToolNode's signature
        with parking() as parked:
            done = await super()._afunc(input, config, runtime)
        if parked.payloads:
            pause(parked.value())
        return done
