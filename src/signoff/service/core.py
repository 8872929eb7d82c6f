"""What every group of use cases stands on: the store, the policy, the bell."""

from __future__ import annotations

from typing import Final

from signoff.domain.policy import Policy
from signoff.domain.rules import deny, read_rule
from signoff.ports import Calendars, Store
from signoff.service import propose
from signoff.service.bell import Bell

POLICY_CHAIN: Final = "signoff:policies"


class Core:
    """The parts that the use cases share.

    Attributes:
        calendars: The working hours that rules name.
        policy: The rules of this process, or None where it only decides and shows.
        bell: Rings in this process when something changed.
    """

    def __init__(
        self,
        store: Store,
        *,
        policy: Policy | None = None,
        calendars: Calendars | None = None,
    ) -> None:
        for rule in () if policy is None else policy.rules:
            propose.hours_of(rule, calendars)
        self.store = store
        self.policy = policy
        self.calendars = calendars
        self.bell = Bell()
        self._policies: dict[str, Policy] = {}

    def now(self) -> int:
        """The database's clock, microseconds since 1970 UTC."""
        with self.store.reading() as reading:
            return reading.now()

    def publish(self, policy: Policy) -> None:
        """Record a policy that is in use here, so that edits are judged by it."""
        if policy.version in self._policies:
            return
        rules = [rule.describe() for rule in policy.rules]
        with self.store.writing(POLICY_CHAIN) as tx:
            if tx.add_policy(policy.version, rules):
                tx.record(propose.policy_fact(policy))
        self._policies[policy.version] = policy

    def _policy_for(self, request_id: str) -> Policy:
        with self.store.reading() as reading:
            request = reading.request(request_id)
            version = "" if request is None else request.policy_version
            if version in self._policies:
                return self._policies[version]
            if self.policy is not None:
                return self.policy
            rules = reading.policy(version)
        if rules is None:
            return NO_RULES if version == NO_RULES.version else _UNRECORDED
        return Policy([read_rule(rule) for rule in rules])


NO_RULES: Final = Policy([])
_UNRECORDED: Final = Policy(
    [deny("*", reason="its policy was never recorded here, so no edit can be judged")]
)
