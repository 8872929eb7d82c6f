"""Whose calls a graph's tool nodes run: found, so that its process can do what is due.

`create_agent` keeps a middleware's `wrap_tool_call` only inside of functions that wrap
each other; so that is where it is looked for.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from anyio.from_thread import BlockingPortal
from langgraph.prebuilt import ToolNode
from langgraph.pregel import Pregel

from signoff.langgraph._guard import Guard
from signoff.langgraph._held import can_wait, held_tool
from signoff.service import Approvals


def know_tools_of(
    so: Approvals, graph: object, *, agent: str | None, portal: BlockingPortal | None
) -> None:
    """Register the tools of a graph's tool nodes, so that its held calls run here.

    They are registered where their calls are judged: with its policy and undos. `so`
    does for that one what is due, if it is another.
    """
    for node in _tool_nodes(graph):
        guard = next(_guards_in(getattr(node, "_wrap_tool_call", None), set()), None)
        owner, rule = so, None
        if guard is not None:
            owner = guard.so
            rule = None if guard.policy is None else guard.policy.decide
        for tool in node.tools_by_name.values():
            if can_wait(tool):
                owner.add_held(held_tool(tool, agent=agent, rule=rule, portal=portal))
        so.join(owner)


def _tool_nodes(graph: object) -> Iterator[ToolNode]:
    if isinstance(graph, ToolNode):
        yield graph
    if not isinstance(graph, Pregel):
        return
    inner = [one for _, one in graph.get_subgraphs(recurse=True)]
    for one in (graph, *inner):
        for node in one.nodes.values() if isinstance(one, Pregel) else ():
            if isinstance(node.bound, ToolNode):
                yield node.bound


def _guards_in(found: Any, seen: set[int]) -> Iterator[Guard]:  # noqa: ANN401 - any function
    """The guards among whose methods a function, or what it wraps, is."""
    if id(found) in seen or not callable(found):
        return
    seen.add(id(found))
    owner = getattr(found, "__self__", None)
    guard = owner if isinstance(owner, Guard) else getattr(owner, "guard", None)
    if isinstance(guard, Guard):
        yield guard
    for one in _inside(found):
        yield from _guards_in(one, seen)


def _inside(function: Any) -> Iterator[Any]:  # noqa: ANN401 - any function
    yield getattr(function, "__wrapped__", None)
    for cell in getattr(function, "__closure__", None) or ():
        try:
            yield cell.cell_contents
        except ValueError:  # it is empty yet
            continue
