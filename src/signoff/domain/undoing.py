"""Taking back what was done: what a tool registers, and what counts as taken back."""

from __future__ import annotations

import copy
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Final

from signoff.domain.actions import canonical, sha256
from signoff.domain.duration import duration
from signoff.domain.errors import InvalidSetting
from signoff.domain.journal import Entry, EntryKind, EntryState

if TYPE_CHECKING:
    from signoff.domain.predicates import Condition  # at run time it costs CEL's import

GRACE: Final = 5_000_000
"""By how much less than the real window people are shown: a late click still wins."""
DEFAULT_TIMEOUT: Final = timedelta(seconds=30)
ABSENT: Final = {"$absent": True}
"""Stands in a diff for a path that isn't there."""


@dataclass(frozen=True, slots=True)
class Label:
    """What an undo gives, said honestly.

    Attributes:
        word: `exact` or `compensated`.
        remains: What stays behind; only with `compensated`.
    """

    word: str
    remains: str | None = None


EXACT: Final = Label("exact")


def compensated(remains: str) -> Label:
    """An undo after which something stays, such as `the mail stays in the trash`."""
    return Label("compensated", remains)


@dataclass(frozen=True, slots=True)
class Happened:
    """A probe's answer: it happened, and this is what it returned, as JSON."""

    result: Any = None


def _no_journal(_name: str, _result: object) -> None:
    """A step outside of an undo is kept nowhere."""


class Steps:
    """The steps of one undo, each of which is done once ever.

    `keep` stores a step's result; it raises if another process has taken over.
    """

    def __init__(
        self,
        done: Mapping[str, Any],
        keep: Callable[[str, Any], None] = _no_journal,
    ) -> None:
        self._done = dict(done)
        self._keep = keep

    def run(self, name: str, work: Callable[[], Any]) -> Any:  # noqa: ANN401 - any JSON
        """What the step gave, now or at an earlier attempt."""
        if name not in self._done:
            result = work()
            canonical(result, at=f"step {name!r}")
            self._keep(name, result)
            self._done[name] = result
        return copy.deepcopy(self._done[name])


@dataclass(frozen=True, slots=True, kw_only=True)
class Effect:
    """One effect, as every function of an undo gets it. Copies: change what you like.

    Attributes:
        id: The entry's.
        result: What the tool returned, as JSON; None before it ran, or if it is none.
        captured: What `capture` returned.
        bound: What `bind` returned.
        key: `undo:` and the action; the same at every attempt. Pass it to the service
            that you call, so that an undo which got through twice takes effect once.
        attempt: How many processes have tried this undo, this one included; 0 outside
            of one.
        version: The version of the undo that the entry was made for.
    """

    id: str
    action_id: str
    thread: str
    tool: str
    args: Mapping[str, Any]
    result: Any = None
    captured: Any = None
    bound: Mapping[str, Any] = field(default_factory=dict)
    key: str = ""
    attempt: int = 0
    version: int = 1
    steps: Steps = field(default_factory=lambda: Steps({}))

    def step(self, name: str, work: Callable[[], Any]) -> Any:  # noqa: ANN401 - any JSON
        """Do one step of an undo once ever, and get its JSON result at every attempt.

        Raises:
            PayloadRefused: What it gave isn't JSON, so it can't be kept.
        """
        return self.steps.run(name, work)


@dataclass(frozen=True, slots=True, kw_only=True)
class Undo:
    """How a tool's effect is taken back. Each function may be async.

    Attributes:
        tool: The tool's name.
        undo: Takes it back; gets the `Effect`.
        version: Grows when what is stored for it changes its meaning.
        capture: From the arguments, before the effect: what the undo will need.
        fingerprint: From the effect: the state now, as small values by path.
        probe: From the effect: did it happen? True, False, `Happened(...)`, or None
            if that can't be told.
        preview: From the arguments: what it would do, for people, as JSON.
        bind: From the effect, once it is done: the arguments of the undo.
        upcast: From what is stored, and its version: the same as this version has it.
        when: Which calls can be taken back; CEL, or a function of the action.
        resource: The arguments that say what the call acts on.
        depends_on: From the arguments: ids of the entries that this call needs.
        label: What the undo gives.
        timeout: How long each function may take.
    """

    tool: str
    undo: Callable[[Effect], Any]
    version: int = 1
    capture: Callable[[Mapping[str, Any]], Any] | None = None
    fingerprint: Callable[[Effect], Any] | None = None
    probe: Callable[[Effect], Any] | None = None
    preview: Callable[[Mapping[str, Any]], Any] | None = None
    bind: Callable[[Effect], Any] | None = None
    upcast: Callable[[dict[str, Any], int], Any] | None = None
    when: Condition | None = None
    resource: tuple[str, ...] = ()
    depends_on: Callable[[Mapping[str, Any]], Iterable[str]] | None = None
    label: Label = EXACT
    timeout: timedelta = DEFAULT_TIMEOUT

    def __post_init__(self) -> None:
        for name, problem in _problems(self):
            raise InvalidSetting(f"undo of {self.tool!r}, {name}", problem)


