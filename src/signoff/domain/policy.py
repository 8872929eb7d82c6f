"""Policy: ordered rules that read an action and give a verdict. First match wins.

No rule, an unknown tool, a condition that raises or gives no boolean: `review`.
"""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from enum import StrEnum
from functools import lru_cache
from pathlib import Path
from typing import Any, Final

from signoff.domain.actions import Action, canonical, sha256
from signoff.domain.duration import duration, exactly
from signoff.domain.errors import PolicyError
from signoff.domain.predicates import (
    PYTHON,
    Condition,
    Elsewhere,
    Predicate,
    compile_condition,
    describe_condition,
    explain,
)

Span = str | timedelta

DEFAULT_EXPIRY: Final = timedelta(days=7)


class Verdict(StrEnum):
    """What policy says of an action."""

    ALLOW = "allow"
    REVIEW = "review"
    REVERSIBLE = "reversible"
    HOLD = "hold"
    DENY = "deny"


class Risk(StrEnum):
    """How much harm a wrong call does; the inbox sorts and colours by it."""

    LOW = "low"
    MEDIUM = "medium"
    HIGH = "high"
    CRITICAL = "critical"

    @property
    def rank(self) -> int:
        """0 for the most harmful."""
        return (Risk.CRITICAL, Risk.HIGH, Risk.MEDIUM, Risk.LOW).index(self)


