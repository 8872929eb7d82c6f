"""What holds for the use cases holds for the client: same answers, same errors."""

import inspect
from collections.abc import Callable, Iterator

import pytest

from signoff import (
    Approve,
    Filter,
    Principal,
    Status,
)
from signoff.client import Client
from signoff.client.transport import Transport
from signoff.domain.errors import (
    CannotSettle,
    EntryNotFound,
    InvalidSetting,
    RequestNotFound,
    SignoffError,
)
from signoff.domain.journal import EntryState
from signoff.service import Approvals
from tests.client.desks import HOSTILE, Desk, Office


def test_looking(office: Office) -> None:
    desk, house = office.desk("bo"), office.house
    tool, first, second = house.learn_tool(), house.ask(), house.ask("pay_big")
    assert desk.whoami() == Principal(id="bo", channel="api")
    assert desk.get(first.id) == first
    assert desk.find(first.id[:12]) == first
    assert desk.find(first.id.removeprefix("req_")) == first
    assert list(desk.pending().requests) == list(house.so.pending().requests)
    assert list(desk.pending(Filter(order="risk")).requests) == [second, first]
    assert desk.count() == 2
    assert list(desk.thread("t1")) == list(house.so.thread("t1"))
    assert [event.fact.kind for event in desk.history(first.id)] == ["asked"]
    assert desk.history(first.id) == house.so.history(first.id)
    assert list(desk.tools()) == list(desk.tools("clerk")) == [tool]
    assert list(desk.tools("nobody")) == []
    assert desk.entry_of(first) is None
    assert list(desk.votes(first.id)) == []
    assert list(desk.journal()) == []
    assert abs(desk.now() - house.so.now()) < 60_000_000
    assert desk.changed() == house.so.changed() >= first.changed_at
    assert desk.audit() == house.so.audit()


def test_stages(office: Office) -> None:
    desk, so = office.desk("bo"), office.house.so
    so.declare_stages("t/9", ["research", HOSTILE, "publish"])
    so.keep("stg_1", thread="t/9", stage="research", value={"found": [1.0, HOSTILE]})
    assert list(desk.stages("t/9")) == list(so.stages("t/9"))
    assert [stage.state.value for stage in desk.stages("t/9")] == [
        "done",
        "ahead",
        "ahead",
    ]
    assert list(desk.stages("nowhere")) == []


def refusals() -> Iterator[tuple[str, Callable[[Desk], object], SignoffError]]:
    """What is refused, and with which error, its fields included."""
    yield "unknown", lambda d: d.get("req_none"), RequestNotFound("req_none")
    yield (
        "unknown decision",
        lambda d: d.decide("req_none", Approve(), digest="0"),
        RequestNotFound("req_none"),
    )
    yield (
        "unknown cancel",
        lambda d: d.cancel_request("x", reason=""),
        RequestNotFound("x"),
    )
    yield "dots", lambda d: d.get(".."), RequestNotFound("..")
    yield "slash", lambda d: d.get("../me"), RequestNotFound("../me")
    yield "no name", lambda d: d.get(""), RequestNotFound("")
    yield "question", lambda d: d.get("a?b#c%2f"), RequestNotFound("a?b#c%2f")
    yield (
        "unknown entry",
        lambda d: d.settle("ent_none", happened=True),
        EntryNotFound("ent_none"),
    )
    yield "entry dots", lambda d: d.settle("..", happened=True), EntryNotFound("..")
    yield (
        "history",
        lambda d: d.history("req_none"),
        RequestNotFound("req_none"),
    )
    yield (
        "token",
        lambda d: d.revoke_token("00000000"),
        InvalidSetting("token", "'00000000' is unknown or revoked already."),
    )
    yield (
        "order",
        lambda d: d.pending(Filter(order="size")),
        InvalidSetting("order", "must be one of deadline, risk, newest, not 'size'."),
    )
    yield (
        "limit",
        lambda d: d.pending(Filter(limit=201)),
        InvalidSetting("limit", "must be 1 to 200, not 201."),
    )
    yield (
        "cursor",
        lambda d: d.pending(Filter(cursor="???")),
        InvalidSetting("cursor", "isn't one of this list; start without one."),
    )


