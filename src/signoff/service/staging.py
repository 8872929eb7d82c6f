"""The use cases of workflows with stages."""

from __future__ import annotations

from collections.abc import Sequence

from signoff.domain.stages import Kept, Stage
from signoff.service import stages as staged
from signoff.service.core import Core


class Staging(Core):
    """Stages are declared and kept by an agent's process, and looked at by people."""

    def declare_stages(self, thread: str, names: Sequence[str]) -> None:
        """Record which stages a thread has, in order."""
        staged.declare(self.store, thread, names)

    def kept(self, kept_id: str) -> Kept | None:
        """The work of a stage, or None if it was never kept."""
        with self.store.reading() as reading:
            return reading.kept(kept_id)

    def keep(self, kept_id: str, *, thread: str, stage: str, value: object) -> Kept:
        """Keep a stage's work, once; what was kept before stays and is returned.

        Raises:
            PayloadRefused: The value isn't exact JSON; nothing is kept.
        """
        work = staged.keep(self.store, kept_id, thread, stage, value)
        self.bell.ring()
        return work

    def stages(self, thread: str) -> Sequence[Stage]:
        """Where each stage of a thread stands: done, waiting, ahead.

        A thread without declared stages shows its gates; without any, nothing.
        """
        return staged.stages(self.store, thread)
