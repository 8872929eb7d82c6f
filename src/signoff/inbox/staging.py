"""How far a workflow is, beside the gate that asks: its stages and what they made."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import takewhile
from typing import Any, Final

from signoff.domain.requests import Request, RequestKind
from signoff.domain.stages import Stage, StageState
from signoff.domain.text import reveal
from signoff.inbox.wording import Row, rows

Data = dict[str, Any]

_WORDS: Final[Mapping[StageState, str]] = {StageState.CHANGES: "changes asked for"}


def staged(request: Request, stages: Sequence[Stage]) -> Data:
    """What a gate shows of its thread; nothing for a call."""
    if request.kind is not RequestKind.GATE:
        return {"gate": False}
    own = next((one for one in stages if one.request_id == request.id), None)
    return {
        "gate": True,
        "question": reveal(request.description) or None,
        "stages": [_stage(one, now=one is own) for one in stages],
        "round": 1 if own is None else own.round,
        "remarks": [] if own is None else [reveal(said) for said in own.remarks],
        "made": [row.as_data() for row in _made(request, stages)],
    }


def _stage(stage: Stage, *, now: bool) -> Data:
    word = _WORDS.get(stage.state, stage.state.value)
    again = f", round {stage.round}" if stage.round > 1 else ""
    return {
        "name": reveal(stage.name),
        "state": stage.state.value,
        "said": word + again,
        "now": now,
    }


def _made(request: Request, stages: Sequence[Stage]) -> Sequence[Row]:
    """The work of the stages that are done before this one, field by field."""
    before = takewhile(lambda stage: stage.name != request.tool, stages)
    work = {one.name: one.value for one in before if one.state is StageState.DONE}
    return rows(work, work)
