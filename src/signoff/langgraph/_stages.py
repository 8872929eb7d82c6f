"""`Stages`: a workflow whose stages people can follow, and hold between."""

from __future__ import annotations

from typing import Any, Unpack

from langchain_core.runnables import RunnableConfig
from langgraph.config import get_config

from signoff.domain.stages import check_among, check_outline, kept_id
from signoff.langgraph._calls import read_context
from signoff.langgraph._execution import execution_of, node_of
from signoff.langgraph._gate import GateTerms, Passed, gate_steps
from signoff.langgraph._making import (
    Make,
    Payload,
    Steps,
    adrive,
    check_off_loop,
    check_payload,
    drive,
)
from signoff.langgraph._steps import do
from signoff.service import Approvals


class Stages:
    """The stages of a workflow, in the order in which they run.

    People see of each thread which stages are done and what they made, which one
    waits, and what is ahead.

    Args:
        so: Where the work of the stages is kept.
        names: Their names, in order.

    Raises:
        InvalidSetting: There are none, one has no name, or two have the same.
    """

    def __init__(self, so: Approvals, *names: str) -> None:
        self.so, self.names = so, check_outline(names)

    def stage(self, name: str, work: Payload) -> Any:  # noqa: ANN401 - any JSON value
        """Do a stage's work and keep what it made; `astage` in async code.

        A node that is re-executed, after a pause or in another process after a crash,
        gets what was kept and doesn't do the work again. A process that dies between
        the work and its record does it again: give an effect a key of its own, or put
        it into a guarded tool.

        Args:
            name: One of the stages.
            work: A JSON value, or a function that makes it.

        Raises:
            InvalidSetting: There is no such stage.
            PayloadRefused: What it made isn't exact JSON; nothing is kept.
            NoCheckpointer: The graph could never be resumed.
            BlocksEventLoop: It was called from async code.
        """
        config = get_config()
        check_off_loop(config, "stage", "astage")
        return drive(self.so, self._steps(config, name, work))

    async def astage(self, name: str, work: Payload) -> Any:  # noqa: ANN401 - any JSON value
        """`stage`, from async code. The work may be an async function."""
        return await adrive(self.so, self._steps(get_config(), name, work))

    def gate(self, name: str, payload: Payload, **terms: Unpack[GateTerms]) -> Passed:
        """Hold what a stage made until people have decided; `agate` in async code.

        As the function `gate`; the stage is done once it is approved.
        """
        config = get_config()
        check_off_loop(config, "gate", "agate")
        name = check_among(name, self.names)
        return drive(self.so, gate_steps(config, name, payload, terms, self.names))

    async def agate(
        self, name: str, payload: Payload, **terms: Unpack[GateTerms]
    ) -> Passed:
        """`gate`, from async code. The payload's function may be async."""
        name = check_among(name, self.names)
        steps = gate_steps(get_config(), name, payload, terms, self.names)
        return await adrive(self.so, steps)

    def _steps(self, config: RunnableConfig, name: str, work: Payload) -> Steps[Any]:
        check_payload(work)
        name = check_among(name, self.names)
        thread, node = read_context(config).thread, node_of(config)
        with execution_of(config).turn(f"stage {name}") as number:
            yield do("declare_stages", thread, self.names)
            own = kept_id(thread, node, name, number)
            found = yield do("kept", own)
            if found is None:
                value = yield Make(work)
                found = yield do("keep", own, thread=thread, stage=name, value=value)
            return found.value
