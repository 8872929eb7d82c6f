"""Conditions of rules: CEL or a Python callable, giving true, false or an error."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import CellType
from typing import Any, Final

import cel

from signoff.domain.actions import Action, sha256
from signoff.domain.errors import PolicyError

Condition = str | Callable[[Action], bool]
Predicate = Callable[[Action], bool]

PYTHON: Final = "python:"
_BOUND: Final = re.compile(r"\.(?:all|exists|exists_one|map|filter)\(\s*(\w+)\s*,")
LONGEST: Final = 10_000
SHOWN: Final = 500
VARIABLES: Final = ("args", "tool", "thread", "user", "agent", "team")


class PredicateFailed(Exception):
    """A condition raised, or gave something that isn't a boolean."""


def compile_condition(condition: Condition) -> Predicate:
    """Make a condition callable.

    Raises:
        PolicyError: If a CEL expression doesn't parse or names an unknown variable.
    """
    if isinstance(condition, str):
        return _compile_cel(condition)
    if not callable(condition):
        raise PolicyError(f"when= takes a CEL text or a callable, not {condition!r}.")
    if inspect.iscoroutinefunction(condition):
        raise PolicyError("when= takes a plain function; this one is async.")
    return lambda action: _exactly_bool(condition(action), "the condition")


def describe_condition(condition: Condition | None) -> str | None:
    """A text that changes when the condition does: it is part of a policy's version."""
    if condition is None or isinstance(condition, str):
        return condition
    if isinstance(condition, Elsewhere):
        return condition.described
    name = getattr(condition, "__qualname__", type(condition).__qualname__)
    return f"{PYTHON}{getattr(condition, '__module__', '')}.{name}:{_source(condition)}"


@dataclass(frozen=True, slots=True)
class Elsewhere:
    """Stands for a Python condition of another process: it can only be asked about.

    It keeps the description, so that a policy read back has the version it had.
    """

    described: str

    def __call__(self, _: Action) -> bool:
        raise PredicateFailed("it is Python code of the agent's own process")


def environment(action: Action) -> dict[str, Any]:
    """What a CEL expression sees: `args.amount`, `tool.destructive`, `user`, ..."""
    context, traits = action.context, action.traits
    return {
        "args": action.args,
        "tool": {
            "name": action.tool,
            "read_only": traits.read_only,
            "destructive": traits.destructive,
            "idempotent": traits.idempotent,
            "open_world": traits.open_world,
        },
        "thread": context.thread,
        "user": context.user,
        "agent": context.agent,
        "team": context.team,
    }


def _compile_cel(expression: str) -> Predicate:
    if len(expression) > LONGEST:
        # The parser recurses: tens of thousands of terms end the whole process.
        raise PolicyError(f"when= is {len(expression):,} characters, of {LONGEST:,}.")
    try:
        program = cel.compile(expression)
    except ValueError as error:
        reason = _short(_first_line(error))
        raise PolicyError(f"when={_short(expression)!r}: {reason}") from error
    bound = _BOUND.findall(expression)
    unknown = sorted({*program.variables()} - {*VARIABLES, *bound})
    if unknown:
        known = ", ".join(VARIABLES)
        raise PolicyError(
            f"when={_short(expression)!r} names {_short(unknown[0])!r}; "
            f"it may use: {known}."
        )
    # What crosses into CEL is converted value by value: only what it names does.
    named = [name for name in VARIABLES if name in program.variables()]

    def predicate(action: Action) -> bool:
        sees = environment(action)
        value = program.execute({name: sees[name] for name in named})
        return _exactly_bool(value, repr(expression))

    return predicate


def _exactly_bool(value: object, what: str) -> bool:
    if isinstance(value, bool):
        return value
    raise PredicateFailed(f"{what} gave {value!r} where true or false is needed")


def _first_line(error: Exception) -> str:
    return str(error).partition("\n")[0]


def _short(text: str) -> str:
    return text if len(text) <= SHOWN else f"{text[:SHOWN]}…"


def _source(condition: Callable[..., object]) -> str:
    try:
        text = inspect.getsource(condition)
    except (OSError, TypeError):
        code = getattr(condition, "__code__", None)
        text = repr(condition) if code is None else code.co_code.hex()
    return sha256(f"{text}{_captured(condition)}".encode())[:16]


def _captured(condition: Callable[..., object]) -> str:
    """What a closure holds: the same source with another limit acts otherwise."""
    cells = getattr(condition, "__closure__", None) or ()
    values = [*(getattr(condition, "__defaults__", None) or ()), *map(_content, cells)]
    plain = (str, int, float, bool, tuple, type(None))
    return repr([value for value in values if isinstance(value, plain)])


def _content(cell: CellType) -> object:
    try:
        return cell.cell_contents
    except ValueError:  # not bound yet
        return None


def explain(error: Exception, args: Mapping[str, Any]) -> str:
    """One sentence for the reviewer about a condition that could not be evaluated."""
    kind = type(error).__name__
    if isinstance(error, KeyError):
        names = ", ".join(sorted(args)) or "none"
        return f"the condition reads {error.args[0]!r}, but the arguments are: {names}"
    return f"the condition failed: {kind}: {_first_line(error)}"
