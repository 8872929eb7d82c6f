"""The undos that this process has, and how their functions are called.

Each call is given a bounded time in a thread of its own: one that hangs holds up
nobody, and what it gives too late is thrown away.
"""

from __future__ import annotations

import asyncio
import contextvars
import copy
import inspect
import threading
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from concurrent.futures import TimeoutError as TooLate
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any, Final

from signoff.domain.actions import Action, canonical
from signoff.domain.errors import (
    CannotCapture,
    InvalidSetting,
    PayloadLost,
    PayloadRefused,
)
from signoff.domain.journal import Entry
from signoff.domain.predicates import Condition, Predicate, compile_condition, explain
from signoff.domain.undoing import (
    DEFAULT_TIMEOUT,
    EXACT,
    Effect,
    Label,
    Steps,
    Undo,
    intent_of,
    read_label,
    read_timeout,
)
from signoff.service.keeping import MOST, Keeping

Function = Callable[..., Any]
LARGEST: Final = MOST
"""Bytes of JSON that one capture or fingerprint may have."""


class HandlerFailed(Exception):
    """A function of an undo raised, hung, or gave what can't be kept.

    Attributes:
        reason: One sentence for people.
    """

    def __init__(self, reason: str) -> None:
        self.reason = reason
        super().__init__(reason)


@dataclass(frozen=True, slots=True)
class Registered:
    """An undo with its condition compiled."""

    spec: Undo
    covers: Predicate | None

    def refusal(self, action: Action) -> str | None:
        """Why this call can't be taken back, or None. An error means that it can't."""
        if self.covers is None:
            return None
        try:
            covered = self.covers(action)
        except Exception as error:  # noqa: BLE001 - all means ask
            why = explain(error, action.args)
            return f"its undo can't tell whether it covers this call: {why}"
        return None if covered else "its undo doesn't cover this call"


class Undos:
    """The undos by tool; one for each, and registering again replaces it.

    Attributes:
        keeping: Where what they need is kept.
    """

    def __init__(self) -> None:
        self._by_tool: dict[str, Registered] = {}
        self.keeping = Keeping()

    @property
    def tools(self) -> tuple[str, ...]:
        """The tools that have an undo here."""
        return tuple(self._by_tool)

    def add(self, spec: Undo) -> None:
        """Register an undo.

        Raises:
            PolicyError: Its condition is no expression.
        """
        covers = None if spec.when is None else compile_condition(spec.when)
        self._by_tool[spec.tool] = Registered(spec, covers)

    def get(self, tool: str) -> Registered | None:
        """The undo of a tool, if it has one here."""
        return self._by_tool.get(tool)

    def kept(self, entry: Entry, *names: str) -> Entry:
        """The entry with these parts of it as its row has them.

        Raises:
            HandlerFailed: One can't be kept.
        """
        try:
            return self.keeping.keep_parts(entry, *names)
        except CannotCapture as error:
            raise HandlerFailed(f"{error.what} {error.reason}") from error
        except PayloadRefused as error:
            raise HandlerFailed(str(error)) from error

    def read(self, entry: Entry) -> Entry:
        """The entry with everything that `kept` kept.

        Raises:
            HandlerFailed: It can't be read any more.
        """
        try:
            return self.keeping.read_entry(entry)
        except PayloadLost as error:
            raise HandlerFailed(str(error)) from error

    def intent(self, tool: str, args: Mapping[str, Any]) -> str:
        """By what a repetition of this call is known."""
        found = self._by_tool.get(tool)
        return intent_of(tool, args, () if found is None else found.spec.resource)

    def fits(self, entry: Entry) -> bool:
        """Whether this process can undo an entry, by its version too."""
        return self.has(entry.tool, entry.undo_version or 1)

    def has(self, tool: str, version: int) -> bool:
        """Whether there is an undo here that takes entries of this version."""
        found = self._by_tool.get(tool)
        return found is not None and _readable(found.spec, version)

    def register(  # noqa: PLR0913 - each keyword is one part of an undo
        self,
        tool: str,
        *,
        version: int = 1,
        capture: Function | None = None,
        fingerprint: Function | None = None,
        probe: Function | None = None,
        preview: Function | None = None,
        bind: Function | None = None,
        upcast: Function | None = None,
        when: Condition | None = None,
        resource: tuple[str, ...] = (),
        depends_on: Function | None = None,
        label: Label | str = EXACT,
        timeout: str | timedelta = DEFAULT_TIMEOUT,
    ) -> Callable[[Function], Function]:
        """A decorator: this function takes back what the tool did.

        It gets an `Effect`. The parts are those of `signoff.domain.undoing.Undo`.

        Raises:
            InvalidSetting, PolicyError: A part makes no sense.
        """

        def registered(undo: Function) -> Function:
            self.add(
                Undo(
                    tool=tool,
                    undo=undo,
                    version=version,
                    capture=capture,
                    fingerprint=fingerprint,
                    probe=probe,
                    preview=preview,
                    bind=bind,
                    upcast=upcast,
                    when=when,
                    resource=resource,
                    depends_on=depends_on,
                    label=read_label(label),
                    timeout=read_timeout(timeout),
                )
            )
            return undo

        if not isinstance(tool, str):
            raise InvalidSetting("undo", "takes the tool's name: @so.undo('pay').")
        return registered


