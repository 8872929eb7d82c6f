"""What each kind of notice says, and to whom: once, by mail and by webhook."""

from datetime import UTC, datetime
from email.message import EmailMessage

import pytest

from signoff import Approve, Principal, Reject, Request, Signoff, review
from signoff.ports import Outlets
from signoff.testing import MovableClock
from tests.notify.conftest import hook_to, mail_to, outlets
from tests.notify.hosts import MailHost, WebHost
from tests.service.conftest import Opener
from tests.service.making import ask, call, say

ANN = Principal(id="ann@example.com", groups=frozenset({"finance"}))
CFO = Principal(id="zoe@example.com", groups=frozenset({"cfo"}))
RULE = review(
    "pay",
    reviewers=["finance"],
    expires_in="8h",
    remind_after="1h",
    escalate_to=["cfo"],
    escalate_after="4h",
)
SILENT = review(
    "pay", reviewers=["finance"], risk="low", expires_in="1h", on_expiry="approve"
)


def plain(mail: EmailMessage) -> str:
    part = mail.get_body(("plain",))
    assert part is not None
    return str(part.get_content())


def first_lines(host: MailHost, who: str) -> list[str]:
    """How each mail to somebody begins."""
    return [plain(mail).splitlines()[0] for mail in host.to(who)]


def kinds(host: WebHost) -> list[str]:
    return [document["type"].removeprefix("request.") for _, document in host.got]


def tell(so: Signoff, post: Outlets) -> None:
    """Everything that is due, as a deliverer does."""
    while so.deliver_due(post):
        pass


def people(so: Signoff) -> None:
    for person in (ANN, CFO):
        so.create_token(person.id, groups=sorted(person.groups))
    so.create_token("bob@example.com", groups=["finance"])


def lend(so: Signoff, lender: Principal, to: str) -> None:
    ends = datetime.fromtimestamp(so.now() / 1_000_000 + 86_400, tz=UTC)
    so.delegate(to, ends=ends, by=lender)


def asked(so: Signoff, user: str = "uma") -> Request:
    return ask(so, call(user=user))


@pytest.mark.row("I12", "D3", "I11")
def test_one_message_for_each_thing_that_happens(
    open_signoff: Opener, mail_host: MailHost, web_host: WebHost, clock: MovableClock
) -> None:
    so, post = open_signoff(RULE), outlets(mail_to(mail_host), hook_to(web_host))
    people(so)
    with mail_host.up(), web_host.up():
        request = asked(so)
        tell(so, post)
        clock.advance("1h")
        so.sweep()
        tell(so, post)
        so.assign(request.id, to="bob@example.com", by=ANN)
        so.assign(request.id, to="bob@example.com", by=ANN)  # as it is
        so.assign(request.id, to=None, by=ANN)
        tell(so, post)
        clock.advance("3h")
        so.sweep()
        tell(so, post)
        say(so, request, Reject(reason="too much"), CFO)
        tell(so, post)
    every = ["asked", "reminded", "assigned", "escalated", "rejected"]
    assert kinds(web_host) == every
    said = {one["data"]["kind"]: one["data"]["said"] for _, one in web_host.got}
    assert said["assigned"] == {"to": ["bob@example.com"]}
    assert said["escalated"] == {"to": ["cfo"]}
    assert first_lines(mail_host, ANN.id) == [
        "Your decision is wanted.",
        "Your decision is still wanted.",
        "Rejected by zoe@example.com.",
    ]
    assert first_lines(mail_host, "bob@example.com") == [
        "Your decision is wanted.",
        "Your decision is still wanted.",
        "This was handed over to you. Your decision is wanted.",
        "Rejected by zoe@example.com.",
    ]
    handed_over = mail_host.to("bob@example.com")[2]
    assert "Handed over by: ann@example.com" in plain(handed_over)
    assert first_lines(mail_host, CFO.id) == [
        "This was handed up to you. Your decision is wanted.",
        "Rejected by zoe@example.com.",
    ]
    assert "Reason: too much" in plain(mail_host.to(CFO.id)[1])


@pytest.mark.row("I12", "C21")
def test_silence_is_told_as_silence(
    open_signoff: Opener, mail_host: MailHost, web_host: WebHost, clock: MovableClock
) -> None:
    post = outlets(mail_to(mail_host), hook_to(web_host))
    with mail_host.up(), web_host.up():
        for rule, thread in ((RULE, "t1"), (SILENT, "t2")):
            so = open_signoff(rule)
            if thread == "t1":
                people(so)
            ask(so, call(thread=thread))
            tell(so, post)
            clock.advance("1w")
            so.sweep()
            tell(so, post)
    assert kinds(web_host) == ["asked", "escalated", "expired", "asked", "approved"]
    _, expired, _, approved = mail_host.to(ANN.id)
    assert plain(expired).startswith(
        "Expired: nobody decided in time, so it did not run."
    )
    assert "also after it was escalated to cfo" in plain(expired)
    assert plain(approved).startswith("Approved by silence: nobody answered in time.")
    assert "its rule takes silence for a yes" in plain(approved)


def test_whoever_decides_for_another_is_told_too(
    open_signoff: Opener, mail_host: MailHost, clock: MovableClock
) -> None:
    so, post = open_signoff(RULE), outlets(mail_to(mail_host))
    people(so)
    so.create_token("eve@example.com")
    lend(so, ANN, "eve@example.com")
    with mail_host.up():
        request = asked(so)
        tell(so, post)
        assert len(mail_host.to("eve@example.com")) == 1
        eve = Principal(id="eve@example.com")
        say(so, request, Approve(), eve)
        tell(so, post)
        told = first_lines(mail_host, "eve@example.com")
        assert told[1:] == ["Approved by eve@example.com."]
        asked(so, user=ANN.id)  # who may not lend what she may not do herself
        clock.advance("2d")
        ask(so, call(call_id="later"))
        tell(so, post)
    assert len(mail_host.to("eve@example.com")) == 2


def test_whom_it_runs_for_is_not_asked_by_an_escalation(
    open_signoff: Opener, mail_host: MailHost, clock: MovableClock
) -> None:
    so, post = open_signoff(RULE), outlets(mail_to(mail_host))
    people(so)
    so.create_token("max@example.com", groups=["cfo"])
    with mail_host.up():
        asked(so, user=CFO.id)
        tell(so, post)
        clock.advance("4h")
        so.sweep()
        tell(so, post)
    assert mail_host.to(CFO.id) == []
    assert len(mail_host.to("max@example.com")) == 1
