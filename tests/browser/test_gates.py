"""A workflow's gate in a real browser, and the banner of a pause."""

from playwright.sync_api import expect

from signoff import Principal, Respond
from tests.browser.conftest import Site, settled
from tests.browser.test_journeys import PageOf, act, choose, headline
from tests.inbox.workflow import QUESTION, reporter, waiting

SAM = Principal(id="sam@example.com")


def test_a_gate_shows_its_stages_and_takes_requests_for_changes(
    page_of: PageOf, site: Site
) -> None:
    runner = reporter(site.so, "Sales rose.\n<img src=x onerror=alert(1)>")
    runner.start({}, thread_id="week-50")
    first = waiting(site.so, "week-50")
    site.so.decide(
        first.id, Respond(message="<i>shorter</i>"), by=SAM, digest=first.digest
    )
    runner.resume("week-50")
    page = page_of()
    expect(headline(page)).to_contain_text("Go on after: Plan")
    stages = page.get_by_role("list", name="Stages of the workflow")
    expect(stages.get_by_role("listitem")).to_have_text(
        ["research: done", "plan: waiting, round 2", "publish: ahead"]
    )
    expect(page.locator(".question")).to_have_text(QUESTION)
    expect(page.locator(".remarks")).to_have_text(
        "Changes after round 1: <i>shorter</i>"
    )
    made = page.locator("table.rows").last
    expect(made).to_contain_text("<img src=x onerror=alert(1)>")
    expect(page.locator(".root img")).to_have_count(0)
    respond = page.locator(".actions [data-name=respond]")
    expect(respond).to_contain_text("Request changes")
    act(page, "respond")
    dialog = page.get_by_role("dialog")
    dialog.get_by_label("Changes (sent to the workflow)").fill("name the region")
    dialog.get_by_role("button", name="Send", exact=True).click()
    expect(page.get_by_role("status")).to_contain_text("Changes asked for by you")
    settled(site, waiting(site.so, "week-50"), "responded")
    (pause,) = runner.resume("week-50").waiting
    assert pause["remarks"] == ["<i>shorter</i>", "name the region"]
    expect(page.locator("li.item")).to_have_count(1)  # it comes back without a reload


def test_the_banner_of_a_pause_comes_and_goes_by_itself(
    page_of: PageOf, site: Site
) -> None:
    site.ask("pay_bill", {"to": "ACME"})
    page = page_of()
    choose(page, "ACME")
    banner = page.get_by_role("alert").filter(has_text="Paused:")
    expect(banner).to_have_count(0)
    made = site.so.pause(by=SAM, tool="pay_*", reason="odd payments")
    expect(banner).to_contain_text("Paused: tool pay_*.")
    expect(banner).to_contain_text("By sam@example.com")
    red = banner.locator(".paused").evaluate("e => getComputedStyle(e).backgroundColor")
    assert red == "rgb(210, 43, 63)"
    expect(page.locator(".deadline")).to_contain_text("the deadline stands still")
    site.so.lift(made.id, by=SAM)
    expect(banner).to_have_count(0)
    expect(page.locator(".deadline")).to_contain_text("if nobody answers: rejected in")
