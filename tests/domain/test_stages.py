"""Where stages stand follows from what was kept and asked, and from nothing else."""

from dataclasses import replace

import pytest

from signoff import Request, Status
from signoff.domain.errors import InvalidSetting, PayloadRefused
from signoff.domain.requests import RequestKind, Terms
from signoff.domain.stages import (
    Kept,
    check_among,
    check_name,
    check_outline,
    kept_id,
    progress,
    value_digest,
)

NAMES = ("research", "plan", "publish")


def kept(name: str, at: int, value: object = 1) -> Kept:
    """Work that was kept then."""
    digest = value_digest(value)
    return Kept(id=f"s{at}", thread="t", name=name, value=value, digest=digest, at=at)


def gate(
    name: str, at: int, status: Status = Status.PENDING, said: str = ""
) -> Request:
    """A gate that was asked then."""
    return Request(
        id=f"req_{at}",
        kind=RequestKind.GATE,
        action_id=f"act_{at}",
        ask=1,
        thread="t",
        agent=None,
        user=None,
        team=None,
        tool=name,
        args={"value": at},
        proposed={},
        schema=None,
        description="",
        digest="",
        revision=1,
        status=status,
        risk="medium",
        rule="",
        policy_version="gate",
        terms=Terms(),
        note=None,
        asked_at=at,
        expires_at=at + 9,
        changed_at=at,
        outcome={"message": said} if said else None,
    )


def states(outline: tuple[str, ...] | None, *what: Kept | Request) -> str:
    """The states in a row."""
    works = [one for one in what if isinstance(one, Kept)]
    asked = [one for one in what if isinstance(one, Request)]
    found = progress(outline, works, asked)
    return " ".join(f"{one.name}:{one.state.value}" for one in found)


def test_nothing_has_begun() -> None:
    assert states(NAMES) == "research:ahead plan:ahead publish:ahead"
    assert states(None) == ""


@pytest.mark.parametrize(
    ("status", "state"),
    [
        (Status.PENDING, "waiting"),
        (Status.APPROVED, "done"),
        (Status.RESPONDED, "changes"),
        (Status.REJECTED, "stopped"),
        (Status.EXPIRED, "stopped"),
        (Status.CANCELLED, "stopped"),
    ],
)
def test_a_gate_says_how_its_stage_stands(status: Status, state: str) -> None:
    found = states(NAMES, kept("research", 1), gate("plan", 2, status))
    assert found == f"research:done plan:{state} publish:ahead"


def test_the_newest_of_a_stage_counts() -> None:
    assert states(("plan",), kept("plan", 1), gate("plan", 2)) == "plan:waiting"
    assert states(("plan",), gate("plan", 1), kept("plan", 2)) == "plan:done"


def test_a_stage_that_begins_again_puts_those_behind_it_ahead() -> None:
    first: list[Kept | Request] = [
        kept("research", 1),
        gate("plan", 2, Status.APPROVED),
        kept("publish", 3),
    ]
    assert states(NAMES, *first) == "research:done plan:done publish:done"
    again = states(NAMES, *first, kept("research", 4))
    assert again == "research:done plan:ahead publish:ahead"


def test_rounds_count_from_the_last_answer_that_was_no_request_for_changes() -> None:
    asked = [
        gate("plan", 1, Status.RESPONDED, "old"),
        gate("plan", 2, Status.APPROVED),
        gate("plan", 3, Status.RESPONDED, "cheaper"),
        gate("plan", 4, Status.RESPONDED, "sooner"),
        gate("plan", 5),
    ]
    (plan,) = progress(None, [], asked)
    assert (plan.round, plan.remarks) == (3, ("cheaper", "sooner"))
    assert (plan.value, plan.request_id, plan.at) == (5, "req_5", 5)


def test_gates_beside_the_declared_stages_come_last() -> None:
    found = states(("plan",), gate("legal", 1), gate("plan", 2), gate("tax", 3))
    assert found == "plan:waiting legal:waiting tax:waiting"


def test_tool_calls_are_no_stages() -> None:
    call = replace(gate("plan", 2), kind=RequestKind.ACTION)
    assert states(("plan",), call) == "plan:ahead"


def test_names() -> None:
    assert check_outline(["a", "b"]) == ("a", "b")
    for wrong, why in (([], "none"), (["a", "a"], "twice"), (["a", " "], "no name")):
        with pytest.raises(InvalidSetting, match=why):
            check_outline(wrong)
    with pytest.raises(InvalidSetting, match="Did you mean 'publish'"):
        check_among("publsh", NAMES)
    with pytest.raises(InvalidSetting, match="none of the stages research, plan"):
        check_among("x", NAMES)
    with pytest.raises(PayloadRefused, match="NUL"):
        check_name("a\0", at="gate")


def test_each_piece_of_work_has_an_id_of_its_own() -> None:
    same = kept_id("t", "n", "plan", 1)
    assert same == kept_id("t", "n", "plan", 1)
    others = {
        kept_id("u", "n", "plan", 1),
        kept_id("t", "m", "plan", 1),
        kept_id("t", "n", "research", 1),
        kept_id("t", "n", "plan", 2),
    }
    assert len(others - {same}) == 4
