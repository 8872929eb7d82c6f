"""Who is told of what, once, in order, whatever fails on the way: on both databases."""

from datetime import timedelta

import pytest

from signoff import Approve, Edit, Reject, Request, Signoff, review
from signoff.domain.errors import CannotRetry, DeliveryNotFound, InvalidEdit
from signoff.domain.notices import DeliveryState, Notice
from signoff.testing import MovableClock
from tests.notify.conftest import hook_to, mail_to, outlets
from tests.notify.hosts import MailHost, WebHost
from tests.service.conftest import Opener
from tests.service.making import ANN, CAT, ask, call, say

FINANCE = review("pay", reviewers=["finance"], expires_in="4h")


def kinds(host: WebHost) -> list[str]:
    return [document["data"]["kind"] for _, document in host.got]


def remind_and_fail(so: Signoff, request: Request) -> None:
    with so.store.writing(request.thread) as tx:
        tx.tell(Notice(kind="reminded", request_id=request.id, revision=1))
        assert tx.now() // 0


@pytest.mark.row("I12")
def test_asked_and_settled_are_told_once_each(
    open_signoff: Opener, web_host: WebHost
) -> None:
    so, post = open_signoff(), outlets(hook_to(web_host))
    with web_host.up():
        assert so.deliver_due(post) == 0
        request = ask(so)
        assert so.next_delivery(post) is not None
        assert [so.deliver_due(post) for _ in range(3)] == [1, 0, 0]
        say(so, request, Reject(reason="too much"), ANN)
        assert [so.deliver_due(post) for _ in range(3)] == [1, 0, 0]
    assert so.next_delivery(post) is None
    assert kinds(web_host) == ["asked", "rejected"]
    _, settled = web_host.got[1]
    assert settled["data"]["by"] == "ann"
    assert settled["data"]["said"]["reason"] == "too much"
    assert settled["data"]["request"]["settled_by"] == "ann"


@pytest.mark.row("I12", "D3")
def test_every_end_is_told(
    open_signoff: Opener, web_host: WebHost, clock: MovableClock
) -> None:
    so, post = open_signoff(review("pay", expires_in="1h")), outlets(hook_to(web_host))
    with web_host.up():
        approved, cancelled = ask(so), ask(so, call(call_id="2"))
        edited = ask(so, call(call_id="3"))
        ask(so, call(call_id="4"))
        say(so, approved, Approve(), ANN)
        so.cancel(cancelled.id, by=ANN, reason="not needed")
        say(so, edited, Edit(args={"amount": 1}), ANN)
        clock.advance("2h")
        assert so.expire_due() == 1
        while so.deliver_due(post):
            pass
    assert sorted(kinds(web_host)) == sorted(
        ["asked"] * 4 + ["approved", "cancelled", "edited", "approved", "expired"]
    )


@pytest.mark.row("I12")
def test_what_is_rolled_back_is_told_to_nobody(
    open_signoff: Opener, web_host: WebHost
) -> None:
    so, post = open_signoff(), outlets(hook_to(web_host))
    request = ask(so)
    with pytest.raises(InvalidEdit):
        say(so, request, Edit(args={"amount": "x"}), ANN)
    with pytest.raises(ZeroDivisionError):
        remind_and_fail(so, request)
    with web_host.up():
        so.deliver_due(post)
    assert kinds(web_host) == ["asked"]


def test_reviewers_are_told_by_group_and_by_name(
    open_signoff: Opener, mail_host: MailHost
) -> None:
    so = open_signoff(review("pay", reviewers=["finance", "cfo"]))
    post = outlets(mail_to(mail_host, "ops@example.com"))
    so.create_token("ann@example.com", groups=["finance"])
    so.create_token("bob", groups=["finance", "ops"])
    so.create_token("eve@example.com", groups=["other"])
    so.create_token("uma@example.com", groups=["finance"])  # on whose behalf it runs
    with mail_host.up():
        request = ask(so, call(user="uma@example.com"))
        assert so.deliver_due(post) == 3
        told = {"ann@example.com", "bob@example.com", "cfo@example.com"}
        assert {to for to, _ in mail_host.mails} == told
        say(so, request, Approve(), ANN)
        assert so.deliver_due(post) == 3
    assert {to for to, _ in mail_host.mails[3:]} == told


def test_without_reviewers_the_default_is_told(
    open_signoff: Opener, mail_host: MailHost
) -> None:
    so = open_signoff(review("pay"))
    so.create_token("ann@example.com")
    post = outlets(mail_to(mail_host, "ops@example.com", "desk@example.com"))
    with mail_host.up():
        ask(so)
        assert so.deliver_due(post) == 2
    assert [to for to, _ in mail_host.mails] == ["ops@example.com", "desk@example.com"]


def test_a_reviewer_without_an_address_shows_as_dead(
    open_signoff: Opener, mail_host: MailHost
) -> None:
    so = open_signoff(review("pay", reviewers=["zoe"]))
    ask(so)
    assert so.deliver_due(outlets(mail_to(mail_host))) == 0
    (dead,) = so.deliveries(state=DeliveryState.DEAD)
    assert dead.recipient == "zoe"
    assert "give it one in [people]" in (dead.last_error or "")


@pytest.mark.row("D3", "C17")
def test_a_host_that_is_down_gets_everything_later(
    open_signoff: Opener, web_host: WebHost, clock: MovableClock
) -> None:
    so, post = open_signoff(), outlets(hook_to(web_host))
    requests = [ask(so, call(call_id=str(n))) for n in range(3)]
    assert so.deliver_due(post) == 0
    (waits,) = [d for d in so.deliveries() if d.attempts == 1]
    assert waits.state is DeliveryState.QUEUED
    assert waits.last_error
    with web_host.up():
        assert so.deliver_due(post) == 2  # the first pauses
        due = so.next_delivery(post)
        assert due is not None
        assert 5 < (due - so.now()) / 1_000_000 < 14
        clock.advance("15s")
        assert so.deliver_due(post) == 1
    told = {document["data"]["request"]["id"] for _, document in web_host.got}
    assert told == {request.id for request in requests}


