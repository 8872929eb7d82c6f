"""One suite, two databases: what the port promises, the store does."""

import base64
import json
from dataclasses import replace
from datetime import timedelta

import pytest

from signoff import Filter, Status
from signoff.clock import Clock, wall_us
from signoff.domain.actions import ToolTraits
from signoff.domain.agreement import Quorum
from signoff.domain.errors import InvalidSetting, PayloadRefused
from signoff.domain.journal import EntryState
from signoff.domain.ledger import GENESIS, Fact, verify
from signoff.domain.pauses import Pause
from signoff.domain.principals import PrincipalKind, Token
from signoff.domain.requests import Request, Vote
from signoff.ports import KnownTool
from signoff.service.propose import running_entry
from signoff.storage import SqlStore, open_store
from tests.storage.making import request

HOUR = 3_600_000_000
TOLD = Fact(kind="started", subject="ent_1", body={"at": 1.0})


def add(store: SqlStore, *requests: Request) -> None:
    for one in requests:
        with store.writing(one.thread) as tx:
            assert tx.add_request(one)


def fresh(store: SqlStore, number: int = 1) -> Request:
    """A pending request that was asked now."""
    with store.reading() as reading:
        made = request(number, now=reading.now())
    add(store, made)
    return made


def vote(one: Request, principal: str, kind: str = "approve") -> Vote:
    return Vote(
        request_id=one.id,
        revision=one.revision,
        principal=principal,
        kind=kind,
        at=1,
        channel="test",
        digest=one.digest,
    )


def packed(*values: object) -> str:
    return base64.urlsafe_b64encode(json.dumps(values).encode()).decode()


def test_a_request_comes_back_as_it_went(store: SqlStore) -> None:
    made = request(
        args={"f": 1.0, "n": 1, "t": "\x00 é \U0001f600", "l": [None, True, {}]},
        schema={"type": "object"},
        note="because",
    )
    add(store, made)
    with store.reading() as reading:
        kept = reading.request(made.id)
        assert kept == made == reading.request_of(made.action_id)
        assert kept is not None
        assert [type(v) for v in kept.args.values()] == [float, int, str, list]
        assert reading.request("req_none") is None
        assert reading.requests_of_thread(made.thread) == [made]


def test_a_row_is_added_once(store: SqlStore) -> None:
    made = request()
    with store.writing(made.thread) as tx:
        assert tx.add_request(made)
        assert not tx.add_request(made)
        assert not tx.add_request(replace(made, id="req_other"))  # the same ask
        assert tx.add_vote(vote(made, "ann"))
        assert not tx.add_vote(vote(made, "ann"))
        assert tx.add_vote(vote(made, "ann", "reject"))
        assert tx.add_policy("v", [])
        assert not tx.add_policy("v", [])
    with store.reading() as reading:
        assert [v.kind for v in reading.votes(made.id)] == ["approve", "reject"]
        assert reading.policy("v") == []
        assert reading.policy("w") is None


def test_a_transaction_that_raises_leaves_nothing(store: SqlStore) -> None:
    made = request()

    def half() -> None:
        with store.writing(made.thread) as tx:
            tx.add_request(made)
            tx.record(Fact(kind="asked", subject=made.id, body={}))
            tx.wake(None)
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        half()
    with store.reading() as reading:
        assert reading.request(made.id) is None
        assert list(reading.heads()) == []
        assert reading.wakeups(None) == []


@pytest.mark.row("I4")
def test_a_move_needs_the_row_to_be_as_it_was(store: SqlStore) -> None:
    made = fresh(store)
    stale = replace(made, revision=2)
    other = replace(made, digest="d")
    with store.writing(made.thread) as tx:
        for wrong in (stale, other):
            assert not tx.settle_request(wrong, Status.APPROVED, by="a", outcome={})
            assert not tx.touch_request(wrong)
            assert not tx.amend_request(made, was=wrong)
        assert tx.touch_request(made)
        assert tx.settle_request(made, Status.REJECTED, by="a", outcome={"r": 1})
        assert not tx.settle_request(made, Status.APPROVED, by="b", outcome={})
        assert not tx.touch_request(made)
        assert not tx.amend_request(made, was=made)
    with store.reading() as reading:
        kept = reading.request(made.id)
    assert kept is not None
    assert (kept.status, kept.settled_by, kept.outcome) == ("rejected", "a", {"r": 1})


