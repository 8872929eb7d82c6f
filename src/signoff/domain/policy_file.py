"""Policy as an operator's file: TOML, with errors that name the line and a cure.

[defaults]
expires_in = "2d"

[[rule]]
verdict = "review"
tools = ["make_payment"]
when = "args.amount > 1000"
approvals = 2
reviewers = ["finance"]
"""

from __future__ import annotations

import difflib
import inspect
import re
import tomllib
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from signoff.domain.calendars import KEYS, Calendar, check_hours, read_calendar
from signoff.domain.errors import PolicyError
from signoff.domain.policy import Policy
from signoff.domain.rules import Rule, allow, deny, hold, reversible, review

_MAKERS: Final[Mapping[str, Callable[..., Rule]]] = {
    "allow": allow,
    "review": review,
    "reversible": reversible,
    "hold": hold,
    "deny": deny,
}
_TYPES: Final[Mapping[str, tuple[type, str]]] = {
    "tools": (list, "a list of names, such as ['send_email']"),
    "reviewers": (list, "a list of names, such as ['finance']"),
    "escalate_to": (list, "a list of names, such as ['cfo']"),
    "decisions": (list, "a list such as ['approve', 'reject']"),
    "any_of": (list, "a list such as [{approvals = 2, reviewers = ['finance']}]"),
    "ladder": (list, "a list such as [{after = '2h', to = ['cfo']}]"),
    "remind_after": (list, "a list of spans, such as ['1h', '3h']"),
    "approvals": (int, "a whole number"),
    "denials": (int, "a whole number"),
    "attempts": (int, "a whole number"),
    "idempotent": (bool, "true or false"),
    "record": (bool, "true or false"),
    "self_approval": (bool, "true or false"),
}
_TABLES: Final = frozenset({"any_of", "ladder"})


