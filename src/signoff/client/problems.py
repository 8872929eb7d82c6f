"""Errors that the server met, as the same classes with the same fields."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from functools import cache
from typing import Any

from signoff.domain import errors
from signoff.domain.errors import (
    CallerError,
    ServerUnreachable,
    SignoffError,
    WorldError,
)


def read_problem(url: str, problem: Any) -> SignoffError:  # noqa: ANN401 - a document
    """The error that the server met, as the same class with the same fields."""
    if not isinstance(problem, Mapping) or "code" not in problem:
        return ServerUnreachable(url, "what answers isn't signoff")
    kind = _kinds().get(problem["code"])
    rebuilt = None if kind is None else _rebuilt(kind, problem)
    if rebuilt is not None:
        return rebuilt
    general = CallerError if problem.get("status", 500) < 500 else WorldError  # noqa: PLR2004 - HTTP's own border
    return general(str(problem.get("detail", problem["code"])))


def _rebuilt(
    kind: type[SignoffError], problem: Mapping[str, Any]
) -> SignoffError | None:
    if "__init__" not in vars(kind):
        return kind(problem["detail"])
    given: dict[str, Any] = {}
    for name, parameter in inspect.signature(kind).parameters.items():
        if name in problem:
            given[name] = _frozen(problem[name])
        elif parameter.default is parameter.empty:
            return None
    return kind(**given)


def _frozen(value: object) -> object:
    """Lists as tuples, as errors have them, in lists too."""
    return tuple(map(_frozen, value)) if isinstance(value, list) else value


@cache
def _kinds() -> Mapping[str, type[SignoffError]]:
    found = (getattr(errors, name) for name in dir(errors))
    classes = (one for one in found if isinstance(one, type))
    return {one.code: one for one in classes if issubclass(one, SignoffError)}
