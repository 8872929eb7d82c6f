"""The inbox at a million requests: pages of 50 by keyset, first and deep.

The rows are inserted straight into the tables, 100,000 of them pending; what is timed
is the use case that the inbox calls, with the rows read into requests.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any, Final

from sqlalchemy import Connection, text

from benchmarks.filling import NUMBERS, SCATTERED, fill, settle_down
from benchmarks.measure import milliseconds, progress, save, table
from benchmarks.places import DATABASES, place
from signoff import Signoff
from signoff.domain.requests import Status
from signoff.ports import Filter

NAME: Final = "inbox"
REQUESTS: Final = 1_000_000
PENDING: Final = 100_000
REPEATS: Final = 30
DEEP: Final = 20_000
ORDERS: Final = ("deadline", "risk", "newest")
FILTERS: Final[dict[str, dict[str, Any]]] = {
    "none": {},
    "tool": {"tool": "tool_7"},
    "agent": {"agent": "agent_3"},
    "team": {"team": "team_2"},
    "risk": {"risk": "high"},
    "thread": {"thread": "t77"},
    "tool and team": {"tool": "tool_7", "team": "team_2"},
}

_INSERT: Final = """
{numbers}
INSERT INTO requests (id, kind, action_id, ask, thread, agent, user_id, team, tool,
    args, proposed, schema, description, digest, revision, status, risk, risk_rank,
    rule, policy_version, terms, asked_at, expires_at, changed_at, settled_at,
    settled_by, outcome, timeline, level, due_at, shift)
SELECT {id}, 'action', 'act_' || n, 1, 't' || (n % 4999), 'agent_' || (n % 11),
    'user_' || (n % 1000), 'team_' || (n % 7), 'tool_' || (n % 41),
    '{{"amount":' || n || ',"to":"somebody@example.com"}}',
    '{{"tool":"pay","args":{{"amount":' || n || ',"to":"somebody@example.com"}}}}',
    NULL, 'Pay an amount.', 'digest of ' || n, 1,
    CASE WHEN n % 10 = 0 THEN 'pending' ELSE 'approved' END,
    CASE n / 10 % 4 WHEN 0 THEN 'critical' WHEN 1 THEN 'high' WHEN 2 THEN 'medium'
        ELSE 'low' END,
    n / 10 % 4, 'review(pay)', '0123456789abcdef', :terms,
    :now + n, :now + 3600000000 + (n * 7919 % 1000003) * 1000, :now + n,
    CASE WHEN n % 10 = 0 THEN NULL ELSE :now + n END,
    CASE WHEN n % 10 = 0 THEN NULL ELSE 'maria@example.com' END,
    CASE WHEN n % 10 = 0 THEN NULL ELSE '{{"decision":"approve"}}' END,
    '[]', 0, :now + 3600000000 + (n * 7919 % 1000003) * 1000, 0
FROM numbers
"""
_TERMS: Final = (
    '{"approvals":1,"reviewers":null,"decisions":["approve","reject","edit","respond"],'
    '"self_approval":false,"attempts":1,"idempotent":false,"valid_for":null}'
)


def run() -> None:
    """Measure on both databases, print and save."""
    found = {database: _measure(database) for database in DATABASES}
    rows = [
        (what, *(pages[what][depth] for pages in found.values() for depth in _DEPTHS))
        for what in next(iter(found.values()))
    ]
    head = [f"{database}, {depth}" for database in found for depth in _DEPTHS]
    table(("page of 50, ms", *head), rows)
    worst = {database: _worst(pages) for database, pages in found.items()}
    print("worst: " + ", ".join(f"{name} {ms} ms" for name, ms in worst.items()))
    save(
        NAME,
        {
            "requests": REQUESTS,
            "pending": PENDING,
            "page": Filter().limit,
            "deep_page_begins_after": DEEP,
            "worst_ms": worst,
            "medians_ms": found,
        },
    )


_DEPTHS: Final = ("first", "deep")


def _worst(pages: dict[str, dict[str, float | None]]) -> float:
    return max(ms for page in pages.values() for ms in page.values() if ms is not None)


def _measure(database: str) -> dict[str, dict[str, float | None]]:
    with place(database) as here:
        so = Signoff(here.url())
        store: Any = so.store
        progress(f"inbox, {database}: inserting {REQUESTS:,} requests")
        with store.engine.begin() as connection:
            _fill(connection, so.now())
        settle_down(store.engine, "requests")
        found = {what: _pages(so, wanted, what) for what, wanted in _views()}
        progress(f"inbox, {database}: counts")
        found["count of pending"] = _once(so.count)
        found["latest change"] = _once(so.changed)
        so.close()
        return found


def _views() -> Iterator[tuple[str, Filter]]:
    for order in ORDERS:
        for name, conditions in FILTERS.items():
            yield f"{order}, filter: {name}", Filter(order=order, **conditions)
    settled = Filter(order="newest", status=Status.APPROVED)
    yield "newest of the approved", settled
    yield "newest of all", replace(settled, status=None)


def _pages(so: Signoff, wanted: Filter, what: str) -> dict[str, float | None]:
    progress(f"inbox: {what}")
    deep = _after(so, wanted)
    return {
        "first": _timed(lambda: so.pending(wanted)),
        "deep": None if deep is None else _timed(lambda: so.pending(deep)),
    }


def _after(so: Signoff, wanted: Filter) -> Filter | None:
    """The same list further down: half-way where it is shorter than DEEP."""
    cursors: list[str] = []
    page = replace(wanted, limit=200)
    while len(cursors) < DEEP // page.limit:
        following = so.pending(page).next
        if following is None:
            break
        cursors.append(following)
        page = replace(page, cursor=following)
    if cursors == []:
        return None
    full = len(cursors) == DEEP // page.limit
    return replace(wanted, cursor=cursors[-1] if full else cursors[len(cursors) // 2])


def _once(read: Callable[[], object]) -> dict[str, float | None]:
    return {"first": _timed(read), "deep": None}


def _timed(read: Callable[[], object]) -> float:
    took = []
    for _ in range(REPEATS):
        began = time.perf_counter()
        read()
        took.append(time.perf_counter() - began)
    return milliseconds(took)


def _fill(connection: Connection, now: int) -> None:
    dialect = connection.dialect.name
    named = f"'req_' || {SCATTERED[dialect]}"
    insert = _INSERT.format(numbers=NUMBERS[dialect], id=named)
    fill(
        connection,
        "requests",
        insert,
        {"many": REQUESTS, "now": now, "terms": _TERMS},
    )
    found = connection.execute(
        text("SELECT count(*) FROM requests WHERE status = 'pending'")
    ).scalar()
    if found != PENDING:
        raise AssertionError(f"{found} requests are pending, not {PENDING}")
