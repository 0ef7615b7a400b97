//! Deleting what ended long ago.

use amends_core::Timestamp;
use amends_ports::failpoint;

use super::SqliteStore;
use super::batch::json_array;
use super::failure::Failure;

/// A nested saga stays while its parent lives. Its id is that of its parent, a dot and the branch,
/// in which no dot can stand; `rtrim` takes away what follows the last dot.
const ENDED: &str = "SELECT s.saga_no FROM saga AS s
     WHERE s.ended_us IS NOT NULL AND s.ended_us < $1 AND NOT EXISTS (
         SELECT 1 FROM saga AS parent
         WHERE parent.ended_us IS NULL AND parent.saga_id = substr(
             s.saga_id, 1, length(rtrim(s.saga_id, replace(s.saga_id, '.', ''))) - 1))
     ORDER BY s.ended_us LIMIT $2";

/// All that belongs to the sagas whose numbers are in `$1`; the sagas last. Then answered inbox
/// items for sagas that are not there, from before `$2`.
const DELETE: &str = "
    DELETE FROM saga_journal WHERE saga_no IN (SELECT value FROM json_each($1));
    DELETE FROM saga_label WHERE (name, value, created_us, saga_id) IN (
        SELECT l.key, l.value, s.created_us, s.saga_id FROM json_each($1) AS e
        CROSS JOIN saga AS s ON s.saga_no = e.value CROSS JOIN json_each(s.labels) AS l);
    DELETE FROM saga_lock_key WHERE (lock_key, created_us, saga_id) IN (
        SELECT k.value, s.created_us, s.saga_id FROM json_each($1) AS e
        CROSS JOIN saga AS s ON s.saga_no = e.value CROSS JOIN json_each(s.lock_keys) AS k);
    DELETE FROM lock_ticket WHERE saga_no IN (SELECT value FROM json_each($1));
    DELETE FROM inbox WHERE saga_id IN (
        SELECT s.saga_id FROM json_each($1) AS e CROSS JOIN saga AS s ON s.saga_no = e.value);
    DELETE FROM saga WHERE saga_no IN (SELECT value FROM json_each($1));
    DELETE FROM inbox WHERE inbox_no IN (
        SELECT i.inbox_no FROM inbox AS i WHERE i.settled_us IS NOT NULL AND i.settled_us < $2
            AND NOT EXISTS (SELECT 1 FROM saga AS s WHERE s.saga_id = i.saga_id) LIMIT 1000);";

/// Every statement here, for the test that prepares them.
#[cfg(test)]
pub(super) const STATEMENTS: &[&str] = &[ENDED, DELETE];

impl SqliteStore {
    pub(super) async fn delete(&self, before: Timestamp, limit: u16) -> Result<u64, Failure> {
        let mut transaction = self.writer.begin().await?;
        let ended: Vec<i64> = sqlx::query_scalar(ENDED)
            .bind(before.0)
            .bind(limit)
            .fetch_all(transaction.connection())
            .await?;
        let numbers = json_array(ended.iter())?;
        let text = sqlx::query(DELETE).bind(numbers).bind(before.0);
        transaction.run(text, |_, _| Ok(())).await?;
        failpoint!("sqlite.retention.before-commit");
        transaction.commit().await?;
        failpoint!("sqlite.retention.after-commit");
        Ok(ended.len() as u64)
    }
}
