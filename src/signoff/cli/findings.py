"""What `policy check` finds in a policy that can be read."""

from __future__ import annotations

import difflib
import fnmatch
import re
from collections.abc import Iterable, Iterator, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final, Literal

if TYPE_CHECKING:
    from signoff.domain.policy import Policy
    from signoff.domain.rules import Rule

_HEADER: Final = re.compile(r"\s*\[\[\s*rule\s*\]\]\s*(#.*)?")
_WILD: Final = re.compile(r"[*?\[]")


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One thing that is wrong, or probably is."""

    level: Literal["error", "warning"]
    line: int | None
    problem: str
    suggestion: str | None = None

    def text(self, file: Path) -> str:
        """`file:line: problem`, as editors and CI read it."""
        place = str(file) if self.line is None else f"{file}:{self.line}"
        kind = "warning: " if self.level == "warning" else ""
        hint = "" if self.suggestion is None else f" Did you mean {self.suggestion!r}?"
        return f"{place}: {kind}{self.problem}{hint}"


def findings(
    file: Path,
    policy: Policy,
    tools: AbstractSet[str],
    *,
    complete: bool,
    people: AbstractSet[str] | None,
) -> list[Finding]:
    """All that is found.

    Args:
        file: Where the policy was read from.
        policy: The policy.
        tools: The tools that are known; if there are none, names aren't checked.
        complete: Whether `tools` are all: then a name without a tool is an error.
        people: Names and groups of all who could answer; None if that isn't known.
    """
    source = _Source(file, policy)
    found = [*_shadowed(policy, source), *_undecidable(policy, source, people)]
    if complete or tools:
        found += _unmatched(policy, source, tools, complete=complete)
    return found


def _unmatched(
    policy: Policy, source: _Source, tools: AbstractSet[str], *, complete: bool
) -> Iterator[Finding]:
    """A rule for a tool that doesn't exist: the tool that was meant has no rule."""
    for number, rule in enumerate(policy.rules):
        for glob in rule.tools:
            if any(fnmatch.fnmatchcase(tool, glob) for tool in tools):
                continue
            close = difflib.get_close_matches(glob, tools, n=1)
            which = "no tool" if complete else "no tool that an agent was seen to have"
            yield Finding(
                level="error" if complete else "warning",
                line=source.line(number, glob),
                problem=f"{glob!r} matches {which}.",
                suggestion=close[0] if close else None,
            )


def _shadowed(policy: Policy, source: _Source) -> Iterator[Finding]:
    """A rule that an earlier one without a condition always takes the calls from."""
    for number, rule in enumerate(policy.rules):
        earlier = _shadow(policy.rules[:number], rule)
        if earlier is not None:
            where = source.line(earlier)
            label = policy.rules[earlier].label
            problem = f"{rule.label} is never reached: {label}"
            yield Finding(
                level="warning",
                line=source.line(number),
                problem=f"{problem} in line {where} comes first.",
            )


def _undecidable(
    policy: Policy, source: _Source, people: AbstractSet[str] | None
) -> Iterator[Finding]:
    """A rule whose reviewers nobody is."""
    if people is None:
        return
    for number, rule in enumerate(policy.rules):
        for name in _named(rule):
            if name in people:
                continue
            close = difflib.get_close_matches(name, people, n=1)
            yield Finding(
                level="warning",
                line=source.line(number, name),
                problem=f"nobody with a token is {name!r} or in such a group.",
                suggestion=close[0] if close else None,
            )


def _named(rule: Rule) -> Iterable[str]:
    """Everybody who may decide by a rule, now or later, each once."""
    asked = [each.reviewers or () for each in rule.any_of or ()]
    later = [step.to for step in rule.ladder]
    groups = (rule.reviewers or (), *asked, rule.escalate_to or (), *later)
    return dict.fromkeys(name for names in groups for name in names)


def _shadow(before: Sequence[Rule], rule: Rule) -> int | None:
    for number, earlier in enumerate(before):
        if earlier.when is None and all(
            any(_covers(wide, glob) for wide in earlier.tools) for glob in rule.tools
        ):
            return number
    return None


def _covers(wide: str, glob: str) -> bool:
    """Whether every name that `glob` matches is one that `wide` matches too."""
    if wide in {glob, "*"}:
        return True
    if _WILD.search(glob) is None:
        return fnmatch.fnmatchcase(glob, wide)
    start = wide.removesuffix("*")
    plain = wide.endswith("*") and _WILD.search(start) is None
    return plain and glob.startswith(start)


class _Source:
    """Where in the file the rules are."""

    def __init__(self, file: Path, policy: Policy) -> None:
        self._lines = file.read_text(encoding="utf-8").splitlines()
        found = [i for i, row in enumerate(self._lines) if _HEADER.fullmatch(row)]
        # Rules may be written as one inline list, which has no headers.
        self._starts = found if len(found) == len(policy.rules) else []

    def line(self, number: int, text: str | None = None) -> int | None:
        """The line of the rule with this number, or of a quoted text in it."""
        if number >= len(self._starts):
            return None
        start = self._starts[number]
        end = (*self._starts[number + 1 :], len(self._lines))[0]
        quoted = () if text is None else (f'"{text}"', f"'{text}'")
        for offset, row in enumerate(self._lines[start:end]):
            if any(quote in row for quote in quoted):
                return start + offset + 1
        return start + 1
