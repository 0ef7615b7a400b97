-- Lock keys: queues of tickets, and the fencing token of each key.
--
-- Readers before this release: none. Way back: drop both tables.

CREATE TABLE lock_fence (
    lock_key    TEXT COLLATE "C" PRIMARY KEY,
    last_ticket BIGINT NOT NULL CHECK (last_ticket >= 0),
    token       BIGINT NOT NULL CHECK (token >= 0)
) WITH (fillfactor = 70);

COMMENT ON TABLE lock_fence IS
    'One row a key, never deleted: tokens must grow for ever. Whoever changes a queue locks the rows of its keys first, in order of key.';
COMMENT ON COLUMN lock_fence.last_ticket IS 'Last ticket that was given; some may be left out.';
COMMENT ON COLUMN lock_fence.token IS 'Fencing token of the last grant.';

CREATE TABLE lock_ticket (
    lock_key  TEXT COLLATE "C" NOT NULL,
    ticket    BIGINT  NOT NULL,
    saga_id   TEXT COLLATE "C" NOT NULL,
    partition INTEGER NOT NULL,
    PRIMARY KEY (lock_key, ticket)
);

COMMENT ON TABLE lock_ticket IS
    'Who waits for a key or has it: the lowest ticket is first. A saga has its keys when all its tickets are first and it was granted them.';

-- Serves grants and releases.
CREATE INDEX lock_ticket_of_saga ON lock_ticket (saga_id);
