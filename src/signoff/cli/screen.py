"""What reaches the terminal: text that an agent wrote is always literal."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterable
from typing import Any, Final

from rich.console import Console, RenderableType
from rich.table import Table
from rich.text import Text

from signoff.domain.text import reveal

PIPE_WIDTH: Final = 160
CUT_CHARACTERS: Final = 400
CUT_HEAD: Final = 280
CUT_TAIL: Final = 80


class _Terminal(Console):
    def on_broken_pipe(self) -> None:
        raise BrokenPipeError


def terminal(*, stderr: bool = False) -> Console:
    """Where to print: styled on a terminal only, and plain if NO_COLOR is set."""
    screen = _Terminal(
        stderr=stderr,
        color_system=None if os.environ.get("NO_COLOR") else "auto",
        highlight=False,
        markup=False,
        emoji=False,
    )
    if not screen.is_terminal and "COLUMNS" not in os.environ:
        screen.width = PIPE_WIDTH
    return screen


def put(*parts: RenderableType, soft_wrap: bool = False) -> None:
    """Print results; into a pipe without the blanks that fill a table's last column."""
    screen = terminal()
    if screen.is_terminal:
        screen.print(*parts, soft_wrap=soft_wrap)
        return
    with screen.capture() as captured:
        screen.print(*parts, soft_wrap=soft_wrap)
    lines = captured.get().split("\n")
    sys.stdout.write("\n".join(text.rstrip() for text in lines))


def say(text: str, style: str = "") -> None:
    """A line of this program's own about what happens; stdout stays for results."""
    terminal(stderr=True).print(Text(text, style=style), soft_wrap=True)


def print_json(document: object) -> None:
    """One JSON document. Nothing but ASCII, so that no control character passes."""
    sys.stdout.write(json.dumps(document, indent=2, ensure_ascii=True) + "\n")


def literal(text: str, style: str = "") -> Text:
    """Text of any origin as it is: no markup, no control sequence, nothing hidden."""
    return Text(reveal(text), style=style, overflow="fold")


def one_line(text: str) -> str:
    """Text of any origin on one line; line breaks and tabs show as other controls."""
    return reveal(text).replace("\n", "[U+000A]").replace("\t", "[U+0009]")


def line(text: str, style: str = "") -> Text:
    """`one_line` as something to print."""
    return Text(one_line(text), style=style, overflow="fold")


def cut(text: str, *, full: bool) -> Text:
    """A long text's beginning and end, and how much is left out between them."""
    if full or len(text) <= CUT_CHARACTERS:
        return literal(text)
    left_out = len(text) - CUT_HEAD - CUT_TAIL
    shown = literal(text[:CUT_HEAD])
    marker = f"[… {left_out:,} of {len(text):,} characters are left out: --full …]"
    shown.append(f"\n{marker}\n", "bold yellow")
    return shown.append_text(literal(text[-CUT_TAIL:]))


def grid(*styles: str) -> Table:
    """A table without lines or headings, two spaces between its columns."""
    table = Table.grid(padding=(0, 2, 0, 0))
    for style in styles:
        table.add_column(style=style, overflow="fold")
    return table


def listing(*headings: str) -> Table:
    """A table with headings, for lists."""
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="dim")
    for heading in headings:
        table.add_column(heading, overflow="fold")
    return table


def print_rows(table: Table, rows: Iterable[Iterable[Any]]) -> None:
    """Fill a table and print it."""
    for row in rows:
        table.add_row(*row)
    put(table)


def is_interactive() -> bool:
    """Whether a person can be asked."""
    return sys.stdin.isatty()


def confirm(question: str) -> bool:
    """Ask yes or no; anything but `y` or `yes` is no."""
    sys.stdout.flush()
    sys.stderr.write(f"{question} [y/N] ")
    sys.stderr.flush()
    return sys.stdin.readline().strip().lower() in {"y", "yes"}
