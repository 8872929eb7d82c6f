"""What the record supports: moves between verdicts, proposed and never applied."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from signoff.domain.advice import (
    Counts,
    Direction,
    Judged,
    Kept,
    Limits,
    Proposal,
    Record,
)
from signoff.domain.policy import NO_RULE
from signoff.domain.policy_text import cel, glob_of, rule_text
from signoff.domain.predicates import Elsewhere
from signoff.domain.rules import Rule, Verdict, reversible, review

Interval = tuple[float, float]
Bound = Callable[[int, int], Interval]
"""k of n: the one-sided lower and upper confidence bound of the share."""


@dataclass(frozen=True, slots=True, kw_only=True)
class InUse:
    """A policy that judged calls in the time, the newest of its file.

    Attributes:
        judged: How many calls it judged; `matched` are the labels of rules that did.
    """

    source: str
    version: str
    rules: tuple[Rule, ...]
    judged: int
    matched: frozenset[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Weighing:
    """What proposals are weighed with.

    Attributes:
        rules: The recorded rules by (policy version, label).
        shared: Tools that several agents have: a rule for one of them names it.
    """

    limits: Limits
    bound: Bound
    rules: Mapping[tuple[str, str], Rule]
    shared: frozenset[str]


def weigh(
    records: Sequence[Record], in_use: Sequence[InUse], weighing: Weighing
) -> tuple[tuple[Proposal, ...], tuple[Kept, ...]]:
    """Every proposal, and why some clean records get none."""
    proposals: list[Proposal] = []
    kept: list[Kept] = []
    for record in records:
        found = _loosening(record, weighing)
        if isinstance(found, Kept):
            kept.append(found)
        elif found is not None:
            proposals.append(found)
        proposals.extend(_tightening(record, weighing))
    for policy in in_use:
        proposals.extend(_unmatched(policy, weighing.limits))
    return tuple(proposals), tuple(kept)


def _loosening(record: Record, weighing: Weighing) -> Proposal | Kept | None:
    limits, decided = weighing.limits, record.decided
    if decided < limits.least:
        return None
    _, share = weighing.bound(decided - record.unchanged, decided)
    if share > limits.at_most:
        return None
    clean = f"{record.unchanged:,} of {decided:,} approved unchanged"
    why = _held_back(record, weighing)
    if why is not None:
        return Kept(agent=record.agent, tool=record.tool, why=f"{clean}, but {why}")
    return _loosened(record, share, clean, weighing)


def _held_back(record: Record, weighing: Weighing) -> str | None:
    """Why a clean record supports nothing."""
    limits = weighing.limits
    if record.risk == "critical":
        return "its risk is critical, so people go on deciding"
    if _hasty(record, limits):
        return (
            f"{record.hasty:,} of {record.votes:,} decisions came within "
            f"{limits.hasty_seconds:g} s, so they show nothing"
        )
    bad = record.failed + record.unknown
    ended = record.done + bad
    if bad and bad / ended > limits.at_most:
        return f"{bad:,} of {ended:,} effects failed or are unknown"
    return None


def _loosened(record: Record, share: float, clean: str, weighing: Weighing) -> Proposal:
    rule, cautions = _present(record, weighing)
    when = _condition(record, rule, weighing)
    if record.traits.read_only and record.risk == "low":
        new = Rule(verdict=Verdict.ALLOW, tools=(glob_of(record.tool),), when=when)
    else:
        new = reversible(
            glob_of(record.tool), window="10m", when=when, risk=record.risk
        )
        cautions.append("it needs an undo that was seen to work; until then it asks")
    took = "" if record.median is None else f", median {record.median:g} s"
    sure = f"{weighing.limits.confidence:.0%} confidence"
    return Proposal(
        direction=Direction.LOOSEN,
        agent=record.agent,
        tool=record.tool,
        candidate=new.verdict.value,
        evidence=(
            f"{clean}{took}; with {sure} people would have refused or changed at most "
            f"{share:.1%}"
        ),
        share=share,
        cautions=(*_cautions(record), *cautions),
        rule=rule_text(new, _place(rule)),
    )


def _present(record: Record, weighing: Weighing) -> tuple[Rule | None, list[str]]:
    """The rule that asks now, if it is one, and what to mind about it."""
    labels = list(dict.fromkeys(label for _, label in record.asked_by))
    if labels in ([NO_RULE.label], []):
        return None, []
    if len(labels) > 1:
        return None, [f"asked by {len(labels)} rules: {', '.join(labels)}"]
    rule = next(
        (weighing.rules[key] for key in record.asked_by if key in weighing.rules), None
    )
    if rule is not None and isinstance(rule.when, Elsewhere):
        why = "the rule that asks has a condition in Python: write this one there too"
        return replace(rule, when=None), [why]
    return rule, []


def _condition(record: Record, rule: Rule | None, weighing: Weighing) -> str | None:
    """Only what was asked about, and only of the agent whose record it is."""
    kept = [] if rule is None or not isinstance(rule.when, str) else [rule.when]
    if record.tool in weighing.shared and record.agent is not None:
        kept.append(f"agent == {cel(record.agent)}")
    if len(kept) > 1:
        return " && ".join(f"({one})" for one in kept)
    return kept[0] if kept else None


def _cautions(record: Record) -> Iterator[str]:
    traits = record.traits
    if traits.destructive and traits.open_world and not traits.read_only:
        yield (
            "the tool counts as destructive and reaching outside "
            "(it says so, or says nothing)"
        )
    if record.people == 1:
        yield "one person alone decided all of them"
    if record.unknown + record.failed:
        yield f"{record.failed:,} effects failed, {record.unknown:,} are unknown"


def _place(rule: Rule | None) -> str:
    if rule is None:
        return "before every other rule that names this tool"
    return f"right before {rule.label}"


def _hasty(record: Record, limits: Limits) -> bool:
    enough = record.votes >= limits.hasty_least
    return enough and record.hasty / record.votes > limits.hasty_share


def _tightening(record: Record, weighing: Weighing) -> Iterator[Proposal]:
    limits = weighing.limits
    if record.allowed_bad >= limits.failing_least:
        low, _ = weighing.bound(record.allowed_bad, record.allowed_ended)
        if low > limits.failing_share:
            yield _ask_first(record, weighing)
    if _hasty(record, limits):
        yield _two_people(record, weighing)
    if _mostly_expires(record, limits):
        yield _nobody_answers(record, weighing)
    if record.unruled:
        yield _unruled(record)
    if record.failing:
        yield _failing_condition(record)


def _mostly_expires(record: Record, limits: Limits) -> bool:
    enough = record.expired >= limits.expired_least
    return enough and record.expired / record.decided >= limits.expired_share


def _proposal(
    record: Record,
    direction: Direction,
    evidence: str,
    new: Rule,
    *comments: str,
) -> Proposal:
    return Proposal(
        direction=direction,
        agent=record.agent,
        tool=record.tool,
        candidate=new.verdict.value,
        evidence=evidence,
        rule=rule_text(new, *comments),
    )


def _ask_first(record: Record, weighing: Weighing) -> Proposal:
    new = review(
        glob_of(record.tool), when=_condition(record, None, weighing), risk=record.risk
    )
    said = (
        f"allowed, but {record.allowed_bad:,} of {record.allowed_ended:,} effects "
        "failed or are unknown"
    )
    where = "before the rule that allows it"
    return _proposal(record, Direction.TIGHTEN, said, new, where)


def _two_people(record: Record, weighing: Weighing) -> Proposal:
    said = (
        f"{record.hasty:,} of {record.votes:,} decisions came within "
        f"{weighing.limits.hasty_seconds:g} s of the ask: nobody read what was asked"
    )
    new = _written_anew(record, weighing)
    if new.any_of is None:
        new = replace(new, approvals=new.approvals + 1)
    where = "one more approval; or ask only about the calls that need a look: when ="
    return _proposal(record, Direction.TIGHTEN, said, new, where)


def _nobody_answers(record: Record, weighing: Weighing) -> Proposal:
    said = f"{record.expired:,} of {record.decided:,} requests expired unanswered"
    new = _written_anew(record, weighing)
    cure = "name reviewers who answer, escalate_to somebody, or remind_after a while"
    return _proposal(record, Direction.REPAIR, said, new, cure)


def _written_anew(record: Record, weighing: Weighing) -> Rule:
    """The rule that asks now, for this tool alone."""
    rule, _ = _present(record, weighing)
    when = _condition(record, rule, weighing)
    if rule is None or rule.verdict is not Verdict.REVIEW:
        return review(glob_of(record.tool), when=when, risk=record.risk)
    return replace(rule, tools=(glob_of(record.tool),), when=when)


def _unruled(record: Record) -> Proposal:
    said = f"no rule names it, so all {record.unruled:,} calls were asked about"
    return _proposal(record, Direction.REPAIR, said, review(glob_of(record.tool)))


def _failing_condition(record: Record) -> Proposal:
    said = f"on {record.failing:,} calls a condition failed, so they were asked about"
    cure = "say what holds without the argument: has(args.x) && args.x > 1000"
    new = review(glob_of(record.tool), risk=record.risk)
    return _proposal(record, Direction.REPAIR, said, new, cure)


def _unmatched(policy: InUse, limits: Limits) -> Iterator[Proposal]:
    """Rules that named no call, of a policy that judged enough of them."""
    if policy.judged < limits.judged_least:
        return
    for number, rule in enumerate(policy.rules, start=1):
        if rule.label in policy.matched or not rule.record:
            continue
        yield Proposal(
            direction=Direction.REPAIR,
            agent=None,
            tool=None,
            candidate=None,
            evidence=(
                f"rule {number} of {policy.source}, {rule.label}, matched none of "
                f"{policy.judged:,} calls: is a name wrong, or is it needed no more?"
            ),
            rule=_unmatched_text(rule),
        )


def _unmatched_text(rule: Rule) -> str:
    if isinstance(rule.when, Elsewhere):
        return f"# {rule.label} is written in Python\n"
    return rule_text(rule, "as it stands; correct it or take it out")


def known_rules(
    policies: Mapping[str, Sequence[Rule]],
) -> Mapping[tuple[str, str], Rule]:
    """Recorded rules by (policy version, label); of two so called, the first."""
    found: dict[tuple[str, str], Rule] = {}
    for version, rules in policies.items():
        for rule in rules:
            found.setdefault((version, rule.label), rule)
    return found


def join(judged: Iterable[Judged], counted: Iterable[Counts]) -> Sequence[Record]:
    """One record for each tool of each agent, those with most calls first."""
    by_tool: dict[tuple[str | None, str], list[Judged]] = defaultdict(list)
    for one in judged:
        by_tool[one.agent, one.tool].append(one)
    found = {key: _record(rows) for key, rows in by_tool.items()}
    for counts in counted:
        key = (counts.agent, counts.tool)
        if key in found:
            risk = found[key].risk if counts.risk is None else counts.risk
            found[key] = replace(found[key], **counts.numbers, risk=risk)  # type: ignore[arg-type]  # numbers by name
    order = sorted(found.values(), key=lambda r: (-r.calls, r.tool, r.agent or ""))
    return tuple(order)


def _record(rows: Sequence[Judged]) -> Record:
    asked = [one for one in rows if one.verdict not in _UNASKED]
    asked.sort(key=lambda one: (-one.last, one.version, one.rule))
    traits = [one.traits for one in rows]
    bare = [one for one in rows if one.rule == NO_RULE.label]
    failing = sum(one.failing for one in rows)
    return Record(
        agent=rows[0].agent,
        tool=rows[0].tool,
        calls=sum(one.calls for one in rows),
        allowed=sum(o.calls for o in rows if o.verdict == Verdict.ALLOW),
        unruled=sum(one.calls - one.failing for one in bare),
        failing=failing,
        traits=replace(
            traits[0],
            read_only=all(one.read_only for one in traits),
            destructive=any(one.destructive for one in traits),
            open_world=any(one.open_world for one in traits),
        ),
        asked_by=tuple(dict.fromkeys((one.version, one.rule) for one in asked)),
    )


_UNASKED = frozenset({Verdict.ALLOW, Verdict.DENY})
