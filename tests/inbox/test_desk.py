"""What a reviewer does, told apart from how it is drawn; through HTTP."""

from datetime import UTC, datetime
from typing import Any

import pytest

from signoff import Approve, Edit, Principal, Reject, Request
from signoff.domain.errors import NotAuthenticated
from signoff.inbox.desk import Desk, Opened
from signoff.inbox.looking import look
from signoff.inbox.viewing import detail
from tests.inbox.conftest import Office

SAM = Principal(id="sam@example.com")


def on_screen(request: Request, kind: str = "approve") -> Opened:
    return Opened(kind=kind, request_id=request.id, digest=request.digest)


def payload(request: Request, kind: str = "approve") -> dict[str, str]:
    return {"kind": kind, "id": request.id, "digest": request.digest}


def shown(desk: Desk) -> dict[str, Any]:
    """What the detail shows."""
    seen = look(desk)
    assert seen.case is not None
    return detail(desk, seen.case, seen.now)


def test_the_next_is_selected_after_a_decision(office: Office) -> None:
    first, second, third = (office.ask("note", {"n": n}) for n in range(3))
    desk = office.desk("mira@example.com")
    look(desk)
    assert desk.selected == first.id
    desk.select(second.id)
    desk.approve(payload(second))
    assert desk.selected == third.id
    look(desk)
    desk.approve(payload(third))
    assert desk.selected == first.id
    look(desk)
    desk.approve(payload(first))
    seen = look(desk)
    assert desk.selected is None
    assert seen.case is None
    assert seen.waiting == 0
    assert {line.told.text for line in seen.lines} == {
        "Approved by you · waiting for the agent to run it"
    }


def test_who_was_faster_is_told(office: Office) -> None:
    request = office.ask("note", {"n": 1})
    desk = office.desk("mira@example.com")
    look(desk)
    office.so.decide(request.id, Reject(), by=SAM, digest=request.digest)
    turn = desk.turn
    desk.approve(payload(request))
    (line,) = look(desk).lines
    assert line.told.text.startswith("Already rejected by sam@example.com")
    assert desk.selected == request.id
    assert desk.turn > turn
    desk.dismiss(line.id)
    assert look(desk).lines == ()


def test_another_content_is_not_approved(office: Office) -> None:
    request = office.ask("transfer", {"amount": 1})
    desk = office.desk("mira@example.com")
    edit = Edit(args={"amount": 2})
    office.so.decide(request.id, edit, by=SAM, digest=request.digest)
    desk.select(request.id)
    desk.approve(payload(request))
    (line,) = look(desk).lines
    assert line.told.text.startswith("It asks something else now")
    assert [v.principal for v in office.so.votes(request.id)] == [SAM.id]
    row = shown(desk)["rows"][0]
    assert (row["text"], row["was"], row["changed"]) == ("2", "1", True)


def test_a_bad_edit_keeps_the_form_open(office: Office) -> None:
    schema = {"properties": {"n": {"type": "integer"}}, "type": "object"}
    request = office.ask("note", {"n": 1}, schema=schema)
    desk = office.desk("mira@example.com")
    desk.select(request.id)
    desk.open(payload(request, "edit"))
    assert not desk.decide(on_screen(request), Edit(args={"n": "x"}))
    assert desk.opened is not None
    assert desk.problems[0].startswith("args.n:")
    assert desk.decide(on_screen(request), Edit(args={"n": 2}))
    assert desk.opened is None
    assert office.so.get(request.id).args == {"n": 2}


def test_alternatives_say_what_is_missing_and_who_is_asked(office: Office) -> None:
    request = office.ask("wire", {"amount": 1})
    desk = office.desk("mira@example.com")
    office.token(SAM.id)
    look(desk)
    about = dict(shown(desk)["about"])
    words = "one of cfo, or two of desk; 2 rejections end it"
    assert about["Decided by"] == words
    assert {"Agreed", "Assigned to", "You decide"}.isdisjoint(about)
    assert {chip["text"] for chip in shown(desk)["chips"]} >= {"medium risk"}
    desk.approve(payload(request))
    office.so.assign(request.id, to="mira@example.com", by=desk.me)
    desk.select(request.id)
    seen = shown(desk)
    about = dict(seen["about"])
    assert about["Agreed"] == "1 of 2: still one more of desk, or one of cfo"
    assert about["Assigned to"] == "you; others may decide it too"
    assert "1 of 2 approvals" in {chip["text"] for chip in seen["chips"]}


def test_a_delegate_sees_for_whom_they_decide(office: Office) -> None:
    request = office.ask("hire", {"name": "Ada"})
    desk = office.desk("mira@example.com")
    look(desk)
    assert "board" in shown(desk)["refused"]["approve"]
    bo = Principal(id="bo@example.com", groups=frozenset({"board"}))
    ends = datetime(2100, 1, 1, tzinfo=UTC)
    office.so.delegate("mira@example.com", ends=ends, by=bo)
    seen = shown(desk)
    assert seen["refused"] == {}
    assert dict(seen["about"])["You decide"] == "for bo@example.com"
    desk.approve(payload(request))
    desk.select(request.id)
    seen = shown(desk)
    assert seen["settled"]["text"].startswith("Approved by you")
    assert seen["votes"][0]["said"].startswith("for bo@example.com, approved")


