"""People are told: notices become deliveries, and each delivery is sent once.

A deliverer that dies in the middle leaves a claim whose lease passes; the next one
sends it again under the same id.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import replace
from typing import Final
from urllib.parse import quote

from signoff.domain.effect_notices import as_request
from signoff.domain.errors import (
    CannotRetry,
    DeliveryFailed,
    DeliveryNotFound,
    DeliveryRefused,
    WorldError,
)
from signoff.domain.journal import is_entry
from signoff.domain.notices import (
    SECOND,
    Delivery,
    DeliveryState,
    Known,
    Message,
    Posted,
    invited,
    is_moot,
    pause,
    step,
)
from signoff.domain.requests import Request, Status
from signoff.ports import Channel, Outbox, Outlets, Reading, Store

log: Final = logging.getLogger("signoff")

LEASE: Final = 120 * SECOND
BATCH: Final = 50


def deliver_due(store: Store, outlets: Outlets) -> int:
    """Take in what is new and send what is due, at most `BATCH` a channel.

    A channel that fails rests until the next run: the others don't wait for it.

    Returns:
        How many were sent.
    """
    spread_new(store, outlets.channels)
    return sum(_deliver_over(store, outlets, channel) for channel in outlets.channels)


def next_due(store: Store, channels: Sequence[Channel]) -> int | None:
    """When there is something to deliver, on the database's clock; None: nothing is."""
    if not channels:
        return None
    with store.reading() as reading:
        new = reading.new_notices(1)
        due = [reading.next_delivery(channel.name) for channel in channels]
    times = [posted.at for posted in new] + [at for at in due if at is not None]
    return min(times, default=None)


def spread_new(store: Store, channels: Sequence[Channel]) -> None:
    """Turn new notices into deliveries, the oldest first.

    Without channels nothing is taken: another process may have some. What nobody took
    in time is removed, once its request is settled.
    """
    with store.reading() as reading:
        new = reading.new_notices(BATCH)
        known = _known(reading) if channels and new else None
    if not new:
        return
    if known is not None:
        for posted in new:
            with store.outbox() as tx:
                _spread(tx, posted, channels, known)
    with store.outbox() as tx:
        tx.forget_stale()


def _known(reading: Reading) -> Known:
    now = reading.now()
    delegations = reading.delegations()
    delegates = sorted({one.delegate for one in delegations if one.is_active(now)})
    lent = [(who, one.holder) for who in delegates for one in reading.lent_to(who)]
    return Known(people=reading.people(), lent=lent)


def requeue(store: Store, delivery_id: str) -> Delivery:
    """Let a dead delivery be sent again, with all its attempts.

    Raises:
        DeliveryNotFound, CannotRetry: There is none, or it isn't dead.
    """
    with store.outbox() as tx:
        found = tx.delivery(delivery_id)
        if found is None:
            raise DeliveryNotFound(delivery_id)
        if found.state is not DeliveryState.DEAD or not tx.requeue(found):
            raise CannotRetry(delivery_id, found.state.value)
        return tx.delivery(delivery_id) or found


def _spread(
    tx: Outbox, posted: Posted, channels: Sequence[Channel], known: Known
) -> None:
    if not tx.spread(posted):
        return
    request = subject_of(tx, posted.notice.request_id)
    found = {
        channel: _recipients(tx, posted, request, channel, known)
        for channel in channels
        if request is not None
    }
    if not any(found.values()):
        tx.forget(posted)
    for channel, recipients in found.items():
        if not channel.hears_all and request is not None:
            _drop_moot(tx, posted, request, channel)
        tx.queue(posted, channel.name, recipients)


def _drop_moot(tx: Outbox, posted: Posted, request: Request, channel: Channel) -> None:
    if is_entry(request.id):
        return
    edited = posted.notice.kind == "edited"
    if edited or request.status is not Status.PENDING:
        tx.drop_asked(posted, channel.name)


