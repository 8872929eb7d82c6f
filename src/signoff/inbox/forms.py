"""A form for a tool's arguments, from its JSON Schema; values keep their types.

Pure functions: what a field is, what its widget starts with, and what was typed
into it. A field that nobody touched gives back the very value that it came with.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from signoff.domain.actions import MAX_SAFE_INTEGER
from signoff.inbox.wording import compact, hidden_in, plain_label, pretty

Schema = Mapping[str, Any]
Value = Any  # whatever JSON holds

_LONG: Final = 70
_REFERENCES: Final = 20
_SCALARS: Final[Mapping[str, str]] = {
    "string": "text",
    "integer": "integer",
    "number": "number",
    "boolean": "switch",
}


class LeftOut:
    """What an optional argument is when it isn't sent at all."""


LEFT_OUT: Final = LeftOut()


@dataclass(frozen=True, slots=True, kw_only=True)
class Field:
    """One argument in the form.

    Attributes:
        path: Its name, with the name of the object that it is in before it.
        kind: `text`, `long`, `integer`, `number`, `switch`, `choice`, `strings` or
            `json`.
        value: What is proposed now, or LEFT_OUT.
        choices: The values of an enum.
    """

    path: tuple[str, ...]
    kind: str
    value: Value
    required: bool = False
    nullable: bool = False
    choices: tuple[Value, ...] = ()

    @property
    def name(self) -> str:
        """The path as the server's problems name it."""
        return ".".join(("args", *self.path))

    @property
    def label(self) -> str:
        """What stands above the widget; a star marks what the tool requires."""
        return plain_label(self.path[-1]) + (" *" if self.required else "")

    @property
    def may_be_empty(self) -> bool:
        """Whether the call may go without a value here."""
        return self.nullable or not self.required

    @property
    def empty(self) -> bool:
        """Whether it goes without one now."""
        return self.value is None or self.value is LEFT_OUT

    @property
    def hidden(self) -> int:
        """How many characters of the value a reader would not see as they are."""
        return hidden_in(self.value)

    def nothing(self) -> Value:
        """What is sent for no value: what was there, else null where it may be."""
        if self.empty:
            return self.value
        return None if self.nullable and self.required else LEFT_OUT


class NotRead(Exception):
    """What was typed is no value of the field's type; `problem` says what would be."""

    def __init__(self, field: Field, cure: str) -> None:
        self.problem = f"{field.name}: {cure}"
        super().__init__(self.problem)


def fields_of(args: Mapping[str, Value], schema: Schema | None) -> tuple[Field, ...]:
    """Every argument that there is or could be, in the schema's order."""
    root = {} if schema is None else schema
    return tuple(_fields(args, root, root, ()))


def assembled(values: Sequence[tuple[Field, Value]]) -> dict[str, Value]:
    """The arguments that a filled-in form stands for."""
    args: dict[str, Value] = {}
    for field, value in values:
        inside = args
        for name in field.path[:-1]:
            inside = inside.setdefault(name, {})
        if value is not LEFT_OUT:
            inside[field.path[-1]] = value
    return args


def start_text(field: Field) -> str:
    """What a field's text widget starts with."""
    if field.empty:
        return ""
    if field.kind in {"text", "long"}:
        return str(field.value)
    return pretty(field.value) if field.kind == "json" else compact(field.value)


def read(field: Field, typed: str) -> Value:
    """The value of a field whose text widget holds this.

    Raises:
        NotRead: It is no value of the field's type.
    """
    if typed == start_text(field) and not field.empty:
        return field.value
    if field.kind in {"text", "long"}:
        return typed
    if field.kind == "json":
        return _json(field, typed, "write JSON, such as [1, 2] or {}")
    return _number(field, typed)


def _number(field: Field, typed: str) -> int | float:
    cure = "write a number, such as 250 or 99.5"
    value = _json(field, typed.strip(), cure)
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise NotRead(field, cure)
    if field.kind == "integer" and not isinstance(value, int):
        raise NotRead(field, "write a whole number, such as 250")
    if isinstance(value, int) and abs(value) > MAX_SAFE_INTEGER:
        raise NotRead(field, "this number is beyond 2^53")
    return value


def _json(field: Field, typed: str, cure: str) -> Value:
    try:
        return json.loads(typed, parse_constant=_refuse)
    except (ValueError, RecursionError) as error:
        raise NotRead(field, cure) from error


