"""Two last approvals, holder and delegate, revocation and use: all at once."""

from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime
from functools import partial

import pytest

from signoff import Approve, Principal, Reject, Request, Signoff, Status, quorum, review
from signoff.domain.errors import AlreadyDecided, NotAllowed
from signoff.domain.requests import Decision
from tests.service.conftest import Opener
from tests.service.making import ANN, BOB, CAT, ask, call, say
from tests.service.test_races import at_once

ENDS = datetime(2100, 1, 1, tzinfo=UTC)
ROUNDS = 6
TWO = review("pay", reviewers=["finance"], approvals=2)


def asked(so: Signoff, number: int) -> Request:
    return ask(so, call(call_id=str(number), thread=f"thread-{number}"))


@pytest.mark.row("B7", "I4")
def test_two_last_approvals_settle_once(open_signoff: Opener) -> None:
    either = [quorum("cfo"), quorum("finance", approvals=2)]
    so = open_signoff(review("pay", any_of=either))
    cfo = Principal(id="max", groups=frozenset({"cfo"}))
    for number in range(ROUNDS):
        request = say(so, asked(so, number), Approve(), ANN)
        results = at_once(
            [partial(say, so, request, Approve(), by) for by in (BOB, cfo, BOB, cfo)]
        )
        kinds = Counter(event.fact.kind for event in so.history(request.id))
        assert kinds["approved"] == 1
        settled = so.get(request.id)
        late = [one.by for one in results if isinstance(one, AlreadyDecided)]
        assert set(late) <= {settled.settled_by}
        assert so.begin(settled) is not None
    assert so.audit().holds


@pytest.mark.row("B7", "I4")
def test_holder_and_delegate_at_once_are_one_seat(open_signoff: Opener) -> None:
    so = open_signoff(TWO)
    so.delegate("cat", ends=ENDS, by=ANN)
    for number in range(ROUNDS):
        request = asked(so, number)
        at_once([partial(say, so, request, Approve(), by) for by in (ANN, CAT)] * 2)
        assert so.get(request.id).status is Status.PENDING
        assert so.agreement(request.id).have == 1
    assert so.audit().holds


@pytest.mark.row("B7", "I4")
def test_so_many_noes_and_a_yes_at_once_have_one_end(open_signoff: Opener) -> None:
    so = open_signoff(review("pay", approvals=2, denials=2))
    people = [Principal(id=f"person-{n}") for n in range(4)]
    for number in range(ROUNDS):
        request = asked(so, number)
        said: tuple[Decision, ...] = (Approve(), Approve(), Reject(), Reject())
        pairs = zip(said, people, strict=True)
        at_once([partial(say, so, request, one, by) for one, by in pairs])
        kinds = Counter(event.fact.kind for event in so.history(request.id))
        assert kinds["approved"] + kinds["rejected"] == 1
    assert so.audit().holds


@pytest.mark.row("B6", "I4")
def test_a_right_that_is_taken_back_is_used_before_or_not_at_all(
    open_signoff: Opener,
) -> None:
    so = open_signoff(review("pay", reviewers=["finance"]))
    for number in range(2 * ROUNDS):
        lent = so.delegate("cat", ends=ENDS, by=ANN)
        request = asked(so, number)

        def use(request: Request = request) -> Status | None:
            return say(so, request, Approve(), CAT).status

        def take_back(lent_id: str = lent.id) -> Status | None:
            so.revoke_delegation(lent_id, by=ANN)
            return None

        work: list[Callable[[], Status | None]] = [use, take_back]
        result, revoked = at_once(work)
        assert revoked is None
        approved = so.get(request.id).status is Status.APPROVED
        assert approved is (result is Status.APPROVED)
        assert approved or isinstance(result, NotAllowed)
        with pytest.raises((NotAllowed, AlreadyDecided)):
            say(so, request, Reject(), CAT)
    assert so.audit().holds
