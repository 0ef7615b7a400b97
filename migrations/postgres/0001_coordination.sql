-- Who drives what: fixed facts of this database, coordinators, leases of partitions.
--
-- Readers before this release: none. Way back: drop the three tables.

CREATE TABLE meta (
    name  TEXT COLLATE "C" PRIMARY KEY,
    value TEXT NOT NULL
);

COMMENT ON TABLE meta IS
    'partitions: how many, never changed. secret: signs callback URLs. participants_revision: grows with every change of a participant.';

CREATE TABLE coordinator (
    coordinator_id TEXT COLLATE "C" PRIMARY KEY,
    address        TEXT        NOT NULL,
    draining       BOOLEAN     NOT NULL,
    expires_at     TIMESTAMPTZ NOT NULL
);

COMMENT ON COLUMN coordinator.address IS 'Base URL at which the others reach it; may be empty.';
COMMENT ON COLUMN coordinator.expires_at IS 'It lives until then, by the clock of the database.';

CREATE TABLE partition_lease (
    partition  INTEGER     PRIMARY KEY CHECK (partition >= 0),
    owner      TEXT COLLATE "C",
    epoch      BIGINT      NOT NULL DEFAULT 0 CHECK (epoch >= 0),
    expires_at TIMESTAMPTZ,

    CONSTRAINT lease_is_whole CHECK ((owner IS NULL) = (expires_at IS NULL))
) WITH (fillfactor = 20);

COMMENT ON COLUMN partition_lease.owner IS 'Coordinator that drives the partition; NULL: free.';
COMMENT ON COLUMN partition_lease.epoch IS
    'Takeovers so far. Fencing token: a write under a smaller epoch is refused.';
COMMENT ON COLUMN partition_lease.expires_at IS
    'From then on anybody may take it, by the clock of the database.';