def _refuse(name: str) -> Value:
    raise ValueError(name)


def _fields(
    args: Mapping[str, Value], schema: Schema, root: Schema, above: tuple[str, ...]
) -> Iterator[Field]:
    declared = schema.get("properties")
    properties = declared if isinstance(declared, Mapping) else {}
    required = schema.get("required", ())
    for name in [*properties, *(name for name in args if name not in properties)]:
        value = args.get(name, LEFT_OUT)
        form, nullable = _resolved(properties.get(name, {}), root)
        path = (*above, name)
        if not above and isinstance(value, Mapping) and len(value) > 0:
            yield from _fields(value, form, root, path)
            continue
        field = _field(path, form, value)
        yield replace(field, required=name in required, nullable=nullable)


def _field(path: tuple[str, ...], schema: Schema, value: Value) -> Field:
    choices = schema.get("enum")
    if isinstance(choices, Sequence) and len(choices) > 0:
        known = any(compact(c) == _compact(value) for c in choices)
        more = () if known or _empty(value) else (value,)
        return Field(path=path, kind="choice", value=value, choices=(*more, *choices))
    return Field(path=path, kind=_kind(schema, value), value=value)


def _kind(schema: Schema, value: Value) -> str:
    kind = _SCALARS.get(str(schema.get("type")), "json")
    if _is_strings(schema, value):
        return "strings"
    if kind == "json" and "type" not in schema:
        kind = _kind_of(value)
    if not _empty(value) and not _fits(kind, value):
        kind = _kind_of(value)
    if kind == "text" and hidden_in(value) > 0:
        return "json"  # where a text box would hide them, JSON has escapes
    long = isinstance(value, str) and (len(value) > _LONG or "\n" in value)
    return "long" if kind == "text" and long else kind


def _fits(kind: str, value: Value) -> bool:
    """Whether a widget of this kind can hold the value that the agent sent."""
    return kind == "json" or _kind_of(value) in {"number": {"integer", "number"}}.get(
        kind, {kind}
    )


def _kind_of(value: Value) -> str:
    match value:
        case bool():
            return "switch"
        case int():
            return "integer"
        case float():
            return "number"
        case str():
            return "text"
        case _:
            return "json"


def _is_strings(schema: Schema, value: Value) -> bool:
    items: Value = schema.get("items")
    listed = schema.get("type") == "array" and isinstance(items, Mapping)
    if not listed or items.get("type") != "string" or "enum" in items:
        return False
    if _empty(value):
        return True
    if not isinstance(value, list | tuple):
        return False
    # A chip can't show a hidden character, nor the same text twice.
    texts = all(isinstance(item, str) for item in value)
    return texts and hidden_in(value) == 0 and len(set(value)) == len(value)


def _resolved(schema: Value, root: Schema) -> tuple[Schema, bool]:
    """A schema without its references, and whether it also takes null."""
    nullable = False
    for _ in range(_REFERENCES):
        if not isinstance(schema, Mapping):
            return {}, nullable
        if "$ref" in schema:
            schema = _referred(str(schema["$ref"]), root)
            continue
        options = schema.get("anyOf") or schema.get("oneOf") or schema.get("allOf")
        if not isinstance(options, Sequence):
            return _without_null(schema, nullable=nullable)
        others = [o for o in options if not _is_null(o)]
        nullable = nullable or len(others) < len(options)
        if len(others) != 1:
            return {"type": "any"}, nullable
        schema = others[0]
    return {}, nullable


def _without_null(schema: Schema, *, nullable: bool) -> tuple[Schema, bool]:
    kinds = schema.get("type")
    if not isinstance(kinds, Sequence) or isinstance(kinds, str):
        return schema, nullable
    others = [kind for kind in kinds if kind != "null"]
    kind = others[0] if len(others) == 1 else "any"
    return {**schema, "type": kind}, nullable or len(others) < len(kinds)


def _referred(reference: str, root: Schema) -> Value:
    found: Value = root
    for part in reference.removeprefix("#/").split("/"):
        found = found.get(part) if isinstance(found, Mapping) else None
    return found


def _is_null(schema: Value) -> bool:
    return isinstance(schema, Mapping) and schema.get("type") == "null"


def _empty(value: Value) -> bool:
    return value is None or value is LEFT_OUT


def _compact(value: Value) -> str | None:
    return None if value is LEFT_OUT else compact(value)
