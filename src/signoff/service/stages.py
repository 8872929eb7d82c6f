"""The stages of a thread: declared once, kept as they end, shown to people."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from signoff.domain.ledger import Fact
from signoff.domain.stages import Kept, Stage, progress, value_digest
from signoff.ports import Store

OUTLINE: Final = "stages"
"""What the ledger's event of an outline is about: the thread's stages as a whole."""


def declare(store: Store, thread: str, names: Sequence[str]) -> None:
    """Record which stages a thread has; again only if the application changed them."""
    with store.reading() as reading:
        if reading.outline(thread) == tuple(names):
            return
    with store.writing(thread) as tx:
        if tx.set_outline(names):
            body = {"stages": list(names)}
            tx.record(Fact(kind="outlined", subject=OUTLINE, body=body))


def keep(store: Store, kept_id: str, thread: str, name: str, value: object) -> Kept:
    """Keep a stage's work, once; what was kept before stays and is returned."""
    digest = value_digest(value)
    with store.writing(thread) as tx:
        made = Kept(
            id=kept_id,
            thread=thread,
            name=name,
            value=value,
            digest=digest,
            at=tx.now(),
        )
        if tx.keep(made):
            body = {"stage": name, "digest": digest}
            tx.record(Fact(kind="kept", subject=kept_id, body=body))
        found = tx.kept(kept_id)
    if found is None:
        raise AssertionError("what was inserted is gone within one transaction")
    return found


def stages(store: Store, thread: str) -> tuple[Stage, ...]:
    """Where each stage of a thread stands."""
    with store.snapshot() as reading:
        return progress(
            reading.outline(thread),
            reading.kept_of_thread(thread),
            reading.requests_of_thread(thread),
        )
