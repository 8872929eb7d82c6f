"""Exit codes, and errors as one line each."""

from __future__ import annotations

import sys
import traceback
from collections.abc import Callable
from enum import IntEnum
from importlib import import_module
from types import ModuleType
from typing import Final

import typer

from signoff.cli.screen import one_line
from signoff.domain import errors as e


class ExitCode(IntEnum):
    """What a command's exit code says."""

    OK = 0
    PROBLEMS = 1
    USAGE = 2
    NOT_FOUND = 3
    NOT_ALLOWED = 4
    TOO_LATE = 5
    WORLD = 6
    BUG = 70
    INTERRUPTED = 130
    BROKEN_PIPE = 141


_CODES: Final[tuple[tuple[type[BaseException], ExitCode], ...]] = (
    (e.RequestNotFound, ExitCode.NOT_FOUND),
    (e.EntryNotFound, ExitCode.NOT_FOUND),
    (e.PolicyNotFound, ExitCode.NOT_FOUND),
    (e.DeliveryNotFound, ExitCode.NOT_FOUND),
    (e.PauseNotFound, ExitCode.NOT_FOUND),
    (e.UnknownThread, ExitCode.NOT_FOUND),
    (e.DelegationNotFound, ExitCode.NOT_FOUND),
    (e.NotAuthenticated, ExitCode.NOT_ALLOWED),
    (e.NotAllowed, ExitCode.NOT_ALLOWED),
    (e.DigestMismatch, ExitCode.TOO_LATE),
    (e.CannotSettle, ExitCode.TOO_LATE),
    (e.CannotRetry, ExitCode.TOO_LATE),
    (e.NotReversible, ExitCode.TOO_LATE),
    (e.DependentsInTheWay, ExitCode.TOO_LATE),
    (e.LostRace, ExitCode.TOO_LATE),
    (e.PolicyError, ExitCode.PROBLEMS),
    (e.CallerError, ExitCode.USAGE),
    (e.WorldError, ExitCode.WORLD),
    (OSError, ExitCode.WORLD),
)
"""The first class that fits gives the code; anything else is a bug of ours."""


class Refused(typer.TyperException):
    """The command line can't be worked with; the text says the cure."""

    exit_code = ExitCode.USAGE


class Missing(typer.TyperException):
    """Something that the command needs isn't installed; the text says the cure."""

    exit_code = ExitCode.WORLD


def needed(module: str, extra: str) -> ModuleType:
    """A part that not every installation has.

    Raises:
        Missing: It isn't installed; with the command that does it.
    """
    try:
        return import_module(module)
    except ModuleNotFoundError as error:
        if (error.name or "").startswith("signoff"):
            raise
        raise Missing(
            f"this needs {error.name}: pip install 'signoff[{extra}]'."
        ) from error


def code_of(error: BaseException) -> ExitCode:
    """The exit code that an error ends the program with."""
    for kind, code in _CODES:
        if isinstance(error, kind):
            return code
    return ExitCode.BUG


def guarded(command: Callable[[], object], *, debug: bool) -> int:
    """Run a command; an error becomes one line on stderr and its exit code."""
    try:
        result = command()
    except KeyboardInterrupt:
        return ExitCode.INTERRUPTED
    except typer.Abort:
        return _failed("stopped before anything was sent.", ExitCode.PROBLEMS)
    except typer.TyperException as error:
        _trace(error, debug=debug)
        return _failed(_usage(error), error.exit_code)
    except Exception as error:  # noqa: BLE001 - the last resort of a program: no traceback
        _trace(error, debug=debug)
        return _failed(_message(error), code_of(error))
    return result if isinstance(result, int) else ExitCode.OK


def _failed(message: str, code: int) -> int:
    sys.stderr.write(f"error: {one_line(message)}\n")
    return code


def _message(error: Exception) -> str:
    if isinstance(error, e.SignoffError):
        return str(error)
    if isinstance(error, OSError):
        place = "" if error.filename is None else f"{error.filename}: "
        return f"{place}{error.strerror or error}"
    kind = type(error).__name__
    return f"unexpected {kind}: {error} (a bug; --debug shows where it happened)"


def _usage(error: typer.TyperException) -> str:
    message = " ".join(error.format_message().split())
    message = message.replace("Value error, ", "").removesuffix(".")
    context = getattr(error, "ctx", None)
    if context is None:
        return f"{message}."
    end = "" if message.endswith("?") else "."
    return f"{message}{end} See `{context.command_path} --help`."


def _trace(error: Exception, *, debug: bool) -> None:
    if debug:
        traceback.print_exception(error, file=sys.stderr)
