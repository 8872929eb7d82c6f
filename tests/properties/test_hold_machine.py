"""Held calls, people, timers, new policies and late clocks, in any order: I4, I5, I7.

What was sent is counted outside of a real Signoff with two processes, and held against
what the journal says after every step.
"""

from collections import Counter
from functools import partial
from pathlib import Path

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import initialize, invariant, precondition, rule

from signoff import (
    Action,
    Approve,
    Context,
    Policy,
    Principal,
    Reject,
    deny,
    hold,
    review,
)
from signoff.domain.errors import (
    AlreadyDecided,
    EntryNotFound,
    HeldIsAsked,
    HoldOver,
    NotAllowed,
    Paused,
)
from signoff.domain.journal import Entry, EntryState
from signoff.domain.policy import Ruling
from signoff.domain.principals import PrincipalKind
from signoff.service.holds import Held, Ran
from tests.postgres import Databases
from tests.properties.machines import Machine, run_on, run_on_sqlite

ANN = Principal(id="ann", groups=frozenset({"desk"}))
EVE = Principal(id="eve")
BOT = Principal(id="bot", kind=PrincipalKind.AGENT, groups=frozenset({"desk"}))
TERMS = {"undoers": ["desk"], "reviewers": ["desk"]}
RULES = [hold("send", window="10m", max_late="1h", **TERMS)]  # type: ignore[arg-type]
LATEST = 3_600_000_000
POLICIES = {
    "hold": Policy(RULES),
    "review": Policy([review("send", reviewers=["desk"])]),
    "deny": Policy([deny("send")]),
}
OVER = {EntryState.DONE, EntryState.CANCELLED}
REFUSED = (EntryNotFound, HeldIsAsked, HoldOver, NotAllowed, Paused)


