"""Whether enough people could ever approve, as far as that is known."""

from __future__ import annotations

from dataclasses import replace
from typing import Final, Literal, get_args

from signoff.domain.deadlines import Silence
from signoff.domain.errors import InvalidSetting, NobodyCanApprove
from signoff.domain.ledger import Fact
from signoff.domain.requests import Request
from signoff.domain.rules import Rule
from signoff.domain.text import joined
from signoff.domain.voting import shortfall
from signoff.ports import Reading, Writing

Directory = Literal["tokens", "open"]
"""Who is known: everybody with a token that works, or also people without one."""

_DIRECTORIES: Final = get_args(Directory)


def read_directory(value: str) -> Directory:
    """A directory by its name.

    Raises:
        InvalidSetting: There is no such one.
    """
    for known in _DIRECTORIES:
        if value == known:
            return known  # type: ignore[no-any-return]  # of the Literal
    known = ", ".join(_DIRECTORIES)
    raise InvalidSetting("directory", f"must be one of {known}, not {value!r}.")


def check_reach(
    reading: Reading, request: Request, rule: Rule, directory: Directory
) -> Request | NobodyCanApprove:
    """The request, with a note if it isn't known that enough people could approve it.

    Where people have tokens and the directory is these, what they could never meet is
    an error. Who may decide later, by escalation, counts, and so does silence that
    approves.
    """
    if rule.on_expiry is Silence.APPROVE:
        return request
    people = reading.people()
    problem = shortfall(request, people, _later(rule))
    if problem is None or (not people and request.terms.reviewers is None):
        return request
    if people and directory == "tokens":
        return problem
    note = (
        f"needs {problem.needed} approval(s), but only {problem.able} of the people "
        "with a token could give one"
    )
    return replace(request, note=joined(request.note, note))


def refused_fact(tx: Writing, request: Request, problem: NobodyCanApprove) -> None:
    """Record, once, that it was not even asked."""
    body = {
        "tool": request.tool,
        "rule": request.rule,
        "policy": request.policy_version,
        "wanted": problem.wanted,
        "needed": problem.needed,
        "able": problem.able,
    }
    before = tx.events_about(request.thread, (request.action_id,))
    if all(e.fact.kind != "refused" or e.fact.body != body for e in before):
        tx.record(
            Fact(
                kind="refused",
                subject=request.action_id,
                actor=request.agent,
                body=body,
            )
        )


def _later(rule: Rule) -> tuple[str, ...]:
    """Who may decide as well once it was escalated."""
    ladder = [name for rung in rule.ladder for name in rung.to]
    return (*(rule.escalate_to or ()), *ladder)
