"""Deliverers that race, die and come back; processes killed between move and notice."""

import signal
import subprocess
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from threading import Barrier, Event

import pytest
from sqlalchemy import select

from signoff import Approve, Signoff
from signoff.domain.notices import ASKING, SETTLED, DeliveryState
from signoff.storage import SqlStore
from signoff.storage import tables as t
from signoff.testing import MovableClock
from tests.forked import forked
from tests.notify.conftest import hook_to, outlets
from tests.notify.hosts import WebHost
from tests.service.conftest import Opener
from tests.service.making import ANN, ask, call, say
from tests.support import wait_until

CROWD = 8
PROCESSES = 4


@contextmanager
def process(*arguments: str) -> Iterator[subprocess.Popen[str]]:
    """`teller.py` in a process of its own."""
    pipe = subprocess.PIPE
    with forked("tests.notify.teller", *arguments, stdin=pipe, stdout=pipe) as running:
        try:
            yield running
        finally:
            running.kill()


def says(running: subprocess.Popen[str]) -> str:
    """The next line of a process."""
    assert running.stdout is not None
    return running.stdout.readline().strip()


def told(so: Signoff) -> tuple[set[tuple[str, int]], set[tuple[str, int]]]:
    """The places in the chains that people should hear of, and those with a notice."""
    store = so.store
    assert isinstance(store, SqlStore)
    wanted = (ASKING | SETTLED) - {"assigned"}
    with store.engine.connect() as connection:
        events = select(t.events.c.thread, t.events.c.seq).where(
            t.events.c.kind.in_(wanted), t.events.c.subject.like("req@_%", escape="@")
        )
        notices = select(t.notices.c.thread, t.notices.c.seq)
        found = [connection.execute(one).all() for one in (events, notices)]
    moved, noticed = ({(str(row[0]), int(row[1])) for row in rows} for rows in found)
    return moved, noticed


@pytest.mark.row("I12")
@pytest.mark.parametrize("point", ["before notice", "after notice", "before commit"])
def test_killed_between_move_and_notice_leaves_both_or_none(
    open_signoff: Opener, database_url: str, point: str
) -> None:
    so = open_signoff()
    with process("move", database_url, point) as running:
        assert running.wait(30) == -signal.SIGKILL
    moved, noticed = told(so)
    assert moved == noticed
    assert len(moved) == 1
    assert so.audit().holds


@pytest.mark.row("I12")
def test_killed_anywhere_leaves_no_move_without_its_notice(
    open_signoff: Opener, database_url: str
) -> None:
    so = open_signoff()
    for number in range(3):
        with process("move", database_url, "-") as running:
            assert says(running) == "ready"
            wanted = len(told(so)[0]) + 5 * number + 1
            wait_until(lambda: len(told(so)[0]) >= wanted, "it moves")  # noqa: B023 - at once
            running.send_signal(signal.SIGKILL)
            running.wait(30)
    moved, noticed = told(so)
    assert moved == noticed
    assert len(moved) > 15


@pytest.mark.row("I4", "I12")
def test_eight_deliverers_at_once_send_each_once(
    open_signoff: Opener, web_host: WebHost
) -> None:
    deliverers = [open_signoff() for _ in range(CROWD)]
    so = deliverers[0]
    requests = [ask(so, call(call_id=str(n), thread=f"t{n % 3}")) for n in range(20)]
    for request in requests[:10]:
        say(so, request, Approve(), ANN)
    post, gun = outlets(hook_to(web_host)), Barrier(CROWD)

    def deliver(one: Signoff) -> int:
        gun.wait()
        sent = 0
        while one.next_delivery(post) is not None:
            sent += one.deliver_due(post)
        return sent

    with web_host.up(), ThreadPoolExecutor(CROWD) as pool:
        assert sum(pool.map(deliver, deliverers)) == 30
    counted = Counter(delivery for delivery, _ in web_host.got)
    assert (len(counted), set(counted.values())) == (30, {1})
    for request in requests[:10]:
        heard = [
            document["data"]["kind"]
            for _, document in web_host.got
            if document["data"]["request"]["id"] == request.id
        ]
        assert heard == ["asked", "approved"]


@pytest.mark.row("I4", "I12")
def test_four_processes_send_each_once(
    open_signoff: Opener, database_url: str, web_host: WebHost
) -> None:
    so = open_signoff()
    for number in range(12):
        ask(so, call(call_id=str(number)))
    command = ("race", database_url, web_host.url)
    with ExitStack() as stack:
        stack.enter_context(web_host.up())
        racers = [stack.enter_context(process(*command)) for _ in range(PROCESSES)]
        assert [says(one) for one in racers] == ["ready"] * PROCESSES
        for one in racers:
            assert one.stdin is not None
            one.stdin.write("go\n")
            one.stdin.flush()
        sent = [int(says(one)) for one in racers]
    assert sum(sent) == 12
    assert len({delivery for delivery, _ in web_host.got}) == len(web_host.got) == 12


@pytest.mark.row("I12", "D3")
def test_a_deliverer_killed_while_sending_is_followed_by_the_same_id(
    open_signoff: Opener,
    database_url: str,
    web_host: WebHost,
    clock: MovableClock,
) -> None:
    so, post = open_signoff(), outlets(hook_to(web_host))
    ask(so)
    web_host.gate = Event()
    with web_host.up():
        with process("deliver", database_url, web_host.url, "0") as running:
            wait_until(lambda: web_host.posts, "it sends", 30)
            running.send_signal(signal.SIGKILL)
            running.wait(30)
        web_host.gate.set()
        (claimed,) = so.deliveries()
        assert claimed.state is DeliveryState.SENDING
        assert so.deliver_due(post) == 0  # until its lease has passed
        clock.advance("3m")
        assert so.deliver_due(post) == 1
    (sent,) = so.deliveries()
    assert (sent.state, sent.attempts) == (DeliveryState.SENT, 2)
    assert {delivery for delivery, _ in web_host.got} == {sent.id}


def test_one_that_kills_each_deliverer_ends_in_the_dead_list(
    open_signoff: Opener, clock: MovableClock, web_host: WebHost
) -> None:
    so, post = open_signoff(), outlets(hook_to(web_host, attempts=2))
    ask(so)
    so.deliver_due(outlets(hook_to(web_host)))  # nobody listens: one attempt
    for _ in range(2):
        clock.advance("3m")
        (found,) = so.deliveries()
        with so.store.outbox() as tx:
            assert tx.claim(found, 60_000_000)
    clock.advance("3m")
    with web_host.up():
        assert so.deliver_due(post) == 0
    (dead,) = so.deliveries(state=DeliveryState.DEAD)
    assert "died each time" in (dead.last_error or "")


@pytest.mark.row("C24")
def test_a_deliverer_that_thaws_late_changes_nothing(
    open_signoff: Opener, clock: MovableClock, web_host: WebHost
) -> None:
    so, post = open_signoff(), outlets(hook_to(web_host))
    ask(so)
    so.deliver_due(post)
    clock.advance("1m")
    (found,) = so.deliveries()
    with so.store.outbox() as tx:
        assert tx.claim(found, 60_000_000)
        assert not tx.claim(found, 60_000_000)
    frozen = replace(found, state=DeliveryState.SENDING, attempts=found.attempts + 1)
    clock.advance("2m")
    with web_host.up():
        assert so.deliver_due(post) == 1
    with so.store.outbox() as tx:
        assert not tx.failed(frozen, "too late", wait=1)
        assert not tx.sent(frozen, "late")
    (sent,) = so.deliveries()
    assert (sent.state, sent.reference) == (DeliveryState.SENT, sent.id)