def _recipients(
    tx: Outbox,
    posted: Posted,
    request: Request | None,
    channel: Channel,
    known: Known,
) -> Sequence[str]:
    notice = posted.notice
    if request is None:
        return ()
    if channel.hears_all:
        return channel.recipients(None)
    if is_moot(notice, request):
        return ()
    if notice.is_settled:
        return tx.told(request.id, channel.name)
    return channel.recipients(invited(notice, request, known))


def _deliver_over(store: Store, outlets: Outlets, channel: Channel) -> int:
    with store.reading() as reading:
        due = reading.due_deliveries(channel.name, BATCH)
    sent = 0
    for delivery in due:
        claimed = _claim(store, delivery)
        if claimed is None:
            continue
        try:
            sent += _deliver(store, outlets, channel, claimed)
        except DeliveryFailed as error:
            _retry(store, channel, claimed, error)
            break
    return sent


def _sent_by(channel: Channel, message: Message) -> str:
    try:
        return channel.send(message)
    except WorldError:
        raise
    except Exception as error:  # a bug in a channel is one channel's failure
        log.exception("channel %s failed at %s", channel.name, message.id)
        raise DeliveryFailed(channel.name, f"a bug: {type(error).__name__}") from error


def _claim(store: Store, delivery: Delivery) -> Delivery | None:
    with store.outbox() as tx:
        if not tx.claim(delivery, LEASE):
            return None
    claimed = step(delivery.state, "claim")
    return replace(delivery, state=claimed, attempts=delivery.attempts + 1)


def _deliver(
    store: Store, outlets: Outlets, channel: Channel, delivery: Delivery
) -> bool:
    if delivery.attempts > channel.attempts:
        _give_up(store, delivery, "whoever tried to send it died each time")
        return False
    message = _message(store, outlets, delivery)
    if message is None or (
        not channel.hears_all and is_moot(message.notice, message.request)
    ):
        with store.outbox() as tx:
            tx.drop(delivery)
        return False
    try:
        reference = _sent_by(channel, message)
    except DeliveryRefused as error:
        _give_up(store, delivery, str(error))
        return False
    with store.outbox() as tx:
        return tx.sent(delivery, reference)


def _message(store: Store, outlets: Outlets, delivery: Delivery) -> Message | None:
    with store.reading() as reading:
        posted = reading.notice(delivery.notice_id)
        request = subject_of(reading, delivery.request_id)
        earlier = tuple(reading.earlier(delivery))
    if posted is None or request is None:
        return None
    request, notice, redacted = outlets.redact(request, posted.notice)
    return Message(
        id=delivery.id,
        recipient=delivery.recipient,
        notice=notice,
        at=posted.at,
        request=request,
        redacted=redacted,
        link=link_to(outlets.base_url, request.id),
        earlier=earlier,
    )


def subject_of(reading: Reading, subject: str) -> Request | None:
    """What a notice is about: a request, or an effect in the shape of one."""
    if not is_entry(subject):
        return reading.request(subject)
    entry = reading.entry(subject)
    return None if entry is None else as_request(entry)


def link_to(base_url: str, subject: str) -> str:
    """Where the inbox shows a request, or where an effect is undone."""
    page = "undo" if is_entry(subject) else "request"
    return f"{base_url.rstrip('/')}/?{page}={quote(subject, safe='')}"


def _retry(
    store: Store, channel: Channel, delivery: Delivery, error: DeliveryFailed
) -> None:
    if delivery.attempts >= channel.attempts:
        _give_up(store, delivery, error.reason)
        return
    wait = pause(delivery.id, delivery.attempts)
    if error.after is not None:
        wait = max(wait, int(error.after * SECOND))
    with store.outbox() as tx:
        tx.failed(delivery, error.reason, wait=wait)
    log.warning("delivery %s waits: %s", delivery.id, error)


def _give_up(store: Store, delivery: Delivery, why: str) -> None:
    with store.outbox() as tx:
        tx.failed(delivery, why, wait=None)
    log.error("delivery %s is dead: %s", delivery.id, why)
