"""Effects, undos, crashes, colleagues and late clocks, in any order: I3 to I8.

A world outside is kept beside a real Signoff with two processes; after every step what
the journal says is held against what really happened there.
"""

from collections import Counter
from functools import partial
from pathlib import Path

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import (
    initialize,
    invariant,
    precondition,
    rule,
)

from signoff import Action, Context, Principal, Signoff, reversible
from signoff.domain.errors import (
    AlreadyUndone,
    CannotSettle,
    DependentsInTheWay,
    ForceNeedsReason,
    NotAllowed,
    NotReversible,
    UndoConflict,
    UndoInProgress,
    WindowClosed,
)
from signoff.domain.journal import HAPPENED, Entry, EntryState
from signoff.domain.principals import PrincipalKind
from signoff.domain.undoing import Effect, Happened
from signoff.service import take_back
from signoff.service.propose import Asked
from signoff.service.take_back import Wish
from tests.postgres import Databases
from tests.properties.machines import Machine, run_on, run_on_sqlite

ANN = Principal(id="ann", groups=frozenset({"desk"}))
BOSS = Principal(id="boss", groups=frozenset({"desk", "admin"}))
EVE = Principal(id="eve")
BOT = Principal(id="bot", kind=PrincipalKind.AGENT, groups=frozenset({"desk"}))
RULES = [reversible("*", window="10m", undoers=["desk"], force_by=["admin"])]
NAMES = st.sampled_from(["a", "b", "c"])
OVER = (
    AlreadyUndone,
    DependentsInTheWay,
    ForceNeedsReason,
    NotAllowed,
    NotReversible,
    UndoInProgress,
    WindowClosed,
)
OPEN = {EntryState.DONE, EntryState.UNDO_FAILED, EntryState.UNDO_UNVERIFIED}
CLOSED = {EntryState.UNDONE, EntryState.FINAL}


class Outside:
    """Titles that tools change, and an inverse that works, lies or raises."""

    def __init__(self) -> None:
        self.titles: dict[str, str] = dict.fromkeys("abc", "0")
        self.effects = Counter[str]()
        self.inverses = Counter[str]()
        self.mode = "works"

    def register(self, so: Signoff) -> None:
        """The one undo of this world."""

        def probe(effect: Effect) -> object:
            return Happened() if self.effects[effect.action_id] else False

        @so.undo(
            "set",
            capture=lambda args: self.titles[args["name"]],
            fingerprint=lambda _effect: dict(self.titles),
            probe=probe,
        )
        def restore(effect: Effect) -> None:
            if self.mode == "raises":
                raise ConnectionError("down")
            if self.mode == "works":
                self.inverses[effect.id] += 1
                self.titles[effect.args["name"]] = effect.bound["captured"]


