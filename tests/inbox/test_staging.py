"""A gate shows how far its workflow is, what was asked for, what was made before."""

from typing import Any

from signoff import Approve, Principal, Respond
from signoff.inbox import viewing
from signoff.inbox.looking import look
from signoff.inbox.wording import INSIDE
from tests.inbox.conftest import Office
from tests.inbox.test_page import opened, texts, with_open
from tests.inbox.workflow import QUESTION, reporter, waiting

SAM = Principal(id="sam@example.com")


def shown(office: Office, request_id: str | None = None) -> dict[str, Any]:
    """What the page is given about a request."""
    desk = office.desk("mira@example.com")
    desk.select(request_id)
    seen = look(desk)
    assert seen.case is not None
    return viewing.detail(desk, seen.case, seen.now)


def test_a_call_has_no_stages(office: Office) -> None:
    office.ask("note", {"n": 1})
    assert shown(office)["gate"] is False


def test_the_stages_the_round_and_what_was_made(office: Office) -> None:
    runner = reporter(office.so, ["rose", "<b>\u202e"])
    runner.start({}, thread_id="week-48")
    first = waiting(office.so, "week-48")
    data = shown(office)
    assert (data["gate"], data["question"]) == (True, QUESTION)
    said = [(one["name"], one["said"], one["now"]) for one in data["stages"]]
    assert said == [
        ("research", "done", False),
        ("plan", "waiting", True),
        ("publish", "ahead", False),
    ]
    (made,) = data["made"]
    assert (made["name"], made["kind"], made["hidden"]) == ("research", "list of 2", 1)
    assert made["text"] == '"rose"\n"<b>\\u202e"'
    assert data["remarks"] == []
    office.so.decide(
        first.id, Respond(message="shorter\u202e"), by=SAM, digest=first.digest
    )
    runner.resume("week-48")
    second = waiting(office.so, "week-48")
    data = shown(office)
    assert data["id"] == second.id
    assert data["stages"][1]["said"] == "waiting, round 2"
    assert (data["round"], data["remarks"]) == (2, ["shorter[U+202E]"])
    before = shown(office, first.id)
    assert before["settled"]["text"].startswith(
        "Changes asked for by sam@example.com: shorter[U+202E]"
    )
    assert (before["remarks"], before["votes"][0]["said"].split()[:3]) == (
        [],
        ["asked", "for", "changes"],
    )
    office.so.decide(second.id, Approve(), by=SAM, digest=second.digest)
    runner.resume("week-48")
    after = shown(office, second.id)
    assert [one["said"] for one in after["stages"]] == ["done", "done, round 2", "done"]
    assert "the workflow goes on" in after["settled"]["text"]
    assert [row["name"] for row in after["made"]] == ["research"]


def test_an_earlier_stage_may_have_made_nothing(office: Office) -> None:
    runner = reporter(office.so, None)
    runner.start({}, thread_id="t")
    assert shown(office)["made"][0]["text"] == "null"


def test_what_an_earlier_stage_made_is_shown_field_by_field(office: Office) -> None:
    runner = reporter(office.so, {"found": "rose\nfell", "count": 2})
    runner.start({}, thread_id="t")
    made = [(one["name"], one["text"]) for one in shown(office)["made"]]
    assert made == [
        (f"research{INSIDE}found", "rose\nfell"),
        (f"research{INSIDE}count", "2"),
    ]


def test_silence_that_approves_is_told(office: Office) -> None:
    assert shown(office, office.ask("note", {}).id)["silence"] == "rejected"
    runner = reporter(office.so, None, on_expiry="approve", risk="low")
    runner.start({}, thread_id="t")
    assert shown(office, waiting(office.so, "t").id)["silence"] == "approved"


def test_on_the_page_respond_asks_for_changes(office: Office) -> None:
    runner = reporter(office.so, "notes")
    runner.start({}, thread_id="week-49")
    request = waiting(office.so, "week-49")
    page = opened(office.url, office.token("mira@example.com"))
    assert page.tabs[0].label == "About the gate"
    assert QUESTION in texts(page)
    with_open(page, office, "respond")
    assert "What is made from your words is asked anew" in texts(page)
    key = f"respond_{request.id}"
    page.button(key=f"{key}_go").click().run()
    assert "Write what is to be changed first." in texts(page)
    page.text_area(key=f"{key}_text").input("shorter").run()
    page.button(key=f"{key}_go").click().run()
    assert list(page.exception) == []
    settled = office.so.get(request.id)
    assert (settled.status.value, settled.outcome) == (
        "responded",
        {"decision": "respond", "message": "shorter"},
    )
    (pause,) = runner.resume("week-49").waiting
    assert (pause["round"], pause["remarks"]) == (2, ["shorter"])
