CREATE INDEX entries_purging ON entries (changed_at, id) WHERE COALESCE(captured, bound) IS NOT NULL AND state || '' IN ('final', 'undone', 'cancelled', 'failed');
