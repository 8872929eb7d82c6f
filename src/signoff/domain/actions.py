"""Actions: what an agent wants to do, named and hashed exactly."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import rfc8785

from signoff.domain.errors import PayloadRefused

Json = None | bool | int | float | str | Sequence["Json"] | Mapping[str, "Json"]

MAX_SAFE_INTEGER: Final = 2**53 - 1

_PLAIN_DEPTH: Final = 8
_PLAIN: Final[Mapping[type, Callable[[Any], bool]]] = {
    str: str.isascii,
    int: lambda number: -MAX_SAFE_INTEGER <= number <= MAX_SAFE_INTEGER,
    float: math.isfinite,
    bool: lambda _: True,
    type(None): lambda _: True,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Context:
    """Who and where: set once by the application, carried by every action.

    Attributes:
        thread: The conversation or run, LangGraph's `thread_id`.
        agent: Which agent acts.
        user: On whose behalf it acts; this person can't approve its requests.
        team: Who the work belongs to.
    """

    thread: str
    agent: str | None = None
    user: str | None = None
    team: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ToolTraits:
    """What a tool says of itself (MCP's annotations); they may inform a rule.

    The defaults are MCP's own: a tool that says nothing is taken as destructive.
    """

    read_only: bool = False
    destructive: bool = True
    idempotent: bool = False
    open_world: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Action:
    """One thing that an agent wants to do: a tool call in a thread.

    Attributes:
        message_id: The AI message that asked for it.
        call_id: The tool call within the message.
        args: The arguments, JSON values only.
    """

    context: Context
    message_id: str
    call_id: str
    tool: str
    args: Mapping[str, Any]
    traits: ToolTraits = field(default_factory=ToolTraits)

    @property
    def id(self) -> str:
        """The same for every re-execution of this call, different for any other."""
        named = [self.context.thread, self.message_id, self.call_id, self.tool]
        return "act_" + sha256(canonical([*named, self.args], at="args"))[:32]


def sha256(data: bytes) -> str:
    """The hex SHA-256 of bytes."""
    return hashlib.sha256(data).hexdigest()


def canonical(value: object, *, at: str = "value") -> bytes:
    """The RFC 8785 bytes of a JSON value.

    Raises:
        PayloadRefused: For NaN, infinities, integers beyond 2^53 and anything that
            isn't JSON; the path is counted from `at`.
    """
    try:
        return rfc8785.dumps(value)  # type: ignore[arg-type]
    except (ValueError, RecursionError) as error:
        raise _refusal(value, at) from error


def digest(shown: Mapping[str, object]) -> str:
    """The SHA-256 over exactly what a reviewer is shown and the executor will run."""
    return sha256(canonical(shown, at="request"))


def exact_copy(value: Mapping[str, Any], *, at: str = "value") -> dict[str, Any]:
    """A copy that shares nothing; refuses what `canonical` refuses.

    For plain values it costs a fraction of what `canonical` does.

    Raises:
        PayloadRefused: As `canonical` does.
    """
    try:
        return _copy_dict(value, _PLAIN_DEPTH)
    except _NotPlainError:
        canonical(value, at=at)
    copied: dict[str, Any] = json.loads(json.dumps(value))
    return copied


def check_texts(texts: Mapping[str, str | None]) -> None:
    """Refuse texts that no database could keep as they are; names and ids, by field.

    Raises:
        PayloadRefused: For a NUL character or half of a surrogate pair.
    """
    known = "".join(filter(None, texts.values()))
    if known.isascii() and "\0" not in known:
        return
    for name, text in texts.items():
        if text is None:
            continue
        if "\0" in text:
            raise PayloadRefused(name, "has a NUL character, which no column holds")
        if reason := _text_refusal(text):
            raise PayloadRefused(name, reason)


class _NotPlainError(Exception):
    """It isn't exact JSON at a glance, which says nothing."""


def _copy_dict(value: Mapping[Any, Any], depth: int) -> dict[str, Any]:
    if type(value) is not dict or depth == 0:
        raise _NotPlainError
    copied = {}
    # No call for a scalar: most arguments are some, and every allowed call comes here.
    for key, item in value.items():
        if type(key) is not str or not key.isascii():
            raise _NotPlainError
        plain = _PLAIN.get(type(item))
        if plain is None:
            copied[key] = _copy_nested(item, depth - 1)
        elif plain(item):
            copied[key] = item
        else:
            raise _NotPlainError
    return copied


def _copy_nested(value: Any, depth: int) -> Any:  # noqa: ANN401 - any JSON
    plain = _PLAIN.get(type(value))
    if plain is not None and plain(value):
        return value
    if type(value) is not list or depth == 0:
        return _copy_dict(value, depth)
    return [_copy_nested(item, depth - 1) for item in value]


def _refusal(value: object, at: str) -> PayloadRefused:
    return _find_refusal(value, at, 0) or PayloadRefused(at, "is not a JSON value")


def _find_refusal(value: object, at: str, depth: int) -> PayloadRefused | None:
    if depth > 100:  # noqa: PLR2004 - deeper than any tool's schema, shallower than the stack
        return PayloadRefused(at, "is nested more than 100 levels deep")
    if isinstance(value, Mapping):
        return _refusal_in_mapping(value, at, depth)
    if isinstance(value, list | tuple):
        found = (_find_refusal(v, f"{at}[{i}]", depth + 1) for i, v in enumerate(value))
        return next((refusal for refusal in found if refusal), None)
    return _scalar_refusal(value, at)


def _refusal_in_mapping(
    value: Mapping[Any, Any], at: str, depth: int
) -> PayloadRefused | None:
    for key, item in value.items():
        if not isinstance(key, str):
            return PayloadRefused(at, f"has the key {key!r}; keys must be strings")
        if refusal := _scalar_refusal(key, f"{at}.{key!a}"):
            return refusal
        if refusal := _find_refusal(item, f"{at}.{key}", depth + 1):
            return refusal
    return None


def _scalar_refusal(value: object, at: str) -> PayloadRefused | None:
    reason: str | None = f"{type(value).__name__} is not JSON; send its text"
    if value is None or isinstance(value, bool):
        reason = None
    elif isinstance(value, int):
        reason = _integer_refusal(value)
    elif isinstance(value, float):
        wrong = f"{value} is not a JSON number; send null or a text"
        reason = None if math.isfinite(value) else wrong
    elif isinstance(value, str):
        reason = _text_refusal(value)
    return None if reason is None else PayloadRefused(at, reason)


def _integer_refusal(value: int) -> str | None:
    if abs(value) <= MAX_SAFE_INTEGER:
        return None
    # Python refuses to print an integer of more than 4300 digits.
    size = value.bit_length()
    shown = value if size < 128 else f"an integer of {size} bits"  # noqa: PLR2004 - fits a line
    return f"{shown} is beyond 2^53 and would be rounded; send it as a string"


def _text_refusal(value: str) -> str | None:
    try:
        value.encode()
    except UnicodeEncodeError:
        return "has half of a surrogate pair, which no UTF-8 holds; send a whole one"
    return None
