"""The kill switch: what people stop, and what an agent's process sees of it."""

from __future__ import annotations

from collections.abc import Sequence

from signoff.domain.actions import Action
from signoff.domain.pauses import Pause, covering
from signoff.domain.principals import Principal
from signoff.ports import Stalled
from signoff.service import pauses
from signoff.service.core import Core


class Pausing(Core):
    """The use cases of pauses."""

    def pause(
        self,
        *,
        by: Principal,
        agent: str | None = None,
        thread: str | None = None,
        tool: str | None = None,
        reason: str | None = None,
    ) -> Pause:
        """Stop an agent, a thread, tools of a name, or everything, at the next action.

        What is named must all match; `tool` is a glob. Every process holds what is
        covered within one second, approved calls at once. Deadlines stand still.

        Raises:
            NotAuthenticated, NotAllowed: People and services pause, agents don't.
            InvalidSetting: A name is empty.
        """
        made = pauses.pause(
            self.store, by=by, agent=agent, thread=thread, tool=tool, reason=reason
        )
        self._changed_pauses()
        return made

    def lift(self, pause_id: str, *, by: Principal) -> Pause:
        """Let go on what a pause stopped, unless another one stops it too.

        Deadlines move by the time that they stood still, and the threads that came to
        wait are woken.

        Raises:
            NotAuthenticated, NotAllowed: Only people lift.
            PauseNotFound, AlreadyLifted: There is nothing to lift.
        """
        lifted = pauses.lift(self.store, pause_id, by=by)
        self._changed_pauses()
        while pauses.wake_freed(self.store) > 0:
            self.bell.ring()
        return lifted

    def pauses(self, *, active: bool = True) -> Sequence[Pause]:
        """The pauses that hold, or all there ever were, oldest first."""
        with self.store.reading() as reading:
            return reading.pauses(active=active)

    def stalled(self) -> int:
        """How many calls wait for a pause to be lifted."""
        with self.store.reading() as reading:
            return reading.stalled()

    def known_pauses(self, action: Action) -> tuple[Pause, ...] | None:
        """The pauses that cover an action, as this process knows; None: it must look.

        Nothing is read: what is known is at most a second old.
        """
        known = self._watch.known()
        if known is None or known == ():
            return known
        context = action.context
        return covering(known, context.agent, context.thread, action.tool)

    def pauses_on(self, action: Action) -> tuple[Pause, ...]:
        """The pauses that cover an action, as the store says now.

        Raises:
            StorageUnavailable: Nobody knows, so it must not run.
        """
        context = action.context
        return covering(self._watch.look(), context.agent, context.thread, action.tool)

    def stall(self, action: Action, tool: str | None = None) -> tuple[Pause, ...]:
        """Record that an action waits for a pause; `tool` is the one it would run.

        Returns:
            The pauses that cover it; none if it may go on.
        """
        call = Stalled(
            action_id=action.id,
            thread=action.context.thread,
            agent=action.context.agent,
            tool=action.tool if tool is None else tool,
        )
        found = pauses.stall(self.store, call)
        if found == ():
            self._watch.forget()
        return found

    def _changed_pauses(self) -> None:
        self._watch.forget()
        self.bell.ring()
