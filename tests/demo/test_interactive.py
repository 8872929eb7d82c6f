"""The demo with its inbox: killed while it waits, it goes on; every effect once."""

import signal
from contextlib import closing
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest

from signoff.client import Client
from signoff.demo.interactive import has_browser
from signoff.domain.requests import Approve, Reject
from tests.demo.evidence import nothing_happened, read_evidence
from tests.demo.program import Program, running_demo

pytestmark = pytest.mark.slow


def _sign_in(program: Program) -> Client:
    link = urlsplit(program.wait_for("/login?").split()[-1])
    token = parse_qs(link.query)["token"][0]
    return Client(f"{link.scheme}://{link.netloc}", token)


def test_killed_while_it_waits_it_goes_on(tmp_path: Path) -> None:
    folder = tmp_path / "world"
    with running_demo("--dir", str(folder)) as program:
        program.wait_for("/login?")
        assert "(new)" in program.lines[0]
        program.end(signal.SIGKILL)
    assert nothing_happened(read_evidence(folder))
    with running_demo("--dir", str(folder)) as program:
        with closing(_sign_in(program)) as client:
            assert "it goes on where it stopped" in program.lines[0]
            for request in client.pending().requests:
                client.decide(request.id, Approve(), digest=request.digest)
        program.wait_for("The agent answers")
        program.wait_for("the ledger of")
        assert program.end(signal.SIGINT) == 0
    assert program.lines[-1] == "Done."
    found = read_evidence(folder)
    assert found.payments == [("ACC Logistics", 145_000)]
    assert len(found.mails) == 1
    assert found.messages == ["Start", "Release 2.19.0"]


def test_killed_between_two_decisions_it_goes_on(tmp_path: Path) -> None:
    folder = tmp_path / "world"
    with running_demo("--dir", str(folder)) as program:
        with closing(_sign_in(program)) as client:
            (payment,) = [
                one for one in client.pending().requests if one.tool == "make_payment"
            ]
            client.decide(payment.id, Approve(), digest=payment.digest)
        program.wait_for("done  make_payment")
        program.end(signal.SIGKILL)
    with running_demo("--dir", str(folder)) as program:
        with closing(_sign_in(program)) as client:
            waiting = client.pending().requests
            assert len(waiting) == 3
            for request in waiting:
                client.decide(request.id, Reject(reason="no"), digest=request.digest)
        program.wait_for("make_payment: done.")
        assert program.end(signal.SIGTERM) == 0
    found = read_evidence(folder)
    assert found.payments == [("ACC Logistics", 145_000)]
    assert (found.mails, found.messages) == ([], ["Start"])


def test_it_says_what_happens_as_it_happens(tmp_path: Path) -> None:
    with running_demo("--dir", str(tmp_path / "world")) as program:
        with closing(_sign_in(program)) as client:
            request = client.pending().requests[0]
            client.decide(request.id, Reject(reason="not today"), digest=request.digest)
        assert program.wait_for("by sam: not today") != ""
        assert program.end(signal.SIGINT) == 0
    assert program.lines[-1] == "3 still wait; the same command goes on."


def test_no_browser_without_a_screen(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.platform", "linux")
    monkeypatch.delenv("DISPLAY", raising=False)
    monkeypatch.delenv("WAYLAND_DISPLAY", raising=False)
    assert has_browser() is False
