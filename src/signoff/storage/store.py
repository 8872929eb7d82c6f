"""The store: opens transactions on SQLite or PostgreSQL."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from sqlalchemy import Engine, text, tuple_

from signoff.clock import Clock
from signoff.ports import Outbox, Reading, Wakeup, Watch, Writing
from signoff.storage import tables as t
from signoff.storage.engine import (
    CLOCKS,
    brief,
    keep_none,
    make_engine,
    readers,
    shown_url,
    snapshots,
    storage_errors,
)
from signoff.storage.migrate import migrate
from signoff.storage.outbox import SqlOutbox
from signoff.storage.reading import SqlReading
from signoff.storage.turns import TurnsStore
from signoff.storage.watching import watch
from signoff.storage.writing import SqlWriting


class SqlStore(TurnsStore):
    """Everything that signoff keeps, in one SQLite file or PostgreSQL database."""

    def __init__(self, engine: Engine, clock: Clock) -> None:
        self.engine = engine
        self._readers = readers(engine)
        self._snapshots = snapshots(engine)
        self._brief = brief(engine)
        self._clock = clock
        self.closed = False

    @property
    def url(self) -> str:
        """The address, without the password."""
        return shown_url(self.engine.url)

    @contextmanager
    def reading(self) -> Iterator[Reading]:
        """Reads, each on its own; nothing is locked."""
        with storage_errors(self.engine), self._readers.connect() as connection:
            yield SqlReading(connection, self._clock.offset_us)

    @contextmanager
    def snapshot(self) -> Iterator[Reading]:
        """Reads that all see one moment; nothing is locked."""
        with storage_errors(self.engine), self._snapshots.connect() as connection:
            yield SqlReading(connection, self._clock.offset_us)

    @contextmanager
    def writing(self, thread: str) -> Iterator[Writing]:
        """One transaction on one thread; it commits if the block doesn't raise."""
        with storage_errors(self.engine), self.engine.begin() as connection:
            writing = SqlWriting(connection, self._clock.offset_us, thread)
            yield writing
            writing.seal()

    @contextmanager
    def outbox(self) -> Iterator[Outbox]:
        """One transaction of a deliverer; it commits if the block doesn't raise."""
        with storage_errors(self.engine), self.engine.begin() as connection:
            yield SqlOutbox(connection, self._clock.offset_us)

    def beat(self, held: Sequence[tuple[str, int]], lease: int) -> None:
        """Say that the workers of these attempts (entry, number) are alive."""
        self._keep("attempt", "running", "lease_until", held, lease)

    def beat_undos(self, held: Sequence[tuple[str, int]], lease: int) -> None:
        """Say that who carries out these undos (entry, attempt) is alive."""
        self._keep("undo_attempt", "undoing", "undo_lease_until", held, lease)

    def _keep(
        self,
        number: str,
        state: str,
        until: str,
        held: Sequence[tuple[str, int]],
        lease: int,
    ) -> None:
        columns = t.entries.c
        attempts = tuple_(columns.id, columns[number]).in_(held)
        clock = CLOCKS[self.engine.dialect.name].format(offset=self._clock.offset_us)
        statement = (
            t.entries.update()
            .where(attempts, columns.state == state)
            .values({until: text(f"{clock} + {int(lease)}")})
        )
        with storage_errors(self.engine), self.engine.begin() as connection:
            connection.execute(statement)

    def done_waking(self, wakeup: Wakeup) -> None:
        """Forget a wake-up, unless a new reason has come since."""
        columns = t.wakeups.c
        statement = t.wakeups.delete().where(
            columns.thread == wakeup.thread, columns.version == wakeup.version
        )
        with storage_errors(self.engine), self.engine.begin() as connection:
            connection.execute(statement)

    def watch(self) -> Watch:
        """Notices what other connections and processes change here."""
        return watch(self.engine)

    def close(self) -> None:
        """Close every connection; one that is in use, when it is given back."""
        self.closed = True
        keep_none(self.engine)


def open_store(url: str, *, clock: Clock | None = None) -> SqlStore:
    """Open a store and bring its schema up to date.

    Raises:
        InvalidSetting: If the address is no store's.
        StorageUnavailable: If the database can't be opened.
        SchemaTooNew: If a newer signoff migrated it.
    """
    engine = make_engine(url)
    try:
        migrate(engine)
    except BaseException:
        engine.dispose()
        raise
    return SqlStore(engine, Clock() if clock is None else clock)
