-- Definitions and participants.
--
-- Readers before this release: none. Way back: drop both tables.

CREATE TABLE definition (
    digest       TEXT COLLATE "C" PRIMARY KEY,
    name         TEXT COLLATE "C" NOT NULL,
    version      BIGINT CHECK (version >= 1),
    source       TEXT        NOT NULL,
    participants TEXT[]      NOT NULL,
    created_at   TIMESTAMPTZ NOT NULL
);

COMMENT ON COLUMN definition.digest IS 'SHA-256 of the canonical document, as hex.';
COMMENT ON COLUMN definition.version IS 'NULL: it came inside a start request.';
COMMENT ON COLUMN definition.source IS 'The document as JSON, as it was given.';

CREATE UNIQUE INDEX definition_version ON definition (name, version) WHERE version IS NOT NULL;
-- Serves the question who would miss a participant.
CREATE INDEX definition_naming ON definition USING gin (participants);

CREATE TABLE participant (
    name       TEXT COLLATE "C" PRIMARY KEY,
    spec       TEXT        NOT NULL,
    revision   BIGINT      NOT NULL CHECK (revision >= 1),
    created_at TIMESTAMPTZ NOT NULL,
    updated_at TIMESTAMPTZ NOT NULL
);

COMMENT ON COLUMN participant.spec IS 'The registration as JSON, secrets included.';
