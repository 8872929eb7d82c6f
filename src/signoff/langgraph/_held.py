"""Held calls run outside of their graph: in whichever process has their tools."""

from __future__ import annotations

import asyncio
import copy
from collections.abc import Callable
from typing import Any, Final, TypeGuard

from anyio.from_thread import BlockingPortal
from langchain_core.messages import ToolCall
from langchain_core.runnables import RunnableConfig
from langchain_core.tools import BaseTool, InjectedToolCallId, StructuredTool
from pydantic import BaseModel

from signoff.aio import AsyncApprovals
from signoff.domain.actions import Action, canonical
from signoff.domain.errors import EntryNotFound, HoldOver, NotApplied, PayloadRefused
from signoff.domain.journal import Entry, EntryState
from signoff.domain.policy import Ruling
from signoff.langgraph._attempts import refused_arguments, running
from signoff.langgraph._calls import AGENT, TEAM, USER, read_context
from signoff.langgraph._results import as_json, encode, summarize
from signoff.service import Approvals
from signoff.service.holds import Held, Ran

NEEDS_GRAPH: Final = (
    "the tool takes the graph's state, which it would not have later, so it is asked "
    "instead"
)


class OwnTool(StructuredTool):
    """A tool of signoff's own: it only ever prevents an effect, so it isn't gated."""


def cancel_held(so: Approvals, *, agent: str | None = None) -> BaseTool:
    """A tool with which an agent cancels what it queued itself.

    It reaches the held calls of the agent's own thread and nothing else.
    `SignoffMiddleware` offers it by itself where its policy holds calls.

    Args:
        so: Where the calls are held.
        agent: The agent's name, unless the run's configuration names one.
    """
    aio = AsyncApprovals(so)

    def cancel(entry_id: str, config: RunnableConfig, reason: str = "") -> str:
        context = read_context(config, agent=agent)
        try:
            so.cancel_own(
                entry_id, thread=context.thread, agent=context.agent, reason=reason
            )
        except (EntryNotFound, HoldOver) as error:
            return _not_cancelled(entry_id, error)
        return _CANCELLED.format(entry_id=entry_id)

    async def acancel(entry_id: str, config: RunnableConfig, reason: str = "") -> str:
        context = read_context(config, agent=agent)
        try:
            await aio.cancel_own(
                entry_id, thread=context.thread, agent=context.agent, reason=reason
            )
        except (EntryNotFound, HoldOver) as error:
            return _not_cancelled(entry_id, error)
        return _CANCELLED.format(entry_id=entry_id)

    return OwnTool.from_function(
        func=cancel,
        coroutine=acancel,
        name="cancel_held",
        description=(
            "Cancel a call of yours that is queued and not done yet, by the id that "
            "its result told (ent_...)."
        ),
    )


_CANCELLED: Final = "Cancelled: {entry_id} will never be executed."


def _not_cancelled(entry_id: str, error: EntryNotFound | HoldOver) -> str:
    if isinstance(error, EntryNotFound):
        return f"Not cancelled: you have no queued call {entry_id!r} in this thread."
    if error.state == EntryState.CANCELLED:
        return f"{entry_id} was cancelled before; it will never be executed."
    return f"Not cancelled: {entry_id} is {error.state} already."


def can_wait(tool: BaseTool | None) -> bool:
    """Whether a tool can run outside of its graph: it takes nothing of the graph's."""
    if tool is None or isinstance(tool, OwnTool):
        return False
    called, whole = tool.tool_call_schema, tool.get_input_schema()
    if not (_is_model(called) and _is_model(whole)):
        return True
    injected = whole.model_fields.keys() - called.model_fields.keys()
    return all(
        any(
            one is InjectedToolCallId or isinstance(one, InjectedToolCallId)
            for one in whole.model_fields[name].metadata
        )
        for name in injected
    )


def _is_model(schema: object) -> TypeGuard[type[BaseModel]]:
    return isinstance(schema, type) and issubclass(schema, BaseModel)


def held_tool(
    tool: BaseTool,
    *,
    agent: str | None,
    rule: Callable[[Action], Ruling] | None = None,
    portal: BlockingPortal | None = None,
) -> Held:
    """How a tool's held calls are run; an async one in the event loop of `portal`."""

    def run(entry: Entry) -> Ran:
        try:
            result = _invoked(tool, entry, portal)
        except Exception as error:
            if refused_arguments(error):
                raise NotApplied(str(error)) from error
            raise
        return Ran(
            summary=summarize(result), result=encode(result), output=_output(result)
        )

    return Held(tool=tool.name, run=run, agent=agent, rule=rule)


def _invoked(tool: BaseTool, entry: Entry, portal: BlockingPortal | None) -> Any:  # noqa: ANN401 - whatever it returns
    called = dict((entry.undo_terms or {})["call"])
    call = ToolCall(
        name=entry.tool,
        args=copy.deepcopy(dict(entry.args or {})),
        id=str(called["call_id"]),
        type="tool_call",
    )
    named = {AGENT: entry.agent, USER: entry.user, TEAM: called["team"]}
    values = {key: value for key, value in named.items() if value is not None}
    config: RunnableConfig = {"configurable": {"thread_id": entry.thread, **values}}

    async def there() -> Any:  # noqa: ANN401 - as above
        with running(entry):
            return await tool.ainvoke(call, config)

    has_async = getattr(tool, "coroutine", None) is not None
    if portal is not None and has_async:
        return portal.call(there)
    if has_async and getattr(tool, "func", None) is None:
        return asyncio.run(there())
    with running(entry):
        return tool.invoke(call, config)


def _output(result: object) -> Any:  # noqa: ANN401 - any JSON
    output = as_json(result)
    try:
        canonical(output)
    except PayloadRefused:
        return None
    return output
