"""What the benchmarks say of themselves, which needs none of them to run."""

import json
from collections.abc import Iterator
from typing import Any

import pytest

from benchmarks.agentdojo.__main__ import PARTS, saved, verdict
from benchmarks.measure import RESULTS
from tests.support import ROOT

BOTH = ("sqlite", "postgresql")
MET, MISSED = {"met": True}, {"met": False}
PAGE = (ROOT / "docs" / "benchmarks.md").read_text(encoding="utf-8")


def result(name: str) -> Any:  # noqa: ANN401 - any JSON
    return json.loads((RESULTS / f"{name}.json").read_text(encoding="utf-8"))


def of_the_table() -> Iterator[str]:
    """The rows that the results make, as the page has to have them."""
    sides = result("round")["ratios"].values()
    for name, what in {
        "signoff": "the whole round, CPU, against LangChain's `per_call` on the same "
        "checkpointer | 1.5",
        "signoff, with its Runner": "the same with `Runner` |",
        "signoff, resume_as=": "the same with `resume_as` (batched asking, and "
        "everything recorded) |",
    }.items():
        yield f"| {what} | {' | '.join(str(side[name]['cpu']) for side in sides)} |"
    added = result("allow")["per_call"].values()
    for name, what in {
        "added_in_the_callers_thread_us": "an allowed call adds, in its own thread, on "
        f"one core{'' if result('allow')['met'] else ' (missed)'} | 100 us",
        "the_same_on_all_cores_us": "the same where the threads may move between two "
        "cores |",
        "added_to_the_whole_process_us": "an allowed call adds, in the whole process |",
    }.items():
        us = " | ".join(f"{one[name]} us" for one in added)
        yield f"| {what} | {us} |"
    worst = result("policy")["worst"]["median_us"]
    yield f"| policy of 100 rules, worst median | 50 us | {worst} us | the same |"


def of_wake() -> Iterator[str]:
    """The same for the way from a decision to the tool."""
    found = result("wake")
    met, way = found["met"], found["latency"]
    for what, kind in {
        "decision to the tool's start, median, in one process | 25 ms": "embedded",
        "the same with a separate worker | 40 ms": "worker",
    }.items():
        ms = " | ".join(f"{way[f'{kind}, {one}']['p50_ms']} ms" for one in BOTH)
        yield f"| {what} | {ms} |"
    ratios = " | ".join(str(found["resumes"][one]["ratio"]) for one in BOTH)
    missed = "" if met["resumes_to_bare"] else " (missed)"
    yield f"on the same saver{missed} | 0.6 | {ratios} |"
    idle = " | ".join(f"{found['idle_percent'][one]} %" for one in BOTH)
    missed = "" if met["idle_percent"] else " (missed)"
    yield f"| an idle worker, of a core{missed} | 2 % | {idle} |"
    waiting = [found["waiting"][one] for one in BOTH]
    shares = " | ".join(f"{one['idle_percent']} %" for one in waiting)
    yield f"| the same while 100,000 threads wait | 2 % | {shares} |"
    sizes = [f"{one['before_mib']}, {one['after_mib']} MiB" for one in waiting]
    yield f"| its memory before and while they wait | | {' | '.join(sizes)} |"
    yield f"goes on, at most | 10 s | | {max(found['take_over'])} s |"
    yield f"on PostgreSQL: {', '.join(map(str, found['by_workers'].values()))}."


def of_undo() -> Iterator[str]:
    """The same for undo at size."""
    found = result("undo")
    measured = [found["measured"][one] for one in BOTH]
    assert found["met"] == {"commits": True, "linear": True, "one look-up": True}
    commits = " | ".join(str(one["commits a call"]) for one in measured)
    yield f"| what journaling a reversible call commits | 2 | {commits} |"
    growth = " | ".join(str(one["growth"]) for one in measured)
    yield f"against one of 1,250 | 1.25 | {growth} |"
    ms = [f"{one['us to decide, among 1,000,000'] / 1000:.1f} ms" for one in measured]
    yield f"indexed look-ups, no scan | no scan | {' | '.join(ms)} |"


def of_agentdojo() -> Iterator[str]:
    """The same for what the page says of AgentDojo."""
    parts = result("agentdojo")["parts"]
    for gate in parts["a"]["modes"].values():
        asked = gate["approved"] + gate["rejected"] > 0
        answers = f" {gate['approved']}, {gate['rejected']}" if asked else ""
        counts = f"{gate['attacks']} | {gate['solved']} |{answers}"
        yield f"| {counts} | {gate['pure_reads_asked']} |"
    yield f"In {parts['a']['text_only_pairs']} more pairs"
    b = parts["b"]
    yield f"{b['restored']} of {b['calls']} calls"
    yield f"{b['tasks_restored']} of {b['tasks']} tasks end"
    yield f"{b['ours_restored']} calls and {b['ours_tasks_restored']} tasks of attacks"
    c = parts["c"]
    yield f"{c['restored']} of {c['pairs']} pairs are restored"
    yield f"{c['exact_but_for_numbers']} of these but for the numbers"
    yield f"{c['refused']} are refused as conflicts"
    yield f"in {c['own_call_had_failed']} the user's own call had failed already"
    assert c["own_calls_lost"] == 0
    yield f"No call of the user's was lost, of {c['own_calls']}"
    yield f"{c['attacks_left']} attacks still succeed"
    without, ruled = parts["d"]["modes"].values()
    yield f"{ruled['solved']} of {ruled['tasks']} tasks are solved"
    yield f"{ruled['queued']} calls of {ruled['tasks_that_queue']} tasks are queued"
    yield f"Without that rule it is {without['solved']}:"


@pytest.mark.parametrize(
    "figures", [*of_the_table(), *of_wake(), *of_undo(), *of_agentdojo()]
)
def test_the_page_has_the_figures_of_the_results(figures: str) -> None:
    assert figures in " ".join(PAGE.split())


def test_the_readme_has_the_figure_of_the_results() -> None:
    c = result("agentdojo")["parts"]["c"]
    assert c["own_calls_lost"] == 0
    told = f"{c['restored']} of {c['pairs']} restored, nothing of the user's lost"
    assert told in (ROOT / "README.md").read_text(encoding="utf-8")


def test_the_page_says_which_part_of_agentdojo_was_not_measured() -> None:
    measured = result("agentdojo")["parts"]
    told = {part: f"make agentdojo ARGS={part}` does" in PAGE for part in PARTS}
    assert told == {part: part not in measured for part in PARTS}


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


def test_what_another_agentdojo_measured_does_not_count() -> None:
    found = result("agentdojo")
    assert saved(found["agentdojo"]) == found["parts"]
    assert saved("0.0.1") == {}


def test_a_target_that_was_missed_is_not_met() -> None:
    words, code = verdict({**dict.fromkeys(PARTS, MET), "c": MISSED}, PARTS)
    assert "(c) MISSED" in words
    assert code == 1
