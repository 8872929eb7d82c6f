"""`signoff list` and `signoff show`."""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Annotated, Final, Literal

import typer
from rich.text import Text

from signoff.cli import options
from signoff.cli.describe import (
    RISK_STYLES,
    SHORT_ID,
    File,
    described,
    headline,
    history,
    outcome,
    time_left,
)
from signoff.cli.desk import Desk, opened
from signoff.cli.exits import Refused
from signoff.cli.pausing import say_paused
from signoff.cli.screen import (
    line,
    listing,
    print_json,
    print_rows,
    put,
    say,
)
from signoff.cli.shapes import (
    entry_json,
    event_json,
    progress_json,
    request_json,
    stage_json,
    vote_json,
)
from signoff.clock import ago
from signoff.domain.journal import Entry, EntryState
from signoff.domain.requests import Request, RequestKind, Status
from signoff.domain.voting import progress
from signoff.ports import Filter, Page

MAX_LIMIT: Final = 200
SHORTEST_START: Final = 4
ENTRIES: Final = 1000

ANY: Final = "any"
WAITING: Final = "pending"
Shown = Literal[
    "pending", "approved", "rejected", "responded", "expired", "cancelled", "any"
]
Risk = Literal["critical", "high", "medium", "low"]
Order = Literal["deadline", "newest", "risk"]


def list_requests(  # noqa: PLR0913 - each parameter is an option of the command
    *,
    agent: Annotated[str | None, typer.Option(help="Only of this agent.")] = None,
    tool: Annotated[str | None, typer.Option(help="Only calls of this tool.")] = None,
    team: Annotated[str | None, typer.Option(help="Only of this team.")] = None,
    thread: Annotated[str | None, typer.Option(help="Only of this thread.")] = None,
    assigned_to: Annotated[
        str | None, typer.Option(metavar="NAME", help="Only those this person has.")
    ] = None,
    mine: Annotated[
        bool, typer.Option("--mine", help="Only those that you were asked to decide.")
    ] = False,
    risk: Annotated[Risk | None, typer.Option(help="Only of this risk.")] = None,
    status: Annotated[
        Shown, typer.Option(help="Where they stand; any: wherever.")
    ] = "pending",
    order: Annotated[
        Order | None,
        typer.Option(
            help="What comes first; the next deadline among those that wait, else the "
            "newest.",
            show_default=False,
        ),
    ] = None,
    limit: Annotated[
        int, typer.Option(min=1, max=MAX_LIMIT, help="How many on a page.")
    ] = 50,
    cursor: Annotated[
        str | None, typer.Option(help="Where the last page ended.")
    ] = None,
    everything: Annotated[
        bool, typer.Option("--all", help="Every page at once.")
    ] = False,
    unknown: Annotated[
        bool,
        typer.Option("--unknown", help="Instead: effects whose outcome is unknown."),
    ] = False,
    as_json: options.Json = False,
    store: options.Store = None,
    token_file: options.TokenFile = None,
) -> None:
    """List the requests that wait for people."""
    wanted = Filter(
        status=None if status == ANY else Status(status),
        thread=thread,
        agent=agent,
        tool=tool,
        team=team,
        risk=risk,
        assignee=assigned_to,
        order=order or ("deadline" if status == WAITING else "newest"),
        cursor=cursor,
        limit=MAX_LIMIT if everything else limit,
    )
    if mine and assigned_to is not None:
        raise Refused("--mine is --assigned-to yourself; give one of them.")
    with opened(store, token_file) as desk:
        if mine:
            wanted = replace(wanted, assignee=desk.whoami().id)
        if unknown:
            _list_unknown(desk, thread, as_json=as_json)
        else:
            _list(desk, wanted, everything=everything, as_json=as_json)


def show(
    request: options.RequestId,
    *,
    with_history: Annotated[
        bool, typer.Option("--history", help="Also everything that happened to it.")
    ] = False,
    full: options.Full = False,
    as_json: options.Json = False,
    store: options.Store = None,
    token_file: options.TokenFile = None,
) -> None:
    """Show what would happen, field by field, who must agree and by when."""
    with opened(store, token_file) as desk:
        file = file_of(desk, find(desk, request))
        events = desk.history(file.request.id) if with_history else None
    if as_json:
        agreed = progress(file.request, file.votes)
        document = {
            "request": request_json(file.request),
            "agreement": progress_json(agreed),
            "votes": [vote_json(vote) for vote in file.votes],
            "entry": None if file.entry is None else entry_json(file.entry),
            "stages": [stage_json(stage) for stage in file.stages],
        }
        if events is not None:
            document["history"] = [event_json(event) for event in events]
        print_json(document)
        return
    put(described(file, full=full))
    if events is not None:
        put(Text("\nhistory", "dim"))
        put(history(events))


