"""A plugin for pytest that runs LangChain's own tests on signoff's class.

It stands in for LangChain's class before the tests import it, with a store of its own
for each test.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from langchain.agents import middleware
from langchain.agents.middleware import human_in_the_loop as hitl

from signoff import Principal, Signoff
from signoff.langgraph import SignoffMiddleware
from signoff.langgraph._dropin import VouchedMiddleware
from tests.postgres import Databases, database_name, with_database

REVIEWER = Principal(id="reviewer@example.com", channel="resume")
_OPEN: list[Signoff] = []


class Vouched(VouchedMiddleware):
    """Constructed as LangChain's class is, on the store of the running test."""

    def __init__(self, interrupt_on: Mapping[str, Any], **more: Any) -> None:  # noqa: ANN401 - LangChain's
        super().__init__(_OPEN[-1], interrupt_on, resume_as=REVIEWER, **more)


class Strict(SignoffMiddleware):
    """The same in strict mode."""

    def __init__(self, interrupt_on: Mapping[str, Any], **more: Any) -> None:  # noqa: ANN401 - LangChain's
        super().__init__(_OPEN[-1], interrupt_on, **more)


def pytest_configure() -> None:
    """Puts our class in the place of LangChain's, before anybody imports it."""
    modes: dict[str, type] = {"vouched": Vouched, "strict": Strict}
    mode = os.environ["SIGNOFF_DROPIN_MODE"]
    if mode != "untouched":
        for module in (hitl, middleware):
            vars(module)["HumanInTheLoopMiddleware"] = modes[mode]


@pytest.fixture(autouse=True)
def _store(tmp_path: Path) -> Iterator[None]:
    with _copy(os.environ["SIGNOFF_DROPIN_TEMPLATE"], tmp_path) as url:
        so = Signoff(url)
        _OPEN.append(so)
        yield
        _OPEN.remove(so)
        so.close()


@contextmanager
def _copy(template: str, folder: Path) -> Iterator[str]:
    if template.startswith("sqlite:///"):
        file = folder / "signoff.db"
        shutil.copy(template.removeprefix("sqlite:///"), file)
        yield f"sqlite:///{file}"
        return
    databases = Databases.on(with_database(template, "postgres"))
    with databases.fresh(template=database_name(template)) as url:
        yield url
