"""How far a workflow is, beside the gate that waits: its stages and what they made."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Final

from rich.console import RenderableType
from rich.text import Text

from signoff.cli.screen import cut, line
from signoff.domain.requests import Request
from signoff.domain.stages import Stage, StageState

_STYLES: Final[Mapping[StageState, str]] = {
    StageState.DONE: "green",
    StageState.WAITING: "bold cyan",
    StageState.CHANGES: "yellow",
    StageState.STOPPED: "bold red",
    StageState.AHEAD: "dim",
}
_WORDS: Final[Mapping[StageState, str]] = {StageState.CHANGES: "changes asked for"}


def staged(
    stages: Sequence[Stage], request: Request, *, full: bool
) -> Iterator[tuple[str, RenderableType]]:
    """The workflow's stages, this gate's earlier rounds, what earlier stages made."""
    if len(stages) == 0:
        return
    yield "stages", _overview(stages)
    for stage in stages:
        if stage.request_id == request.id:
            for number, remark in enumerate(stage.remarks, start=1):
                yield f"round {number}", cut(f"changes: {remark}", full=full)
            return
        if stage.state is StageState.DONE:
            yield "made by", _work(stage, full=full)


def _overview(stages: Sequence[Stage]) -> Text:
    text = Text(overflow="fold")
    for stage in stages:
        word = _WORDS.get(stage.state, stage.state.value)
        again = f" (round {stage.round})" if stage.round > 1 else ""
        text.append("" if len(text) == 0 else ", ")
        text.append_text(line(f"{stage.name}: "))
        text.append(word + again, _STYLES[stage.state])
    return text


def _work(stage: Stage, *, full: bool) -> Text:
    value = stage.value
    shown = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return line(f"{stage.name}: ", "bold").append_text(cut(shown, full=full))
