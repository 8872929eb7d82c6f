"""LangChain's own tests on signoff's class: `make dropin`."""

from __future__ import annotations

from importlib.metadata import version

import pytest

from tests.langgraph.dropin import differences
from tests.langgraph.dropin.upstream import run_upstream
from tests.support import ROOT

EXPECTED = {"1.4.6": 79, "1.4.7": 79}


@pytest.mark.slow
def test_langchains_own_tests_pass_with_resume_as(
    database_url: str, capsys: pytest.CaptureFixture[str]
) -> None:
    report = run_upstream(mode="vouched", template=database_url)
    assert report.failed == frozenset(), report.output
    assert report.skipped == frozenset()
    name, passed = version("langchain"), len(report.passed)
    database = database_url.partition(":")[0]
    with capsys.disabled():
        print(f"\nLangChain {name}'s own tests, on {database}: {passed} passed")  # noqa: T201 - what `make dropin` is for
    assert passed == EXPECTED.get(name, passed)
    assert passed >= min(EXPECTED.values())


@pytest.mark.slow
def test_strict_differs_in_exactly_the_tests_that_are_listed(sqlite_url: str) -> None:
    report = run_upstream(mode="strict", template=sqlite_url)
    failed = {name.partition("[")[0] for name in report.failed}
    listed = {name for names in differences.STRICT.values() for name in names}
    assert failed == listed
    assert report.skipped == frozenset()


def test_the_docs_list_every_difference() -> None:
    page = (ROOT / "docs" / "dropin.md").read_text()
    begin, _, rest = page.partition(differences.BEGIN)
    shown, _, _ = rest.partition(differences.END)
    assert begin != page, f"docs/dropin.md has no line {differences.BEGIN}"
    assert shown.strip() == differences.page(), (
        "write it anew: python -m tests.langgraph.dropin.differences"
    )
