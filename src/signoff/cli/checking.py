"""`signoff audit verify` and `signoff policy check`."""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Iterable, Iterator, Mapping
from collections.abc import Set as AbstractSet
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from signoff.cli import options
from signoff.cli.desk import Desk, opened, settings_with, sqlite_file
from signoff.cli.exits import ExitCode, Refused
from signoff.cli.findings import Finding, findings
from signoff.cli.screen import line, print_json, put, say
from signoff.cli.telling import check_channels
from signoff.domain.errors import NotAllowed, PolicyError, SignoffError
from signoff.domain.principals import PrincipalKind, Token

if TYPE_CHECKING:
    from signoff.domain.policy import Policy


def audit_verify(
    *,
    as_json: options.Json = False,
    store: options.Store = None,
    token_file: options.TokenFile = None,
) -> None:
    """Check every event of the ledger, and the requests against it."""
    with opened(store, token_file) as desk:
        say("Checking every thread's chain of events...")
        audit = desk.audit()
    if as_json:
        breaks = [
            {"thread": b.thread, "seq": b.seq, "problem": b.problem}
            for b in audit.breaks
        ]
        counts = {"threads": audit.threads, "events": audit.events}
        print_json({"holds": audit.holds, **counts, "breaks": breaks})
    else:
        for found in audit.breaks:
            place = f"thread {found.thread}, event {found.seq}"
            put(line(f"{place}: {found.problem}", "red"), soft_wrap=True)
        checked = f"{audit.events:,} events in {audit.threads:,} chains"
        ended = "all hold" if audit.holds else f"{len(audit.breaks)} break(s)"
        put(line(f"{checked}: {ended}."))
    if not audit.holds:
        raise typer.Exit(ExitCode.PROBLEMS)


def policy_check(  # noqa: PLR0913 - each parameter is an option of the command
    file: Annotated[Path, typer.Argument(metavar="FILE", help="The policy, in TOML.")],
    *,
    tools: Annotated[
        list[str] | None,
        typer.Option(
            metavar="MODULE:ATTR",
            help="Where the agent's tools are listed in Python. Repeatable.",
        ),
    ] = None,
    tool: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME", help="A tool that there is. Repeatable."),
    ] = None,
    strict: Annotated[
        bool, typer.Option("--strict", help="A warning counts as a problem.")
    ] = False,
    as_json: options.Json = False,
    store: options.Store = None,
    token_file: options.TokenFile = None,
) -> None:
    """Check a policy file: its form, tools that don't exist, rules never reached.

    Its channels are checked too, but for their secrets. The tools are those of --tools
    and --tool; without them, those that agents were seen to have, if there is a store.
    """
    from signoff.domain.policy import Policy  # noqa: PLC0415 - CEL costs 0.4 s

    named = {*(tool or ()), *(name for place in tools or () for name in _listed(place))}
    given = bool(tools or tool)
    try:
        checked = Policy.load(file)
        check_channels(file)
    except PolicyError as error:
        _report(file, None, [_failure(error)], as_json=as_json, strict=strict)
        return
    seen, people = _known(store, token_file, needed=not given)
    known = named if given else seen
    found = findings(file, checked, known, complete=given, people=people)
    _report(file, checked, found, as_json=as_json, strict=strict)


def _report(
    file: Path,
    policy: Policy | None,
    found: Iterable[Finding],
    *,
    as_json: bool,
    strict: bool,
) -> None:
    found = sorted(found, key=lambda finding: finding.line or 0)
    failed = any(strict or finding.level == "error" for finding in found)
    if as_json:
        print_json(_document(file, policy, found, ok=not failed))
    else:
        for finding in found:
            style = "red" if finding.level == "error" else "yellow"
            put(line(finding.text(file), style), soft_wrap=True)
        if policy is not None and not failed:
            text = f"{file}: ok, {len(policy.rules)} rules, version {policy.version}"
            put(line(text, "green"), soft_wrap=True)
    if failed:
        raise typer.Exit(ExitCode.PROBLEMS)


def _document(
    file: Path, policy: Policy | None, found: Iterable[Finding], *, ok: bool
) -> Mapping[str, Any]:
    return {
        "file": str(file),
        "ok": ok,
        "rules": None if policy is None else len(policy.rules),
        "version": None if policy is None else policy.version,
        "findings": [
            {
                "level": finding.level,
                "line": finding.line,
                "problem": finding.problem,
                "suggestion": finding.suggestion,
            }
            for finding in found
        ],
    }


def _failure(error: PolicyError) -> Finding:
    return Finding(
        level="error",
        line=error.line,
        problem=error.problem,
        suggestion=error.suggestion,
    )


def _known(
    store: str | None, token_file: Path | None, *, needed: bool
) -> tuple[set[str], AbstractSet[str] | None]:
    """The tools and the people that the store knows; none if there is no store.

    Raises:
        SignoffError: The store can't be asked, and the tools are `needed` from it.
    """
    file = sqlite_file(settings_with(None, None).store)
    if store is None and file is not None and not file.exists():
        return set(), None
    try:
        with opened(store, token_file) as desk:
            return {known.name for known in desk.tools()}, _people(desk)
    except SignoffError as error:
        if needed:
            raise
        say(f"The store wasn't asked who could answer: {error}")
        return set(), None


def _people(desk: Desk) -> AbstractSet[str] | None:
    """Names and groups of everybody whose token works; None if we may not know."""
    try:
        tokens, now = desk.tokens(), desk.now()
    except NotAllowed:
        return None
    people = [
        token
        for token in tokens
        if token.kind is PrincipalKind.PERSON and _lives(token, now)
    ]
    groups = {group for token in people for group in token.groups}
    return {token.principal for token in people} | groups


def _lives(token: Token, now: int) -> bool:
    return token.revoked_at is None and (
        token.expires_at is None or token.expires_at > now
    )


def _listed(place: str) -> Iterator[str]:
    """The names of the tools that a Python module lists.

    Raises:
        Refused: There is no such module or list, or it holds something else.
    """
    module, colon, attribute = place.partition(":")
    if colon == "":
        raise Refused(f"--tools {place!r} isn't MODULE:ATTR, such as app.agent:TOOLS.")
    found = _imported(module, attribute, place)
    for item in found.values() if isinstance(found, Mapping) else found:
        name = item if isinstance(item, str) else getattr(item, "name", None)
        name = getattr(item, "__name__", None) if name is None else name
        if not isinstance(name, str):
            raise Refused(f"--tools {place}: {item!r} is no tool and no name.")
        yield name


def _imported(module: str, attribute: str, place: str) -> Iterable[object]:
    if os.getcwd() not in sys.path:  # noqa: PTH109 - sys.path holds texts
        sys.path.insert(0, os.getcwd())  # noqa: PTH109 - as above
    try:
        found: Iterable[object] = getattr(importlib.import_module(module), attribute)
        iter(found)
    except Exception as error:
        kind = type(error).__name__
        raise Refused(f"--tools {place} can't be read: {kind}: {error}.") from error
    return found
