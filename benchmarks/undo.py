"""Undo at size: what journaling adds, a thread of 10,000, one effect among a million.

The effects are of a tool that changes a dict, so that what is timed is signoff.
"""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Final

from langchain.agents import create_agent
from langchain_core.messages import HumanMessage
from langchain_core.runnables import RunnableConfig
from langchain_core.tools import tool
from langgraph.checkpoint.memory import InMemorySaver
from sqlalchemy import Connection, event, text

from benchmarks.filling import NUMBERS, SCATTERED, fill, settle_down
from benchmarks.measure import microseconds, progress, save, table
from benchmarks.places import DATABASES, place
from signoff import Action, Context, Principal, Signoff, reversible
from signoff.domain.undoing import Effect
from signoff.langgraph import SignoffMiddleware
from signoff.service.propose import Asked
from signoff.service.take_back import Wish, admit
from signoff.storage import tables
from tests.langgraph.agents import Scripted, call, turn

NAME: Final = "undo"
MOST_COMMITS: Final = 2
MOST_GROWTH: Final = 1.25
CALLS: Final = 20
SIZES: Final = (1_250, 2_500, 5_000, 10_000)
FEW: Final = 1_000
ENTRIES: Final = 1_000_000
THREADS: Final = 4_999
LOOK_UPS: Final = 300
ANN: Final = Principal(id="ann@example.com")

_INSERT: Final = """
{numbers}
INSERT INTO entries ({names})
SELECT {taken} FROM numbers, entries e WHERE e.id = :template
"""

Notes = dict[str, str]


def run() -> None:
    """Measure on both databases, print and save."""
    found = {database: _measure(database) for database in DATABASES}
    head = ("undo", *found)
    names = list(next(iter(found.values())))
    table(head, [(name, *(one[name] for one in found.values())) for name in names])
    met = {
        "commits": all(one["commits a call"] <= MOST_COMMITS for one in found.values()),
        "linear": all(one["growth"] <= MOST_GROWTH for one in found.values()),
        "one look-up": all(one["scans"] == 0 for one in found.values()),
    }
    print(", ".join(f"{name}: {'met' if ok else 'MISSED'}" for name, ok in met.items()))
    targets = {"commits a call": MOST_COMMITS, "growth": MOST_GROWTH, "scans": 0}
    save(NAME, {"targets": targets, "met": met, "entries": ENTRIES, "measured": found})


def _measure(database: str) -> dict[str, Any]:
    with place(database) as here:
        by_size = {size: _thread(here.url(), size, database) for size in SIZES}
        first, last = (by_size[size] for size in (SIZES[0], SIZES[-1]))
        few, _ = _among(here.url(), FEW, database)
        many, scans = _among(here.url(), ENTRIES, database)
        return {
            "commits a call": _commits(here.url()),
            **{f"us an undo, of {size:,}": us for size, us in by_size.items()},
            "growth": round(last / first, 3),
            f"us to decide, among {FEW:,}": few,
            f"us to decide, among {ENTRIES:,}": many,
            "scans": scans,
        }


def _opened(url: str, notes: Notes) -> Signoff:
    so = Signoff(url, policy=[reversible("note", window="1d")])

    @so.undo(
        "note",
        capture=lambda args: {"was": notes.get(args["id"])},
        fingerprint=lambda effect: {"now": notes.get(effect.args["id"])},
        resource=("id",),
    )
    def restore(effect: Effect) -> None:
        was = effect.captured["was"]
        if was is None:
            del notes[effect.args["id"]]
        else:
            notes[effect.args["id"]] = was

    return so


def _commits(url: str) -> float:
    """What one call commits to the store, in its own thread."""
    notes = Notes()
    so = _opened(url, notes)

    @tool
    def note(id: str, words: str) -> str:  # noqa: A002 - the argument's name
        """Write a note."""
        notes[id] = words
        return "noted"

    def ran(thread: str) -> None:
        turns = [
            turn(call("note", f"c{n}", id=f"{n}", words="w")) for n in range(CALLS)
        ]
        agent: Any = create_agent(
            Scripted(turns=turns),
            [note],
            middleware=[SignoffMiddleware(so)],
            checkpointer=InMemorySaver(),
        )
        config: RunnableConfig = {"configurable": {"thread_id": thread}}
        agent.invoke({"messages": [HumanMessage("go")]}, config)

    ran("first")  # what a process writes once: the tools it knows, its policy
    with _counted(so) as commits:
        ran("second")
    so.close()
    if len(notes) != CALLS:
        raise AssertionError(f"{len(notes)} notes were written, not {CALLS}")
    return round(len(commits) / CALLS, 2)


