"""An agent that workers serve: `signoff worker tests.durable.shop:graph`.

Where it keeps what, and how slow its payments are, stands in the environment. Every
start and end of a payment is a line in a file that outlives any process.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from threading import Event
from typing import Any

from langchain_core.messages import HumanMessage
from langchain_core.tools import tool

from signoff import Rule, Signoff, hold, reversible, review
from signoff.clock import Clock
from signoff.domain.undoing import Effect
from tests.langgraph.agents import Scripted, call, turn, with_create_agent

STORE = "SHOP_STORE"
EFFECTS = "SHOP_EFFECTS"
HOLD = "SHOP_HOLD"
"""A file; while it exists, a payment that has begun doesn't end."""
GATE = "SHOP_GATE"
"""A file; the graph isn't made before it exists, so that workers begin together."""
RULE = "SHOP_RULE"
"""`hold 2s` or `reversible 1h`; without it payments are asked about."""
LEASE = {"hold": "3s"}
"""A held call runs in no turn, so that only its lease tells that its worker died."""
GO = {"messages": [HumanMessage("go")]}


def note(file: str, **said: object) -> None:
    """One line, in one write."""
    line = json.dumps({**said, "at": time.monotonic(), "pid": os.getpid()}) + "\n"
    descriptor = os.open(file, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    try:
        os.write(descriptor, line.encode())
    finally:
        os.close(descriptor)


def opened(url: str, rule: str | None, clock: Clock | None = None) -> Signoff:
    """A store with a rule for payments, and their undo if that needs one."""
    kind, _, window = (rule or "").partition(" ")
    made: dict[str, Callable[..., Rule]] = {"hold": hold, "reversible": reversible}
    policy = [made[kind]("*", window=window) if kind in made else review("*")]
    so = Signoff(url, policy=policy, clock=clock, lease=LEASE.get(kind, "30s"))
    if kind == "reversible":

        @so.undo("pay", fingerprint=lambda _effect: {"paid": _paid()})
        def refund(effect: Effect) -> None:
            note(os.environ[EFFECTS], did="refunded", amount=effect.args["amount"])

    return so


def _paid() -> int:
    """What was paid and not refunded."""
    file = Path(os.environ[EFFECTS])
    lines = file.read_text().splitlines() if file.exists() else []
    sign = {"paid": 1, "refunded": -1}
    told = [json.loads(line) for line in lines]
    return sum(sign.get(one["did"], 0) * one["amount"] for one in told)


def amounts(rule: str | None) -> Sequence[int]:
    """What the agent pays: where that can be undone, more than once."""
    return (10, 20, 30) if (rule or "").startswith("reversible") else (10,)


def make(
    so: Signoff,
    effects: str,
    until: str | None,
    saver: Any = None,  # noqa: ANN401 - any checkpointer
    *,
    amounts: Sequence[int] = (10,),
) -> Any:  # noqa: ANN401 - a graph
    """The agent: it asks to pay 10 once, and is done when that is answered."""

    @tool
    def pay(amount: int) -> str:
        """Pay an amount."""
        note(effects, did="begun", amount=amount)
        pause = Event()
        while until is not None and Path(until).exists():
            pause.wait(0.01)
        note(effects, did="paid", amount=amount)
        return f"paid {amount}"

    calls = [call("pay", f"c{n}", amount=one) for n, one in enumerate(amounts, 1)]
    model = Scripted(turns=[turn(one) for one in calls])
    return with_create_agent(so, model, [pay], saver)


def graph() -> Any:  # noqa: ANN401 - a graph
    """What a worker serves."""
    gate, pause = os.environ.get(GATE), Event()
    while gate is not None and not Path(gate).exists():
        pause.wait(0.005)
    rule = os.environ.get(RULE)
    so, until = opened(os.environ[STORE], rule), os.environ.get(HOLD)
    return make(so, os.environ[EFFECTS], until, amounts=amounts(rule))
