"""Who is who: tokens, and the identities that they stand for."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta

from signoff.domain.principals import Principal, PrincipalKind, Token
from signoff.service import tokens
from signoff.service.core import Core


class Identities(Core):
    """The use cases about identities."""

    def authenticate(self, secret: str | None, *, channel: str) -> Principal:
        """Who a token stands for.

        Raises:
            NotAuthenticated: No token, or one that is unknown, expired or revoked.
        """
        return tokens.authenticate(self.store, secret, channel=channel)

    def create_token(
        self,
        principal: str,
        *,
        kind: PrincipalKind = PrincipalKind.PERSON,
        groups: Sequence[str] = (),
        expires_in: timedelta | None = None,
        by: str | None = None,
    ) -> tuple[Token, str]:
        """Make a token; the secret is returned this once."""
        return tokens.create_token(
            self.store,
            principal,
            kind=kind,
            groups=groups,
            expires_in=expires_in,
            by=by,
        )

    def revoke_token(self, token_id: str, *, by: str | None = None) -> None:
        """End a token at once."""
        tokens.revoke_token(self.store, token_id, by=by)

    def tokens(self) -> Sequence[Token]:
        """Every token ever made, without its secret."""
        with self.store.reading() as reading:
            return reading.tokens()