@contextmanager
def _counted(so: Signoff) -> Iterator[list[str]]:
    """The commits of calls; what signoff's own threads write is not on their path."""
    commits: list[str] = []

    def note(_: object) -> None:
        name = threading.current_thread().name
        if not name.startswith("signoff-"):
            commits.append(name)

    store: Any = so.store
    event.listen(store.engine, "commit", note)
    yield commits
    event.remove(store.engine, "commit", note)


def _done(so: Signoff, notes: Notes, number: int) -> str:
    action = Action(
        context=Context(thread="t", agent="clerk"),
        message_id=f"m{number}",
        call_id=f"c{number}",
        tool="note",
        args={"id": f"note {number}", "words": "something"},
    )
    entry = so.begin_reversible(action, Asked())
    if entry is None:
        raise AssertionError(f"call {number} was not claimed")
    notes[action.args["id"]] = "something"
    so.finish(entry, "finish", result=b"r", summary="noted", output={"id": number})
    return entry.id


def _thread(url: str, size: int, database: str) -> float:
    """Microseconds an undo, when a whole thread of that size is undone."""
    notes = Notes()
    so = _opened(url, notes)
    for number in range(size):
        _done(so, notes, number)
        if number % 1000 == 0:
            progress(f"undo, {database}: {number} of {size} effects")
    progress(f"undo, {database}: taking {size} back")
    began = time.perf_counter()
    undone = so.undo_thread("t", by=ANN)
    took = time.perf_counter() - began
    so.close()
    if len(undone.done) != size or notes:
        raise AssertionError(f"{len(undone.done)} of {size} undone: {undone.why}")
    return round(took / size * 1e6, 1)


def _among(url: str, entries: int, database: str) -> tuple[float, int]:
    """What it takes to decide about one of so many, and how many scans there were."""
    notes = Notes()
    so = _opened(url, notes)
    template = _done(so, notes, 0)
    progress(f"undo, {database}: inserting {entries:,} entries")
    store: Any = so.store
    with store.engine.begin() as connection:
        _fill(connection, template, entries)
        ids = _some(connection)
    settle_down(store.engine, "entries")
    scans = _scans(so, ids.pop())
    took = [_decided(so, one) for one in ids]
    so.close()
    return microseconds(took), scans


def _decided(so: Signoff, entry_id: str) -> float:
    began = time.perf_counter()
    admit(so.store, entry_id, Wish(by=ANN))
    return time.perf_counter() - began


def _fill(connection: Connection, template: str, entries: int) -> None:
    """Copies of a real entry, in many threads."""
    dialect = connection.dialect.name
    scattered = SCATTERED[dialect]
    own = {
        "id": f"'ent_' || {scattered}",
        "action_id": f"'act_' || {scattered}",
        "idempotency_key": f"'act_' || {scattered}",
        "thread": f"'t' || (n % {THREADS})",
        "seq": "n",
        "intent": f"'int_' || {scattered}",
    }
    names = [column.name for column in tables.entries.columns]
    taken = ", ".join(own.get(name, f"e.{_quoted(name)}") for name in names)
    listed = ", ".join(map(_quoted, names))
    insert = _INSERT.format(numbers=NUMBERS[dialect], names=listed, taken=taken)
    fill(connection, "entries", insert, {"many": entries - 1, "template": template})


def _quoted(name: str) -> str:
    return f'"{name}"'


def _some(connection: Connection) -> list[str]:
    listed = connection.execute(text("SELECT id FROM entries WHERE thread <> 't'"))
    every: Sequence[str] = listed.scalars().all()
    return random.Random(7).sample(every, LOOK_UPS + 1)  # noqa: S311 - which rows


def _scans(so: Signoff, entry_id: str) -> int:
    """How many statements of one decision read a whole table of effects."""
    plans: list[str] = []

    def explain(
        connection: Connection,
        _cursor: object,
        statement: str,
        *values: Any,  # noqa: ANN401 - DBAPI's
    ) -> None:
        if "entries" in statement or "entry_dependencies" in statement:
            lite = connection.dialect.name == "sqlite"
            how = "EXPLAIN QUERY PLAN " if lite else "EXPLAIN "
            cursor = connection.connection.cursor()
            cursor.execute(how + statement, values[0])
            plans.append(" ".join(map(str, cursor.fetchall())))

    store: Any = so.store
    event.listen(store.engine, "before_cursor_execute", explain)
    admit(so.store, entry_id, Wish(by=ANN))
    event.remove(store.engine, "before_cursor_execute", explain)
    if plans == []:
        raise AssertionError("no statement of the decision was seen")
    return sum("Seq Scan" in plan or "SCAN" in plan for plan in plans)
