"""What every group of use cases stands on: the store, the policy, the bell."""

from __future__ import annotations

from typing import Final

from signoff.domain.policy import Policy
from signoff.domain.policy_changes import version_of
from signoff.domain.rules import deny, read_rule
from signoff.ports import Calendars, Store
from signoff.service import policies, propose
from signoff.service.bell import Bell
from signoff.service.holds import Holds
from signoff.service.reach import Directory
from signoff.service.undos import Undos
from signoff.service.watch import Watch


class Core:
    """The parts that the use cases share.

    Attributes:
        calendars: The working hours that rules name.
        policy: The rules of this process, or None where it only decides and shows.
        directory: Who is known: everybody with a token, or also people without one.
        bell: Rings in this process when something changed.
        undos: How this process takes back what tools did.
        holds: The held calls that this process can run.
    """

    def __init__(
        self,
        store: Store,
        *,
        policy: Policy | None = None,
        directory: Directory = "tokens",
        calendars: Calendars | None = None,
    ) -> None:
        for rule in () if policy is None else policy.rules:
            propose.hours_of(rule, calendars)
        self.store = store
        self.policy = policy
        self.directory = directory
        self.calendars = calendars
        self.bell = Bell()
        self.undos = Undos()
        self.holds = Holds()
        self.holds.expect(policy)
        self._watch = Watch(store)
        self._policies: dict[str, Policy] = {}
        self._published: set[tuple[str, str | None]] = set()

    def now(self) -> int:
        """The database's clock, microseconds since 1970 UTC."""
        with self.store.reading() as reading:
            return reading.now()

    def publish(self, policy: Policy) -> None:
        """Record a policy that is in use here, so that edits are judged by it.

        A file's policy is recorded with what changed since the file was loaded last.
        """
        if (policy.version, policy.source) in self._published:
            return
        policies.publish(self.store, policy)
        self._policies[policy.version] = policy
        self._published.add((policy.version, policy.source))

    def _policy_for(self, request_id: str) -> Policy:
        with self.store.reading() as reading:
            request = reading.request(request_id)
            version = "" if request is None else request.policy_version
            if version in self._policies:
                return self._policies[version]
            if self.policy is not None:
                return self.policy
            rules = reading.policy(version)
        if rules is None or version_of(rules) != version:
            return NO_RULES if version == NO_RULES.version else _UNRECORDED
        return Policy([read_rule(rule) for rule in rules])


NO_RULES: Final = Policy([])
_UNRECORDED: Final = Policy(
    [deny("*", reason="its policy was never recorded here, so no edit can be judged")]
)
