"""Replays the recorded calls against another policy. Reads only, page by page."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Final

from signoff.domain.actions import canonical, check_texts
from signoff.domain.duration import LONGEST, microseconds
from signoff.domain.errors import InvalidSetting
from signoff.domain.policy import Policy, Ruling
from signoff.domain.policy_changes import label_of
from signoff.domain.rules import Rule, Verdict
from signoff.domain.simulation import (
    Effort,
    Example,
    Measured,
    Move,
    Past,
    Simulation,
    Took,
    ToolMoves,
    effort,
)
from signoff.ports import Reading, Store
from signoff.service.propose import terms_of

PAGE: Final = 1_000
TOOLS: Final = 500
EXAMPLES: Final = 500
MOST_EXAMPLES: Final = 20
ARGS_SHOWN: Final = 2_000
SAMPLES: Final = 5
DEFAULT_SECONDS: Final = 60.0
_ASKING: Final = frozenset({Verdict.REVIEW})


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """What is asked of the record."""

    policy: Policy
    since: timedelta
    agent: str | None
    seconds: float | None
    examples: int


def simulate(store: Store, question: Question) -> Simulation:
    """What the policy would have said of what was recorded.

    The same record gives the same answer. Memory doesn't grow with the record: tools
    beyond the first 500 share one row, and 500 examples are kept.

    Raises:
        InvalidSetting: A number out of range.
        PayloadRefused: An agent's name that no column could hold.
    """
    _check(question)
    with store.reading() as reading:
        until = reading.now()
        since = until - microseconds(question.since)
        tally = _Tally(question)
        for past in pasts(reading, since, until, question.agent):
            tally.add(past)
        took = {one.tool: one for one in reading.took(since, question.agent)}
        untraced = _untraced(reading, since, until)
    return tally.result(since, until, took, untraced)


def pasts(
    reading: Reading, since: int, until: int, agent: str | None
) -> Iterator[Past]:
    """The recorded calls of a time, oldest first, a page at a time."""
    after = (since, "")
    while True:
        page = reading.past_actions(after, until=until, agent=agent, limit=PAGE)
        yield from page
        if len(page) < PAGE:
            return
        after = (page[-1].at, page[-1].id)


@dataclass
class _Row:
    calls: int = 0
    decisions_before: int = 0
    decisions_after: int = 0
    moves: Counter[tuple[str, str]] = field(default_factory=Counter)
    examples: dict[tuple[str, str], list[Example]] = field(default_factory=dict)


class _Tally:
    def __init__(self, question: Question) -> None:
        self.question = question
        self.rows: dict[str | None, _Row] = {}
        self.needed: dict[int, int] = {}
        self.gates = self.unreadable = self.failed = self.examples = 0

    def add(self, past: Past) -> None:
        if past.gate:
            self.gates += 1
        elif past.action is None:
            self.unreadable += 1
        else:
            ruling = self.question.policy.decide(past.action)
            self.failed += ruling.error is not None
            self._count(past, ruling)

    def _count(self, past: Past, ruling: Ruling) -> None:
        row = self._row(past.tool)
        move = (past.verdict, ruling.verdict.value)
        row.calls += 1
        row.moves[move] += 1
        row.decisions_before += past.decisions
        if ruling.verdict in _ASKING:
            row.decisions_after += self._needed(ruling.rule)
        if move[0] != move[1]:
            self._show(row.examples.setdefault(move, []), past, ruling)

    def _needed(self, rule: Rule) -> int:
        """How many people must at least approve a call that this rule asks about."""
        # By identity: the rules live as long as their policy, and may be unhashable.
        if id(rule) not in self.needed:
            self.needed[id(rule)] = terms_of(rule).approvals
        return self.needed[id(rule)]

    def _row(self, tool: str) -> _Row:
        # Bounded: the names come from a model, which may invent any number of them.
        known = tool in self.rows or len(self.rows) < TOOLS
        return self.rows.setdefault(tool if known else None, _Row())

    def _show(self, shown: list[Example], past: Past, ruling: Ruling) -> None:
        if len(shown) < self.question.examples and self.examples < EXAMPLES:
            self.examples += 1
            shown.append(_example(past, ruling))

    def result(
        self,
        since: int,
        until: int,
        took: Mapping[str | None, Took],
        untraced: tuple[str, ...],
    ) -> Simulation:
        tools = [self._tool(tool, row, took) for tool, row in self.rows.items()]
        tools.sort(key=lambda one: (-one.changed, one.tool is None, one.tool or ""))
        return Simulation(
            version=self.question.policy.version,
            since=since,
            until=until,
            agent=self.question.agent,
            calls=sum(one.calls for one in tools),
            gates=self.gates,
            unreadable=self.unreadable,
            failed=self.failed,
            untraced=untraced,
            verdicts_before=self._verdicts(0),
            verdicts_after=self._verdicts(1),
            before=_sum([one.before for one in tools]),
            after=_sum([one.after for one in tools]),
            tools=tuple(tools),
        )

    def _verdicts(self, side: int) -> Mapping[str, int]:
        found: Counter[str] = Counter()
        for row in self.rows.values():
            for move, calls in row.moves.items():
                found[move[side]] += calls
        return {verdict.value: found[verdict.value] for verdict in Verdict}

    def _tool(
        self, tool: str | None, row: _Row, took: Mapping[str | None, Took]
    ) -> ToolMoves:
        seconds, measured, samples = _seconds(tool, took, self.question.seconds)
        moves = (
            Move(
                was=was,
                now=now,
                calls=calls,
                examples=tuple(row.examples.get((was, now), ())),
            )
            for (was, now), calls in row.moves.items()
        )
        ordered = sorted(moves, key=lambda m: (not m.changes, -m.calls, m.was, m.now))
        return ToolMoves(
            tool=tool,
            calls=row.calls,
            moves=tuple(ordered),
            seconds=seconds,
            measured=measured,
            samples=samples,
            before=effort(row.decisions_before, seconds),
            after=effort(row.decisions_after, seconds),
        )


def _seconds(
    tool: str | None, took: Mapping[str | None, Took], given: float | None
) -> tuple[float, Measured, int]:
    """What a decision costs: as given, as measured of the tool, of all, or assumed."""
    if given is not None:
        return given, Measured.GIVEN, 0
    kinds = ((tool, Measured.TOOL), (None, Measured.ALL))
    for name, measured in kinds[1:] if tool is None else kinds:
        found = took.get(name)
        if found is not None and found.decisions >= SAMPLES:
            return found.median, measured, found.decisions
    return DEFAULT_SECONDS, Measured.DEFAULT, 0


def _example(past: Past, ruling: Ruling) -> Example:
    if past.action is None:
        raise AssertionError("only a call that was judged is an example")
    context = past.action.context
    return Example(
        action=past.id,
        at=past.at,
        thread=context.thread,
        agent=context.agent,
        args=canonical(past.action.args, at="args").decode()[:ARGS_SHOWN],
        rule=ruling.rule.label,
        error=ruling.error,
    )


def _untraced(reading: Reading, since: int, until: int) -> tuple[str, ...]:
    """The rules whose calls aren't recorded, of the policies that judged the others."""
    found: set[str] = set()
    for version in reading.versions_used(since, until):
        rules = reading.policy(version)
        silent = [r for r in rules or () if r.get("record") is False]
        found.update(label_of(rule) for rule in silent)
    return tuple(sorted(found))


def _sum(efforts: list[Effort]) -> Effort:
    return Effort(
        decisions=sum(one.decisions for one in efforts),
        minutes=round(sum(one.minutes for one in efforts), 2),
    )


def _check(question: Question) -> None:
    check_texts({"agent": question.agent})
    if not timedelta(0) < question.since <= LONGEST:
        raise InvalidSetting("since", "must be longer than zero and up to 100 years.")
    seconds = question.seconds
    if seconds is not None and not (math.isfinite(seconds) and seconds > 0):
        raise InvalidSetting("seconds_per_decision", "must be more than zero.")
    if not 0 <= question.examples <= MOST_EXAMPLES:
        raise InvalidSetting("examples", f"must be 0 to {MOST_EXAMPLES}.")
