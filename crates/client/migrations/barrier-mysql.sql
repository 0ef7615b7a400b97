-- The barrier's tables for MySQL and MariaDB. Running it again changes nothing.
--
-- amends_barrier: one row for each operation of each step that has come.
-- amends_fence:   the highest fencing token seen for each lock key.
--
-- Keys are binary: ids differ by case, and lock keys may end in a space.

CREATE TABLE IF NOT EXISTS amends_barrier (
    saga          VARBINARY(128) NOT NULL,
    step          VARBINARY(64)  NOT NULL,
    op            VARBINARY(16)  NOT NULL,
    -- started: not settled; undone: a forward operation whose undo came first.
    state         VARCHAR(16) CHARACTER SET ascii COLLATE ascii_bin NOT NULL
        CHECK (state IN ('started', 'succeeded', 'refused', 'undone')),
    -- The answer that every repetition gets; NULL while there is none.
    status        INT,
    content_type  VARCHAR(255) CHARACTER SET ascii COLLATE ascii_bin,
    body          MEDIUMBLOB,
    -- How often it was started; only the last one may settle it.
    round         BIGINT NOT NULL DEFAULT 1,
    -- Until then nobody takes a started operation over.
    held_until_ms BIGINT NOT NULL,
    -- When the row changed last. Milliseconds since 1970, by the clock of the database.
    changed_at_ms BIGINT NOT NULL,
    PRIMARY KEY (saga, step, op),
    KEY amends_barrier_changed (changed_at_ms)
) ENGINE = InnoDB;

CREATE TABLE IF NOT EXISTS amends_fence (
    lock_key      VARBINARY(256) NOT NULL PRIMARY KEY,
    token         BIGINT NOT NULL CHECK (token >= 0),
    changed_at_ms BIGINT NOT NULL,
    KEY amends_fence_changed (changed_at_ms)
) ENGINE = InnoDB;
