"""Any number of people, workers, crashes and late clocks, in any order.

A model of what may be true runs beside a real Signoff; after every step the rules that
hold always are checked against what the database says.
"""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
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
    Edit,
    Principal,
    Reject,
    Request,
    Respond,
    Signoff,
    Status,
    deny,
    review,
)
from signoff.domain.actions import digest
from signoff.domain.errors import (
    AlreadyDecided,
    AttemptsExhausted,
    CannotSettle,
    DecisionNotOffered,
    DigestMismatch,
    InvalidEdit,
    NotAllowed,
    SignoffError,
)
from signoff.domain.journal import Entry, EntryState
from signoff.domain.principals import PrincipalKind
from signoff.domain.requests import Decision, shown
from signoff.domain.timeline import Due
from signoff.service.propose import Asked
from signoff.testing import MovableClock
from tests.postgres import Databases

PEOPLE = [
    Principal(id="ann", groups=frozenset({"finance"})),
    Principal(id="bob", groups=frozenset({"finance"})),
    Principal(id="cat", groups=frozenset({"legal"})),
    Principal(id="uma", groups=frozenset({"finance"})),
    Principal(id="bot", kind=PrincipalKind.AGENT, groups=frozenset({"finance"})),
]
RULES = [
    deny("pay", when="args.amount > 9000"),
    review(
        "pay",
        when="args.amount > 1000",
        approvals=2,
        reviewers=["finance"],
        expires_in="1h",
        remind_after=["10m", "40m"],
        escalate_to=["legal"],
        escalate_after="30m",
    ),
    review("tag", risk="low", on_expiry="approve", expires_in="1h"),
    review("pay", valid_for="30m", attempts=2, expires_in="2h"),
    review("sync", attempts=3, idempotent=True),
]
TOOLS = ["pay", "sync", "tag"]
AMOUNTS = st.sampled_from([1, 500, 2000, 9999])
DECISIONS = st.one_of(
    st.just(Approve()),
    st.just(Reject(reason="no")),
    st.just(Respond(message="later")),
    st.builds(lambda amount: Edit(args={"amount": amount}), AMOUNTS),
)
REFUSALS = (
    AlreadyDecided,
    DecisionNotOffered,
    DigestMismatch,
    InvalidEdit,
    NotAllowed,
)


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
    )
    def decide(
        self, data: st.DataObject, decision: Decision, by: Principal, sight: str
    ) -> None:
        self.decide_on(self.pick(data, Status.PENDING), decision, by, sight)

    def decide_on(
        self, before: Request, decision: Decision, by: Principal, sight: str
    ) -> None:
        seen = {
            "now": before.digest,
            "stale": self.digests[before.id][0],
            "wrong": "0" * 64,
            "none": None,
        }[sight]
        try:
            after = self.so.decide(before.id, decision, by=by, digest=seen)
        except REFUSALS as refused:
            self.check_refusal(before, refused)
            return
        assert by.kind is PrincipalKind.PERSON  # I10
        assert seen in self.digests[before.id]  # I2
        if decision.kind in {"approve", "edit"}:
            assert by.id != "uma"  # I10
        if after.digest not in self.digests[after.id]:
            self.digests[after.id].append(after.digest)

    @rule(data=st.data(), by=st.sampled_from(PEOPLE[:2]))
    def approve(self, data: st.DataObject, by: Principal) -> None:
        self.decide_on(self.pick(data, Status.PENDING), Approve(), by, "now")

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
        if by.id == "cat":
            deciders = before.terms.reviewers
            assert deciders is None or "legal" in deciders
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
            votes = [
                vote
                for vote in self.so.votes(request_id)
                if (vote.revision, vote.digest) == (request.revision, request.digest)
            ]
            voters = {vote.principal for vote in votes}
            assert len(voters) >= request.terms.approvals
            assert {vote.kind for vote in votes} <= {"approve", "edit"}
            deciders = request.terms.reviewers
            others = {"cat"} if deciders is None or "legal" in deciders else set()
            allowed = {"ann", "bob"} | others
            assert voters <= allowed

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
            max_examples=60,
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
