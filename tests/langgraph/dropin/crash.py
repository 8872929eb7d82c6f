"""A process that answers a paused thread and dies on the way: `crash.py URL FILE WHEN`.

WHEN is `decided` (the answer is recorded, nothing ran) or `paid` (the tool took effect,
nobody was told).
"""

from __future__ import annotations

import asyncio
import os
import sys
from datetime import timedelta
from pathlib import Path

from langchain_core.messages import HumanMessage
from langchain_core.tools import BaseTool, tool
from langgraph.types import Command

from signoff import Signoff
from tests.langgraph.agents import call, open_saver, turn
from tests.langgraph.dropin.moved import ANA, moved_agent


def paying(folder: Path, *, fatal: bool) -> BaseTool:
    """A tool whose effects outlive the process, if that dies of them."""

    @tool
    def pay(amount: float) -> str:
        """Pay an amount."""
        with (folder / "paid").open("a") as ledger:
            ledger.write(f"{amount}\n")
        if fatal:
            os._exit(9)
        return f"paid {amount}"

    return pay


async def main(url: str, folder: Path, when: str) -> None:
    """Pause a thread, answer it, die."""
    so = Signoff(url, lease=timedelta(milliseconds=10))
    async with open_saver("sync", url, folder) as saver:
        agent = moved_agent(
            so,
            saver,
            [turn(call("pay", "c1", amount=10))],
            interrupt_on={"pay": True},
            resume_as=ANA,
            tools=[paying(folder, fatal=when == "paid")],
        )
        await agent.invoke({"messages": [HumanMessage("go")]})
        if when == "decided":
            vars(so)["begin"] = lambda _: os._exit(9)
        await agent.invoke(Command(resume={"decisions": [{"type": "approve"}]}))


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], Path(sys.argv[2]), sys.argv[3]))
