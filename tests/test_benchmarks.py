"""What the benchmarks say of themselves, which needs none of them to run."""

import pytest

from benchmarks.agentdojo.__main__ import PARTS, verdict

MET, MISSED = {"met": True}, {"met": False}


def test_all_of_agentdojo_is_met_once_every_part_is() -> None:
    words, code = verdict(dict.fromkeys(PARTS, MET), PARTS)
    assert words == "all targets met: (a) met; (b) met; (c) met; (d) met"
    assert code == 0


def test_a_part_that_was_measured_before_is_told_apart() -> None:
    words, code = verdict(dict.fromkeys(PARTS, MET), ["a", "b", "d"])
    assert words.endswith("(c) met, as measured before; (d) met")
    assert code == 0


@pytest.mark.parametrize("part", PARTS)
def test_a_part_that_is_missing_is_not_met(part: str) -> None:
    others = {name: MET for name in PARTS if name != part}
    words, code = verdict(others, others)
    assert words.startswith("NOT all met")
    assert f"({part}) NOT MEASURED" in words
    assert code == 1


def test_a_target_that_was_missed_is_not_met() -> None:
    words, code = verdict({**dict.fromkeys(PARTS, MET), "c": MISSED}, PARTS)
    assert "(c) MISSED" in words
    assert code == 1
