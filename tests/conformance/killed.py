"""An agent's process that dies at a named step, for the crash rows.

Arguments: the store's address, the checkpoints' folder, the effects' file, what to do
(`start` or `resume`), where to die (or `-`), the durability, and how many seconds the
database's clock is ahead.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any, cast

from langchain_core.messages import HumanMessage
from langchain_core.runnables import RunnableConfig
from langchain_core.tools import tool
from langgraph.checkpoint.postgres import PostgresSaver
from langgraph.checkpoint.sqlite import SqliteSaver
from langgraph.types import Command, Durability

from signoff import Signoff, review
from signoff.clock import Clock
from tests.langgraph.agents import Scripted, call, turn, with_create_agent

CONFIG: RunnableConfig = {"configurable": {"thread_id": "t1", "signoff_agent": "a"}}


def die() -> None:
    """End at once, as SIGKILL does: no clean-up, no flush."""
    os.kill(os.getpid(), 9)


def dying(before: Callable[..., Any], *, first: bool) -> Callable[..., Any]:
    """The same call, with the end of the process before or after it."""

    def called(*args: Any, **kwargs: Any) -> Any:  # noqa: ANN401 - any use case
        if first:
            die()
        before(*args, **kwargs)
        die()

    return called


def main(args: list[str]) -> None:
    """Do one step of the story and print where the thread rests."""
    url, folder, effects, doing, point, durability, ahead = args
    how = cast("Durability", durability)
    rest = story(
        Path(folder),
        url,
        effects,
        doing,
        point=point,
        durability=how,
        ahead=int(ahead),
    )
    print(json.dumps(rest))  # noqa: T201 - read by the test


def story(
    folder: Path,
    url: str,
    effects: str,
    doing: str,
    *,
    point: str = "-",
    durability: Durability = "sync",
    ahead: int = 0,
) -> dict[str, Any]:
    """Do a step, in whatever process, and say where the thread rests."""
    clock = Clock(offset=timedelta(seconds=ahead))
    so = Signoff(url, policy=[review("*")], clock=clock)
    if point in {"before record", "after record"}:
        so.begin = dying(so.begin, first=point == "before record")  # type: ignore[method-assign]
    if point == "after result":
        so.finish = dying(so.finish, first=False)  # type: ignore[method-assign]

    @tool
    def pay(amount: int) -> str:
        """Pay an amount."""
        if point == "before effect":
            die()
        with Path(effects).open("a") as file:
            file.write(f"{amount}\n")
        if point == "after effect":
            die()
        return f"paid {amount}"

    with open_saver(url, str(folder)) as saver:
        model = Scripted(turns=[turn(call("pay", "c1", amount=10))])
        graph: Any = with_create_agent(so, model, [pay], saver)
        value: Any = {"messages": [HumanMessage("go")]}
        if doing == "resume":
            pauses = graph.get_state(CONFIG).interrupts
            value = Command(resume={p.id: "x" for p in pauses}) if pauses else None
        graph.invoke(value, CONFIG, durability=durability)
        rest = graph.get_state(CONFIG)
        waiting = [pause.value for pause in rest.interrupts]
        last = rest.values["messages"][-1]
    so.close()
    return {"waiting": waiting, "last": last.content}


@contextmanager
def open_saver(url: str, folder: str) -> Any:  # noqa: ANN401 - either checkpointer
    """The checkpointer beside the store."""
    if url.startswith("sqlite"):
        with SqliteSaver.from_conn_string(f"{folder}/threads.db") as one:
            one.setup()
            yield one
    else:
        with PostgresSaver.from_conn_string(url) as two:
            two.setup()
            yield two


if __name__ == "__main__":
    main(sys.argv[1:])
