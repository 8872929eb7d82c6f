"""An agent in a process of its own: it is started, killed and started again by tests.

Its arguments: the store's address, the folder of its checkpoints, the file to which its
tool appends a line for every payment. It works until its input ends.
"""

import sys
import time
from pathlib import Path

from langchain_core.tools import tool
from langgraph.checkpoint.base import BaseCheckpointSaver
from langgraph.checkpoint.postgres import PostgresSaver
from langgraph.checkpoint.sqlite import SqliteSaver

from signoff import Signoff, review
from signoff.langgraph import Runner
from tests.langgraph.agents import Scripted, call, turn, with_create_agent


def work(url: str, folder: str, effects: str) -> None:
    """Watch for decisions; says `ready` once it does."""
    if url.startswith("sqlite"):
        with SqliteSaver.from_conn_string(f"{folder}/threads.db") as sqlite:
            watch(url, sqlite, Path(effects))
    else:
        with PostgresSaver.from_conn_string(url) as postgres:
            watch(url, postgres, Path(effects))


def watch(url: str, saver: BaseCheckpointSaver[str], effects: Path) -> None:
    """Run threads as they are decided, until the input ends."""
    saver.setup()  # type: ignore[attr-defined]  # both have it, their base has not

    @tool
    def pay(amount: int) -> str:
        """Pay an amount."""
        with effects.open("a") as file:
            file.write(f"{amount} {time.monotonic()}\n")
        return f"paid {amount}"

    so = Signoff(url, policy=[review("*")])
    model = Scripted(turns=[turn(call("pay", "c1", amount=10))])
    graph = with_create_agent(so, model, [pay], saver)
    runner = Runner(so, graph, agent="payer")
    with runner.watch():
        print("ready", flush=True)  # noqa: T201 - the test waits for it
        for line in sys.stdin:
            text = {"messages": [("user", "go")]}
            runner.start(text, thread_id=line.strip())
            print("started", flush=True)  # noqa: T201 - the test waits for it
    so.close()


if __name__ == "__main__":
    work(*sys.argv[1:])
