"""Any number of people, workers, crashes and late clocks, in any order.

A model of what may be true runs beside a real Signoff; after every step the rules that
hold always are checked against what the database says.
"""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import ClassVar

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from signoff import (
    Action,
    Approve,
    Context,
    Principal,
    Request,
    Signoff,
    Status,
)
from signoff.domain.actions import digest
from signoff.domain.delegations import Delegation
from signoff.domain.errors import (
    AlreadyDecided,
    AttemptsExhausted,
    CannotSettle,
    DelegationNotFound,
    InvalidSetting,
    NotAllowed,
    SignoffError,
)
from signoff.domain.journal import Entry, EntryState
from signoff.domain.principals import PrincipalKind
from signoff.domain.requests import Decision, Vote, shown
from signoff.domain.timeline import Due
from signoff.service.propose import Asked
from signoff.testing import MovableClock
from tests.postgres import Databases
from tests.properties.house import (
    AMOUNTS,
    BORROWERS,
    BY_NAME,
    DECISIONS,
    LENDERS,
    PEOPLE,
    REFUSALS,
    RULES,
    TOOLS,
    VOTERS,
    YES_OR_NO,
)
from tests.properties.rights import Loans, enough, noes, on_what_is_asked


@dataclass
class World:
    """What really happened outside: every effect, with the arguments it had."""

    effects: list[tuple[str, int, object]] = field(default_factory=list)
    held: list[Entry] = field(default_factory=list)


