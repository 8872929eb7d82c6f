"""What changed between two policies, rule by rule, as a person would say it."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from difflib import SequenceMatcher
from enum import StrEnum
from functools import cache
from typing import Any, Final

from signoff.domain.actions import canonical, sha256

Described = Mapping[str, Any]
"""A rule as `Rule.describe` gives it."""


class ChangeKind(StrEnum):
    """How a rule differs from one version to the next."""

    ADDED = "added"
    REMOVED = "removed"
    CHANGED = "changed"
    MOVED = "moved"


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """One rule that differs. Order matters, because the first match wins.

    Attributes:
        rule: How the rule is called; its new name, if it has another.
        was: Its number in the old policy, from 1; None if it is new.
        now: Its number in the new policy, from 1; None if it is gone.
        settings: Each setting that differs: what it was and what it is now.
    """

    kind: ChangeKind
    rule: str
    was: int | None = None
    now: int | None = None
    settings: Mapping[str, tuple[Any, Any]] = field(default_factory=dict)

    def describe(self) -> dict[str, Any]:
        """The change as JSON, as the ledger keeps it."""
        return {
            "kind": self.kind.value,
            "rule": self.rule,
            "was": self.was,
            "now": self.now,
            "settings": {name: list(pair) for name, pair in self.settings.items()},
        }

    def text(self) -> str:
        """One line: `~ rule 2, review(pay): approvals 1 -> 2`."""
        place = f"{_SIGNS[self.kind]} rule {self.now or self.was}, {self.rule}"
        if self.kind is ChangeKind.MOVED:
            return f"{place}: was rule {self.was}"
        if self.kind is not ChangeKind.CHANGED:
            return place
        moved = [] if self.was == self.now else [f"was rule {self.was}"]
        told = (
            f"{name} {_said(old)} -> {_said(new)}"
            for name, (old, new) in self.settings.items()
        )
        return f"{place}: {'; '.join([*told, *moved])}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Published:
    """A policy that came into use, as the ledger has it.

    Attributes:
        at: Microseconds since 1970 UTC on the database clock.
        by: The process that loaded it first: `host/pid`.
        source: The file that it was in, or `python`.
        previous: The version that this file had before; None if none was recorded.
        rules: How many rules it has.
        changes: What differs from the previous version; None without one.
    """

    version: str
    at: int
    by: str | None
    source: str | None
    previous: str | None
    rules: int
    changes: tuple[Change, ...] | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Recorded:
    """The rules of a version, as they were recorded, in order."""

    version: str
    rules: tuple[Described, ...]


def read_change(data: Mapping[str, Any]) -> Change:
    """The change of a description."""
    return Change(
        kind=ChangeKind(data["kind"]),
        rule=data["rule"],
        was=data["was"],
        now=data["now"],
        settings={name: (old, new) for name, (old, new) in data["settings"].items()},
    )


def version_of(rules: Sequence[Described]) -> str:
    """The version of rules as they were recorded; it is that of their policy."""
    return sha256(canonical(list(rules), at="policy"))[:16]


def label_of(rule: Described) -> str:
    """How a described rule is called on screen and in the ledger."""
    return rule.get("name") or f"{rule['verdict']}({', '.join(rule['tools'])})"


def changes(old: Sequence[Described], new: Sequence[Described]) -> tuple[Change, ...]:
    """What differs, in the order of the new policy; rules that are gone come last."""
    before, after = [_key(rule) for rule in old], [_key(rule) for rule in new]
    matcher = SequenceMatcher(None, before, after, autojunk=False)
    same = [
        (block.a + i, block.b + i)
        for block in matcher.get_matching_blocks()
        for i in range(block.size)
    ]
    gone = _without(len(old), (was for was, _ in same))
    come = _without(len(new), (now for _, now in same))
    pairs = _pairs(old, new, gone, come)
    found = [_changed(old[was], new[now], was, now) for now, was in pairs.items()]
    found += [
        Change(kind=ChangeKind.ADDED, rule=label_of(new[now]), now=now + 1)
        for now in come
        if now not in pairs
    ]
    found.sort(key=lambda change: change.now or 0)
    lost = _without(len(old), (*(was for was, _ in same), *pairs.values()))
    return (
        *found,
        *(
            Change(kind=ChangeKind.REMOVED, rule=label_of(old[was]), was=was + 1)
            for was in lost
        ),
    )


def _pairs(
    old: Sequence[Described],
    new: Sequence[Described],
    gone: Sequence[int],
    come: Sequence[int],
) -> dict[int, int]:
    """Which new rule stands for which old one: the same, so called, or so aimed."""
    pairs: dict[int, int] = {}
    left = list(gone)
    for alike in (_same, _same_name, _same_aim, _same_tools, _some_tools):
        for now in come:
            if now in pairs:
                continue
            twin = next((was for was in left if alike(old[was], new[now])), None)
            if twin is not None:
                pairs[now] = twin
                left.remove(twin)
    return pairs


def _changed(old: Described, new: Described, was: int, now: int) -> Change:
    before, after = _whole(old), _whole(new)
    settings = {
        name: (before.get(name), after.get(name))
        for name in {**after, **before}
        if before.get(name) != after.get(name)
    }
    kind = ChangeKind.CHANGED if settings else ChangeKind.MOVED
    where = {"was": was + 1, "now": now + 1}
    return Change(kind=kind, rule=label_of(new), settings=settings, **where)


def _whole(rule: Described) -> Described:
    """The rule with the defaults of settings that its release didn't know yet."""
    return {**_defaults(), **rule}


@cache
def _defaults() -> Described:
    from signoff.domain.rules import review  # noqa: PLC0415 - CEL costs 0.4 s

    return review("*").describe()


def _key(rule: Described) -> str:
    return canonical(dict(_whole(rule)), at="rule").decode()


def _same(old: Described, new: Described) -> bool:
    return _key(old) == _key(new)


def _same_name(old: Described, new: Described) -> bool:
    return old.get("name") is not None and old.get("name") == new.get("name")


def _same_aim(old: Described, new: Described) -> bool:
    aims = ("verdict", "tools", "when")
    return all(old.get(name) == new.get(name) for name in aims)


def _same_tools(old: Described, new: Described) -> bool:
    return bool(old["tools"] == new["tools"])


def _some_tools(old: Described, new: Described) -> bool:
    shared = set(old["tools"]) & set(new["tools"])
    return old["verdict"] == new["verdict"] and shared != set()


def _without(count: int, taken: Iterator[int] | Sequence[int]) -> list[int]:
    known = set(taken)
    return [number for number in range(count) if number not in known]


def _said(value: object) -> str:
    return "unset" if value is None else json.dumps(value, ensure_ascii=False)


_SIGNS: Final = {
    ChangeKind.ADDED: "+",
    ChangeKind.REMOVED: "-",
    ChangeKind.CHANGED: "~",
    ChangeKind.MOVED: ">",
}
