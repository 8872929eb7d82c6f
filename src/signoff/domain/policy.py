"""Policy: ordered rules that read an action and give a verdict. First match wins.

No rule, an unknown tool, a condition that raises or gives no boolean: `review`.
"""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Final

from signoff.domain.actions import Action, canonical, sha256
from signoff.domain.calendars import Calendar
from signoff.domain.errors import PolicyError
from signoff.domain.predicates import Predicate, compile_condition, explain
from signoff.domain.rules import Rule, Verdict


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
    ruling: Ruling


@dataclass(frozen=True, eq=False)
class Policy:
    """Ordered rules; the first whose glob and condition match gives the verdict.

    An empty policy asks about everything.

    Attributes:
        version: The same for the same rules, whatever file they stand in.
        source: The file that it was read from; None for rules written in Python.
        calendars: The working hours that its rules name, if it brings them.
    """

    rules: Sequence[Rule]
    calendars: Mapping[str, Calendar] = field(default_factory=dict, kw_only=True)
    version: str = field(init=False)
    source: str | None = field(init=False, default=None)

    def __post_init__(self) -> None:
        rules = tuple(self.rules)
        for rule in rules:
            if not isinstance(rule, Rule):
                raise PolicyError(
                    f"A policy is a list of rules such as review('send_email'), "
                    f"not {rule!r}."
                )
        described = canonical([rule.describe() for rule in rules], at="policy")
        set_once = object.__setattr__
        set_once(self, "rules", rules)
        set_once(self, "version", sha256(described)[:16])
        compiled = tuple(_compile(rule, self.version) for rule in rules)
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

    def found_in(self, file: str) -> Policy:
        """The same rules, as read from a file."""
        same = Policy(self.rules, calendars=self.calendars)
        object.__setattr__(same, "source", file)
        return same

    def decide(self, action: Action) -> Ruling:
        """The verdict on an action. An error is a `review` that says so."""
        for candidate in self._candidates(action.tool):  # type: ignore[attr-defined]
            try:
                matches = candidate.predicate is None or candidate.predicate(action)
            except Exception as error:  # noqa: BLE001 - all means ask
                return self._ask_because(candidate.rule, explain(error, action.args))
            if matches:
                return candidate.ruling  # type: ignore[no-any-return]
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


def _compile(rule: Rule, version: str) -> _Compiled:
    names = re.compile("|".join(fnmatch.translate(glob) for glob in rule.tools))
    predicate = None if rule.when is None else compile_condition(rule.when)
    ruling = Ruling(verdict=rule.verdict, rule=rule, policy_version=version)
    return _Compiled(rule, names, predicate, ruling)


NO_RULE: Final = Rule(verdict=Verdict.REVIEW, tools=("*",), name="no rule matched")
