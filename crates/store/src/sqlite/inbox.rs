//! Commands and completions for sagas, until their owner has answered.

use amends_core::Timestamp;
use amends_ports::failpoint;
use amends_ports::store::{InboxId, InboxItem, Lease};

use super::SqliteStore;
use super::batch::leases_json;
use super::failure::Failure;
use super::row::{partition, saga_id};

const POST: &str = "INSERT INTO inbox (inbox_id, partition, saga_id, message, posted_us)
     VALUES ($1, $2, $3, $4, $5) ON CONFLICT (inbox_id) DO NOTHING";

const OPEN: &str = "SELECT i.inbox_id, i.partition, i.saga_id, i.message, i.posted_us
     FROM json_each($1) AS l
     CROSS JOIN partition_lease AS p ON p.partition = l.value ->> 'partition'
         AND p.epoch = l.value ->> 'epoch' AND p.owner IS NOT NULL
     CROSS JOIN inbox AS i ON i.partition = p.partition AND i.settled_us IS NULL
     ORDER BY i.posted_us, i.inbox_no LIMIT $2";

const RESULT: &str = "SELECT result FROM inbox WHERE inbox_id = $1";

/// Every statement here, for the test that prepares them.
#[cfg(test)]
pub(super) const STATEMENTS: &[&str] = &[POST, OPEN, RESULT];

impl SqliteStore {
    pub(super) async fn post_item(&self, item: &InboxItem) -> Result<(), Failure> {
        let mut transaction = self.writer.begin().await?;
        sqlx::query(POST)
            .bind(item.id.0.clone())
            .bind(item.partition.0)
            .bind(item.saga_id.as_str().to_owned())
            .bind(item.message.clone())
            .bind(item.posted_at.0)
            .execute(transaction.connection())
            .await?;
        failpoint!("sqlite.post.before-commit");
        transaction.commit().await?;
        failpoint!("sqlite.post.after-commit");
        Ok(())
    }

    pub(super) async fn open_items(
        &self,
        leases: &[Lease],
        limit: u16,
    ) -> Result<Vec<InboxItem>, Failure> {
        let rows: Vec<(String, i64, String, String, i64)> = sqlx::query_as(OPEN)
            .bind(leases_json(leases)?)
            .bind(limit)
            .fetch_all(&self.readers)
            .await?;
        let item = |(id, number, saga, message, posted_us): (String, i64, String, String, i64)| {
            Ok(InboxItem {
                id: InboxId(id),
                partition: partition(number)?,
                saga_id: saga_id(&saga)?,
                message,
                posted_at: Timestamp(posted_us),
            })
        };
        rows.into_iter().map(item).collect()
    }

    pub(super) async fn answer_of(&self, id: &InboxId) -> Result<Option<String>, Failure> {
        let row: Option<Option<String>> =
            sqlx::query_scalar(RESULT).bind(id.0.clone()).fetch_optional(&self.readers).await?;
        Ok(row.flatten())
    }
}
