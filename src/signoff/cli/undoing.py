"""`signoff undo`, `journal`, `release` and `close`: take back what was done, or not."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from functools import partial
from typing import Annotated, Final

import typer
from rich.table import Table
from rich.text import Text

from signoff.cli import options
from signoff.cli.describe import headline
from signoff.cli.desk import Desk, opened
from signoff.cli.exits import ExitCode, Refused
from signoff.cli.screen import (
    confirm,
    cut,
    is_interactive,
    line,
    listing,
    one_line,
    print_json,
    print_rows,
    put,
    say,
)
from signoff.cli.shapes import entry_json, plan_json, run_json
from signoff.clock import ago
from signoff.domain.errors import UndoConflict
from signoff.domain.journal import Entry, EntryState, is_entry
from signoff.domain.undo_plan import PlannedUndo, UndoPlan, UndoRun
from signoff.domain.undoing import ABSENT, Change, Dependence
from signoff.domain.ways_back import NEVER, label_of, time_left, way_back

_OPEN: Final = (
    EntryState.UNKNOWN,
    EntryState.HELD,
    EntryState.UNDO_FAILED,
    EntryState.UNDO_UNVERIFIED,
)
MOST: Final = 1000
_STYLES: Final = {
    EntryState.DONE: "green",
    EntryState.UNDONE: "dim",
    EntryState.UNKNOWN: "bold yellow",
    EntryState.HELD: "bold cyan",
    EntryState.UNDOING: "cyan",
    EntryState.UNDO_FAILED: "bold red",
    EntryState.UNDO_UNVERIFIED: "bold yellow",
    EntryState.FAILED: "red",
}


def undo(  # noqa: PLR0913 - each parameter is an option of the command
    entry: Annotated[
        str | None,
        typer.Argument(
            metavar="ENTRY",
            help="Its id in the journal, or how it begins.",
            autocompletion=options.complete_open,
        ),
    ] = None,
    *,
    since: Annotated[
        str | None,
        typer.Option(
            metavar="ENTRY",
            help="It and what came after it in its thread, the newest first.",
        ),
    ] = None,
    thread: Annotated[
        str | None,
        typer.Option(metavar="ID", help="All that a thread did, the newest first."),
    ] = None,
    only_dependents: Annotated[
        bool,
        typer.Option("--only-dependents", help="With --since: only what needs it."),
    ] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Show what would be undone, and stop.")
    ] = False,
    force: Annotated[
        bool,
        typer.Option(
            "--force",
            help="Override a conflict and what needs it; wants --reason, and who may.",
        ),
    ] = False,
    reason: Annotated[
        str,
        typer.Option(
            "--reason", "-r", metavar="TEXT", help="Why; kept, and the agent is told."
        ),
    ] = "",
    yes: Annotated[
        bool, typer.Option("--yes", "-y", help="Don't ask before it is undone.")
    ] = False,
    as_json: options.Json = False,
    store: options.Store = None,
    token_file: options.TokenFile = None,
) -> None:
    """Take back what an agent did. Shows what would be undone and asks first."""
    if sum(name is not None for name in (entry, since, thread)) != 1:
        raise Refused("name one: an entry, or --since ENTRY, or --thread ID.")
    if only_dependents and since is None:
        raise Refused("--only-dependents goes with --since ENTRY.")
    with opened(store, token_file) as desk:
        if not dry_run:
            desk.whoami()
        wanted = _Wanted(
            entry=None if entry is None else entry_id(desk, entry),
            since=None if since is None else entry_id(desk, since),
            thread=thread,
            only_dependents=only_dependents,
        )
        plan = wanted.plan(desk)
        if dry_run:
            _show(desk, plan, as_json=as_json)
            raise typer.Exit(ExitCode.PROBLEMS if _stops(plan) else ExitCode.OK)
        _ask(desk, plan, yes=yes, quiet=as_json)
        run = wanted.run(desk, reason=reason, force=force)
        _told(desk, run, as_json=as_json)


def journal(  # noqa: PLR0913 - each parameter is an option of the command
    *,
    thread: Annotated[
        str | None, typer.Option(metavar="ID", help="Only of this thread.")
    ] = None,
    state: Annotated[
        EntryState | None, typer.Option(help="Only where it stands so.")
    ] = None,
    undoable: Annotated[
        bool,
        typer.Option("--undoable", help="Instead: all that can be undone now."),
    ] = False,
    limit: Annotated[
        int, typer.Option(min=1, max=MOST, help="How many at most.")
    ] = 100,
    as_json: options.Json = False,
    store: options.Store = None,
    token_file: options.TokenFile = None,
) -> None:
    """List what ran, with what came of it and until when it can be taken back."""
    if undoable and (thread, state) != (None, None):
        raise Refused("--undoable takes neither --thread nor --state.")
    with opened(store, token_file) as desk:
        if undoable:
            found = desk.open_windows(limit=limit)
        else:
            found = desk.journal(thread=thread, state=state, limit=limit)
        now = desk.now()
    if as_json:
        print_json({"entries": [entry_json(entry) for entry in found]})
    elif len(found) == 0:
        say("Nothing ran." if state is None and not undoable else "Nothing found.")
    else:
        table = _whole(
            listing("entry", "what ran", "thread", "when", "state", "its way back")
        )
        print_rows(table, (_row(entry, now) for entry in found))
        if len(found) == limit:
            say(f"\nThere may be more: --limit takes up to {MOST}.")


def release(
    entry: Annotated[
        str, typer.Argument(metavar="ENTRY", help="A held one, or how its id begins.")
    ],
    *,
    store: options.Store = None,
    token_file: options.TokenFile = None,
) -> None:
    """Send a held call now, instead of when its time comes."""
    with opened(store, token_file) as desk:
        sent = desk.release(entry_id(desk, entry))
    if sent.state is EntryState.HELD:
        put(line(f"let go: {what_ran(sent)}", "cyan"))
        say("A process that has its tool runs it now: signoff journal")
    else:
        put(line(f"{sent.state.value}: {what_ran(sent)}: {sent.summary or ''}"))


def close(
    entry: Annotated[
        str,
        typer.Argument(
            metavar="ENTRY",
            help="Its id in the journal, or how it begins.",
            autocompletion=options.complete_open,
        ),
    ],
    *,
    reason: Annotated[
        str, typer.Option("--reason", "-r", metavar="TEXT", help="Why; kept.")
    ] = "",
    store: options.Store = None,
    token_file: options.TokenFile = None,
) -> None:
    """Let an effect stay for good: its window closes now."""
    with opened(store, token_file) as desk:
        closed = desk.close_window(entry_id(desk, entry), reason=reason)
    put(line(f"{closed.state.value}: {what_ran(closed)}"))


def entry_id(desk: Desk, start: str) -> str:
    """The id of the one entry that begins like this, else what was given."""
    wanted = one_line(start)
    if not is_entry(wanted) or len(wanted) < options.SHORTEST_ENTRY:
        return start
    found = {one.id for one in _candidates(desk) if one.id.startswith(wanted)}
    return found.pop() if len(found) == 1 else start


def left(entry: Entry, now: int) -> str:
    """The way back of an entry in words, with how long it is open."""
    said, time = way_back(entry, now), time_left(entry, now)
    return said if time is None else f"{said}, {time}"


def show_change(plan: UndoPlan) -> None:
    """What somebody changed since, by path: before, after and now."""
    for step in plan.steps:
        if step.conflict:
            put(Text(), line(f"{step.entry.id} changed since", "bold yellow"))
            table = listing("path", "before", "after", "now")
            print_rows(table, (_changed(change) for change in step.conflict))


@dataclass(frozen=True, slots=True, kw_only=True)
class _Wanted:
    """What is to be undone."""

    entry: str | None
    since: str | None
    thread: str | None
    only_dependents: bool

    def plan(self, desk: Desk) -> UndoPlan:
        return desk.undo_plan(
            self.entry,
            since=self.since,
            thread=self.thread,
            only_dependents=self.only_dependents,
        )

    def run(self, desk: Desk, *, reason: str, force: bool) -> UndoRun:
        """Undo it; what another process carries out is waited for."""
        from signoff.client.waiting import followed  # noqa: PLC0415 - HTTP costs time

        ended = followed(partial(self._once, desk, reason, force=force), desk.entry)
        at = ended.stopped_at
        if self.entry and at and at.state is EntryState.DONE and at.diff:
            raise UndoConflict(at.id, at.diff)
        return ended

    def _once(self, desk: Desk, reason: str, *, force: bool) -> UndoRun:
        if self.thread is not None:
            return desk.undo_thread(self.thread, reason=reason, force=force)
        if self.since is not None:
            return desk.undo_since(
                self.since,
                reason=reason,
                force=force,
                only_dependents=self.only_dependents,
            )
        from signoff.client.waiting import why_not  # noqa: PLC0415 - HTTP costs time

        ended = desk.undo_action(self.entry or "", reason=reason, force=force)
        if ended.state is EntryState.UNDONE:
            return UndoRun(done=(ended,))
        return UndoRun(done=(), stopped_at=ended, why=why_not(ended))


def _stops(plan: UndoPlan) -> bool:
    return len(plan.reach) < len(plan.steps)


def _ask(desk: Desk, plan: UndoPlan, *, yes: bool, quiet: bool) -> None:
    if yes or plan.steps == ():
        return
    if quiet or not is_interactive():
        raise Refused(
            "nobody can be asked here: look with --dry-run, then send it with --yes."
        )
    _show(desk, plan, as_json=False)
    if not confirm("\nUndo this?"):
        say("Nothing was undone.")
        raise typer.Exit(ExitCode.PROBLEMS)


def _show(desk: Desk, plan: UndoPlan, *, as_json: bool) -> None:
    if as_json:
        print_json({"plan": plan_json(plan)})
        return
    if plan.steps == ():
        say("There is nothing to undo.")
        return
    now = desk.now()
    table = _whole(
        listing("", "entry", "what would be undone", "its way back", "in the way")
    )
    rows = enumerate(plan.steps, start=1)
    print_rows(table, (_planned(number, step, now) for number, step in rows))
    show_change(plan)
    reach, all_of = len(plan.reach), len(plan.steps)
    stopped = "" if reach == all_of else "; something is in the way of the rest"
    say(f"\n{reach} of {all_of} would be undone, in this order{stopped}.")


def _told(desk: Desk, run: UndoRun, *, as_json: bool) -> None:
    if as_json:
        print_json({"undo": run_json(run)})
    else:
        _say_run(run, desk.now())
    if run.stopped_at is not None:
        raise typer.Exit(ExitCode.PROBLEMS)


def _say_run(run: UndoRun, now: int) -> None:
    for entry in run.done:
        put(line(f"undone: {what_ran(entry)}: {label_of(entry)}", "green"))
    if run.done == () and run.stopped_at is None:
        say("There was nothing to undo.")
    if run.stopped_at is None:
        return
    entry = run.stopped_at
    if entry.state is EntryState.UNDOING:
        waits = f"It waits for a process that has the undo of {entry.tool}"
        put(line(f"undoing: {what_ran(entry)}", "cyan"))
        say(one_line(f"{waits}: signoff journal --thread {entry.thread}"))
    else:
        put(
            line(f"not undone: {what_ran(entry)}: {run.why or left(entry, now)}", "red")
        )
    for one in run.left:
        put(line(f"not tried: {what_ran(one)}", "dim"))


def _candidates(desk: Desk) -> Iterable[Entry]:
    yield from desk.open_windows(limit=MOST)
    for state in _OPEN:
        yield from desk.journal(state=state, limit=MOST)


def _whole(table: Table) -> Table:
    """With ids that are never broken, so that they can be copied."""
    for column in table.columns:
        column.no_wrap = column.header == "entry"
    return table


def _planned(number: int, step: PlannedUndo, now: int) -> Iterable[Text]:
    entry = step.entry
    return (
        Text(str(number), "dim"),
        Text(entry.id, "cyan"),
        line(headline(entry.tool, entry.args or {})),
        line(left(entry, now) if step.barrier is None else NEVER),
        _in_the_way(step),
    )


def _in_the_way(step: PlannedUndo) -> Text:
    if step.barrier is not None:
        return line(step.barrier, "red")
    needs = ", ".join(
        f"{d.entry.id} {'probably ' if d.how is Dependence.PROBABLE else ''}needs it"
        for d in step.dependents
    )
    if needs:
        return line(needs, "red")
    if step.conflict:
        return line(f"changed since: {', '.join(c.path for c in step.conflict)}", "red")
    return Text("is looked at then" if step.conflict is None else "nothing", "dim")


def _changed(change: Change) -> Iterable[Text]:
    values = (change.before, change.after, change.now)
    shown = (
        line("—") if v == ABSENT else cut(json.dumps(v), full=False) for v in values
    )
    return (line(change.path, "bold"), *shown)


def _row(entry: Entry, now: int) -> Iterable[Text]:
    when = entry.started_at if entry.finished_at is None else entry.finished_at
    return (
        Text(entry.id, "cyan"),
        line(what_ran(entry)),
        line(entry.thread),
        Text(ago(when, now)),
        Text(entry.state.value, _STYLES.get(entry.state, "")),
        line(left(entry, now)),
    )


def what_ran(entry: Entry) -> str:
    """The call on one line."""
    return entry.tool if entry.args is None else headline(entry.tool, entry.args)
