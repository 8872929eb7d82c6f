"""Results of tools, kept so that a re-executed node gets the same one again."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any, Final

from langchain_core.messages import ToolMessage
from langgraph.checkpoint.serde.jsonplus import JsonPlusSerializer
from langgraph.types import Command

log: Final = logging.getLogger("signoff")

Result = ToolMessage | Command[Any]

_SERDE: Final = JsonPlusSerializer()


def encode(result: object) -> bytes | None:
    """The bytes of a result, in the checkpointer's own format; None if it has none."""
    try:
        kind, data = _SERDE.dumps_typed(result)
    except Exception as error:  # noqa: BLE001 - any type may fail in its own way
        log.warning("a tool's result can't be kept, only its text: %s", error)
        return None
    return kind.encode() + b"\0" + data


def decode(kept: bytes) -> Any:  # noqa: ANN401 - whatever the tool returned
    """The result again."""
    kind, _, data = kept.partition(b"\0")
    return _SERDE.loads_typed((kind.decode(), data))


def summarize(result: object) -> str:
    """A result as a person reads it in the journal."""
    if isinstance(result, ToolMessage):
        content = result.content
        return content if isinstance(content, str) else str(content)
    if isinstance(result, Command) and isinstance(result.update, dict):
        messages = result.update.get("messages")
        if isinstance(messages, list):
            return " ".join(
                summarize(m) for m in messages if isinstance(m, ToolMessage)
            )
    return str(result)


def as_json(result: object) -> Any:  # noqa: ANN401 - any JSON
    """What a tool returned, as JSON: that which LangChain made a text of, or the text.

    None where there is no such thing, such as a graph's command.
    """
    if not isinstance(result, ToolMessage):
        return None
    content = result.content
    if not isinstance(content, str) or not content.lstrip().startswith(("{", "[")):
        return content
    try:
        return json.loads(content)
    except ValueError:
        return content


def with_notice(result: Result, notice: str, call_id: str) -> Result:
    """Put a note before the result that the model reads."""
    return _changed(result, call_id, partial(_noted, notice=notice))


def with_id(result: Result, message_id: str, call_id: str) -> Result:
    """Name the message of a result, unless its tool did: it is the same every time."""
    return _changed(result, call_id, partial(_named, message_id=message_id))


def _changed(
    result: Result, call_id: str, change: Callable[[ToolMessage], ToolMessage]
) -> Result:
    if isinstance(result, ToolMessage):
        return change(result)
    update = result.update
    if not isinstance(update, dict) or not isinstance(update.get("messages"), list):
        return result
    messages = [
        change(m) if isinstance(m, ToolMessage) and m.tool_call_id == call_id else m
        for m in update["messages"]
    ]
    return replace(result, update={**update, "messages": messages})


def _named(message: ToolMessage, message_id: str) -> ToolMessage:
    return message if message.id else message.model_copy(update={"id": message_id})


def _noted(message: ToolMessage, notice: str) -> ToolMessage:
    content = message.content
    noted: Any
    if isinstance(content, str):
        noted = f"{notice}\n\nTool response:\n{content}" if content else notice
    else:
        noted = [{"type": "text", "text": notice}, *content]
    return message.model_copy(update={"content": noted})
