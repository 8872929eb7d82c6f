"""Text that an agent wrote, made safe to read: hidden characters are shown as such."""

from __future__ import annotations

import unicodedata
from typing import Final

_KEPT: Final = frozenset("\n\t")
_HIDDEN_CATEGORIES: Final = frozenset({"Cc", "Cf", "Co", "Cn", "Cs", "Zl", "Zp"})
_BLANK_LOOKING: Final = frozenset("\u115f\u1160\u2800\u3164\uffa0\u034f\u17b4\u17b5")


def reveal(text: str) -> str:
    """Show control, bidirectional, zero-width and filler characters as `[U+202E]`.

    Newline and tab stay. Zero-width joiners inside emoji are shown too: a false
    alarm is cheaper than a hidden instruction.
    """
    return "".join(f"[U+{ord(c):04X}]" if is_hidden(c) else c for c in text)


def storable(text: str) -> str:
    """A text with what no database column holds (NUL, half a surrogate) revealed."""
    return "".join(
        f"[U+{ord(c):04X}]" if c == "\0" or "\ud800" <= c <= "\udfff" else c
        for c in text
    )


def joined(*notes: str | None) -> str | None:
    """The notes there are as one; each once, and safe to store."""
    said = dict.fromkeys(storable(note) for note in notes if note is not None)
    return "; ".join(said) if said else None


def count_hidden(text: str) -> int:
    """How many characters of a text a reader would not see as they are."""
    return sum(1 for c in text if is_hidden(c))


def is_hidden(char: str) -> bool:
    """Whether a character shows nothing, or changes how others show."""
    if char in _KEPT:
        return False
    return (
        unicodedata.category(char) in _HIDDEN_CATEGORIES
        or char in _BLANK_LOOKING
        or "\ufe00" <= char <= "\ufe0f"
        or "\U000e0100" <= char <= "\U000e01ef"
    )


def toml_lines(text: str) -> list[str]:
    """The lines of a file as TOML counts them: only a line feed ends one."""
    return text.replace("\r\n", "\n").split("\n")
