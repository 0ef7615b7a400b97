-- The barrier's tables for SQLite. Running it again changes nothing.
--
-- amends_barrier: one row for each operation of each step that has come.
-- amends_fence:   the highest fencing token seen for each lock key.

CREATE TABLE IF NOT EXISTS amends_barrier (
    saga          TEXT    NOT NULL,
    step          TEXT    NOT NULL,
    op            TEXT    NOT NULL
        CHECK (op IN ('action', 'compensation', 'try', 'confirm', 'cancel')),
    -- started: not settled; undone: a forward operation whose undo came first.
    state         TEXT    NOT NULL
        CHECK (state IN ('started', 'succeeded', 'refused', 'undone')),
    -- The answer that every repetition gets; NULL while there is none.
    status        INTEGER CHECK (status BETWEEN 100 AND 999),
    content_type  TEXT,
    body          BLOB,
    -- How often it was started; only the last one may settle it.
    round         INTEGER NOT NULL DEFAULT 1,
    -- Until then nobody takes a started operation over.
    held_until_ms INTEGER NOT NULL,
    -- When the row changed last. Milliseconds since 1970.
    changed_at_ms INTEGER NOT NULL,
    PRIMARY KEY (saga, step, op)
) STRICT;

-- Serves the sweep.
CREATE INDEX IF NOT EXISTS amends_barrier_changed ON amends_barrier (changed_at_ms);

CREATE TABLE IF NOT EXISTS amends_fence (
    lock_key      TEXT    NOT NULL PRIMARY KEY,
    token         INTEGER NOT NULL CHECK (token >= 0),
    changed_at_ms INTEGER NOT NULL
) STRICT;

CREATE INDEX IF NOT EXISTS amends_fence_changed ON amends_fence (changed_at_ms);
