"""What an operator does with policies: look at their record, try one, take advice."""

from __future__ import annotations

from collections.abc import Sequence

from signoff.domain.policy_changes import Published, Recorded
from signoff.service import policies
from signoff.service.core import Core


class Operating(Core):
    """The use cases of whoever keeps the policy. Nothing here changes anything."""

    def policy_log(self, *, limit: int = 100) -> Sequence[Published]:
        """The policies that came into use, the newest first."""
        with self.store.reading() as reading:
            return policies.log(reading, limit)

    def policy_version(self, start: str) -> Recorded:
        """The one recorded policy whose version starts like this.

        Raises:
            PolicyNotFound: None does, or several do.
        """
        with self.store.reading() as reading:
            return policies.find(reading, start)
