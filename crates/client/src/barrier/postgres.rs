//! The barrier's statements in PostgreSQL.

use super::dialect::{Sql, dialect};

/// The time, in milliseconds since 1970, by the database's clock; it goes on within a transaction.
macro_rules! now {
    () => {
        "(extract(epoch FROM clock_timestamp()) * 1000)::bigint"
    };
}

const SQL: Sql = Sql {
    // Who waits longer for a lock is answered 503 and asks again; the handler's own statements
    // are bounded with it.
    begin: "BEGIN; SET LOCAL lock_timeout = '10s'",
    claim: concat!(
        "INSERT INTO amends_barrier (saga, step, op, state, status, content_type, body,
             held_until_ms, changed_at_ms)
         VALUES ($1, $2, $3, $4, $5, $6, $7, ",
        now!(),
        " + $8, ",
        now!(),
        ") ON CONFLICT (saga, step, op) DO NOTHING"
    ),
    read: concat!(
        "SELECT state, status, content_type, body, round, held_until_ms - ",
        now!(),
        " FROM amends_barrier WHERE saga = $1 AND step = $2 AND op = $3 FOR UPDATE"
    ),
    change: concat!(
        "UPDATE amends_barrier SET state = $1, status = $2, content_type = $3, body = $4,
             held_until_ms = ",
        now!(),
        " + $5, round = $6, changed_at_ms = ",
        now!(),
        " WHERE saga = $7 AND step = $8 AND op = $9 AND round = $10 AND state = 'started'"
    ),
    raise: concat!(
        "INSERT INTO amends_fence AS f (lock_key, token, changed_at_ms) VALUES ($1, $2, ",
        now!(),
        ") ON CONFLICT (lock_key) DO UPDATE
             SET token = greatest(f.token, $3), changed_at_ms = excluded.changed_at_ms"
    ),
    raised: "SELECT token FROM amends_fence WHERE lock_key = $1",
    sweep_barrier: concat!(
        "DELETE FROM amends_barrier WHERE (saga, step, op) IN (
             SELECT saga, step, op FROM amends_barrier
             WHERE changed_at_ms < ",
        now!(),
        " - $1 ORDER BY changed_at_ms LIMIT $2 FOR UPDATE SKIP LOCKED)"
    ),
    sweep_fence: concat!(
        "DELETE FROM amends_fence WHERE lock_key IN (
             SELECT lock_key FROM amends_fence
             WHERE changed_at_ms < ",
        now!(),
        " - $1 ORDER BY changed_at_ms LIMIT $2 FOR UPDATE SKIP LOCKED)"
    ),
    schema: super::SCHEMA_POSTGRES,
};

dialect!(sqlx::Postgres, SQL);
