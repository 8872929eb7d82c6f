"""The composition root: the one place that knows every part."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from functools import cached_property

from signoff.aio import AsyncApprovals
from signoff.clock import Clock
from signoff.domain.duration import duration
from signoff.domain.policy import Policy
from signoff.domain.rules import Rule
from signoff.service import Approvals
from signoff.service.acting import DEFAULT_LEASE
from signoff.service.reach import Directory, read_directory
from signoff.storage import open_store


class Signoff(Approvals):
    """signoff on a database, with a policy.

    Args:
        url: `sqlite:///signoff.db` or `postgresql://user@host/name`. The schema is
            brought up to date; several processes may do so at once.
        policy: The rules; None asks about every call, and an edit is judged by the
            policy under which its request was made.
        lease: How long a worker may stay silent before its call counts as lost.
        directory: Who is known. `tokens`: everybody with a token, so that reviewers who
            could never suffice are refused when asked. `open`: the application vouches
            for people without tokens too, so that a request only says so.
        clock: For tests that move time.

    Raises:
        InvalidSetting: The address is no store's, or there is no such directory.
        StorageUnavailable: The database can't be opened.
        SchemaTooNew: A newer signoff migrated it.
    """

    def __init__(
        self,
        url: str,
        *,
        policy: Policy | Sequence[Rule] | None = None,
        lease: str | timedelta = DEFAULT_LEASE,
        directory: Directory | str = "tokens",
        clock: Clock | None = None,
    ) -> None:
        rules = (
            policy if policy is None or isinstance(policy, Policy) else Policy(policy)
        )
        known = read_directory(directory)
        super().__init__(
            open_store(url, clock=clock),
            policy=rules,
            lease=duration(lease, name="lease"),
            directory=known,
        )

    @cached_property
    def aio(self) -> AsyncApprovals:
        """The same methods for async callers."""
        return AsyncApprovals(self)
