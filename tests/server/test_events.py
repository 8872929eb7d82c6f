"""Open pages hear of every change, whoever made it, and are let go at the end."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from time import monotonic

import anyio
import httpx2
import pytest

from signoff import Approve, Signoff
from signoff.clock import Clock
from signoff.domain.errors import NotAuthenticated
from signoff.server.events import Changes
from tests.server.house import House, Street, open_street
from tests.support import run_python, wait_until, wait_until_async

ASK = """
import sys
from signoff import Action, Context, Signoff, review
from signoff.service.propose import Asked

so = Signoff(sys.argv[1], policy=[review("*")])
action = Action(
    context=Context(thread="other", agent="other"),
    message_id="m",
    call_id="c",
    tool="pay",
    args={},
)
so.propose(action, Asked())
so.close()
"""


class Heard:
    """What one page hears."""

    def __init__(self, response: httpx2.Response) -> None:
        self._lines = response.iter_lines()

    def next(self) -> dict[str, int]:
        """The next event's data."""
        for line in self._lines:
            if line.startswith("data: "):
                data: dict[str, int] = json.loads(line.removeprefix("data: "))
                return data
        raise AssertionError("the stream ended")

    def ends(self) -> bool:
        """Whether nothing more comes but the end."""
        return not any(line.startswith("data: ") for line in self._lines)


@contextmanager
def listening(street: Street, headers: dict[str, str] | None = None) -> Iterator[Heard]:
    """A page that listens."""
    given = street.bearer() if headers is None else headers
    with street.http.stream("GET", "/api/v1/events", headers=given) as response:
        assert response.status_code == 200
        assert response.headers["content-type"].startswith("text/event-stream")
        assert response.headers["cache-control"] == "no-store"
        yield Heard(response)


def test_a_change_in_this_process_is_heard_at_once(any_street: Street) -> None:
    house = any_street.house
    with listening(any_street) as page:
        assert page.next()["pending"] == 0
        began = monotonic()
        request = house.ask()
        asked = page.next()
        assert asked == {"pending": 1, "changed": house.so.changed()}
        settled = house.so.decide(
            request.id, Approve(), by=house.who(), digest=request.digest
        )
        decided = page.next()
        assert decided == {"pending": 0, "changed": settled.changed_at}
        assert decided["changed"] > asked["changed"]
        assert monotonic() - began < 5


def test_a_change_by_another_process_is_heard(
    any_street: Street, database_url: str
) -> None:
    with listening(any_street) as one, listening(any_street) as two:
        assert one.next() == two.next()
        ran = run_python(ASK, database_url)
        assert (ran.returncode, ran.stderr) == (0, "")
        assert one.next()["pending"] == two.next()["pending"] == 1


def test_a_server_hears_of_what_another_decides(house: House) -> None:
    so = Signoff(house.so.store.url)
    request = house.ask()
    with (
        open_street(house) as here,
        open_street(House(so)) as there,
        listening(here) as page,
    ):
        assert page.next()["pending"] == 1
        with there.client("cy") as client:
            client.decide(request.id, Approve(), digest=request.digest)
        assert page.next()["pending"] == 0
    so.close()


def test_silence_is_settled_and_heard(house: House) -> None:
    request, clock = house.ask(), Clock()
    so = Signoff(house.so.store.url, clock=clock)
    with open_street(House(so)) as street, listening(street) as page:
        assert page.next()["pending"] == 1
        clock.offset = timedelta(days=400)
        assert page.next()["pending"] == 0
    assert house.so.get(request.id).status == "expired"
    so.close()


@pytest.mark.parametrize("headers", [{}, {"Cookie": "signoff_session=x"}])
def test_nobody_listens_without_a_token(
    street: Street, headers: dict[str, str]
) -> None:
    assert street.http.get("/api/v1/events", headers=headers).status_code == 401


def test_the_inboxs_page_listens_with_its_cookie(street: Street) -> None:
    cookie = {"Cookie": f"signoff_session={street.house.secret()}"}
    with listening(street, cookie) as page:
        assert page.next()["pending"] == 0


def test_a_page_that_leaves_is_forgotten(house: House) -> None:
    with open_street(house) as street:
        changes: Changes = street.server.app.state.changes
        for _ in range(3):
            with listening(street) as page:
                page.next()
                assert changes.listeners == 1
            street.http.close()
            street.http = httpx2.Client(base_url=street.server.url)
            wait_until(lambda: changes.listeners == 0, "the page is forgotten")
        street.http.close()


def test_the_end_of_the_server_ends_the_streams(house: House) -> None:
    with open_street(house) as street, listening(street) as page:
        page.next()
        began = monotonic()
        street.server.stop()
        assert page.ends()
        assert monotonic() - began < 3


async def test_silence_has_a_heartbeat_and_a_revoked_token_ends_it(
    house: House,
) -> None:
    secret = house.secret()
    changes = Changes(house.so, heartbeat_s=0.05)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(changes.watch)
        stream = changes.listen(lambda: house.so.authenticate(secret, channel="inbox"))
        assert await anext(stream) == "retry: 1000\n\n"
        heard = [await anext(stream)]
        while ": still here\n\n" not in heard:
            heard.append(await anext(stream))
        house.so.revoke_token(house.so.tokens()[0].id)
        with pytest.raises(NotAuthenticated):
            house.so.authenticate(secret, channel="inbox")
        with anyio.fail_after(10):
            assert [said async for said in stream if "data" in said] == []
        await wait_until_async(lambda: changes.listeners == 0, "it was let go")
        tasks.cancel_scope.cancel()
