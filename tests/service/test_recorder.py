"""Allowed calls are recorded in batches, behind the call's back."""

import logging
import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from threading import Event

import pytest

from signoff import Signoff, allow
from signoff.domain.errors import PayloadRefused, StorageUnavailable
from signoff.domain.rules import Verdict
from signoff.ports import Store, Writing
from signoff.service import recorder
from signoff.service.propose import Asked
from signoff.storage import open_store
from tests.service.conftest import Opener
from tests.service.making import call
from tests.support import run_python, wait_until


def recorded(so: Signoff) -> int:
    """How many calls the ledger has as allowed."""
    with so.store.reading() as reading:
        heads = [head[0] for head in reading.heads()]
        events = [event for thread in heads for event in reading.events(thread)]
    return sum(event.fact.kind == "allowed" for event in events)


@pytest.fixture
def so(open_signoff: Opener) -> Signoff:
    return open_signoff(allow("search"))


def let(so: Signoff, number: int, **more: str) -> None:
    action = call("search", call_id=str(number), n=number, **more)
    assert so.propose(action, Asked()).verdict is Verdict.ALLOW


def test_they_are_written_soon(so: Signoff) -> None:
    let(so, 1)
    wait_until(lambda: recorded(so) == 1, "the recorder writes")


def test_flush_waits_for_what_is_being_written(so: Signoff) -> None:
    for number in range(recorder.BATCH * 2 + 1):
        let(so, number)
    so.flush()
    assert recorded(so) == recorder.BATCH * 2 + 1
    assert so.audit().holds


def test_the_same_call_is_recorded_once(so: Signoff) -> None:
    for _ in range(3):
        let(so, 1)
        so.flush()
    assert recorded(so) == 1


def test_arguments_are_those_of_the_call(so: Signoff) -> None:
    query = ["a"]
    so.propose(call("search", query=query), Asked())
    query.append("changed afterwards")
    so.flush()
    assert so.standing(call("search", query=["a"]).id) is not None


def test_what_could_never_be_written_is_refused_at_once(so: Signoff) -> None:
    for action in (
        call("search", q=float("inf")),
        call("search", thread="nul \0", q="x"),
    ):
        with pytest.raises(PayloadRefused):
            so.propose(action, Asked())
    let(so, 1)
    so.flush()
    assert recorded(so) == 1


def test_a_rule_may_record_nothing(open_signoff: Opener) -> None:
    so = open_signoff(allow("search", record=False))
    let(so, 1)
    so.flush()
    assert recorded(so) == 0


def test_closing_writes_the_rest(open_signoff: Opener) -> None:
    first = open_signoff(allow("search"))
    let(first, 1)
    first.close()
    let(first, 2)  # late, but not lost
    assert recorded(open_signoff()) == 2


AT_EXIT = """
import sys
from signoff import Action, Context, Signoff, allow
from signoff.service.propose import Asked
so = Signoff(sys.argv[1], policy=[allow("search")])
so.aio  # makes a cycle, as every async user does
if "forget" in sys.argv:
    kept, so = so, None
for n in range(700):
    action = Action(context=Context(thread="t"), message_id="m", call_id=str(n),
                    tool="search", args={})
    (so or kept).propose(action, Asked())
"""


@pytest.mark.parametrize("how", ["keep", "forget"])
@pytest.mark.slow
def test_an_exit_writes_the_rest(so: Signoff, database_url: str, how: str) -> None:
    done = run_python(AT_EXIT, database_url, how)
    assert (done.returncode, done.stderr) == (0, "")
    assert recorded(so) == 700


def test_letting_go_of_it_writes_the_rest(so: Signoff, database_url: str) -> None:
    import gc

    other = Signoff(database_url, policy=[allow("search")])
    assert other.aio.sync is other
    let(other, 1)
    del other
    gc.collect()
    wait_until(lambda: recorded(so) == 1, "its thread writes the rest")


