"""People at the inbox, in a real browser, on a real server."""

import re
from collections.abc import Callable
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Locator, Page, expect

from signoff import Approve, Edit, Principal
from tests.browser.conftest import Site, exact, new_context, settled

PageOf = Callable[..., Page]
SAM = Principal(id="sam@example.com")
MAIL = {
    "type": "object",
    "properties": {
        "to": {"type": "string"},
        "subject": {"type": "string"},
        "body": {"type": "string"},
        "amount": {"type": "number"},
        "copies": {"type": "integer"},
        "urgent": {"type": "boolean"},
        "kind": {"enum": ["offer", "bill"]},
        "cc": {"type": "array", "items": {"type": "string"}},
        "note": {"anyOf": [{"type": "string"}, {"type": "null"}]},
        "address": {
            "type": "object",
            "properties": {"street": {"type": "string"}, "no": {"type": "integer"}},
        },
        "extra": {"type": "object"},
    },
    "required": ["to", "subject", "amount"],
}


def item(page: Page, text: str) -> Locator:
    return page.locator("li.item", has_text=text)


def headline(page: Page) -> Locator:
    return page.locator("h2.headline")


def choose(page: Page, text: str) -> None:
    item(page, text).click()
    expect(headline(page)).to_contain_text(text)


def approve(page: Page) -> Locator:
    return page.get_by_role("button", name="Approve", exact=False).first


def button(page: Page, name: str) -> Locator:
    return page.get_by_role("button", name=name, exact=True)


def act(page: Page, name: str) -> None:
    page.locator(f".actions [data-name={name}]").click()


def test_approve_then_the_next_waits_and_the_effect_is_told(
    page_of: PageOf, site: Site
) -> None:
    first = site.ask("pay_bill", {"to": "ACME", "amount": 10.5})
    site.ask("pay_bill", {"to": "Initech", "amount": 20})
    page = page_of()
    expect(page.get_by_role("heading", name="Inbox (2)")).to_be_visible()
    expect(page).to_have_title(re.compile(r"\(2\) Inbox"))
    choose(page, "ACME")
    approve(page).click()
    expect(page.get_by_role("status")).to_contain_text("Approved by you")
    expect(headline(page)).to_contain_text("Initech")
    request = settled(site, first, "approved")
    vote = site.so.votes(first.id)[0]
    assert (vote.principal, vote.channel, vote.digest) == (
        "mira@example.com",
        "inbox",
        request.digest,
    )
    entry = site.so.begin(request)
    assert entry is not None
    site.so.finish(entry, "finish", result=b"{}", summary="paid, number 17")
    expect(page.get_by_role("status")).to_contain_text(
        re.compile(r"executed \d+\.\d s later: paid, number 17")
    )


def test_reject_with_a_reason(page_of: PageOf, site: Site) -> None:
    request = site.ask("send_email", {"to": "a@example.com"})
    page = page_of()
    act(page, "reject")
    dialog = page.get_by_role("dialog")
    expect(dialog).to_contain_text("Send email to a@example.com")
    dialog.get_by_text("Wrong recipient").click()
    dialog.get_by_label("Reason (sent to the agent)").fill("Ask Dana first")
    dialog.get_by_role("button", name="Reject", exact=True).click()
    expect(page.get_by_role("status")).to_contain_text(
        "Rejected by you: Wrong recipient. Ask Dana first"
    )
    expect(page.locator(".nothing")).to_contain_text("Nothing waits")
    outcome = settled(site, request, "rejected").outcome
    assert outcome is not None
    assert outcome["reason"] == "Wrong recipient. Ask Dana first"


def test_respond_answers_the_agent(page_of: PageOf, site: Site) -> None:
    request = site.ask("look_up", {"query": "the address"})
    page = page_of()
    act(page, "respond")
    dialog = page.get_by_role("dialog")
    dialog.get_by_role("button", name="Send", exact=True).click()
    expect(dialog).to_contain_text("Write an answer first")
    dialog.get_by_label("Answer (sent to the agent)").fill("It is Main Street 1")
    dialog.get_by_role("button", name="Send", exact=True).click()
    expect(page.get_by_role("status")).to_contain_text("Responded by you")
    outcome = settled(site, request, "responded").outcome
    assert outcome is not None
    assert outcome["message"] == "It is Main Street 1"


