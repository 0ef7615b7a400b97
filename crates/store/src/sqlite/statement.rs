//! Statements that are not of one family: what a fresh file needs, and parts of a batch.
//!
//! A batch is one text of several statements, run in one go: each go costs a hop to the thread of
//! the connection. Parameters are `$N`, the same in all of them: 1 leases, 2 facts, 3 headers,
//! 4 releases, 5 new sagas, 6 their facts, 7 grants, 8 settles, 9 now. All but the last are JSON
//! arrays.

/// First rows of a fresh file; each changes nothing in one that has them.
pub(super) const FIRST_ROWS: &[&str] = &[
    "INSERT INTO meta (name, value) VALUES ('partitions', $1) ON CONFLICT (name) DO NOTHING",
    "INSERT INTO meta (name, value)
     VALUES ('secret', lower(hex(randomblob(32)))), ('participants_revision', 0), ('last_token', 0)
     ON CONFLICT (name) DO NOTHING",
    "WITH RECURSIVE numbers (n) AS (
         SELECT 0 UNION ALL
         SELECT n + 1 FROM numbers
         WHERE n + 1 < (SELECT value FROM meta WHERE name = 'partitions'))
     INSERT INTO partition_lease (partition) SELECT n FROM numbers WHERE true
     ON CONFLICT (partition) DO NOTHING",
];

pub(super) const FIXED_FACTS: &str = "SELECT
    (SELECT value FROM meta WHERE name = 'partitions'),
    (SELECT value FROM meta WHERE name = 'secret')";

/// Keys whose tickets the running batch takes away; lives with the writing connection.
pub(super) const TEMPORARY: &str = "CREATE TEMP TABLE freed (
    lock_key TEXT    NOT NULL,
    saga_no  INTEGER NOT NULL
) STRICT";

pub(super) const TAKE_TOKENS: &str =
    "UPDATE meta SET value = value + $1 WHERE name = 'last_token' RETURNING value";

/// Takes the sagas $1 into memory: their keys were granted.
pub(super) const TAKE_INTO_MEMORY: &str =
    "UPDATE saga SET wake_us = NULL WHERE saga_id IN (SELECT value FROM json_each($1))";

/// One statement of a batch, in the order in which they stand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// Takes the file for writing.
    Begin,
    /// Rows: partitions whose lease is not the newest.
    Leases,
    /// Adds facts; changes one row for each that follows on.
    Facts,
    /// Changes one row for each saga whose journal ends where the batch says.
    Headers,
    /// Empties the list of freed keys.
    Forget,
    /// Lists the tickets of sagas that release.
    Freed,
    /// Takes those tickets away.
    Release,
    /// Rows: partition and id of sagas that moved up and are first everywhere.
    Wake,
    /// Makes sagas whose id and key are free.
    Accept,
    /// Rows: index of a submission that found a saga, its id and its digest.
    Exists,
    /// Lists labels of new sagas.
    Labels,
    /// Lists lock keys of new sagas.
    LockKeys,
    /// Gives new sagas their tickets.
    Tickets,
    /// Adds the first facts of new sagas: from now on they are not new.
    FirstFacts,
    /// Rows: index of a new saga that may have its keys at once.
    GrantAccepted,
    /// Rows: index of a grant that is given, and how many keys.
    Grant,
    /// Answers inbox items.
    Settle,
}

/// That no ticket stands before those of `saga_no`.
macro_rules! is_first {
    ($saga_no:literal) => {
        concat!(
            "NOT EXISTS (SELECT 1 FROM lock_ticket AS t CROSS JOIN lock_ticket AS b
                 ON b.lock_key = t.lock_key AND b.saga_no < t.saga_no WHERE t.saga_no = ",
            $saga_no,
            ")"
        )
    };
}

/// That no fact of `s` is written yet: it was made by the running batch.
macro_rules! is_new {
    () => {
        "NOT EXISTS (SELECT 1 FROM saga_journal AS j WHERE j.saga_no = s.saga_no)"
    };
}

