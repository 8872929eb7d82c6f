"""Keeps a thread valid when somebody writes while a call still waits.

A provider refuses a conversation in which a tool call has no answer. The waiting
request is cancelled, and the call is answered in its place with what became of it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from langchain_core.messages import AIMessage, BaseMessage, ToolCall, ToolMessage
from langchain_core.runnables import RunnableConfig

from signoff.domain.actions import Action, Context
from signoff.domain.errors import AlreadyDecided, PayloadRefused
from signoff.domain.journal import HAPPENED, Entry
from signoff.domain.principals import Principal, PrincipalKind
from signoff.domain.requests import Request, Status
from signoff.langgraph._calls import message_name, namespace_above
from signoff.langgraph._results import decode
from signoff.service import Approvals
from signoff.service.propose import Standing

SIGNOFF: Final = Principal(
    id="signoff", kind=PrincipalKind.SERVICE, channel="langgraph"
)
SUPERSEDED: Final = "a new message arrived before anybody decided"


@dataclass(frozen=True, slots=True)
class _Open:
    index: int
    message: AIMessage
    call: ToolCall


def heal(
    so: Approvals, messages: Sequence[BaseMessage], config: RunnableConfig
) -> list[BaseMessage] | None:
    """The messages with every open call answered in its place; None if none is open.

    Use it before the model in a hand-built graph; `SignoffMiddleware` does so itself.

    Args:
        so: Where requests and effects are kept.
        messages: The conversation, oldest first.
        config: The run's configuration, as LangGraph hands it to a node.
    """
    dangling = _dangling(messages)
    if not dangling:
        return None
    healed: list[BaseMessage] = []
    for index, message in enumerate(messages):
        healed.append(message)
        healed.extend(
            _answer(so, one, config) for one in dangling if one.index == index
        )
    return healed


def _dangling(messages: Sequence[BaseMessage]) -> list[_Open]:
    answered = {m.tool_call_id for m in messages if isinstance(m, ToolMessage)}
    last = len(messages) - 1
    return [
        _Open(index, message, call)
        for index, message in enumerate(messages)
        if isinstance(message, AIMessage) and index != last
        for call in message.tool_calls
        if call["id"] not in answered
    ]


def _answer(so: Approvals, one: _Open, config: RunnableConfig) -> BaseMessage:
    found = _standing(so, one, config)
    if found is not None and found.entry is not None:
        return _told(one, found.entry)
    if found is None or found.request is None:
        return _message(one, f"`{one.call['name']}` was not run: {SUPERSEDED}.")
    request = found.request
    if request.status is Status.PENDING:
        request = _cancel(so, request)
    cancelled = request.status is Status.CANCELLED
    why = SUPERSEDED if cancelled else "a new message came first"
    return _message(
        one,
        f"`{request.tool}` was not run: its request is {request.status.value}, "
        f"and {why}. Propose it again if it is still wanted.",
    )


def _standing(so: Approvals, one: _Open, config: RunnableConfig) -> Standing | None:
    values: dict[str, Any] = config.get("configurable", {})
    action = Action(
        context=Context(thread=str(values.get("thread_id"))),
        message_id=message_name(namespace_above(config), one.message, one.index),
        call_id=str(one.call["id"]),
        tool=one.call["name"],
        args=one.call["args"],
    )
    try:
        return so.standing(action.id)
    except PayloadRefused:
        return None


def _cancel(so: Approvals, request: Request) -> Request:
    try:
        return so.cancel_request(request.id, by=SIGNOFF, reason=SUPERSEDED)
    except AlreadyDecided:
        return so.get(request.id)


def _told(one: _Open, entry: Entry) -> BaseMessage:
    if entry.state in HAPPENED and entry.result is not None:
        kept = decode(entry.result)
        if isinstance(kept, ToolMessage):
            return kept
    return _message(
        one, f"`{entry.tool}` is {entry.state.value}: {entry.summary or ''}"
    )


def _message(one: _Open, content: str) -> ToolMessage:
    return ToolMessage(
        content=content,
        name=one.call["name"],
        tool_call_id=str(one.call["id"]),
        status="error",
    )