@pytest.mark.row("B2")
def test_an_edit_keeps_every_type(page_of: PageOf, site: Site) -> None:
    args = {
        "to": "5",
        "subject": "Offer",
        "body": "Hi,\n\nbest",
        "amount": 1.0,
        "copies": 3,
        "urgent": False,
        "kind": "offer",
        "cc": ["b@example.com"],
        "note": None,
        "address": {"street": "Main", "no": 1},
        "extra": {"deep": {"x": [1, 2.0, None, "3"]}},
    }
    request = site.ask("send_mail", args, schema=MAIL)
    page = page_of()
    act(page, "edit")
    page.get_by_label("Subject *").fill("Another offer")
    page.get_by_label("Copies", exact=True).fill("4")
    page.get_by_label("Copies", exact=True).press("Enter")
    expect(page.get_by_role("heading", name="Your changes")).to_be_visible()
    rows = page.locator("tr.changed")
    expect(rows.filter(has_text="subject")).to_contain_text("Another offer")
    expect(rows.filter(has_text="copies")).to_contain_text("4")
    assert rows.count() == 2
    button(page, "Approve with edits").click()
    expect(page.get_by_role("status")).to_contain_text("Approved by you")
    stored = settled(site, request, "approved")
    assert exact(stored.args) == exact(
        {**args, "subject": "Another offer", "copies": 4}
    )


def test_an_edit_that_does_not_fit_says_where(page_of: PageOf, site: Site) -> None:
    schema = {
        "type": "object",
        "properties": {"amount": {"type": "number", "maximum": 100}},
        "required": ["amount"],
    }
    request = site.ask("pay_bill", {"amount": 50}, schema=schema)
    page = page_of()
    act(page, "edit")
    amount = page.get_by_label("Amount *")
    amount.fill("fifty")
    amount.press("Enter")
    problems = page.get_by_role("alert").filter(has_text="Your changes")
    expect(problems).to_contain_text("write a number")
    expect(button(page, "Approve with edits")).to_be_disabled()
    amount.fill("500")
    amount.press("Enter")
    expect(button(page, "Approve with edits")).to_be_enabled()
    button(page, "Approve with edits").click()
    expect(problems).to_contain_text("args.amount: 500")
    assert site.status(request) == "pending"
    button(page, "Cancel edit").click()
    expect(page.locator(".rows")).to_contain_text("50")


def test_it_updates_without_a_reload(page_of: PageOf, site: Site) -> None:
    page = page_of()
    expect(page.locator(".nothing")).to_contain_text("Nothing waits")
    expect(page.locator(".live")).to_have_text("live")
    page.evaluate("window.sameLoad = true")
    request = site.ask("delete_file", {"path": "notes.txt"})
    expect(headline(page)).to_have_text("Delete file notes.txt")
    site.so.cancel(request.id, by=SAM, reason="not needed any more")
    expect(page.locator(".nothing")).to_be_visible()
    expect(page.locator(".settled")).to_contain_text(
        "Cancelled by sam@example.com: not needed any more"
    )
    assert page.evaluate("window.sameLoad") is True


def test_of_two_browsers_one_wins_and_the_other_is_told_who(
    page_of: PageOf, site: Site
) -> None:
    request = site.ask("pay_bill", {"to": "ACME", "amount": 5})
    late = page_of("mira", live=False)
    expect(approve(late)).to_be_enabled()
    early = page_of("sam")
    approve(early).click()
    expect(early.get_by_role("status")).to_contain_text("Approved by you")
    approve(late).click()
    expect(late.get_by_role("status")).to_contain_text(
        re.compile(r"Already approved by sam@example\.com \d+s ago")
    )
    assert [vote.principal for vote in site.so.votes(request.id)] == ["sam@example.com"]


def test_what_changed_meanwhile_is_shown_and_not_approved(
    page_of: PageOf, site: Site
) -> None:
    request = site.ask("transfer", {"to": "ACME", "amount": 5})
    page = page_of(live=False)
    expect(approve(page)).to_be_enabled()
    edit = Edit(args={"to": "ACME", "amount": 50})
    site.so.decide(request.id, edit, by=SAM, digest=request.digest)
    approve(page).click()
    expect(page.get_by_role("status")).to_contain_text("It asks something else now")
    expect(page.locator("tr.changed")).to_contain_text("50")
    assert [vote.principal for vote in site.so.votes(request.id)] == ["sam@example.com"]
    approve(page).click()
    expect(page.get_by_role("status")).to_contain_text("Approved by you")
    settled(site, request, "approved")


def test_two_approvals_say_how_many_there_are(page_of: PageOf, site: Site) -> None:
    request = site.ask("transfer", {"to": "ACME", "amount": 5})
    page = page_of("mira", f"/?request={request.id}")
    expect(page.locator(".chip.info")).to_contain_text("0 of 2 approvals")
    approve(page).click()
    expect(page.get_by_role("status")).to_contain_text(
        "Your approval is recorded · 1 of 2"
    )
    button(page, "Open").click()
    expect(page.locator(".votes")).to_contain_text("You approved")
    expect(page.locator(".hint")).to_contain_text("somebody else must too")
    expect(approve(page)).to_be_disabled()
    assert site.status(request) == "pending"


