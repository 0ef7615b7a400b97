-- Definitions and participants.
--
-- Readers before this release: none. Way back: delete the file.

CREATE TABLE definition (
    -- SHA-256 of the canonical document, as hex.
    digest     TEXT    PRIMARY KEY,
    name       TEXT    NOT NULL,
    -- NULL: it came inside a start request.
    version    INTEGER CHECK (version >= 1),
    -- The document as JSON, as it was given.
    source     TEXT    NOT NULL,
    created_us INTEGER NOT NULL
) STRICT;

CREATE UNIQUE INDEX definition_version ON definition (name, version) WHERE version IS NOT NULL;

-- Serves the question who would miss a participant.
CREATE TABLE definition_participant (
    participant TEXT NOT NULL,
    digest      TEXT NOT NULL,
    PRIMARY KEY (participant, digest)
) STRICT, WITHOUT ROWID;

CREATE TABLE participant (
    name       TEXT    PRIMARY KEY,
    -- The registration as JSON, secrets included.
    spec       TEXT    NOT NULL,
    revision   INTEGER NOT NULL CHECK (revision >= 1),
    created_us INTEGER NOT NULL,
    updated_us INTEGER NOT NULL
) STRICT;
