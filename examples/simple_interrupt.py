"""A hand-built graph that asks, here on the terminal, before it deletes a file."""

import argparse
import tempfile
from pathlib import Path
from typing import Any

from langchain_core.messages import AIMessage, ToolMessage
from langchain_core.tools import tool
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.graph import START, MessagesState, StateGraph
from langgraph.prebuilt import tools_condition

from signoff import Approve, Principal, Reject, Signoff, review
from signoff.langgraph import Runner, guard_tools

folder = Path(tempfile.mkdtemp())
file = folder / "report.txt"
file.write_text("Last year's report\n", encoding="utf-8")


@tool
def delete_file(path: str) -> str:
    """Delete a file."""
    Path(path).unlink()
    return f"Deleted {path}."


def model(state: MessagesState) -> dict[str, Any]:
    """Stands in for a chat model: wants one deletion, then says what came of it."""
    last = state["messages"][-1]
    if isinstance(last, ToolMessage):
        return {"messages": [AIMessage(last.text)]}
    call = {"name": "delete_file", "args": {"path": str(file)}, "id": "call_1"}
    return {"messages": [AIMessage("", tool_calls=[call])]}


so = Signoff(f"sqlite:///{folder / 'signoff.db'}", policy=[review("delete_file")])
builder = StateGraph(MessagesState)
builder.add_node("model", model)
builder.add_node("tools", guard_tools(so, [delete_file]))
builder.add_edge(START, "model").add_conditional_edges("model", tools_condition)
builder.add_edge("tools", "model")
runner = Runner(so, builder.compile(checkpointer=InMemorySaver()), agent="cleaner")

runner.start({"messages": [("user", "Tidy up")]}, thread_id="t1", user="ana")
request = so.pending().requests[0]
print(f"The agent wants {request.tool}({request.args}); there: {file.exists()}")

parser = argparse.ArgumentParser()
parser.add_argument("--auto", choices=["approve", "reject"])
answer = parser.parse_args().auto or input("approve or reject? ")
decision = Approve() if answer == "approve" else Reject(reason="Keep it.")
so.decide(request.id, decision, by=Principal(id="sam"), digest=request.digest)

finished = runner.resume("t1")
print(f"{finished.values['messages'][-1].text} There: {file.exists()}")
