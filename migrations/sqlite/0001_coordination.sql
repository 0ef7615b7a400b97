-- Who drives what: fixed facts of this file, coordinators, leases of partitions.
--
-- Readers before this release: none. Way back: delete the file.
--
-- Times end in _us: microseconds since 1970-01-01T00:00:00Z. Unless it says otherwise they are by
-- the clock of the machine.

-- partitions: how many, never changed. secret: signs callback URLs. participants_revision: grows
-- with every change of a participant. last_token: fencing token of the last grant of any lock key;
-- one counter for all keys, so that nothing has to be kept for a key that nobody holds.
CREATE TABLE meta (
    name  TEXT PRIMARY KEY,
    value ANY NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE coordinator (
    coordinator_id TEXT    PRIMARY KEY,
    -- Base URL at which the others reach it; may be empty.
    address        TEXT    NOT NULL,
    draining       INTEGER NOT NULL CHECK (draining IN (0, 1)),
    -- It lives until then.
    expires_us     INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE partition_lease (
    partition  INTEGER PRIMARY KEY CHECK (partition BETWEEN 0 AND 65535),
    -- Coordinator that drives the partition; NULL: free.
    owner      TEXT,
    -- Takeovers so far. Fencing token: a write under a smaller epoch is refused.
    epoch      INTEGER NOT NULL DEFAULT 0 CHECK (epoch >= 0),
    -- From then on anybody may take it.
    expires_us INTEGER,

    CONSTRAINT lease_is_whole CHECK ((owner IS NULL) = (expires_us IS NULL))
) STRICT;
