"""SQLAlchemy Core on SQLite and PostgreSQL: one code path, one conformance suite."""

from signoff.storage.store import SqlStore, open_store

__all__ = ["SqlStore", "open_store"]