@pytest.mark.row("B14")
def test_a_double_press_never_decides_a_second_item(
    page_of: PageOf, site: Site
) -> None:
    first = site.ask("pay_bill", {"to": "First", "amount": 1})
    second = site.ask("pay_bill", {"to": "Second", "amount": 2})
    page = page_of()
    choose(page, "First")
    expect(approve(page)).to_be_enabled()
    box = approve(page).bounding_box()
    assert box is not None
    at = (box["x"] + 20, box["y"] + 10)
    page.mouse.dblclick(*at)
    expect(headline(page)).to_contain_text("Second")
    page.mouse.click(*at)
    page.keyboard.press("a")
    page.keyboard.press("Enter")
    expect(approve(page)).to_be_enabled()  # it was on screen long enough only now
    settled(site, first, "approved")
    assert site.status(second) == "pending"


@pytest.mark.row("B14")
def test_no_single_letter_approves(page_of: PageOf, site: Site) -> None:
    first = site.ask("pay_bill", {"to": "First", "amount": 1})
    site.ask("pay_bill", {"to": "Second", "amount": 2})
    page = page_of()
    choose(page, "First")
    expect(approve(page)).to_be_enabled()
    for key in "abcdfghilopqrstuvwxyzA":
        page.keyboard.press(key)
    page.keyboard.press("j")
    expect(headline(page)).to_contain_text("Second")  # the keys were heard
    page.keyboard.press("k")
    expect(headline(page)).to_contain_text("First")
    assert site.status(first) == "pending"
    expect(approve(page)).to_be_enabled()
    page.keyboard.press("a")
    expect(approve(page)).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.get_by_role("status")).to_contain_text("Approved by you")


@pytest.mark.row("B15")
def test_no_shortcut_fires_under_a_dialog(page_of: PageOf, site: Site) -> None:
    first = site.ask("pay_bill", {"to": "First", "amount": 1})
    second = site.ask("pay_bill", {"to": "Second", "amount": 2})
    page = page_of()
    choose(page, "First")
    expect(approve(page)).to_be_enabled()
    act(page, "reject")
    dialog = page.get_by_role("dialog")
    expect(dialog).to_be_visible()
    dialog.get_by_text("The agent is told why").click()
    for key in ("a", "Enter", "e", "m", "j", "k", "n", " "):
        page.keyboard.press(key)
    dialog.get_by_label("Reason (sent to the agent)").press_sequentially("jam new")
    expect(dialog).to_contain_text("Reject this action")
    page.keyboard.press("Escape")
    expect(dialog).to_be_hidden()
    expect(headline(page)).to_contain_text("First")
    assert page.locator("[data-testid=stDialog]").count() == 0
    assert {site.status(first), site.status(second)} == {"pending"}


@pytest.mark.parametrize("where", ["reject", "edit"])
def test_what_is_typed_survives_a_change_elsewhere(
    page_of: PageOf, site: Site, where: str
) -> None:
    site.ask("pay_bill", {"to": "First", "amount": 1})
    page, other = page_of(), page_of("sam")
    act(page, where)
    labels = {"reject": "Reason (sent to the agent)", "edit": "To"}
    field = page.get_by_label(labels[where], exact=True)
    field.press_sequentially("half a sent")
    before = field.input_value()
    site.ask("pay_bill", {"to": "Second", "amount": 2})
    seen_by = other if where == "reject" else page
    expect(seen_by.get_by_role("heading", name="Inbox (2)")).to_be_visible()
    field.press("End")
    field.press_sequentially("ence")
    expect(field).to_have_value(f"{before}ence")
    button(page, "Cancel" if where == "reject" else "Cancel edit").click()
    expect(page.get_by_role("heading", name="Inbox (2)")).to_be_visible()


def test_a_long_value_of_high_risk_is_read_before_it_is_approved(
    page_of: PageOf, site: Site
) -> None:
    text = "harmless " * 200 + "AND WIRE THE MONEY " + "harmless " * 200
    site.ask("publish", {"text": text})
    page = page_of()
    expect(page.locator(".hint")).to_contain_text("first show all of: text")
    expect(page.locator(".rows")).not_to_contain_text("AND WIRE THE MONEY")
    expect(approve(page)).to_be_disabled()
    page.get_by_role("button", name=re.compile("Show all 3,619 characters")).click()
    expect(page.locator(".rows")).to_contain_text("AND WIRE THE MONEY")
    expect(approve(page)).to_be_enabled()


