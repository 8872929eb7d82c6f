"""The JSON Schema of a policy file, made from the makers of rules.

What a file may say is in one place only: their signatures and the reader's table of
types. A new keyword is a new setting here, without a line of its own.
"""

from __future__ import annotations

import dataclasses
import inspect
from collections.abc import Callable, Mapping, Sequence
from enum import Enum
from types import NoneType, UnionType
from typing import Any, Final, Union, get_args, get_origin, get_type_hints

from signoff.domain.actions import MAX_SAFE_INTEGER
from signoff.domain.calendars import DAYS, KEYS
from signoff.domain.policy_file import MAKERS, TYPES
from signoff.domain.predicates import LONGEST
from signoff.domain.rules import DECISION_KINDS, Rule, Span

DIALECT: Final = "https://json-schema.org/draft/2020-12/schema"
SPAN: Final = r"^\s*(?=[0-9.]*[1-9])[0-9]+(\.[0-9]+)?\s*[smhdw]\s*$"
TEXT: Final = r"^[^\u0000]*$"
_CLOCK: Final = "(([01][0-9]|2[0-3]):[0-5][0-9]|24:00)"
TIME: Final = f"^{_CLOCK}$"
_ANY_TEXT: Final = {"type": "string"}
_SPANS: Final = frozenset(get_args(Span))

Schema = dict[str, Any]


def policy_schema() -> Schema:
    """The schema of a whole file (draft 2020-12).

    It says what a schema can: names, types, forms and choices. That a condition
    compiles, and what settings mean together, only the reader can say.
    """
    return {
        "$schema": DIALECT,
        "title": "signoff policy",
        "description": "Ordered rules; the first that matches gives the verdict.",
        "type": "object",
        "additionalProperties": False,
        "properties": {
            "defaults": {
                "description": "Settings of every rule that takes them.",
                "type": "object",
                "additionalProperties": False,
                "properties": _settings(*MAKERS.values()),
            },
            "calendars": {
                "description": "Working hours, by the names that rules give as hours.",
                "type": "object",
                "additionalProperties": _calendar(),
            },
            "base_url": {"description": "Where people reach the inbox.", **_ANY_TEXT},
            "channels": {
                "description": "How people are told; `signoff notify test` checks it.",
                "type": "object",
                "additionalProperties": {"type": "object"},
            },
            "people": {
                "description": "E-mail addresses of people and groups.",
                "type": "object",
                "additionalProperties": _ANY_TEXT,
            },
            "rule": {
                "description": "The rules, in order.",
                "type": "array",
                "items": {
                    "type": "object",
                    "required": ["verdict", "tools"],
                    "properties": {"verdict": {"enum": list(MAKERS)}},
                    "allOf": [_when(name, make) for name, make in MAKERS.items()],
                },
            },
        },
    }


def _calendar() -> Schema:
    time = {"type": "string", "pattern": TIME}
    hours = {"type": "string", "pattern": rf"^{_CLOCK}\s*-\s*{_CLOCK}$"}
    known: Schema = {
        "timezone": _ANY_TEXT,
        "days": {"type": "array", "items": {"enum": list(DAYS)}},
        "open": time,
        "close": time,
        "hours": {
            "type": "object",
            "propertyNames": {"enum": list(DAYS)},
            "additionalProperties": hours,
        },
        "holidays": _ANY_TEXT,
        # A date may be TOML's own, which is no type of JSON's.
        "closed": {"type": "array"},
    }
    return {
        "type": "object",
        "required": ["timezone"],
        "additionalProperties": False,
        "properties": {key: known.get(key, {}) for key in KEYS},
    }


def _when(verdict: str, make: Callable[..., Rule]) -> Schema:
    """What a rule of one verdict may have; `window` may come from the defaults."""
    described = inspect.getdoc(make) or ""
    return {
        "if": {"properties": {"verdict": {"const": verdict}}},
        "then": {
            "description": described.partition("\n")[0],
            "additionalProperties": False,
            "properties": {
                "verdict": {"const": verdict},
                "tools": _tools(),
                **_settings(make),
            },
        },
    }


def _tools() -> Schema:
    glob = {"type": "string", "minLength": 1, "pattern": TEXT}
    return {
        "description": "Globs on tool names, case-sensitive.",
        "type": "array",
        "minItems": 1,
        "items": glob,
    }


def _settings(*makers: Callable[..., Rule]) -> Schema:
    said = _descriptions()
    found: Schema = {}
    for make in makers:
        hints = get_type_hints(make)
        for name, parameter in inspect.signature(make).parameters.items():
            if parameter.kind is parameter.KEYWORD_ONLY:
                about = {"description": said[name]} if name in said else {}
                default = parameter.default
                found[name] = {**about, **_setting(name, hints[name], default)}
    return found


def _setting(name: str, hint: object, default: object) -> Schema:
    kind = TYPES[name][0] if name in TYPES else str
    if kind is bool:
        return {"type": "boolean"}
    if kind is int:
        return {"type": "integer", "minimum": 1, "maximum": MAX_SAFE_INTEGER}
    if kind is list:
        # An empty list says something only where it is what a rule has anyway.
        least = {} if default == () else {"minItems": 1}
        return {"type": "array", **least, "items": _item(name, _parts(hint))}
    return _text(name, _parts(hint))


def _item(name: str, hints: Sequence[object]) -> Schema:
    if name == "decisions":
        return {"enum": list(DECISION_KINDS)}
    inside = [
        part
        for hint in hints
        if get_origin(hint) is Sequence
        for part in _parts(get_args(hint)[0])
    ]
    table = next((one for one in inside if dataclasses.is_dataclass(one)), None)
    return _text(name, inside) if table is None else _table(table)


def _table(kind: Any) -> Schema:  # noqa: ANN401 - a dataclass, which has no type of its own
    hints = get_type_hints(kind)
    fields = dataclasses.fields(kind)
    nothing = dataclasses.MISSING
    return {
        "type": "object",
        "additionalProperties": False,
        "required": [
            field.name
            for field in fields
            if field.default is nothing and field.default_factory is nothing
        ],
        "properties": {field.name: _field(hints[field.name]) for field in fields},
    }


def _field(hint: object) -> Schema:
    parts = _parts(hint)
    if int in parts:
        return {"type": "integer", "minimum": 1, "maximum": MAX_SAFE_INTEGER}
    if any(get_origin(part) is tuple for part in parts):
        name = {"type": "string", "minLength": 1, "pattern": TEXT}
        return {"type": "array", "minItems": 1, "items": name}
    return _text("", parts)


def _text(name: str, hints: Sequence[object]) -> Schema:
    choices = [one for one in hints if isinstance(one, type) and issubclass(one, Enum)]
    if choices:
        return {"enum": [member.value for member in choices[0]]}
    if not _SPANS.isdisjoint(set(hints) - {str}):
        return {"type": "string", "pattern": SPAN}
    longest = {"maxLength": LONGEST} if name == "when" else {}
    return {"type": "string", "pattern": TEXT, **longest}


def _parts(hint: object) -> tuple[object, ...]:
    if get_origin(hint) in {Union, UnionType}:
        return tuple(one for part in get_args(hint) for one in _parts(part))
    return () if hint is NoneType else (hint,)


def _descriptions() -> Mapping[str, str]:
    """What the settings mean, from the page that says it: the docs of `Rule`."""
    text = inspect.getdoc(Rule) or ""
    _, _, listed = text.partition("Attributes:\n")
    rows = (row.strip().partition(": ") for row in listed.splitlines())
    return {name: meaning for name, colon, meaning in rows if colon}
