"""Which requests to list, and a page of them."""

from __future__ import annotations

from dataclasses import dataclass

from signoff.domain.requests import Request, Status


@dataclass(frozen=True, slots=True, kw_only=True)
class Filter:
    """Which requests to list; None means any.

    Attributes:
        order: `deadline`, `newest` or `risk`.
        cursor: Where the last page ended, from `Page.next`.
        limit: At most 200.
    """

    status: Status | None = Status.PENDING
    thread: str | None = None
    agent: str | None = None
    tool: str | None = None
    team: str | None = None
    risk: str | None = None
    assignee: str | None = None
    order: str = "deadline"
    cursor: str | None = None
    limit: int = 50


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """A page of requests, and the cursor of the next one, if there is one."""

    requests: tuple[Request, ...]
    next: str | None
