"""Many at once, in threads and in four processes: one wins, the others hear who."""

import json
import subprocess
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from threading import Barrier
from typing import TypeVar

import pytest

from signoff import Approve, Edit, Principal, Reject, Signoff, Status, review
from signoff.domain.errors import AlreadyDecided, DigestMismatch, SignoffError
from signoff.domain.journal import Entry
from tests.forked import forked
from tests.service.conftest import Opener
from tests.service.making import ANN, approved, ask, call, running, say

T = TypeVar("T")
CROWD = 8
PROCESSES = 4


def at_once(work: Sequence[Callable[[], T]]) -> list[T | SignoffError]:
    """Run all from one starting gun; what each returned or raised."""
    gun = Barrier(len(work))

    def run(one: Callable[[], T]) -> T | SignoffError:
        gun.wait()
        try:
            return one()
        except SignoffError as error:
            return error

    with ThreadPoolExecutor(len(work)) as pool:
        return list(pool.map(run, work))


@pytest.mark.row("A4", "B4", "I4")
def test_approve_and_reject_at_once_have_one_winner(so: Signoff) -> None:
    for number in range(5):
        request = ask(so, call(call_id=str(number)))

        def decide(who: int, request_id: str = request.id) -> str:
            decision = Approve() if who % 2 else Reject()
            by = Principal(id=f"person-{who}")
            digest = so.get(request_id).digest
            return (
                so.decide(request_id, decision, by=by, digest=digest).settled_by or ""
            )

        results = at_once([partial(decide, who) for who in range(CROWD)])
        settled = so.get(request.id)
        winners = [result for result in results if isinstance(result, str)]
        assert winners == [settled.settled_by]
        told = [r.by for r in results if isinstance(r, AlreadyDecided)]
        assert told == [settled.settled_by] * (CROWD - 1)
    assert so.audit().holds


@pytest.mark.row("B7", "I4")
def test_a_quorum_that_gathers_at_once_settles_once(open_signoff: Opener) -> None:
    so = open_signoff(review("pay", approvals=3))
    request = ask(so)
    people = [Principal(id=f"person-{n // 2}") for n in range(CROWD)]  # each twice
    results = at_once([partial(say, so, request, Approve(), by) for by in people])
    settled = so.get(request.id)
    assert settled.status is Status.APPROVED
    assert len({vote.principal for vote in so.votes(request.id)}) == 3
    kinds = Counter(event.fact.kind for event in so.history(request.id))
    assert kinds == {"asked": 1, "voted": 3, "approved": 1}
    late = [r for r in results if isinstance(r, AlreadyDecided)]
    assert {error.by for error in late} <= {settled.settled_by}


@pytest.mark.row("I4")
def test_edits_at_once_are_taken_one_at_a_time(open_signoff: Opener) -> None:
    so = open_signoff(review("pay", approvals=2))
    request = ask(so)
    edits = [Edit(args={"amount": n}) for n in range(CROWD)]
    decide = partial(so.decide, request.id, by=ANN, digest=request.digest)
    results = at_once([partial(decide, edit) for edit in edits])
    taken = [r for r in results if not isinstance(r, SignoffError)]
    assert len(taken) == 1
    assert sum(isinstance(r, DigestMismatch) for r in results) == CROWD - 1
    assert so.get(request.id).args == taken[0].args


@pytest.mark.row("A3", "I5")
def test_one_approved_call_is_begun_once(so: Signoff) -> None:
    request = approved(so)
    results = at_once([lambda: so.begin(request)] * CROWD)
    assert sum(isinstance(result, Entry) for result in results) == 1
    assert results.count(None) == CROWD - 1


@pytest.mark.row("I4", "I5")
def test_a_retry_is_claimed_once(open_signoff: Opener) -> None:
    so = open_signoff(review("pay", attempts=9))
    so.finish(running(so), "fail", result=None, summary="")
    (failed,) = so.journal()
    results = at_once([lambda: so.begin_again(failed)] * CROWD)
    assert sum(isinstance(result, Entry) for result in results) == 1
    assert so.journal()[0].attempt == 2


@pytest.mark.row("I4")
def test_proposing_at_once_asks_once(so: Signoff) -> None:
    results = at_once([lambda: ask(so)] * CROWD)
    ids = [one.id for one in results if not isinstance(one, SignoffError)]
    assert len(ids) == CROWD
    assert len(set(ids)) == 1
    assert so.count() == 1
    assert [e.fact.kind for e in so.history(so.pending().requests[0].id)] == ["asked"]


def test_threads_do_not_wait_for_each_other_for_ever(so: Signoff) -> None:
    def work(number: int) -> int:
        thread = f"thread-{number % 4}"
        entry = running(so, call(thread=thread, call_id=str(number)))
        so.finish(entry, "finish", result=b"", summary="done")
        return number

    numbers = list(range(4 * CROWD))
    with ThreadPoolExecutor(CROWD) as pool:
        assert list(pool.map(work, numbers)) == numbers
    assert so.audit().holds
    assert len(so.journal()) == len(numbers)


RACER = """
import json, sys
from signoff import Approve, Principal, Reject, Signoff
from signoff.domain.errors import AlreadyDecided
url, who, *requests = sys.argv[1:]
so = Signoff(url)
print("ready", flush=True)
sys.stdin.readline()
told = []
for request_id in requests:
    decision = Approve() if int(who) % 2 else Reject()
    digest = so.get(request_id).digest
    try:
        by = Principal(id="person-" + who)
        told.append(so.decide(request_id, decision, by=by, digest=digest).settled_by)
    except AlreadyDecided as late:
        told.append(late.by)
begun = [so.begin(so.get(request_id)) is not None for request_id in requests]
so.close()
print(json.dumps({"told": told, "begun": begun}), flush=True)
"""


@pytest.mark.row("A3", "A4", "B4", "I4")
@pytest.mark.slow
def test_four_processes_decide_and_begin_the_same_requests(
    so: Signoff, database_url: str
) -> None:
    requests = [ask(so, call(call_id=str(n))).id for n in range(6)]
    reports = race(RACER, database_url, requests)
    for index, request_id in enumerate(requests):
        settled = so.get(request_id)
        assert {report["told"][index] for report in reports} == {settled.settled_by}
        begun = [report["begun"][index] for report in reports].count(True)
        assert begun == (settled.status is Status.APPROVED)
    assert so.audit().holds


def race(code: str, url: str, arguments: list[str]) -> list[dict[str, list[object]]]:
    """Start the processes, let all go at once when all are ready; what each printed."""
    pipe = subprocess.PIPE
    racers = [
        forked("-c", code, url, str(number), *arguments, stdin=pipe, stdout=pipe)
        for number in range(PROCESSES)
    ]
    for racer in racers:
        assert racer.stdout is not None
        assert racer.stdout.readline() == "ready\n"
    for racer in racers:
        assert racer.stdin is not None
        racer.stdin.write("go\n")
        racer.stdin.flush()
    outputs = [racer.communicate(timeout=60)[0] for racer in racers]
    assert [racer.returncode for racer in racers] == [0] * PROCESSES
    return [json.loads(output) for output in outputs]