class Desk(RuleBasedStateMachine):
    """Everybody who can move a request or an entry."""

    opener: ClassVar[Callable[[], AbstractContextManager[str]]]

    def __init__(self) -> None:
        super().__init__()
        self.opened = type(self).opener()
        self.clock = MovableClock()
        url = self.opened.__enter__()
        self.workers = [
            Signoff(url, policy=RULES, lease="10m", clock=self.clock) for _ in range(2)
        ]
        self.so = self.workers[0]
        self.world = World()
        self.requests: list[str] = []
        self.digests: dict[str, list[str]] = {}
        self.settled: dict[str, Request] = {}
        self.loans = Loans(BY_NAME)
        self.seen: dict[str, set[Vote]] = {}
        self.asked: dict[str, str] = {}

    def teardown(self) -> None:
        for so in self.workers:
            so.close()
        self.opened.__exit__(None, None, None)

    def pick(self, data: st.DataObject, status: Status) -> Request:
        """A request; three times of four one that the step can move."""
        ready = [r for r in self.requests if self.so.get(r).status is status]
        fitting = ready != [] and data.draw(st.integers(0, 3)) > 0
        return self.so.get(
            data.draw(st.sampled_from(ready if fitting else self.requests))
        )

    def pick_entry(self, data: st.DataObject) -> Entry:
        return data.draw(st.sampled_from(list(self.so.journal())))

    def any_entry(self) -> bool:
        return len(self.so.journal()) > 0

    @initialize()
    def first(self) -> None:
        for tool, amount in (("pay", 2000), ("pay", 500), ("sync", 1), ("tag", 1)):
            self.propose(tool, amount, 1)
        self.propose("wire", 1, 2)

    @rule(tool=st.sampled_from(TOOLS), amount=AMOUNTS, call=st.integers(1, 4))
    def propose(self, tool: str, amount: int, call: int) -> None:
        context = Context(thread=f"t{call % 2}", agent="clerk", user="uma")
        action = Action(
            context=context,
            message_id="m",
            call_id=str(call),
            tool=tool,
            args={"amount": amount},
        )
        found = [self.workers[n % 2].propose(action, Asked()) for n in range(3)]
        assert len({standing.verdict for standing in found}) == 1
        request = found[0].request
        if request is None:
            assert tool == "pay"
            assert amount > 9000
            return
        assert {s.request.id for s in found if s.request} == {request.id}
        if request.id not in self.requests:
            self.requests.append(request.id)
            self.digests[request.id] = [request.digest]

    @rule(
        data=st.data(),
        decision=DECISIONS,
        by=st.sampled_from(PEOPLE),
        sight=st.sampled_from(["now", "now", "now", "stale", "wrong", "none"]),
        behalf=st.sampled_from([None, None, "ann", "uma", "max"]),
    )
    def decide(
        self,
        data: st.DataObject,
        decision: Decision,
        by: Principal,
        sight: str,
        behalf: str | None,
    ) -> None:
        self.decide_on(self.pick(data, Status.PENDING), decision, by, sight, behalf)

    def decide_on(
        self,
        before: Request,
        decision: Decision,
        by: Principal,
        sight: str,
        behalf: str | None = None,
    ) -> None:
        seen = {
            "now": before.digest,
            "stale": self.digests[before.id][0],
            "wrong": "0" * 64,
            "none": None,
        }[sight]
        try:
            after = self.so.decide(
                before.id, decision, by=by, digest=seen, behalf=behalf
            )
        except REFUSALS as refused:
            self.check_refusal(before, refused)
            return
        assert by.kind is PrincipalKind.PERSON  # I10
        assert seen in self.digests[before.id]  # I2
        if decision.kind in {"approve", "edit"}:
            assert by.id != "uma"  # I10
        if after.digest not in self.digests[after.id]:
            self.digests[after.id].append(after.digest)
        self.check_rights(after, by, behalf)

    def check_rights(self, request: Request, by: Principal, behalf: str | None) -> None:
        """I10: each new vote is by a right that its voter has at this time."""
        votes = set(self.so.votes(request.id))
        for vote in votes - self.seen.get(request.id, set()):
            rights = set(self.loans.rights(request, by, self.so.now()))
            assert vote.principal == by.id
            assert vote.behalf in rights
            assert behalf in {None, vote.behalf}
            assert not vote.approves or vote.right != "uma"
        self.seen[request.id] = votes

    @rule(data=st.data(), by=st.sampled_from(PEOPLE[:2]))
    def approve(self, data: st.DataObject, by: Principal) -> None:
        self.decide_on(self.pick(data, Status.PENDING), Approve(), by, "now")

    @rule(
        said=st.lists(
            st.tuples(st.sampled_from(VOTERS), st.sampled_from(YES_OR_NO)),
            min_size=1,
            max_size=4,
        )
    )
    def discuss(self, said: list[tuple[Principal, Decision]]) -> None:
        """Several people, one after the other, on a wire that waits."""
        found = [one for one in map(self.so.get, self.requests) if one.tool == "wire"]
        waits = [one.id for one in found if one.status is Status.PENDING]
        if waits == []:
            self.propose("wire", 1, 10 + len(self.requests))
            waits = self.requests[-1:]
        for by, decision in said:
            self.decide_on(self.so.get(waits[0]), decision, by, "now")
            self.so_many_say_no()

    @rule(
        data=st.data(),
        by=st.sampled_from(LENDERS),
        to=st.sampled_from(BORROWERS),
        starts=st.sampled_from([None, None, timedelta(minutes=15, seconds=30)]),
        lasts=st.sampled_from([timedelta(minutes=10), timedelta(hours=3)]),
    )
    def lend(
        self,
        data: st.DataObject,
        by: Principal,
        to: Principal,
        starts: timedelta | None,
        lasts: timedelta,
    ) -> None:
        now = datetime.fromtimestamp(self.so.now() / 1_000_000, UTC)
        since = None if starts is None else now + starts
        ends = (now if since is None else since) + lasts
        try:
            made = self.so.delegate(to.id, starts=since, ends=ends, by=by)
        except (InvalidSetting, NotAllowed):
            assert by == to or by.kind is not PrincipalKind.PERSON
            return
        assert by.kind is PrincipalKind.PERSON
        self.loans.made.append(made)
        if data.draw(st.booleans()):
            self.decide_by(data, made, Approve(), named=True)

    @precondition(lambda self: self.loans.made != [])
    @rule(data=st.data(), by=st.sampled_from(PEOPLE))
    def withdraw(self, data: st.DataObject, by: Principal) -> None:
        lent = data.draw(st.sampled_from(self.loans.made))
        theirs = by.id in {lent.delegator, lent.delegate}
        try:
            self.so.revoke_delegation(lent.id, by=by)
        except NotAllowed:
            assert by.kind is not PrincipalKind.PERSON or not theirs
        except DelegationNotFound:
            assert lent.id in self.loans.ended  # I4: once
        else:
            assert theirs
            assert lent.id not in self.loans.ended
            self.loans.ended.add(lent.id)

    @precondition(lambda self: self.loans.made != [])
    @rule(
        data=st.data(),
        decision=st.sampled_from(YES_OR_NO),
        named=st.booleans(),
        both=st.booleans(),
    )
    def decide_for(
        self, data: st.DataObject, decision: Decision, *, named: bool, both: bool
    ) -> None:
        """By a right that was lent, perhaps no more, perhaps not yet."""
        lent = data.draw(st.sampled_from(self.loans.made))
        request = self.decide_by(data, lent, decision, named=named)
        if both:
            self.decide_on(request, decision, BY_NAME[lent.delegator], "now")

    def decide_by(
        self, data: st.DataObject, lent: Delegation, decision: Decision, *, named: bool
    ) -> Request:
        request = self.pick(data, Status.PENDING)
        behalf = lent.delegator if named else None
        self.decide_on(request, decision, BY_NAME[lent.delegate], "now", behalf)
        return self.so.get(request.id)

    @rule(
        data=st.data(),
        to=st.sampled_from([*PEOPLE, None]),
        by=st.sampled_from(PEOPLE),
    )
    def assign(self, data: st.DataObject, to: Principal | None, by: Principal) -> None:
        before = self.pick(data, Status.PENDING)
        name = None if to is None else to.id
        try:
            after = self.so.assign(before.id, to=name, by=by)
        except (AlreadyDecided, NotAllowed) as refused:
            self.check_refusal(before, refused)
            return
        assert before.status is Status.PENDING  # I4
        now = self.so.now()
        assert set(self.loans.rights(before, by, now)) != set()
        assert name != "uma"  # for whom it runs
        if by == to:
            assert self.loans.may_approve(before, by, now)
        # I2, I11: nothing else moves, not what is asked, nor its deadline.
        same = replace(before, assignee=name, changed_at=after.changed_at)
        assert after == same
        self.asked[before.id] = name or ""

    def check_refusal(self, before: Request, refused: SignoffError) -> None:
        after = self.so.get(before.id)
        if isinstance(refused, AlreadyDecided):  # I4: the loser is told who won
            assert (refused.by, refused.outcome) == (after.settled_by, after.status)
            assert after.status is not Status.PENDING
        else:
            assert after == before

    @rule(data=st.data(), by=st.sampled_from(PEOPLE))
    def cancel(self, data: st.DataObject, by: Principal) -> None:
        before = self.pick(data, Status.PENDING)
        try:
            after = self.so.cancel(before.id, by=by, reason="moot")
        except (AlreadyDecided, NotAllowed) as refused:
            self.check_refusal(before, refused)
            return
        assert by.kind is PrincipalKind.PERSON
        if by.id in {"cat", "max"}:
            deciders = before.terms.reviewers
            assert deciders is None or not by.groups.isdisjoint(deciders)
        assert before.status is Status.PENDING
        assert after.status is Status.CANCELLED

    @rule(span=st.sampled_from(["1m", "20m", "70m"]), sweep=st.booleans())
    def time_passes(self, span: str, *, sweep: bool) -> None:
        self.clock.advance(span)
        if sweep:
            self.workers[1].run_due()
            pending = self.so.pending().requests
            recent = self.so.now() - 60_000_000
            assert all(min(r.expires_at, r.due_at) > recent for r in pending)

    @rule(data=st.data(), who=st.integers(0, 1))
    def begin(self, data: st.DataObject, who: int) -> None:
        request = self.pick(data, Status.APPROVED)
        claims = [self.workers[n].begin(request) for n in (who, 1 - who)]
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
            again = self.workers[1].begin_again(ended)
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
        worker = data.draw(st.sampled_from(self.workers))
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
            again = self.workers[1].begin_again(entry, raised=raised)
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
    def so_many_say_no(self) -> None:
        """I4: it ends with the denial that its rule says, neither sooner nor later."""
        for request_id in self.requests:
            request = self.so.get(request_id)
            against = noes(on_what_is_asked(request, self.so.votes(request_id)))
            needed = 2 if request.tool == "wire" else 1
            assert request.terms.denials == needed
            if request.status is Status.REJECTED:
                assert len(against) >= needed
            elif request.status in {Status.PENDING, Status.APPROVED}:
                assert len(against) < needed

    @invariant()
    def rights_are_those_that_were_lent(self) -> None:
        """I10: from their first day to their last, until they are taken back."""
        live = self.loans.live(self.so.now())
        for name in {one.delegate for one in self.loans.made}:
            found = {one.delegation for one in self.so.lent_to(name)}
            assert found == {one.id for one in live if one.delegate == name}

    @invariant()
    def who_was_asked_stays(self) -> None:
        for request_id, name in self.asked.items():
            assert (self.so.get(request_id).assignee or "") == name

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

    @invariant()
    def the_ledger_holds(self) -> None:
        found = self.so.audit()
        assert found.holds, found.breaks


