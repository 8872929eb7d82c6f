"""Tokens: how people, agents and services prove who they are."""

from __future__ import annotations

import hashlib
import re
import secrets
from collections.abc import Sequence
from datetime import timedelta
from typing import Final

from signoff.domain.duration import microseconds
from signoff.domain.errors import InvalidSetting, NotAuthenticated
from signoff.domain.ledger import Fact
from signoff.domain.principals import Principal, PrincipalKind, Token
from signoff.domain.text import count_hidden, reveal
from signoff.ports import Store

CHAIN: Final = "signoff:tokens"
_SECRET: Final = re.compile(r"sgn_[0-9a-f]{8}_[A-Za-z0-9_-]{43}")


def check_name(what: str, name: str) -> None:
    """Refuse a name that is empty or hides something.

    Raises:
        InvalidSetting: Says which.
    """
    if name.strip() == "":
        raise InvalidSetting(what, "an identity needs a name.")
    # Two names that look the same would be one person who counts twice.
    if name != name.strip() or count_hidden(name) > 0:
        raise InvalidSetting(
            what,
            f"{reveal(name)!r} has blanks around it or characters that don't show.",
        )


def create_token(
    store: Store,
    principal: str,
    *,
    kind: PrincipalKind,
    groups: Sequence[str],
    expires_in: timedelta | None,
    by: str | None,
) -> tuple[Token, str]:
    """Make a token. The secret is returned this once; only its hash is stored.

    Raises:
        InvalidSetting: A name that is empty or hides something, or no time to live.
    """
    check_name("name", principal)
    if isinstance(groups, str):
        raise InvalidSetting("groups", f"is a list of names: [{groups!r}].")
    for group in groups:
        check_name("group", group)
    if expires_in is not None and expires_in <= timedelta(0):
        raise InvalidSetting("expires_in", "must be longer than zero.")
    token_id = secrets.token_hex(4)
    secret = f"sgn_{token_id}_{secrets.token_urlsafe(32)}"
    with store.writing(CHAIN) as tx:
        now = tx.now()
        token = Token(
            id=token_id,
            principal=principal,
            kind=kind,
            groups=tuple(groups),
            created_at=now,
            expires_at=None if expires_in is None else now + microseconds(expires_in),
        )
        tx.add_token(token, _hashed(secret))
        body = {"principal": principal, "kind": kind.value, "groups": list(groups)}
        tx.record(Fact(kind="token_created", subject=token_id, actor=by, body=body))
    return token, secret


def revoke_token(store: Store, token_id: str, *, by: str | None) -> None:
    """End a token at once.

    Raises:
        InvalidSetting: There is no such token, or it was revoked before.
    """
    with store.writing(CHAIN) as tx:
        if not tx.revoke_token(token_id):
            raise InvalidSetting(
                "token", f"{token_id!r} is unknown or revoked already."
            )
        tx.record(Fact(kind="token_revoked", subject=token_id, actor=by, body={}))


def authenticate(store: Store, secret: str | None, *, channel: str) -> Principal:
    """Who a token stands for.

    Raises:
        NotAuthenticated: No token, or one that is unknown, expired or revoked.
    """
    if not secret:
        raise NotAuthenticated
    if _SECRET.fullmatch(secret) is None:
        raise NotAuthenticated("That is not a token of signoff.")
    with store.reading() as reading:
        token = reading.token(_hashed(secret))
    if token is None:
        raise NotAuthenticated("The token is unknown, expired or revoked.")
    return Principal(
        id=token.principal,
        kind=token.kind,
        groups=frozenset(token.groups),
        channel=channel,
    )


def _hashed(secret: str) -> str:
    # No salt and no stretching: the secret is 256 random bits, not a password.
    return hashlib.sha256(secret.encode()).hexdigest()
