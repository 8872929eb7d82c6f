"""Policies in the ledger: which was in use since when, by whom, and what changed."""

from __future__ import annotations

import os
import re
import socket
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from signoff.domain.errors import PolicyNotFound
from signoff.domain.ledger import Break, Event, Fact
from signoff.domain.policy import Policy
from signoff.domain.policy_changes import (
    Published,
    Recorded,
    changes,
    read_change,
    version_of,
)
from signoff.ports import Reading, Store, Writing

CHAIN: Final = "signoff:policies"
PUBLISHED: Final = "policy_published"
IN_PYTHON: Final = "python"
_START: Final = re.compile("[0-9a-f]+")


def publish(store: Store, policy: Policy) -> None:
    """Record a policy that is in use, so that edits are judged by it.

    A file's policy is also recorded when the file comes back to an older version:
    the last one that the ledger has of a file is what it said last.
    """
    rules = [rule.describe() for rule in policy.rules]
    with store.writing(CHAIN) as tx:
        new = tx.add_policy(policy.version, rules)
        before = _before(tx, policy.source)
        if new or (policy.source is not None and before != policy.version):
            tx.record(_fact(tx, policy, rules, before))


def log(reading: Reading, limit: int) -> Sequence[Published]:
    """The policies that came into use, the newest first."""
    events = reading.latest_events(CHAIN, limit)
    return [_published(event) for event in events if event.fact.kind == PUBLISHED]


def find(reading: Reading, start: str) -> Recorded:
    """The one recorded version that starts like this.

    Raises:
        PolicyNotFound: None does, or several do.
    """
    known = _START.fullmatch(start) is not None
    found = reading.policies_like(start) if known else ()
    rules = reading.policy(found[0]) if len(found) == 1 else None
    if rules is None:
        raise PolicyNotFound(start)
    return Recorded(version=found[0], rules=tuple(rules))


def contradictions(reading: Reading, events: Sequence[Event]) -> Iterator[Break]:
    """Policies whose rules aren't those that the ledger saw published."""
    told = {e.fact.subject: e for e in events if e.fact.kind == PUBLISHED}
    kept = dict(reading.policies())
    for version in sorted(told.keys() | kept.keys()):
        problem = _problem(told.get(version), kept.get(version), version)
        if problem is not None:
            seq = told[version].seq if version in told else 0
            yield Break(thread=CHAIN, seq=seq, problem=f"policy {version} {problem}")


def process_name() -> str:
    """This process, as the ledger names it."""
    return f"{socket.gethostname()}/{os.getpid()}"


def _before(tx: Writing, source: str | None) -> str | None:
    if source is None:
        return None
    last = tx.last_event(CHAIN, kind=PUBLISHED, channel=source)
    return None if last is None else last.fact.subject


def _fact(
    tx: Writing,
    policy: Policy,
    rules: Sequence[Mapping[str, Any]],
    previous: str | None,
) -> Fact:
    old = None if previous is None else tx.policy(previous)
    changed = None if old is None else [c.describe() for c in changes(old, rules)]
    return Fact(
        kind=PUBLISHED,
        subject=policy.version,
        actor=process_name(),
        channel=IN_PYTHON if policy.source is None else policy.source,
        body={"rules": rules, "previous": previous, "changes": changed},
    )


def _published(event: Event) -> Published:
    fact = event.fact
    changed = fact.body.get("changes")
    return Published(
        version=fact.subject,
        at=event.at,
        by=fact.actor,
        source=fact.channel,
        previous=fact.body.get("previous"),
        rules=len(fact.body["rules"]),
        changes=None if changed is None else tuple(map(read_change, changed)),
    )


def _problem(
    event: Event | None, kept: Sequence[Mapping[str, Any]] | None, version: str
) -> str | None:
    if event is None:
        return "is in the table, but the ledger never saw it published"
    if kept is None:
        return "was published, but the table lost it"
    if version_of(kept) != version or event.fact.body["rules"] != kept:
        return "has other rules in the table than the ledger saw published"
    return None
