"""Any number of people, workers, crashes and late clocks, in any order.

A model of what may be true runs beside a real Signoff; after every step the rules that
hold always are checked against what the database says.
"""

from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import (
    invariant,
    precondition,
    rule,
)

from signoff import (
    Principal,
    Request,
    Status,
)
from signoff.domain.actions import digest
from signoff.domain.errors import (
    AttemptsExhausted,
    CannotSettle,
    NotAllowed,
)
from signoff.domain.journal import Entry, EntryState
from signoff.domain.principals import PrincipalKind
from signoff.domain.requests import shown
from signoff.domain.timeline import Due
from tests.postgres import Databases
from tests.properties.house import (
    BY_NAME,
    PEOPLE,
)
from tests.properties.machines import run_on, run_on_sqlite
from tests.properties.people import People
from tests.properties.rights import enough, on_what_is_asked


@dataclass
class World:
    """What really happened outside: every effect, with the arguments it had."""

    effects: list[tuple[str, int, object]] = field(default_factory=list)
    held: list[Entry] = field(default_factory=list)


class Desk(People):
    """Everybody who can move a request or an entry."""

    def __init__(self) -> None:
        super().__init__()
        self.world = World()
        self.settled: dict[str, Request] = {}

    def pick_entry(self, data: st.DataObject) -> Entry:
        return data.draw(st.sampled_from(list(self.so.journal())))

    def any_entry(self) -> bool:
        return len(self.so.journal()) > 0

    @rule(span=st.sampled_from(["1m", "20m", "70m"]), sweep=st.booleans())
    def time_passes(self, span: str, *, sweep: bool) -> None:
        self.clock.advance(span)
        if sweep:
            self.processes[1].run_due()
            pending = self.so.pending().requests
            recent = self.so.now() - 60_000_000
            assert all(min(r.expires_at, r.due_at) > recent for r in pending)

    @rule(data=st.data(), who=st.integers(0, 1))
    def begin(self, data: st.DataObject, who: int) -> None:
        request = self.pick(data, Status.APPROVED)
        claims = [self.processes[n].begin(request) for n in (who, 1 - who)]
        assert claims[1] is None  # I5
        entry = claims[0]
        if entry is None:
            return
        assert request.status is Status.APPROVED
        assert digest(shown(request)) in self.digests[request.id]  # I2
        kept = self.so.entry_of(request)
        assert kept is not None  # I3: it is there before anything is done
        assert kept.state is EntryState.RUNNING
        self.world.held.append(entry)

    @rule(data=st.data(), kind=st.sampled_from(["fail", "lose"]))
    def fail_and_try_again(self, data: st.DataObject, kind: str) -> None:
        """The whole way at once, with the first worker coming back from the dead."""
        request = self.pick(data, Status.APPROVED)
        entry = self.so.begin(request)
        if entry is None:
            return
        assert self.so.finish(entry, kind, result=None, summary=kind)
        ended = self.so.entry_of(request)
        assert ended is not None
        try:
            again = self.processes[1].begin_again(ended)
        except AttemptsExhausted:
            return
        assert again is not None
        assert kind == "fail" or again.idempotent  # I5: never a blind retry
        assert not self.so.finish(entry, "finish", result=b"late", summary="late")
        self.world.held.append(again)

    @precondition(lambda self: self.world.held != [])
    @rule(data=st.data(), how=st.sampled_from(["finish", "fail", "lose", "crash"]))
    def work(self, data: st.DataObject, how: str) -> None:
        entry = data.draw(st.sampled_from(self.world.held))
        self.world.held.remove(entry)
        worker = data.draw(st.sampled_from(self.processes))
        request = self.so.get(str(entry.request_id))
        if how != "fail":
            effect = (entry.id, entry.attempt, request.args["amount"])
            self.world.effects.append(effect)
        if how != "crash":
            took = worker.finish(entry, how, result=b"r", summary=how)
            now = self.so.entry_of(request)
            assert now is not None
            assert not took or now.attempt == entry.attempt  # fenced

    @precondition(any_entry)
    @rule(data=st.data(), raised=st.booleans())
    def try_again(self, data: st.DataObject, *, raised: bool) -> None:
        entry = self.pick_entry(data)
        try:
            again = self.processes[1].begin_again(entry, raised=raised)
        except AttemptsExhausted:
            return
        if again is None:
            assert entry.state in {EntryState.RUNNING, EntryState.DONE}
            return
        assert again.attempt == entry.attempt + 1 <= entry.attempts
        if entry.state is EntryState.UNKNOWN and not raised:
            assert entry.idempotent  # I5: never a blind retry
        self.world.held.append(again)

    @precondition(any_entry)
    @rule(data=st.data())
    def look_again(self, data: st.DataObject) -> None:
        entry = self.pick_entry(data)
        after = self.so.look_again(entry)
        if after.state is not entry.state:
            assert entry.state is EntryState.RUNNING
            assert after.state is EntryState.UNKNOWN
            assert entry.lease_until <= self.so.now()

    @precondition(any_entry)
    @rule(data=st.data(), by=st.sampled_from(PEOPLE), happened=st.booleans())
    def settle(self, data: st.DataObject, by: Principal, *, happened: bool) -> None:
        entry = self.pick_entry(data)
        try:
            after = self.so.settle(entry.id, happened=happened, by=by)
        except (CannotSettle, NotAllowed):
            assert self.so.entry_of(self.so.get(str(entry.request_id))) == entry
            return
        assert entry.state is EntryState.UNKNOWN
        assert by.kind is PrincipalKind.PERSON
        assert after.state is (EntryState.DONE if happened else EntryState.FAILED)

    @invariant()
    def effects_are_covered(self) -> None:
        """I2, I5: one effect an attempt, within the attempts, as approved."""
        claimed = [(entry, attempt) for entry, attempt, _ in self.world.effects]
        assert len(set(claimed)) == len(claimed)
        entries = {entry.id: entry for entry in self.so.journal()}
        for entry_id, attempt, amount in self.world.effects:
            entry = entries[entry_id]
            request = self.so.get(str(entry.request_id))
            assert request.status is Status.APPROVED
            assert attempt <= entry.attempts == request.terms.attempts
            assert amount == request.args["amount"]

    @invariant()
    def approvals_are_real(self) -> None:
        """I10: enough different people, each allowed, each on what is there now."""
        for request_id in self.requests:
            request = self.so.get(request_id)
            if request.status is not Status.APPROVED:
                continue
            if request.settled_by is None:  # I11: only as its rule says
                assert (request.tool, request.risk) == ("tag", "low")
                continue
            votes = on_what_is_asked(request, self.so.votes(request_id))
            assert set(votes) <= self.seen[request_id]
            ways = [(request.terms.approvals, request.terms.reviewers)]
            if request.tool == "wire":
                ways = [(1, ("cfo",)), (2, ("finance",))]
            assert any(enough(votes, *way, BY_NAME) for way in ways)

    @invariant()
    def what_is_settled_stays(self) -> None:
        """I4, I11: one end each; a person's decision came before the deadline."""
        for request_id in self.requests:
            request = self.so.get(request_id)
            if request_id in self.settled:
                assert request == self.settled[request_id]
            elif request.status is not Status.PENDING:
                self.settled[request_id] = request
                assert request.settled_at is not None
                if request.settled_by is None:
                    assert request.status in {Status.EXPIRED, Status.APPROVED}
                    assert request.settled_at >= request.expires_at
                    assert all(step.due is Due.REMIND for step in request.ahead)
                elif request.status is not Status.CANCELLED:
                    assert request.settled_at < request.expires_at


@pytest.mark.row("I1", "I2", "I3", "I4", "I5", "I10", "I11")
@pytest.mark.slow
@pytest.mark.timeout(300)
def test_invariants_on_sqlite(sqlite_template: Path) -> None:
    run_on_sqlite(Desk, sqlite_template, examples=36, steps=40)


@pytest.mark.row("I1", "I2", "I3", "I4", "I5", "I10", "I11")
@pytest.mark.slow
@pytest.mark.timeout(300)
def test_invariants_on_postgresql(postgres: Databases, postgres_template: str) -> None:
    fresh = partial(postgres.fresh, template=postgres_template)
    run_on(Desk, fresh, examples=10, steps=30)
