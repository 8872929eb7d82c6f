"""The page as Streamlit draws it, against a real server."""

import json
from typing import Any

import pytest
from streamlit.testing.v1 import AppTest

from signoff.inbox.desk import Desk
from tests.inbox.conftest import Office
from tests.support import free_port

SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {
        "to": {"type": "string"},
        "amount": {"type": "number"},
        "count": {"type": "integer"},
        "urgent": {"type": "boolean"},
        "kind": {"enum": ["offer", "bill", "other", "none", "more"]},
        "note": {"anyOf": [{"type": "string"}, {"type": "null"}]},
    },
    "required": ["to", "amount"],
}
ARGS: dict[str, Any] = {
    "to": "a@example.com",
    "amount": 1.0,
    "count": 3,
    "urgent": False,
    "kind": "offer",
    "note": None,
}


def script(url: str, token: str | None) -> None:
    """Runs inside Streamlit, which sees nothing of this file."""
    from signoff.inbox.page import draw

    draw(url, token)


def opened(url: str, token: str | None) -> AppTest:
    """The page of whoever the token stands for, drawn once."""
    page = AppTest.from_function(
        script, default_timeout=30, kwargs={"url": url, "token": token}
    )
    page.run()
    assert list(page.exception) == []
    return page


def with_open(page: AppTest, office: Office, kind: str) -> AppTest:
    """The page after a press on one of the buttons of the request that is shown."""
    desk: Desk = page.session_state["desk"]
    assert desk.selected is not None
    request = office.so.get(desk.selected)
    desk.open({"kind": kind, "id": request.id, "digest": request.digest})
    page.run()
    assert list(page.exception) == []
    return page


def texts(page: AppTest) -> str:
    return "\n".join(element.value for element in page.text)


@pytest.mark.parametrize("token", [None, "", "sgn_nobody", "no token at all"])
def test_without_a_good_token_nothing_is_shown(
    office: Office, token: str | None
) -> None:
    office.ask("note", {"secret": "plans"})
    page = opened(office.url, token)
    assert "desk" not in page.session_state
    assert "plans" not in str(page)
    assert list(page.tabs) == []


def test_a_server_that_is_away_is_told(office: Office) -> None:
    url = f"http://127.0.0.1:{free_port()}"
    page = opened(url, office.token("mira@example.com"))
    assert "No signoff server answers" in texts(page)
    assert [button.label for button in page.button] == ["Try again"]


def test_the_raw_tab_shows_exactly_what_the_digest_is_of(office: Office) -> None:
    request = office.ask("note", {"text": "a\u200bb"})
    page = opened(office.url, office.token("mira@example.com"))
    (code,) = page.code
    assert json.loads(code.value) == request.shown()
    assert "\u200b" not in code.value
    assert request.digest in texts(page)
    assert "request" not in page.query_params  # nobody chose it


def test_the_address_names_the_request_that_was_chosen(office: Office) -> None:
    office.ask("note", {"n": 1})
    chosen = office.ask("note", {"n": 2})
    page = opened(office.url, office.token("mira@example.com"))
    page.session_state["desk"].select(chosen.id)
    page.run()
    assert page.query_params["request"] == chosen.id
    again = AppTest.from_function(script, default_timeout=30)
    again.kwargs = {"url": office.url, "token": office.token("sam@example.com")}
    again.query_params["request"] = chosen.id
    again.run()
    desk: Desk = again.session_state["desk"]
    assert (desk.selected, desk.focused) == (chosen.id, True)


def test_an_edit_sends_what_was_typed_and_keeps_the_rest(office: Office) -> None:
    request = office.ask("send", ARGS, schema=SCHEMA)
    page = opened(office.url, office.token("mira@example.com"))
    with_open(page, office, "edit")
    key = f"edit_{request.id}_1_args"
    assert page.button(key="edit_go").disabled
    page.text_input(key=f"{key}.amount").input("2.50").run()
    page.toggle(key=f"{key}.urgent").set_value(v=True).run()
    page.selectbox(key=f"{key}.kind").select_index(1).run()
    page.checkbox(key=f"{key}.note_sends").check().run()
    page.text_input(key=f"{key}.note").input("now").run()
    page.checkbox(key=f"{key}.count_sends").uncheck().run()
    page.button(key="edit_go").click().run()
    stored = office.so.get(request.id)
    expected = {
        "to": "a@example.com",
        "amount": 2.5,
        "urgent": True,
        "kind": "bill",
        "note": "now",
    }
    assert json.dumps(stored.args, sort_keys=True) == json.dumps(
        expected, sort_keys=True
    )
    assert stored.status.value == "approved"


def test_an_edit_that_cannot_be_read_cannot_be_sent(office: Office) -> None:
    request = office.ask("send", ARGS, schema=SCHEMA)
    page = opened(office.url, office.token("mira@example.com"))
    with_open(page, office, "edit")
    page.text_input(key=f"edit_{request.id}_1_args.amount").input("lots").run()
    assert page.button(key="edit_go").disabled
    page.button(key="edit_cancel").click().run()
    assert page.session_state["desk"].opened is None
    assert office.so.get(request.id).args == ARGS


def test_a_rejection_carries_the_quick_and_the_typed_reason(office: Office) -> None:
    request = office.ask("send", ARGS)
    page = opened(office.url, office.token("mira@example.com"))
    with_open(page, office, "reject")
    key = f"reject_{request.id}"
    page.button_group(key=f"{key}_quick").select("Not now").run()
    page.text_area(key=f"{key}_text").input("Ask again in May").run()
    page.button(key=f"{key}_go").click().run()
    settled = office.so.get(request.id)
    assert settled.status.value == "rejected"
    assert settled.outcome is not None
    assert settled.outcome["reason"] == "Not now. Ask again in May"


def test_an_empty_answer_is_not_sent(office: Office) -> None:
    request = office.ask("send", ARGS)
    page = opened(office.url, office.token("mira@example.com"))
    with_open(page, office, "respond")
    page.button(key=f"respond_{request.id}_go").click().run()
    assert "Write an answer first." in texts(page)
    assert office.so.get(request.id).status.value == "pending"


def test_a_dialog_closes_when_others_decide(office: Office) -> None:
    request = office.ask("send", ARGS)
    page = opened(office.url, office.token("mira@example.com"))
    with_open(page, office, "reject")
    other = office.desk("sam@example.com")
    other.approve({"kind": "approve", "id": request.id, "digest": request.digest})
    page.run()
    assert page.session_state["desk"].opened is None
    assert "reject_" not in str([button.key for button in page.button])
