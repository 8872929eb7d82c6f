"""Rules: which tools, when, what then, and who must agree by when."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, fields
from datetime import timedelta
from enum import StrEnum
from typing import Any, Final

from signoff.domain.agreement import Quorum, is_count, read_quorum
from signoff.domain.deadlines import Escalation, Silence, read_escalation, read_silence
from signoff.domain.duration import duration, exactly, in_words
from signoff.domain.errors import PolicyError
from signoff.domain.predicates import PYTHON, Condition, Elsewhere, describe_condition

Span = str | timedelta

DEFAULT_EXPIRY: Final = timedelta(days=7)
LONGEST_WINDOW: Final = timedelta(days=90)


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


class Untold(StrEnum):
    """What becomes of a window that nobody could be told of."""

    HOLD_OPEN = "hold_open"
    FINALIZE = "finalize"


DECISION_KINDS: Final = ("approve", "reject", "edit", "respond")


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """One rule: which tools, when, what then, and who must agree by when.

    Attributes:
        tools: Globs on tool names, case-sensitive (`search_*`).
        when: A CEL expression or a callable; None matches always.
        approvals: How many different people must approve.
        reviewers: Groups or people who may decide; None is any person.
        expires_in: How long people may take.
        valid_for: How long an approval may wait to be used; None is until used.
        any_of: Alternatives, instead of `approvals` and `reviewers`: one is enough.
        denials: How many different people must reject to end it.
        remind_after: When those who may decide are reminded, counted from the ask.
        escalate_to: Who may decide as well, after `escalate_after` or at the end.
        ladder: Further escalations, each with its own time from the ask.
        on_expiry: What silence means; `approve` is for low risk only.
        hours: The calendar in whose hours all these spans are counted.
        decisions: Which of the four decisions are offered.
        attempts: How many times one approval lets the call be tried.
        idempotent: Whether the tool may be re-run with the same key after a crash.
        record: Whether an allowed call is recorded (others always are).
        self_approval: Whether the user on whose behalf it runs may approve.
        window: How long a reversible or held action can be taken back.
        undoers: Groups or people who may take it back; None is any person. An agent
            may only where its own id stands here.
        force_by: Who may override a conflict, with a reason; empty is nobody.
        on_untold: What becomes of a window that nobody could be told of.
        max_late: How late a held call may still run; later it is asked about.
        reason: Told to the model when the verdict is deny.
    """

    verdict: Verdict
    tools: tuple[str, ...]
    when: Condition | None = None
    approvals: int = 1
    reviewers: tuple[str, ...] | None = None
    expires_in: timedelta = DEFAULT_EXPIRY
    valid_for: timedelta | None = None
    any_of: tuple[Quorum, ...] | None = None
    denials: int = 1
    remind_after: tuple[timedelta, ...] = ()
    escalate_to: tuple[str, ...] | None = None
    escalate_after: timedelta | None = None
    ladder: tuple[Escalation, ...] = ()
    on_expiry: Silence = Silence.REJECT
    hours: str | None = None
    decisions: tuple[str, ...] = DECISION_KINDS
    attempts: int = 1
    idempotent: bool = False
    record: bool = True
    self_approval: bool = False
    window: timedelta | None = None
    undoers: tuple[str, ...] | None = None
    force_by: tuple[str, ...] = ()
    on_untold: Untold = Untold.HOLD_OPEN
    max_late: timedelta | None = None
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
            "any_of": None
            if self.any_of is None
            else [q.describe() for q in self.any_of],
            "denials": self.denials,
            "remind_after": [exactly(span) for span in self.remind_after],
            "escalate_to": _listed(self.escalate_to),
            "escalate_after": exactly(self.escalate_after),
            "ladder": [step.describe() for step in self.ladder],
            "on_expiry": self.on_expiry.value,
            "hours": self.hours,
            "decisions": list(self.decisions),
            "attempts": self.attempts,
            "idempotent": self.idempotent,
            "record": self.record,
            "self_approval": self.self_approval,
            "window": exactly(self.window),
            "risk": self.risk.value,
            "reason": self.reason,
            "name": self.name,
            **self._described_way(),
        }

    def _described_way(self) -> dict[str, object]:
        # Only where it means something: other rules keep the version that they had.
        if self.verdict not in {Verdict.REVERSIBLE, Verdict.HOLD}:
            return {}
        return {
            "undoers": _listed(self.undoers),
            "force_by": list(self.force_by),
            "on_untold": self.on_untold.value,
            "max_late": exactly(self.max_late),
        }


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
    any_of: Sequence[Quorum | Mapping[str, Any]] | None = None,
    denials: int = 1,
    remind_after: Span | Sequence[Span] = (),
    escalate_to: Sequence[str] | None = None,
    escalate_after: Span | None = None,
    ladder: Sequence[Escalation | Mapping[str, Any]] = (),
    on_expiry: str | Silence = Silence.REJECT,
    hours: str | None = None,
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
        any_of=None if any_of is None else tuple(map(read_quorum, any_of)),
        denials=denials,
        remind_after=_spans(remind_after, "remind_after"),
        ladder=tuple(map(read_escalation, ladder)),
        on_expiry=read_silence(on_expiry),
        hours=hours,
        decisions=tuple(decisions),
        attempts=attempts,
        idempotent=idempotent,
        self_approval=self_approval,
        risk=read_risk(risk),
        name=name,
    )


def reversible(  # noqa: PLR0913 - each keyword is one line of a rule
    *tools: str,
    window: Span,
    when: Condition | None = None,
    undoers: Sequence[str] | None = None,
    force_by: Sequence[str] = (),
    on_untold: str | Untold = Untold.HOLD_OPEN,
    reviewers: Sequence[str] | None = None,
    risk: str | Risk = Risk.MEDIUM,
    name: str | None = None,
) -> Rule:
    """Run at once, with an undo for a while. A tool without an undo is asked about."""
    return Rule(
        verdict=Verdict.REVERSIBLE,
        tools=tools,
        when=when,
        window=_window(window),
        undoers=_names(undoers, "undoers"),
        force_by=_names(force_by, "force_by") or (),
        on_untold=_untold(on_untold),
        reviewers=_names(reviewers, "reviewers"),
        risk=read_risk(risk),
        name=name,
    )


def hold(  # noqa: PLR0913 - each keyword is one line of a rule
    *tools: str,
    window: Span,
    when: Condition | None = None,
    max_late: Span = "1h",
    undoers: Sequence[str] | None = None,
    on_untold: str | Untold = Untold.HOLD_OPEN,
    reviewers: Sequence[str] | None = None,
    risk: str | Risk = Risk.MEDIUM,
    name: str | None = None,
) -> Rule:
    """Park the call and run it when the window closes, unless somebody cancels it."""
    return Rule(
        verdict=Verdict.HOLD,
        tools=tools,
        when=when,
        window=_window(window),
        max_late=duration(max_late, name="max_late"),
        undoers=_names(undoers, "undoers"),
        on_untold=_untold(on_untold),
        reviewers=_names(reviewers, "reviewers"),
        risk=read_risk(risk),
        name=name,
    )


def _window(span: Span) -> timedelta:
    window = duration(span, name="window")
    if window > LONGEST_WINDOW:
        raise PolicyError(
            f"window must be at most {LONGEST_WINDOW.days} days, not {span!r}: what "
            "can be undone must be kept, and nobody looks that far back. Take a "
            "shorter one, and review() for what must not happen unseen."
        )
    return window


def _untold(value: str | Untold) -> Untold:
    try:
        return Untold(value)
    except ValueError:
        known = " or ".join(repr(one.value) for one in Untold)
        raise PolicyError(f"on_untold must be {known}, not {value!r}.") from None


_UNSAID: Final[Mapping[str, Any]] = {
    "any_of": None,
    "denials": 1,
    "remind_after": (),
    "ladder": (),
    "on_expiry": Silence.REJECT.value,
    "hours": None,
    "escalate_to": None,
    "escalate_after": None,
}
"""What a rule means that was described before these settings did anything."""
_NO_WAY: Final[Mapping[str, Any]] = {
    "undoers": None,
    "force_by": (),
    "on_untold": Untold.HOLD_OPEN.value,
    "max_late": None,
}
"""What is left out where it means nothing, and by earlier releases."""


def read_rule(described: Mapping[str, Any]) -> Rule:
    """The rule of a description; Python conditions can't be read back, so they ask.

    What an older description doesn't say is as it was before there was such a setting.

    Raises:
        KeyError: It doesn't say something else.
        PolicyError: It is no rule.
    """
    values = dict(described)
    if "on_expiry" not in values:
        values |= _UNSAID
    values = {**_NO_WAY, **values}
    spans = ("expires_in", "valid_for", "escalate_after", "window", "max_late")
    lists = ("tools", "reviewers", "escalate_to", "decisions", "undoers", "force_by")
    for setting in fields(Rule):
        if setting.name not in values:
            raise KeyError(setting.name)  # a default isn't what was meant
    values |= {name: _span(values[name], name) for name in spans}
    values |= {n: None if values[n] is None else tuple(values[n]) for n in lists}
    values["remind_after"] = _spans(values["remind_after"], "remind_after")
    values["ladder"] = tuple(map(read_escalation, values["ladder"]))
    values["on_expiry"] = read_silence(values["on_expiry"])
    values["on_untold"] = Untold(values["on_untold"])
    if values["any_of"] is not None:
        values["any_of"] = tuple(map(read_quorum, values["any_of"]))
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


def _problems(rule: Rule) -> Iterable[str]:
    if not rule.tools:
        yield "names no tool; give at least one name or glob, such as 'send_*'."
    if not all(map(_is_name, rule.tools)):
        yield "tool names are texts such as 'send_email'."
    yield from _wrong_numbers(rule)
    if rule.reviewers == ():
        yield "reviewers is empty, so nobody could approve; name some or leave it out."
    yield from _wrong_agreement(rule)
    yield from _wrong_deadlines(rule)
    if rule.undoers == ():
        yield "undoers is empty, so nobody could undo; name some or leave it out."
    if not rule.decisions or set(rule.decisions) - set(DECISION_KINDS):
        yield f"decisions must be some of {', '.join(DECISION_KINDS)}."


def _wrong_agreement(rule: Rule) -> Iterable[str]:
    if rule.any_of is None:
        return
    if rule.any_of == ():
        yield "any_of is empty, so nobody could approve; name some or leave it out."
    if rule.approvals != 1 or rule.reviewers is not None:
        yield "any_of stands instead of approvals and reviewers; give one or the other."


def _wrong_deadlines(rule: Rule) -> Iterable[str]:
    if rule.escalate_to == ():
        yield "escalate_to is empty; name somebody or leave it out."
    if rule.escalate_after is not None and rule.escalate_to is None:
        yield "escalate_after needs escalate_to: to whom?"
    at_the_end = rule.on_expiry is Silence.ESCALATE
    if at_the_end and rule.escalate_to is None:
        yield "on_expiry = 'escalate' needs escalate_to: to whom?"
    if rule.escalate_to is not None and rule.escalate_after is None and not at_the_end:
        yield "escalate_to needs escalate_after (or on_expiry = 'escalate'): when?"
    if rule.on_expiry is Silence.APPROVE and rule.risk is not Risk.LOW:
        yield "on_expiry = 'approve' is for risk = 'low' only; silence is no."
    if rule.on_expiry is Silence.APPROVE and "approve" not in rule.decisions:
        yield "on_expiry = 'approve' needs 'approve' among its decisions."
    yield from _too_late(rule)


def _too_late(rule: Rule) -> Iterable[str]:
    """What would come after the deadline, so never."""
    spans = [("remind_after", span) for span in rule.remind_after]
    spans += [("ladder", step.after) for step in rule.ladder]
    if rule.escalate_after is not None:
        spans.append(("escalate_after", rule.escalate_after))
    for name, span in spans:
        if span >= rule.expires_in:
            yield f"{name} must come before expires_in ({in_words(rule.expires_in)})."


def _wrong_numbers(rule: Rule) -> Iterable[str]:
    counts = ("approvals", "attempts", "denials")
    for name, count in ((name, getattr(rule, name)) for name in counts):
        if not is_count(count):
            yield f"{name} must be 1 or more, not {count!r}."
    if rule.idempotent and rule.attempts == 1:
        yield "idempotent lets a call run again after a crash; give attempts=2 or more."


def _is_name(value: object) -> bool:
    return isinstance(value, str) and value != ""


def _names(value: Sequence[str] | None, name: str) -> tuple[str, ...] | None:
    if isinstance(value, str):
        raise PolicyError(f"{name} is a list of names: [{value!r}].")
    return None if value is None else tuple(value)


def _span(value: Span | None, name: str) -> timedelta | None:
    return None if value is None else duration(value, name=name)


def _spans(value: Span | Sequence[Span], name: str) -> tuple[timedelta, ...]:
    given = [value] if isinstance(value, str | timedelta) else value
    return tuple(sorted(duration(span, name=name) for span in given))


def _listed(names: tuple[str, ...] | None) -> list[str] | None:
    return None if names is None else list(names)
