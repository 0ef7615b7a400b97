//! One saga, its journal, and the end of what is kept.

use amends_core::{SagaId, Timestamp};
use amends_ports::SagaSummary;
use amends_ports::failpoint;
use amends_ports::store::{Error, JournalPage, Partition, StoredSaga};

use super::list::{SUMMARY_WIDTH, summary_columns, summary_of};
use super::{Failure, PostgresStore, Time, row};

/// A saga's row, beside each chunk of its journal.
pub(super) const SAGA: &str = concat!(
    "SELECT ",
    summary_columns!(),
    ", s.partition, s.definition, j.records
FROM saga s
JOIN saga_journal j ON j.partition = s.partition AND j.saga_id = s.saga_id
WHERE s.saga_id = $1
ORDER BY j.first_seq"
);

/// A saga's row.
pub(super) const SUMMARY: &str =
    concat!("SELECT ", summary_columns!(), ", s.partition FROM saga s WHERE s.saga_id = $1");

/// Chunks of a saga from the one that holds fact $2. Each holds one fact or more, so $3 chunks
/// hold $3 facts behind $2. One row without a chunk if there is no such fact.
pub(super) const JOURNAL: &str = "\
SELECT j.first_seq, j.records
FROM saga s
LEFT JOIN LATERAL (
    SELECT c.first_seq, c.records
    FROM saga_journal c
    WHERE c.partition = s.partition AND c.saga_id = s.saga_id
        AND c.first_seq >= coalesce((
            SELECT max(b.first_seq) FROM saga_journal b
            WHERE b.partition = s.partition AND b.saga_id = s.saga_id AND b.first_seq <= $2
        ), 0)
    ORDER BY c.first_seq
    LIMIT $3
) j ON true
WHERE s.saga_id = $1
ORDER BY j.first_seq";

/// Deletes sagas that ended before $1, the oldest first, with all that belongs to them. No index
/// leads to `ended_at`, since every saga would pay for it when it ends: `created_at` serves, which
/// comes before it but for the difference between the clocks of two coordinators.
///
/// A nested saga stays while its parent lives. Its id is that of its parent, a dot and the branch,
/// in which no dot can stand; `rtrim` takes away what follows the last dot. The question stands in
/// a scalar subquery, so that it is asked of each candidate by the primary key: a join might read
/// the whole table.
pub(super) const DELETE_ENDED: &str = "\
WITH old AS (
    SELECT s.saga_id FROM saga s
    WHERE s.ended_at < $1 AND s.created_at < $1 + INTERVAL '1 minute'
        AND coalesce((
            SELECT p.ended_at IS NOT NULL FROM saga p
            WHERE p.saga_id = left(rtrim(s.saga_id, replace(s.saga_id, '.', '')), -1)
        ), true)
    ORDER BY s.created_at, s.saga_id
    LIMIT $2
    FOR UPDATE SKIP LOCKED
), gone AS (
    DELETE FROM saga s USING old o WHERE s.saga_id = o.saga_id
    RETURNING s.partition, s.saga_id, s.idempotency_key, s.created_at, s.labels, s.lock_keys
), journal AS (
    DELETE FROM saga_journal j USING gone g
    WHERE j.partition = g.partition AND j.saga_id = g.saga_id
), keys AS (
    DELETE FROM idempotency i USING gone g WHERE i.idempotency_key = g.idempotency_key
), labels AS (
    DELETE FROM saga_label l
    USING gone g CROSS JOIN LATERAL jsonb_each_text(g.labels) e
    WHERE l.name = e.key AND l.value = e.value
        AND l.created_at = g.created_at AND l.saga_id = g.saga_id
), lock_keys AS (
    DELETE FROM saga_lock_key l
    USING gone g CROSS JOIN LATERAL unnest(g.lock_keys) k (lock_key)
    WHERE l.lock_key = k.lock_key AND l.created_at = g.created_at AND l.saga_id = g.saga_id
), tickets AS (
    DELETE FROM lock_ticket t USING gone g WHERE t.saga_id = g.saga_id
), items AS (
    DELETE FROM inbox i USING gone g WHERE i.saga_id = g.saga_id
)
SELECT count(*) FROM gone";