def test_pauses_double_and_end_in_the_dead_list(
    open_signoff: Opener, web_host: WebHost, clock: MovableClock
) -> None:
    so, post = open_signoff(), outlets(hook_to(web_host, attempts=4))
    ask(so)
    pauses = []
    for _ in range(3):
        assert so.deliver_due(post) == 0
        due = so.next_delivery(post)
        assert due is not None
        pauses.append((due - so.now()) / 1_000_000)
        clock.advance(timedelta(seconds=pauses[-1] + 0.1))
    assert so.deliver_due(post) == 0
    for pause, middle in zip(pauses, (10, 20, 40), strict=True):
        assert middle * 0.7 < pause < middle * 1.3
    (dead,) = so.deliveries(state=DeliveryState.DEAD)
    assert (dead.attempts, dead.due_at) == (4, None)
    assert so.next_delivery(post) is None
    clock.advance("1d")
    with web_host.up():
        assert so.deliver_due(post) == 0
        assert so.retry_delivery(dead.id).attempts == 0
        with pytest.raises(CannotRetry, match="is queued; only a dead"):
            so.retry_delivery(dead.id)
        assert so.deliver_due(post) == 1
    assert kinds(web_host) == ["asked"]
    with pytest.raises(CannotRetry, match="is sent"):
        so.retry_delivery(dead.id)
    with pytest.raises(DeliveryNotFound):
        so.retry_delivery("dlv_none")


def test_poison_is_dead_at_once_and_stops_nobody(
    open_signoff: Opener, mail_host: MailHost
) -> None:
    so = open_signoff(review("pay", reviewers=["bob", "cfo"]))
    mail_host.refused["bob@example.com"] = "550 no such user"
    with mail_host.up():
        ask(so)
        assert so.deliver_due(outlets(mail_to(mail_host))) == 1
    (dead,) = so.deliveries(state=DeliveryState.DEAD)
    assert (dead.recipient, dead.attempts) == ("bob", 1)
    assert "no such user" in (dead.last_error or "")


def test_what_is_decided_is_not_asked_any_more(
    open_signoff: Opener, mail_host: MailHost, clock: MovableClock
) -> None:
    so = open_signoff(FINANCE)
    so.create_token("ann@example.com", groups=["finance"])
    post = outlets(mail_to(mail_host))
    request = ask(so)
    assert so.deliver_due(post) == 0  # nobody listens
    say(so, request, Approve(), ANN)
    with mail_host.up():
        assert so.deliver_due(post) == 1
        clock.advance("1d")
        assert so.deliver_due(post) == 0
    (mail,) = mail_host.to("ann@example.com")
    assert "Approved by ann." in mail.get_body(("plain",)).get_content()  # type: ignore[union-attr]
    states = {delivery.kind: delivery.state for delivery in so.deliveries()}
    assert states == {"asked": DeliveryState.DROPPED, "approved": DeliveryState.SENT}


def test_an_edit_asks_anew_and_drops_what_was_asked_before(
    open_signoff: Opener, mail_host: MailHost
) -> None:
    so = open_signoff(review("pay", reviewers=["finance"], approvals=2))
    so.create_token("ann", groups=["finance"])  # who has no address
    so.create_token("bob", groups=["finance"])
    post = outlets(mail_to(mail_host))
    request = ask(so)
    assert so.deliver_due(post) == 0
    say(so, request, Edit(args={"amount": 7}), ANN)
    with mail_host.up():
        assert so.deliver_due(post) == 1
    (mail,) = mail_host.to("bob@example.com")
    assert "new version" in mail.get_body(("plain",)).get_content()  # type: ignore[union-attr]
    assert so.get(request.id).revision == 2


def test_one_request_is_told_in_order(
    open_signoff: Opener, web_host: WebHost, clock: MovableClock
) -> None:
    so, post = open_signoff(), outlets(hook_to(web_host))
    web_host.answers = [503]
    with web_host.up():
        say(so, ask(so), Approve(), ANN)
        assert so.deliver_due(post) == 0
        assert so.deliver_due(post) == 0  # the second waits for the first
        clock.advance("1m")
        assert so.deliver_due(post) == 1
        assert so.deliver_due(post) == 1
    assert kinds(web_host) == ["asked", "approved"]


def test_nobody_asked_nobody_told(open_signoff: Opener, mail_host: MailHost) -> None:
    so, post = open_signoff(FINANCE), outlets(mail_to(mail_host))
    say(so, ask(so), Approve(), ANN)  # before any deliverer ran
    assert so.deliver_due(post) == 0
    assert so.deliveries() == []
    assert so.next_delivery(post) is None


def test_without_channels_nothing_piles_up(
    open_signoff: Opener, web_host: WebHost, clock: MovableClock
) -> None:
    so = open_signoff(review("pay", expires_in="30d"))
    for number in range(3):
        say(so, ask(so, call(call_id=str(number))), Approve(), CAT)
    waiting = ask(so, call(call_id="waits"))
    assert so.deliver_due(outlets()) == 0
    assert so.next_delivery(outlets()) is None
    clock.advance("8d")
    assert so.deliver_due(outlets()) == 0
    with web_host.up():
        assert so.deliver_due(outlets(hook_to(web_host))) == 1
    assert [document["data"]["request"]["id"] for _, document in web_host.got] == [
        waiting.id
    ]
