"""`procrastinate` carries wake-ups on PostgreSQL, to workers on any machines.

A wake-up is a row of signoff's own; a trigger on it defers the job in the same
transaction, so whoever decides needs nothing of this module. A job says which thread to
look at and nothing else: one that is lost, late or doubled is harmless.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
import threading
from collections.abc import Awaitable, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from importlib import resources
from typing import Any, Final

from procrastinate import App, JobContext, PsycopgConnector
from procrastinate.exceptions import ProcrastinateException
from procrastinate.schema import SchemaManager

from signoff.domain.errors import StorageUnavailable, WorldError
from signoff.ports import Resumer
from signoff.service import Approvals
from signoff.service.loop import look_for_orphans, wake
from signoff.service.turns import HEARTBEAT

log: Final = logging.getLogger("signoff")

EVERY_S: Final = 1.0
"""How often a worker looks for what no notification brought: the latest a timer is."""
GRACE_S: Final = 2.0
MOST: Final = 100
CONNECTIONS: Final = 3
_LOCK: Final = 0x5167_0FF2  # any number that no other program on the server uses

_TRIGGER: Final = """
    SELECT 1 FROM pg_trigger
    WHERE tgrelid = '{store}.wakeups'::regclass AND tgname = 'signoff_wakeups'
    AND tgfoid = '{jobs}.signoff_defer'::regproc
"""
_ADD_TRIGGER: Final = """
    DROP TRIGGER IF EXISTS signoff_wakeups ON {store}.wakeups;
    CREATE TRIGGER signoff_wakeups
    AFTER INSERT OR UPDATE OF version, attempts ON {store}.wakeups
    FOR EACH ROW EXECUTE FUNCTION {jobs}.signoff_defer()
"""


def queue_of(agent: str) -> str:
    """The queue of an agent's jobs, short enough for the name of a channel."""
    return hashlib.sha256(agent.encode()).hexdigest()[:32]


def schema_name() -> str:
    """The PostgreSQL schema that holds the jobs.

    It is signoff's own, so that an application's jobs are never in its way, and another
    one for every version of procrastinate's tables: jobs need no migration.
    """
    tables = SchemaManager.get_schema().encode()
    return f"signoff_jobs_{hashlib.sha256(tables).hexdigest()[:8]}"


def install_jobs(address: str) -> str:
    """Make the tables of jobs and the trigger that fills them, if they aren't there.

    Safe while others do the same, and on every start.

    Returns:
        The name of their PostgreSQL schema.

    Raises:
        StorageUnavailable: The database can't be used, or forbids it.
    """
    return asyncio.run(_install(address))