/// Deletes answered inbox items of sagas that never were, or were deleted before.
pub(super) const DELETE_SETTLED: &str = "\
DELETE FROM inbox WHERE inbox_id IN (
    SELECT i.inbox_id FROM inbox i WHERE i.settled_at < $1
    ORDER BY i.settled_at
    LIMIT $2
    FOR UPDATE SKIP LOCKED
)";

/// Which saga was made under a key.
pub(super) const OF_KEY: &str = "SELECT saga_id FROM idempotency WHERE idempotency_key = $1";

impl PostgresStore {
    pub(super) async fn id_of_key(&self, key: &str) -> Result<Option<SagaId>, Error> {
        let rows = self.hot.fetch(|| sqlx::query(OF_KEY).bind(key)).await?;
        Ok(rows.first().map(|found| row::saga_id(found, 0)).transpose()?)
    }

    pub(super) async fn whole(
        &self,
        saga_id: &SagaId,
    ) -> Result<Option<(SagaSummary, StoredSaga)>, Error> {
        let rows = self.hot.fetch(|| sqlx::query(SAGA).bind(saga_id.as_str())).await?;
        let Some(first) = rows.first() else { return Ok(None) };
        let mut records = Vec::new();
        for chunk in &rows {
            row::add_records(saga_id, &mut records, chunk, SUMMARY_WIDTH + 2)?;
        }
        let stored = StoredSaga {
            saga_id: saga_id.clone(),
            partition: row::partition(first, SUMMARY_WIDTH)?,
            definition: row::digest(first, SUMMARY_WIDTH + 1)?,
            records,
        };
        Ok(Some((summary_of(first)?, stored)))
    }

    pub(super) async fn summary_row(
        &self,
        saga_id: &SagaId,
    ) -> Result<Option<(Partition, SagaSummary)>, Error> {
        let rows = self.hot.fetch(|| sqlx::query(SUMMARY).bind(saga_id.as_str())).await?;
        let Some(columns) = rows.first() else { return Ok(None) };
        Ok(Some((row::partition(columns, SUMMARY_WIDTH)?, summary_of(columns)?)))
    }

    pub(super) async fn journal_part(
        &self,
        saga_id: &SagaId,
        from: u64,
        limit: u16,
    ) -> Result<Option<JournalPage>, Error> {
        let query = || {
            sqlx::query(JOURNAL)
                .bind(saga_id.as_str())
                .bind(i64::try_from(from).unwrap_or(i64::MAX))
                .bind(i64::from(limit) + 1)
        };
        let rows = self.hot.fetch(query).await?;
        let Some(first) = rows.first() else { return Ok(None) };
        let first = row::get::<Option<i64>>(first, 0)?.unwrap_or(0).cast_unsigned();
        let mut records = Vec::new();
        for chunk in &rows {
            if let Some(text) = row::get::<Option<&str>>(chunk, 1)? {
                let next = first + u64::try_from(records.len()).unwrap_or(u64::MAX);
                records.extend(row::records(saga_id, next, text)?);
            }
        }
        let skipped = usize::try_from(from.saturating_sub(first));
        records.drain(..skipped.unwrap_or(usize::MAX).min(records.len()));
        let more = records.len() > usize::from(limit);
        records.truncate(usize::from(limit));
        Ok(Some(JournalPage { from, records, more }))
    }

    pub(super) async fn delete_before(&self, before: Timestamp, limit: u16) -> Result<u64, Error> {
        let before = Time::from(before);
        let bulk = |sql: &'static str| move || sqlx::query(sql).bind(before).bind(i64::from(limit));
        failpoint!("postgres.retention.before");
        let rows = self.hot.fetch(bulk(DELETE_ENDED)).await?;
        failpoint!("postgres.retention.between");
        self.hot.fetch(bulk(DELETE_SETTLED)).await?;
        failpoint!("postgres.retention.after");
        let answer = rows.first().ok_or_else(|| Failure::Corrupt("no answer row".to_owned()))?;
        Ok(row::count(answer, 0)?)
    }
}
