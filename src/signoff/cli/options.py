"""Options that several commands share, and what the shell completes."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated, Final

import typer

from signoff.cli.describe import headline
from signoff.cli.desk import opened
from signoff.domain.errors import SignoffError
from signoff.domain.journal import EntryState
from signoff.ports import Filter

_COMPLETED: Final = 50
SHORTEST_ENTRY: Final = 8
"""How many characters of an entry's id, `ent_` included, can stand for it."""
_EVALUATED: Final = re.compile(r"[^A-Za-z0-9 _.,=-]")


def complete_request(context: typer.Context, incomplete: str) -> list[tuple[str, str]]:
    """Requests that wait, each with what it asks."""
    try:
        with opened(_given(context, "store"), _path(context)) as desk:
            page = desk.pending(Filter(limit=_COMPLETED))
    except SignoffError:
        return []
    return [
        (request.id, _harmless(headline(request.tool, request.args, 60)))
        for request in page.requests
        if request.id.startswith(incomplete)
    ]


def complete_entry(context: typer.Context, incomplete: str) -> list[tuple[str, str]]:
    """Entries whose outcome is unknown."""
    try:
        with opened(_given(context, "store"), _path(context)) as desk:
            entries = desk.journal(state=EntryState.UNKNOWN, limit=_COMPLETED)
    except SignoffError:
        return []
    return [
        (entry.id, _harmless(entry.tool))
        for entry in entries
        if entry.id.startswith(incomplete)
    ]


def complete_open(context: typer.Context, incomplete: str) -> list[tuple[str, str]]:
    """Entries that can still be undone."""
    try:
        with opened(_given(context, "store"), _path(context)) as desk:
            entries = desk.open_windows(limit=_COMPLETED)
    except SignoffError:
        return []
    return [
        (entry.id, _harmless(headline(entry.tool, entry.args or {}, 60)))
        for entry in entries
        if entry.id.startswith(incomplete)
    ]


def _harmless(text: str) -> str:
    """What an agent wrote, fit for a shell: zsh evaluates what completion prints."""
    return _EVALUATED.sub("?", text)


def _given(context: typer.Context, name: str) -> str | None:
    value = context.params.get(name)
    return None if value is None else str(value)


def _path(context: typer.Context) -> Path | None:
    value = _given(context, "token_file")
    return None if value is None else Path(value)


Store = Annotated[
    str | None,
    typer.Option(
        "--store",
        "-s",
        envvar="SIGNOFF_STORE",
        show_envvar=True,
        metavar="ADDRESS",
        help="sqlite:///file.db, postgresql://host/name, or http(s)://server.",
    ),
]
TokenFile = Annotated[
    Path | None,
    typer.Option(
        "--token-file",
        metavar="FILE",
        help="File with your token; else it is read from SIGNOFF_TOKEN.",
    ),
]
Json = Annotated[bool, typer.Option("--json", help="One JSON document, for programs.")]
Full = Annotated[bool, typer.Option("--full", help="Show long values whole.")]
RequestId = Annotated[
    str,
    typer.Argument(
        metavar="REQUEST",
        help="Its id, or how it begins.",
        autocompletion=complete_request,
    ),
]
EntryId = Annotated[
    str,
    typer.Argument(
        metavar="ENTRY", help="Its id in the journal.", autocompletion=complete_entry
    ),
]
Reason = Annotated[
    str | None,
    typer.Option("--reason", "-r", metavar="TEXT", help="Why; the agent is told."),
]
Behalf = Annotated[
    str | None,
    typer.Option(
        "--for",
        metavar="NAME",
        help="By the right that this person lends you; else yours, or any lent one.",
    ),
]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Don't ask; needs --digest.")]
Digest = Annotated[
    str | None,
    typer.Option(
        "--digest",
        metavar="HEX",
        help="The digest that you were shown, 12 characters of it or more.",
    ),
]
