"""People stop things and let them go on. Nothing is denied; deadlines stand still."""

from __future__ import annotations

import logging
import secrets
from typing import Final

from signoff.domain.actions import check_texts
from signoff.domain.errors import (
    AlreadyLifted,
    PauseNotFound,
    StorageUnavailable,
    WorldError,
)
from signoff.domain.ledger import Fact
from signoff.domain.pauses import (
    PAUSES_CHAIN,
    Pause,
    check_may_lift,
    check_may_pause,
    check_scope,
    covering,
    names,
)
from signoff.domain.principals import Principal
from signoff.ports import Stalled, Store, Writing
from signoff.service.decide import check_principal

log: Final = logging.getLogger("signoff")

PATIENCE_S: Final = 2.0
LIFT_PATIENCE_S: Final = 10.0
FREED_AT_ONCE: Final = 100


def pause(
    store: Store,
    *,
    by: Principal,
    agent: str | None,
    thread: str | None,
    tool: str | None,
    reason: str | None,
) -> Pause:
    """Stop what is named, or everything; it holds from the first commit on.

    Raises:
        NotAuthenticated, NotAllowed: Agents don't pause.
        InvalidSetting: A name is empty.
    """
    check_principal(by)
    check_may_pause(by)
    named = {"agent": agent, "thread": thread, "tool": tool}
    check_scope(named)
    check_texts({**named, "reason": reason})
    with store.writing(PAUSES_CHAIN) as tx:
        # A worker that hangs in a transaction must not keep anybody from stopping it.
        if not tx.alone(patience_s=PATIENCE_S):
            log.warning("a move is still under way; the pause doesn't wait for it")
        made = Pause(
            id=f"pau_{secrets.token_hex(5)}",
            agent=agent,
            thread=thread,
            tool=tool,
            reason=reason,
            paused_by=by.id,
            paused_at=tx.now(),
        )
        tx.add_pause(made)
        tx.record(_fact("paused", made, by, {**named, "reason": reason}))
    _freeze(store)
    return made


def lift(store: Store, pause_id: str, *, by: Principal) -> Pause:
    """Let go on what one pause stopped, unless another one stops it too.

    Deadlines move, and what waited may go on, in this one transaction; the threads'
    own wake-ups follow, each in its thread's, and a sweep writes those that a crash
    left out.

    Raises:
        NotAuthenticated, NotAllowed: Only people lift.
        PauseNotFound: There is none.
        AlreadyLifted: Somebody did.
    """
    check_principal(by)
    check_may_lift(by)
    check_texts({"pause": pause_id})
    with store.writing(PAUSES_CHAIN) as tx:
        if not tx.alone(patience_s=LIFT_PATIENCE_S):
            raise StorageUnavailable(
                store.url, "a worker hangs in a transaction; nothing was lifted"
            )
        return _lift(tx, pause_id, by)


def wake_freed(store: Store, limit: int = FREED_AT_ONCE) -> int:
    """Wake the threads whose calls may go on. Returns how many."""
    with store.reading() as reading:
        threads = reading.freed(limit)
    return sum(1 for thread in threads if _wake(store, thread))


def stall(store: Store, call: Stalled) -> tuple[Pause, ...]:
    """Note that a call waits, so that lifting wakes its thread.

    Returns:
        The pauses that cover it; none if it may go on.
    """
    with store.writing(call.thread) as tx:
        found = covering(tx.pauses(), call.agent, call.thread, call.tool)
        if found == () or not tx.add_stalled(call, found[0]):
            return found
        body = {"tool": call.tool, "pauses": names(found)}
        tx.record(
            Fact(kind="stalled", subject=call.action_id, actor=call.agent, body=body)
        )
        return found


def _freeze(store: Store) -> None:
    """Stop the deadlines; what this leaves out is frozen before it could expire."""
    try:
        with store.writing(PAUSES_CHAIN) as tx:
            tx.alone(patience_s=PATIENCE_S)
            for one in tx.pauses():
                tx.freeze_within(one)
    except WorldError as error:
        log.warning("deadlines are frozen as they come up: %s", error)


def _lift(tx: Writing, pause_id: str, by: Principal) -> Pause:
    found = tx.find_pause(pause_id)
    if found is None:
        raise PauseNotFound(pause_id)
    active = tx.pauses()
    for one in active:
        tx.freeze_within(one)
    if not tx.lift_pause(found, by.id):
        raise AlreadyLifted(pause_id, found.lifted_by, found.lifted_at)
    others = [one for one in active if one.id != pause_id]
    moved = tx.thaw_without(others)
    freed = tx.hand_over(found, others)
    tx.record(_fact("lifted", found, by, {"requests": moved, "calls": freed}))
    return tx.find_pause(pause_id) or found


def _wake(store: Store, thread: str) -> bool:
    with store.writing(thread) as tx:
        freed = tx.take_freed()
        for call in freed:
            tx.record(
                Fact(kind="freed", subject=call.action_id, body={"tool": call.tool})
            )
            tx.wake(call.agent)
        return freed != []


def _fact(kind: str, about: Pause, by: Principal, body: dict[str, object]) -> Fact:
    return Fact(kind=kind, subject=about.id, actor=by.id, channel=by.channel, body=body)
