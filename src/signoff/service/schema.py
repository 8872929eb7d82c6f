"""Whether arguments fit a tool's JSON Schema, said so that a person can mend them."""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Mapping
from typing import Any

from jsonschema import Draft202012Validator
from jsonschema.exceptions import SchemaError, ValidationError
from referencing import Registry
from referencing.exceptions import Unresolvable


def problems(args: object, schema: Mapping[str, Any] | None) -> tuple[str, ...]:
    """One sentence for each way in which arguments don't fit; none if they do.

    A field that the schema doesn't declare is a problem too: a reviewer who
    misspells a name must not believe that it took effect.
    """
    if not isinstance(args, Mapping):
        return ("args must be an object of named values",)
    if schema is None:
        return ()
    return (*_undeclared(args, schema), *_violations(args, schema))


def _undeclared(args: Mapping[str, Any], schema: Mapping[str, Any]) -> Iterator[str]:
    declared = schema.get("properties")
    if declared is None or schema.get("additionalProperties", False) is not False:
        return
    for name in args:
        if name not in declared:
            close = difflib.get_close_matches(name, declared, n=1)
            hint = f"; did you mean {close[0]!r}?" if close else ""
            yield f"args.{name}: the tool has no such argument{hint}"


def _violations(args: Mapping[str, Any], schema: Mapping[str, Any]) -> Iterator[str]:
    try:
        Draft202012Validator.check_schema(schema)
    except SchemaError as broken:
        yield f"the tool's own schema is broken: {broken.message}"
        return
    try:
        found = list(
            Draft202012Validator(schema, registry=Registry()).iter_errors(args)
        )
    except Unresolvable as missing:
        yield f"the tool's own schema is broken: it refers to {missing.ref!r}"
        return
    for error in sorted(found, key=lambda e: e.json_path):
        yield f"{_path(error)}: {error.message}"


def _path(error: ValidationError) -> str:
    return "args" + error.json_path.removeprefix("$")