def read_policy(path: Path) -> Policy:
    """Read and check a policy file.

    Raises:
        PolicyError: With file, line and a suggestion.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise PolicyError(
            f"can't be read: {error.strerror}. Check the path.", file=str(path)
        ) from error
    except UnicodeDecodeError as error:
        raise PolicyError("is not UTF-8; save it as UTF-8.", file=str(path)) from error
    return parse_policy(text, str(path))


def parse_policy(text: str, file: str) -> Policy:
    """Make a policy from the text of a file; `file` is its name in errors."""
    reader = _Reader(text, file)
    return Policy(reader.rules(), calendars=reader.calendars)


class _Reader:
    def __init__(self, text: str, file: str) -> None:
        self.file = file
        self.lines = text.splitlines()
        try:
            self.data = tomllib.loads(text)
        except tomllib.TOMLDecodeError as error:
            raise self._syntax(error) from error
        self.calendars: dict[str, Calendar] = {}

    def rules(self) -> list[Rule]:
        self._only_known(self.data, ("rule", "defaults", "calendars"), start=0)
        self._read_calendars()
        defaults = self._table("defaults")
        tables = self.data.get("rule", [])
        if not isinstance(tables, list) or not all(isinstance(t, dict) for t in tables):
            raise self._error("rules are written as [[rule]], twice bracketed.", "rule")
        return [self._rule(i, table, defaults) for i, table in enumerate(tables)]

    def _read_calendars(self) -> None:
        tables = self.data.get("calendars", {})
        if not isinstance(tables, dict):
            raise self._error("calendars are tables: [calendars.berlin].", "calendars")
        for name, table in tables.items():
            start = self._header(rf"\[\s*calendars\s*\.\s*{re.escape(name)}\s*\]", 0)
            if not isinstance(table, dict):
                raise self._error(f"{name} is a table: [calendars.{name}].", name)
            self._only_known(table, KEYS, start=start)
            try:
                self.calendars[name] = read_calendar(table)
            except PolicyError as error:
                raise self._placed(error, table, start, "timezone") from error

    def _table(self, name: str) -> Mapping[str, Any]:
        table = self.data.get(name, {})
        if not isinstance(table, dict):
            raise self._error(f"{name} is a table: [{name}].", name)
        start = self._header(rf"\[\s*{name}\s*\]", 0)
        everything = {key for make in _MAKERS.values() for key in _keywords(make)}
        self._only_known(table, everything, start=start)
        return table

    def _rule(
        self, index: int, table: Mapping[str, Any], defaults: Mapping[str, Any]
    ) -> Rule:
        start = self._header(r"\[\[\s*rule\s*\]\]", index)
        make = self._maker(table, start)
        known = {"verdict", "tools", *_keywords(make)}
        self._only_known(table, known, start=start)
        shared = {k: v for k, v in defaults.items() if k in _keywords(make)}
        values = {**shared, **table}
        for key, value in values.items():
            self._check_type(key, value, start)
        verdict = values.pop("verdict")
        tools = values.pop("tools", [])
        try:
            rule = make(*tools, **values)
            Policy([rule])
            check_hours(rule, self.calendars)
        except PolicyError as error:
            raise self._placed(error, table, start) from error
        except TypeError as error:
            problem = f"{verdict}() {str(error).partition('() ')[2]}."
            raise self._error(problem, "verdict", start) from error
        return rule

    def _maker(self, table: Mapping[str, Any], start: int) -> Callable[..., Rule]:
        verdict = table.get("verdict")
        if verdict is None:
            raise PolicyError(
                f"a rule needs a verdict: one of {', '.join(_MAKERS)}.",
                file=self.file,
                line=start + 1,
            )
        if not isinstance(verdict, str) or verdict not in _MAKERS:
            meant = (str(verdict), list(_MAKERS))
            problem = f"{verdict!r} is no verdict; there are: {', '.join(_MAKERS)}."
            raise self._error(problem, "verdict", start, meant)
        return _MAKERS[verdict]

    def _only_known(
        self, table: Mapping[str, Any], known: Iterable[str], start: int
    ) -> None:
        names = sorted(known)
        for key in table:
            if key not in names:
                problem = f"{key!r} is no setting here; there are: {', '.join(names)}."
                raise self._error(problem, key, start, (key, names))

    def _check_type(self, key: str, value: object, start: int) -> None:
        if key not in _TYPES:
            if not isinstance(value, str):
                raise self._error(f"{key} takes a text in quotes.", key, start)
            return
        kind, form = _TYPES[key]
        right = isinstance(value, kind) and (
            kind is bool or not isinstance(value, bool)
        )
        if isinstance(value, list):
            item_type = dict if key in _TABLES else str
            right = right and all(isinstance(item, item_type) for item in value)
        if not right:
            raise self._error(f"{key} takes {form}, not {value!r}.", key, start)

    def _placed(
        self,
        error: PolicyError,
        table: Mapping[str, Any],
        start: int,
        otherwise: str = "verdict",
    ) -> PolicyError:
        named = (key for key in table if re.search(rf"\b{key}\b", error.problem[:80]))
        return PolicyError(
            error.problem,
            file=self.file,
            line=self._line(next(named, otherwise), start),
            suggestion=error.suggestion,
        )

    def _error(
        self,
        problem: str,
        key: str,
        start: int = 0,
        meant: tuple[str, Sequence[str]] | None = None,
    ) -> PolicyError:
        close = [] if meant is None else difflib.get_close_matches(*meant, n=1)
        return PolicyError(
            problem,
            file=self.file,
            line=self._line(key, start),
            suggestion=close[0] if close else None,
        )

    def _syntax(self, error: tomllib.TOMLDecodeError) -> PolicyError:
        found = re.search(r"\(at line (\d+), column (\d+)\)", str(error))
        line = int(found[1]) if found else len(self.lines)
        text = str(error).partition(" (at ")[0]
        return PolicyError(f"is not TOML: {text}.", file=self.file, line=line)

    def _header(self, pattern: str, index: int) -> int:
        header = re.compile(rf"\s*{pattern}\s*(#.*)?")
        found = [i for i, line in enumerate(self.lines) if header.fullmatch(line)]
        return found[index] if index < len(found) else 0

    def _line(self, key: str, start: int) -> int:
        name = re.escape(key)
        setting = re.compile(rf"""\s*(\[+\s*)?["']?{name}["']?\s*[=.\]].*""")
        for number, line in enumerate(self.lines[start:], start=start + 1):
            if setting.fullmatch(line):
                return number
        return start + 1


def _keywords(make: Callable[..., Rule]) -> tuple[str, ...]:
    parameters = inspect.signature(make).parameters.values()
    return tuple(p.name for p in parameters if p.kind is p.KEYWORD_ONLY)