DECISION_KINDS: Final = ("approve", "reject", "edit", "respond")


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """One rule: which tools, when, what then, and who must agree by when.

    Attributes:
        tools: Globs on tool names, case-sensitive (`search_*`).
        when: A CEL expression or a callable; None matches always.
        approvals: How many different people must approve.
        reviewers: Groups or people who may decide; None is any person.
        expires_in: How long people may take; silence then rejects.
        valid_for: How long an approval may wait to be used; None is until used.
        decisions: Which of the four decisions are offered.
        attempts: How many times one approval lets the call be tried.
        idempotent: Whether the tool may be re-run with the same key after a crash.
        record: Whether an allowed call is recorded (others always are).
        self_approval: Whether the user on whose behalf it runs may approve.
        window: How long a reversible or held action can be taken back.
        reason: Told to the model when the verdict is deny.
    """

    verdict: Verdict
    tools: tuple[str, ...]
    when: Condition | None = None
    approvals: int = 1
    reviewers: tuple[str, ...] | None = None
    expires_in: timedelta = DEFAULT_EXPIRY
    valid_for: timedelta | None = None
    escalate_to: tuple[str, ...] | None = None
    escalate_after: timedelta | None = None
    decisions: tuple[str, ...] = DECISION_KINDS
    attempts: int = 1
    idempotent: bool = False
    record: bool = True
    self_approval: bool = False
    window: timedelta | None = None
    risk: Risk = Risk.MEDIUM
    reason: str | None = None
    name: str | None = None

    def __post_init__(self) -> None:
        for problem in _problems(self):
            raise PolicyError(f"{self.label}: {problem}")

    @property
    def label(self) -> str:
        """How the rule is called on screen and in the ledger."""
        return self.name or f"{self.verdict.value}({', '.join(map(str, self.tools))})"

    def describe(self) -> dict[str, object]:
        """The rule as JSON; two rules with the same description act the same."""
        return {
            "verdict": self.verdict.value,
            "tools": list(self.tools),
            "when": describe_condition(self.when),
            "approvals": self.approvals,
            "reviewers": _listed(self.reviewers),
            "expires_in": exactly(self.expires_in),
            "valid_for": exactly(self.valid_for),
            "escalate_to": _listed(self.escalate_to),
            "escalate_after": exactly(self.escalate_after),
            "decisions": list(self.decisions),
            "attempts": self.attempts,
            "idempotent": self.idempotent,
            "record": self.record,
            "self_approval": self.self_approval,
            "window": exactly(self.window),
            "risk": self.risk.value,
            "reason": self.reason,
            "name": self.name,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Ruling:
    """A verdict on one action, and why.

    Attributes:
        rule: The rule that matched, or the built-in `review` when none did.
        error: Why a condition could not be evaluated, shown to the reviewer.
    """

    verdict: Verdict
    rule: Rule
    policy_version: str
    error: str | None = None


@dataclass(frozen=True, slots=True)
class _Compiled:
    rule: Rule
    names: re.Pattern[str]
    predicate: Predicate | None


@dataclass(frozen=True, eq=False)
class Policy:
    """Ordered rules; the first whose glob and condition match gives the verdict.

    An empty policy asks about everything.
    """

    rules: Sequence[Rule]
    version: str = field(init=False)

    def __post_init__(self) -> None:
        rules = tuple(self.rules)
        for rule in rules:
            if not isinstance(rule, Rule):
                raise PolicyError(
                    f"A policy is a list of rules such as review('send_email'), "
                    f"not {rule!r}."
                )
        compiled = tuple(_compile(rule) for rule in rules)
        described = canonical([rule.describe() for rule in rules], at="policy")
        set_once = object.__setattr__
        set_once(self, "rules", rules)
        set_once(self, "version", sha256(described)[:16])
        # Bounded: the names come from a model, which may invent any number of them.
        set_once(
            self,
            "_candidates",
            lru_cache(maxsize=1024)(
                lambda tool: tuple(c for c in compiled if c.names.fullmatch(tool))
            ),
        )

    @classmethod
    def load(cls, path: str | Path) -> Policy:
        """Read a policy file (TOML).

        Raises:
            PolicyError: With file, line and a suggestion.
        """
        from signoff.domain.policy_file import read_policy  # noqa: PLC0415 - cycle

        return read_policy(Path(path))

    def decide(self, action: Action) -> Ruling:
        """The verdict on an action. An error is a `review` that says so."""
        for candidate in self._candidates(action.tool):  # type: ignore[attr-defined]
            try:
                matches = candidate.predicate is None or candidate.predicate(action)
            except Exception as error:  # noqa: BLE001 - all means ask
                return self._ask_because(candidate.rule, explain(error, action.args))
            if matches:
                rule = candidate.rule
                return Ruling(
                    verdict=rule.verdict, rule=rule, policy_version=self.version
                )
        return Ruling(verdict=Verdict.REVIEW, rule=NO_RULE, policy_version=self.version)

    def unmatched(self, tools: Iterable[str]) -> tuple[Rule, ...]:
        """The rules with a glob that names none of these tools: probably a typo."""
        names = tuple(tools)
        return tuple(
            rule
            for rule in self.rules
            if not all(
                any(fnmatch.fnmatchcase(name, glob) for name in names)
                for glob in rule.tools
            )
        )

    def _ask_because(self, rule: Rule, error: str) -> Ruling:
        asking = rule if rule.verdict is Verdict.REVIEW else NO_RULE
        return Ruling(
            verdict=Verdict.REVIEW,
            rule=asking,
            policy_version=self.version,
            error=f"{rule.label}: {error}",
        )


def allow(*tools: str, when: Condition | None = None, record: bool = True) -> Rule:
    """Run without a question."""
    return Rule(verdict=Verdict.ALLOW, tools=tools, when=when, record=record)


def deny(*tools: str, when: Condition | None = None, reason: str | None = None) -> Rule:
    """Never run; the model is told why."""
    return Rule(verdict=Verdict.DENY, tools=tools, when=when, reason=reason)


def review(  # noqa: PLR0913 - each keyword is one line of a rule
    *tools: str,
    when: Condition | None = None,
    approvals: int = 1,
    reviewers: Sequence[str] | None = None,
    expires_in: Span = DEFAULT_EXPIRY,
    valid_for: Span | None = None,
    escalate_to: Sequence[str] | None = None,
    escalate_after: Span | None = None,
    decisions: Sequence[str] = DECISION_KINDS,
    attempts: int = 1,
    idempotent: bool = False,
    self_approval: bool = False,
    risk: str | Risk = Risk.MEDIUM,
    name: str | None = None,
) -> Rule:
    """Hold the call until enough reviewers approve."""
    return Rule(
        verdict=Verdict.REVIEW,
        tools=tools,
        when=when,
        approvals=approvals,
        reviewers=_names(reviewers, "reviewers"),
        expires_in=duration(expires_in, name="expires_in"),
        valid_for=_span(valid_for, "valid_for"),
        escalate_to=_names(escalate_to, "escalate_to"),
        escalate_after=_span(escalate_after, "escalate_after"),
        decisions=tuple(decisions),
        attempts=attempts,
        idempotent=idempotent,
        self_approval=self_approval,
        risk=read_risk(risk),
        name=name,
    )


def reversible(
    *tools: str,
    window: Span,
    when: Condition | None = None,
    risk: str | Risk = Risk.MEDIUM,
) -> Rule:
    """Run at once, with an undo for a while. A tool without an undo is asked about."""
    return Rule(
        verdict=Verdict.REVERSIBLE,
        tools=tools,
        when=when,
        window=duration(window, name="window"),
        risk=read_risk(risk),
    )


def hold(
    *tools: str,
    window: Span,
    when: Condition | None = None,
    risk: str | Risk = Risk.MEDIUM,
) -> Rule:
    """Park the call and run it when the window closes, unless somebody cancels it."""
    return Rule(
        verdict=Verdict.HOLD,
        tools=tools,
        when=when,
        window=duration(window, name="window"),
        risk=read_risk(risk),
    )


def read_rule(described: Mapping[str, Any]) -> Rule:
    """The rule of a description; Python conditions can't be read back, so they ask."""
    spans = ("expires_in", "valid_for", "escalate_after", "window")
    lists = ("tools", "reviewers", "escalate_to", "decisions")
    values = dict(described)
    values |= {name: _span(values[name], name) for name in spans}
    values |= {n: None if values[n] is None else tuple(values[n]) for n in lists}
    when = values["when"]
    if when is not None and when.startswith(PYTHON):
        values["when"] = Elsewhere(when)
    return Rule(
        **{
            **values,
            "verdict": Verdict(values["verdict"]),
            "risk": Risk(values["risk"]),
        }
    )


def read_risk(value: str | Risk) -> Risk:
    """A risk by its name.

    Raises:
        PolicyError: If there is no such risk.
    """
    try:
        return Risk(value)
    except ValueError:
        known = ", ".join(risk.value for risk in Risk)
        raise PolicyError(f"risk must be one of {known}, not {value!r}.") from None


def _compile(rule: Rule) -> _Compiled:
    names = re.compile("|".join(fnmatch.translate(glob) for glob in rule.tools))
    predicate = None if rule.when is None else compile_condition(rule.when)
    return _Compiled(rule, names, predicate)


def _problems(rule: Rule) -> Iterable[str]:
    if not rule.tools:
        yield "names no tool; give at least one name or glob, such as 'send_*'."
    if not all(map(_is_name, rule.tools)):
        yield "tool names are texts such as 'send_email'."
    yield from _wrong_numbers(rule)
    if rule.reviewers == ():
        yield "reviewers is empty, so nobody could approve; name some or leave it out."
    if rule.escalate_to == ():
        yield "escalate_to is empty; name somebody or leave it out."
    if not rule.decisions or set(rule.decisions) - set(DECISION_KINDS):
        yield f"decisions must be some of {', '.join(DECISION_KINDS)}."


def _wrong_numbers(rule: Rule) -> Iterable[str]:
    for name, count in (("approvals", rule.approvals), ("attempts", rule.attempts)):
        if not _is_count(count):
            yield f"{name} must be 1 or more, not {count!r}."
    if rule.idempotent and rule.attempts == 1:
        yield "idempotent lets a call run again after a crash; give attempts=2 or more."


def _is_name(value: object) -> bool:
    return isinstance(value, str) and value != ""


def _is_count(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 1


def _names(value: Sequence[str] | None, name: str) -> tuple[str, ...] | None:
    if isinstance(value, str):
        raise PolicyError(f"{name} is a list of names: [{value!r}].")
    return None if value is None else tuple(value)


def _span(value: Span | None, name: str) -> timedelta | None:
    return None if value is None else duration(value, name=name)


def _listed(names: tuple[str, ...] | None) -> list[str] | None:
    return None if names is None else list(names)


NO_RULE: Final = Rule(verdict=Verdict.REVIEW, tools=("*",), name="no rule matched")
