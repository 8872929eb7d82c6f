-- Every wake-up defers its job in its own transaction. A job holds a thread and nothing
-- else; its queue is the agent's, its lock the thread. A queueing lock of its own for
-- each reason (version) and attempt: a job is never taken for one that is already queued
-- but was fetched before this transaction is committed.

CREATE OR REPLACE FUNCTION {jobs}.signoff_queue(agent text) RETURNS text
LANGUAGE sql IMMUTABLE AS $$
    SELECT left(encode(sha256(convert_to(agent, 'UTF8')), 'hex'), 32)
$$;

CREATE OR REPLACE FUNCTION {jobs}.signoff_job(
    agent text, thread text, version bigint, attempts bigint, due_at bigint
) RETURNS {jobs}.procrastinate_job_to_defer_v1
LANGUAGE sql STABLE SET search_path = {jobs}, pg_catalog AS $$
    SELECT ROW(
        signoff_queue(agent), 'signoff.wake', 0, thread,
        thread || ':' || version || ':' || attempts,
        jsonb_build_object('thread', thread),
        CASE WHEN due_at > 0 THEN to_timestamp(due_at / 1000000.0) END
    )::procrastinate_job_to_defer_v1
$$;

CREATE OR REPLACE FUNCTION {jobs}.signoff_defer() RETURNS trigger
LANGUAGE plpgsql SET search_path = {jobs}, pg_catalog AS $$
BEGIN
    -- Without a worker of its agent nobody would ever fetch the job.
    IF EXISTS (SELECT 1 FROM {store}.workers AS w WHERE w.agents::jsonb ? NEW.agent) THEN
        BEGIN
            PERFORM procrastinate_defer_jobs_v1(ARRAY[signoff_job(
                NEW.agent, NEW.thread, NEW.version, NEW.attempts, NEW.due_at
            )]);
        EXCEPTION
            WHEN unique_violation THEN NULL;
            -- A decision counts even where its job can't be queued; the sweep does it.
            WHEN OTHERS THEN RAISE WARNING 'signoff: no job for %: %', NEW.thread, SQLERRM;
        END;
    END IF;
    RETURN NULL;
END
$$;

CREATE OR REPLACE FUNCTION {jobs}.signoff_sweep(agents text[], most integer) RETURNS bigint
LANGUAGE plpgsql SET search_path = {jobs}, pg_catalog AS $$
DECLARE
    clock bigint := EXTRACT(EPOCH FROM clock_timestamp()) * 1000000;
    swept bigint;
BEGIN
    WITH missing AS (
        SELECT w.* FROM {store}.wakeups AS w
        WHERE w.agent = ANY(agents) AND w.due_at <= clock
        AND NOT EXISTS (
            SELECT 1 FROM {store}.turns AS t
            WHERE t.thread = w.thread AND t.lease_until > 0
        )
        AND NOT EXISTS (
            SELECT 1 FROM procrastinate_jobs AS j
            WHERE j.lock = w.thread AND j.status IN ('todo', 'doing')
        )
        ORDER BY w.since LIMIT most
    )
    SELECT count(procrastinate_defer_jobs_v1(ARRAY[
        signoff_job(m.agent, m.thread, m.version, m.attempts, 0)
    ])) INTO swept FROM missing AS m;
    RETURN swept;
EXCEPTION
    WHEN unique_violation THEN RETURN 0;  -- another worker sweeps at this moment
END
$$;
