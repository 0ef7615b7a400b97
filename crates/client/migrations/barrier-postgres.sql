-- The barrier's tables for PostgreSQL. Running it again changes nothing.
--
-- amends_barrier: one row for each operation of each step that has come.
-- amends_fence:   the highest fencing token seen for each lock key.

CREATE TABLE IF NOT EXISTS amends_barrier (
    saga          VARCHAR(128) NOT NULL,
    step          VARCHAR(64)  NOT NULL,
    op            VARCHAR(16)  NOT NULL
        CHECK (op IN ('action', 'compensation', 'try', 'confirm', 'cancel')),
    -- started: not settled; undone: a forward operation whose undo came first.
    state         VARCHAR(16)  NOT NULL
        CHECK (state IN ('started', 'succeeded', 'refused', 'undone')),
    -- The answer that every repetition gets; NULL while there is none.
    status        INTEGER      CHECK (status BETWEEN 100 AND 999),
    content_type  VARCHAR(255),
    body          BYTEA,
    -- How often it was started; only the last one may settle it.
    round         BIGINT       NOT NULL DEFAULT 1,
    -- Until then nobody takes a started operation over.
    held_until_ms BIGINT       NOT NULL,
    -- When the row changed last. Milliseconds since 1970, by the clock of the database.
    changed_at_ms BIGINT       NOT NULL,
    PRIMARY KEY (saga, step, op)
);

-- Serves the sweep.
CREATE INDEX IF NOT EXISTS amends_barrier_changed ON amends_barrier (changed_at_ms);

CREATE TABLE IF NOT EXISTS amends_fence (
    lock_key      VARCHAR(256) NOT NULL PRIMARY KEY,
    token         BIGINT       NOT NULL CHECK (token >= 0),
    changed_at_ms BIGINT       NOT NULL
);

CREATE INDEX IF NOT EXISTS amends_fence_changed ON amends_fence (changed_at_ms);
