"""A tool call as LangGraph hands it over, read into an action."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from langchain.agents.middleware import ToolCallRequest
from langchain_core.messages import AIMessage, ToolCall
from langchain_core.runnables import RunnableConfig
from langchain_core.tools import BaseTool
from pydantic import BaseModel, ValidationError

from signoff.domain.actions import Action, Context, ToolTraits
from signoff.domain.errors import NoCheckpointer, PayloadRefused
from signoff.ports import KnownTool

AGENT: Final = "signoff_agent"
USER: Final = "signoff_user"
TEAM: Final = "signoff_team"
CHECKPOINTER: Final = "__pregel_checkpointer"
RESUMING: Final = "__pregel_resuming"

_SILENT: Final = ToolTraits()

ReadContext = Callable[[RunnableConfig], Context]


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """One tool call at the execution boundary.

    Attributes:
        resuming: Whether this may be a re-execution, so that what was recorded counts.
    """

    request: ToolCallRequest
    action: Action
    resuming: bool

    @property
    def call_id(self) -> str:
        """The id that the answer to the model must carry."""
        return str(self.request.tool_call["id"])


def read_call(request: ToolCallRequest, context: ReadContext) -> Call:
    """Read a tool call.

    Raises:
        NoCheckpointer: The graph could never be resumed.
        PayloadRefused: It has no id, so its result could reach no message.
    """
    config = request.runtime.config
    tool_call = request.tool_call
    if tool_call["id"] is None:
        missing = "is missing, so nobody is asked; the chat model must give one"
        raise PayloadRefused(f"the id of the call of {tool_call['name']}", missing)
    action = Action(
        context=context(config),
        message_id=_message_id(request),
        call_id=str(tool_call["id"]),
        tool=tool_call["name"],
        args=tool_call["args"],
        traits=read_traits(request.tool),
    )
    return Call(request=request, action=action, resuming=is_resuming(config))


def read_context(
    config: RunnableConfig, *, agent: str | None = None, team: str | None = None
) -> Context:
    """Who and where, from the run's configuration.

    `config["configurable"]` may hold `signoff_agent`, `signoff_user` and `signoff_team`
    (flat, because LangGraph keeps only plain values with its checkpoints). LangGraph
    Server's authenticated user counts as the user if nothing else names one.

    Raises:
        NoCheckpointer: There is no checkpointer or no thread id.
    """
    values = config.get("configurable", {})
    if values.get(CHECKPOINTER) is None:
        raise NoCheckpointer("checkpointer")
    thread = values.get("thread_id")
    if thread is None:
        raise NoCheckpointer("thread_id")
    # Without authentication the server's user is an empty text.
    user = values.get(USER) or values.get("langgraph_auth_user_id") or None
    return Context(
        thread=str(thread),
        agent=values.get(AGENT) or agent,
        user=None if user is None else str(user),
        team=values.get(TEAM) or team,
    )


def is_resuming(config: RunnableConfig) -> bool:
    """Whether the run goes on from a checkpoint; a fresh run leaves the key out."""
    return config.get("configurable", {}).get(RESUMING, False) is not False


def read_traits(tool: BaseTool | None) -> ToolTraits:
    """MCP's annotations on a tool; they may inform a rule, never override it."""
    metadata = tool.metadata if tool is not None else None
    if not metadata:
        return _SILENT
    hints = metadata.get("annotations") or metadata
    if not isinstance(hints, Mapping):
        return _SILENT
    read_only = hints.get("readOnlyHint") is True
    return ToolTraits(
        read_only=read_only,
        destructive=not read_only and hints.get("destructiveHint", True) is not False,
        idempotent=hints.get("idempotentHint") is True,
        open_world=hints.get("openWorldHint", True) is not False,
    )


def known_tool(tool: BaseTool, agent: str | None) -> KnownTool:
    """What reviewers and edits need to know of a tool."""
    return KnownTool(
        agent=agent or "",
        name=tool.name,
        description=tool.description,
        schema=json_schema(tool),
        traits=read_traits(tool),
    )


def json_schema(tool: BaseTool) -> dict[str, Any] | None:
    """The JSON Schema of what the model may pass, without injected arguments."""
    schema = tool.tool_call_schema
    if isinstance(schema, dict):
        return schema
    if issubclass(schema, BaseModel):
        return schema.model_json_schema()
    return None


def argument_problem(tool: BaseTool | None, args: Mapping[str, Any]) -> str | None:
    """Why the tool would refuse these arguments before it does anything, or None."""
    schema = None if tool is None else tool.tool_call_schema
    if not (isinstance(schema, type) and issubclass(schema, BaseModel)):
        return None
    try:
        schema.model_validate(args)
    except ValidationError as error:
        found = error.errors(include_url=False, include_context=False)
        return "; ".join(
            f"{'.'.join(map(str, e['loc'])) or 'arguments'}: {e['msg']}" for e in found
        )
    return None


def find_tool(tools: Sequence[BaseTool], name: str) -> BaseTool | None:
    """The agent's tool of that name."""
    return next((tool for tool in tools if tool.name == name), None)


def messages_of(state: object) -> Sequence[Any]:
    """The messages of a graph's state, whatever its shape."""
    if isinstance(state, list):
        return state
    if isinstance(state, dict | Mapping):  # a dict at a glance, without ABC's look
        return state.get("messages") or []
    return getattr(state, "messages", None) or []


def calls_beside(request: ToolCallRequest) -> Sequence[ToolCall]:
    """All tool calls of the message that asked for this one, itself included."""
    found = _asking_message(request)
    return [] if found is None else found[1].tool_calls


def _message_id(request: ToolCallRequest) -> str:
    """The AI message's id, under the path of the subgraph it stands in.

    The last part of the namespace is the node's own task and differs between the
    model's node and the tools' node; the parts above tell parallel subgraphs apart.
    """
    config = request.runtime.config
    found = _asking_message(request)
    if found is None:
        return str(config.get("configurable", {}).get("checkpoint_ns") or "")
    index, message = found
    return message_name(namespace_above(config), message, index)


def namespace_above(config: RunnableConfig) -> str:
    """The path of the subgraph in which this node stands; empty at the top."""
    namespace = config.get("configurable", {}).get("checkpoint_ns") or ""
    return str(namespace).rpartition("|")[0]


def message_name(above: str, message: AIMessage, index: int) -> str:
    """How an AI message is called in an action's identity."""
    return f"{above}/{message.id or f'#{index}'}"


def _asking_message(request: ToolCallRequest) -> tuple[int, AIMessage] | None:
    wanted = request.tool_call["id"]
    messages = messages_of(request.state)
    for index in range(len(messages) - 1, -1, -1):
        message = messages[index]
        if isinstance(message, AIMessage) and wanted in [
            call["id"] for call in message.tool_calls
        ]:
            return index, message
    return None