@pytest.mark.row("I7", "I11")
def test_deadlines_are_the_databases(database_url: str) -> None:
    clock = Clock()
    store = open_store(database_url, clock=clock)
    made = fresh(store)
    with store.writing(made.thread) as tx:
        assert not tx.settle_request(made, Status.EXPIRED, by=None, outcome={})
    clock.offset = timedelta(days=8)
    with store.reading() as reading:
        assert [one for _, one in reading.due(10)] == [made.id]
    with store.writing(made.thread) as tx:
        assert not tx.settle_request(made, Status.APPROVED, by="a", outcome={})
        assert not tx.touch_request(made)
        assert tx.settle_request(made, Status.EXPIRED, by=None, outcome={}, late=True)
    with store.reading() as reading:
        assert reading.due(10) == []
    store.close()


@pytest.mark.row("B3", "I3")
def test_an_entry_needs_enough_votes_on_this_digest(store: SqlStore) -> None:
    made = fresh(store)
    two = ((Quorum(approvals=2),),)
    made = replace(made, terms=replace(made.terms, agreement=two))
    old = replace(vote(made, "cat"), revision=0, digest="old")
    entry = running_entry(made, worker="w", now=1, lease=1)
    with store.writing(made.thread) as tx:
        for cast in (vote(made, "ann"), old, vote(made, "bob", "respond")):
            tx.add_vote(cast)
        assert not tx.add_entry(entry, request=made, told=TOLD)  # pending
        tx.settle_request(made, Status.APPROVED, by="ann", outcome={})
        assert not tx.add_entry(entry, request=made, told=TOLD)  # one approval of two
        tx.add_vote(vote(made, "ann", "edit"))
        assert not tx.add_entry(entry, request=made, told=TOLD)  # the same person
        tx.add_vote(replace(vote(made, "cid"), behalf="ann"))
        assert not tx.add_entry(entry, request=made, told=TOLD)  # by the same right
        tx.add_vote(vote(made, "bob"))
        other = replace(made, digest="d")
        assert not tx.add_entry(entry, request=other, told=TOLD)
        assert tx.add_entry(entry, request=made, told=TOLD)
        assert not tx.add_entry(entry, request=made, told=TOLD)  # once
    with store.reading() as reading:
        assert reading.entry(entry.id) == replace(entry, seq=1)
        assert [event.fact for event in reading.events(made.thread)] == [TOLD]


def test_a_move_tells_its_event_or_none(store: SqlStore) -> None:
    """In its place behind what was recorded before it, in a chain that holds."""
    made = fresh(store)
    entry = running_entry(made, worker="w", now=1, lease=1)
    late, ended = replace(entry, attempt=2), replace(TOLD, kind="finished")
    with store.writing(made.thread) as tx:
        assert tx.add_entry(entry, request=None, told=TOLD)
        assert not tx.add_entry(entry, request=None, told=TOLD)
    with store.writing(made.thread) as tx:
        assert not tx.move_entry(late, "finish", told=ended)
        tx.record(replace(TOLD, kind="late_result"))
        assert tx.move_entry(entry, "finish", told=ended)
        assert not tx.move_entry(entry, "finish", told=ended)
        tx.record(replace(TOLD, kind="last"))
    with store.reading() as reading:
        told = reading.events(made.thread)
        ends = {thread: (seq, head) for thread, seq, head in reading.heads()}
    kinds = ["started", "late_result", "finished", "last"]
    assert [event.fact.kind for event in told] == kinds
    assert verify(made.thread, told, ends[made.thread]) is None


def test_pauses_and_votes_are_read_together(store: SqlStore) -> None:
    made = fresh(store)
    cast = [vote(made, "ann"), vote(made, "bob", "edit")]
    stops = [Pause(id=f"p{n}", paused_by="ann", paused_at=n) for n in (1, 2)]
    with store.writing(made.thread) as tx:
        assert tx.pauses_and_votes(made.id) == ([], [])
        tx.add_pause(stops[0])
        assert tx.pauses_and_votes(made.id) == (stops[:1], [])
        tx.add_vote(cast[0])
        tx.add_pause(stops[1])
        tx.add_vote(cast[1])
        tx.add_vote(replace(vote(made, "cat"), request_id="req_other"))
        assert tx.pauses_and_votes(made.id) == (stops, cast)
        for stop in stops:
            tx.lift_pause(stop, "ann")
        assert tx.pauses_and_votes(made.id) == ([], cast)


