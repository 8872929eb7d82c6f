"""What an operator does with policies: look at their record, try one, take advice."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta

from signoff.domain.advice import Advice
from signoff.domain.policy import Policy
from signoff.domain.policy_changes import Published, Recorded
from signoff.domain.simulation import Simulation
from signoff.service import advise, policies, simulate
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

    def simulate(
        self,
        policy: Policy,
        *,
        since: timedelta,
        agent: str | None = None,
        seconds_per_decision: float | None = None,
        examples: int = 3,
    ) -> Simulation:
        """What another policy would have said of the calls that were recorded.

        Args:
            policy: The one to try; its conditions in Python are called.
            since: How far back.
            agent: Only this agent's calls.
            seconds_per_decision: What a decision costs a person; None is as measured.
            examples: How many calls to keep of each change of each tool, up to 20.

        Raises:
            InvalidSetting: A number out of range.
        """
        return simulate.simulate(
            self.store,
            simulate.Question(
                policy=policy,
                since=since,
                agent=agent,
                seconds=seconds_per_decision,
                examples=examples,
            ),
        )

    def advise(
        self,
        *,
        since: timedelta,
        agent: str | None = None,
        at_most: float = 0.02,
        least: int = 100,
    ) -> Advice:
        """Moves that the record supports. None is applied.

        Args:
            since: How far back.
            agent: Only this agent's calls.
            at_most: A tool may be asked about less only if, with 95 % confidence,
                people would not have approved at most this share unchanged.
            least: And only with so many decided requests.

        Raises:
            InvalidSetting: A number out of range.
            MissingExtra: scipy isn't installed.
        """
        return advise.advise(
            self.store, since=since, agent=agent, at_most=at_most, least=least
        )
