-- Sagas, their journals, and the inbox.
--
-- Readers before this release: none. Way back: delete the file.

-- What lists and queues need. The truth is in saga_journal.
CREATE TABLE saga (
    -- Grows with every saga: its place in the queues of its lock keys.
    saga_no            INTEGER PRIMARY KEY,
    saga_id            TEXT    NOT NULL UNIQUE,
    partition          INTEGER NOT NULL CHECK (partition BETWEEN 0 AND 65535),
    -- Digest of the definition that it runs.
    definition         TEXT    NOT NULL,
    definition_name    TEXT    NOT NULL,
    -- NULL: the definition came inside the start request.
    definition_version INTEGER CHECK (definition_version >= 1),
    status             TEXT    NOT NULL CHECK (status IN (
        'queued', 'running', 'confirming', 'compensating', 'suspended',
        'completed', 'compensated', 'abandoned')),
    paused             INTEGER NOT NULL CHECK (paused IN (0, 1)),
    -- The step that waits for an operator, or that made the saga abort.
    step               TEXT,
    reason             TEXT,
    -- JSON object; NULL: none.
    labels             TEXT,
    -- JSON array, sorted; NULL: none.
    lock_keys          TEXT,
    idempotency_key    TEXT,
    -- Tells a repeated request from another one.
    request_digest     TEXT    NOT NULL,
    -- By the clock of the coordinator, as updated_us and ended_us.
    created_us         INTEGER NOT NULL,
    updated_us         INTEGER NOT NULL,
    ended_us           INTEGER,
    -- When the owner of the partition must look. NULL: its owner has it in memory, or it has
    -- ended. The greatest integer: only when something happens.
    wake_us            INTEGER,

    CONSTRAINT ended_is_terminal CHECK (
        (ended_us IS NOT NULL) = (status IN ('completed', 'compensated', 'abandoned'))),
    CONSTRAINT ended_never_wakes CHECK (ended_us IS NULL OR wake_us IS NULL)
) STRICT;

-- One saga a key.
CREATE UNIQUE INDEX saga_idempotency ON saga (idempotency_key) WHERE idempotency_key IS NOT NULL;
-- Serves what is due, in order of time.
CREATE INDEX saga_due ON saga (partition, wake_us) WHERE wake_us IS NOT NULL;
-- Serves takeovers: what the last owner had in memory, in order of id.
CREATE INDEX saga_in_memory ON saga (partition, saga_id)
    WHERE ended_us IS NULL AND wake_us IS NULL;
-- Serve lists and counts.
CREATE INDEX saga_created ON saga (created_us, saga_id);
CREATE INDEX saga_of_status ON saga (status, created_us, saga_id);
CREATE INDEX saga_of_definition ON saga (definition_name, created_us, saga_id);
-- Serves retention.
CREATE INDEX saga_ended ON saga (ended_us) WHERE ended_us IS NOT NULL;

-- Append-only, in chunks of facts. All chunks of a saga in order of first_seq give its state.
-- Its rows stand in the order of writing, so that a write goes to the end of the table.
CREATE TABLE saga_journal (
    saga_no      INTEGER NOT NULL,
    -- Number of the first fact here; a saga's first is 0.
    first_seq    INTEGER NOT NULL CHECK (first_seq >= 0),
    record_count INTEGER NOT NULL CHECK (record_count > 0),
    -- JSON array of record_count facts: nothing in the database looks inside.
    records      TEXT    NOT NULL,

    UNIQUE (saga_no, first_seq)
) STRICT;

-- Serves lists by label; the truth is in saga.labels.
CREATE TABLE saga_label (
    name    TEXT    NOT NULL,
    value   TEXT    NOT NULL,
    saga_no INTEGER NOT NULL,
    PRIMARY KEY (name, value, saga_no)
) STRICT, WITHOUT ROWID;

-- Commands and completions for sagas, for the owner of the partition.
CREATE TABLE inbox (
    inbox_no   INTEGER PRIMARY KEY,
    inbox_id   TEXT    NOT NULL UNIQUE,
    partition  INTEGER NOT NULL,
    saga_id    TEXT    NOT NULL,
    message    TEXT    NOT NULL,
    -- By the clock of the coordinator that posted it.
    posted_us  INTEGER NOT NULL,
    settled_us INTEGER,
    -- JSON for the one who posted it.
    result     TEXT,

    CONSTRAINT answer_is_whole CHECK ((settled_us IS NULL) = (result IS NULL))
) STRICT;

-- Serves the owner: what is not answered yet.
CREATE INDEX inbox_open ON inbox (partition, posted_us) WHERE settled_us IS NULL;
-- Serve retention.
CREATE INDEX inbox_of_saga ON inbox (saga_id);
CREATE INDEX inbox_settled ON inbox (settled_us) WHERE settled_us IS NOT NULL;