/// Number of the fact that comes next for the saga.
macro_rules! next_seq {
    ($saga_no:literal) => {
        concat!(
            "(SELECT j.first_seq + j.record_count FROM saga_journal AS j WHERE j.saga_no = ",
            $saga_no,
            " ORDER BY j.first_seq DESC LIMIT 1)"
        )
    };
}

impl Step {
    /// All of them, in order.
    pub(super) const ALL: [Self; 17] = [
        Self::Begin,
        Self::Leases,
        Self::Facts,
        Self::Headers,
        Self::Forget,
        Self::Freed,
        Self::Release,
        Self::Wake,
        Self::Accept,
        Self::Exists,
        Self::Labels,
        Self::LockKeys,
        Self::Tickets,
        Self::FirstFacts,
        Self::GrantAccepted,
        Self::Grant,
        Self::Settle,
    ];

    pub(super) const fn sql(self) -> &'static str {
        match self {
            Self::Begin => "BEGIN IMMEDIATE;",
            Self::Leases => {
                "SELECT l.value ->> 'partition' FROM json_each($1) AS l
                 LEFT JOIN partition_lease AS p ON p.partition = l.value ->> 'partition'
                 WHERE p.owner IS NULL OR p.epoch <> l.value ->> 'epoch';"
            }
            Self::Facts => concat!(
                "INSERT INTO saga_journal (saga_no, first_seq, record_count, records)
                 SELECT s.saga_no, f.value ->> 'from', f.value ->> 'record_count', f.value ->> 'records'
                 FROM jsonb_each($2) AS f CROSS JOIN saga AS s ON s.saga_id = f.value ->> 'saga_id'
                 WHERE s.partition = f.value ->> 'partition' AND f.value ->> 'from' = ",
                next_seq!("s.saga_no"),
                ";"
            ),
            Self::Headers => concat!(
                "UPDATE saga SET status = h.value ->> 'status', paused = h.value ->> 'paused',
                     step = h.value ->> 'step', reason = h.value ->> 'reason', updated_us = h.value ->> 'updated_us',
                     ended_us = h.value ->> 'ended_us', wake_us = h.value ->> 'wake_us'
                 FROM jsonb_each($3) AS h
                 WHERE saga.saga_id = h.value ->> 'saga_id' AND saga.partition = h.value ->> 'partition'
                   AND h.value ->> 'next' = ",
                next_seq!("saga.saga_no"),
                ";"
            ),
            Self::Forget => "DELETE FROM temp.freed;",
            Self::Freed => {
                "INSERT INTO temp.freed (lock_key, saga_no)
                 SELECT t.lock_key, t.saga_no FROM json_each($4) AS r
                 CROSS JOIN saga AS s ON s.saga_id = r.value
                 CROSS JOIN lock_ticket AS t ON t.saga_no = s.saga_no;"
            }
            Self::Release => {
                "DELETE FROM lock_ticket
                 WHERE (lock_key, saga_no) IN (SELECT lock_key, saga_no FROM temp.freed);"
            }
            // Who is first in a key now, and was not while the freed ticket stood before it.
            Self::Wake => concat!(
                "UPDATE saga SET wake_us = $9
                 WHERE ended_us IS NULL AND saga_no IN (
                     SELECT h.first FROM (
                         SELECT f.saga_no AS freed, (
                             SELECT t.saga_no FROM lock_ticket AS t
                             WHERE t.lock_key = f.lock_key ORDER BY t.saga_no LIMIT 1) AS first
                         FROM temp.freed AS f) AS h
                     WHERE h.first > h.freed AND ",
                is_first!("h.first"),
                ") RETURNING partition, saga_id;"
            ),
            Self::Accept => {
                "INSERT INTO saga (saga_id, partition, definition, definition_name,
                     definition_version, labels, lock_keys, idempotency_key, request_digest,
                     created_us, status, paused, step, reason, updated_us, ended_us, wake_us)
                 SELECT a.value ->> 'saga_id', a.value ->> 'partition', a.value ->> 'definition', a.value ->> 'definition_name',
                     a.value ->> 'definition_version', a.value ->> 'labels', a.value ->> 'lock_keys', a.value ->> 'idempotency_key', a.value ->> 'request_digest',
                     a.value ->> 'created_us', a.value ->> 'status', a.value ->> 'paused', a.value ->> 'step',
                     a.value ->> 'reason', a.value ->> 'updated_us', a.value ->> 'ended_us', a.value ->> 'wake_us'
                 FROM jsonb_each($5) AS a WHERE true ORDER BY a.key
                 ON CONFLICT DO NOTHING;"
            }
            Self::Exists => concat!(
                "SELECT a.key, s.saga_id, s.request_digest FROM jsonb_each($5) AS a
                 CROSS JOIN saga AS s ON s.saga_id = coalesce(
                     (SELECT i.saga_id FROM saga AS i WHERE i.saga_id = a.value ->> 'saga_id'),
                     (SELECT k.saga_id FROM saga AS k WHERE k.idempotency_key = a.value ->> 'idempotency_key'))
                 WHERE s.saga_id <> a.value ->> 'saga_id' OR NOT ",
                is_new!(),
                ";"
            ),
            Self::Labels => concat!(
                "INSERT INTO saga_label (name, value, saga_no)
                 SELECT l.key, l.value, s.saga_no FROM jsonb_each($5) AS a
                 CROSS JOIN saga AS s ON s.saga_id = a.value ->> 'saga_id'
                 CROSS JOIN json_each(s.labels) AS l
                 WHERE s.labels IS NOT NULL AND ",
                is_new!(),
                ";"
            ),
            Self::LockKeys => concat!(
                "INSERT INTO saga_lock_key (lock_key, saga_no)
                 SELECT k.value, s.saga_no FROM jsonb_each($5) AS a
                 CROSS JOIN saga AS s ON s.saga_id = a.value ->> 'saga_id'
                 CROSS JOIN json_each(s.lock_keys) AS k
                 WHERE s.lock_keys IS NOT NULL AND ",
                is_new!(),
                ";"
            ),
            Self::Tickets => concat!(
                "INSERT INTO lock_ticket (lock_key, saga_no)
                 SELECT k.value, s.saga_no FROM jsonb_each($5) AS a
                 CROSS JOIN saga AS s ON s.saga_id = a.value ->> 'saga_id'
                 CROSS JOIN json_each(s.lock_keys) AS k
                 WHERE s.lock_keys IS NOT NULL AND ",
                is_new!(),
                ";"
            ),
            Self::FirstFacts => concat!(
                "INSERT INTO saga_journal (saga_no, first_seq, record_count, records)
                 SELECT s.saga_no, 0, f.value ->> 'record_count', f.value ->> 'records' FROM jsonb_each($6) AS f
                 CROSS JOIN saga AS s ON s.saga_id = f.value ->> 'saga_id' WHERE ",
                is_new!(),
                ";"
            ),
            Self::GrantAccepted => concat!(
                "SELECT a.key FROM jsonb_each($5) AS a
                 CROSS JOIN saga AS s ON s.saga_id = a.value ->> 'saga_id'
                 WHERE a.value ->> 'grant' AND s.lock_keys IS NOT NULL AND ",
                is_first!("s.saga_no"),
                ";"
            ),
            Self::Grant => concat!(
                "SELECT g.key, (SELECT count(*) FROM lock_ticket AS t WHERE t.saga_no = s.saga_no)
                 FROM json_each($7) AS g CROSS JOIN saga AS s ON s.saga_id = g.value
                 WHERE EXISTS (SELECT 1 FROM lock_ticket AS t WHERE t.saga_no = s.saga_no) AND ",
                is_first!("s.saga_no"),
                ";"
            ),
            Self::Settle => {
                "UPDATE inbox SET result = a.value ->> 'result', settled_us = $9
                 FROM json_each($8) AS a
                 WHERE inbox.inbox_id = a.value ->> 'inbox_id' AND inbox.result IS NULL;"
            }
        }
    }
}
