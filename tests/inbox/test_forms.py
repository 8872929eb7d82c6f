"""A form from a JSON Schema, and the values that come back out of it."""

import json
from typing import Any

import pytest

from signoff.inbox.forms import (
    LEFT_OUT,
    Field,
    NotRead,
    assembled,
    fields_of,
    read,
    start_text,
)

SCHEMA: dict[str, Any] = {
    "$defs": {
        "Priority": {"enum": ["low", "high"], "type": "string"},
        "Address": {
            "type": "object",
            "properties": {"street": {"type": "string"}, "no": {"type": "integer"}},
            "required": ["street"],
        },
    },
    "type": "object",
    "properties": {
        "text": {"type": "string"},
        "body": {"type": "string"},
        "count": {"type": "integer"},
        "amount": {"type": "number"},
        "urgent": {"type": "boolean"},
        "priority": {"$ref": "#/$defs/Priority"},
        "note": {"anyOf": [{"type": "string"}, {"type": "null"}], "default": None},
        "limit": {"type": ["integer", "null"]},
        "tags": {"type": "array", "items": {"type": "string"}},
        "numbers": {"type": "array", "items": {"type": "number"}},
        "address": {"$ref": "#/$defs/Address"},
        "either": {"anyOf": [{"type": "string"}, {"type": "integer"}]},
        "absent": {"type": "string"},
    },
    "required": ["text", "count", "limit"],
}
ARGS: dict[str, Any] = {
    "text": "5",
    "body": "two\nlines",
    "count": 3,
    "amount": 1.0,
    "urgent": False,
    "priority": "low",
    "note": None,
    "limit": None,
    "tags": ["a", "b"],
    "numbers": [1, 2.0],
    "address": {"street": "Main", "no": 1, "more": {"x": 1}},
    "either": 7,
    "unknown": {"deep": []},
}


def named(args: dict[str, Any] = ARGS) -> dict[str, Field]:
    return {".".join(field.path): field for field in fields_of(args, SCHEMA)}


def test_each_argument_gets_the_field_that_fits_it() -> None:
    kinds = {name: field.kind for name, field in named().items()}
    assert kinds == {
        "text": "text",
        "body": "long",
        "count": "integer",
        "amount": "number",
        "urgent": "switch",
        "priority": "choice",
        "note": "text",
        "limit": "integer",
        "tags": "strings",
        "numbers": "json",
        "address.street": "text",
        "address.no": "integer",
        "address.more": "json",
        "either": "json",
        "absent": "text",
        "unknown.deep": "json",
    }


def test_required_and_nullable_are_read_from_the_schema() -> None:
    fields = named()
    assert [n for n, f in fields.items() if f.required] == [
        "text",
        "count",
        "limit",
        "address.street",
    ]
    assert [n for n, f in fields.items() if f.nullable] == ["note", "limit"]
    assert fields["text"].label == "Text *"
    assert not fields["text"].may_be_empty
    assert fields["limit"].may_be_empty


def test_untouched_fields_give_back_the_very_arguments() -> None:
    values = []
    for field in fields_of(ARGS, SCHEMA):
        typed = field.kind not in {"switch", "choice", "strings"} and not field.empty
        value = read(field, start_text(field)) if typed else field.value
        values.append((field, value))
    again = assembled(values)
    assert json.dumps(again, sort_keys=True) == json.dumps(ARGS, sort_keys=True)


def test_no_value_is_null_or_left_out_as_it_was() -> None:
    fields = named()
    assert fields["note"].nothing() is None
    assert fields["absent"].nothing() is LEFT_OUT
    assert fields["body"].nothing() is LEFT_OUT
    filled = named({**ARGS, "limit": 3})
    assert filled["limit"].nothing() is None  # required, so null is sent
    assert assembled([(fields["absent"], LEFT_OUT)]) == {}


@pytest.mark.parametrize(
    ("name", "typed", "value"),
    [
        ("text", "6", "6"),
        ("count", "4", 4),
        ("count", " 4 ", 4),
        ("amount", "2", 2),
        ("amount", "2.50", 2.5),
        ("numbers", "[1, 2.0, null]", [1, 2.0, None]),
        ("either", '"seven"', "seven"),
    ],
)
def test_typed_text_becomes_a_value_of_its_type(
    name: str, typed: str, value: object
) -> None:
    found = read(named()[name], typed)
    assert (found, type(found)) == (value, type(value))


@pytest.mark.parametrize(
    ("name", "typed", "cure"),
    [
        ("count", "four", "a number"),
        ("count", "4.5", "a whole number"),
        ("count", "true", "a number"),
        ("count", "", "a number"),
        ("amount", "1,000", "a number"),
        ("amount", "NaN", "a number"),
        ("amount", "Infinity", "a number"),
        ("count", "9007199254740993", "beyond 2^53"),
        ("numbers", "[1,", "JSON"),
        ("numbers", "[" * 100_000, "JSON"),
    ],
)
def test_what_is_no_value_is_refused_with_the_cure(
    name: str, typed: str, cure: str
) -> None:
    with pytest.raises(NotRead, match=rf"args\.{name}: .*{cure}".replace("^", r"\^")):
        read(named()[name], typed)


def test_a_value_of_another_type_than_the_schema_says_stays_what_it_is() -> None:
    fields = fields_of({"count": "three", "text": 5, "tags": "x"}, SCHEMA)
    kinds = {f.path[0]: f.kind for f in fields if not f.empty}
    assert kinds == {"count": "text", "text": "integer", "tags": "json"}


def test_hidden_or_repeated_texts_are_edited_as_json() -> None:
    for tags in (["a\u200b"], ["a", "a"]):
        field = next(
            f for f in fields_of({"tags": tags}, SCHEMA) if f.path == ("tags",)
        )
        assert field.kind == "json"
        assert json.loads(start_text(field)) == tags


def test_an_enum_keeps_a_value_that_it_does_not_name() -> None:
    field = next(
        f for f in fields_of({"priority": "odd"}, SCHEMA) if f.path == ("priority",)
    )
    assert field.choices == ("odd", "low", "high")


@pytest.mark.parametrize(
    "schema",
    [
        None,
        {},
        {"properties": None},
        {
            "properties": {"a": {"$ref": "#/$defs/a"}},
            "$defs": {"a": {"$ref": "#/$defs/a"}},
        },
        {"properties": {"a": True}},
        {"properties": {"a": {"$ref": "elsewhere"}}},
    ],
)
def test_a_strange_schema_still_gives_a_form(schema: dict[str, Any] | None) -> None:
    assert [field.kind for field in fields_of({"a": 1.5}, schema)] == ["number"]
