"""Carries an undo through the steps that the service takes it through, in their order.

Everything that is kept goes through JSON, as through a database.
"""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from signoff.domain.actions import canonical
from signoff.domain.undoing import ABSENT, Effect, Steps, Undo, touched


def kept(value: object) -> Any:  # noqa: ANN401 - any JSON
    """The value as a database gives it back."""
    return json.loads(canonical(value))


@dataclass
class Done:
    """An effect that can be taken back."""

    spec: Undo
    effect: Effect
    before: Mapping[str, Any]
    after: Mapping[str, Any]
    steps: dict[str, Any] = field(default_factory=dict)

    @property
    def paths(self) -> tuple[str, ...]:
        return touched(self.before, self.after)

    def now(self) -> Mapping[str, Any]:
        assert self.spec.fingerprint is not None
        found: Mapping[str, Any] = kept(self.spec.fingerprint(self.effect))
        return found

    def conflicts(self) -> list[str]:
        return self._unlike(self.after)

    def left_over(self) -> list[str]:
        return self._unlike(self.before)

    def _unlike(self, wanted: Mapping[str, Any]) -> list[str]:
        now = self.now()
        same = [(p, now.get(p, ABSENT), wanted.get(p, ABSENT)) for p in self.paths]
        return [path for path, is_now, was in same if is_now != was]

    def attempt(self) -> None:
        """Run the inverse, as the first attempt or as a later one."""
        steps = Steps(kept(self.steps), self.steps.__setitem__)
        self.spec.undo(replace(self.effect, steps=steps))

    def take_back(self) -> None:
        assert self.conflicts() == []
        self.attempt()
        assert self.left_over() == []


def carry_out(
    spec: Undo, args: Mapping[str, Any], tool: Callable[[], Any], name: str = "1"
) -> Done:
    """Capture, do it, and bind the undo's arguments.

    Raises:
        CannotCapture: Before the effect: it can't be taken back.
    """
    assert spec.capture is not None
    assert spec.fingerprint is not None
    effect = Effect(
        id=f"ent_{name}",
        action_id=f"act_{name}",
        thread="t1",
        tool=spec.tool,
        args=kept(args),
        captured=kept(spec.capture(kept(args))),
        key=f"undo:act_{name}",
    )
    before = kept(spec.fingerprint(effect))
    effect = replace(effect, result=kept(tool()))
    after = kept(spec.fingerprint(effect))
    if spec.bind is not None:
        effect = replace(effect, bound=kept(spec.bind(effect)))
    return Done(spec, effect, before, after)
