"""One chain per thread: a change anywhere shows."""

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from signoff.domain.ledger import GENESIS, Event, Fact, append, verify


def chain(length: int) -> list[Event]:
    events: list[Event] = []
    head = GENESIS
    for seq in range(1, length + 1):
        fact = Fact(kind="asked", subject=f"req_{seq}", body={"n": seq})
        events.append(append("t", seq, 1000 * seq, fact, head))
        head = events[-1].hash
    return events


def head_of(events: list[Event]) -> tuple[int, str]:
    return (events[-1].seq, events[-1].hash) if events else (0, GENESIS)


@given(st.integers(0, 20))
def test_an_untouched_chain_holds(length: int) -> None:
    events = chain(length)
    assert verify("t", events, head_of(events)) is None


@given(st.data(), st.integers(1, 20))
def test_any_single_change_is_found(data: st.DataObject, length: int) -> None:
    events = chain(length)
    head = head_of(events)
    at = data.draw(st.integers(0, length - 1))
    one = events[at]
    changes = [
        [*events[:at], *events[at + 1 :]],
        events[:at],
        [*events[:at], one, *events[at:]],
        [*events[:at], replace(one, at=one.at + 1), *events[at + 1 :]],
        [*events[:at], replace(one, thread="u"), *events[at + 1 :]],
        [*events[:at], replace(one, hash=GENESIS), *events[at + 1 :]],
        [
            *events[:at],
            replace(one, fact=replace(one.fact, body={"n": 2**60})),
            *events[at + 1 :],
        ],
        [
            *events[:at],
            replace(one, fact=replace(one.fact, actor="x")),
            *events[at + 1 :],
        ],
    ]
    for changed in changes:
        assert verify("t", changed, head) is not None
