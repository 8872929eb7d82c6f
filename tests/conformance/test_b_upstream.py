"""The same B rows on LangChain's own middleware: what its users see today.

Each cell is observed, never assumed. If a new LangChain behaves otherwise, the test
fails and the cell is to be changed.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import pytest
from langchain.agents import create_agent
from langchain.agents.middleware import HumanInTheLoopMiddleware
from langchain_core.messages import AIMessage
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.types import Command

from tests.langgraph.agents import Effects, Scripted, call, turn

CONFIG: Final[Any] = {"configurable": {"thread_id": "t1"}}
GO: Final = {"messages": [("user", "go")]}
PAY: Final = [turn(call("pay", "c1", amount=10))]


class Upstream:
    """One agent with LangChain's middleware in one of its modes."""

    def __init__(
        self, mode: str, interrupt_on: dict[str, Any], turns: list[AIMessage]
    ) -> None:
        self.mode, self.effects = mode, Effects()
        middleware: Any = HumanInTheLoopMiddleware(
            interrupt_on,
            interrupt_mode=mode,  # type: ignore[arg-type]  # one of its two modes
        )
        self.graph: Any = create_agent(
            Scripted(turns=turns),
            self.effects.tools(),
            middleware=[middleware],
            checkpointer=InMemorySaver(),
        )

    def start(self) -> None:
        """Run until it waits."""
        self.graph.invoke(GO, CONFIG)

    def answer(self, decision: dict[str, Any]) -> str | None:
        """Answer the one question; the name of the error that comes of it, or None."""
        value = decision if self.mode == "per_call" else {"decisions": [decision]}
        (pause,) = self.graph.get_state(CONFIG).interrupts
        try:
            self.graph.invoke(Command(resume={pause.id: value}), CONFIG)
        except Exception as error:  # noqa: BLE001 - whatever it raises is the answer
            return type(error).__name__
        return None

    @property
    def waits(self) -> bool:
        """Whether the question still stands and can be answered."""
        if self.graph.get_state(CONFIG).interrupts == ():
            return False
        return self.answer({"type": "reject"}) is None


def edit(name: str, **args: Any) -> dict[str, Any]:  # noqa: ANN401 - JSON values
    """An edit in LangChain's words."""
    return {"type": "edit", "edited_action": {"name": name, "args": args}}


def _stricter_tool(mode: str) -> str:
    both = {"pay": True, "wire": {"allowed_decisions": ["reject"]}}
    agent = Upstream(mode, both, PAY)
    agent.start()
    error = agent.answer(edit("wire", amount=5000))
    if agent.effects.of("wire") != []:
        return "runs"
    return "refuses" if error is not None and agent.waits else "asks again"


def _edited_types(mode: str) -> str:
    agent = Upstream(mode, {"pay": True}, PAY)
    agent.start()
    agent.answer(edit("pay", amount="a lot"))
    if agent.effects.done != []:
        return "runs"
    return "refuses" if agent.waits else "accepts, the call then fails"


def _declined(mode: str) -> str:
    agent = Upstream(mode, {"pay": True}, PAY)
    agent.start()
    agent.answer({"type": "reject"})
    agent.graph.invoke(None, CONFIG)
    agent.graph.invoke(Command(resume={"type": "approve"}), CONFIG)
    return "never runs" if agent.effects.done == [] else "runs"


def _unknown_id(mode: str) -> str:
    agent = Upstream(mode, {"pay": True}, PAY)
    agent.start()
    try:
        agent.graph.invoke(Command(resume={"0" * 32: {"type": "approve"}}), CONFIG)
    except Exception:  # noqa: BLE001 - whatever it raises is the answer
        return "refuses"
    return "ignored silently" if agent.effects.done == [] else "runs"


def _typo(mode: str) -> str:
    agent = Upstream(mode, {"pya": True}, PAY)
    agent.start()
    return "held" if agent.effects.done == [] else "runs without asking"


def _failing_condition(mode: str) -> str:
    failing = {
        "allowed_decisions": ["approve", "reject"],
        "when": lambda request: request.tool_call["args"]["amonut"] > 10,
    }
    agent = Upstream(mode, {"pay": failing}, PAY)
    try:
        agent.start()
    except KeyError:
        return "the run fails, nobody is asked"
    return "held" if agent.effects.done == [] else "runs without asking"


OBSERVE: Final[dict[str, Callable[[str], str]]] = {
    "B1": _stricter_tool,
    "B2": _edited_types,
    "B4": _declined,
    "B10": _unknown_id,
    "B17": _typo,
    "B18": _failing_condition,
}

CELLS: Final[dict[str, dict[str, str]]] = {
    "B1": {"batched": "runs", "per_call": "refuses"},
    "B2": {"batched": "accepts, the call then fails", "per_call": "refuses"},
    "B4": {"batched": "never runs", "per_call": "never runs"},
    "B10": {"batched": "ignored silently", "per_call": "ignored silently"},
    "B17": {"batched": "runs without asking", "per_call": "runs without asking"},
    "B18": {
        "batched": "the run fails, nobody is asked",
        "per_call": "the run fails, nobody is asked",
    },
}


@pytest.mark.parametrize("mode", ["batched", "per_call"])
@pytest.mark.parametrize(
    "row", [pytest.param(row, marks=pytest.mark.row(row)) for row in CELLS]
)
def test_what_langchains_middleware_does(row: str, mode: str) -> None:
    assert OBSERVE[row](mode) == CELLS[row][mode]