def call(
    function: Function,
    *given: object,
    within: timedelta,
    late: Callable[[str], None] | None = None,
) -> Any:  # noqa: ANN401 - whatever it gives
    """Call a function of an undo, sync or async, and wait for it a bounded time.

    `late` is told what became of one that ended after that.

    Raises:
        HandlerFailed: It raised or hung.
    """
    answer: Future[Any] = Future()
    name = getattr(function, "__name__", "it")
    work = contextvars.copy_context().run
    threading.Thread(
        target=lambda: work(_answer, answer, function, given),
        name=f"signoff-undo-{name}",
        daemon=True,
    ).start()
    seconds = within.total_seconds()
    try:
        return answer.result(seconds)
    except TooLate:
        if not answer.done():
            _tell_late(answer, late)
            reason = f"{name} did not answer within {seconds:g} s"
            raise HandlerFailed(reason) from None
        raise HandlerFailed(f"{name} raised TimeoutError") from None
    except HandlerFailed:
        raise
    except CannotCapture as error:
        raise HandlerFailed(f"{error.what} {error.reason}") from error
    except Exception as error:
        raise HandlerFailed(f"{name} raised {_said(error)}") from error


def call_json(function: Function, *given: object, within: timedelta, at: str) -> Any:  # noqa: ANN401 - any JSON
    """`call`, for what has to be kept.

    Raises:
        HandlerFailed: It raised, hung, or gave what is no JSON, or too much of it.
    """
    value = call(function, *given, within=within)
    try:
        size = len(canonical(value, at=at))
    except PayloadRefused as error:
        raise HandlerFailed(str(error)) from error
    if size > LARGEST:
        limit = f"of {LARGEST:,} bytes that can be kept"
        raise HandlerFailed(f"{at} has {size:,} bytes, {limit}")
    return copy.deepcopy(value)


def fingerprint(spec: Undo, effect: Effect) -> dict[str, Any] | None:
    """The state now, by path; None if the undo can't tell.

    Raises:
        HandlerFailed: It could tell, and failed.
    """
    if spec.fingerprint is None:
        return None
    at = "fingerprint"
    state = call_json(spec.fingerprint, effect, within=spec.timeout, at=at)
    if not isinstance(state, Mapping):
        raise HandlerFailed(f"{at} gave {type(state).__name__}, not values by path")
    return dict(state)


def effect_of(entry: Entry, keep: Callable[[str, Any], None] | None = None) -> Effect:
    """What the functions of an undo see of an entry: copies."""
    steps = Steps(entry.steps) if keep is None else Steps(entry.steps, keep)
    return Effect(
        id=entry.id,
        action_id=entry.action_id,
        thread=entry.thread,
        tool=entry.tool,
        args=copy.deepcopy(dict(entry.args or {})),
        result=copy.deepcopy(entry.output),
        captured=copy.deepcopy(entry.captured),
        bound=copy.deepcopy(dict(entry.bound or {})),
        key=entry.undo_key,
        attempt=entry.undo_attempt,
        version=entry.undo_version or 1,
        steps=steps,
    )


def upcast(spec: Undo, entry: Entry) -> Entry:
    """The entry as this version of the undo has it.

    Raises:
        HandlerFailed: It can't be brought there.
    """
    version = entry.undo_version or 1
    if version == spec.version:
        return entry
    if spec.upcast is None or version > spec.version:
        wanted = f"made for version {version} of the undo of {entry.tool}"
        raise HandlerFailed(f"{wanted}, and here is version {spec.version}")
    names = {"args": "args", "result": "output", **{n: n for n in _STORED}}
    row = {name: copy.deepcopy(getattr(entry, own)) for name, own in names.items()}
    read = call_json(spec.upcast, row, version, within=spec.timeout, at="upcast")
    if not isinstance(read, Mapping) or set(read) - set(names):
        raise HandlerFailed(f"upcast must give a mapping of {', '.join(names)}")
    return replace(entry, **{names[name]: value for name, value in read.items()})


_STORED: Final = ("captured", "before", "after", "bound")


def _readable(spec: Undo, version: int) -> bool:
    return version == spec.version or (
        spec.upcast is not None and version < spec.version
    )


def _answer(answer: Future[Any], function: Function, given: tuple[object, ...]) -> None:
    try:
        value = function(*given)
        if inspect.isawaitable(value):
            value = asyncio.run(_awaited(value))
    except BaseException as error:  # noqa: BLE001 - handed to whoever waits
        answer.set_exception(error)
    else:
        answer.set_result(value)


async def _awaited(value: Any) -> Any:  # noqa: ANN401 - any awaitable
    return await value


def _tell_late(answer: Future[Any], late: Callable[[str], None] | None) -> None:
    if late is None:
        return

    def told(ended: Future[Any]) -> None:
        error = ended.exception()
        late("it went through" if error is None else f"it raised {_said(error)}")

    answer.add_done_callback(told)


def _said(error: BaseException) -> str:
    return f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
