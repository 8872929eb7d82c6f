"""Stages are kept once, whoever is first, and shown as they stand."""

from concurrent.futures import ThreadPoolExecutor

import pytest

from signoff import Signoff
from signoff.domain.errors import PayloadRefused
from signoff.domain.ledger import Event
from tests.service.conftest import Opener


def test_what_was_kept_first_stays(so: Signoff) -> None:
    first = so.keep("stg_1", thread="t", stage="plan", value={"cost": 1.0, "of": (1,)})
    second = so.keep("stg_1", thread="t", stage="plan", value={"cost": 2})
    assert first == second == so.kept("stg_1")
    assert first.value == {"cost": 1.0, "of": [1]}
    assert type(first.value["cost"]) is float
    assert so.kept("stg_2") is None
    assert [event.fact.kind for event in events(so, "t")] == ["kept"]
    assert so.audit().holds


def test_one_of_many_keeps_it(open_signoff: Opener) -> None:
    stores = [open_signoff() for _ in range(4)]

    def keep(number: int) -> object:
        so = stores[number % 4]
        return so.keep("stg_1", thread="t", stage="plan", value=number).value

    with ThreadPoolExecutor(8) as pool:
        found = set(pool.map(keep, range(24)))
    assert len(found) == 1
    assert stores[0].audit().holds


def test_an_outline_is_recorded_when_it_changes(so: Signoff) -> None:
    for names in (["a", "b"], ["a", "b"], ["a", "c"], ["a", "c"], ["a", "b"]):
        so.declare_stages("t", names)
        assert [stage.name for stage in so.stages("t")] == names
    so.declare_stages("u", ["a"])
    assert [event.fact.body["stages"] for event in events(so, "t")] == [
        ["a", "b"],
        ["a", "c"],
        ["a", "b"],
    ]
    assert so.audit().holds


def test_what_is_not_json_is_not_kept(so: Signoff) -> None:
    with pytest.raises(PayloadRefused, match=r"value\.at"):
        so.keep("stg_1", thread="t", stage="plan", value={"at": object()})
    assert so.kept("stg_1") is None
    assert so.audit().events == 0


def test_an_unknown_thread_has_no_stages(so: Signoff) -> None:
    assert so.stages("nowhere") == ()


def events(so: Signoff, thread: str) -> list[Event]:
    """A thread's ledger."""
    with so.store.reading() as reading:
        return list(reading.events(thread))
