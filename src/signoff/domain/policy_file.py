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
import reprlib
import tomllib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from signoff.domain.calendars import KEYS, Calendar, check_hours, read_calendar
from signoff.domain.errors import PayloadRefused, PolicyError
from signoff.domain.policy import Policy
from signoff.domain.rules import Rule, allow, deny, hold, reversible, review
from signoff.domain.text import toml_lines

MAKERS: Final[Mapping[str, Callable[..., Rule]]] = {
    "allow": allow,
    "review": review,
    "reversible": reversible,
    "hold": hold,
    "deny": deny,
}
TYPES: Final[Mapping[str, tuple[type, str]]] = {
    "tools": (list, "a list of names, such as ['send_email']"),
    "reviewers": (list, "a list of names, such as ['finance']"),
    "escalate_to": (list, "a list of names, such as ['cfo']"),
    "undoers": (list, "a list of names, such as ['support']"),
    "force_by": (list, "a list of names, such as ['admin']"),
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

_PLAIN_ENGLISH: Final = ("name", "reason", "record", "when")
_INSIDE: Final = {"any_of": ("approvals", "reviewers")}
"""Keywords that are also words inside of a value: an error about them is about it."""

# The channels, and where links lead, are read by `signoff.notify`.
ON_TOP: Final = (
    "rule",
    "defaults",
    "calendars",
    "base_url",
    "channels",
    "people",
)


def read_policy(path: Path) -> Policy:
    """Read and check a policy file.

    Raises:
        PolicyError: With file, line and a suggestion.
    """
    try:
        # Some editors put a mark first, which is no text.
        text = path.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise PolicyError(
            f"can't be read: {error.strerror}. Check the path.", file=str(path)
        ) from error
    except UnicodeDecodeError as error:
        raise PolicyError("is not UTF-8; save it as UTF-8.", file=str(path)) from error
    return parse_policy(text, str(path)).found_in(str(path.resolve()))


def parse_policy(text: str, file: str) -> Policy:
    """Make a policy from the text of a file; `file` is its name in errors."""
    reader = _Reader(text, file)
    return Policy(reader.rules(), calendars=reader.calendars)


class _Reader:
    def __init__(self, text: str, file: str) -> None:
        self.file = file
        self.lines = toml_lines(text)
        try:
            self.data = tomllib.loads(text)
        except RecursionError as error:
            raise PolicyError("is nested too deep.", file=file, line=1) from error
        except ValueError as error:  # TOML's own, or a number of thousands of digits
            raise self._syntax(error) from error
        self.calendars: dict[str, Calendar] = {}

    def rules(self) -> list[Rule]:
        self._only_known(self.data, ON_TOP, start=0)
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
            except RecursionError as error:
                problem = "is nested too deep."
                raise self._error(problem, "calendars", start) from error
            except PolicyError as error:
                raise self._placed(error, table, start, "timezone") from error

    def _table(self, name: str) -> Mapping[str, Any]:
        table = self.data.get(name, {})
        if not isinstance(table, dict):
            raise self._error(f"{name} is a table: [{name}].", name)
        start = self._header(rf"\[\s*[\"']?{name}[\"']?\s*\]", 0)
        everything = {key for make in MAKERS.values() for key in keywords(make)}
        self._only_known(table, everything, start=start)
        for key, value in table.items():
            self._check_default(key, value, start)
        return table

    def _check_default(self, key: str, value: object, start: int) -> None:
        """A default is checked by itself too: maybe no rule takes it yet."""
        self._check_type(key, value, start)
        makers = MAKERS.values()
        alone = next((m for m in makers if _takes_alone(m, key)), None)
        make = alone or next(m for m in makers if key in keywords(m))
        beside = {} if alone is not None else {"window": "10m"}
        try:
            self._made(make, {"tools": ["*"], **beside, key: value}, (key,), start)
        except PolicyError as error:
            others = {k for m in MAKERS.values() for k in keywords(m)}
            others -= {key, *_PLAIN_ENGLISH, *_INSIDE.get(key, ())}
            told = re.sub(r"'[^']*'", "", error.problem)
            # It may lack a companion that each rule brings along.
            if not any(re.search(rf"\b{k}\b", told) for k in others):
                raise

    def _rule(
        self, index: int, table: Mapping[str, Any], defaults: Mapping[str, Any]
    ) -> Rule:
        start = self._header(r"\[\[\s*[\"']?rule[\"']?\s*\]\]", index)
        make = self._maker(table, start)
        known = {"verdict", "tools", *keywords(make)}
        self._only_known(table, known, start=start)
        shared = {k: v for k, v in defaults.items() if k in keywords(make)}
        values = {**shared, **table}
        for key, value in values.items():
            self._check_type(key, value, start)
        values.pop("verdict")
        return self._made(make, values, table, start)

    def _made(
        self,
        make: Callable[..., Rule],
        values: Mapping[str, Any],
        written: Iterable[str],
        start: int,
    ) -> Rule:
        settings = dict(values)
        tools = settings.pop("tools", [])
        try:
            rule = make(*tools, **settings)
            Policy([rule])
            check_hours(rule, self.calendars)
        except PolicyError as error:
            raise self._placed(error, written, start) from error
        except (PayloadRefused, RecursionError) as error:
            problem = f"{make.__name__}() can't be hashed: {error}."
            raise self._error(problem, "verdict", start) from error
        except TypeError as error:
            problem = f"{make.__name__}() {str(error).partition('() ')[2]}."
            raise self._error(problem, "verdict", start) from error
        return rule

    def _maker(self, table: Mapping[str, Any], start: int) -> Callable[..., Rule]:
        verdict = table.get("verdict")
        if verdict is None:
            raise PolicyError(
                f"a rule needs a verdict: one of {', '.join(MAKERS)}.",
                file=self.file,
                line=start + 1,
            )
        if not isinstance(verdict, str) or verdict not in MAKERS:
            shown = reprlib.repr(verdict)
            meant = (shown.strip("'"), list(MAKERS))
            problem = f"{shown} is no verdict; there are: {', '.join(MAKERS)}."
            raise self._error(problem, "verdict", start, meant)
        return MAKERS[verdict]

    def _only_known(
        self, table: Mapping[str, Any], known: Iterable[str], start: int
    ) -> None:
        names = sorted(known)
        for key in table:
            if key not in names:
                shown = reprlib.repr(key)
                problem = f"{shown} is no setting here; there are: {', '.join(names)}."
                raise self._error(problem, key, start, (key, names))

    def _check_type(self, key: str, value: object, start: int) -> None:
        if key not in TYPES:
            if not isinstance(value, str):
                raise self._error(f"{key} takes a text in quotes.", key, start)
            self._check_texts(key, [value], start)
            return
        kind, form = TYPES[key]
        right = isinstance(value, kind) and (
            kind is bool or not isinstance(value, bool)
        )
        if isinstance(value, list):
            item_type = dict if key in _TABLES else str
            right = right and all(isinstance(item, item_type) for item in value)
        if not right:
            shown = reprlib.repr(value)
            raise self._error(f"{key} takes {form}, not {shown}.", key, start)
        if isinstance(value, list):
            self._check_texts(key, value, start)

    def _check_texts(self, key: str, texts: list[object], start: int) -> None:
        if any("\0" in text for text in _texts_in(texts)):
            problem = f"{key} has a NUL character, which no column holds."
            raise self._error(problem, key, start)

    def _placed(
        self,
        error: PolicyError,
        written: Iterable[str],
        start: int,
        otherwise: str = "verdict",
    ) -> PolicyError:
        named = (key for key in written if re.search(rf"\b{key}\b", error.problem[:80]))
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

    def _syntax(self, error: ValueError) -> PolicyError:
        found = re.search(r"\(at line (\d+), column (\d+)\)", str(error))
        last = max(len("\n".join(self.lines).rstrip("\n").split("\n")), 1)
        line = int(found[1]) if found else last
        text = str(error).partition(" (at ")[0].partition(";")[0]
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


def _texts_in(value: object) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        yield from _texts_in(list(value.values()))
    elif isinstance(value, list | tuple):
        for item in value:
            yield from _texts_in(item)


def _takes_alone(make: Callable[..., Rule], key: str) -> bool:
    """Whether a rule can be made with this setting and no other."""
    found = inspect.signature(make).parameters.values()
    needed = {
        p.name for p in found if p.kind is p.KEYWORD_ONLY and p.default is p.empty
    }
    return key in keywords(make) and needed <= {key}


def keywords(make: Callable[..., Rule]) -> tuple[str, ...]:
    """The settings that a rule of this verdict has, besides its tools."""
    parameters = inspect.signature(make).parameters.values()
    return tuple(p.name for p in parameters if p.kind is p.KEYWORD_ONLY)
