"""One execution of a node: what it has passed, and what it is asking right now.

A node is executed again from its start when its thread is resumed and when LangGraph
retries it, so that everything is counted from the start again. Tasks and threads that
a node starts share its execution.
"""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Final
from weakref import WeakKeyDictionary

from langchain_core.runnables import RunnableConfig

from signoff.domain.errors import GateNameTaken
from signoff.langgraph._wakes import SCRATCHPAD

_RUNTIME: Final = "__pregel_runtime"
_LOCK: Final = threading.Lock()


@dataclass(slots=True)
class Execution:
    """Counts by name within one execution; `attempt` tells it from a retry."""

    attempt: tuple[object, ...]
    passed: Counter[str] = field(default_factory=Counter)
    asking: set[str] = field(default_factory=set)

    @contextmanager
    def turn(self, name: str) -> Iterator[int]:
        """The number of this gate or stage among those of its name, from 1.

        Raises:
            GateNameTaken: Another one of the name has not ended yet.
        """
        with _LOCK:
            if name in self.asking:
                raise GateNameTaken(name)
            self.asking.add(name)
            self.passed[name] += 1
            number = self.passed[name]
        try:
            yield number
        finally:
            with _LOCK:
                self.asking.discard(name)


# By the one part of an execution's scratchpad that can be referred to weakly.
_EXECUTIONS: Final[WeakKeyDictionary[Any, Execution]] = WeakKeyDictionary()


def execution_of(config: RunnableConfig) -> Execution:
    """The execution in which a node's code runs."""
    values = config.get("configurable", {})
    pad = values.get(SCRATCHPAD)
    info = getattr(values.get(_RUNTIME), "execution_info", None)
    # A retry counts its interrupts, or its attempts, anew: which depends on LangGraph.
    attempt = (
        getattr(pad, "interrupt_counter", None),
        getattr(info, "node_attempt", 1),
    )
    key = getattr(pad, "get_null_resume", None)
    with _LOCK:
        found = _EXECUTIONS.get(key)
        if found is None or found.attempt != attempt:
            found = _EXECUTIONS[key] = Execution(attempt)
        return found


def node_of(config: RunnableConfig) -> str:
    """The node's task, with the path of the subgraphs that it stands in."""
    return str(config.get("configurable", {}).get("checkpoint_ns") or "")
