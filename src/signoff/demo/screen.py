"""What the demo prints: numbered steps, lines below them, checks that held or not."""

from __future__ import annotations

import json
import textwrap
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final

from signoff.domain.text import reveal

Say = Callable[[str], None]

_INDENT: Final = "   "
_LONG: Final = 40
_WIDTH: Final = 88


def print_line(line: str) -> None:
    """Print at once, also into a pipe."""
    print(line, flush=True)


class Screen:
    """Prints a run of the demo, and counts its checks.

    Attributes:
        held: How many checks held.
        failed: What the others said.
    """

    def __init__(self, say: Say) -> None:
        self._say = say
        self._step = 0
        self.held = 0
        self.failed: list[str] = []

    def title(self, text: str) -> None:
        """A line of its own."""
        self._say(text)

    def step(self, text: str) -> None:
        """Start the next numbered step."""
        self._step += 1
        self._say("")
        self._say(f"{self._step}. {text}")

    def line(self, text: str, *, hang: int = 0) -> None:
        """Say something below the step; long lines go on below, indented by `hang`."""
        for part in reveal(text).splitlines():
            for row in _rows(part, " " * hang):
                self._say(row)

    def lines(self, texts: Iterable[str], *, hang: int = 0) -> None:
        """Say each."""
        for text in texts:
            self.line(text, hang=hang)

    def check(self, text: str, problems: Iterable[str]) -> None:
        """Say whether something holds: it does if there are no problems."""
        found = list(problems)
        if found == []:
            self.held += 1
            self.line(f"ok  {text}")
            return
        self.failed.append(text)
        self.line(f"FAILED  {text}")
        self.lines(f"        {problem}" for problem in found)


def _rows(line: str, hang: str) -> list[str]:
    return textwrap.wrap(
        line,
        width=_WIDTH,
        initial_indent=_INDENT,
        subsequent_indent=_INDENT + hang,
        break_long_words=False,
        break_on_hyphens=False,
    )


def waits_line(risk: str, tool: str, args: Mapping[str, Any]) -> str:
    """A call that waits for a person."""
    return f"waits  {risk:8}{call_line(tool, args)}"


def call_line(tool: str, args: Mapping[str, Any]) -> str:
    """A call in one line; long values are cut, hidden characters shown."""
    shown = ", ".join(f"{name}={_value(value)}" for name, value in args.items())
    return reveal(f"{tool}({shown})")


def _value(value: object) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= _LONG else f"{text[:_LONG]}… ({len(text)} characters)"
