"""Ready-made undos for what agents touch: files, rows, commits, HTTP resources.

Each gives an `Undo` for a tool, which `so.add_undo()` takes. docs/ready-made-undos.md
says what each of them keeps, what it gives back, and what it can't.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from signoff.undo.files import Files
    from signoff.undo.git import Git
    from signoff.undo.http import Http
    from signoff.undo.sql import Tables

__all__ = ["Files", "Git", "Http", "Tables"]

_HOME = {"Files": "files", "Git": "git", "Http": "http", "Tables": "sql"}


def __getattr__(name: str) -> object:
    """Import one when it is first used: SQLAlchemy alone costs half a second."""
    if name not in _HOME:
        raise AttributeError(f"module 'signoff.undo' has no attribute {name!r}")
    return getattr(import_module(f"signoff.undo.{_HOME[name]}"), name)


def __dir__() -> list[str]:
    return sorted(__all__)
