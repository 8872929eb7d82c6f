"""The outbox: notices beside their moves, deliveries claimed one at a time."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from sqlalchemy import (
    BigInteger,
    Connection,
    Select,
    Update,
    UpdateBase,
    delete,
    exists,
    literal_column,
    or_,
    select,
    update,
)

from signoff.domain import notices as life
from signoff.domain.effect_notices import EFFECTS
from signoff.domain.ledger import Fact
from signoff.domain.notices import (
    ASKING,
    STALE,
    Delivery,
    DeliveryState,
    Notice,
    Posted,
)
from signoff.domain.requests import Status
from signoff.storage import rows
from signoff.storage import tables as t
from signoff.storage.outbox_reading import is_behind
from signoff.storage.reading import SqlReading

_QUEUED: Final = DeliveryState.QUEUED.value


class Telling:
    """The notices of one transaction on one thread."""

    _connection: Connection
    _thread: str
    _seq: int
    _now: int
    _facts: list[Fact]

    def tell(self, notice: Notice) -> None:
        # The event that it stands beside; what is recorded later comes after it.
        seq = self._seq + len(self._facts)
        posted = Posted(
            id=life.notice_id(self._thread, seq, notice),
            thread=self._thread,
            seq=seq,
            at=self._now,
            notice=notice,
        )
        self._connection.execute(t.notices.insert(), rows.notice_row(posted))


class SqlOutbox(SqlReading):
    """One transaction of a deliverer. Each move is one conditional statement."""

    def spread(self, posted: Posted) -> bool:
        """Take a notice, unless an earlier one of its request is still to be taken."""
        before = t.notices.alias("before")
        waits = exists().where(
            before.c.request_id == posted.notice.request_id,
            before.c.seq < posted.seq,
            before.c.state == "new",
        )
        columns = t.notices.c
        return self._moved(
            update(t.notices)
            .where(columns.id == posted.id, columns.state == "new", ~waits)
            .values(state="spread")
        )

    def forget(self, posted: Posted) -> None:
        """Remove a notice that went to nobody."""
        self._connection.execute(delete(t.notices).where(t.notices.c.id == posted.id))

    def forget_stale(self) -> int:
        """Remove what nobody took in time, where nobody waits for an answer."""
        result = self._connection.execute(
            delete(t.notices).where(
                t.notices.c.state == "new",
                t.notices.c.at <= self._clock_now() - STALE,
                or_(
                    t.notices.c.request_id.in_(_settled()),
                    t.notices.c.kind.in_(EFFECTS),
                ),
            )
        )
        return int(result.rowcount)

    def queue(self, posted: Posted, channel: str, recipients: Sequence[str]) -> None:
        """Make a notice's deliveries on a channel; they are due at once."""
        now = self.now()
        made = [
            Delivery(
                id=life.delivery_id(posted.id, channel, recipient),
                notice_id=posted.id,
                request_id=posted.notice.request_id,
                kind=posted.notice.kind,
                seq=posted.seq,
                channel=channel,
                recipient=recipient,
                state=DeliveryState.QUEUED,
                attempts=0,
                queued_at=now,
                due_at=now,
            )
            for recipient in dict.fromkeys(recipients)
        ]
        if made:
            added = [rows.delivery_row(delivery) for delivery in made]
            self._connection.execute(t.deliveries.insert(), added)

    def drop_asked(self, posted: Posted, channel: str) -> None:
        """Drop the questions before this notice that a channel hasn't sent yet."""
        columns = t.deliveries.c
        self._connection.execute(
            update(t.deliveries)
            .where(
                columns.request_id == posted.notice.request_id,
                columns.channel == channel,
                columns.kind.in_(ASKING),
                columns.state == _QUEUED,
                columns.seq < posted.seq,
            )
            .values(state=life.step(DeliveryState.QUEUED, "drop").value, due_at=None)
        )

    def claim(self, delivery: Delivery, lease: int) -> bool:
        """Take a delivery that is due: waiting, or left behind by its deliverer."""
        now = literal_column(self._clock, BigInteger)
        return self._moved(
            self._same(delivery)
            .where(t.deliveries.c.due_at <= now, ~is_behind())
            .values(
                state=life.step(delivery.state, "claim").value,
                attempts=delivery.attempts + 1,
                due_at=now + lease,
            )
        )

    def sent(self, delivery: Delivery, reference: str) -> bool:
        """Record that the channel took it."""
        return self._end(delivery, "deliver", sent_at=self.now(), reference=reference)

    def failed(self, delivery: Delivery, error: str, *, wait: int | None) -> bool:
        """Record that it didn't; None as `wait` is for ever."""
        if wait is None:
            return self._end(delivery, "give_up", last_error=error)
        return self._end(delivery, "retry", last_error=error, due_at=self.now() + wait)

    def drop(self, delivery: Delivery) -> bool:
        """Record that it isn't needed any more."""
        return self._end(delivery, "drop")

    def requeue(self, delivery: Delivery) -> bool:
        """Let a dead delivery be sent again, with all its attempts."""
        to = life.step(delivery.state, "requeue").value
        return self._moved(
            self._same(delivery).values(state=to, attempts=0, due_at=self.now())
        )

    def _end(
        self,
        delivery: Delivery,
        move: str,
        *,
        due_at: int | None = None,
        **values: object,
    ) -> bool:
        to = life.step(delivery.state, move).value
        return self._moved(
            self._same(delivery).values(state=to, due_at=due_at, **values)
        )

    def _same(self, delivery: Delivery) -> Update:
        columns = t.deliveries.c
        return update(t.deliveries).where(
            columns.id == delivery.id,
            columns.state == delivery.state.value,
            columns.attempts == delivery.attempts,
        )

    def _moved(self, statement: UpdateBase) -> bool:
        result = self._connection.execute(
            statement, execution_options={"preserve_rowcount": True}
        )
        return bool(result.rowcount == 1)


def _settled() -> Select[tuple[str]]:
    columns = t.requests.c
    return select(columns.id).where(
        columns.id == t.notices.c.request_id, columns.status != Status.PENDING.value
    )
