"""Tokens: who people, agents and services prove to be."""

from datetime import timedelta

import pytest
from sqlalchemy import text

from signoff import Signoff
from signoff.domain.errors import InvalidSetting, NotAuthenticated
from signoff.domain.principals import Principal, PrincipalKind
from signoff.testing import MovableClock


@pytest.mark.row("B5", "I10")
def test_a_token_stands_for_its_principal(so: Signoff) -> None:
    token, secret = so.create_token("ann", groups=["finance"], by="root")
    assert so.authenticate(secret, channel="cli") == Principal(
        id="ann", groups=frozenset({"finance"}), channel="cli"
    )
    assert so.tokens() == [token]
    _, machine = so.create_token("clerk", kind=PrincipalKind.AGENT)
    assert so.authenticate(machine, channel="api").kind is PrincipalKind.AGENT
    assert so.audit().holds


def test_the_secret_is_stored_nowhere(so: Signoff) -> None:
    _, secret = so.create_token("ann")
    with so.store.reading() as reading:
        stored = repr(list(reading.events("signoff:tokens")))
        connection = reading._connection  # type: ignore[attr-defined]  # noqa: SLF001 - what is really there
        stored += repr(connection.execute(text("SELECT * FROM tokens")).all())
    assert "ann" in stored
    assert secret not in stored
    assert secret.split("_", 2)[2] not in stored


@pytest.mark.row("B5", "I10")
@pytest.mark.parametrize(
    "secret", [None, "", "sgn_", "Bearer x", "sgn_00000000_" + "a" * 43, "sgn_\0"]
)
def test_anything_else_is_nobody(so: Signoff, secret: str | None) -> None:
    so.create_token("ann")
    with pytest.raises(NotAuthenticated, match="signoff token create"):
        so.authenticate(secret, channel="api")


def test_a_revoked_token_ends_at_once(so: Signoff) -> None:
    token, secret = so.create_token("ann")
    _, other = so.create_token("ann")
    so.revoke_token(token.id, by="root")
    with pytest.raises(NotAuthenticated):
        so.authenticate(secret, channel="api")
    assert so.authenticate(other, channel="api").id == "ann"
    with pytest.raises(InvalidSetting, match="revoked already"):
        so.revoke_token(token.id)


def test_a_token_expires(so: Signoff, clock: MovableClock) -> None:
    _, secret = so.create_token("ann", expires_in=timedelta(hours=1))
    clock.advance("59m")
    so.authenticate(secret, channel="api")
    clock.advance("2m")
    with pytest.raises(NotAuthenticated):
        so.authenticate(secret, channel="api")


@pytest.mark.row("B7")
@pytest.mark.parametrize("name", ["", "  ", " ann", "ann\u200b", "\u202eann", "a\0"])
def test_names_that_look_like_others_are_refused(so: Signoff, name: str) -> None:
    with pytest.raises(InvalidSetting):
        so.create_token(name)
    with pytest.raises(InvalidSetting):
        so.create_token("ann", groups=[name])


def test_groups_are_a_list_and_time_runs_forward(so: Signoff) -> None:
    with pytest.raises(InvalidSetting, match=r"is a list of names: \['finance'\]"):
        so.create_token("ann", groups="finance")
    with pytest.raises(InvalidSetting, match="longer than zero"):
        so.create_token("ann", expires_in=timedelta(0))
    assert so.tokens() == []
