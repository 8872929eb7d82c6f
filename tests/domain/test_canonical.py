"""What is hashed is exactly what is shown; what can't be hashed exactly is refused."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from signoff import Action, Context
from signoff.domain.actions import canonical, check_texts, digest, exact_copy, sha256
from signoff.domain.errors import PayloadRefused
from signoff.storage.rows import from_json, to_json

NAN, INF = float("nan"), float("inf")


def nested(depth: int) -> Any:  # noqa: ANN401 - a JSON value
    value: Any = 1
    for _ in range(depth):
        value = [value]
    return value


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (None, b"null"),
        ({"b": 1, "a": 2}, b'{"a":2,"b":1}'),
        ({"é": "é", "z": "\x00\n"}, '{"z":"\\u0000\\n","é":"é"}'.encode()),
        ([1.0, 1, -0.0, 1e21, 0.1, True], b"[1,1,0,1e+21,0.1,true]"),
        (2**53 - 1, b"9007199254740991"),
        (-(2**53) + 1, b"-9007199254740991"),
        ((1, (2,)), b"[1,[2]]"),
        ({"\U0001f600": 1, "\ufb33": 2}, '{"\U0001f600":1,"\ufb33":2}'.encode()),
    ],
)
def test_bytes_are_those_of_rfc_8785(value: object, expected: bytes) -> None:
    assert canonical(value) == expected


@pytest.mark.parametrize(
    ("args", "path", "reason"),
    [
        ({"a": NAN}, "args.a", "nan is not a JSON number"),
        ({"a": [1, {"b": -INF}]}, "args.a[1].b", "-inf is not a JSON number"),
        ({"n": 2**53}, "args.n", "9007199254740992 is beyond 2^53"),
        ({"n": -(2**64)}, "args.n", "send it as a string"),
        ({"n": 10**5000}, "args.n", "an integer of 16610 bits is beyond 2^53"),
        ({"x": b"raw"}, "args.x", "bytes is not JSON"),
        ({"x": {1, 2}}, "args.x", "set is not JSON"),
        ({"x": object()}, "args.x", "object is not JSON"),
        ({"x": {1: 2}}, "args.x", "has the key 1; keys must be strings"),
        ({"x": {None: 2}}, "args.x", "has the key None"),
        ({"x": "half \ud800"}, "args.x", "half of a surrogate pair"),
        ({"\udfff": 1}, "args.'\\udfff'", "half of a surrogate pair"),
        ({"deep": nested(5000)}, None, "more than 100 levels"),
    ],
)
def test_what_is_not_exact_json_is_refused(
    args: Mapping[str, Any], path: str | None, reason: str
) -> None:
    for look in (canonical, exact_copy):
        with pytest.raises(PayloadRefused) as refused:
            look(args, at="args")
        assert reason in refused.value.reason
        assert path is None or refused.value.path == path


def test_a_value_that_holds_itself_is_refused() -> None:
    loop: list[Any] = []
    loop.append(loop)
    with pytest.raises(PayloadRefused, match="nested"):
        canonical({"loop": loop})


json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**53) + 1, 2**53 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=["Cs"])),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=10,
)


@given(json_values)
def test_every_json_value_survives_the_way_to_the_database_and_back(
    value: object,
) -> None:
    try:
        before = canonical(value)
    except PayloadRefused:  # a key with half a surrogate
        return
    assert canonical(from_json(to_json(value))) == before


scalars = (
    st.integers(-(2**54), 2**54)
    | st.floats()
    | st.text()
    | st.binary(max_size=2)
    | st.none()
)
any_values = st.recursive(
    scalars,
    lambda inner: (
        st.lists(inner)
        | st.tuples(inner)
        | st.dictionaries(st.text(max_size=5) | st.integers(), inner)
    ),
    max_leaves=10,
)


@given(any_values)
def test_the_quick_look_refuses_exactly_what_the_hash_refuses(value: object) -> None:
    def why(look: Callable[..., object]) -> str | None:
        try:
            look({"value": value})
        except PayloadRefused as refused:
            return str(refused)
        return None

    assert why(exact_copy) == why(canonical)


@given(st.dictionaries(st.text(max_size=5), json_values))
def test_a_copy_is_exact_and_shares_nothing(value: dict[str, Any]) -> None:
    copied, before = exact_copy(value), canonical(value)
    assert canonical(copied) == before
    _spoil(copied)
    assert canonical(value) == before


def _spoil(value: object) -> None:
    """Change every list and every mapping in it, the innermost first."""
    if isinstance(value, list):
        for item in value:
            _spoil(item)
        value.append("spoilt")
    elif isinstance(value, dict):
        for item in value.values():
            _spoil(item)
        value["spoilt"] = True


@given(json_values, json_values)
def test_digests_differ_where_values_do(one: object, other: object) -> None:
    try:
        same = canonical(one) == canonical(other)
    except PayloadRefused:
        return
    assert (digest({"v": one}) == digest({"v": other})) is same


BASE = Action(
    context=Context(thread="t", agent="a", user="u"),
    message_id="m",
    call_id="c",
    tool="pay",
    args={"amount": 1},
)


def test_an_action_is_the_same_on_every_execution() -> None:
    again = replace(BASE, args={"amount": 1.0})
    assert (
        again.id == BASE.id == "act_" + sha256(b'["t","m","c","pay",{"amount":1}]')[:32]
    )


@pytest.mark.parametrize(
    "change",
    [
        {"context": Context(thread="t2", agent="a", user="u")},
        {"message_id": "m2"},
        {"call_id": "c2"},
        {"tool": "pay2"},
        {"args": {"amount": 2}},
        {"args": {"amount": "1"}},
        {"args": {"amount": True}},
    ],
)
def test_another_call_is_another_action(change: dict[str, Any]) -> None:
    assert replace(BASE, **change).id != BASE.id


def test_parts_cannot_run_into_each_other() -> None:
    one = replace(BASE, message_id='m","c', call_id="x")
    other = replace(BASE, message_id="m", call_id='c","x')
    assert one.id != other.id


def test_texts_for_columns() -> None:
    check_texts({"a": None, "b": "any \u202e text\n"})
    with pytest.raises(PayloadRefused, match="b: has a NUL"):
        check_texts({"a": None, "b": "\0"})
    with pytest.raises(PayloadRefused, match="b: has half of a surrogate"):
        check_texts({"b": "\ud800"})
