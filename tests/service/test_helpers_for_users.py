"""What signoff.testing gives to the tests of applications."""

import subprocess
import sys
from pathlib import Path

import pytest

from signoff import Approve, Edit, Reject, Request, Signoff, Status, review
from signoff.domain.errors import DecisionNotOffered, PolicyError
from signoff.testing import MovableClock, ScriptedReviewer
from tests.service.conftest import Opener
from tests.service.making import ANN, ask, call
from tests.support import ROOT, wait_until


def test_a_clock_moves_forward_only(so: Signoff, clock: MovableClock) -> None:
    before = so.now()
    clock.advance("2h")
    assert so.now() - before >= 2 * 3600 * 1_000_000
    with pytest.raises(PolicyError, match="longer than zero"):
        clock.advance("0s")


def test_a_reviewer_answers_what_waits(so: Signoff) -> None:
    requests = [ask(so, call(call_id=str(n))) for n in range(3)]
    other = ask(so, call(tool="read"))
    reviewer = ScriptedReviewer(so, Approve(), by=ANN, tools="pa*")
    assert {r.id for r in reviewer.review()} == {r.id for r in requests}
    assert all(so.get(r.id).settled_by == "ann" for r in requests)
    assert so.get(other.id).status is Status.PENDING
    assert reviewer.review() == []


def test_a_reviewer_may_think(open_signoff: Opener) -> None:
    so = open_signoff(review("pay", approvals=2))

    def think(request: Request) -> Approve | Reject | Edit | None:
        amount = request.args["amount"]
        if amount == 0:
            return None
        return Reject(reason="too much") if amount > 5 else Edit(args={"amount": 0})

    for number in (0, 3, 9):
        ask(so, call(call_id=str(number), amount=number))
    reviewer = ScriptedReviewer(so, think)
    found = {r.proposed["args"]["amount"]: r.status for r in reviewer.review()}
    assert found == {3: Status.PENDING, 9: Status.REJECTED}
    assert reviewer.review() == []


def test_a_reviewer_answers_meanwhile(so: Signoff) -> None:
    with ScriptedReviewer(so, Approve()) as reviewer:
        for number in range(3):
            request = ask(so, call(call_id=str(number)))
            wait_until(lambda r=request: so.begin(r), "it is approved")  # type: ignore[misc]
    assert len(reviewer.decided) == 3


def test_what_a_reviewer_may_not_say_fails_the_test(open_signoff: Opener) -> None:
    so = open_signoff(review("pay", decisions=["reject"]))
    ask(so)
    with (
        pytest.raises(DecisionNotOffered),
        ScriptedReviewer(so, Approve()) as reviewer,
    ):
        wait_until(lambda: not reviewer.busy, "it fails")


@pytest.mark.slow
def test_the_fixture(tmp_path: Path) -> None:
    (tmp_path / "conftest.py").write_text('pytest_plugins = ["signoff.testing.plugin"]')
    (tmp_path / "test_app.py").write_text("""
import pytest
from signoff import Action, Context, Policy, review
from signoff.service.propose import Asked

@pytest.fixture
def signoff_policy():
    return Policy([review("pay", expires_in="1h")])

def test_silence_is_no(signoff, signoff_clock):
    action = Action(context=Context(thread="t"), message_id="m", call_id="c",
                    tool="pay", args={})
    request = signoff.propose(action, Asked()).request
    signoff_clock.advance("2h")
    assert signoff.expire_due() == 1
    assert signoff.get(request.id).status == "expired"
""")
    done = subprocess.run(
        [sys.executable, "-W", "error", "-m", "pytest", "-q", "-p", "no:asyncio"],
        capture_output=True,
        check=False,
        cwd=tmp_path,
        env={"PYTHONPATH": str(ROOT / "src")},
        text=True,
        timeout=60,
    )
    assert "1 passed" in done.stdout, done.stdout + done.stderr
