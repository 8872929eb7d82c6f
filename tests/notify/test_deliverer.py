"""The loop: it sends at once what this process rings for, and survives a bad row."""

import pytest
from sqlalchemy import update

from signoff import Approve
from signoff.notify import Deliverer
from signoff.storage import SqlStore
from signoff.storage import tables as t
from tests.notify.conftest import hook_to, outlets
from tests.notify.hosts import WebHost
from tests.service.conftest import Opener
from tests.service.making import ANN, ask, call, say
from tests.support import wait_until


def test_it_delivers_while_it_runs(open_signoff: Opener, web_host: WebHost) -> None:
    so = open_signoff()
    with web_host.up(), Deliverer(so, outlets(hook_to(web_host))) as deliverer:
        request = ask(so)
        wait_until(lambda: len(web_host.got) == 1, "it is asked")
        say(so, request, Approve(), ANN)
        wait_until(lambda: len(web_host.got) == 2, "it is settled")
        wait_until(lambda: deliverer.next_due() is None, "nothing waits")
        assert deliverer.run_due() == 0
    ask(so, call(call_id="2"))
    assert deliverer.next_due() is not None
    assert len(web_host.got) == 2


def test_a_row_that_cannot_be_read_does_not_end_it(
    open_signoff: Opener, web_host: WebHost, caplog: pytest.LogCaptureFixture
) -> None:
    so = open_signoff()
    assert isinstance(so.store, SqlStore)
    ask(so)
    change(so.store, "{}")
    with web_host.up(), Deliverer(so, outlets(hook_to(web_host))):
        wait_until(lambda: "trying on" in caplog.text, "it stumbles")
        change(so.store, '{"to": null, "revision": 1, "by": null, "said": {}}')
        wait_until(lambda: len(web_host.got) == 1, "it goes on")


def change(store: SqlStore, body: str) -> None:
    with store.engine.begin() as connection:
        connection.execute(update(t.notices).values(body=body))
