"""What is paused is shown in red, literally."""

from signoff import Principal
from signoff.inbox import viewing
from signoff.inbox.looking import look
from tests.inbox.conftest import Office
from tests.support import ROOT


def test_the_banner_says_what_is_paused_by_whom_and_why(office: Office) -> None:
    desk = office.desk("maria")
    request = office.ask("pay", {"amount": 1})
    assert viewing.paused(look(desk)) == {"pauses": []}
    mia = Principal(id="mia")
    made = office.so.pause(by=mia, tool="pay", reason="odd\u202e <b>")
    seen = look(desk)
    (shown,) = viewing.paused(seen)["pauses"]
    assert shown["what"] == "Paused: tool pay. Calls wait, deadlines stand still."
    assert shown["said"].startswith("By mia 0s ago: odd[U+202E] <b>\nNo call waits")
    assert made.id in shown["said"]
    (item,) = viewing.listing(desk, seen)["items"]
    assert item["frozen"] is True
    assert seen.case is not None
    detail = viewing.detail(desk, seen.case, seen.now)
    assert detail["frozen_at"] == office.so.get(request.id).frozen_at == made.paused_at
    office.so.lift(made.id, by=mia)
    after = look(desk)
    assert viewing.paused(after) == {"pauses": []}
    assert after.changed > seen.changed
    (item,) = viewing.listing(desk, after)["items"]
    assert item["frozen"] is False


def test_the_banner_is_red() -> None:
    style = (ROOT / "src/signoff/inbox/assets/paused.css").read_text(encoding="utf-8")
    assert "background: var(--critical)" in style
