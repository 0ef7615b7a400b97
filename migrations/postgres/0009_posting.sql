-- Lists by label and by lock key in the order of time: a page of a common one is read from its
-- place, whatever else there is.
--
-- Readers before this release: may go on beside it. Their lists by label or lock key have no index
-- any more after 0011: right, but slow. What they delete leaves its rows in the two tables; these
-- lead nowhere and are passed over. Way back: drop both tables and saga_unlisted, and make
-- saga_labelled and saga_locking of 0002 again.
--
-- Takes its time where there are many sagas. They can be read and written meanwhile.

CREATE TABLE saga_label (
    name       TEXT COLLATE "C" NOT NULL,
    value      TEXT COLLATE "C" NOT NULL,
    created_at TIMESTAMPTZ NOT NULL,
    saga_id    TEXT COLLATE "C" NOT NULL
);

COMMENT ON TABLE saga_label IS 'Serves lists by label. The truth is in saga.labels.';
COMMENT ON COLUMN saga_label.created_at IS 'As in saga.';

CREATE TABLE saga_lock_key (
    lock_key   TEXT COLLATE "C" NOT NULL,
    created_at TIMESTAMPTZ NOT NULL,
    saga_id    TEXT COLLATE "C" NOT NULL
);

COMMENT ON TABLE saga_lock_key IS
    'Serves lists by lock key, also of sagas that have ended. The truth is in saga.lock_keys.';
COMMENT ON COLUMN saga_lock_key.created_at IS 'As in saga.';

-- What was there before 0008. What has come since is not listed.
INSERT INTO saga_label (name, value, created_at, saga_id)
SELECT l.key, l.value, s.created_at, s.saga_id
FROM saga s CROSS JOIN LATERAL jsonb_each_text(s.labels) l
WHERE s.listed AND s.labels IS NOT NULL;
INSERT INTO saga_lock_key (lock_key, created_at, saga_id)
SELECT DISTINCT k.lock_key, s.created_at, s.saga_id
FROM saga s CROSS JOIN LATERAL unnest(s.lock_keys) k (lock_key)
WHERE s.listed AND s.lock_keys IS NOT NULL;

-- After the rows: to sort them once is faster.
ALTER TABLE saga_label ADD PRIMARY KEY (name, value, created_at, saga_id);
ALTER TABLE saga_lock_key ADD PRIMARY KEY (lock_key, created_at, saga_id);
