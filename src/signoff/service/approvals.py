"""The use cases, as one object: what an application, a server and a runner hold."""

from __future__ import annotations

import atexit
import logging
import os
import re
import socket
import threading
import weakref
from collections.abc import Sequence
from datetime import timedelta
from functools import partial
from typing import Final

from signoff.domain.actions import Action
from signoff.domain.duration import microseconds
from signoff.domain.errors import RequestNotFound, WorldError
from signoff.domain.journal import Entry, EntryState, entry_id
from signoff.domain.ledger import Event
from signoff.domain.policy import Policy, Ruling, Verdict, deny, read_rule
from signoff.domain.principals import Principal, PrincipalKind, Token
from signoff.domain.requests import Decision, Edit, Request, Vote
from signoff.ports import Filter, KnownTool, Page, Store, Wakeup
from signoff.service import decide as deciding
from signoff.service import execute, propose, tokens
from signoff.service.audit import Audit, audit
from signoff.service.bell import Bell
from signoff.service.propose import Asked, Standing
from signoff.service.pulse import Pulse
from signoff.service.recorder import Recorder

log: Final = logging.getLogger("signoff")

POLICY_CHAIN: Final = "signoff:policies"
TOOLS_CHAIN: Final = "signoff:tools"
DEFAULT_LEASE: Final = timedelta(seconds=30)