def test_entries_move_under_their_attempt(store: SqlStore) -> None:
    made = fresh(store)
    entry = running_entry(made, worker="w", now=1, lease=1)
    with store.writing(made.thread) as tx:
        assert tx.add_entry(entry, request=None, told=TOLD)
        assert not tx.move_entry(replace(entry, attempt=2), "finish")
        assert tx.move_entry(entry, "fail", summary="no")
        assert not tx.move_entry(entry, "finish")
    failed = replace(entry, state=EntryState.FAILED)
    with store.writing(made.thread) as tx:
        assert tx.restart_entry(failed, "retry", worker="v", lease=HOUR)
        assert not tx.restart_entry(failed, "retry", worker="v", lease=HOUR)
        again = tx.entry(entry.id)
        assert again is not None
        assert (again.attempt, again.worker, again.summary) == (2, "v", None)
        assert not tx.move_entry(again, "lose", lapsed=True)  # its lease runs
    store.beat([(entry.id, 2), ("ent_none", 1)], -HOUR)
    with store.writing(made.thread) as tx:
        assert tx.move_entry(again, "lose", lapsed=True)
    with store.reading() as reading:
        states = {"thread": made.thread, "state": EntryState.UNKNOWN}
        assert [e.id for e in reading.entries(**states, limit=9)] == [entry.id]  # type: ignore[arg-type]


def test_each_thread_has_its_chain(store: SqlStore) -> None:
    for round_number in range(3):
        for thread in ("a", "b"):
            with store.writing(thread) as tx:
                fact = Fact(kind="x", subject="s", actor="é", body={"n": round_number})
                tx.record(fact, fact)
    with store.reading() as reading:
        heads = {thread: (seq, head) for thread, seq, head in reading.heads()}
        assert {thread: seq for thread, (seq, _) in heads.items()} == {"a": 6, "b": 6}
        for thread, head in heads.items():
            events = reading.events(thread)
            assert verify(thread, events, head) is None
            assert reading.events_about(thread, ["s"]) == events
            assert reading.events_about(thread, ["t"]) == []


def test_a_chain_may_be_empty(store: SqlStore) -> None:
    with store.writing("t"):
        pass
    with store.reading() as reading:
        assert list(reading.heads()) == [("t", 0, GENESIS)]


def test_wakeups_are_per_agent_and_oldest_first(store: SqlStore) -> None:
    for number, agent in enumerate(["x", "y", None, "x"]):
        with store.writing(f"t{number}") as tx:
            tx.record(Fact(kind="k", subject="s", body={}))
            tx.wake(agent)
    with store.reading() as reading:
        assert [w.thread for w in reading.wakeups(None)] == ["t0", "t1", "t2", "t3"]
        assert [w.thread for w in reading.wakeups("x")] == ["t0", "t3"]


def test_tokens_and_people(store: SqlStore) -> None:
    def token(name: str, expires_at: int | None = None) -> Token:
        kind = PrincipalKind.AGENT if name == "bot" else PrincipalKind.PERSON
        return Token(
            id=name,
            principal=name,
            kind=kind,
            groups=("g",),
            created_at=1,
            expires_at=expires_at,
        )

    with store.writing("tokens") as tx:
        for made in (token("ann"), token("bot"), token("old", 5), token("gone")):
            tx.add_token(made, f"hash-{made.id}")
        assert tx.revoke_token("gone")
        assert not tx.revoke_token("gone")
        assert not tx.revoke_token("never")
    with store.reading() as reading:
        assert [p.id for p in reading.people()] == ["ann"]
        assert reading.token("hash-ann") == token("ann")
        assert [reading.token(f"hash-{n}") for n in ("old", "gone", "x")] == [None] * 3
        assert [t.id for t in reading.tokens()] == ["ann", "bot", "gone", "old"]


def test_tools_are_updated(store: SqlStore) -> None:
    first = KnownTool(
        agent="a", name="t", description="", schema=None, traits=ToolTraits()
    )
    traits = ToolTraits(read_only=True)
    later = replace(first, description="d", schema={"x": 1}, traits=traits)
    with store.writing("tools") as tx:
        tx.add_tools([first, first])
        tx.add_tools([later])
    with store.reading() as reading:
        assert reading.tools() == reading.tools("a") == [later]
        assert reading.tools("b") == []


def test_the_clock_is_near_the_wall_and_moves(store: SqlStore) -> None:
    with store.reading() as reading:
        first = reading.now()
        assert abs(first - wall_us()) < 5_000_000
        assert reading.now() >= first