def desk_on(database: Callable[[], AbstractContextManager[str]]) -> type[Desk]:
    class DeskHere(Desk):
        opener = staticmethod(database)

    return DeskHere


QUIET = [HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.filter_too_much]
PHASES = [Phase.explicit, Phase.generate, Phase.shrink]


@pytest.mark.row("I1", "I2", "I3", "I4", "I5", "I10", "I11")
@pytest.mark.slow
@pytest.mark.timeout(300)
def test_invariants_on_sqlite(sqlite_template: Path) -> None:
    @contextmanager
    def opener() -> Iterator[str]:
        with TemporaryDirectory() as folder:
            file = Path(folder) / "signoff.db"
            file.write_bytes(sqlite_template.read_bytes())
            yield f"sqlite:///{file}"

    run_state_machine_as_test(
        desk_on(opener),
        settings=settings(
            max_examples=36,
            stateful_step_count=40,
            deadline=None,
            suppress_health_check=QUIET,
            phases=PHASES,
        ),
    )


@pytest.mark.row("I1", "I2", "I3", "I4", "I5", "I10", "I11")
@pytest.mark.slow
@pytest.mark.timeout(300)
def test_invariants_on_postgresql(postgres: Databases, postgres_template: str) -> None:
    run_state_machine_as_test(
        desk_on(partial(postgres.fresh, template=postgres_template)),
        settings=settings(
            max_examples=10,
            stateful_step_count=30,
            deadline=None,
            suppress_health_check=QUIET,
            phases=PHASES,
        ),
    )
