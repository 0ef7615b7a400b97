-- Lock keys: queues of tickets.
--
-- Readers before this release: none. Way back: delete the file.

-- Who waits for a key or has it: the lowest saga_no is first. A saga has its keys when all its
-- tickets are first and it was granted them.
CREATE TABLE lock_ticket (
    lock_key TEXT    NOT NULL,
    saga_no  INTEGER NOT NULL,
    PRIMARY KEY (lock_key, saga_no)
) STRICT, WITHOUT ROWID;

-- Serves grants and releases.
CREATE INDEX lock_ticket_of_saga ON lock_ticket (saga_no);

-- Serves lists by lock key, also of sagas that have ended; the truth is in saga.lock_keys.
CREATE TABLE saga_lock_key (
    lock_key TEXT    NOT NULL,
    saga_no  INTEGER NOT NULL,
    PRIMARY KEY (lock_key, saga_no)
) STRICT, WITHOUT ROWID;
