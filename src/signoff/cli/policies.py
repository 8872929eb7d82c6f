"""`signoff policy schema`, `log`, `diff` and `simulate`."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.text import Text

from signoff.cli import options
from signoff.cli.describe import moment
from signoff.cli.desk import opened
from signoff.cli.operating import span
from signoff.cli.screen import line, listing, literal, print_json, print_rows, put, say

if TYPE_CHECKING:
    from signoff.domain.policy_changes import Change, Published, Recorded
    from signoff.domain.simulation import Move, Simulation, ToolMoves

Since = Annotated[
    str, typer.Option(metavar="SPAN", help="How far back, such as 30d or 12h.")
]
Agent = Annotated[
    str | None, typer.Option(metavar="NAME", help="Only this agent's calls.")
]
_SHOWN_TOOLS = 30


def policy_schema() -> None:
    """Print the JSON Schema of a policy file, for editors."""
    from signoff.domain import policy_schema as made  # noqa: PLC0415 - CEL costs 0.4 s

    print_json(made.policy_schema())


def policy_log(
    *,
    limit: Annotated[
        int, typer.Option(min=1, max=1000, help="How many, the newest first.")
    ] = 20,
    as_json: options.Json = False,
    store: options.Store = None,
    token_file: options.TokenFile = None,
) -> None:
    """List the policies that came into use: when, by which process, what changed."""
    with opened(store, token_file) as desk:
        found = desk.policy_log(limit=limit)
    if as_json:
        print_json({"policies": [_published_json(one) for one in found]})
    elif len(found) == 0:
        say("No policy was recorded yet: an agent's process records it at its start.")
    else:
        for row in (row for published in found for row in _published(published)):
            put(row, soft_wrap=True)


def policy_diff(
    old: Annotated[
        str, typer.Argument(metavar="OLD", help="A file, or how a version begins.")
    ],
    new: Annotated[str, typer.Argument(metavar="NEW", help="As OLD.")],
    *,
    as_json: options.Json = False,
    store: options.Store = None,
    token_file: options.TokenFile = None,
) -> None:
    """Say what differs between two policies, rule by rule.

    What is a file's name is read from the file; anything else is the start of a
    recorded version.
    """
    from signoff.domain.policy_changes import changes  # noqa: PLC0415 - CEL costs 0.4 s

    was, now = _recorded([old, new], store, token_file)
    found = changes(was.rules, now.rules)
    if as_json:
        told = [change.describe() for change in found]
        print_json({"old": was.version, "new": now.version, "changes": told})
        return
    if found == ():
        put(Text(f"{was.version} and {now.version} say the same."))
    for change in found:
        put(_change(change), soft_wrap=True)


def policy_simulate(  # noqa: PLR0913 - each parameter is an option of the command
    file: Annotated[Path, typer.Argument(metavar="NEW", help="The policy to try.")],
    *,
    since: Since = "30d",
    agent: Agent = None,
    seconds: Annotated[
        float | None,
        typer.Option(
            "--seconds-per-decision",
            metavar="SECONDS",
            help="What one decision costs a person; else as measured.",
        ),
    ] = None,
    examples: Annotated[
        int, typer.Option(min=0, max=20, help="Calls to show of each change.")
    ] = 3,
    as_json: options.Json = False,
    store: options.Store = None,
    token_file: options.TokenFile = None,
) -> None:
    """Replay the recorded calls against another policy. Changes nothing.

    It prints what would have been asked, allowed and denied, and how many minutes of
    people's time that is.
    """
    from signoff.domain.policy import Policy  # noqa: PLC0415 - CEL costs 0.4 s

    back = span(since, "--since")
    policy = Policy.load(file)
    with opened(store, token_file) as desk:
        say("Replaying what was recorded...")
        found = desk.simulate(
            policy,
            since=back,
            agent=agent,
            seconds_per_decision=seconds,
            examples=examples,
        )
    if as_json:
        print_json(_simulation_json(file, found))
    else:
        _print_simulation(file, found)


def _recorded(
    names: Sequence[str], store: str | None, token_file: Path | None
) -> list[Recorded]:
    """The rules of files and of recorded versions; a store is opened if need be."""
    if all(_is_file(name) for name in names):
        return [_of_file(Path(name)) for name in names]
    with opened(store, token_file) as desk:
        return [
            _of_file(Path(name)) if _is_file(name) else desk.policy_version(name)
            for name in names
        ]


def _is_file(name: str) -> bool:
    return name.endswith(".toml") or "/" in name or Path(name).is_file()


def _of_file(file: Path) -> Recorded:
    from signoff.domain.policy import Policy  # noqa: PLC0415 - CEL costs 0.4 s
    from signoff.domain.policy_changes import Recorded  # noqa: PLC0415 - as above

    policy = Policy.load(file)
    rules = tuple(rule.describe() for rule in policy.rules)
    return Recorded(version=policy.version, rules=rules)


def _published(one: Published) -> Iterator[Text]:
    yield line(f"{one.version}  {moment(one.at)}  {one.source or 'python'}", "bold")
    yield line(f"  by {one.by or 'signoff'}, {one.rules} rules", "dim")
    if one.previous is None:
        yield Text("  the first that was recorded of it", "dim")
        return
    yield Text(f"  before: {one.previous}", "dim")
    for change in one.changes or ():
        yield Text("  ").append_text(_change(change))


def _published_json(one: Published) -> dict[str, Any]:
    told = None if one.changes is None else [c.describe() for c in one.changes]
    return {**asdict(one), "changes": told}


def _change(change: Change) -> Text:
    styles = {"added": "green", "removed": "red", "changed": "yellow"}
    return line(change.text(), styles.get(change.kind.value, "cyan"))


def _simulation_json(file: Path, found: Simulation) -> dict[str, Any]:
    return {"file": str(file), **asdict(found)}


def _print_simulation(file: Path, found: Simulation) -> None:
    calls = f"{found.calls:,} recorded calls" + (
        "" if found.agent is None else f" of {found.agent}"
    )
    times = f"{moment(found.since)} to {moment(found.until)}"
    put(line(f"{file}, version {found.version}: {calls}, {times}"), soft_wrap=True)
    put(Text())
    print_rows(listing("verdict", "before", "after"), _verdicts(found))
    if found.tools != ():
        put(Text())
        headings = ("tool", "calls", "was -> now", "decisions", "minutes", "each")
        shown = found.tools[:_SHOWN_TOOLS]
        print_rows(listing(*headings), map(_tool_row, shown))
        if len(found.tools) > _SHOWN_TOOLS:
            more = len(found.tools) - _SHOWN_TOOLS
            put(Text(f"and {more} more tools: --json shows all", "dim"))
    for part in _examples(found):
        put(part, soft_wrap=True)
    for note in _notes(found):
        put(line(note, "dim"), soft_wrap=True)


def _verdicts(found: Simulation) -> Iterator[Iterable[Text]]:
    for verdict, before in found.verdicts_before.items():
        after = found.verdicts_after[verdict]
        style = "" if before == after else "bold"
        yield Text(verdict), Text(f"{before:,}"), Text(f"{after:,}", style)
    effort = (found.before, found.after)
    yield Text("decisions of people"), *(Text(f"{e.decisions:,}") for e in effort)
    yield Text("minutes of people"), *(Text(f"{e.minutes:,.1f}") for e in effort)


def _tool_row(tool: ToolMoves) -> Iterable[Text]:
    moves = [_move(move) for move in tool.moves]
    return (
        line("all other tools" if tool.tool is None else tool.tool, "bold"),
        Text(f"{tool.calls:,}"),
        Text("\n").join(moves),
        Text(f"{tool.before.decisions:,} -> {tool.after.decisions:,}"),
        Text(f"{tool.before.minutes:,.1f} -> {tool.after.minutes:,.1f}"),
        Text(f"{tool.seconds:,.1f} s, {_MEASURED[tool.measured.value]}", "dim"),
    )


def _move(move: Move) -> Text:
    if not move.changes:
        return Text(f"{move.was} as before {move.calls:,}", "dim")
    return Text(f"{move.was} -> {move.now} {move.calls:,}", "yellow")


def _examples(found: Simulation) -> Iterator[Text]:
    for tool in found.tools:
        for move in tool.moves:
            if move.examples == ():
                continue
            name = "another tool" if tool.tool is None else tool.tool
            yield Text()
            yield line(f"{name}: {move.was} -> {move.now}, such as", "bold")
            for example in move.examples:
                where = f"  {moment(example.at)}, thread {example.thread}: "
                text = line(where, "dim").append_text(literal(example.args))
                yield text.append_text(line(f"  by {example.rule}", "dim"))
                if example.error is not None:
                    yield line(f"    {example.error}", "yellow")


def _notes(found: Simulation) -> Iterator[str]:
    yield ""
    yield (
        "Minutes are decisions times the median from asked to decided, so waiting is "
        "in them; --seconds-per-decision says otherwise."
    )
    yield (
        "reversible and hold are asked about where no undo or timer is there, "
        "so they count as one decision each."
    )
    if found.failed:
        yield f"On {found.failed:,} calls a condition fails, so they would be asked."
    if found.gates:
        yield f"{found.gates:,} gates aren't counted: they ask under any policy."
    if found.unreadable:
        yield f"{found.unreadable:,} calls can't be read any more, so nobody can say."
    if found.untraced != ():
        names = ", ".join(found.untraced)
        yield f"Not in these numbers, because record = false leaves no trace: {names}"


_MEASURED = {
    "tool": "measured of this tool",
    "all": "measured of all tools",
    "default": "assumed",
    "given": "given",
}
