-- Sagas, their journals, idempotency keys and the inbox.
--
-- Readers before this release: none. Way back: drop the four tables.

CREATE TABLE saga (
    saga_id            TEXT COLLATE "C" PRIMARY KEY,
    partition          INTEGER     NOT NULL CHECK (partition >= 0),
    definition         TEXT COLLATE "C" NOT NULL,
    definition_name    TEXT COLLATE "C" NOT NULL,
    definition_version BIGINT      CHECK (definition_version >= 1),
    status             TEXT COLLATE "C" NOT NULL CHECK (status IN (
        'queued', 'running', 'confirming', 'compensating', 'suspended',
        'completed', 'compensated', 'abandoned')),
    paused             BOOLEAN     NOT NULL,
    step               TEXT,
    reason             TEXT,
    labels             JSONB,
    lock_keys          TEXT[],
    idempotency_key    TEXT COLLATE "C",
    request_digest     TEXT        NOT NULL,
    created_at         TIMESTAMPTZ NOT NULL,
    updated_at         TIMESTAMPTZ NOT NULL,
    ended_at           TIMESTAMPTZ,
    wake_at            TIMESTAMPTZ,

    CONSTRAINT ended_is_terminal CHECK (
        (ended_at IS NOT NULL) = (status IN ('completed', 'compensated', 'abandoned'))),
    CONSTRAINT ended_never_wakes CHECK (ended_at IS NULL OR wake_at IS NULL)
) WITH (fillfactor = 80, autovacuum_vacuum_scale_factor = 0.05);

COMMENT ON TABLE saga IS 'What lists and queues need. The truth is in saga_journal.';
COMMENT ON COLUMN saga.definition IS 'Digest of the definition that it runs.';
COMMENT ON COLUMN saga.definition_version IS 'NULL: the definition came inside the start request.';
COMMENT ON COLUMN saga.step IS 'The step that waits for an operator, or that made the saga abort.';
COMMENT ON COLUMN saga.labels IS 'NULL: none.';
COMMENT ON COLUMN saga.lock_keys IS 'Sorted; NULL: none.';
COMMENT ON COLUMN saga.request_digest IS 'Tells a repeated request from another one.';
COMMENT ON COLUMN saga.created_at IS 'By the clock of the coordinator, as updated_at and ended_at.';
COMMENT ON COLUMN saga.wake_at IS
    'When the owner of the partition must look, by the clock of the database. NULL: its owner has it in memory, or it has ended. infinity: only when something happens.';

-- Serves what is due, in order of time.
CREATE INDEX saga_due ON saga (partition, wake_at) WHERE wake_at IS NOT NULL;
-- Serves takeovers: what the last owner had in memory, in order of id.
CREATE INDEX saga_in_memory ON saga (partition, saga_id)
    WHERE ended_at IS NULL AND wake_at IS NULL;
-- Serves lists and retention.
CREATE INDEX saga_created ON saga (created_at, saga_id);
CREATE INDEX saga_of_definition ON saga (definition_name, created_at, saga_id);
-- Serve lists and counts by status, but for completed: those are found among all.
CREATE INDEX saga_live ON saga (status, created_at, saga_id) WHERE ended_at IS NULL;
CREATE INDEX saga_undone ON saga (status, created_at, saga_id)
    WHERE status IN ('compensated', 'abandoned');
CREATE INDEX saga_labelled ON saga USING gin (labels jsonb_path_ops) WHERE labels IS NOT NULL;
CREATE INDEX saga_locking ON saga USING gin (lock_keys) WHERE lock_keys IS NOT NULL;

CREATE TABLE saga_journal (
    partition    INTEGER NOT NULL,
    saga_id      TEXT COLLATE "C" NOT NULL,
    first_seq    BIGINT  NOT NULL CHECK (first_seq >= 0),
    record_count INTEGER NOT NULL CHECK (record_count > 0),
    records      TEXT    NOT NULL,
    PRIMARY KEY (partition, saga_id, first_seq)
);

COMMENT ON TABLE saga_journal IS
    'Append-only, in chunks of facts. All chunks of a saga in order of first_seq give its state. No foreign key: it would cost a look-up a write, and sagas are only deleted together with their journals.';
COMMENT ON COLUMN saga_journal.first_seq IS 'Number of the first fact here; a saga''s first is 0.';
COMMENT ON COLUMN saga_journal.records IS
    'JSON array of record_count facts, as text: nothing in the database looks inside.';

CREATE TABLE idempotency (
    idempotency_key TEXT COLLATE "C" PRIMARY KEY,
    saga_id         TEXT COLLATE "C" NOT NULL
);

COMMENT ON TABLE idempotency IS 'Which saga was made under a caller''s key; goes with the saga.';

CREATE TABLE inbox (
    inbox_id   TEXT COLLATE "C" PRIMARY KEY,
    partition  INTEGER     NOT NULL,
    saga_id    TEXT COLLATE "C" NOT NULL,
    message    TEXT        NOT NULL,
    posted_at  TIMESTAMPTZ NOT NULL,
    settled_at TIMESTAMPTZ,
    result     TEXT,

    CONSTRAINT answer_is_whole CHECK ((settled_at IS NULL) = (result IS NULL))
);

COMMENT ON TABLE inbox IS 'Commands and completions for sagas that another coordinator drives.';
COMMENT ON COLUMN inbox.posted_at IS 'By the clock of the coordinator that posted it.';
COMMENT ON COLUMN inbox.settled_at IS 'By the clock of the database.';

-- Serves the owner: what is not answered yet, oldest first.
CREATE INDEX inbox_open ON inbox (partition, posted_at, inbox_id) WHERE settled_at IS NULL;
-- Serve retention.
CREATE INDEX inbox_of_saga ON inbox (saga_id);
CREATE INDEX inbox_settled ON inbox (settled_at) WHERE settled_at IS NOT NULL;
