"""The bell: no ring is lost, and a waiter that is interrupted keeps nobody waiting."""

from __future__ import annotations

import os
import signal
import sys
from threading import Event, Thread
from time import monotonic

import pytest

from signoff.service.bell import Bell
from tests.forked import processes

TRIALS = 100
KEPT = 3


def test_a_ring_between_two_waits_is_not_lost() -> None:
    bell = Bell()
    heard = bell.rings
    bell.ring()
    assert bell.wait(heard, 60) == heard + 1


def test_nobody_rings() -> None:
    bell = Bell()
    assert bell.wait(bell.rings, 0) == bell.rings == 0


def test_one_ring_wakes_everybody() -> None:
    bell, woken = Bell(), list[int]()
    waiting = [Thread(target=lambda: woken.append(bell.wait(0, 60))) for _ in range(5)]
    for thread in waiting:
        thread.start()
    bell.ring()
    for thread in waiting:
        thread.join(30)
    assert woken == [1] * 5


def interrupted() -> None:
    """Ctrl-C in the middle of waits, in a process of its own."""
    signal.signal(signal.SIGINT, signal.default_int_handler)
    for trial in range(TRIALS):
        if not _rings_after_ctrl_c(after=trial % 40 / 10_000):
            sys.exit(KEPT)


def _rings_after_ctrl_c(*, after: float) -> bool:
    bell, over, rung = Bell(), Event(), Event()

    def ring() -> None:
        while not over.is_set():
            bell.ring()
            rung.set()

    def interrupt() -> None:
        over.wait(after)
        os.kill(os.getpid(), signal.SIGINT)

    heard, late = 0, monotonic() + 10
    try:
        for work in (ring, interrupt):
            Thread(target=work, daemon=True).start()
        while monotonic() < late:
            heard = bell.wait(heard, 1)
    except KeyboardInterrupt:
        pass
    rung.clear()
    goes_on = rung.wait(5)
    over.set()
    return goes_on


@pytest.mark.slow
@pytest.mark.timeout(120)
def test_whoever_is_interrupted_while_waiting_leaves_it_to_the_others() -> None:
    child = processes().Process(target=interrupted)
    child.start()
    child.join(100)
    if child.exitcode is None:
        child.kill()
    assert child.exitcode == 0
