//! Sagas that a release before `saga_label` and `saga_lock_key` accepted beside this one.

use amends_ports::failpoint;
use amends_ports::store::Error;

use super::{Failure, PostgresStore, row};

/// Puts the sagas of an earlier part of the statement, with their labels and lock keys, into both
/// tables.
macro_rules! listing {
    ($sagas:literal) => {
        concat!(
            "labelled AS (
    INSERT INTO saga_label (name, value, created_at, saga_id)
    SELECT l.key, l.value, r.created_at, r.saga_id
    FROM ",
            $sagas,
            " r CROSS JOIN LATERAL jsonb_each_text(r.labels) l
    ON CONFLICT (name, value, created_at, saga_id) DO NOTHING
), locking AS (
    INSERT INTO saga_lock_key (lock_key, created_at, saga_id)
    SELECT k.lock_key, r.created_at, r.saga_id
    FROM ",
            $sagas,
            " r CROSS JOIN LATERAL unnest(r.lock_keys) k (lock_key)
    ON CONFLICT (lock_key, created_at, saga_id) DO NOTHING
)"
        )
    };
}
pub(super) use listing;

/// Puts up to $1 of them into both tables, the oldest first. It waits for nobody: a saga whose row
/// somebody else writes at the moment comes later.
pub(super) const LIST_UNLISTED: &str = concat!(
    "WITH unlisted AS (
    SELECT s.saga_id, s.created_at, s.labels, s.lock_keys FROM saga s
    WHERE NOT s.listed AND (s.labels IS NOT NULL OR s.lock_keys IS NOT NULL)
    ORDER BY s.listed, s.created_at, s.saga_id
    LIMIT $1
    FOR UPDATE SKIP LOCKED
), ",
    listing!("unlisted"),
    ", listed AS (
    UPDATE saga s SET listed = true FROM unlisted u WHERE s.saga_id = u.saga_id
    RETURNING s.saga_id
)
SELECT count(*) FROM listed"
);

impl PostgresStore {
    pub(super) async fn list_unlisted(&self, limit: u16) -> Result<u64, Error> {
        failpoint!("postgres.list-unlisted.before");
        let rows = self.hot.fetch(|| sqlx::query(LIST_UNLISTED).bind(i64::from(limit))).await?;
        failpoint!("postgres.list-unlisted.after");
        let answer = rows.first().ok_or_else(|| Failure::Corrupt("no answer row".to_owned()))?;
        Ok(row::count(answer, 0)?)
    }
}
