"""The async names are the sync names, with the same parameters; each one works."""

import inspect

import pytest

from signoff import Approve, Signoff, review
from signoff.aio import AsyncApprovals
from signoff.domain.errors import DigestMismatch
from signoff.service import Approvals
from signoff.service.propose import Asked
from tests.service.conftest import Opener
from tests.service.making import ANN, call


def public(kind: type) -> dict[str, str]:
    """Public methods and their signatures as text."""
    return {
        name: str(inspect.signature(member))
        for name, member in inspect.getmembers(kind, inspect.isfunction)
        if not name.startswith("_")
    }


def test_names_and_signatures_are_equal() -> None:
    assert public(AsyncApprovals) == public(Approvals)


def test_every_async_method_is_async() -> None:
    methods = public(AsyncApprovals)
    assert len(methods) > 25
    assert [
        name
        for name in methods
        if not inspect.iscoroutinefunction(getattr(AsyncApprovals, name))
    ] == []


async def test_a_whole_round(open_signoff: Opener) -> None:
    so: Signoff = open_signoff(review("pay"))
    standing = await so.aio.propose(call(), Asked())
    request = standing.request
    assert request is not None
    with pytest.raises(DigestMismatch):
        await so.aio.decide(request.id, Approve(), by=ANN, digest=None)
    done = await so.aio.decide(request.id, Approve(), by=ANN, digest=request.digest)
    entry = await so.aio.begin(done)
    assert entry is not None
    assert await so.aio.finish(entry, "finish", result=b"paid", summary="paid")
    kept = await so.aio.entry_of(request)
    assert kept is not None
    assert kept.result == b"paid"
    assert (await so.aio.audit()).holds
