//! Statements that are not of one family: what a fresh file needs, and parts of a batch.
//!
//! A batch is one text of several statements, run in one go: each go costs a hop to the thread of
//! the connection. Parameters are `$N`, the same in all of them: 1 leases, 2 facts, 3 headers,
//! 4 releases and requeues, 5 new sagas, 6 their facts, 7 grants, 8 settles, 9 now. All but the last are JSON
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

/// Tickets that the running batch takes away, each with its saga's turn at the end of the queue, if
/// it is to get one, from 1; lives with the writing connection.
pub(super) const TEMPORARY: &str = "CREATE TEMP TABLE freed (
    lock_key TEXT    NOT NULL,
    ticket   INTEGER NOT NULL,
    saga_no  INTEGER NOT NULL,
    turn     INTEGER
) STRICT";

pub(super) const TAKE_TOKENS: &str =
    "UPDATE meta SET value = value + $1 WHERE name = 'last_token' RETURNING value";

/// Takes the sagas of the grants $1 into memory, adds the facts that tell of it, and notes their
/// tokens on their tickets: those of a saga follow one another in the order of its keys. Every
/// ticket is there: as an insertion, the statement is sure to go from the grants to their tickets.
pub(super) const NOTE_GRANTS: &str = "
    UPDATE saga SET wake_us = NULL, status = coalesce(g.value ->> 'status', status)
    FROM json_each($1) AS g WHERE saga.saga_id = g.value ->> 'saga_id';
    INSERT INTO saga_journal (saga_no, first_seq, record_count, records)
    SELECT s.saga_no, g.value ->> 'from', g.value ->> 'record_count', g.value ->> 'records'
    FROM json_each($1) AS g CROSS JOIN saga AS s ON s.saga_id = g.value ->> 'saga_id'
    WHERE g.value ->> 'from' IS NOT NULL;
    INSERT INTO lock_ticket (lock_key, ticket, saga_no, saga_id, partition, token, taken_us)
    SELECT t.lock_key, t.ticket, t.saga_no, t.saga_id, t.partition,
        g.value ->> 'first' - 1 + row_number() OVER (PARTITION BY g.key ORDER BY t.lock_key),
        t.taken_us
    FROM json_each($1) AS g CROSS JOIN saga AS s ON s.saga_id = g.value ->> 'saga_id'
    CROSS JOIN lock_ticket AS t ON t.saga_no = s.saga_no WHERE true
    ON CONFLICT (lock_key, ticket) DO UPDATE SET token = excluded.token;";

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
    /// Empties the list of freed tickets.
    Forget,
    /// Lists the tickets of sagas that release or are put at the end.
    Freed,
    /// Takes those tickets away.
    Release,
    /// Gives those new tickets that are put at the end.
    Requeue,
    /// Counts those, and so raises all tokens.
    RaiseRequeued,
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
    /// Counts them.
    RaiseNew,
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
                 ON b.lock_key = t.lock_key AND b.ticket < t.ticket WHERE t.saga_no = ",
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
    pub(super) const ALL: [Self; 20] = [
        Self::Begin,
        Self::Leases,
        Self::Facts,
        Self::Headers,
        Self::Forget,
        Self::Freed,
        Self::Release,
        Self::Requeue,
        Self::RaiseRequeued,
        Self::Wake,
        Self::Accept,
        Self::Exists,
        Self::Labels,
        Self::LockKeys,
        Self::Tickets,
        Self::RaiseNew,
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
                "INSERT INTO temp.freed (lock_key, ticket, saga_no, turn)
                 SELECT t.lock_key, t.ticket, t.saga_no, r.value ->> 'turn' FROM json_each($4) AS r
                 CROSS JOIN saga AS s ON s.saga_id = r.value ->> 'saga_id'
                 CROSS JOIN lock_ticket AS t ON t.saga_no = s.saga_no;"
            }
            Self::Release => {
                "DELETE FROM lock_ticket
                 WHERE (lock_key, ticket) IN (SELECT lock_key, ticket FROM temp.freed);"
            }
            Self::Requeue => {
                "INSERT INTO lock_ticket (lock_key, ticket, saga_no, saga_id, partition, taken_us)
                 SELECT f.lock_key, m.value + f.turn, s.saga_no, s.saga_id, s.partition, $9
                 FROM temp.freed AS f CROSS JOIN saga AS s ON s.saga_no = f.saga_no
                 CROSS JOIN meta AS m ON m.name = 'last_token' WHERE f.turn IS NOT NULL;"
            }
            Self::RaiseRequeued => {
                "UPDATE meta SET value = value + (SELECT coalesce(max(turn), 0) FROM temp.freed)
                 WHERE name = 'last_token';"
            }
            // Who is first in a key now, and was not while the freed ticket stood before it.
            Self::Wake => concat!(
                "UPDATE saga SET wake_us = $9
                 WHERE ended_us IS NULL AND saga_no IN (
                     SELECT h.saga_no FROM temp.freed AS f
                     CROSS JOIN lock_ticket AS h ON h.lock_key = f.lock_key AND h.ticket = (
                         SELECT min(t.ticket) FROM lock_ticket AS t
                         WHERE t.lock_key = f.lock_key)
                     WHERE h.ticket > f.ticket AND ",
                is_first!("h.saga_no"),
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
                "INSERT INTO saga_label (name, value, created_us, saga_id)
                 SELECT l.key, l.value, s.created_us, s.saga_id FROM jsonb_each($5) AS a
                 CROSS JOIN saga AS s ON s.saga_id = a.value ->> 'saga_id'
                 CROSS JOIN json_each(s.labels) AS l
                 WHERE s.labels IS NOT NULL AND ",
                is_new!(),
                ";"
            ),
            Self::LockKeys => concat!(
                "INSERT INTO saga_lock_key (lock_key, created_us, saga_id)
                 SELECT k.value, s.created_us, s.saga_id FROM jsonb_each($5) AS a
                 CROSS JOIN saga AS s ON s.saga_id = a.value ->> 'saga_id'
                 CROSS JOIN json_each(s.lock_keys) AS k
                 WHERE s.lock_keys IS NOT NULL AND ",
                is_new!(),
                ";"
            ),
            Self::Tickets => concat!(
                "INSERT INTO lock_ticket (lock_key, ticket, saga_no, saga_id, partition, taken_us)
                 SELECT k.value, m.value + 1 + a.key, s.saga_no, s.saga_id, s.partition, $9
                 FROM jsonb_each($5) AS a
                 CROSS JOIN saga AS s ON s.saga_id = a.value ->> 'saga_id'
                 CROSS JOIN json_each(s.lock_keys) AS k
                 CROSS JOIN meta AS m ON m.name = 'last_token'
                 WHERE s.lock_keys IS NOT NULL AND ",
                is_new!(),
                ";"
            ),
            Self::RaiseNew => {
                "UPDATE meta SET value = value + json_array_length($5) WHERE name = 'last_token';"
            }
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
