"""Whom to ask, and whose rights: hand a request over, lend a right to decide."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import Annotated

import typer
from rich.text import Text

from signoff.cli import options
from signoff.cli.describe import headline
from signoff.cli.desk import opened
from signoff.cli.exits import Refused
from signoff.cli.reading import find
from signoff.cli.screen import line, listing, print_json, print_rows, put, say
from signoff.cli.shapes import delegation_json
from signoff.clock import ago, as_datetime
from signoff.domain.delegations import Delegation
from signoff.domain.duration import duration
from signoff.domain.errors import PolicyError


def assign(
    request: options.RequestId,
    name: Annotated[
        str | None,
        typer.Argument(metavar="NAME", help="Who is asked; a person who may approve."),
    ] = None,
    *,
    nobody: Annotated[
        bool, typer.Option("--nobody", help="Instead: nobody in particular.")
    ] = False,
    store: options.Store = None,
    token_file: options.TokenFile = None,
) -> None:
    """Ask somebody to decide it. Others who may decide it still may."""
    if (name is None) is not nobody:
        raise Refused("say who: a NAME, or --nobody.")
    with opened(store, token_file) as desk:
        assigned = desk.assign(find(desk, request).id, to=name)
    call = headline(assigned.tool, assigned.args)
    put(line(f"assigned to {assigned.assignee or 'nobody'}: {call}"))
    if assigned.assignee is not None:
        say("Others who may decide it still may.")


def delegate_create(  # noqa: PLR0913 - each parameter is an option of the command
    name: Annotated[str, typer.Argument(metavar="NAME", help="Who may use the right.")],
    *,
    ends: Annotated[
        str,
        typer.Option(
            metavar="WHEN",
            help="When it ends: 2026-12-31T18:00+01:00, or a span from now such as "
            "14d.",
        ),
    ],
    starts: Annotated[
        str | None,
        typer.Option(metavar="WHEN", help="When it starts, likewise; else now."),
    ] = None,
    delegator: Annotated[
        str | None,
        typer.Option(
            "--from", metavar="NAME", help="Whose right; else yours. For group admin."
        ),
    ] = None,
    reason: Annotated[
        str | None, typer.Option("--reason", "-r", metavar="TEXT", help="Why.")
    ] = None,
    as_json: options.Json = False,
    store: options.Store = None,
    token_file: options.TokenFile = None,
) -> None:
    """Lend your right to decide, from one time to another. It can't be passed on."""
    with opened(store, token_file) as desk:
        desk.whoami()
        now = as_datetime(desk.now())
        made = desk.delegate(
            name,
            ends=_when("--ends", ends, now),
            starts=None if starts is None else _when("--starts", starts, now),
            delegator=delegator,
            reason=reason,
        )
    if as_json:
        print_json(delegation_json(made))
        return
    put(line(f"{made.id}: {made.delegate} decides for {made.delegator}"))
    say(f"From {_moment(made.starts_at)} to {_moment(made.ends_at)}.")


def delegate_list(
    *,
    as_json: options.Json = False,
    store: options.Store = None,
    token_file: options.TokenFile = None,
) -> None:
    """List the delegations, oldest first."""
    with opened(store, token_file) as desk:
        found, now = desk.delegations(), desk.now()
    if as_json:
        print_json({"delegations": [delegation_json(one) for one in found]})
    elif len(found) == 0:
        say("No delegation yet: signoff delegate create NAME --ends 14d")
    else:
        table = listing("id", "whose right", "by whom", "from", "to", "state", "why")
        print_rows(table, (_row(one, now) for one in found))


def delegate_revoke(
    delegation: Annotated[
        str, typer.Argument(metavar="ID", help="As `delegate list` shows.")
    ],
    *,
    store: options.Store = None,
    token_file: options.TokenFile = None,
) -> None:
    """Take a right back at once. What was decided by it stays decided."""
    with opened(store, token_file) as desk:
        desk.revoke_delegation(delegation)
    put(line(f"revoked: {delegation}"))


def _when(option: str, text: str, now: datetime) -> datetime:
    """A time with its zone, a day in UTC, or a span from now.

    Raises:
        Refused: It is none of them.
    """
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        return now + _span(option, text)
    if at.tzinfo is not None:
        return at
    if "T" in text or " " in text or ":" in text:
        raise Refused(f"{option}: {text} has no zone; write {text}Z or {text}+01:00.")
    return at.replace(tzinfo=UTC)


def _span(option: str, text: str) -> timedelta:
    try:
        return duration(text, name=option)
    except PolicyError:
        form = "2026-12-31, 2026-12-31T18:00Z or 14d"
        raise Refused(f"{option} takes a time such as {form}, not {text!r}.") from None


def _row(delegation: Delegation, now: int) -> Iterable[Text]:
    return (
        Text(delegation.id, "cyan"),
        line(delegation.delegator),
        line(delegation.delegate),
        Text(_moment(delegation.starts_at)),
        Text(_moment(delegation.ends_at)),
        _state(delegation, now),
        line(delegation.reason or "—"),
    )


def _state(delegation: Delegation, now: int) -> Text:
    if delegation.revoked_at is not None:
        by = delegation.revoked_by or "signoff"
        return line(f"revoked {ago(delegation.revoked_at, now)} by {by}", "red")
    if delegation.is_active(now):
        return Text("works", "green")
    if delegation.starts_at > now:
        return Text(f"starts {ago(delegation.starts_at, now)}", "yellow")
    return Text("over", "dim")


def _moment(at: int) -> str:
    return as_datetime(at).strftime("%Y-%m-%d %H:%M UTC")