FORKING = """
import os, sys
from signoff import Action, Context, Signoff, allow, review
from signoff.service.propose import Asked
def propose(tool, n):
    action = Action(context=Context(thread="t"), message_id="m", call_id=str(n),
                    tool=tool, args={})
    return so.propose(action, Asked())
so = Signoff(sys.argv[1], policy=[allow("search"), review("pay")])
propose("pay", 0)
for n in range(50):
    propose("search", n)
child = os.fork()
for n in range(50):
    propose("search", f"{child == 0}-{n}")
    propose("pay", f"{child == 0}-{n}")
so.flush()
if child == 0:
    os._exit(0)
assert os.waitpid(child, 0)[1] == 0
so.close()
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
@pytest.mark.slow
def test_a_fork_shares_no_connection_and_writes_nothing_twice(
    so: Signoff, database_url: str
) -> None:
    done = run_python(FORKING, database_url)
    assert (done.returncode, done.stderr) == (0, "")
    assert recorded(so) == 150
    assert so.count() == 101
    assert so.audit().holds


class Faulty:
    """A real store whose database goes away and comes back."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self.up = Event()
        self.tries = 0
        self.breaks = False

    @contextmanager
    def writing(self, thread: str) -> Iterator[Writing]:
        self.tries += 1
        if self.breaks:
            raise LookupError("nobody foresaw this")
        if not self.up.is_set():
            raise StorageUnavailable("sqlite:///x", "it is away")
        with self._store.writing(thread) as tx:
            yield tx


@pytest.fixture
def faulty(database_url: str) -> Iterator[Faulty]:
    store = open_store(database_url)
    yield Faulty(store)
    store.close()


Make = Callable[[int], None]


@pytest.fixture
def queue(faulty: Faulty) -> Iterator[tuple[recorder.Recorder, Make]]:
    from signoff import Policy

    policy = Policy([allow("search")])
    made = recorder.Recorder(faulty)  # type: ignore[arg-type]  # it writes, no more

    def add(number: int) -> None:
        action = call("search", call_id=str(number))
        made.add(action, policy.decide(action))

    yield made, add
    faulty.up.set()
    made.stop()


def test_while_the_database_is_away_nothing_is_lost(
    so: Signoff,
    faulty: Faulty,
    queue: tuple[recorder.Recorder, Make],
    caplog: pytest.LogCaptureFixture,
) -> None:
    made, add = queue
    with caplog.at_level(logging.WARNING, "signoff"):
        for number in range(3):
            add(number)
        wait_until(lambda: faulty.tries >= 2, "it tries again")
    assert "wait to be recorded" in caplog.text
    with pytest.raises(StorageUnavailable):
        made.flush()
    faulty.up.set()
    wait_until(lambda: recorded(so) == 3, "it is written once the database is back")


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_a_thread_that_died_is_replaced_by_the_next_call(
    so: Signoff, faulty: Faulty, queue: tuple[recorder.Recorder, Make]
) -> None:
    before, (_, add) = set(threading.enumerate()), queue

    def died() -> bool:
        return faulty.tries == 1 and set(threading.enumerate()) <= before

    faulty.breaks = True
    add(1)
    wait_until(died, "it dies")
    faulty.breaks = False
    faulty.up.set()
    add(2)
    wait_until(lambda: recorded(so) == 2, "another writes both")


def test_a_full_queue_refuses_the_call(
    so: Signoff,
    faulty: Faulty,
    queue: tuple[recorder.Recorder, Make],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    made, add = queue
    monkeypatch.setattr(recorder, "LIMIT", 5)
    for number in range(5):
        add(number)
    for _ in range(3):
        with pytest.raises(StorageUnavailable):
            add(99)
    faulty.up.set()
    made.flush()
    assert recorded(so) == 5  # the refused call did not run, and isn't recorded
    add(99)
    made.flush()
    assert recorded(so) == 6
