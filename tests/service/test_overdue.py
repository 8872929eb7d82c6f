"""What is done while nobody answers: each step once, in order, in database time."""

import subprocess
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest
from sqlalchemy import text

from signoff import (
    Approve,
    Edit,
    Principal,
    Reject,
    Request,
    Signoff,
    Status,
    escalation,
    review,
)
from signoff.domain.errors import AlreadyDecided, NotAllowed, PolicyError
from signoff.service.overdue import Swept
from signoff.storage.engine import make_engine
from signoff.testing import MovableClock
from tests.service.conftest import Opener
from tests.service.making import ANN, BOB, ask, call, kinds, say, tool
from tests.support import ROOT

HOUR = 3_600_000_000
CFO = Principal(id="zoe", groups=frozenset({"cfo"}))
RULE = review(
    "pay",
    reviewers=["finance"],
    expires_in="8h",
    remind_after=["1h", "5h"],
    escalate_to=["cfo"],
    escalate_after="4h",
    ladder=[escalation("6h", "board")],
)
YES = review("pay", risk="low", on_expiry="approve", expires_in="1h", valid_for="10m")


def settled(so: Signoff, request: Request) -> tuple[Status, str | None]:
    now = so.get(request.id)
    return now.status, now.settled_by


def holds(so: Signoff) -> bool:
    found = so.audit()
    return found.holds or pytest.fail(str(found.breaks))


@pytest.mark.row("I11")
def test_each_step_comes_once_and_in_order(
    open_signoff: Opener, clock: MovableClock
) -> None:
    so = open_signoff(RULE)
    request = ask(so)
    at = [(step.at - request.asked_at) / HOUR for step in request.timeline]
    assert at == [1, 4, 5, 6]
    assert request.due_at == request.asked_at + HOUR
    assert so.next_due() is not None
    assert so.sweep() == Swept()
    seen = []
    for _ in range(9):
        clock.advance("1h")
        seen.append(so.sweep())
        assert so.sweep() == Swept()  # once
    step, raised = Swept(reminded=1), Swept(escalated=1)
    nothing, end = Swept(), Swept(settled=1)
    expected = [step, nothing, nothing, raised, step, raised, nothing, end, nothing]
    assert seen == expected
    assert kinds(so, request) == [
        "asked",
        "reminded",
        "escalated",
        "reminded",
        "escalated",
        "expired",
    ]
    assert so.get(request.id).terms.escalated == ("cfo", "board")
    assert settled(so, request) == (Status.EXPIRED, None)
    assert so.next_due() is None
    assert holds(so)


@pytest.mark.row("I11")
def test_who_it_is_escalated_to_decides_from_then_on(
    open_signoff: Opener, clock: MovableClock
) -> None:
    so = open_signoff(RULE)
    request = ask(so)
    with pytest.raises(NotAllowed, match="finance"):
        say(so, request, Approve(), CFO)
    clock.advance("4h")
    so.sweep()
    approved = say(so, request, Approve(), CFO)
    assert (approved.status, approved.settled_by) == (Status.APPROVED, "zoe")
    assert so.begin(approved) is not None
    assert holds(so)


@pytest.mark.row("C21")
def test_what_was_missed_is_caught_up_with_in_order(
    open_signoff: Opener, clock: MovableClock
) -> None:
    """Nobody gets three reminders at once; escalations are made; then it ends."""
    so = open_signoff(RULE)
    first, second, third = (
        ask(so, call(call_id=str(n), thread=f"t{n}")) for n in range(3)
    )
    clock.advance("5h")
    assert so.sweep() == Swept(reminded=3, escalated=3)
    assert kinds(so, first) == ["asked", "escalated", "reminded"]
    fourth = ask(so, call(call_id="4", thread="t4"))
    clock.advance("1w")
    done = so.sweep()
    assert done == Swept(escalated=5, settled=4)
    for request in (second, third):
        assert kinds(so, request)[3:] == ["escalated", "expired"]
    assert kinds(so, fourth) == ["asked", "escalated", "escalated", "expired"]
    assert so.get(fourth.id).terms.escalated == ("cfo", "board")
    assert holds(so)


