"""Advice from the record, with exact confidence bounds. Reads only; applies nothing."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import timedelta
from functools import cache, partial
from typing import Final

from signoff.domain.actions import check_texts
from signoff.domain.advice import Advice, Judged, Limits, Record
from signoff.domain.duration import LONGEST, microseconds
from signoff.domain.errors import InvalidSetting, MissingExtra, SignoffError
from signoff.domain.rules import Rule, read_rule
from signoff.domain.weighing import (
    Interval,
    InUse,
    Weighing,
    join,
    known_rules,
    weigh,
)
from signoff.ports import Reading, Store
from signoff.service import policies

LOG: Final = 1_000


def advise(
    store: Store,
    *,
    since: timedelta,
    agent: str | None,
    at_most: float,
    least: int,
) -> Advice:
    """What the record of a time supports.

    Raises:
        InvalidSetting: A number out of range.
        MissingExtra: scipy isn't installed.
    """
    limits = _limits(since, at_most, least)
    check_texts({"agent": agent})
    bound = partial(_bound, confidence=limits.confidence)
    bound(0, 1)  # without scipy, say so before anything is read
    hasty = microseconds(timedelta(seconds=limits.hasty_seconds))
    with store.reading() as reading:
        until = reading.now()
        start = until - microseconds(since)
        judged = reading.judged(start, agent)
        records = join(judged, reading.counted(start, agent, hasty))
        rules = _rules(reading, judged)
        in_use = tuple(_in_use(reading, judged, rules)) if agent is None else ()
        shared = _shared(reading, records)
    weighing = Weighing(
        limits=limits, bound=bound, rules=known_rules(rules), shared=shared
    )
    proposals, kept = weigh(records, in_use, weighing)
    return Advice(
        since=start,
        until=until,
        agent=agent,
        limits=limits,
        tools=len(records),
        proposals=proposals,
        kept=kept,
    )


@cache
def _bound(hits: int, of: int, *, confidence: float) -> Interval:
    """The exact (Clopper-Pearson) one-sided bounds of a share."""
    try:
        from scipy.stats import binomtest  # noqa: PLC0415 - an extra, and a second
    except ModuleNotFoundError as error:
        raise MissingExtra("scipy", "advise") from error

    def end(alternative: str) -> Interval:
        tested = binomtest(hits, of, alternative=alternative)
        found = tested.proportion_ci(confidence_level=confidence, method="exact")
        return float(found.low), float(found.high)

    return end("greater")[0], end("less")[1]


def _rules(reading: Reading, judged: Iterable[Judged]) -> Mapping[str, Sequence[Rule]]:
    """The recorded rules of every version that judged something."""
    found = {}
    for version in sorted({one.version for one in judged}):
        described = reading.policy(version)
        if described is not None:
            found[version] = tuple(_readable(described))
    return found


def _readable(described: Iterable[Mapping[str, object]]) -> Iterator[Rule]:
    """Rules of another release may have what this one can't read; it says nothing."""
    for one in described:
        try:
            yield read_rule(one)
        except (KeyError, TypeError, ValueError, SignoffError):
            continue


def _in_use(
    reading: Reading,
    judged: Sequence[Judged],
    rules: Mapping[str, Sequence[Rule]],
) -> Iterator[InUse]:
    """The newest policy of each file, if it judged anything."""
    calls: Counter[str] = Counter()
    for one in judged:
        calls[one.version] += one.calls
    newest = {p.source: p.version for p in reversed(policies.log(reading, LOG))}
    for source, version in sorted(newest.items(), key=lambda pair: pair[0] or ""):
        if version in rules:
            matched = frozenset(o.rule for o in judged if o.version == version)
            yield InUse(
                source=source or policies.IN_PYTHON,
                version=version,
                rules=tuple(rules[version]),
                judged=calls[version],
                matched=matched,
            )


def _shared(reading: Reading, records: Iterable[Record]) -> frozenset[str]:
    """Tools that more than one agent has."""
    pairs = {(tool.name, tool.agent or None) for tool in reading.tools()}
    pairs |= {(record.tool, record.agent) for record in records}
    counted = Counter(name for name, _ in pairs)
    return frozenset(name for name, agents in counted.items() if agents > 1)


def _limits(since: timedelta, at_most: float, least: int) -> Limits:
    if not timedelta(0) < since <= LONGEST:
        raise InvalidSetting("since", "must be longer than zero and up to 100 years.")
    if not (math.isfinite(at_most) and 0 < at_most < 1):
        raise InvalidSetting("at_most", "must be a share between 0 and 1.")
    if least < 1:
        raise InvalidSetting("least", "must be 1 or more.")
    return replace(Limits(), at_most=at_most, least=least)
