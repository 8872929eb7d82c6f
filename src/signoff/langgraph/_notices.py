"""The agent learns what people did: one message each, before its next model call.

It is pulled, never pushed: `update_state` on a paused thread drops its interrupt, and
on a running one the message is lost.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from functools import partial
from typing import Any, Final

import anyio.to_thread
from langchain_core.messages import BaseMessage, HumanMessage
from langchain_core.runnables import Runnable, RunnableConfig, ensure_config

from signoff.domain.undoing import AgentNotice
from signoff.langgraph._calls import messages_of, namespace_above, read_context
from signoff.service import Approvals

NAME: Final = "signoff_notice"


def unheard(
    so: Approvals, messages: Sequence[BaseMessage], config: RunnableConfig
) -> list[BaseMessage]:
    """The messages that an agent's conversation still lacks, oldest first.

    What is in it is noted as heard, by the agent at the top: one within it may tell
    nobody else.
    """
    if not so.takes_back:
        return []
    thread = read_context(config).thread
    waiting = so.agent_notices(thread)
    if not waiting:
        return []
    known = {message.id for message in messages}
    heard = [notice.id for notice in waiting if notice.id in known]
    if heard and namespace_above(config) == "":
        so.saw_notices(thread, heard)
    return [told(notice) for notice in waiting if notice.id not in known]


class _Notices(Runnable[Any, dict[str, Any]]):
    """Called before every model call, so without what LangChain's own kinds add."""

    name = "notices"

    def __init__(self, so: Approvals) -> None:
        self._so = so

    def invoke(
        self,
        input: Any,  # noqa: A002, ANN401 - LangChain's own name and type
        config: RunnableConfig | None = None,
        **_: Any,  # noqa: ANN401 - LangChain's signature
    ) -> dict[str, Any]:
        seen, where = messages_of(input), ensure_config(config)
        return {"messages": unheard(self._so, seen, where)}

    async def ainvoke(
        self,
        input: Any,  # noqa: A002, ANN401 - LangChain's own name and type
        config: RunnableConfig | None = None,
        **_: Any,  # noqa: ANN401 - LangChain's signature
    ) -> dict[str, Any]:
        work = partial(self.invoke, input, ensure_config(config))
        return await anyio.to_thread.run_sync(work)


def notices(so: Approvals) -> Runnable[Any, dict[str, Any]]:
    """A node for hand-built graphs: what people took back, as messages.

    Put it before the model: builder.add_node("notices", notices(so)).
    """
    return _Notices(so)


def told(notice: AgentNotice) -> HumanMessage:
    """A notice as a message; its id is the notice's, so that it is told once."""
    body = notice.body
    who, tool = body.get("by") or "somebody", body.get("tool")
    args = json.dumps(body.get("args"), ensure_ascii=False)
    said = "Result" if notice.kind == "released" else "Reason"
    why = f" {said}: {body['reason']}" if body.get("reason") else ""
    happened = _HAPPENED.get(notice.kind, f"Your call was {notice.kind}")
    stays = f" What remains: {body['remains']}." if body.get("remains") else ""
    text = (
        f"Note from signoff, not from the user. {happened.format(who=who)}: `{tool}` "
        f"with arguments {args}.{why}{stays} {_SO.get(notice.kind, '')}"
    )
    return HumanMessage(content=text.strip(), id=notice.id, name=NAME)


_HAPPENED: Final = {
    "undone": "{who} took back what you did",
    "cancelled": "{who} cancelled this call before it had any effect",
    "released": "This call, which was held, has run now",
    "failed": "This call, which was held, was tried and had no effect",
    "unknown": "This call, which was held, was tried, and nobody knows its outcome yet",
}
_SO: Final = {
    "undone": (
        "Its effect is gone: go on from that, and do not do it again unless the user "
        "asks for it. Doing it again will be asked about."
    ),
    "cancelled": "It was never executed. Do not try it again unless the user asks.",
    "released": "It is done: do not do it again.",
    "unknown": "A person will find out. Do not do it again.",
}
