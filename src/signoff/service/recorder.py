"""Records allowed calls in batches, behind the call's back.

A crash loses what was allowed in the last `DELAY_S` seconds before it, never more than
`LIMIT` calls; what waits for people or was decided is never recorded this way.
"""

from __future__ import annotations

import logging
import os
import threading
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import groupby
from typing import Any, Final, NamedTuple

from signoff.domain.actions import Action, exact_copy
from signoff.domain.errors import WorldError
from signoff.domain.policy import Ruling
from signoff.ports import Ruled, Store
from signoff.service.propose import check_action, ruled_fact

log: Final = logging.getLogger("signoff")

DELAY_S: Final = 0.1
LIMIT: Final = 10_000
BATCH: Final = 500
LONGEST_PAUSE_S: Final = 30.0


class _Allowed(NamedTuple):
    action: Action
    args: Mapping[str, Any]
    ruling: Ruling

    def copied(self) -> Action:
        """The action with the arguments that it had when it was allowed."""
        return replace(self.action, args=self.args)


class Recorder:
    """A queue and one daemon thread; when the queue is full, the caller writes."""

    _queue: deque[_Allowed]
    _thread: threading.Thread | None

    def __init__(self, store: Store) -> None:
        self._store = store
        self._stopped = threading.Event()
        self._abandoned = False
        self._begin_anew()

    def add(self, action: Action, ruling: Ruling) -> None:
        """Queue one allowed call; its arguments are copied now.

        Raises:
            PayloadRefused: The arguments aren't exact JSON.
            StorageUnavailable: The queue is full and the database is down.
        """
        if self._process != os.getpid():
            self._begin_anew()
        check_action(action)
        args = exact_copy(action.args, at="args")
        if len(self._queue) >= LIMIT:
            self.flush()
        self._queue.append(_Allowed(action, args, ruling))
        if self._stopped.is_set():
            self.flush()
            return
        if self._thread is None:
            self._start()
        if not self._filled.is_set():
            self._filled.set()

    def flush(self) -> None:
        """Write everything that is queued now; also waits for what is being written."""
        if self._process != os.getpid():
            self._begin_anew()
        while self._write_batch():
            pass

    def stop(self) -> None:
        """End the thread and write the rest here."""
        self._stopped.set()
        self._filled.set()
        self.flush()

    def let_go(self) -> None:
        """Nobody will add or close any more: the thread writes the rest and closes.

        Waits for nothing, because a garbage collector calls it.
        """
        self._abandoned = True
        self._stopped.set()
        self._filled.set()
        if not self._is_running():
            self._store.close()

    def _begin_anew(self) -> None:
        # After a fork the parent writes what it queued; its locks may be held.
        self._process = os.getpid()
        self._queue = deque()
        self._filled = threading.Event()
        self._writing = threading.Lock()
        self._starting = threading.Lock()
        self._thread = None

    def _start(self) -> None:
        with self._starting:
            if not self._is_running():
                self._thread = threading.Thread(
                    target=self._run, name="signoff-recorder", daemon=True
                )
                self._thread.start()

    def _is_running(self) -> bool:
        thread = self._thread  # read once: a thread that ends takes its name away
        return thread is not None and thread.is_alive()

    def _run(self) -> None:
        try:
            self._write_until_stopped()
        finally:
            self._thread = None  # whoever adds next starts another

    def _write_until_stopped(self) -> None:
        pause = DELAY_S
        while not self._stopped.is_set():
            self._filled.wait()
            self._stopped.wait(pause)
            self._filled.clear()
            pause = DELAY_S if self._flushed() else min(2 * pause, LONGEST_PAUSE_S)
        if self._abandoned:
            self._flushed()
            self._store.close()

    def _flushed(self) -> bool:
        try:
            self.flush()
        except WorldError as error:
            self._filled.set()
            log.warning("allowed calls wait to be recorded: %s", error)
            return False
        return True

    def _write_batch(self) -> bool:
        """Write some; whether there were any."""
        with self._writing:
            batch = [self._queue.popleft() for _ in range(min(BATCH, len(self._queue)))]
            by_thread = sorted(batch, key=_thread_of)
            try:
                for thread, group in groupby(by_thread, key=_thread_of):
                    self._write_thread(thread, list(group))
            except BaseException:
                # Rows are inserted once by their id, so writing some again is harmless.
                self._queue.extendleft(reversed(batch))
                raise
        return batch != []

    def _write_thread(self, thread: str, allowed: Sequence[_Allowed]) -> None:
        # Naming an action costs more than all else that `add` does; so it is done here.
        copied = ((one.copied(), one.ruling) for one in allowed)
        by_id = {action.id: (action, ruling) for action, ruling in copied}
        with self._store.writing(thread) as tx:
            before = tx.ruled_among(list(by_id))
            new = {name: of for name, of in by_id.items() if name not in before}
            if new:
                tx.add_actions([_ruled(name, *of) for name, of in new.items()])
                tx.record(*(ruled_fact(*of, kind="allowed") for of in new.values()))


def _thread_of(allowed: _Allowed) -> str:
    return allowed.action.context.thread


def _ruled(action_id: str, action: Action, ruling: Ruling) -> Ruled:
    return Ruled(
        action=action,
        action_id=action_id,
        verdict=ruling.verdict.value,
        rule=ruling.rule.label,
        policy_version=ruling.policy_version,
        error=ruling.error,
    )
