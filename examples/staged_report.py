"""Research, plan, execute, publish: people pass the plan, and then the report.

It reads notes from files, plans a report, writes it and puts it into an outbox. With
`--kill-between-stages` a process of its own does the work up to each gate, where it
is killed; the next one goes on from the files, and nothing is done twice.
"""

import argparse
import os
import signal
import subprocess
import sys
import tempfile
from functools import partial
from pathlib import Path
from typing import Any, TypedDict

from langgraph.checkpoint.sqlite import SqliteSaver
from langgraph.graph import END, START, StateGraph

from signoff import Approve, Edit, Principal, Reject, Request, Respond, Signoff
from signoff.domain.requests import Decision
from signoff.langgraph import Passed, Runner, Stages

MARIA, THREAD = Principal(id="maria@example.com"), "week-48"
NOTES = {"sales": "Sales rose by 12 %.", "stock": "Item 7 lasts for 9 days."}


class Report(TypedDict, total=False):
    notes: dict[str, str]
    plan: dict[str, Any]
    text: str
    ended: str


class Workflow:
    def __init__(self, folder: Path, so: Signoff) -> None:
        self.folder = folder
        self.stages = Stages(so, "research", "plan", "execute", "publish")

    def research(self, _: Report) -> Report:
        return {"notes": self.stages.stage("research", self.read)}

    def plan(self, state: Report) -> Report:
        """Plan the report, again after every remark, until people say yes or no."""
        remarks: list[str] = []
        while True:
            plan = self.stages.gate(
                "plan", lambda: self.outline(state, remarks), question="Write this?"
            )
            if plan.changes is None:
                return {"plan": plan.value} if plan.approved else ended(plan)
            remarks.append(plan.changes)

    def execute(self, state: Report) -> Report:
        text = self.stages.gate(
            "execute", lambda: self.write(state), question="Publish this?"
        )
        return {"text": text.value} if text.approved else ended(text)

    def publish(self, state: Report) -> Report:
        self.stages.stage("publish", lambda: self.send(state["text"]))
        return {}

    def read(self) -> dict[str, str]:
        self.did("research")
        files = sorted((self.folder / "notes").iterdir())
        return {file.stem: file.read_text(encoding="utf-8") for file in files}

    def outline(self, state: Report, remarks: list[str]) -> dict[str, Any]:
        self.did("plan")
        topics = sorted(state["notes"])
        return {"topics": topics[:1] if "shorter" in remarks else topics}

    def write(self, state: Report) -> str:
        self.did("execute")
        return "\n".join(state["notes"][topic] for topic in state["plan"]["topics"])

    def send(self, text: str) -> str:
        self.did("publish")
        with (self.folder / "outbox.txt").open("x", encoding="utf-8") as file:
            file.write(text)
        return file.name

    def did(self, stage: str) -> None:
        with (self.folder / "did.txt").open("a", encoding="utf-8") as file:
            file.write(f"{stage}\n")


def ended(passed: Passed) -> Report:
    return {"ended": str(passed.reason)}


def way(after: str, state: Report) -> str:
    return END if "ended" in state else after


def stretch(folder: Path, so: Signoff) -> bool:
    """Work until the next gate or the end; whether it is the end."""
    flow, builder = Workflow(folder, so), StateGraph(Report)
    for name in flow.stages.names:
        builder.add_node(name, getattr(flow, name))
    builder.add_edge(START, "research").add_edge("research", "plan")
    for name, after in (("plan", "execute"), ("execute", "publish")):
        go_on = partial(way, after)
        builder.add_conditional_edges(name, go_on, [after, END])
    with SqliteSaver.from_conn_string(str(folder / "threads.db")) as saver:
        runner = Runner(so, builder.compile(checkpointer=saver), agent="reporter")
        if so.stages(THREAD) == ():
            return runner.start({}, thread_id=THREAD).finished
        return runner.resume(THREAD).finished


def child(folder: Path) -> bool:
    """`stretch` in a process of its own, which is killed at the gate."""
    command = [sys.executable, __file__, "--child", str(folder)]
    code = subprocess.run(command, check=False).returncode
    if code not in {0, -signal.SIGKILL}:
        sys.exit(code)
    return code == 0


def answer(request: Request, said: str) -> Decision:
    """What Maria says: the plan gets her answer, whatever comes after it a yes."""
    if request.tool != "plan" or request.args["value"] == {"topics": ["sales"]}:
        return Approve()
    answers: dict[str, Decision] = {
        "reject": Reject(reason="not this week"),
        "edit": Edit(args={"value": {"topics": ["stock"]}}),
        "respond": Respond(message="shorter"),
    }
    return answers.get(said, Approve())


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--auto", choices=["approve", "reject", "edit", "respond"])
    parser.add_argument("--kill-between-stages", action="store_true")
    parser.add_argument("--child", type=Path, help=argparse.SUPPRESS)
    given = parser.parse_args()
    folder = given.child or Path(tempfile.mkdtemp())
    so = Signoff(f"sqlite:///{folder / 'signoff.db'}")
    if given.child:
        if not stretch(folder, so):
            os.kill(os.getpid(), signal.SIGKILL)
        return 0
    (folder / "notes").mkdir()
    for name, note in NOTES.items():
        (folder / "notes" / f"{name}.txt").write_text(note, encoding="utf-8")
    while not (child(folder) if given.kill_between_stages else stretch(folder, so)):
        (request,) = so.pending().requests
        print(", ".join(f"{one.name}: {one.state}" for one in so.stages(THREAD)))
        print(f"  {request.description} {request.args['value']!r}")
        said = given.auto or input("  approve, reject, edit or respond? ")
        decision = answer(request, said)
        print(f"  {MARIA.id}: {decision.kind}")
        so.decide(request.id, decision, by=MARIA, digest=request.digest)
    print(", ".join(f"{one.name}: {one.state}" for one in so.stages(THREAD)))
    did, outbox = (folder / "did.txt").read_text().split(), folder / "outbox.txt"
    report = outbox.read_text(encoding="utf-8") if outbox.exists() else None
    print(f"Work done: {', '.join(did)}\nPublished: {report!r}")
    approved = [one.value for one in so.stages(THREAD) if one.name == "execute"]
    asked = [one.tool for one in so.thread(THREAD)]
    made = sorted(["research", *asked, *(["publish"] if report is not None else [])])
    checks = {
        "nothing was done twice": sorted(did) == made,
        "published is what was approved": [report] == approved,
        "the ledger holds": so.audit().holds,
    }
    for what, holds in checks.items():
        print(f"{'ok' if holds else 'FAILED'}: {what}")
    return 0 if all(checks.values()) else 1


if __name__ == "__main__":
    sys.exit(main())