@pytest.mark.parametrize("order", ["deadline", "newest", "risk"])
@pytest.mark.parametrize("limit", [1, 7, 200])
def test_pages_hold_everything_once_in_order(
    store: SqlStore, order: str, limit: int
) -> None:
    requests = [request(n, now=1_000_000 + (n * 7919) % 13) for n in range(50)]
    add(store, *requests)
    found: list[Request] = []
    wanted = Filter(order=order, limit=limit)
    with store.reading() as reading:
        while True:
            page = reading.page(wanted)
            found += page.requests
            if page.next is None:
                break
            wanted = replace(wanted, cursor=page.next)
    ranks = ["critical", "high", "medium", "low"]
    keys = {
        "deadline": lambda r: (r.expires_at, r.id),
        "newest": lambda r: (r.asked_at, r.id),
        "risk": lambda r: (ranks.index(r.risk), r.expires_at, r.id),
    }
    assert found == sorted(requests, key=keys[order], reverse=order == "newest")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("thread", "thread-0"),
        ("agent", "agent-1"),
        ("tool", "tool-1"),
        ("team", "team-1"),
        ("risk", "high"),
        ("status", Status.CANCELLED),
    ],
)
def test_filters(store: SqlStore, name: str, value: object) -> None:
    requests = [request(n) for n in range(985, 1015)]
    add(store, *requests)
    with store.writing(requests[3].thread) as tx:
        assert tx.settle_request(
            requests[3], Status.CANCELLED, by=None, outcome={}, late=True
        )
    with store.reading() as reading:
        every = reading.page(Filter(status=None, order="newest")).requests
        wanted = Filter(**{name: value})  # type: ignore[arg-type]
        found = reading.page(wanted).requests
        assert reading.count(wanted) == len(found)
    pending = [r for r in every if name == "status" or r.status is Status.PENDING]
    same = {r.id for r in pending if getattr(r, name) == value}
    assert {r.id for r in found} == same
    assert 0 < len(found) < 30


@pytest.mark.parametrize(
    ("wanted", "problem"),
    [
        (Filter(order="oldest"), "must be one of deadline, risk, newest"),
        (Filter(order="risk; DROP TABLE requests"), "must be one of"),
        (Filter(status=None), "listed newest first"),
        (Filter(limit=0), "1 to 200"),
        (Filter(limit=201), "1 to 200"),
        (Filter(cursor=""), "isn't one of this list"),
        (Filter(cursor="x"), "isn't one of this list"),
        (Filter(cursor="é"), "isn't one of this list"),
        (Filter(cursor="bnVsbA"), "isn't one of this list"),
        (Filter(cursor="WyJkZWFkbGluZSIsIngiLCJ5Il0"), "isn't one of this list"),
        (Filter(cursor="WyJkZWFkbGluZSIsdHJ1ZSwieSJd"), "isn't one of this list"),
        (Filter(cursor="WyJkZWFkbGluZSIsMSwiXHUwMDAwIl0"), "isn't one of this list"),
        (Filter(cursor=packed("deadline", 2**63, "req_1")), "isn't one of this list"),
    ],
)
def test_what_makes_no_page_is_refused(
    store: SqlStore, wanted: Filter, problem: str
) -> None:
    with store.reading() as reading, pytest.raises(InvalidSetting, match=problem):
        reading.page(wanted)


def test_a_cursor_is_of_its_own_order(store: SqlStore) -> None:
    add(store, request(1), request(2))
    with store.reading() as reading:
        cursor = reading.page(Filter(limit=1)).next
        with pytest.raises(InvalidSetting, match="start without one"):
            reading.page(Filter(order="newest", cursor=cursor))


def test_a_snapshot_sees_one_moment(store: SqlStore) -> None:
    add(store, request(1))
    with store.snapshot() as reading:
        before = reading.count(Filter())
        add(store, request(2))
        assert reading.count(Filter()) == before == 1
    with store.reading() as reading:
        assert reading.count(Filter()) == 2


@pytest.mark.parametrize("name", ["thread", "agent", "tool", "team"])
def test_a_text_that_no_column_holds_is_refused(store: SqlStore, name: str) -> None:
    wanted = Filter(**{name: "nul \0"})  # type: ignore[arg-type]
    with store.reading() as reading:
        for ask in (reading.page, reading.count):
            with pytest.raises(PayloadRefused, match=f"{name}: has a NUL"):
                ask(wanted)
        assert reading.request("req_\0") is None
        assert reading.entry("ent_\0") is None
