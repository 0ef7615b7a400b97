//! The barrier's statements in SQLite.
//!
//! A transaction takes the one write lock when it begins; whoever comes second waits for it, for
//! the pool's `busy_timeout` at most.

use super::dialect::{Sql, dialect};

/// The time, in milliseconds since 1970.
macro_rules! now {
    () => {
        "CAST(unixepoch('subsec') * 1000 AS INTEGER)"
    };
}

const SQL: Sql = Sql {
    begin: "BEGIN IMMEDIATE",
    claim: concat!(
        "INSERT INTO amends_barrier (saga, step, op, state, status, content_type, body,
             held_until_ms, changed_at_ms)
         VALUES (?, ?, ?, ?, ?, ?, ?, ",
        now!(),
        " + ?, ",
        now!(),
        ") ON CONFLICT (saga, step, op) DO NOTHING"
    ),
    read: concat!(
        "SELECT state, status, content_type, body, round, held_until_ms - ",
        now!(),
        " FROM amends_barrier WHERE saga = ? AND step = ? AND op = ?"
    ),
    change: concat!(
        "UPDATE amends_barrier SET state = ?, status = ?, content_type = ?, body = ?,
             held_until_ms = ",
        now!(),
        " + ?, round = ?, changed_at_ms = ",
        now!(),
        " WHERE saga = ? AND step = ? AND op = ? AND round = ? AND state = 'started'"
    ),
    raise: concat!(
        "INSERT INTO amends_fence (lock_key, token, changed_at_ms) VALUES (?, ?, ",
        now!(),
        ") ON CONFLICT (lock_key) DO UPDATE
             SET token = max(token, ?), changed_at_ms = excluded.changed_at_ms"
    ),
    raised: "SELECT token FROM amends_fence WHERE lock_key = ?",
    sweep_barrier: concat!(
        "DELETE FROM amends_barrier WHERE rowid IN (
             SELECT rowid FROM amends_barrier WHERE changed_at_ms < ",
        now!(),
        " - ? ORDER BY changed_at_ms LIMIT ?)"
    ),
    sweep_fence: concat!(
        "DELETE FROM amends_fence WHERE rowid IN (
             SELECT rowid FROM amends_fence WHERE changed_at_ms < ",
        now!(),
        " - ? ORDER BY changed_at_ms LIMIT ?)"
    ),
    schema: super::SCHEMA_SQLITE,
};

dialect!(sqlx::Sqlite, SQL);