def test_who_rejected_is_not_offered_to_approve(office: Office) -> None:
    request = office.ask("wire", {"amount": 1})
    desk = office.desk("mira@example.com")
    office.so.decide(request.id, Reject(), by=desk.me, digest=request.digest)
    desk.select(request.id)
    look(desk)
    seen = shown(desk)
    assert "rejected it as it stands" in seen["refused"]["approve"]
    assert dict(seen["about"])["Agreed"].endswith("; 1 of 2 rejections")


def test_a_quorum_says_what_is_missing(office: Office) -> None:
    request = office.ask("transfer", {"amount": 1})
    desk = office.desk("mira@example.com")
    look(desk)
    desk.approve(payload(request))
    desk.select(request.id)
    (line,) = look(desk).lines
    assert line.told.text == "Your approval is recorded · 1 of 2 approvals so far"
    assert "somebody else" in shown(desk)["refused"]["approve"]
    office.so.decide(request.id, Approve(), by=SAM, digest=request.digest)
    settled = shown(desk)["settled"]
    assert settled["text"].startswith("Approved by sam@example.com")


def test_who_may_not_decide_is_told_beforehand(office: Office) -> None:
    mine = office.ask("note", {"n": 1}, user="mira@example.com")
    board = office.ask("hire", {"name": "Bo"})
    desk = office.desk("mira@example.com")
    desk.select(mine.id)
    refused = shown(desk)["refused"]
    assert set(refused) == {"approve", "edit"}
    assert "on your behalf" in refused["approve"]
    desk.select(board.id)
    assert set(shown(desk)["refused"]) == {"approve", "reject", "edit", "respond"}
    desk.approve(payload(board))
    assert "board" in look(desk).lines[0].told.text
    assert office.so.get(board.id).status.value == "pending"


def test_only_what_the_rule_offers_is_offered(office: Office) -> None:
    office.ask("look_up", {"q": "x"})
    assert shown(office.desk("mira@example.com"))["decisions"] == ["respond", "reject"]


def test_a_policy_that_failed_is_shown(office: Office) -> None:
    office.ask("pay", {"amount": 1})
    (warning,) = shown(office.desk("mira@example.com"))["warnings"]
    assert "the condition failed" in warning


@pytest.mark.parametrize(
    "asked",
    [
        None,
        "approve",
        {},
        {"kind": "approve", "id": "req_1"},
        {"kind": "approve", "id": 1, "digest": "x"},
        {"kind": "approve", "id": "req_1", "digest": None},
    ],
)
def test_a_page_that_sends_nonsense_decides_nothing(
    office: Office, asked: object
) -> None:
    request = office.ask("note", {"n": 1})
    desk = office.desk("mira@example.com")
    desk.approve(asked)
    desk.open(asked)
    desk.narrow(asked)
    desk.select(None)
    assert (desk.opened, desk.selected) == (None, None)
    assert office.so.get(request.id).status.value == "pending"


def test_filters_take_known_values_only(office: Office) -> None:
    desk = office.desk("mira@example.com")
    desk.narrow({"risk": "extreme", "order": "random", "agent": "", "tool": 5})
    wanted = desk.filter
    assert (wanted.risk, wanted.order, wanted.agent, wanted.tool) == (
        None,
        "deadline",
        None,
        None,
    )


def test_more_than_one_page_of_the_server_is_shown(office: Office) -> None:
    for number in range(30):
        office.ask("note", {"n": number})
    desk = office.desk("mira@example.com")
    assert (len(look(desk).requests), look(desk).more) == (25, True)
    desk.more()
    seen = look(desk)
    assert (len({r.id for r in seen.requests}), seen.more) == (30, False)


def test_an_unknown_link_is_told_and_forgotten(office: Office) -> None:
    waiting = office.ask("note", {"n": 1})
    desk = office.desk("mira@example.com")
    desk.select("req_nobody")
    assert look(desk).case is None
    assert [n.told.text for n in desk.notices] == ["There is no such request."]
    look(desk)
    assert desk.selected == waiting.id


def test_a_revoked_token_ends_the_session(office: Office) -> None:
    request = office.ask("note", {"n": 1})
    token, secret = office.so.create_token("mira@example.com")
    client = office.client(secret)
    desk = Desk(client=client, me=client.whoami())
    office.so.revoke_token(token.id)
    with pytest.raises(NotAuthenticated):
        desk.approve(payload(request))
    with pytest.raises(NotAuthenticated):
        look(desk)
    assert office.so.get(request.id).status.value == "pending"
