-- Lists by label and by lock key in the order of time: a page of a common one is read from its
-- place, whatever else there is.
--
-- Readers before this release: refused, since they would write rows that lack the time. Way back:
-- make both tables as in 0002 and 0003 from saga.labels and saga.lock_keys, and let oldest_reader
-- be 6 again.

UPDATE meta SET value = 7 WHERE name = 'oldest_reader';

-- Serves lists by label; the truth is in saga.labels.
CREATE TABLE saga_label_new (
    name       TEXT    NOT NULL,
    value      TEXT    NOT NULL,
    -- As in saga.
    created_us INTEGER NOT NULL,
    saga_id    TEXT    NOT NULL,
    PRIMARY KEY (name, value, created_us, saga_id)
) STRICT, WITHOUT ROWID;

-- In the order that they have, which is nearly the new one: a sort would need memory.
INSERT INTO saga_label_new (name, value, created_us, saga_id)
SELECT l.name, l.value, s.created_us, s.saga_id
FROM saga_label AS l CROSS JOIN saga AS s ON s.saga_no = l.saga_no;

DROP TABLE saga_label;
ALTER TABLE saga_label_new RENAME TO saga_label;

-- Serves lists by lock key, also of sagas that have ended; the truth is in saga.lock_keys.
CREATE TABLE saga_lock_key_new (
    lock_key   TEXT    NOT NULL,
    -- As in saga.
    created_us INTEGER NOT NULL,
    saga_id    TEXT    NOT NULL,
    PRIMARY KEY (lock_key, created_us, saga_id)
) STRICT, WITHOUT ROWID;

INSERT INTO saga_lock_key_new (lock_key, created_us, saga_id)
SELECT k.lock_key, s.created_us, s.saga_id
FROM saga_lock_key AS k CROSS JOIN saga AS s ON s.saga_no = k.saga_no;

DROP TABLE saga_lock_key;
ALTER TABLE saga_lock_key_new RENAME TO saga_lock_key;
