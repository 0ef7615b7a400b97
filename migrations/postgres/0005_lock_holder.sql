-- Who holds a lock key: a ticket that was granted knows its token. What is kept for keys that
-- nobody uses may go.
--
-- Readers before this release: stop them first. They would leave the tokens of their grants out
-- here, and give forgotten keys tokens that they had before. Way back: drop the index and both
-- columns; raise each lock_fence.token to the floor in meta, and let new rows begin with it.

ALTER TABLE lock_ticket ADD COLUMN token BIGINT CHECK (token > 0);
ALTER TABLE lock_ticket ADD COLUMN taken_at TIMESTAMPTZ NOT NULL DEFAULT now();

COMMENT ON COLUMN lock_ticket.token IS
    'Fencing token that it was granted with; NULL: it waits. Only the first ticket of a key has one, and all tickets of a saga have one or none.';
COMMENT ON COLUMN lock_ticket.taken_at IS
    'By the clock of the database. For tickets older than this column: when it was made.';
COMMENT ON TABLE lock_fence IS
    'One row a key that somebody holds or waits for; others are forgotten by and by. Whoever changes a queue locks the rows of its keys first, in order of key.';
COMMENT ON COLUMN lock_fence.token IS
    'Fencing token of the last grant, or raised above it by a forced release. The next one is greater than this and than the floor in meta.';
COMMENT ON TABLE meta IS
    'partitions: how many, never changed. secret: signs callback URLs. participants_revision: grows with every change of a participant. lock_token_floor: no token of a forgotten key was greater; missing: none was forgotten.';

-- Sagas that wait for their keys are queued, and no others.
UPDATE lock_ticket t SET token = f.token
FROM lock_fence f, saga s
WHERE f.lock_key = t.lock_key AND s.saga_id = t.saga_id AND s.status <> 'queued' AND f.token > 0;

-- Serves takeovers: who holds keys, in order of id.
CREATE INDEX lock_ticket_granted ON lock_ticket (partition, saga_id) WHERE token IS NOT NULL;
