"""The use cases, as one object: what an application, a server and a runner hold."""

from __future__ import annotations

import atexit
import logging
import weakref
from datetime import timedelta
from functools import partial
from typing import Final

from signoff.domain.errors import WorldError
from signoff.domain.journal import Entry, is_entry
from signoff.domain.policy import Policy
from signoff.domain.principals import Principal
from signoff.domain.requests import Request
from signoff.ports import Calendars, Store
from signoff.service.acting import DEFAULT_LEASE
from signoff.service.agreeing import Agreeing
from signoff.service.answering import Answering
from signoff.service.audit import Audit, audit
from signoff.service.holding import PATIENCE_S
from signoff.service.identities import Identities
from signoff.service.looking import Looking
from signoff.service.operating import Operating
from signoff.service.pausing import Pausing
from signoff.service.pulse import Pulse
from signoff.service.reach import Directory
from signoff.service.recorder import Recorder
from signoff.service.staging import Staging
from signoff.service.telling import Telling
from signoff.service.upkeep import Upkeep
from signoff.service.watch import Watch

log: Final = logging.getLogger("signoff")


class Approvals(
    Answering,
    Agreeing,
    Looking,
    Identities,
    Operating,
    Staging,
    Telling,
    Pausing,
    Upkeep,
):
    """Everything that signoff does, synchronous; `aio` has the same for async callers.

    Attributes:
        policy: The rules of this process, or None where it only decides and shows.
        bell: Rings in this process when a request was made or settled.
    """

    def __init__(
        self,
        store: Store,
        *,
        policy: Policy | None = None,
        lease: timedelta = DEFAULT_LEASE,
        directory: Directory = "tokens",
        calendars: Calendars | None = None,
    ) -> None:
        super().__init__(
            store, policy=policy, lease=lease, directory=directory, calendars=calendars
        )
        self._at_exit = partial(_write_the_rest, weakref.ref(self._recorder))
        atexit.register(self._at_exit)
        # Not at exit: a collector may run this anywhere, so it must not wait.
        parts = self._recorder, self._pulse, self._desk.pulse, self._watch
        weakref.finalize(self, _let_go, *parts).atexit = False

    def cancel(self, name: str, *, by: Principal, reason: str = "") -> Request | Entry:
        """Withdraw a request, or cancel a held call by its entry: it never runs.

        Raises:
            RequestNotFound, EntryNotFound, NotAuthenticated, NotAllowed: Refused.
            AlreadyDecided, HoldOver: There is nothing to cancel any more.
        """
        if is_entry(name):
            return self.cancel_held(name, by=by, reason=reason)
        return self.cancel_request(name, by=by, reason=reason)

    def audit(self) -> Audit:
        """Check the ledger, and the tables against it."""
        self._recorder.flush()
        return audit(self.store)

    def close(self) -> None:
        """Write what is queued and close the connections."""
        self.holds.wait(PATIENCE_S)
        self._pulse.stop()
        self._desk.pulse.stop()
        self._watch.stop()
        atexit.unregister(self._at_exit)
        self._recorder.stop()
        self.store.close()


def _let_go(recorder: Recorder, pulse: Pulse, undoing: Pulse, watch: Watch) -> None:
    pulse.stop()
    undoing.stop()
    watch.let_go()
    recorder.let_go()


def _write_the_rest(reference: weakref.ref[Recorder]) -> None:
    recorder = reference()
    if recorder is None:
        return
    try:
        recorder.stop()
    except WorldError:
        log.exception("some allowed calls could not be recorded")
