"""The composition root: the one place that knows every part."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import timedelta
from functools import cached_property

from signoff.aio import AsyncApprovals
from signoff.calendars import WorkingHours
from signoff.clock import Clock
from signoff.config import read_settings
from signoff.domain.calendars import Calendar
from signoff.domain.duration import duration
from signoff.domain.errors import PolicyError
from signoff.domain.policy import Policy
from signoff.domain.rules import Rule
from signoff.payloads import open_payloads, read_key
from signoff.service import Approvals
from signoff.service.acting import DEFAULT_LEASE
from signoff.service.keeping import Keeping
from signoff.service.reach import Directory, read_directory
from signoff.storage import open_store


class Signoff(Approvals):
    """signoff on a database, with a policy.

    Args:
        url: `sqlite:///signoff.db` or `postgresql://user@host/name`. The schema is
            brought up to date; several processes may do so at once.
        policy: The rules; None asks about every call, and an edit is judged by the
            policy under which its request was made. One that was loaded from a file is
            recorded in the ledger, if the file changed.
        lease: How long a worker may stay silent before its call counts as lost.
        directory: Who is known. `tokens`: everybody with a token, so that reviewers who
            could never suffice are refused when asked. `open`: the application vouches
            for people without tokens too, so that a request only says so.
        clock: For tests that move time.
        calendars: Working hours, by the names that rules give as `hours`; beside
            those of the policy's file.
        payloads: Where that goes which undos need and which is too large for a row: a
            folder, or an address of fsspec such as `s3://bucket/folder`. None is
            `SIGNOFF_PAYLOADS`, or else a folder beside a SQLite file.
        payload_key: What undos need is sealed with it. None is `SIGNOFF_PAYLOAD_KEY`;
            without either it is kept in clear.
        payload_retention: How long it is kept once it can't be used any more.

    Raises:
        InvalidSetting: The address is no store's, there is no such directory, or an
            extra isn't installed.
        PolicyError: A rule names a calendar that isn't there.
        StorageUnavailable: The database can't be opened.
        SchemaTooNew: A newer signoff migrated it.
    """

    def __init__(  # noqa: PLR0913 - each is a setting with a default
        self,
        url: str,
        *,
        policy: Policy | Sequence[Rule] | None = None,
        lease: str | timedelta = DEFAULT_LEASE,
        directory: Directory | str = "tokens",
        clock: Clock | None = None,
        calendars: Mapping[str, Calendar] | None = None,
        payloads: str | None = None,
        payload_key: str | None = None,
        payload_retention: str | timedelta = "1d",
    ) -> None:
        rules = (
            policy if policy is None or isinstance(policy, Policy) else Policy(policy)
        )
        known = read_directory(directory)
        hours = _hours(rules, {} if calendars is None else calendars)
        keeping = _keeping(url, payloads, payload_key, payload_retention)
        store = open_store(url, clock=clock)
        try:
            super().__init__(
                store,
                policy=rules,
                lease=duration(lease, name="lease"),
                directory=known,
                calendars=hours,
            )
        except PolicyError:
            store.close()
            raise
        self.undos.keeping = keeping
        if rules is not None and rules.source is not None:
            self.publish(rules)

    @cached_property
    def aio(self) -> AsyncApprovals:
        """The same methods for async callers."""
        return AsyncApprovals(self)


def _keeping(
    url: str, payloads: str | None, key: str | None, retention: str | timedelta
) -> Keeping:
    settings = read_settings()
    return Keeping(
        payloads=open_payloads(
            settings.payloads if payloads is None else payloads, url
        ),
        seal=read_key(settings.payload_key if key is None else key),
        retention=duration(retention, name="payload_retention"),
    )


def _hours(
    policy: Policy | None, calendars: Mapping[str, Calendar]
) -> WorkingHours | None:
    named = {**({} if policy is None else policy.calendars), **calendars}
    return WorkingHours(named) if named else None
