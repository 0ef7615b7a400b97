//! The barrier's statements in MySQL and MariaDB.
//!
//! Whoever claims a row must wait for another who does, and must not deadlock with a third:
//! `INSERT IGNORE` takes a shared lock on a row that is there, and two waiters that hold one each
//! can then both not insert. `ON DUPLICATE KEY UPDATE` takes an exclusive one. It must change
//! something, since the number of rows that tells an insert (1) from an update (2) would be 1 for
//! an update that changes nothing; a millisecond more on `changed_at_ms` harms nobody.
//!
//! Every read is a locking one: it sees what is committed whatever the isolation level, and makes
//! no snapshot that a handler's later reads would be bound to.

use super::dialect::{Sql, dialect};

/// The time, in milliseconds since 1970, by the database's clock; it goes on within a statement.
macro_rules! now {
    () => {
        "CAST(UNIX_TIMESTAMP(SYSDATE(3)) * 1000 AS SIGNED)"
    };
}

const SQL: Sql = Sql {
    begin: "START TRANSACTION",
    claim: concat!(
        "INSERT INTO amends_barrier (saga, step, op, state, status, content_type, body,
             held_until_ms, changed_at_ms)
         VALUES (?, ?, ?, ?, ?, ?, ?, ",
        now!(),
        " + ?, ",
        now!(),
        ") ON DUPLICATE KEY UPDATE changed_at_ms = changed_at_ms + 1"
    ),
    read: concat!(
        "SELECT state, status, content_type, body, round, held_until_ms - ",
        now!(),
        " FROM amends_barrier WHERE saga = ? AND step = ? AND op = ? FOR UPDATE"
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
        ") ON DUPLICATE KEY UPDATE token = GREATEST(token, ?), changed_at_ms = ",
        now!()
    ),
    raised: "SELECT token FROM amends_fence WHERE lock_key = ? FOR UPDATE",
    sweep_barrier: concat!(
        "DELETE FROM amends_barrier WHERE changed_at_ms < ",
        now!(),
        " - ? ORDER BY changed_at_ms LIMIT ?"
    ),
    sweep_fence: concat!(
        "DELETE FROM amends_fence WHERE changed_at_ms < ",
        now!(),
        " - ? ORDER BY changed_at_ms LIMIT ?"
    ),
    schema: super::SCHEMA_MYSQL,
};

dialect!(sqlx::MySql, SQL);
