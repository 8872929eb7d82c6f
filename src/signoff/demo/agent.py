"""The demo's agent: LangChain's `create_agent`, its tools, and the policy over them."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any, Final

from langchain.agents import create_agent
from langchain.agents.middleware import ToolCallRequest, wrap_tool_call
from langchain_core.language_models import BaseChatModel
from langchain_core.messages import ToolMessage
from langgraph.checkpoint.sqlite import SqliteSaver
from langgraph.graph.state import CompiledStateGraph
from langgraph.types import Command

from signoff.bootstrap import Signoff
from signoff.demo.tools import make_tools
from signoff.demo.world import World
from signoff.domain.errors import NotApplied
from signoff.domain.policy import Policy
from signoff.domain.rules import allow, review
from signoff.langgraph import SignoffMiddleware

AGENT: Final = "bookkeeper"
USER: Final = "ana"
REVIEWER: Final = "sam"

POLICY: Final = Policy(
    [
        allow("list_files", "read_file"),
        review(
            "make_payment",
            when="args.amount > 1000",
            reviewers=["finance"],
            expires_in="4h",
            risk="high",
            name="payments above 1000",
        ),
        review("push_to_production", risk="high"),
        review("make_payment", "send_email", "delete_file"),
        review("write_file", risk="low"),
    ]
)

_INSTRUCTIONS: Final = (
    "You keep the books of a small company. Look at the files before you act. "
    "Propose every step that the user asks for in one turn, as parallel tool calls. "
    "A person may reject or change a call, or answer you instead: accept that, don't "
    "repeat the call, and say at the end what was done and what was not."
)


@contextmanager
def checkpoints_in(file: Path) -> Iterator[SqliteSaver]:
    """LangGraph's own memory of the threads, in a SQLite file."""
    with closing(sqlite3.connect(file, check_same_thread=False)) as connection:
        yield SqliteSaver(connection)


def make_agent(
    so: Signoff, world: World, model: BaseChatModel, checkpoints: SqliteSaver
) -> CompiledStateGraph[Any, Any, Any, Any]:
    """The agent on this world."""
    return create_agent(
        model,
        make_tools(world),
        system_prompt=_INSTRUCTIONS,
        middleware=[tell_the_model, SignoffMiddleware(so, agent=AGENT)],
        checkpointer=checkpoints,
        name=AGENT,
    )


@wrap_tool_call
def tell_the_model(
    request: ToolCallRequest,
    handler: Callable[[ToolCallRequest], ToolMessage | Command[Any]],
) -> ToolMessage | Command[Any]:
    """A call that failed without effect is an answer to the model, not a crash."""
    try:
        return handler(request)
    except NotApplied as error:
        return ToolMessage(
            f"It failed, and nothing happened: {error}",
            name=request.tool_call["name"],
            tool_call_id=request.tool_call["id"],
            status="error",
        )
