"""docs/langgraph.md and docs/gates.md are true: their code runs, in order."""

import re
from contextlib import AbstractContextManager, ExitStack
from pathlib import Path
from typing import Any

import pytest

from signoff import Filter
from tests.langgraph.agents import Scripted, call, turn
from tests.support import ROOT


def blocks(page: str) -> list[str]:
    """The page's code."""
    text = (ROOT / "docs" / page).read_text(encoding="utf-8")
    return re.findall(r"^```python\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)


class Carrier:
    """Stands for the reader's own service."""

    def post(self, path: str, order: str, *, idempotency_key: str | None) -> str:
        """Answer that it is open."""
        return "ok"


def test_the_pages_code_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with ExitStack() as stack:

        def open_checkpoints(saver: AbstractContextManager[Any]) -> object:
            return stack.enter_context(saver)

        pay = turn(call("make_payment", "c1", amount=10, to="ana"))
        reader: dict[str, Any] = {
            "model": Scripted(turns=[pay]),
            "open_checkpoints": open_checkpoints,
            "carrier": Carrier(),
        }
        for block in blocks("langgraph.md"):
            exec(block, reader)  # noqa: S102 - the project's own page
        so = reader["so"]
        stack.callback(so.close)
        waiting = so.pending(Filter(order="newest")).requests
    assert sorted(one.thread for one in waiting) == ["order-8", "order-9", "trip-1"]
    assert reader["ship"].invoke({"order": "7"}) == "shipped 7"
    assert len(blocks("langgraph.md")) == 5


def test_the_code_of_the_page_on_gates_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with ExitStack() as stack:
        reader: dict[str, Any] = {"open_checkpoints": stack.enter_context}
        for block in blocks("gates.md"):
            exec(block, reader)  # noqa: S102 - the project's own page
        so = reader["so"]
        stack.callback(so.close)
        assert [one.thread for one in so.pending().requests] == ["trip-1", "week-48"]
    assert len(blocks("gates.md")) == 3
