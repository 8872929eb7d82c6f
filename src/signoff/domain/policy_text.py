"""Rules as one would write them in a policy file."""

from __future__ import annotations

import inspect
import json
import re
from collections.abc import Mapping
from datetime import timedelta
from typing import Any, Final

from signoff.domain.duration import exactly
from signoff.domain.errors import PolicyError
from signoff.domain.policy_file import MAKERS, keywords
from signoff.domain.predicates import PYTHON
from signoff.domain.rules import Rule
from signoff.domain.text import is_hidden

_GLOB: Final = re.compile(r"([*?\[])")
_UNITS: Final = {
    "d": timedelta(days=1),
    "h": timedelta(hours=1),
    "m": timedelta(minutes=1),
    "s": timedelta(seconds=1),
}


def rule_text(rule: Rule, *comments: str) -> str:
    """A rule in TOML, without what it has by default; read back, it is the same.

    Raises:
        PolicyError: Its condition is Python code, which no file holds.
    """
    described = rule.describe()
    when = described["when"]
    if isinstance(when, str) and when.startswith(PYTHON):
        raise PolicyError(f"{rule.label}: a condition in Python can't be in a file.")
    make = MAKERS[rule.verdict.value]
    usual = make("*", **_needed(make)).describe()
    rows = [f"# {_comment(comment)}" for comment in comments]
    rows += ["[[rule]]", f"verdict = {toml(rule.verdict.value)}"]
    rows.append(f"tools = {toml(list(rule.tools))}")
    needed = _needed(make)
    for name in keywords(make):
        value = described[name]
        if value is not None and (name in needed or value != usual[name]):
            span = getattr(rule, name)
            said = _shortest(span) if isinstance(span, timedelta) else value
            rows.append(f"{name} = {toml(said)}")
    return "\n".join((*rows, ""))


def toml(value: object) -> str:
    """A value in TOML; characters that wouldn't show are escaped."""
    if isinstance(value, str):
        return f'"{"".join(map(_escaped, value))}"'
    if isinstance(value, Mapping):
        inside = (f"{k} = {toml(v)}" for k, v in value.items() if v is not None)
        return f"{{{', '.join(inside)}}}"
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(toml, value))}]"
    return json.dumps(value)


def glob_of(tool: str) -> str:
    """A glob that names this tool and no other."""
    return _GLOB.sub(r"[\1]", tool)


def cel(text: str) -> str:
    """A text as a CEL expression has it."""
    return f'"{"".join(map(_escaped, text))}"'


def _shortest(span: timedelta) -> str | None:
    """A span in its largest whole unit: `10m`, not `600s`."""
    for unit, size in _UNITS.items():
        if span % size == timedelta(0):
            return f"{span // size}{unit}"
    return exactly(span)


def _needed(make: Any) -> dict[str, str]:  # noqa: ANN401 - any maker of rules
    """What a maker can't do without: the window."""
    found = inspect.signature(make).parameters.values()
    bare = (p.name for p in found if p.kind is p.KEYWORD_ONLY and p.default is p.empty)
    return dict.fromkeys(bare, "1s")


def _escaped(char: str) -> str:
    if char in {'"', "\\"}:
        return f"\\{char}"
    if char in "\n\t" or is_hidden(char):
        return f"\\u{ord(char):04X}" if ord(char) < 1 << 16 else f"\\U{ord(char):08X}"
    return char


def _comment(text: str) -> str:
    return "".join(_escaped(c) if c in "\n\t" or is_hidden(c) else c for c in text)