@pytest.mark.row("B10")
def test_refusals(office: Office) -> None:
    office.house.secret("bo", "admin")
    desk, before = office.desk("bo"), office.house.events()
    for name, act, expected in refusals():
        with pytest.raises(type(expected)) as caught:
            act(desk)
        assert (name, str(caught.value)) == (name, str(expected))
        assert vars(caught.value) == vars(expected)
    assert office.house.events() == before


def test_the_journal_and_unknown_outcomes(office: Office) -> None:
    entry, desk = office.house.lost(), office.desk("bo")
    assert entry.state is EntryState.UNKNOWN
    assert list(desk.journal(state=EntryState.UNKNOWN)) == [entry]
    assert list(desk.journal(thread="t1", limit=1)) == [entry]
    assert list(desk.journal(thread="elsewhere")) == []
    assert list(desk.journal(state=EntryState.DONE)) == []
    settled = desk.settle(entry.id, happened=True, note="the bank says so")
    assert (settled.state, settled.summary) == (EntryState.DONE, "the bank says so")
    with pytest.raises(CannotSettle) as caught:
        desk.settle(entry.id, happened=False)
    assert vars(caught.value) == {"entry_id": entry.id, "state": "done"}


def test_results_are_bytes(office: Office) -> None:
    request, so = office.house.ask(), office.house.so
    desk = office.desk("bo")
    approved = desk.decide(request.id, Approve(), digest=request.digest)
    entry = so.begin(approved)
    assert entry is not None
    so.finish(entry, "finish", result=bytes(range(256)), summary="paid")
    found = desk.entry_of(request)
    assert found is not None
    assert (found.result, found.summary) == (bytes(range(256)), "paid")
    assert found == so.entry_of(request)


def test_pages_follow_each_other(office: Office) -> None:
    asked = {office.house.ask(args={"amount": n, "to": "x"}).id for n in range(7)}
    desk = office.desk("bo")
    for order in ("deadline", "newest", "risk"):
        found, cursor = [], None
        while True:
            page = desk.pending(Filter(order=order, limit=3, cursor=cursor))
            found += [request.id for request in page.requests]
            if (cursor := page.next) is None:
                break
        assert (len(found), set(found)) == (7, asked)


def test_filters(office: Office) -> None:
    one = office.house.ask("pay", thread="a")
    two = office.house.ask("pay_big", thread="b & c")
    desk = office.desk("bo")
    desk.cancel_request(one.id, reason="")
    for wanted, found in [
        (Filter(), [two]),
        (
            Filter(status=Status.CANCELLED, order="newest"),
            [office.house.so.get(one.id)],
        ),
        (Filter(thread="b & c"), [two]),
        (Filter(agent="clerk", tool="pay_big", team="books", risk="critical"), [two]),
        (Filter(agent="other"), []),
        (Filter(tool="pay"), []),
        (Filter(team="other"), []),
        (Filter(risk="low"), []),
    ]:
        assert list(desk.pending(wanted).requests) == found
        assert desk.count(wanted) == len(found)
    everything = Filter(status=None, order="newest")
    assert {request.id for request in desk.pending(everything).requests} == {
        one.id,
        two.id,
    }
    assert desk.count(Filter(status=None)) == 2


def test_threads_have_any_name(office: Office) -> None:
    desk = office.desk("bo")
    for name in ("a/b", "..", ".", "a?b=c#d", "é %2F", "x" * 400):
        request = office.house.ask(thread=name)
        assert list(desk.thread(name)) == [request]
        assert list(desk.pending(Filter(thread=name)).requests) == [request]
    assert list(desk.thread("")) == []


def test_the_client_has_the_signatures_of_the_use_cases() -> None:
    own = set(dir(Client)) - set(dir(Transport))
    mine = {name for name in own if name[0] != "_"}
    assert mine - set(dir(Approvals)) == {"whoami", "lent"}
    for name in mine - {"whoami", "lent"}:
        theirs = inspect.signature(getattr(Approvals, name))
        without_by = [p for p in theirs.parameters.values() if p.name != "by"]
        expected = theirs.replace(parameters=without_by)
        assert inspect.signature(getattr(Client, name)) == expected, name