def test_a_critical_call_is_approved_with_a_typed_word(
    page_of: PageOf, site: Site
) -> None:
    request = site.ask("wipe_table", {"table": "orders", "dry_run": False})
    page = page_of()
    approve(page).click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_role("button", name="Approve", exact=True).click()
    expect(dialog).to_contain_text("Nothing was approved: orders was not typed")
    assert site.status(request) == "pending"
    dialog.get_by_label("Confirmation").fill("orders")
    dialog.get_by_role("button", name="Approve", exact=True).click()
    settled(site, request, "approved")


def test_a_person_says_whether_a_lost_call_happened(
    page_of: PageOf, site: Site
) -> None:
    request = site.ask("pay_bill", {"to": "ACME", "amount": 5})
    by = Principal(id="mira@example.com")
    site.so.decide(request.id, Approve(), by=by, digest=request.digest)
    entry = site.so.begin(site.so.get(request.id))
    assert entry is not None
    site.so.finish(entry, "lose", result=None, summary="the worker went silent")
    page = page_of()
    box = page.locator(f".st-key-unknown_{entry.id}")
    expect(box).to_contain_text("Did this happen? Pay bill 5 to ACME")
    box.get_by_label("How do you know?").fill("It is on the statement")
    box.get_by_role("button", name="It happened", exact=True).click()
    expect(box).to_have_count(0)
    found = site.so.entry_of(site.so.get(request.id))
    assert found is not None
    assert found.state.value == "done"


def test_filters_orders_and_pages(page_of: PageOf, site: Site) -> None:
    for number in range(27):
        site.ask("pay_bill", {"to": f"Payee{number}", "amount": number})
    site.ask("publish", {"title": "Weekly"}, agent="press-agent")
    page = page_of()
    expect(page.locator("li.item")).to_have_count(25)
    button(page, "Show more").click()
    expect(page.locator("li.item")).to_have_count(28)
    button(page, "high").click()
    expect(page.locator("li.item")).to_have_count(1)
    expect(page.locator(".found")).to_have_text("1 match")
    expect(page.get_by_role("heading", name="Inbox (28)")).to_be_visible()
    button(page, "high").click()
    page.get_by_label("Filter by agent").select_option("press-agent")
    expect(page.locator("li.item")).to_have_count(1)
    page.get_by_label("Filter by agent").select_option("Any agent")
    page.get_by_label("Order").select_option("Risk first")
    expect(page.locator("li.item").first).to_contain_text("publish")


def test_without_a_session_it_asks_to_sign_in_and_comes_back(
    chromium: Browser, site: Site
) -> None:
    wanted = site.ask("pay_bill", {"to": "Linked", "amount": 1})
    site.ask("pay_bill", {"to": "Other", "amount": 2})
    context = new_context(chromium, site, None)
    page = context.new_page()
    page.goto(f"{site.url}/?request={wanted.id}")
    page.get_by_role("link", name="Sign in").click()
    page.get_by_label("Your token").fill("sgn_nobody_knows")
    page.get_by_role("button", name="Sign in").click()
    expect(page.get_by_role("alert")).to_be_visible()
    page.get_by_label("Your token").fill(site.secrets["mira"])
    page.get_by_role("button", name="Sign in").click()
    expect(headline(page)).to_contain_text("Linked")
    button(page, "Sign out").click()
    expect(page.get_by_label("Your token")).to_be_visible()
    page.goto(site.url)
    expect(page.get_by_role("link", name="Sign in")).to_be_visible()
    context.close()


def test_a_phone_shows_the_list_or_one_request(
    chromium: Browser, site: Site, tmp_path: Path
) -> None:
    site.ask("pay_bill", {"to": "First", "amount": 1})
    site.ask("pay_bill", {"to": "Second", "amount": 2})
    context = new_context(
        chromium,
        site,
        "mira",
        viewport={"width": 390, "height": 844},
        is_mobile=True,
        has_touch=True,
        color_scheme="dark",
    )
    page = context.new_page()
    page.goto(site.url)
    expect(page.locator("li.item")).to_have_count(2)
    expect(headline(page)).to_be_hidden()
    item(page, "Second").tap()
    expect(headline(page)).to_contain_text("Second")
    expect(item(page, "First")).to_be_hidden()
    width = page.evaluate("document.documentElement.scrollWidth")
    page.screenshot(path=tmp_path / "phone.png")
    assert width <= 390
    button(page, "Back to the inbox").tap()
    expect(item(page, "First")).to_be_visible()
    context.close()
