"""The example in a hand-built graph, run as its reader would."""

import pytest

from tests.forked import run_forked
from tests.support import ROOT

EXAMPLE = ROOT / "examples" / "simple_interrupt.py"


@pytest.mark.parametrize("typed", [True, False])
@pytest.mark.parametrize("answer", ["approve", "reject"])
def test_the_file_goes_only_if_a_person_says_so(answer: str, *, typed: bool) -> None:
    arguments = [] if typed else ["--auto", answer]
    done = run_forked(str(EXAMPLE), *arguments, stdin=f"{answer}\n" if typed else "")
    assert (done.returncode, done.stderr) == (0, "")
    first, *_, last = done.stdout.splitlines()
    assert first.startswith("The agent wants delete_file(")
    assert first.endswith("there: True")
    assert last.endswith(f"There: {answer == 'reject'}")


def test_it_stays_short() -> None:
    assert len(EXAMPLE.read_text(encoding="utf-8").splitlines()) < 60
