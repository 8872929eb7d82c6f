"""What a person says: approve, reject, edit, respond, cancel, settle."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Final

import typer
from rich.text import Text

from signoff.cli import options
from signoff.cli.describe import described, difference, headline
from signoff.cli.desk import Desk, opened
from signoff.cli.editing import Changes, edited_args
from signoff.cli.exits import ExitCode, Refused
from signoff.cli.reading import file_of, find
from signoff.cli.screen import confirm, is_interactive, line, put, say
from signoff.cli.undoing import entry_id, what_ran
from signoff.domain.errors import DigestMismatch, InvalidEdit
from signoff.domain.journal import is_entry
from signoff.domain.requests import (
    Approve,
    Decision,
    Edit,
    Reject,
    Request,
    Respond,
    Status,
    Vote,
)
from signoff.domain.voting import progress

_HEX: Final = re.compile(r"[0-9a-f]{12,64}")


def approve(  # noqa: PLR0913 - each parameter is an option of the command
    request: options.RequestId,
    *,
    yes: options.Yes = False,
    digest: options.Digest = None,
    reason: options.Reason = None,
    behalf: options.Behalf = None,
    store: options.Store = None,
    token_file: options.TokenFile = None,
) -> None:
    """Let it run as shown. Shows it whole and asks first."""
    shown = _shown(digest, yes=yes)
    with opened(store, token_file) as desk:
        desk.whoami()
        found = _found(desk, request, shown)
        if _must_ask(found, yes=yes):
            put(described(file_of(desk, found), full=True))
            _ask("\nApprove this?")
        _decide(desk, found, Approve(reason=reason), behalf)


def reject(
    request: options.RequestId,
    *,
    reason: options.Reason = None,
    digest: options.Digest = None,
    behalf: options.Behalf = None,
    store: options.Store = None,
    token_file: options.TokenFile = None,
) -> None:
    """Don't let it run. The agent is told why."""
    with opened(store, token_file) as desk:
        found = _found(desk, request, _shown(digest))
        _decide(desk, found, Reject(reason=reason), behalf)


def respond(
    request: options.RequestId,
    *,
    message: Annotated[
        str,
        typer.Option(
            "--message", "-m", metavar="TEXT", help="What the agent gets instead."
        ),
    ],
    digest: options.Digest = None,
    behalf: options.Behalf = None,
    store: options.Store = None,
    token_file: options.TokenFile = None,
) -> None:
    """Don't let it run; give the agent your answer as the tool's result."""
    if message.strip() == "":
        raise Refused("the message is empty; `signoff reject` is a no without one.")
    with opened(store, token_file) as desk:
        found = _found(desk, request, _shown(digest))
        _decide(desk, found, Respond(message=message), behalf)


def edit(  # noqa: PLR0913 - each parameter is an option of the command
    request: options.RequestId,
    *,
    texts: Annotated[
        list[str] | None,
        typer.Option(
            "--set",
            metavar="args.NAME=VALUE",
            help="A new value, read by the type that the tool asks for. Repeatable.",
        ),
    ] = None,
    values: Annotated[
        list[str] | None,
        typer.Option(
            "--set-json",
            metavar="args.NAME=JSON",
            help="A new value in JSON. Repeatable.",
        ),
    ] = None,
    editor: Annotated[
        bool, typer.Option("--editor", help="Write the arguments in $EDITOR.")
    ] = False,
    args_file: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="All arguments in JSON; - reads stdin."),
    ] = None,
    tool: Annotated[
        str | None, typer.Option(metavar="NAME", help="Another tool of the agent.")
    ] = None,
    yes: options.Yes = False,
    digest: options.Digest = None,
    reason: options.Reason = None,
    behalf: options.Behalf = None,
    store: options.Store = None,
    token_file: options.TokenFile = None,
) -> None:
    """Approve it with other arguments. Shows the difference and asks first."""
    shown = _shown(digest, yes=yes)
    changes = Changes(
        texts=tuple(texts or ()),
        values=tuple(values or ()),
        editor=editor,
        file=args_file,
        tool=tool,
    )
    with opened(store, token_file, policy=True) as desk:
        desk.whoami()
        found = _found(desk, request, shown)
        asking = _must_ask(found, yes=yes)
        decision = _edit(desk, found, changes, reason)
        if asking:
            _ask("\nApprove it with these arguments?")
        _decide(desk, found, decision, behalf)