class JobCarrier:
    """Runs the jobs of this process's agents; a `Carrier`.

    Args:
        address: The store's, with its password.
        heartbeat: How often procrastinate is told that this worker is alive.
    """

    def __init__(
        self,
        so: Approvals,
        resumers: Sequence[Resumer],
        *,
        address: str,
        concurrency: int,
        heartbeat: timedelta = HEARTBEAT,
    ) -> None:
        self._so, self._address = so, address
        self._resumers = {queue_of(one.agent): one for one in resumers}
        self._agents = [one.agent for one in resumers]
        self._concurrency = concurrency
        self._heartbeat = heartbeat.total_seconds()
        self._stopped = threading.Event()
        self._end: Callable[[], object] | None = None

    def run(self) -> None:
        """Work until `stop`, and end what runs then."""
        with ThreadPoolExecutor(self._concurrency, "signoff-run") as pool:
            asyncio.run(self._serve(pool))

    def stop(self) -> None:
        """Take no new thread; from any thread of the process."""
        self._stopped.set()
        if self._end is not None:
            self._end()

    async def _serve(self, pool: ThreadPoolExecutor) -> None:
        loop, ended = asyncio.get_running_loop(), asyncio.Event()
        self._end = lambda: loop.call_soon_threadsafe(ended.set)
        app = _app(self._address, schema_name())

        @app.task(name="signoff.wake", pass_context=True)
        async def signoff_wake(context: JobContext, thread: str) -> None:
            resumer = self._resumers[str(context.job.queue)]
            await loop.run_in_executor(pool, wake, resumer, thread)

        await asyncio.to_thread(look_for_orphans, self._so, list(self._resumers))
        async with app.open_async(), asyncio.TaskGroup() as group:
            sweeping = group.create_task(self._forever(lambda: self._sweep(app)))
            fetching = group.create_task(self._forever(lambda: self._fetch(app)))
            if not self._stopped.is_set():
                await ended.wait()
            sweeping.cancel()
            fetching.cancel()

    async def _forever(self, work: Callable[[], Awaitable[None]]) -> None:
        """Again and again: a database that went away comes back."""
        while True:
            try:
                await work()
            except (ProcrastinateException, WorldError) as error:
                log.warning("the queue can't be used, trying again: %s", _said(error))
            await asyncio.sleep(EVERY_S)

    async def _fetch(self, app: App) -> None:
        await app.run_worker_async(
            queues=list(self._resumers),
            concurrency=self._concurrency,
            install_signal_handlers=False,
            delete_jobs="always",
            fetch_job_polling_interval=EVERY_S,
            abort_job_polling_interval=3600,  # nobody asks for it
            update_heartbeat_interval=self._heartbeat,
            stalled_worker_timeout=self._heartbeat + GRACE_S,
            # What runs is known by its turn; a job need not wait for it.
            shutdown_graceful_timeout=0,
        )

    async def _sweep(self, app: App) -> None:
        """What no notification brings: timers, dead workers' jobs, missing jobs."""
        while await asyncio.to_thread(self._so.run_due):
            pass
        # https://procrastinate.readthedocs.io/en/stable/howto/production/retry_stalled_jobs.html
        stalled = await app.job_manager.get_stalled_jobs(
            seconds_since_heartbeat=self._heartbeat + GRACE_S
        )
        for job in stalled:
            log.warning("a worker went silent; its job is taken over: %s", job.lock)
            await app.job_manager.retry_job(job)
        await app.connector.execute_query_one_async(
            "SELECT signoff_sweep(%(agents)s, %(most)s) AS swept",
            agents=self._agents,
            most=MOST,
        )


def _said(error: BaseException) -> str:
    cause = error.__cause__ or error
    return str(cause).strip() or type(cause).__name__


def _app(address: str, schema: str) -> App:
    async def configure(connection: Any) -> None:  # noqa: ANN401 - psycopg's, which storage alone imports
        await connection.execute(f"SET search_path = {schema}")
        await connection.commit()

    connector = PsycopgConnector(
        conninfo=address.replace("postgresql+psycopg://", "postgresql://"),
        min_size=1,
        max_size=CONNECTIONS,
        configure=configure,
    )
    return App(connector=connector)


async def _install(address: str) -> str:
    schema, app = schema_name(), _app(address, schema_name())
    try:
        async with app.open_async(), _pool(app).connection() as connection:
            await _install_on(connection, schema)
    except WorldError:
        raise
    except Exception as error:
        raise StorageUnavailable("for the workers' jobs", _said(error)) from error
    return schema


def _pool(app: App) -> Any:  # noqa: ANN401 - psycopg's
    connector = app.connector
    if not isinstance(connector, PsycopgConnector):
        raise TypeError("signoff's jobs are on PostgreSQL")
    return connector.pool


async def _install_on(connection: Any, schema: str) -> None:  # noqa: ANN401 - psycopg's
    async def one(query: str) -> Any:  # noqa: ANN401 - any value
        found = await (await connection.execute(query)).fetchone()
        return None if found is None else found[0]

    await connection.execute("RESET search_path")
    await connection.execute(f"SELECT pg_advisory_xact_lock({_LOCK})")
    names = {"jobs": schema, "store": await one("SELECT quote_ident(current_schema())")}
    if await one(f"SELECT to_regclass('{schema}.procrastinate_jobs')") is None:
        await connection.execute(f"CREATE SCHEMA IF NOT EXISTS {schema}")
        await connection.execute(f"SET LOCAL search_path = {schema}")
        await connection.execute(SchemaManager.get_schema())
    file = resources.files("signoff.durable") / "jobs.sql"
    functions = file.read_text(encoding="utf-8")
    for name, value in names.items():
        functions = functions.replace(f"{{{name}}}", str(value))
    await connection.execute(functions)
    if await one(_TRIGGER.format(**names)) is None:
        await connection.execute(_ADD_TRIGGER.format(**names))
