"""Windows, holds and undos: each arrow is one conditional statement."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any, Final

from sqlalchemy import (
    BigInteger,
    ColumnElement,
    Select,
    TextClause,
    and_,
    bindparam,
    func,
    literal_column,
    or_,
    select,
    text,
)

from signoff.domain.journal import Entry, EntryKind, EntryState, Way
from signoff.domain.undoing import AgentNotice, Dependency, Orphan, window_of
from signoff.storage import rows
from signoff.storage import tables as t
from signoff.storage.clocked import read_once
from signoff.storage.entries import INSERTS
from signoff.storage.holding import HoldsReading, HoldsWriting, among, due, of_ways

_E: Final = t.entries.c
_AFTER: Final = (
    select(t.entries)
    .where(
        text(t.STANDING), _E.thread == bindparam("thread"), _E.seq > bindparam("seq")
    )
    .order_by(_E.seq, _E.started_at, _E.id)
)
_LIKE: Final = (
    select(t.entries)
    .where(
        text("intent IS NOT NULL"),
        _E.thread == bindparam("thread"),
        _E.intent == bindparam("intent"),
        _E.state.in_(
            ("undoing", "undone", "undo_failed", "undo_unverified", "cancelled")
        ),
    )
    .order_by(_E.seq.desc())
    .limit(1)
)


@lru_cache(maxsize=16)
def _anything(clock: str) -> Select[tuple[bool]]:
    """Every look of a loop asks this, so it is made once."""
    now = read_once(clock)
    running = _E.state == EntryState.RUNNING.value, _E.lease_until <= now
    looked_into = or_(_E.kind != EntryKind.PLAIN.value, _E.probe_at.is_not(None))
    moments = [
        # The least, and not whether there is one: that could be looked for row by row.
        among(select(func.min(column)), where).scalar_subquery() <= now
        for where, column in (
            (t.CLOSING, _E.undo_until),
            (t.UNDOING, _E.undo_lease_until),
            (t.PROBING, _E.probe_at),
        )
    ]
    wanted: tuple[tuple[ColumnElement[bool] | TextClause, ...], ...] = (
        (text("held_open IS NOT NULL"),),
        (text(t.RELEASING),),
        (text("state = 'prepared'"), _E.kind == EntryKind.HELD.value),
        (*running, looked_into),
    )
    there = [select(_E.id).where(*where).limit(1).exists() for where in wanted]
    return select(or_(*moments, *there))


class UndosReading(HoldsReading):
    """What is to be done with windows, holds and undos."""

    def closing(self, limit: int) -> Sequence[Entry]:
        """Entries whose window has passed and that nothing holds open."""
        return self._found(due(t.CLOSING, _E.undo_until, self._clock_now(), limit))

    def any_effects(self) -> bool:
        """Whether anything is to be done about effects now; one statement.

        Held calls and windows that something holds open always count.
        """
        return bool(self._connection.execute(_anything(self._clock)).scalar_one())

    def undos_due(self, tools: Sequence[str], limit: int) -> Sequence[Entry]:
        """Admitted undos of these tools that no live process works at."""
        found = due(t.UNDOING, _E.undo_lease_until, self._clock_now(), limit)
        return self._found(found.where(_E.tool.in_(tools)))

    def probes_due(self, tools: Sequence[str], limit: int) -> Sequence[Entry]:
        """Unknown outcomes of these tools that are to be looked into."""
        found = due(t.PROBING, _E.probe_at, self._clock_now(), limit)
        return self._found(found.where(_E.tool.in_(tools)))

    def held_open(self, reason: str | None, limit: int) -> Sequence[Entry]:
        """Entries whose window doesn't close, for a reason or for any."""
        found = select(t.entries).where(text("held_open IS NOT NULL"))
        if reason is not None:
            found = found.where(_E.held_open == reason)
        return self._found(found.order_by(_E.held_open, _E.id).limit(limit))

    def open_windows(self, limit: int) -> Sequence[Entry]:
        """Entries that can still be undone, those that close first at first."""
        found = among(select(t.entries), t.CLOSING)
        found = found.where(_E.undo_until > self._clock_now())
        return self._found(found.order_by(_E.undo_until, _E.id).limit(limit))

    def untold(self, entry_id: str) -> bool:
        """Whether people are told over channels here, and nobody was told of this.

        Where nothing was ever delivered there are no channels: people look at the
        inbox by themselves.
        """
        sent, told = t.deliveries.c, t.notices.c
        mine = select(sent.id).where(sent.request_id == entry_id)
        waits = select(told.id).where(told.request_id == entry_id).exists()
        found = select(
            and_(
                select(sent.id).limit(1).exists(),
                or_(waits, mine.exists()),
                ~mine.where(sent.state == "sent").exists(),
            )
        )
        return bool(self._connection.execute(found).scalar_one())

    def open_ways(self) -> Sequence[Orphan]:
        """The tools and versions that can still be undone, and how often."""
        columns = _E.agent, _E.tool, func.coalesce(_E.undo_version, 1)
        found = (
            among(select(*columns, func.count()), t.CLOSING)
            .where(_E.undo_until > self._clock_now())
            .group_by(*columns)
            .order_by(_E.tool)
        )
        return [
            Orphan(agent=row[0], tool=row[1], version=int(row[2]), count=int(row[3]))
            for row in self._connection.execute(found)
        ]

    def entries_of_way(self, way: Orphan) -> Sequence[Entry]:
        """The open windows of a tool and version."""
        found = among(select(t.entries), t.CLOSING).where(
            _E.undo_until > self._clock_now(),
            _E.tool == way.tool,
            func.coalesce(_E.undo_version, 1) == way.version,
            _E.agent.is_(None) if way.agent is None else _E.agent == way.agent,
        )
        return self._found(found)

    def lapsed_effects(self, limit: int) -> Sequence[Entry]:
        """What a silent worker left running, and can be looked into."""
        found = select(t.entries).where(
            _E.state == EntryState.RUNNING.value,
            or_(_E.kind != "plain", _E.probe_at.is_not(None)),
            _E.lease_until <= self._clock_now(),
        )
        return self._found(found.order_by(_E.started_at).limit(limit))

    def entries_after(self, thread: str, seq: int) -> Sequence[Entry]:
        """What came after in a thread and may have an effect, oldest first."""
        return self._found(_AFTER, thread=thread, seq=seq)

    def undone_like(self, thread: str, intent: str) -> Entry | None:
        """The newest entry that meant the same and was taken back."""
        found = self._found(_LIKE, thread=thread, intent=intent)
        return found[0] if found else None

    def dependents(self, entry_id: str) -> Sequence[Dependency]:
        """What was declared to need an entry."""
        columns = t.entry_dependencies.c
        return self._dependencies(columns.on_entry_id == entry_id)

    def dependencies(self, entry_id: str) -> Sequence[Dependency]:
        """What an entry was declared to need."""
        return self._dependencies(t.entry_dependencies.c.entry_id == entry_id)

    def dependencies_of_thread(self, thread: str) -> Sequence[Dependency]:
        """Everything declared by the entries of a thread."""
        columns = t.entry_dependencies.c
        own = select(_E.id).where(_E.thread == thread)
        return self._dependencies(columns.entry_id.in_(own))

    def agent_notices(
        self, thread: str, *, unseen: bool = True
    ) -> Sequence[AgentNotice]:
        """What the agent of a thread is to hear, oldest first."""
        columns = t.agent_notices.c
        found = select(t.agent_notices).where(columns.thread == thread)
        if unseen:
            found = found.where(columns.seen_at.is_(None))
        found = found.order_by(columns.created_at, columns.id)
        return [rows.agent_notice_from(row) for row in self._read(found)]

    def next_effect(self, tools: Sequence[str], held: Sequence[Way] = ()) -> int | None:
        """When something is due about an effect.

        Undos and probes are of these `tools`, and what is released of these `held`.
        """
        mine, timed = _E.tool.in_(tools), (_E.held_open.is_(None), of_ways(held))
        moments = [
            among(select(func.min(column)), where).where(*more).scalar_subquery()
            for where, column, more in (
                (t.CLOSING, _E.undo_until, ()),
                (t.RELEASING, _E.commit_at, timed),
                (t.UNDOING, _E.undo_lease_until, (mine,)),
                (t.PROBING, _E.probe_at, (mine,)),
            )
        ]
        row = self._connection.execute(select(*moments)).one()
        return min((int(at) for at in row if at is not None), default=None)

    def _dependencies(self, where: ColumnElement[bool]) -> Sequence[Dependency]:
        columns = t.entry_dependencies.c
        found = select(t.entry_dependencies).where(where)
        found = found.order_by(columns.entry_id, columns.on_entry_id)
        return [rows.dependency_from(row) for row in self._read(found)]


