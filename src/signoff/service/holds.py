"""What this process can run later: the tools of held calls, and their preconditions."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from signoff.domain.actions import Action
from signoff.domain.journal import Entry, Way
from signoff.domain.policy import Policy, Ruling
from signoff.domain.rules import Verdict

AT_ONCE: Final = 8
"""How many held calls run in this process at the same time."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ran:
    """What a held call returned.

    Attributes:
        result: Encoded by who ran it.
        output: The same as JSON, where it is any.
    """

    summary: str
    result: bytes | None = None
    output: Any = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Held:
    """A tool that runs outside of its agent's turn.

    Attributes:
        run: Runs a claimed call. `NotApplied` says that it had no effect; any other
            error leaves that open.
        rule: The verdict of its agent's own policy; None is that of this process.
    """

    tool: str
    run: Callable[[Entry], Ran]
    agent: str | None = None
    rule: Callable[[Action], Ruling] | None = None


Needs = Callable[[Mapping[str, Any], Sequence[Entry]], Iterable[str]]


class Holds:
    """What can be run here, by agent and tool.

    Attributes:
        slots: One for each held call that may run at the same time.
        expected: Whether a policy that holds calls was seen here.
    """

    def __init__(self) -> None:
        self._by_way: dict[Way, Held] = {}
        self._preconditions: dict[str, Callable[[Mapping[str, Any]], object]] = {}
        self._needs: dict[str, Needs] = {}
        self._lock = threading.Lock()
        self._running: set[threading.Thread] = set()
        self.expected = False

    def add(self, held: Held) -> None:
        """Register a tool; again replaces it."""
        self._by_way = {**self._by_way, (held.agent, held.tool): held}

    def get(self, agent: str | None, tool: str) -> Held | None:
        """What runs this agent's calls of a tool here."""
        return self._by_way.get((agent, tool))

    @property
    def ways(self) -> tuple[Way, ...]:
        """The agents and tools of which held calls can be run here now."""
        return tuple(self._by_way) if self.free else ()

    @property
    def known(self) -> tuple[Way, ...]:
        """The same, also while everything is busy."""
        return tuple(self._by_way)

    def expect(self, policy: Policy | None) -> bool:
        """Note a policy; whether one of its rules holds calls."""
        rules = () if policy is None else policy.rules
        holds = any(rule.verdict is Verdict.HOLD for rule in rules)
        self.expected = self.expected or holds
        return holds

    def add_precondition(
        self, tool: str, check: Callable[[Mapping[str, Any]], object]
    ) -> None:
        """What must still be true when a held call of this tool runs."""
        self._preconditions[tool] = check

    def precondition(self, tool: str) -> Callable[[Mapping[str, Any]], object] | None:
        """The check of a tool, if it has one here."""
        return self._preconditions.get(tool)

    def add_needs(self, tool: str, needs: Needs) -> None:
        """Which held calls a call of this tool needs."""
        self._needs[tool] = needs

    def needs(self, tool: str) -> Needs | None:
        """What tells which held calls this tool needs, if anything does here."""
        return self._needs.get(tool)

    @property
    def free(self) -> bool:
        """Whether another held call may start here."""
        with self._lock:
            return len(self._running) < AT_ONCE

    def start(self, work: Callable[[], object]) -> threading.Thread:
        """Run it in a thread of its own, so that one that hangs holds up nobody."""

        def run() -> None:
            try:
                work()
            finally:
                with self._lock:
                    self._running.discard(thread)

        thread = threading.Thread(target=run, name="signoff-held", daemon=True)
        with self._lock:
            self._running.add(thread)
        thread.start()
        return thread

    def wait(self, seconds: float) -> None:
        """Wait for what runs, at most so long for each."""
        with self._lock:
            running = list(self._running)
        for thread in running:
            thread.join(seconds)
