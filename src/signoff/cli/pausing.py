"""`signoff pause`, `signoff resume` and `signoff pauses`: the kill switch."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Annotated

import typer
from rich.text import Text

from signoff.cli import options
from signoff.cli.desk import Desk, opened
from signoff.cli.exits import Refused
from signoff.cli.screen import (
    line,
    listing,
    one_line,
    print_json,
    print_rows,
    put,
    say,
)
from signoff.cli.shapes import pause_json
from signoff.clock import ago
from signoff.domain.errors import PauseNotFound
from signoff.domain.pauses import Pause

Agent = Annotated[str | None, typer.Option(metavar="NAME", help="Only this agent.")]
Thread = Annotated[str | None, typer.Option(metavar="ID", help="Only this thread.")]
Tool = Annotated[
    str | None,
    typer.Option(metavar="GLOB", help="Only tools and gates named so: 'send_*'."),
]


def pause(  # noqa: PLR0913 - each parameter is an option of the command
    *,
    agent: Agent = None,
    thread: Thread = None,
    tool: Tool = None,
    reason: Annotated[
        str | None,
        typer.Option("--reason", "-r", metavar="TEXT", help="Why, for the others."),
    ] = None,
    as_json: options.Json = False,
    store: options.Store = None,
    token_file: options.TokenFile = None,
) -> None:
    """Stop everything at its next action, or only what the options name.

    Nothing is denied: calls wait and deadlines stand still until `signoff resume`.
    """
    with opened(store, token_file) as desk:
        made = desk.pause(agent=agent, thread=thread, tool=tool, reason=reason)
    if as_json:
        print_json({"pause": pause_json(made)})
        return
    put(line(f"paused: {made.scope()} ({made.id})", "bold red"))
    say(f"Lift it with: signoff resume {made.id}")


def resume(  # noqa: PLR0913 - each parameter is an option of the command
    pause_id: Annotated[
        str | None,
        typer.Argument(metavar="ID", help="As `signoff pauses` shows."),
    ] = None,
    *,
    agent: Agent = None,
    thread: Thread = None,
    tool: Tool = None,
    everything: Annotated[
        bool, typer.Option("--all", help="Every pause that holds.")
    ] = False,
    as_json: options.Json = False,
    store: options.Store = None,
    token_file: options.TokenFile = None,
) -> None:
    """Lift a pause by its id, those set with the same options, or --all.

    What another pause stops too stays stopped.
    """
    named = (agent, thread, tool)
    ways = (pause_id is not None, named != (None, None, None), everything)
    if sum(ways) != 1:
        raise Refused("name one pause by its id, or by its options, or give --all.")
    with opened(store, token_file) as desk:
        wanted = [pause_id] if pause_id is not None else None
        if wanted is None:
            wanted = _chosen(desk.pauses(), None if everything else named)
        lifted = [desk.lift(one) for one in wanted]
        left = desk.pauses()
    if as_json:
        print_json({"lifted": [pause_json(one) for one in lifted]})
        return
    for one in lifted:
        put(line(f"lifted: {one.scope()} ({one.id})", "green"))
    for one in left:
        say(one_line(f"Still paused: {one.scope()} ({one.id})."), "bold red")


def pauses(
    *,
    everything: Annotated[
        bool, typer.Option("--all", help="Those that were lifted, too.")
    ] = False,
    as_json: options.Json = False,
    store: options.Store = None,
    token_file: options.TokenFile = None,
) -> None:
    """List the pauses that hold."""
    with opened(store, token_file) as desk:
        found, waiting = desk.pauses(active=not everything), desk.stalled()
        now = desk.now()
    if as_json:
        shown = [pause_json(one) for one in found]
        print_json({"pauses": shown, "stalled": waiting})
    elif len(found) == 0:
        say("Nothing is paused.")
    else:
        table = listing("id", "stops", "by", "since", "reason", "state")
        print_rows(table, (_row(one, now) for one in found))
        say(f"{waiting} call(s) wait for a pause to be lifted.")


def say_paused(desk: Desk) -> None:
    """Before a list of what waits: that something is stopped."""
    for one in desk.pauses():
        why = "" if one.reason is None else f": {one.reason}"
        told = f"PAUSED: {one.scope()}, by {one.paused_by}{why}"
        say(one_line(told), "bold red")


def _chosen(
    active: Sequence[Pause], named: tuple[str | None, str | None, str | None] | None
) -> list[str]:
    """The ids of all, or of those with exactly this scope."""
    found = [
        one.id
        for one in active
        if named is None or (one.agent, one.thread, one.tool) == named
    ]
    if found == []:
        scope = "anything" if named is None else ", ".join(n for n in named if n)
        raise PauseNotFound(scope)
    return found


def _row(pause: Pause, now: int) -> Iterable[Text]:
    state = Text("holds", "bold red")
    if pause.lifted_at is not None:
        state = line(
            f"lifted by {pause.lifted_by} {ago(pause.lifted_at, now)}", "green"
        )
    return (
        Text(pause.id, "cyan"),
        line(pause.scope()),
        line(pause.paused_by),
        Text(ago(pause.paused_at, now)),
        line(pause.reason or "—"),
        state,
    )
