"""What the tests deploy: an agent and a workflow, with signoff as everywhere else."""

import json
import os
from pathlib import Path
from typing import Any, TypedDict

import anyio
from langchain.agents import create_agent
from langchain_core.callbacks import CallbackManagerForLLMRun
from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, BaseMessage, ToolMessage
from langchain_core.outputs import ChatGeneration, ChatResult
from langchain_core.tools import tool
from langgraph.graph import START, StateGraph

from signoff import Signoff, allow, review
from signoff.langgraph import SignoffMiddleware, Stages

HERE = Path(os.environ["EFFECTS"])
so = Signoff(os.environ["STORE"], policy=[allow("wait"), review("*")])


class Obedient(BaseChatModel):
    """Calls the tools that the user's message lists, then is done."""

    @property
    def _llm_type(self) -> str:
        return "obedient"

    def bind_tools(self, tools: Any, **kwargs: Any) -> Any:  # noqa: ANN401 - LangChain's
        """Itself; it needs no tools to obey."""
        return self

    def _generate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,  # noqa: ANN401 - as above
    ) -> ChatResult:
        last = messages[-1]
        answer = AIMessage("done")
        if not isinstance(last, ToolMessage):
            wanted = json.loads(str(last.text))
            answer = AIMessage("", tool_calls=wanted)
        return ChatResult(generations=[ChatGeneration(message=answer)])


def note(name: str, text: str) -> None:
    """An effect in the world."""
    with (HERE / name).open("a", encoding="utf-8") as file:
        file.write(f"{text}\n")


@tool
def pay(amount: float, to: str) -> str:
    """Pay somebody."""
    note(to, str(amount))
    return f"paid {amount}"


@tool
async def fail(how: str) -> str:
    """Raise an error after half of the work."""
    raise ConnectionError(how)


@tool
async def wait(file: str) -> str:
    """Wait for a file."""
    while not await anyio.Path(HERE / file).exists():  # noqa: ASYNC110 - another process makes it
        await anyio.sleep(0.02)
    return "it is there"


payer = create_agent(
    Obedient(), [pay, fail, wait], middleware=[SignoffMiddleware(so, agent="payer")]
)


class Report(TypedDict, total=False):
    """What the stages hand on."""

    topic: str
    sent: str


stages = Stages(so, "research", "plan", "publish")


async def work(state: Report) -> Report:
    """All stages in one node."""
    topic = state["topic"]

    async def research() -> list[str]:
        await anyio.to_thread.run_sync(note, topic, "research")
        return [topic, topic]

    notes = await stages.astage("research", research)
    plan = await stages.agate("plan", lambda: {"use": notes}, question="Go?")
    if not plan.approved:
        return {"sent": f"no: {plan.reason}"}
    return {"sent": json.dumps(plan.value)}


builder = StateGraph(Report)
builder.add_node("work", work)
builder.add_edge(START, "work")
reporter = builder.compile()
