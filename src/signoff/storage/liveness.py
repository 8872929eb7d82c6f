"""Connections to PostgreSQL that were lost while nobody used them."""

from __future__ import annotations

import select
from typing import Any, Final

from sqlalchemy import Engine, event
from sqlalchemy.exc import InvalidatePoolError
from sqlalchemy.pool import ConnectionPoolEntry

from signoff.clock import boottime

TRUSTED_S: Final = 2.0
"""How long an idle connection needs no question, unless the server said something."""
_USED: Final = "signoff_used"
_POLL: Final = getattr(select, "poll", None)  # Windows has none


def noticing_losses(engine: Engine) -> None:
    """Replace lost connections before they are used.

    A server that ends closes its connections, which shows here without a question. What
    doesn't show is a network that lost one; that is asked, but not at every use. Once
    one was lost in use, none that lay idle then is used again.
    """
    dialect: Any = engine.dialect
    lost_at = float("-inf")

    def note_loss(
        _dbapi: object, _entry: ConnectionPoolEntry, error: BaseException | None
    ) -> None:
        nonlocal lost_at
        if isinstance(error, dialect.loaded_dbapi.Error):
            lost_at = boottime()

    def check_in(_dbapi: object, entry: ConnectionPoolEntry) -> None:
        entry.info[_USED] = boottime()

    def check_out(dbapi: Any, entry: ConnectionPoolEntry, _proxy: object) -> None:  # noqa: ANN401 - psycopg's
        used = entry.info.get(_USED)
        if used is not None and used <= lost_at:
            raise InvalidatePoolError("another connection was lost")
        if used is None or (boottime() - used < TRUSTED_S and not _heard(dbapi)):
            return
        try:
            dialect.do_ping(dbapi)
        except dialect.loaded_dbapi.Error as lost:
            raise InvalidatePoolError("the connection was lost") from lost

    event.listen(engine, "checkin", check_in)
    event.listen(engine, "checkout", check_out)
    event.listen(engine, "invalidate", note_loss)


def _heard(dbapi: Any) -> bool:  # noqa: ANN401 - psycopg's connection
    """Whether something came in that nobody asked for: the end, as a rule."""
    if dbapi.closed or _POLL is None:
        return True
    poll = _POLL()
    poll.register(dbapi.pgconn.socket, select.POLLIN)
    return bool(poll.poll(0))