class Approvals:
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
    ) -> None:
        self.store = store
        self.policy = policy
        self.bell = Bell()
        lease_us = microseconds(lease)
        worker = f"{socket.gethostname()}/{os.getpid()}"
        self._worker = execute.Worker(name=worker, lease=lease_us)
        self._pulse = Pulse(store, lease_us)
        self._recorder = Recorder(store)
        self._known = threading.Lock()
        self._seen: set[tuple[str, str]] = set()
        self._policies: dict[str, Policy] = {}
        self._at_exit = partial(_write_the_rest, weakref.ref(self._recorder))
        atexit.register(self._at_exit)
        # Not at exit: a collector may run this anywhere, so it must not wait.
        weakref.finalize(self, _let_go, self._recorder, self._pulse).atexit = False

    # What an agent's process does.

    def rule(self, action: Action) -> Ruling:
        """The verdict of this process's policy. Nothing is recorded."""
        return (_NO_RULES if self.policy is None else self.policy).decide(action)

    def allowed(self, action: Action, ruling: Ruling) -> None:
        """Record an allowed call, in batches, behind the call's back.

        Raises:
            PayloadRefused: The arguments aren't exact JSON.
        """
        if ruling.rule.record:
            self._recorder.add(action, ruling)

    def standing(self, action_id: str) -> Standing | None:
        """Where an action stands, or None if it was never recorded."""
        return propose.standing(self.store, action_id)

    def propose(
        self, action: Action, asked: Asked, *, ruling: Ruling | None = None
    ) -> Standing:
        """Give an action its verdict, once, and make its request if it needs one.

        The same action, re-executed, finds what was recorded: the verdict is never
        evaluated again.

        A `ruling` is the verdict of the caller's own policy, instead of this one's.

        Raises:
            PayloadRefused: The arguments aren't exact JSON; nothing runs.
            StorageUnavailable: Nothing could be recorded; nothing runs.
        """
        found = self.standing(action.id)
        if found is None:
            fresh = self.rule(action) if ruling is None else ruling
            return self._first(action, fresh, asked)
        if self._lapsed(found):
            fresh = self.rule(action) if ruling is None else ruling
            return self._ask(action, fresh, asked)
        return found

    def begin(self, request: Request) -> Entry | None:
        """Claim an approved call; None means that somebody else has it.

        Raises:
            DigestMismatch: What is stored isn't what was approved; nothing runs.
        """
        entry = execute.begin(self.store, request, self._worker)
        if entry is not None:
            self._pulse.hold(entry)
            self.bell.ring()
        return entry

    def begin_allowed(self, action: Action) -> Entry | None:
        """Claim a call that needs no approval but may be re-executed."""
        entry = execute.begin_allowed(self.store, action, self._worker)
        if entry is not None:
            self._pulse.hold(entry)
        return entry

    def begin_again(self, entry: Entry, *, raised: bool = False) -> Entry | None:
        """Claim another attempt of a call, or go on with a suspended one.

        With `raised` the caller saw the last attempt raise and tries again on purpose.

        Raises:
            AttemptsExhausted: The approval doesn't cover another.
        """
        again = execute.begin_again(self.store, entry, self._worker, raised=raised)
        if again is not None:
            self._pulse.hold(again)
        return again

    def finish(
        self, entry: Entry, move: str, *, result: bytes | None, summary: str
    ) -> bool:
        """Record how an attempt ended: `finish`, `fail`, `lose` or `suspend`.

        False: a later attempt has the entry (fenced), or the store is down; then the
        lease runs out and the outcome counts as unknown.
        """
        self._pulse.release(entry)
        try:
            return execute.finish(
                self.store, entry, move, result=result, summary=summary
            )
        except WorldError:
            log.exception("the result of %s could not be recorded", entry.id)
            return False
        finally:
            self.bell.ring()

    def look_again(self, entry: Entry) -> Entry:
        """A running entry as it is now; unknown if its worker went silent."""
        return execute.lose_lapsed(self.store, entry)

    def know_tools(self, tools: Sequence[KnownTool]) -> None:
        """Remember which tools an agent has; each is written once per process."""
        new = [tool for tool in tools if (tool.agent, tool.name) not in self._seen]
        if not new:
            return
        with self._known, self.store.writing(TOOLS_CHAIN) as tx:
            tx.add_tools(new)
        self._seen.update((tool.agent, tool.name) for tool in new)

    # What people do.

    def decide(
        self, request_id: str, decision: Decision, *, by: Principal, digest: str | None
    ) -> Request:
        """Take one person's decision; `digest` is that of what they were shown.

        Returns:
            The request as it stands now: settled, or still gathering approvals.

        Raises:
            NotAuthenticated, RequestNotFound, NotAllowed, DecisionNotOffered: Refused.
            DigestMismatch: It asks something else now; look again.
            InvalidEdit: The edit fits neither tool nor policy; the request waits on.
            AlreadyDecided: Somebody else, or the deadline, was faster.
        """
        ballot = deciding.Ballot(decision=decision, by=by, digest=digest)
        policy = _NO_RULES
        if isinstance(decision, Edit):
            policy = self._policy_for(request_id)
            if policy is self.policy:
                self.publish(policy)  # the edited request names it
        settled = deciding.decide(self.store, policy, request_id, ballot)
        self.bell.ring()
        return settled

    def cancel(self, request_id: str, *, by: Principal, reason: str) -> Request:
        """Withdraw a request; it never runs.

        Raises:
            RequestNotFound, AlreadyDecided: There is nothing to withdraw.
            NotAllowed: It is neither theirs nor theirs to decide.
        """
        cancelled = deciding.cancel(self.store, request_id, by=by, reason=reason)
        self.bell.ring()
        return cancelled

    def settle(
        self, entry: str, *, happened: bool, note: str = "", by: Principal
    ) -> Entry:
        """Say how an unknown outcome ended; the thread goes on with that.

        Raises:
            EntryNotFound, CannotSettle, NotAllowed: Refused; nothing changed.
        """
        settled = execute.settle_entry(
            self.store, entry, happened=happened, note=note, by=by
        )
        self.bell.ring()
        return settled

    # What people look at.

    def get(self, request_id: str) -> Request:
        """One request.

        Raises:
            RequestNotFound: There is none.
        """
        with self.store.reading() as reading:
            request = reading.request(request_id)
        if request is None:
            raise RequestNotFound(request_id)
        return request

    def find(self, start: str) -> Request:
        """The one request whose id starts like this.

        Raises:
            RequestNotFound: None does, or several do.
        """
        if _START.fullmatch(start) is None:
            raise RequestNotFound(start)
        with self.store.reading() as reading:
            found = reading.requests_like(
                start if start.startswith("req_") else f"req_{start}"
            )
        return self.get(found[0] if len(found) == 1 else start)

    def pending(self, wanted: Filter | None = None) -> Page:
        """A page of requests; by default those that wait, the most urgent first."""
        with self.store.reading() as reading:
            return reading.page(Filter() if wanted is None else wanted)

    def count(self, wanted: Filter | None = None) -> int:
        """How many requests match."""
        with self.store.reading() as reading:
            return reading.count(Filter() if wanted is None else wanted)

    def votes(self, request_id: str) -> Sequence[Vote]:
        """What was said on a request so far, oldest first."""
        with self.store.reading() as reading:
            return reading.votes(request_id)

    def history(self, request_id: str) -> Sequence[Event]:
        """Everything that happened about a request and its effect, oldest first."""
        request = self.get(request_id)
        about = (request.id, request.action_id, entry_id(request.action_id))
        with self.store.reading() as reading:
            return reading.events_about(request.thread, about)

    def entry_of(self, request: Request) -> Entry | None:
        """The journal's entry of a request's action, if it ever ran."""
        with self.store.reading() as reading:
            return reading.entry(entry_id(request.action_id))

    def journal(
        self,
        *,
        thread: str | None = None,
        state: EntryState | None = None,
        limit: int = 100,
    ) -> Sequence[Entry]:
        """Entries of the journal, oldest first."""
        with self.store.reading() as reading:
            return reading.entries(thread=thread, state=state, limit=limit)

    def thread(self, thread: str) -> Sequence[Request]:
        """Every request of a thread, oldest first."""
        with self.store.reading() as reading:
            return reading.requests_of_thread(thread)

    def tools(self, agent: str | None = None) -> Sequence[KnownTool]:
        """The tools that agents were seen to have."""
        with self.store.reading() as reading:
            return reading.tools(agent)

    def now(self) -> int:
        """The database's clock, microseconds since 1970 UTC."""
        with self.store.reading() as reading:
            return reading.now()

    def changed(self) -> int:
        """Grows whenever a request is made or changes, in any process."""
        with self.store.reading() as reading:
            return reading.changed()

    def audit(self) -> Audit:
        """Check the ledger, and the tables against it."""
        self._recorder.flush()
        return audit(self.store)

    # Identities.

    def authenticate(self, secret: str | None, *, channel: str) -> Principal:
        """Who a token stands for.

        Raises:
            NotAuthenticated: No token, or one that is unknown, expired or revoked.
        """
        return tokens.authenticate(self.store, secret, channel=channel)

    def create_token(
        self,
        principal: str,
        *,
        kind: PrincipalKind = PrincipalKind.PERSON,
        groups: Sequence[str] = (),
        expires_in: timedelta | None = None,
        by: str | None = None,
    ) -> tuple[Token, str]:
        """Make a token; the secret is returned this once."""
        return tokens.create_token(
            self.store,
            principal,
            kind=kind,
            groups=groups,
            expires_in=expires_in,
            by=by,
        )

    def revoke_token(self, token_id: str, *, by: str | None = None) -> None:
        """End a token at once."""
        tokens.revoke_token(self.store, token_id, by=by)

    def tokens(self) -> Sequence[Token]:
        """Every token ever made, without its secret."""
        with self.store.reading() as reading:
            return reading.tokens()

    # Upkeep.

    def expire_due(self) -> int:
        """Settle the requests whose deadline has passed. Returns how many."""
        expired = deciding.expire_due(self.store)
        if expired:
            self.bell.ring()
        return expired

    def wakeups(self, agent: str | None = None) -> Sequence[Wakeup]:
        """Threads that can go on, oldest first."""
        with self.store.reading() as reading:
            return reading.wakeups(agent)

    def done_waking(self, wakeup: Wakeup) -> None:
        """Forget a wake-up, unless a new reason has come since."""
        self.store.done_waking(wakeup)

    def flush(self) -> None:
        """Write the allowed calls that are still queued."""
        self._recorder.flush()

    def close(self) -> None:
        """Write what is queued and close the connections."""
        self._pulse.stop()
        atexit.unregister(self._at_exit)
        self._recorder.stop()
        self.store.close()

    def _lapsed(self, found: Standing) -> bool:
        if found.request is None or found.request.valid_until is None:
            return False
        return propose.lapsed(found, self.now())

    def _first(self, action: Action, ruling: Ruling, asked: Asked) -> Standing:
        if ruling.verdict is Verdict.ALLOW:
            self.allowed(action, ruling)
            return Standing(verdict=ruling.verdict, ruling=ruling)
        if ruling.verdict is Verdict.DENY:
            propose.refuse(self.store, action, ruling)
            return Standing(verdict=ruling.verdict, ruling=ruling)
        return self._ask(action, ruling, asked)

    def _ask(self, action: Action, ruling: Ruling, asked: Asked) -> Standing:
        if self.policy is not None:
            self.publish(self.policy)
        request = propose.ask(self.store, action, ruling, asked)
        self.bell.ring()
        return Standing(verdict=Verdict.REVIEW, request=request, ruling=ruling)

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
            return _NO_RULES if version == _NO_RULES.version else _UNRECORDED
        return Policy([read_rule(rule) for rule in rules])


_START: Final = re.compile(r"(req_)?[0-9a-f]+")
_NO_RULES: Final = Policy([])
_UNRECORDED: Final = Policy(
    [deny("*", reason="its policy was never recorded here, so no edit can be judged")]
)


def _let_go(recorder: Recorder, pulse: Pulse) -> None:
    pulse.stop()
    recorder.let_go()


def _write_the_rest(reference: weakref.ref[Recorder]) -> None:
    recorder = reference()
    if recorder is None:
        return
    try:
        recorder.stop()
    except WorldError:
        log.exception("some allowed calls could not be recorded")