@pytest.mark.row("C14")
def test_a_wrong_clock_of_the_process_changes_nothing(
    open_signoff: Opener, clock: MovableClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An hour ahead or behind: the plan and what is due are the database's."""
    real, real_ns = time.time, time.time_ns  # noqa: TID251 - the clock that is wrong
    so = open_signoff(RULE)
    for number, skew in enumerate((3600, -3600)):
        monkeypatch.setattr(time, "time", lambda skew=skew: real() + skew)
        ns = skew * 1_000_000_000
        monkeypatch.setattr(time, "time_ns", lambda ns=ns: real_ns() + ns)
        before = so.now()
        request = ask(so, call(call_id=str(number), thread=f"t{number}"))
        assert before <= request.asked_at <= so.now()
        assert request.expires_at - request.asked_at == 8 * HOUR
        clock.advance("59m")
        assert not so.sweep()
        clock.advance("2m")
        assert so.sweep() == Swept(reminded=1)
        so.cancel(request.id, by=ANN, reason="seen")


@pytest.mark.row("C14", "C21")
@pytest.mark.slow
def test_a_new_process_catches_up_when_it_starts(
    open_signoff: Opener, clock: MovableClock, database_url: str
) -> None:
    """The deadline is a row: the process that asked is gone, its clock is another."""
    so = open_signoff(review("pay", expires_in="1h", remind_after="30m"))
    request = ask(so)
    so.close()
    program = """
import sys
from datetime import timedelta
from signoff import Signoff
from signoff.clock import Clock
so = Signoff(sys.argv[1], clock=Clock(offset=timedelta(minutes=int(sys.argv[2]))))
done = so.sweep()
print(done.reminded, done.escalated, done.settled)
so.close()
"""
    said = [
        subprocess.run(
            [sys.executable, "-W", "error", "-c", program, database_url, minutes],
            cwd=ROOT,
            env={"TZ": zone, "PYTHONPATH": ":".join(sys.path)},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for minutes, zone in (("29", "Asia/Tokyo"), ("45", "UTC"), ("61", "Etc/GMT+9"))
    ]
    assert said == ["0 0 0\n", "1 0 0\n", "0 0 1\n"]
    assert settled(open_signoff(), request) == (Status.EXPIRED, None)


@pytest.mark.row("C21", "I4")
def test_many_sweepers_make_each_step_once(
    open_signoff: Opener, clock: MovableClock
) -> None:
    so = open_signoff(RULE)
    requests = [ask(so, call(call_id=str(n), thread=f"t{n % 3}")) for n in range(9)]
    others = [so, open_signoff(RULE), open_signoff(RULE)]
    for span in ("1h", "3h", "1h", "1h", "3h"):
        clock.advance(span)
        with ThreadPoolExecutor(6) as pool:
            done = list(pool.map(Signoff.sweep, others * 2))
        total = sum(done, Swept())
        assert total.reminded + total.escalated + total.settled == len(requests)
    for request in requests:
        assert len(kinds(so, request)) == 6
    assert holds(so)


@pytest.mark.row("B13", "I4")
@pytest.mark.parametrize("rule", [review("pay", expires_in="1h"), YES])
def test_a_decision_and_the_deadline_have_one_winner(
    open_signoff: Opener, clock: MovableClock, rule: object
) -> None:
    """People decide while time passes the deadline under them."""
    so = open_signoff(rule)
    requests = [ask(so, call(call_id=str(n), thread=f"t{n}")) for n in range(12)]
    clock.advance("59m")
    barrier = threading.Barrier(3)

    def decide() -> list[str]:
        barrier.wait()
        won = []
        for request in requests:
            try:
                so.decide(request.id, Reject(), by=ANN, digest=request.digest)
                won.append(request.id)
            except AlreadyDecided as late:
                assert late.by is None  # noqa: PT017 - raised for some, in a thread
        return won

    def sweep() -> int:
        barrier.wait()
        clock.advance("61s")
        return sum(so.sweep().settled for _ in range(3))

    with ThreadPoolExecutor(3) as pool:
        people = [pool.submit(decide) for _ in range(1)]
        sweeps = [pool.submit(sweep) for _ in range(2)]
        won = people[0].result()
        by_silence = sum(one.result() for one in sweeps)
    so.sweep()
    ends = [so.get(request.id) for request in requests]
    assert {r.id for r in ends if r.settled_by == "ann"} == set(won)
    assert by_silence <= len(requests) - len(won)
    for request in ends:
        said = [
            k for k in kinds(so, request) if k in {"rejected", "expired", "approved"}
        ]
        assert said == [request.status.value]
    assert holds(so)


@pytest.mark.row("I11")
def test_silence_approves_only_where_the_rule_says_so(
    open_signoff: Opener, clock: MovableClock
) -> None:
    so = open_signoff(YES)
    request = ask(so)
    clock.advance("59m")
    assert not so.sweep()
    clock.advance("2m")
    assert so.sweep() == Swept(settled=1)
    approved = so.get(request.id)
    assert (approved.status, approved.settled_by) == (Status.APPROVED, None)
    assert approved.outcome is not None
    assert approved.outcome["by"] == "silence"
    assert "silence for a yes" in approved.outcome["reason"]
    (event,) = (e for e in so.history(request.id) if e.fact.kind == "approved")
    assert (event.fact.actor, event.fact.body["by"]) == (None, "silence")
    assert [w.thread for w in so.wakeups()] == [request.thread]
    # valid_for counts from the approval, not from the ask.
    assert approved.valid_until is not None
    assert approved.settled_at is not None
    assert approved.valid_until - approved.settled_at == HOUR // 6
    assert so.begin(approved) is not None
    assert so.begin(approved) is None
    assert holds(so)


@pytest.mark.row("I11")
def test_an_edit_that_makes_it_riskier_takes_the_yes_out_of_silence(
    open_signoff: Opener, clock: MovableClock
) -> None:
    rules = (review("pay", when="args.amount > 1000", risk="high", approvals=2), YES)
    so = open_signoff(*rules)
    so.know_tools([tool("pay", amount="number")])
    request = ask(so)
    edited = say(so, request, Edit(args={"amount": 5000}), ANN)
    assert (edited.status, edited.terms.on_expiry) == (Status.PENDING, "reject")
    clock.advance("2h")
    so.sweep()
    assert settled(so, request) == (Status.EXPIRED, None)
    assert holds(so)


@pytest.mark.row("I11")
def test_a_policy_error_is_never_a_yes(
    open_signoff: Opener, clock: MovableClock
) -> None:
    broken = review(
        "pay", when="args.nothing > 1", risk="low", on_expiry="approve", expires_in="1h"
    )
    so = open_signoff(broken)
    request = ask(so)
    assert request.terms.on_expiry == "reject"
    clock.advance("2h")
    so.sweep()
    assert settled(so, request) == (Status.EXPIRED, None)


@pytest.mark.row("I11")
def test_above_low_risk_the_rule_is_refused() -> None:
    for risk in ("medium", "high", "critical"):
        with pytest.raises(PolicyError, match="risk = 'low' only"):
            review("pay", on_expiry="approve", risk=risk)


@pytest.mark.row("I11")
def test_silence_can_go_to_somebody_else_first(
    open_signoff: Opener, clock: MovableClock
) -> None:
    so = open_signoff(
        review(
            "pay",
            reviewers=["finance"],
            expires_in="2h",
            on_expiry="escalate",
            escalate_to=["cfo"],
        )
    )
    request = ask(so)
    clock.advance("2h")
    assert so.sweep() == Swept(escalated=1)
    assert so.get(request.id).expires_at - request.asked_at == 4 * HOUR
    other = ask(so, call(call_id="2"))
    assert say(so, request, Approve(), CFO).status is Status.APPROVED
    clock.advance("5h")
    so.sweep()
    ended = so.get(other.id)
    assert ended.status is Status.EXPIRED
    assert ended.outcome is not None
    assert "escalated to cfo" in ended.outcome["reason"]
    assert holds(so)


@pytest.mark.row("I2", "I11")
def test_an_edit_under_another_rule_drops_whom_that_rule_does_not_name(
    open_signoff: Opener, clock: MovableClock
) -> None:
    other = review("pay", when="args.amount > 1000", reviewers=["board"])
    so = open_signoff(other, RULE)
    so.know_tools([tool("pay", amount="number")])
    request = ask(so)
    clock.advance("4h")
    so.sweep()
    assert so.get(request.id).terms.escalated == ("cfo",)
    edited = say(so, request, Edit(args={"amount": 5000}), BOB)
    assert edited.terms.escalated == ()
    with pytest.raises(NotAllowed, match="board"):
        say(so, request, Approve(), CFO)
    clock.advance("3h")
    so.sweep()
    assert so.get(request.id).terms.escalated == ()
    assert kinds(so, request)[-1] == "reminded"
    assert holds(so)


FORGERIES: dict[str, str] = {
    "early": "status = 'approved', settled_at = asked_at",
    "late": "status = 'approved', settled_at = expires_at + 1",
    "deadline": "status = 'approved', settled_at = asked_at + 1, expires_at = asked_at",
    "person": "status = 'approved', settled_at = expires_at + 1, settled_by = 'ann'",
}


@pytest.mark.row("I2", "I11")
@pytest.mark.parametrize("forgery", FORGERIES)
def test_a_forged_approval_by_silence_runs_nothing(
    open_signoff: Opener, database_url: str, forgery: str
) -> None:
    so = open_signoff(YES)
    request = ask(so)
    engine = make_engine(database_url)
    with engine.begin() as connection:
        connection.execute(text(f"UPDATE requests SET {FORGERIES[forgery]}"))  # noqa: S608 - our own words
    engine.dispose()
    forged = so.get(request.id)
    assert forged.status is Status.APPROVED
    assert so.begin(forged) is None
    assert not so.audit().holds


@pytest.mark.row("I2", "I11")
def test_forged_terms_let_no_silence_approve(
    open_signoff: Opener, database_url: str, clock: MovableClock
) -> None:
    so = open_signoff(review("pay", expires_in="1h"))
    request = ask(so)
    clock.advance("2h")
    so.sweep()
    change = (
        "status = 'approved', risk = 'low', terms = "
        """replace(terms, '"on_expiry":"reject"', '"on_expiry":"approve"')"""
    )
    engine = make_engine(database_url)
    with engine.begin() as connection:
        connection.execute(text(f"UPDATE requests SET {change}"))  # noqa: S608 - our own words
    engine.dispose()
    forged = so.get(request.id)
    assert (forged.status, forged.terms.on_expiry) == (Status.APPROVED, "approve")
    assert so.begin(forged) is None
    assert not so.audit().holds


MOVED = [
    "expires_at = expires_at + 1",
    "due_at = due_at + 1",
    "level = 1",
    "risk = 'low'",
]


@pytest.mark.row("I13")
@pytest.mark.parametrize("change", [*MOVED, "timeline = '[]'"])
def test_a_moved_deadline_is_found(
    open_signoff: Opener, database_url: str, change: str
) -> None:
    so = open_signoff(RULE)
    ask(so)
    assert holds(so)
    engine = make_engine(database_url)
    with engine.begin() as connection:
        connection.execute(text(f"UPDATE requests SET {change}"))  # noqa: S608 - our own words
    engine.dispose()
    assert not so.audit().holds


def test_a_row_that_cannot_be_read_holds_up_no_other(
    open_signoff: Opener, database_url: str, clock: MovableClock
) -> None:
    so = open_signoff(RULE)
    bad, good = ask(so), ask(so, call(call_id="2", thread="t2"))
    engine = make_engine(database_url)
    with engine.begin() as connection:
        statement = text("UPDATE requests SET timeline = 'x' WHERE id = :id")
        connection.execute(statement, {"id": bad.id})
    engine.dispose()
    clock.advance("1w")
    assert so.sweep().settled == 1
    assert settled(so, good) == (Status.EXPIRED, None)


def test_times_that_were_moved_on_are_followed(
    open_signoff: Opener, database_url: str, clock: MovableClock
) -> None:
    """A freeze that is lifted is one UPDATE of four columns."""
    so = open_signoff(RULE)
    request = ask(so)
    engine = make_engine(database_url)
    moved = ", ".join(f"{c} = {c} + {HOUR}" for c in ("expires_at", "due_at", "shift"))
    with engine.begin() as connection:
        connection.execute(text(f"UPDATE requests SET {moved}"))  # noqa: S608 - our own words
    engine.dispose()
    assert [s.at - request.asked_at for s in so.get(request.id).ahead] == [
        hours * HOUR for hours in (2, 5, 6, 7)
    ]
    clock.advance("90m")
    assert not so.sweep()
    clock.advance("30m")
    assert so.sweep() == Swept(reminded=1)
    clock.advance("1w")
    assert so.sweep() == Swept(escalated=2, settled=1)
    assert holds(so)


SETTLERS: dict[str, Callable[[Signoff, Request], object]] = {
    "decided": lambda so, r: say(so, r, Approve(), ANN),
    "withdrawn": lambda so, r: so.cancel(r.id, by=ANN, reason="moot"),
}


@pytest.mark.parametrize("how", SETTLERS)
def test_what_is_settled_has_no_more_steps(
    open_signoff: Opener, clock: MovableClock, how: str
) -> None:
    so = open_signoff(RULE)
    request = ask(so)
    SETTLERS[how](so, request)
    clock.advance("1w")
    assert not so.sweep()
    assert so.next_due() is None
