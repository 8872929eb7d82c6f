"""The use cases about telling people."""

from __future__ import annotations

from collections.abc import Sequence

from signoff.domain.notices import Delivery, DeliveryState
from signoff.ports import Outlets
from signoff.service import deliver
from signoff.service.core import Core


class Telling(Core):
    """What a deliverer does, and what an operator asks of it."""

    def deliver_due(self, outlets: Outlets) -> int:
        """Send what is due over these channels. Returns how many were sent."""
        return deliver.deliver_due(self.store, outlets)

    def next_delivery(self, outlets: Outlets) -> int | None:
        """When these channels have something to send, on the database's clock.

        Microseconds since 1970 UTC, maybe in the past; None if nothing is to be sent.
        """
        return deliver.next_due(self.store, outlets.channels)

    def deliveries(
        self, *, state: DeliveryState | None = None, limit: int = 100
    ) -> Sequence[Delivery]:
        """Deliveries, the newest first."""
        with self.store.reading() as reading:
            return reading.deliveries(state=state, limit=limit)

    def retry_delivery(self, delivery_id: str) -> Delivery:
        """Let a dead delivery be sent again, with all its attempts.

        Raises:
            DeliveryNotFound, CannotRetry: There is none, or it isn't dead.
        """
        requeued = deliver.requeue(self.store, delivery_id)
        self.bell.ring()
        return requeued
