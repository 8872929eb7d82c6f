"""An edit from the command line: typed by the schema, so integers stay integers."""

from __future__ import annotations

import difflib
import json
import math
import os
import re
import shlex
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, NoReturn

from signoff.cli.exits import Missing, Refused
from signoff.domain.requests import Request
from signoff.domain.text import is_hidden
from signoff.ports import KnownTool

Schema = Mapping[str, Any]
Step = str | int

_PATH: Final = re.compile(r"args(?P<steps>(\.[^.\[\]=]+|\[\d+\])+)")
_STEP: Final = re.compile(r"\.([^.\[\]=]+)|\[(\d+)\]")
_INTEGER: Final = re.compile(r"-?(0|[1-9]\d*)")
_NUMBER: Final = re.compile(r"-?(0|[1-9]\d*)(\.\d+)?([eE][+-]?\d+)?")
_KINDS: Final = ("null", "boolean", "integer", "number", "string")
_REFERENCES: Final = 50


@dataclass(frozen=True, slots=True, kw_only=True)
class Changes:
    """What was asked for on the command line.

    Attributes:
        texts: `args.path=text`, read by the tool's schema.
        values: `args.path=JSON`.
        file: All arguments as a JSON object; `-` is stdin.
    """

    texts: tuple[str, ...] = ()
    values: tuple[str, ...] = ()
    editor: bool = False
    file: Path | None = None
    tool: str | None = None


def edited_args(
    request: Request, changes: Changes, tools: Mapping[str, KnownTool]
) -> dict[str, Any]:
    """The arguments as they shall be.

    Raises:
        Refused: With the part of the command line that can't be right, and its cure.
    """
    single = bool(changes.texts or changes.values)
    if single + changes.editor + (changes.file is not None) > 1:
        raise Refused("choose one of --set/--set-json, --editor and --args-file.")
    if changes.editor:
        return _from_editor(request.args)
    if changes.file is not None:
        return _from_file(changes.file)
    if not single and changes.tool is None:
        raise Refused("say what to change: --set args.NAME=VALUE, or --editor.")
    return _from_settings(request, changes, _schema(request, changes, tools))


def typed(text: str, schema: Schema, root: Schema, current: object, at: str) -> object:
    """A text as the JSON value that the schema asks for.

    Raises:
        Refused: It isn't one, or nothing says which type is meant.
    """
    choices = _choices(schema, root)
    if choices is not None:
        return _choice(text, choices, at)
    own = _kind_of(current)
    kinds = _kinds(schema, root) or own
    readings = [kind for kind in kinds if _reads(kind, text)]
    for kind in (*(kind for kind in own if kind in readings), *readings):
        return _read(kind, text, at)
    if not kinds:
        raise Refused(f"nothing says which type {at} has; use --set-json {at}=JSON.")
    if not set(kinds) & set(_KINDS):
        raise Refused(f"{at} is {_listed(kinds)}; use --set-json {at}=JSON.")
    raise Refused(f"{at} takes {_listed(kinds)}, not {text!r}.")


def _from_settings(request: Request, changes: Changes, root: Schema) -> dict[str, Any]:
    args: dict[str, Any] = json.loads(json.dumps(request.args))
    for setting in changes.texts:
        steps, text, at = _setting(setting, "--set")
        _check_declared(root, steps[0])
        schema = _schema_at(root, steps)
        _put(args, steps, typed(text, schema, root, _at(args, steps), at), at)
    for setting in changes.values:
        steps, text, at = _setting(setting, "--set-json")
        _put(args, steps, _json(text, at), at)
    return args


def _from_file(file: Path) -> dict[str, Any]:
    try:
        text = sys.stdin.read() if str(file) == "-" else file.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        why = getattr(error, "strerror", None) or "it isn't text"
        raise Refused(f"--args-file {file} can't be read: {why}.") from error
    return _object(text, f"--args-file {file}")


def _from_editor(args: Mapping[str, Any]) -> dict[str, Any]:
    command = os.environ.get("VISUAL") or os.environ.get("EDITOR") or "vi"
    handle, name = tempfile.mkstemp(prefix="signoff-", suffix=".json")
    with os.fdopen(handle, "w", encoding="utf-8") as file:
        file.write(_readable(args))
    try:
        ended = subprocess.run([*shlex.split(command), name], check=False)  # noqa: S603 - the person's own editor
    except FileNotFoundError as error:
        Path(name).unlink()
        raise Missing(f"{command!r} isn't there; set EDITOR to your editor.") from error
    if ended.returncode != 0:
        Path(name).unlink()
        raise Refused(f"{command} ended with {ended.returncode}; nothing was changed.")
    kept = f"the editor's text (it is kept in {name})"
    found = _object(Path(name).read_text("utf-8"), kept)
    Path(name).unlink()
    return found


def _readable(args: Mapping[str, Any]) -> str:
    text = json.dumps(args, indent=2, ensure_ascii=False) + "\n"
    return "".join(_escaped(char) if is_hidden(char) else char for char in text)


def _escaped(char: str) -> str:
    return json.dumps(char)[1:-1]


def _setting(setting: str, option: str) -> tuple[tuple[Step, ...], str, str]:
    at, equals, text = setting.partition("=")
    match = _PATH.fullmatch(at.strip())
    if equals == "" or match is None:
        raise Refused(f"{option} {setting!r} isn't args.NAME=VALUE.")
    return tuple(_steps(match["steps"])), text, at.strip()


def _steps(path: str) -> Iterator[Step]:
    for name, number in _STEP.findall(path):
        yield name if name != "" else int(number)


