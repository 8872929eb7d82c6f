"""`signoff advise`: what the record supports, printed and never applied."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Final

import typer
from rich.text import Text

from signoff.cli import options
from signoff.cli.describe import moment
from signoff.cli.desk import opened
from signoff.cli.operating import span
from signoff.cli.policies import Agent, Since
from signoff.cli.screen import line, literal, print_json, put

if TYPE_CHECKING:
    from signoff.domain.advice import Advice, Proposal

_STYLES: Final = {"loosen": "green", "tighten": "red", "repair": "yellow"}


def advise(  # noqa: PLR0913 - each parameter is an option of the command
    *,
    since: Since = "90d",
    agent: Agent = None,
    at_most: Annotated[
        float,
        typer.Option(
            metavar="SHARE",
            help="Ask less only where people would not have approved at most this.",
        ),
    ] = 0.02,
    least: Annotated[
        int, typer.Option(min=1, help="And only with so many decided requests.")
    ] = 100,
    as_json: options.Json = False,
    store: options.Store = None,
    token_file: options.TokenFile = None,
) -> None:
    """Propose rules that the record of decisions supports. Applies nothing."""
    back = span(since, "--since")
    with opened(store, token_file) as desk:
        found = desk.advise(since=back, agent=agent, at_most=at_most, least=least)
    if as_json:
        print_json(asdict(found))
        return
    for part in _parts(found, since):
        put(part, soft_wrap=True)


def _parts(found: Advice, since: str) -> Iterator[Text]:
    times = f"{moment(found.since)} to {moment(found.until)}"
    of = "" if found.agent is None else f" of {found.agent}"
    yield line(f"{found.tools} tools{of}, {times}")
    for proposal in found.proposals:
        yield Text()
        yield from _proposal(proposal)
    if found.proposals == ():
        yield Text(f"No move is proposed: the last {since} support none.")
    for kept in found.kept:
        yield Text()
        yield line(f"keep    {_whose(kept.tool, kept.agent)}", "dim")
        yield line(f"        {kept.why}", "dim")
    yield Text()
    for rule in _limits(found):
        yield Text(rule, "dim")
    yield Text(found.guidance, "dim")


def _proposal(one: Proposal) -> Iterator[Text]:
    head = Text(f"{one.direction.value:<8}", _STYLES[one.direction.value])
    name = "a rule" if one.tool is None else _whose(one.tool, one.agent)
    head.append_text(line(name, "bold"))
    if one.candidate is not None:
        head.append(f", candidate: {one.candidate}")
    yield head
    yield line(f"        {one.evidence}")
    for caution in one.cautions:
        yield line(f"        mind: {caution}", "yellow")
    for row in one.rule.rstrip("\n").split("\n"):
        yield Text("          ").append_text(literal(row, "cyan"))


def _whose(tool: str, agent: str | None) -> str:
    return tool if agent is None else f"{tool} of {agent}"


def _limits(found: Advice) -> Iterator[str]:
    limits = found.limits
    yield (
        f"Asking less is proposed from {limits.least:,} decided requests on, if with "
        f"{limits.confidence:.0%} confidence at most {limits.at_most:.1%} would not "
        "have been approved unchanged (exact, one-sided; silence counts as no)."
    )
