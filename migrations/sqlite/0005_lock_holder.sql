-- Who holds a lock key: a ticket that was granted knows its token, and tickets have numbers of
-- their own, so that a saga can be put at the end of a queue.
--
-- Readers before this release: none, the file belongs to one process. Way back: make the table
-- without the new columns; a saga that was put at the end of a queue gets its old place then.

-- Who waits for a key or has it: the lowest ticket is first. A saga has one number in all its
-- queues, from the counter of all tokens: meta.last_token.
CREATE TABLE lock_ticket_new (
    lock_key  TEXT    NOT NULL,
    ticket    INTEGER NOT NULL,
    saga_no   INTEGER NOT NULL,
    -- As in its row.
    saga_id   TEXT    NOT NULL,
    partition INTEGER NOT NULL,
    -- Fencing token that it was granted with; NULL: it waits. Only the first ticket of a key has
    -- one, and all tickets of a saga have one or none.
    token     INTEGER CHECK (token > 0),
    -- For tickets older than this column: when the saga was accepted.
    taken_us  INTEGER NOT NULL,
    PRIMARY KEY (lock_key, ticket)
) STRICT, WITHOUT ROWID;

-- Sagas that wait for their keys are queued, and no others. Which token a holder was given is not
-- known; it was at most the last one.
INSERT INTO lock_ticket_new (lock_key, ticket, saga_no, saga_id, partition, token, taken_us)
SELECT t.lock_key, t.saga_no, t.saga_no, s.saga_id, s.partition,
    CASE WHEN s.status <> 'queued' THEN m.value END, s.created_us
FROM lock_ticket AS t
JOIN saga AS s ON s.saga_no = t.saga_no
JOIN meta AS m ON m.name = 'last_token';

DROP TABLE lock_ticket;
ALTER TABLE lock_ticket_new RENAME TO lock_ticket;

UPDATE meta SET value = max(value, (SELECT coalesce(max(ticket), 0) FROM lock_ticket))
WHERE name = 'last_token';

-- Serves grants and releases.
CREATE INDEX lock_ticket_of_saga ON lock_ticket (saga_no);
-- Serves takeovers: who holds keys, in order of id.
CREATE INDEX lock_ticket_granted ON lock_ticket (partition, saga_id) WHERE token IS NOT NULL;