def cancel(
    request: options.RequestId,
    *,
    reason: options.Reason = None,
    store: options.Store = None,
    token_file: options.TokenFile = None,
) -> None:
    """Withdraw a request, or cancel a held call by its entry: it never runs."""
    with opened(store, token_file) as desk:
        if is_entry(request):
            entry = desk.cancel_held(entry_id(desk, request), reason=reason or "")
            put(line(f"cancelled before effect: {what_ran(entry)}"))
            return
        found = find(desk, request)
        cancelled = desk.cancel_request(found.id, reason=reason or "withdrawn")
        _tell(cancelled)


def settle(  # noqa: PLR0913 - each parameter is an option of the command
    entry: options.EntryId,
    *,
    happened: Annotated[
        bool | None,
        typer.Option(
            "--happened/--did-not-happen", help="Whether the effect took place."
        ),
    ] = None,
    again: Annotated[
        bool,
        typer.Option("--again", help="Let it be tried once more, with the same key."),
    ] = False,
    result: Annotated[
        str | None,
        typer.Option(
            metavar="JSON", help="What it returned, with --happened; the agent gets it."
        ),
    ] = None,
    note: Annotated[
        str, typer.Option(metavar="TEXT", help="How you know; the agent is told.")
    ] = "",
    store: options.Store = None,
    token_file: options.TokenFile = None,
) -> None:
    """Say how an unknown outcome ended; the thread goes on with that."""
    if (happened is None) is not again:
        raise Refused("say which one: --happened, --did-not-happen or --again.")
    if result is not None and happened is not True:
        raise Refused("--result goes with --happened.")
    returned = None if result is None else _json(result)
    with opened(store, token_file) as desk:
        settled = desk.settle(
            entry_id(desk, entry),
            happened=happened,
            note=note,
            result=returned,
            again=again,
        )
    ended = "it happened" if happened else "it did not happen"
    ended = "it is tried again, with the same key" if again else ended
    put(line(f"settled: {settled.tool}: {ended}. The thread goes on."))


def _json(text: str) -> object:
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise Refused(f"--result is no JSON: {error}.") from error


def _edit(desk: Desk, request: Request, changes: Changes, reason: str | None) -> Edit:
    known = {tool.name: tool for tool in desk.tools(request.agent or "")}
    args = edited_args(request, changes, known)
    tool = changes.tool or request.tool
    if tool == request.tool and _same(args, request.args):
        raise InvalidEdit(
            request.id, ("it changes nothing; `signoff approve` takes it as it is",)
        )
    if request.status is Status.PENDING:
        changed = "" if tool == request.tool else f", now {tool},"
        put(line(f"{request.tool}{changed} would run with", "bold"), Text())
        headings = ("it asks", "yours")
        put(difference(request.args, args, full=True, headings=headings))
    return Edit(args=args, tool=changes.tool, reason=reason)


def _same(args: object, others: object) -> bool:
    # As texts: in Python 1 == 1.0 == True.
    return json.dumps(args, sort_keys=True) == json.dumps(others, sort_keys=True)


def _shown(digest: str | None, *, yes: bool = False) -> str | None:
    """The digest that was given, checked for its form."""
    if digest is None:
        if yes:
            raise Refused(
                "--yes needs --digest with what you were shown: see `signoff show`."
            )
        return None
    if _HEX.fullmatch(digest.lower()) is None:
        raise Refused("--digest takes 12 to 64 characters of a digest (0-9, a-f).")
    return digest.lower()


def _found(desk: Desk, start: str, shown: str | None) -> Request:
    """The request, if it still asks what the given digest was taken over."""
    request = find(desk, start)
    if shown is not None and not request.digest.startswith(shown):
        raise DigestMismatch(request.id, shown)
    return request


def _must_ask(request: Request, *, yes: bool) -> bool:
    if yes or request.status is not Status.PENDING:
        return False
    if not is_interactive():
        raise Refused(
            "nobody can be asked here: look with `signoff show`, then send what it "
            "showed with --yes --digest."
        )
    return True


def _ask(question: str) -> None:
    if not confirm(question):
        say("Nothing was sent.")
        raise typer.Exit(ExitCode.PROBLEMS)


def _decide(
    desk: Desk, request: Request, decision: Decision, behalf: str | None
) -> None:
    decided = desk.decide(request.id, decision, digest=request.digest, behalf=behalf)
    _tell(decided, desk.votes(decided.id))


def _tell(request: Request, votes: Sequence[Vote] = ()) -> None:
    call = headline(request.tool, request.args)
    if request.status is not Status.PENDING:
        put(Text(f"{request.status.value}: {call}"))
        return
    missing = progress(request, votes).missing
    put(line(f"noted, more people must agree (still {missing}): {call}"))
    say(f"It asks now, with digest {request.digest[:16]}: signoff show {request.id}")
