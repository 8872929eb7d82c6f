"""What a move must heed of the pauses, inside its own transaction.

What is read here holds until the transaction's end: a pause comes before it or after
it, never beside it.
"""

from __future__ import annotations

from collections.abc import Sequence

from signoff.domain.errors import Paused
from signoff.domain.pauses import Pause, covering, names
from signoff.domain.requests import Request
from signoff.ports import Writing


def check_unpaused(
    active: Sequence[Pause],
    agent: str | None,
    thread: str,
    tool: str,
    *,
    asked: str | None = None,
) -> None:
    """Refuse to start a call that one of the pauses covers.

    Raises:
        Paused: It stays as it is, and goes on once the pause is lifted.
    """
    for name in (tool, asked):
        if name is None:
            continue
        if found := covering(active, agent, thread, name):
            raise Paused(name, tuple(names(found)))


def frozen_since(tx: Writing, request: Request) -> int | None:
    """Since when pauses stop this request's deadlines, from its ask on."""
    found = covering(tx.pauses(), request.agent, request.thread, request.tool)
    if found == ():
        return None
    return max(request.asked_at, min(one.paused_at for one in found))


def refit(tx: Writing, request: Request) -> None:
    """After an edit has changed the tool: other pauses may cover the request now."""
    found = covering(tx.pauses(), request.agent, request.thread, request.tool)
    if found == ():
        tx.thaw(request)
    else:
        tx.freeze(request, tx.now())
