"""Processes that tell, or that move and die.

`deliver URL HOOK SECONDS`: deliver what is due, with a clock so far ahead.
`race URL HOOK`: say ready, wait for a line, deliver until nothing is due.
`move URL POINT`: ask and approve again and again; die at a point, or be killed.
"""

import os
import sys
from datetime import timedelta
from itertools import count

from signoff import Approve, Policy, Signoff, review
from signoff.clock import Clock
from signoff.domain.notices import Notice
from signoff.notify import Webhook
from signoff.storage.outbox import Telling
from signoff.storage.writing import SqlWriting
from tests.notify.conftest import outlets
from tests.notify.hosts import SECRET
from tests.service.making import ANN, ask, call, say

DYING = 2


def main(doing: str, url: str, *rest: str) -> None:
    """Do one of the above."""
    if doing == "move":
        move(url, rest[0])
        return
    ahead = int(rest[1]) if doing == "deliver" else 0
    so = Signoff(url, clock=Clock(offset=timedelta(seconds=ahead)))
    post = outlets(Webhook("hook", rest[0], secrets=[SECRET], allow_private=True))
    if doing == "race":
        print("ready", flush=True)  # noqa: T201 - read by the test
        sys.stdin.readline()
    sent = 0
    while so.next_delivery(post) is not None:
        sent += so.deliver_due(post)
        if doing == "deliver":
            break
    so.close()
    print(sent, flush=True)  # noqa: T201 - as above


def move(url: str, point: str) -> None:
    """Ask and approve until something ends this process."""
    so = Signoff(url, policy=Policy([review("*")]))
    if point != "-":
        dies_at(point)
    print("ready", flush=True)  # noqa: T201 - as above
    for number in count():
        action = call(call_id=f"{os.getpid()}-{number}", thread=f"t{os.getpid()}")
        say(so, ask(so, action), Approve(), ANN)


def dies_at(point: str) -> None:
    """The second notice of this process ends it: before it is written, or after."""
    tell, seal = SqlWriting.tell, SqlWriting.seal
    told: list[Notice] = []

    def die_if(here: str) -> None:
        if here == point and len(told) == DYING:
            os.kill(os.getpid(), 9)

    def dying_tell(self: Telling, notice: Notice) -> None:
        told.append(notice)
        die_if("before notice")
        tell(self, notice)
        die_if("after notice")

    def dying_seal(self: SqlWriting) -> None:
        seal(self)
        die_if("before commit")

    Telling.tell = dying_tell  # type: ignore[method-assign]
    SqlWriting.seal = dying_seal  # type: ignore[method-assign]


if __name__ == "__main__":
    main(*sys.argv[1:])
