CREATE INDEX entries_purging ON entries (changed_at, id)
    WHERE (captured IS NOT NULL OR bound IS NOT NULL) AND (state IN ('final', 'undone', 'cancelled') OR (state = 'failed' AND attempt >= attempts));