def find(desk: Desk, start: str) -> Request:
    """The request whose id begins like this.

    Raises:
        Refused: It is too short to mean one request.
        RequestNotFound: None does, or several do.
    """
    if len(start.removeprefix("req_")) < SHORTEST_START:
        raise Refused(
            f"{start!r} is too short: give {SHORTEST_START} characters of the id."
        )
    return desk.find(start)


def file_of(desk: Desk, request: Request) -> File:
    """The request with what belongs to it."""
    gate = request.kind is RequestKind.GATE
    return File(
        request=request,
        votes=desk.votes(request.id),
        entry=desk.entry_of(request),
        now=desk.now(),
        stages=desk.stages(request.thread) if gate else (),
    )


def _list(desk: Desk, wanted: Filter, *, everything: bool, as_json: bool) -> None:
    page = _all_pages(desk, wanted) if everything else desk.pending(wanted)
    if as_json:
        shown = [request_json(request) for request in page.requests]
        print_json({"requests": shown, "next": page.next})
        return
    say_paused(desk)
    if page.requests == ():
        say("Nothing waits." if wanted.status is Status.PENDING else "Nothing found.")
        return
    now = desk.now()
    last = "rejected in" if wanted.status is Status.PENDING else "status"
    assigned = any(request.assignee is not None for request in page.requests)
    whose = ("assigned to",) if assigned else ()
    heads = ("id", "risk", "what would happen", "agent", "asked", *whose, last)
    rows = (_row(request, now, assigned=assigned) for request in page.requests)
    print_rows(listing(*heads), rows)
    if page.next is not None:
        total, count = desk.count(wanted), len(page.requests)
        say(f"\n{count} of {total:,}. The next page: {_command(wanted, page.next)}")


def _all_pages(desk: Desk, wanted: Filter) -> Page:
    page = desk.pending(wanted)
    found = list(page.requests)
    while page.next is not None:
        page = desk.pending(replace(wanted, cursor=page.next))
        found.extend(page.requests)
    return Page(requests=tuple(found), next=None)


def _row(request: Request, now: int, *, assigned: bool) -> Iterable[Text]:
    waits = request.status is Status.PENDING
    return (
        Text(request.id[:SHORT_ID], "cyan"),
        Text(request.risk, RISK_STYLES.get(request.risk, "")),
        Text(headline(request.tool, request.args), no_wrap=True, overflow="ellipsis"),
        line(request.agent or "—"),
        Text(ago(request.asked_at, now)),
        *((line(request.assignee or "—"),) if assigned else ()),
        Text(time_left(request, now)) if waits else outcome(request, now),
    )


def _command(wanted: Filter, cursor: str) -> str:
    given: Mapping[str, str | None] = {
        "--agent": wanted.agent,
        "--tool": wanted.tool,
        "--team": wanted.team,
        "--thread": wanted.thread,
        "--assigned-to": wanted.assignee,
        "--risk": wanted.risk,
        "--status": "any" if wanted.status is None else wanted.status.value,
        "--order": wanted.order,
        "--limit": str(wanted.limit),
        "--cursor": cursor,
    }
    default: Final = {"--status": "pending", "--order": "deadline", "--limit": "50"}
    words = ["signoff", "list"]
    for option, value in given.items():
        if value is not None and default.get(option) != value:
            words += [option, value]
    return shlex.join(words)


def _list_unknown(desk: Desk, thread: str | None, *, as_json: bool) -> None:
    found = desk.journal(thread=thread, state=EntryState.UNKNOWN, limit=ENTRIES)
    if as_json:
        print_json({"entries": [entry_json(entry) for entry in found]})
        return
    if len(found) == 0:
        say("Every outcome is known.")
        return
    now = desk.now()
    table = listing("entry", "tool", "thread", "started", "what is known")
    print_rows(table, (_entry_row(entry, now) for entry in found))
    say(
        "\nFind out, then: signoff settle ENTRY --happened "
        "(or --did-not-happen, or --again)"
    )


def _entry_row(entry: Entry, now: int) -> Iterable[Text]:
    return (
        Text(entry.id, "cyan"),
        line(entry.tool),
        line(entry.thread),
        Text(ago(entry.started_at, now)),
        line(entry.summary or "—"),
    )
