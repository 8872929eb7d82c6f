"""What undos needed is removed once it can't be used any more."""

from __future__ import annotations

import logging
from typing import Final

from signoff.domain.duration import microseconds
from signoff.domain.journal import Entry
from signoff.domain.ledger import Fact
from signoff.ports import Store
from signoff.service.keeping import Keeping

log: Final = logging.getLogger("signoff")

BATCH: Final = 100


def purge(store: Store, keeping: Keeping) -> int:
    """Remove what ended entries kept, after the retention. Returns of how many.

    First what is outside of the database, so that a stop in between is made good by
    the next look. A place of payloads that can't be reached holds up no other.
    """
    retention = microseconds(keeping.retention)
    with store.reading() as reading:
        found = reading.purgeable(retention, BATCH)
    return sum(_purged(store, keeping, entry) for entry in found)


def _purged(store: Store, keeping: Keeping, entry: Entry) -> int:
    try:
        keeping.purge(entry.id)
    except Exception:
        log.exception("what %s kept for its undo can't be removed yet", entry.id)
        return 0
    with store.writing(entry.thread) as tx:
        if not tx.purge_entry(entry):
            return 0
        tx.record(Fact(kind="purged", subject=entry.id, body={}))
        return 1