class Journal(Machine):
    """Everybody who can move an effect."""

    def __init__(self) -> None:
        super().__init__(RULES, lease="1m")
        self.outside = Outside()
        for so in self.processes:
            self.outside.register(so)
        self.count = 0
        self.over: dict[str, EntryState] = {}

    def entries(self) -> list[Entry]:
        return list(self.so.journal())

    def pick(self, data: st.DataObject) -> Entry:
        return data.draw(st.sampled_from(self.entries()))

    def pick_open(self, data: st.DataObject) -> Entry:
        """An entry; four times of five one that can be undone, the newest first."""
        ready = [one for one in self.entries() if one.state in OPEN]
        if ready != [] and data.draw(st.integers(0, 4)) > 0:
            return ready[-1 - data.draw(st.integers(0, len(ready) - 1))]
        return self.pick(data)

    def any_entry(self) -> bool:
        return self.entries() != []

    @initialize()
    def first(self) -> None:
        self.act("a", "finish")

    @rule(
        name=NAMES,
        end=st.sampled_from(
            ["finish", "finish", "finish", "fail", "lose", "die", "not"]
        ),
    )
    def act(self, name: str, end: str) -> None:
        """A call that ends well, fails, is lost, or whose process dies at it."""
        self.count += 1
        action = Action(
            # A thread each: what was undone asks again in its own thread.
            context=Context(thread=f"t{self.count}", agent="clerk"),
            message_id="m",
            call_id=str(self.count),
            tool="set",
            args={"name": name, "title": str(self.count)},
        )
        assert self.so.propose(action, Asked()).request is None
        claims = [one.begin_reversible(action, Asked()) for one in self.processes]
        entry = claims[0]
        assert entry is not None
        assert claims[1] is None  # I5: one claim
        kept = self.so.entry(entry.id)
        assert kept.state is EntryState.RUNNING  # I3: recorded before done
        assert kept.before == self.outside.titles
        if end in {"finish", "lose", "die"}:
            self.outside.effects[action.id] += 1
            self.outside.titles[name] = str(self.count)
        if end in {"die", "not"}:
            return
        assert self.so.finish(entry, end, result=b"", summary=end, output={})

    @rule(name=NAMES)
    def a_colleague_changes_it(self, name: str) -> None:
        self.count += 1
        self.outside.titles[name] = f"colleague {self.count}"

    @precondition(any_entry)
    @rule(
        data=st.data(),
        wish=st.builds(
            Wish,
            by=st.sampled_from([ANN, ANN, ANN, BOSS, EVE, BOT]),
            force=st.sampled_from([False, False, False, True]),
            reason=st.sampled_from(["why", "why", ""]),
        ),
        who=st.integers(0, 1),
        mode=st.sampled_from(["works", "works", "lies", "raises"]),
    )
    def undo(self, data: st.DataObject, wish: Wish, who: int, mode: str) -> None:
        before, world = self.pick_open(data), dict(self.outside.titles)
        self.outside.mode = mode
        times = Counter(self.outside.inverses)
        now = self.so.now()
        try:
            after = self.processes[who].undo_action(
                before.id, by=wish.by, reason=wish.reason, force=wish.force
            )
        except UndoConflict as conflict:
            assert not wish.force
            assert self.outside.titles == world  # I8: nothing was overwritten
            self.check_conflict(before, conflict)
            return
        except OVER as refused:
            assert self.outside.titles == world
            self.check_refusal(before, refused, wish)
            return
        assert wish.by in {ANN, BOSS}
        assert not wish.force or (wish.by is BOSS and wish.reason == "why")
        self.check_window(before, now)
        self.check_undone(before, after, world, times)

    def check_conflict(self, before: Entry, conflict: UndoConflict) -> None:
        assert self.so.entry(before.id).state is EntryState.DONE
        assert conflict.diff != ()

    def check_window(self, before: Entry, now: int) -> None:
        """I7: admitted in time, or again."""
        if before.state is EntryState.DONE and before.held_open is None:
            assert before.undo_until is not None
            assert now < before.undo_until

    def check_undone(
        self, before: Entry, after: Entry, world: dict[str, str], times: Counter[str]
    ) -> None:
        name = (before.args or {})["name"]
        if after.state is EntryState.UNDONE:  # I8: never without a look
            assert self.outside.titles[name] == (before.before or {})[name]
        else:
            assert after.state in {EntryState.UNDO_FAILED, EntryState.UNDO_UNVERIFIED}
            assert self.outside.mode != "works" or self.outside.titles == world
        others = {k: v for k, v in self.outside.titles.items() if k != name}
        assert others == {k: v for k, v in world.items() if k != name}
        assert self.outside.inverses[before.id] - times[before.id] <= 1

    def check_refusal(self, before: Entry, refused: Exception, wish: Wish) -> None:
        if isinstance(refused, NotAllowed):
            assert wish.by in {EVE, BOT} or (wish.force and wish.by is not BOSS)
        elif isinstance(refused, WindowClosed):
            assert before.undo_until is not None
        elif isinstance(refused, AlreadyUndone):
            assert before.state is EntryState.UNDONE
            assert refused.by == before.undo_by
        elif isinstance(refused, UndoInProgress):
            assert before.state is EntryState.UNDOING

    @precondition(any_entry)
    @rule(data=st.data(), claimed=st.booleans(), after=st.booleans())
    def a_process_dies_while_undoing(
        self, data: st.DataObject, *, claimed: bool, after: bool
    ) -> None:
        entry = self.pick(data)
        try:
            admitted = take_back.admit(self.so.store, entry.id, Wish(by=ANN))
        except OVER:
            return
        if not claimed:
            return
        with self.so.store.writing(entry.thread) as tx:
            assert tx.claim_undo(admitted, worker="dead", lease=60_000_000)
            tx.record(
                take_back._fact(  # noqa: SLF001 - as the process that died did
                    "undo_started", admitted, {"attempt": admitted.undo_attempt + 1}
                )
            )
        if after and self.outside.titles == admitted.after:
            self.outside.inverses[entry.id] += 1
            self.outside.titles[(entry.args or {})["name"]] = str(entry.captured)

    @precondition(any_entry)
    @rule(data=st.data(), happened=st.booleans())
    def somebody_settles(self, data: st.DataObject, *, happened: bool) -> None:
        entry = self.pick(data)
        try:
            self.so.settle(entry.id, happened=happened, by=ANN)
        except CannotSettle:
            assert entry.state is not EntryState.UNKNOWN

    @rule(span=st.sampled_from(["2m", "11m"]))
    def time_passes_unseen(self, span: str) -> None:
        self.clock.advance(span)

    @rule(span=st.sampled_from(["1s", "10s", "2m", "11m"]), who=st.integers(0, 1))
    def time_passes(self, span: str, who: int) -> None:
        self.clock.advance(span)
        so, world = self.processes[who], dict(self.outside.titles)
        inverses = sum(self.outside.inverses.values())
        for _ in range(20):
            if not so.run_due():
                break
        else:
            raise AssertionError("there is always more to do")
        if sum(self.outside.inverses.values()) == inverses:
            assert self.outside.titles == world
        now = so.now() - 60_000_000
        for entry in self.entries():
            if entry.state is EntryState.DONE and entry.held_open is None:
                assert entry.undo_until is None or entry.undo_until > now

    @invariant()
    def effects_are_at_most_one(self) -> None:
        """I5: one effect each, and what a probe says to have happened did."""
        assert all(count == 1 for count in self.outside.effects.values())
        for entry in self.entries():
            probed = entry.state in HAPPENED and "probe" in (entry.summary or "")
            assert not probed or self.outside.effects[entry.action_id] == 1

    @invariant()
    def what_is_over_stays(self) -> None:
        """I4: one end each; what is final or undone moves no more."""
        for entry in self.entries():
            if entry.id in self.over:
                assert entry.state is self.over[entry.id]
            elif entry.state in CLOSED:
                self.over[entry.id] = entry.state


@pytest.mark.row("I3", "I4", "I5", "I6", "I7", "I8")
@pytest.mark.slow
@pytest.mark.timeout(300)
def test_invariants_of_undo_on_sqlite(sqlite_template: Path) -> None:
    run_on_sqlite(Journal, sqlite_template, examples=50, steps=35)


@pytest.mark.row("I3", "I4", "I5", "I6", "I7", "I8")
@pytest.mark.slow
@pytest.mark.timeout(300)
def test_invariants_of_undo_on_postgresql(
    postgres: Databases, postgres_template: str
) -> None:
    fresh = partial(postgres.fresh, template=postgres_template)
    run_on(Journal, fresh, examples=10, steps=25)
