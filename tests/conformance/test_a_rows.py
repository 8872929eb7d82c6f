"""A1-A20: every row's story, told to signoff and to what people use today."""

from pathlib import Path

import pytest

from tests.conformance.harness import NOT_APPLICABLE, STORIES, Place
from tests.conformance.page import PAGE, kind, read, versions
from tests.conformance.systems import COLUMNS, OURS, SYSTEMS

ROWS = [
    pytest.param(row, marks=pytest.mark.row(row))
    for row in sorted(STORIES, key=lambda row: int(row[1:]))
]
RACES = {"A2", "A3", "A4", "A9"}
OTHERS = [name for name in SYSTEMS if name not in OURS]


def test_every_row_has_its_story() -> None:
    assert set(STORIES) == {f"A{number}" for number in range(1, 21)}


@pytest.mark.parametrize("name", OURS)
@pytest.mark.parametrize("row", ROWS)
def test_it_does_not_go_wrong(
    row: str, name: str, database_url: str, tmp_path: Path
) -> None:
    cell = STORIES[row].tell(SYSTEMS[name], Place(database_url, tmp_path))
    if (row, name) in ELSEWHERE:
        assert cell == NOT_APPLICABLE
    else:
        assert cell == STORIES[row].must


ELSEWHERE = {
    ("A9", "signoff, create_agent"),  # there each call is a node's run of its own
    (
        "A11",
        "signoff, guard_tools",
    ),  # the other rows' gate, but no middleware around it
    ("A12", "signoff, guard_tools"),
    ("A16", "signoff, guard_tools"),
    ("A17", "signoff, guard_tools"),
}


@pytest.mark.parametrize("name", OTHERS)
@pytest.mark.parametrize("row", ROWS)
def test_elsewhere_it_goes_as_the_page_says(
    row: str, name: str, sqlite_url: str, tmp_path: Path
) -> None:
    cell = STORIES[row].tell(SYSTEMS[name], Place(sqlite_url, tmp_path))
    compared, cells = read(PAGE.read_text(encoding="utf-8"))
    if row in RACES and cell != NOT_APPLICABLE:
        assert cell != STORIES[row].must
    elif compared == versions():  # others may do otherwise; the page speaks of these
        assert kind(cell) == kind(cells[row][SYSTEMS[name].column])


def test_the_page_tells_every_row_and_that_none_goes_wrong_here() -> None:
    _, cells = read(PAGE.read_text(encoding="utf-8"))
    assert set(STORIES) <= set(cells)
    ours = COLUMNS[0]
    wrong = {
        row: cells[row][ours]
        for row, story in STORIES.items()
        if cells[row][ours] != story.must
    }
    assert wrong == {}
