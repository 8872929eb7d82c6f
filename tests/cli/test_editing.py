"""A text becomes the JSON value that the tool's schema asks for."""

from typing import Any

import pytest

from signoff.cli.editing import typed
from signoff.cli.exits import Refused

OPTIONAL = {"anyOf": [{"type": "integer"}, {"type": "null"}]}
ROOT = {"$defs": {"Level": {"enum": ["low", 2, None]}, "Big": {"type": "number"}}}


@pytest.mark.row("B2")
@pytest.mark.parametrize(
    ("text", "schema", "current", "value"),
    [
        ("10", {"type": "integer"}, 1, 10),
        ("-0", {"type": "integer"}, 1, 0),
        ("10", {"type": "number"}, 1, 10),
        ("10.0", {"type": "number"}, 1, 10.0),
        ("1e3", {"type": "number"}, 1, 1000.0),
        ("10", {"type": "string"}, 1, "10"),
        ("", {"type": "string"}, 1, ""),
        ("null", {"type": "string"}, None, "null"),
        ("true", {"type": "boolean"}, 1, True),
        ("true", {"type": "string"}, True, "true"),
        ("null", OPTIONAL, 5, None),
        ("7", OPTIONAL, None, 7),
        ("7", {"type": ["string", "integer"]}, "a", "7"),
        ("7", {"type": ["string", "integer"]}, 3, 7),
        ("low", {"$ref": "#/$defs/Level"}, None, "low"),
        ("2", {"$ref": "#/$defs/Level"}, None, 2),
        ("null", {"$ref": "#/$defs/Level"}, "low", None),
        ("2.5", {"$ref": "#/$defs/Big"}, None, 2.5),
        ("x", {"const": "x"}, None, "x"),
        ("5", {}, 4, 5),
        ("5", {}, "4", "5"),
        ("false", {}, True, False),
    ],
)
def test_a_text_is_read_by_its_schema(
    text: str, schema: dict[str, Any], current: object, value: object
) -> None:
    read = typed(text, schema, ROOT, current, "args.x")
    assert (type(read), read) == (type(value), value)


@pytest.mark.row("B2")
@pytest.mark.parametrize(
    ("text", "schema", "current", "cure"),
    [
        ("10.0", {"type": "integer"}, 1, "integer"),
        ("ten", {"type": "number"}, 1, "number"),
        ("NaN", {"type": "number"}, 1, "number"),
        ("1e999", {"type": "number"}, 1, "no JSON number"),
        ("007", {"type": "integer"}, 1, "integer"),
        (" 7", {"type": "integer"}, 1, "integer"),
        ("True", {"type": "boolean"}, True, "boolean"),
        ("1", {"type": "boolean"}, True, "boolean"),
        ("a,b", {"type": "array"}, [], "--set-json"),
        ("x", {"type": "object"}, {}, "--set-json"),
        ("medium", {"$ref": "#/$defs/Level"}, None, "low, 2"),
        ("x", {}, None, "--set-json"),
        ("x", {"$ref": "#/$defs/Nowhere"}, None, "--set-json"),
        ("5.5", {}, 4, "integer"),
    ],
)
def test_what_it_cannot_be_is_refused_with_the_cure(
    text: str, schema: dict[str, Any], current: object, cure: str
) -> None:
    with pytest.raises(Refused) as refused:
        typed(text, schema, ROOT, current, "args.x")
    assert cure in str(refused.value.message)
    assert "args.x" in str(refused.value.message)


def test_a_schema_that_refers_to_itself_ends() -> None:
    root = {"$defs": {"Loop": {"$ref": "#/$defs/Loop"}}}
    with pytest.raises(Refused):
        typed("x", {"$ref": "#/$defs/Loop"}, root, None, "args.x")
