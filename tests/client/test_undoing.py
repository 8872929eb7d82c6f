"""Undos and outcomes: the same from the use cases and from the client."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from functools import partial
from pathlib import Path

import pytest

from signoff import Principal, Signoff, Status, hold, review
from signoff.client import Client
from signoff.domain.errors import (
    AlreadyDecided,
    AlreadyUndone,
    CannotSettle,
    DependentsInTheWay,
    EntryNotFound,
    ForceNeedsReason,
    HoldOver,
    InvalidSetting,
    NotAllowed,
    NotReversible,
    PayloadRefused,
    RequestNotFound,
    SignoffError,
    UndoConflict,
    WindowClosed,
)
from signoff.domain.journal import Entry, EntryState
from signoff.domain.principals import PrincipalKind
from signoff.domain.undoing import Dependence
from signoff.server import Server
from tests.client.desks import Desk, Direct, Office
from tests.conformance.outside import (
    RULE,
    Handling,
    World,
    action,
    begun,
    created,
    opened,
    register,
    renamed,
)
from tests.server.house import House

WHY = "wrong \u202e <b>one</b>"


@pytest.fixture
def world(tmp_path: Path) -> World:
    made = World(tmp_path / "world.db")
    made.set("7", title="old", owner="eve")
    return made


@pytest.fixture(params=["direct", "http"])
def office(
    request: pytest.FixtureRequest, database_url: str, world: World
) -> Iterator[Office]:
    """On each database, without a server and with one; the undos are registered."""
    with ExitStack() as stack:
        so = stack.enter_context(opened(database_url, world))
        house = House(so)
        if request.param == "direct":
            yield Office(house, lambda name: Direct(so, house.who(name)))
        else:
            yield Office(house, served(stack, so, house))
        assert so.audit().holds


def served(stack: ExitStack, so: Signoff, house: House) -> Callable[[str], Desk]:
    server = stack.enter_context(Server(so))
    return lambda name: stack.enter_context(Client(server.url, house.secret(name)))


def test_an_effect_is_looked_at_and_taken_back(office: Office, world: World) -> None:
    desk, so = office.desk("bo"), office.house.so
    entry = renamed(so, world)
    assert desk.entry(entry.id) == entry
    assert list(desk.open_windows()) == [entry]
    assert list(desk.dependents(entry.id)) == []
    plan = desk.undo_plan(entry.id)
    assert plan == so.undo_plan(entry.id)
    assert plan.steps[0].conflict == ()
    undone = desk.undo_action(entry.id, reason=WHY)
    assert (undone.state, undone.undo_by) == (EntryState.UNDONE, "bo")
    assert (undone.undo_reason, undone.undo_forced) == (WHY, False)
    assert undone == so.entry(entry.id)
    assert world.get("7") == {"title": "old", "owner": "eve"}
    with pytest.raises(AlreadyUndone) as caught:
        office.desk("cy").undo_action(entry.id)
    told = {"entry_id": entry.id, "by": "bo", "at": undone.undo_at}
    assert vars(caught.value) == told
    assert list(desk.open_windows()) == []


def test_a_conflict_says_what_changed_and_is_overridden_by_who_may(
    office: Office, world: World
) -> None:
    entry = renamed(office.house.so, world)
    world.set("7", title="theirs")
    desk = office.desk("bo")
    change = {"path": "title", "before": "old", "after": "new", "now": "theirs"}
    (step,) = desk.undo_plan(entry.id).steps
    assert step.conflict is not None
    assert [one.as_json() for one in step.conflict] == [change]
    with pytest.raises(UndoConflict) as caught:
        desk.undo_action(entry.id)
    assert vars(caught.value) == {"entry_id": entry.id, "diff": (change,)}
    with pytest.raises(NotAllowed, match="is forced by: admin"):
        desk.undo_action(entry.id, force=True, reason="it must go")
    office.house.secret("root", "admin")
    root = office.desk("root")
    with pytest.raises(ForceNeedsReason):
        root.undo_action(entry.id, force=True)
    forced = root.undo_action(entry.id, force=True, reason="it must go")
    assert (forced.state, forced.undo_forced) == (EntryState.UNDONE, True)


def test_what_others_need_is_undone_after_them(office: Office, world: World) -> None:
    desk, so = office.desk("bo"), office.house.so
    first = created(so, world, 1, "issue-1")
    second = renamed(so, world, 2)
    needs = begun(so, action("create", 3, id="issue-3", parent="made-issue-1"))
    world.put("issue-3", {"uid": 3}, "created")
    assert so.finish(
        needs, "finish", result=b"", summary="made", output={"id": "issue-3"}
    )
    (dependent,) = desk.dependents(first.id)
    assert (dependent.entry.id, dependent.how) == (needs.id, Dependence.PROBABLE)
    with pytest.raises(DependentsInTheWay) as caught:
        desk.undo_action(first.id)
    assert caught.value.dependents == ((needs.id, "probable"),)
    plan = desk.undo_plan(since=first.id, only_dependents=True)
    assert [step.entry.id for step in plan.steps] == [needs.id, first.id]
    assert plan == so.undo_plan(since=first.id, only_dependents=True)
    assert desk.undo_plan(thread="t1") == so.undo_plan(thread="t1")
    run = desk.undo_since(first.id, only_dependents=True, reason=WHY)
    assert [one.id for one in run.done] == [needs.id, first.id]
    assert (run.stopped_at, run.left) == (None, ())
    rest = desk.undo_thread("t1", reason=WHY)
    assert rest.done == (so.entry(second.id),)
    assert world.get("7") == {"title": "old", "owner": "eve"}


def test_where_it_stops_is_told_and_what_was_undone_stays(
    office: Office, world: World
) -> None:
    desk, so = office.desk("bo"), office.house.so
    first, second = renamed(so, world, 1, "one"), created(so, world, 2, "i2")
    last = created(so, world, 3, "issue-3")
    world.set("i2", uid=99)
    run = desk.undo_since(first.id)
    assert [one.id for one in run.done] == [last.id]
    assert run.stopped_at is not None
    assert (run.stopped_at.id, [one.id for one in run.left]) == (second.id, [first.id])
    assert "uid changed since" in (run.why or "")
    assert world.get("issue-3") is None


def refused(desk: Desk, robot: Desk, plain: Entry) -> Iterator[tuple[object, object]]:
    """What is refused, and the error that says why."""
    for name in ("ent_none", "..", "a/b", "", "a?b#c%2f"):
        unknown = EntryNotFound(name)
        yield lambda n=name: desk.entry(n), unknown
        yield lambda n=name: desk.undo_action(n), unknown
        yield lambda n=name: desk.undo_plan(n), unknown
        yield lambda n=name: desk.undo_plan(since=n), unknown
        yield lambda n=name: desk.undo_since(n), unknown
        yield lambda n=name: desk.dependents(n), unknown
    blocked = "it isn't known whether it happened"
    yield lambda: desk.undo_action(plain.id), NotReversible(plain.id, blocked)
    wanted = "undos are for people, and for agents that the rule names as undoers."
    yield lambda: robot.undo_action(plain.id), NotAllowed("robot", wanted)
    both = "takes happened= True or False, or again=True: one of them."
    yield lambda: desk.settle(plain.id), InvalidSetting("settle", both)
    yield (
        lambda: desk.settle(plain.id, happened=True, again=True),
        InvalidSetting("settle", both),
    )


def test_refusals(office: Office, world: World) -> None:
    so, house = office.house.so, office.house
    house.secret("robot", kind=PrincipalKind.AGENT)
    plain = lost(so, world)
    bo, robot = office.desk("bo"), office.desk("robot")
    before = house.events()
    for act, expected in refused(bo, robot, plain):
        assert callable(act)
        assert isinstance(expected, SignoffError)
        with pytest.raises(type(expected)) as caught:
            act()
        assert vars(caught.value) == vars(expected)
    with pytest.raises(PayloadRefused):
        bo.settle(plain.id, happened=True, result=float("nan"))
    assert house.events() == before


def test_a_window_is_closed_by_a_person(office: Office, world: World) -> None:
    desk, entry = office.desk("bo"), renamed(office.house.so, world)
    closed = desk.close_window(entry.id, reason=WHY)
    assert closed.state is EntryState.FINAL
    with pytest.raises(WindowClosed):
        desk.undo_action(entry.id)
    with pytest.raises(NotReversible):
        desk.close_window(entry.id)


def test_a_held_call_is_cancelled_or_sent(database_url: str, world: World) -> None:
    with opened(database_url, world, hold("mail", window="1h")) as so:
        house, desks = House(so), list[Desk]()
        with ExitStack() as stack:
            desks += [served(stack, so, house)("bo"), Direct(so, house.who("cy"))]
            for number, desk in enumerate(desks):
                first = so.begin_held(action("mail", 2 * number))
                second = so.begin_held(action("mail", 2 * number + 1))
                assert first is not None
                assert second is not None
                cancelled = desk.cancel_held(first.id, reason=WHY)
                assert cancelled == so.entry(first.id)
                assert cancelled.state is EntryState.CANCELLED
                with pytest.raises(HoldOver, match="already cancelled"):
                    desk.release(first.id)
                sent = desk.release(second.id)  # no process here has the tool
                assert sent == so.entry(second.id)
                with pytest.raises(EntryNotFound):
                    desk.cancel_held("ent_none")
        assert so.audit().holds


def test_cancel_takes_requests_and_held_calls(database_url: str, world: World) -> None:
    rules = hold("mail", window="1h"), review("pay")
    with opened(database_url, world, *rules) as so, ExitStack() as stack:
        house = House(so)
        server = stack.enter_context(Server(so))
        client = stack.enter_context(Client(server.url, house.secret("bo")))
        by = Principal(id="bo")
        ways: tuple[Callable[..., object], ...]
        ways = client.cancel, partial(so.cancel, by=by)
        for number, cancel in enumerate(ways):
            parked = so.begin_held(action("mail", number))
            assert parked is not None
            held = cancel(parked.id, reason=WHY)
            assert held == so.entry(parked.id)
            assert (held.state, held.undo_by) == (EntryState.CANCELLED, "bo")
            asked = house.ask("pay")
            assert cancel(asked.id, reason=WHY) == so.get(asked.id)
            assert so.get(asked.id).status is Status.CANCELLED
            with pytest.raises(HoldOver, match="already cancelled"):
                cancel(parked.id)
            with pytest.raises(AlreadyDecided, match="already cancelled by bo"):
                cancel(asked.id)
            with pytest.raises(EntryNotFound):
                cancel("ent_none")
            with pytest.raises(RequestNotFound):
                cancel("nothing")


def lost(so: Signoff, world: World, number: int = 1) -> Entry:
    """A rename whose worker went silent after it happened."""
    entry = begun(so, action("rename", number, id="7", title="new"))
    world.set("7", "effect", title="new")
    assert so.finish(entry, "lose", result=None, summary="no answer")
    return so.entry(entry.id)


def test_an_unknown_outcome_is_settled_with_its_result(
    office: Office, world: World
) -> None:
    desk, entry = office.desk("bo"), lost(office.house.so, world)
    assert list(desk.unknowns()) == [entry]
    assert desk.look_into(entry) == entry  # it has no probe
    settled = desk.settle(entry.id, happened=True, note=WHY, result={"n": [1, 1.0]})
    assert (settled.state, settled.summary) == (EntryState.DONE, WHY)
    assert repr(settled.output) == repr({"n": [1, 1.0]})
    assert settled.undo_until is not None
    assert desk.undo_action(entry.id).state is EntryState.UNDONE


def test_an_unknown_outcome_is_tried_again(office: Office, world: World) -> None:
    desk, entry = office.desk("bo"), lost(office.house.so, world)
    again = desk.settle(entry.id, again=True, note="the network is back")
    assert (again.state, again.key) == (EntryState.PREPARED, entry.key)
    with pytest.raises(CannotSettle, match="is prepared"):
        desk.settle(entry.id, happened=False)


def test_a_probe_settles_what_it_knows(office: Office, world: World) -> None:
    desk, so = office.desk("bo"), office.house.so
    register(so, world, Handling(probe=True))
    entry = lost(so, world)
    found = desk.look_into(entry)
    assert (found.state, found.output) == (EntryState.DONE, {"id": "7"})


def test_without_the_undo_here_another_process_carries_it_out(
    database_url: str, world: World
) -> None:
    with opened(database_url, world) as agent, ExitStack() as stack:
        entry = renamed(agent, world)
        bare = stack.enter_context(closing(Signoff(database_url, policy=[RULE])))
        house = House(bare)
        desk = served(stack, bare, house)("bo")
        (step,) = desk.undo_plan(entry.id).steps
        assert (step.barrier, step.conflict) == (None, None)  # nobody here can look
        assert desk.undo_action(entry.id).state is EntryState.UNDOING
        assert world.count("inverse") == 0
        assert agent.run_due() >= 1
        assert desk.entry(entry.id).state is EntryState.UNDONE
