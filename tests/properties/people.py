"""What people say of requests, lend each other and take back, in any order."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

from hypothesis import strategies as st
from hypothesis.stateful import (
    initialize,
    invariant,
    precondition,
    rule,
)

from signoff import (
    Action,
    Approve,
    Context,
    Principal,
    Request,
    Status,
)
from signoff.domain.delegations import Delegation
from signoff.domain.errors import (
    AlreadyDecided,
    DelegationNotFound,
    InvalidSetting,
    NotAllowed,
    SignoffError,
)
from signoff.domain.principals import PrincipalKind
from signoff.domain.requests import Decision, Vote
from signoff.service.propose import Asked
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
from tests.properties.machines import Machine
from tests.properties.rights import Loans, noes, on_what_is_asked


class People(Machine):
    """Everybody who can move a request."""

    def __init__(self) -> None:
        super().__init__(RULES, lease="10m")
        self.requests: list[str] = []
        self.digests: dict[str, list[str]] = {}
        self.loans = Loans(BY_NAME)
        self.seen: dict[str, set[Vote]] = {}
        self.asked: dict[str, str] = {}

    def pick(self, data: st.DataObject, status: Status) -> Request:
        """A request; three times of four one that the step can move."""
        ready = [r for r in self.requests if self.so.get(r).status is status]
        fitting = ready != [] and data.draw(st.integers(0, 3)) > 0
        return self.so.get(
            data.draw(st.sampled_from(ready if fitting else self.requests))
        )

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
        found = [self.processes[n % 2].propose(action, Asked()) for n in range(3)]
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
            after = self.so.cancel_request(before.id, by=by, reason="moot")
        except (AlreadyDecided, NotAllowed) as refused:
            self.check_refusal(before, refused)
            return
        assert by.kind is PrincipalKind.PERSON
        if by.id in {"cat", "max"}:
            deciders = before.terms.reviewers
            assert deciders is None or not by.groups.isdisjoint(deciders)
        assert before.status is Status.PENDING
        assert after.status is Status.CANCELLED

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