def read_label(label: Label | str) -> Label:
    """A label, or the word `exact`."""
    if isinstance(label, Label):
        return label
    if label == EXACT.word:
        return EXACT
    wanted = "'exact', or compensated('what stays behind')"
    raise InvalidSetting("label", f"must be {wanted}, not {label!r}.")


def read_timeout(span: str | timedelta) -> timedelta:
    """A time-out, from a text such as `30s`."""
    return duration(span, name="timeout")


def _problems(spec: Undo) -> Iterable[tuple[str, str]]:
    if not spec.tool:
        yield "tool", "must be the name of a tool."
    if isinstance(spec.version, bool) or spec.version < 1:
        yield "version", "must be 1 or more."
    if isinstance(spec.resource, str):
        yield "resource", f"must be names of arguments: ({spec.resource!r},)."
    if spec.label.word == "compensated" and not spec.label.remains:
        yield "label", "must say what stays behind: compensated('...')."
    for name in _CALLABLES:
        value = getattr(spec, name)
        if not callable(value) and not (name != "undo" and value is None):
            yield name, f"must be a function, not {value!r}."


_CALLABLES: Final = (
    "undo",
    "capture",
    "fingerprint",
    "probe",
    "preview",
    "bind",
    "upcast",
    "depends_on",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """One path of a three-way diff; `ABSENT` where there is no such path."""

    path: str
    before: Any
    after: Any
    now: Any

    def as_json(self) -> dict[str, Any]:
        """As it is kept and shown."""
        return {
            "path": self.path,
            "before": self.before,
            "after": self.after,
            "now": self.now,
        }


def touched(
    before: Mapping[str, Any] | None, after: Mapping[str, Any] | None
) -> tuple[str, ...]:
    """The paths that an effect changed."""
    if before is None or after is None:
        return ()
    paths = sorted(before.keys() | after.keys())
    return tuple(p for p in paths if not same(_at(before, p), _at(after, p)))


def conflicts(entry: Entry, now: Mapping[str, Any]) -> tuple[Change, ...]:
    """What somebody changed since, among the paths that the effect changed.

    What an effect left alone doesn't stand in the way of its undo.
    """
    return _unlike(entry, now, entry.after or {})


def left_over(entry: Entry, now: Mapping[str, Any]) -> tuple[Change, ...]:
    """What isn't as it was before the effect, among the paths that it changed."""
    return _unlike(entry, now, entry.before or {})


def is_back(entry: Entry, now: Mapping[str, Any]) -> bool:
    """Whether the state is what it was before: there is nothing left to take back."""
    return touched(entry.before, entry.after) != () and not left_over(entry, now)


def _unlike(
    entry: Entry, now: Mapping[str, Any], wanted: Mapping[str, Any]
) -> tuple[Change, ...]:
    before, after = entry.before or {}, entry.after or {}
    return tuple(
        Change(path=p, before=_at(before, p), after=_at(after, p), now=_at(now, p))
        for p in touched(entry.before, entry.after)
        if not same(_at(now, p), _at(wanted, p))
    )


def same(one: object, other: object) -> bool:
    """Whether two JSON values are the same; 1 and True are not."""
    return canonical(one) == canonical(other)


def _at(state: Mapping[str, Any], path: str) -> Any:  # noqa: ANN401 - any JSON
    return state.get(path, ABSENT)


def intent_of(tool: str, args: Mapping[str, Any], resource: Sequence[str]) -> str:
    """The same for two calls that mean the same: the tool, and what it acts on.

    Without a resource it is the tool, whatever the arguments.
    """
    return sha256(canonical([tool, [args.get(name) for name in resource]]))[:32]


def shown_until(until: int, window: int) -> int:
    """The deadline that people are shown: a grace shorter than the real one."""
    return until - min(GRACE, window // 4)


def window_of(entry: Entry) -> int:
    """How long its window is, in microseconds; 0 for one that has none."""
    return int((entry.undo_terms or {}).get("window", 0))


def undoers_of(entry: Entry) -> tuple[str, ...] | None:
    """Who may take it back, and is told of it; None: whoever is known."""
    named = (entry.undo_terms or {}).get("undoers")
    return None if named is None else tuple(named)


class Dependence(StrEnum):
    """How it is known that an entry needs another."""

    DECLARED = "declared"
    PROBABLE = "probable"


@dataclass(frozen=True, slots=True, kw_only=True)
class Dependency:
    """One entry needs another that ran before it."""

    entry_id: str
    on_entry_id: str
    how: Dependence


@dataclass(frozen=True, slots=True, kw_only=True)
class Dependent:
    """A later entry that stands in the way of an undo."""

    entry: Entry
    how: Dependence


_NAMED: Final = re.compile(
    r"(^|.*[_-])(id|key|uuid|ref|number)s?$|.*[a-z](Id|ID|Key|Uuid|Ref|Number)s?$"
)
_TELLING: Final = 4
"""From how many characters on a text means something under any name."""


def made_ids(entry: Entry) -> frozenset[str]:
    """The ids that an effect made: in its result under a name such as `issue_id`.

    One that it was given is only echoed: two changes of a ticket don't need each other.
    """
    given = {text for text, _, _ in _leaves(entry.args)}
    return frozenset(
        text for text, named, _ in _leaves(entry.output) if named and text not in given
    )


def mentions(entry: Entry) -> frozenset[str]:
    """What in the arguments of a call may be an id; nothing in those of a read.

    A number or a short text is one under such a name only: 7 dollars aren't ticket 7.
    """
    if not changes(entry):
        return frozenset()
    return frozenset(
        text
        for text, named, is_text in _leaves(entry.args)
        if named or (is_text and len(text) >= _TELLING)
    )


def ids_in(value: object) -> frozenset[str]:
    """What stands under a name such as `id` or `issue_id`."""
    return frozenset(text for text, named, _ in _leaves(value) if named)


def texts_in(value: object) -> frozenset[str]:
    """Every text and whole number, as texts."""
    return frozenset(text for text, _, _ in _leaves(value))


def _leaves(value: object, *, named: bool = False) -> Iterator[tuple[str, bool, bool]]:
    """Every text and whole number, with whether its name is that of an id."""
    if isinstance(value, Mapping):
        for key, item in value.items():
            yield from _leaves(item, named=_NAMED.fullmatch(str(key)) is not None)
    elif isinstance(value, list | tuple):
        for item in value:
            yield from _leaves(item, named=named)
    elif isinstance(value, int | str) and not isinstance(value, bool):
        yield str(value), named, isinstance(value, str)


def changes(entry: Entry) -> bool:
    """Whether an entry may have changed something.

    A plain call without a request was allowed without a question, as reads are.
    """
    return entry.kind is not EntryKind.PLAIN or entry.request_id is not None


def blocks(entry: Entry, now: int) -> str | None:
    """Why this entry can't be undone now; None if it can.

    One that needs no undo (it failed, was cancelled or is undone) blocks nothing.
    """
    if entry.state in {EntryState.UNDO_FAILED, EntryState.UNDO_UNVERIFIED}:
        return None
    if entry.state is not EntryState.DONE:
        return _NOT_DONE.get(entry.state)
    if entry.not_undoable is not None:
        return entry.not_undoable
    if entry.undo_until is None:
        return _NO_WINDOW[entry.kind]
    if entry.undo_until <= now and entry.held_open is None:
        return "its window has closed"
    return None


_NOT_DONE: Final = {
    EntryState.PREPARED: "it waits for a person and has had no effect yet",
    EntryState.RUNNING: "it still runs",
    EntryState.UNKNOWN: "it isn't known whether it happened",
    EntryState.HELD: "it is held and has had no effect yet; cancel it instead",
    EntryState.FAILED: "it had no effect",
    EntryState.CANCELLED: "it was cancelled before it had any effect",
    EntryState.FINAL: "its window has closed",
}
_NO_WINDOW: Final = {
    EntryKind.PLAIN: "it ran as an approved or allowed call, with no way back",
    EntryKind.REVERSIBLE: "it has no window",
    EntryKind.HELD: "a held call can be cancelled until it runs, and not undone",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Orphan:
    """Open windows of one tool and version, for which an undo is missing."""

    agent: str | None
    tool: str
    version: int
    count: int


@dataclass(frozen=True, slots=True, kw_only=True)
class AgentNotice:
    """What an agent is to hear of what people did, once.

    Attributes:
        id: The id of the message in the agent's conversation.
        kind: `undone`, `cancelled`, or what else happened.
        body: JSON: tool, args, who, why.
        seen_at: When it was found in the conversation.
    """

    id: str
    thread: str
    entry_id: str
    kind: str
    body: Mapping[str, Any]
    created_at: int = 0
    seen_at: int | None = None


def agent_notice_id(entry_id: str, kind: str) -> str:
    """The same for the same thing that happened to an entry."""
    return "ntc_" + sha256(canonical(["agent", entry_id, kind]))[:24]
