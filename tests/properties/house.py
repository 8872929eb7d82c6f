"""Who is there, under which rules, and what they may say."""

from hypothesis import strategies as st

from signoff import Approve, Edit, Principal, Reject, Respond, deny, quorum, review
from signoff.domain.errors import (
    AlreadyDecided,
    DecisionNotOffered,
    DigestMismatch,
    InvalidEdit,
    NotAllowed,
)
from signoff.domain.principals import PrincipalKind

PEOPLE = [
    Principal(id="ann", groups=frozenset({"finance"})),
    Principal(id="bob", groups=frozenset({"finance"})),
    Principal(id="cat", groups=frozenset({"legal"})),
    Principal(id="uma", groups=frozenset({"finance"})),
    Principal(id="max", groups=frozenset({"cfo"})),
    Principal(id="bot", kind=PrincipalKind.AGENT, groups=frozenset({"finance"})),
]
BY_NAME = {person.id: person for person in PEOPLE}
ANN, BOB, CAT, UMA, MAX, _ = PEOPLE
VOTERS = [ANN, ANN, BOB, BOB, CAT, UMA, MAX]
LENDERS = [ANN, BOB, UMA, *PEOPLE]
BORROWERS = [CAT, CAT, MAX, *PEOPLE]
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
    review(
        "wire",
        any_of=[quorum("cfo"), quorum("finance", approvals=2)],
        denials=2,
        expires_in="1h",
    ),
    review("sync", attempts=3, idempotent=True),
]
TOOLS = ["pay", "sync", "tag", "wire"]
AMOUNTS = st.sampled_from([1, 500, 2000, 9999])
DECISIONS = st.one_of(
    st.just(Approve()),
    st.just(Reject(reason="no")),
    st.just(Respond(message="later")),
    st.builds(lambda amount: Edit(args={"amount": amount}), AMOUNTS),
)
YES_OR_NO = [Approve(), Approve(), Reject(reason="no")]
REFUSALS = (
    AlreadyDecided,
    DecisionNotOffered,
    DigestMismatch,
    InvalidEdit,
    NotAllowed,
)
