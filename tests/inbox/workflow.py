"""A workflow with stages, whose plan people look at before it is published."""

from typing import Any, TypedDict

from langgraph.checkpoint.memory import InMemorySaver
from langgraph.graph import START, StateGraph

from signoff import Request, Signoff
from signoff.langgraph import Runner, Stages

QUESTION = "Write this?\n<b>Yes</b>"


class Report(TypedDict, total=False):
    """What the workflow ends with."""

    sent: str


def reporter(so: Signoff, notes: Any, **terms: Any) -> Runner:  # noqa: ANN401 - any JSON value; `gate`'s own
    """Runs it: research, plan (asked until people agree), publish."""
    work = Stages(so, "research", "plan", "publish")

    def report(state: Report) -> Report:
        found, remarks = work.stage("research", lambda: notes), list[str]()
        while True:
            made = {"about": "sales", "after": list(remarks)}
            plan = work.gate("plan", made, question=QUESTION, **terms)
            if plan.changes is None:
                break
            remarks.append(plan.changes)
        if not plan.approved:
            return {}
        return {"sent": work.stage("publish", lambda: f"{plan.value} {found}")}

    graph = StateGraph(Report)
    graph.add_node("report", report)
    graph.add_edge(START, "report")
    compiled = graph.compile(checkpointer=InMemorySaver())
    return Runner(so, compiled, agent="reporter")


def waiting(so: Signoff, thread: str) -> Request:
    """The newest request of a thread."""
    return so.thread(thread)[-1]