class UndosWriting(HoldsWriting):
    """Moves of windows, holds and undos, in one transaction."""

    def end_reversible(
        self,
        entry: Entry,
        move: str,
        *,
        result: bytes | None,
        summary: str | None,
        way: Mapping[str, Any],
    ) -> bool:
        """It happened: the window opens now, if there is a way back.

        `way` holds what the effect left behind: `output`, `after`, `bound` and
        `not_undoable`.
        """
        open_until: int | None = self._now + window_of(entry)
        if way.get("not_undoable") is not None:
            open_until = None
        news = {
            "finished_at": self._now,
            "result": result,
            "summary": summary,
            "output": rows.opt_json(way.get("output")),
            "after": rows.opt_json(way.get("after")),
            "bound": rows.opt_json(way.get("bound")),
            "not_undoable": way.get("not_undoable"),
            "undo_until": open_until,
        }
        return self._step(entry, move, news, _E.attempt == entry.attempt)

    def admit_undo(
        self, entry: Entry, *, by: str, reason: str | None, forced: bool
    ) -> bool:
        """Admit an undo: in time, and one at a time.

        A failed or unverified one was admitted in time before, so it may be tried
        again whenever.
        """
        news = {
            "undo_by": by,
            "undo_reason": reason,
            "undo_forced": int(forced),
            "undo_at": self._now,
            "undo_lease_until": 0,
            "undo_worker": None,
            "undo_summary": None,
            "diff": None,
        }
        now = literal_column(self._clock, BigInteger)
        in_time = or_(_E.undo_until > now, _E.held_open.is_not(None))
        same = _E.undo_attempt == entry.undo_attempt
        if entry.state is not EntryState.DONE:
            return self._step(entry, "undo", news, same)
        whole = _E.undo_until.is_not(None), _E.not_undoable.is_(None)
        return self._step(entry, "undo", news, same, in_time, *whole)

    def claim_undo(self, entry: Entry, *, worker: str, lease: int) -> bool:
        """Take an admitted undo that no live process works at."""
        now = literal_column(self._clock, BigInteger)
        news = {
            "undo_attempt": entry.undo_attempt + 1,
            "undo_worker": worker,
            "undo_lease_until": self._now + lease,
        }
        free = _E.undo_lease_until <= now
        return self._step(entry, "claim", news, self._tried(entry), free)

    def keep_step(self, entry: Entry, steps: Mapping[str, Any]) -> bool:
        """Keep the results of an undo's steps. False: another process has it now."""
        return self._changed(
            t.entries.update()
            .where(
                _E.id == entry.id,
                _E.state == EntryState.UNDOING.value,
                self._tried(entry),
            )
            .values(steps=rows.to_json(steps))
        )

    def end_undo(
        self,
        entry: Entry,
        move: str,
        *,
        summary: str | None,
        diff: Sequence[Mapping[str, Any]] = (),
    ) -> bool:
        """Record what came of an undo: `verify`, `undo_fail`, `doubt` or `conflict`."""
        news = {
            "undo_summary": summary,
            "diff": rows.to_json(list(diff)) if diff else None,
            "undo_lease_until": None,
        }
        return self._step(entry, move, news, self._tried(entry))

    def finalize(self, entry: Entry) -> bool:
        """Close a window that has passed and that nothing holds open."""
        now = literal_column(self._clock, BigInteger)
        passed = _E.undo_until <= now, _E.held_open.is_(None)
        return self._step(entry, "finalize", {}, *passed)

    def hold_open(self, entry: Entry, reason: str | None, until: int | None) -> bool:
        """Keep a window open whatever the time; with None let it close at `until`."""
        news: dict[str, Any] = {"held_open": reason, "changed_at": self._now}
        if until is not None:
            news["undo_until"] = until
        was = _E.held_open
        return self._changed(
            t.entries.update()
            .where(
                _E.id == entry.id,
                _E.state == EntryState.DONE.value,
                _E.undo_until.is_not(None),
                was.is_(None) if entry.held_open is None else was == entry.held_open,
            )
            .values(**news)
        )

    def keep_output(self, entry: Entry, output: object) -> None:
        """Keep what a call returned, as JSON, when somebody else than its tool says."""
        self._connection.execute(
            t.entries.update()
            .where(_E.id == entry.id, _E.attempt == entry.attempt)
            .values(output=rows.opt_json(output))
        )

    def let_again(self, entry: Entry, summary: str) -> bool:
        """Let an unknown call be tried once more; a late worker is fenced off now."""
        news = {
            "attempt": entry.attempt + 1,
            "attempts": max(entry.attempts, entry.attempt + 1),
            "finished_at": self._now,
            "summary": summary,
        }
        return self._step(entry, "again", news, _E.attempt == entry.attempt)

    def probe_later(self, entry: Entry, at: int | None) -> bool:
        """Look again later whether it happened; None: only a person can say."""
        return self._changed(
            t.entries.update()
            .where(
                _E.id == entry.id,
                _E.state == EntryState.UNKNOWN.value,
                _E.attempt == entry.attempt,
                _E.probe_at == entry.probe_at,
            )
            .values(probe_at=at)
        )

    def add_dependencies(self, dependencies: Sequence[Dependency]) -> None:
        """Note what an entry needs; a declared one stays declared."""
        if dependencies:
            insert = INSERTS[self._connection.dialect.name](t.entry_dependencies)
            added = [rows.dependency_row(one) for one in dependencies]
            self._connection.execute(insert.on_conflict_do_nothing(), added)

    def tell_agent(self, notice: AgentNotice) -> bool:
        """Leave a notice for the agent of a thread, once."""
        row = rows.agent_notice_row(notice) | {"created_at": self._now}
        insert = INSERTS[self._connection.dialect.name](t.agent_notices)
        return self._changed(insert.on_conflict_do_nothing(), row)

    def see_notices(self, ids: Sequence[str]) -> None:
        """Note that the agent's conversation has these."""
        columns: Any = t.agent_notices.c
        self._connection.execute(
            t.agent_notices.update()
            .where(columns.id.in_(ids), columns.seen_at.is_(None))
            .values(seen_at=self._now)
        )

    def _tried(self, entry: Entry) -> ColumnElement[bool]:
        return _E.undo_attempt == entry.undo_attempt