def _put(args: dict[str, Any], steps: tuple[Step, ...], value: object, at: str) -> None:
    holder, last = _at(args, steps[:-1]), steps[-1]
    if isinstance(holder, dict) and isinstance(last, str):
        holder[last] = value
    elif isinstance(holder, list) and _member_of(holder, last) is not _ABSENT:
        holder[int(last)] = value
    else:
        raise Refused(
            f"{at} has no place in the call; set the whole part with --set-json."
        )


def _at(value: object, steps: tuple[Step, ...]) -> object:
    for step in steps:
        value = _member_of(value, step)
    return value


def _member_of(holder: object, step: Step) -> object:
    if isinstance(holder, dict) and isinstance(step, str):
        return holder.get(step, _ABSENT)
    if isinstance(holder, list) and isinstance(step, int) and step < len(holder):
        return holder[step]
    return _ABSENT


_ABSENT: Final = object()


def _schema(
    request: Request, changes: Changes, tools: Mapping[str, KnownTool]
) -> Schema:
    if changes.tool is not None and changes.tool != request.tool:
        known = tools.get(changes.tool)
        found = None if known is None else known.schema
    else:
        found = request.schema
    return {} if found is None else found


def _check_declared(root: Schema, step: Step) -> None:
    declared = root.get("properties")
    if declared is None or step in declared or root.get("additionalProperties", False):
        return
    close = difflib.get_close_matches(str(step), declared, n=1)
    hint = f"Did you mean 'args.{close[0]}'?" if close else f"It has: {_all(declared)}."
    raise Refused(f"the tool has no argument 'args.{step}'. {hint}")


def _all(names: Iterable[str]) -> str:
    return ", ".join(names) or "none"


def _schema_at(root: Schema, steps: tuple[Step, ...]) -> Schema:
    schema: object = root
    for step in steps:
        schema = _member(_resolved(schema, root), step, root)
    return schema if isinstance(schema, Mapping) else {}


def _member(schema: Schema, step: Step, root: Schema) -> object:
    for variant in (schema, *_variants(schema, root)):
        if isinstance(step, int) and "items" in variant:
            return variant["items"]
        if isinstance(step, str) and step in variant.get("properties", {}):
            return variant["properties"][step]
    return {}


def _resolved(schema: object, root: Schema) -> Schema:
    for _ in range(_REFERENCES):
        if not isinstance(schema, Mapping):
            return {}
        reference = schema.get("$ref")
        if reference is None:
            return schema
        schema = root
        for part in str(reference).removeprefix("#/").split("/"):
            schema = schema.get(part, {}) if isinstance(schema, Mapping) else {}
    return {}


def _variants(schema: Schema, root: Schema) -> list[Schema]:
    found = (*schema.get("anyOf", ()), *schema.get("oneOf", ()))
    return [_resolved(variant, root) for variant in found]


def _choices(schema: Schema, root: Schema) -> list[Any] | None:
    schema = _resolved(schema, root)
    if "enum" in schema:
        return list(schema["enum"])
    return [schema["const"]] if "const" in schema else None


def _choice(text: str, choices: list[Any], at: str) -> object:
    for choice in choices:
        if text == (choice if isinstance(choice, str) else json.dumps(choice)):
            return choice
    known = ", ".join(str(choice) for choice in choices)
    raise Refused(f"{at} takes one of {known}, not {text!r}.")


def _kinds(schema: Schema, root: Schema) -> tuple[str, ...]:
    """The JSON types that a schema takes, the strictest reading first."""
    schema = _resolved(schema, root)
    named = schema.get("type", ())
    found = [named] if isinstance(named, str) else list(named)
    for variant in _variants(schema, root):
        found += _kinds(variant, root)
    order = (*_KINDS, "array", "object")
    return tuple(kind for kind in order if kind in found)


def _kind_of(value: object) -> tuple[str, ...]:
    kinds: tuple[tuple[type, str], ...] = (
        (bool, "boolean"),
        (int, "integer"),
        (float, "number"),
        (str, "string"),
        (list, "array"),
        (dict, "object"),
    )
    return tuple(name for kind, name in kinds if isinstance(value, kind))[:1]


def _reads(kind: str, text: str) -> bool:
    if kind == "integer":
        return _INTEGER.fullmatch(text) is not None
    if kind == "number":
        return _NUMBER.fullmatch(text) is not None
    words = {"null": ("null",), "boolean": ("true", "false")}
    return kind == "string" or text in words.get(kind, ())


def _read(kind: str, text: str, at: str) -> object:
    return text if kind == "string" else _json(text, at)


def _listed(kinds: tuple[str, ...]) -> str:
    return " or ".join(kinds)


def _json(text: str, at: str) -> object:
    try:
        return _loads(text)
    except ValueError as error:
        raise Refused(f"{at}: {text!r} isn't JSON ({error}); quote texts.") from error


def _object(text: str, source: str) -> dict[str, Any]:
    try:
        found = _loads(text)
    except ValueError as error:
        raise Refused(f"{source} isn't JSON: {error}. Nothing was sent.") from error
    if not isinstance(found, dict):
        raise Refused(f"{source} isn't a JSON object of arguments. Nothing was sent.")
    return found


def _loads(text: str) -> object:
    """JSON without what Python adds to it: NaN, and numbers too big for a float."""
    return json.loads(text, parse_constant=_not_json, parse_float=_finite)


def _finite(number: str) -> float:
    value = float(number)
    return value if math.isfinite(value) else _not_json(number)


def _not_json(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is no JSON number")