class Outbox(Machine):
    """Everybody who can move a held call."""

    def __init__(self) -> None:
        super().__init__(RULES, lease="1m")
        self.sent = Counter[str]()
        self.early, self.refused = set[str](), set[str]()
        self.untimely = list[str]()
        self.verdict, self.raises, self.count = "hold", False, 0
        self.over: dict[str, EntryState] = {}
        for so in self.processes:
            so.directory = "open"
            held = Held(tool="send", run=self.send, agent="clerk", rule=self.ruled)
            so.add_held(held)

    def ruled(self, action: Action) -> Ruling:
        return POLICIES[self.verdict].decide(action)

    def send(self, entry: Entry) -> Ran:
        self.sent[entry.id] += 1
        now = self.so.now()
        due = entry.commit_at or 0
        if entry.id not in self.early and not due <= now <= due + LATEST:
            self.untimely.append(entry.id)
        if self.raises:
            raise ConnectionError("down")
        return Ran(summary="sent", result=b"")

    def entries(self) -> list[Entry]:
        return list(self.so.journal())

    def pick(self, data: st.DataObject) -> Entry:
        """An entry; four times of five one that is held."""
        held = list(self.so.journal(state=EntryState.HELD))
        if held != [] and data.draw(st.integers(0, 4)) > 0:
            return data.draw(st.sampled_from(held))
        return data.draw(st.sampled_from(self.entries()))

    @initialize()
    def first(self) -> None:
        self.queue()

    @rule()
    def queue(self) -> None:
        self.count += 1
        action = Action(
            # A thread each: what was cancelled asks again in its own thread.
            context=Context(thread=f"t{self.count}", agent="clerk"),
            message_id="m",
            call_id=str(self.count),
            tool="send",
            args={"to": str(self.count)},
        )
        parked = [one.begin_held(action) for one in self.processes]
        assert [one is None for one in parked] == [False, True]  # I5: one claim

    @rule(
        data=st.data(),
        by=st.sampled_from([ANN, ANN, EVE, BOT]),
        who=st.integers(0, 1),
        raises=st.sampled_from([False, False, True]),
    )
    def somebody_sends_it_now(
        self, data: st.DataObject, by: Principal, who: int, *, raises: bool
    ) -> None:
        entry, self.raises = self.pick(data), raises
        if by is ANN:
            self.early.add(entry.id)
        before = self.sent[entry.id]
        try:
            self.processes[who].release(entry.id, by=by)
        except REFUSED:
            assert self.sent[entry.id] == before
            if by is ANN:
                return
        assert by is ANN or self.sent[entry.id] == before

    @rule(data=st.data(), by=st.sampled_from([ANN, ANN, EVE]), who=st.integers(0, 1))
    def somebody_cancels_it(self, data: st.DataObject, by: Principal, who: int) -> None:
        entry = self.pick(data)
        try:
            ended = self.processes[who].cancel_held(entry.id, by=by, reason="no")
        except REFUSED:
            assert by is EVE or entry.state is not EntryState.HELD
        else:
            assert by is ANN
            assert ended.state is EntryState.CANCELLED

    @rule(data=st.data(), agent=st.sampled_from(["clerk", "another"]))
    def the_agent_cancels_it(self, data: st.DataObject, agent: str) -> None:
        entry = self.pick(data)
        try:
            self.so.cancel_own(entry.id, thread=entry.thread, agent=agent)
        except REFUSED:
            assert agent == "another" or entry.state is not EntryState.HELD
        else:
            assert agent == "clerk"

    def anything_asked(self) -> bool:
        return self.so.count() > 0

    @precondition(anything_asked)
    @rule(data=st.data(), yes=st.booleans())
    def people_decide(self, data: st.DataObject, *, yes: bool) -> None:
        request = data.draw(st.sampled_from(self.so.pending().requests))
        entry = self.so.entry_of(request)
        said = Approve() if yes else Reject(reason="no")
        try:
            self.so.decide(request.id, said, by=ANN, digest=request.digest)
        except AlreadyDecided:
            return
        if entry is not None:
            (self.early if yes else self.refused).add(entry.id)

    @rule(verdict=st.sampled_from(["hold", "hold", "review", "deny"]))
    def policy_changes(self, verdict: str) -> None:
        self.verdict = verdict

    @rule(span=st.sampled_from(["2m", "11m", "3h"]))
    def time_passes_unseen(self, span: str) -> None:
        self.clock.advance(span)

    @rule(
        span=st.sampled_from(["1s", "2m", "11m"]),
        who=st.integers(0, 1),
        raises=st.sampled_from([False, False, True]),
    )
    def time_passes(self, span: str, who: int, *, raises: bool) -> None:
        self.clock.advance(span)
        self.raises = raises
        for _ in range(20):
            if not self.processes[who].run_due():
                break
        else:
            raise AssertionError("there is always more to do")
        now = self.so.now()
        for entry in self.so.journal(state=EntryState.HELD):
            assert entry.commit_at is None or entry.commit_at > now - 1_000_000

    @invariant()
    def the_journal_tells_what_was_sent(self) -> None:
        """I5: each at most once, and what was cancelled or waits never."""
        states = {
            0: {EntryState.HELD, EntryState.CANCELLED},
            1: {EntryState.DONE, EntryState.UNKNOWN},
        }
        for entry in self.entries():
            assert entry.state in states[self.sent[entry.id]], entry
        assert all(self.sent[entry] == 0 for entry in self.refused)

    @invariant()
    def it_is_sent_in_time_unless_people_let_it(self) -> None:
        """I7: not before its moment, and not later than its rule allows."""
        assert self.untimely == []

    @invariant()
    def what_is_over_stays(self) -> None:
        """I4: one end each."""
        for entry in self.entries():
            if entry.id in self.over:
                assert entry.state is self.over[entry.id]
            elif entry.state in OVER:
                self.over[entry.id] = entry.state


@pytest.mark.row("I4", "I5", "I7", "C6")
@pytest.mark.slow
@pytest.mark.timeout(300)
def test_invariants_of_held_calls_on_sqlite(sqlite_template: Path) -> None:
    run_on_sqlite(Outbox, sqlite_template, examples=40, steps=30)


@pytest.mark.row("I4", "I5", "I7", "C6")
@pytest.mark.slow
@pytest.mark.timeout(300)
def test_invariants_of_held_calls_on_postgresql(
    postgres: Databases, postgres_template: str
) -> None:
    fresh = partial(postgres.fresh, template=postgres_template)
    run_on(Outbox, fresh, examples=10, steps=25)
