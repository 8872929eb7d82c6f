"""A closed store leaves no connection open, also not one that was in use meanwhile."""

from typing import Any

from signoff.storage import SqlStore


def is_closed(connection: Any) -> bool:  # noqa: ANN401 - either driver's
    """Whether the driver refuses to use it."""
    try:
        connection.execute("SELECT 1")
    except Exception as error:  # noqa: BLE001 - either driver's
        return "closed" in str(error)
    return False


def test_what_is_given_back_after_the_end_is_closed(store: SqlStore) -> None:
    with store.engine.connect() as used:
        raw = used.connection.driver_connection
        store.close()
        assert not is_closed(raw)
    assert is_closed(raw)


def test_what_waits_in_the_pool_is_closed(store: SqlStore) -> None:
    with store.engine.connect() as used:
        raw = used.connection.driver_connection
    assert not is_closed(raw)
    store.close()
    assert is_closed(raw)
