//! Commands and completions for sagas of other owners.

use amends_ports::failpoint;
use amends_ports::store::{Error, InboxId, InboxItem, Lease};
use sqlx::postgres::PgRow;

use super::lease::Leases;
use super::{Failure, PostgresStore, Time, row};

/// Posts an item, once.
pub(super) const POST: &str = "\
INSERT INTO inbox (inbox_id, partition, saga_id, message, posted_at)
VALUES ($1, $2, $3, $4, $5)
ON CONFLICT (inbox_id) DO NOTHING";

/// What is not answered yet in the partitions of some leases, oldest first.
pub(super) const OPEN: &str = "\
SELECT o.inbox_id, o.partition, o.saga_id, o.message, o.posted_at
FROM unnest($1::int[], $2::bigint[]) AS b (partition, epoch)
JOIN partition_lease l ON l.partition = b.partition AND l.epoch = b.epoch AND l.owner IS NOT NULL
CROSS JOIN LATERAL (
    SELECT i.inbox_id, i.partition, i.saga_id, i.message, i.posted_at
    FROM inbox i
    WHERE i.partition = l.partition AND i.settled_at IS NULL
    ORDER BY i.posted_at, i.inbox_id
    LIMIT $3
) o
ORDER BY o.posted_at, o.inbox_id
LIMIT $3";

/// Answers items; the first answer stays.
pub(super) const SETTLE: &str = "\
UPDATE inbox i SET
    settled_at = coalesce(i.settled_at, now()), result = coalesce(i.result, s.result)
FROM unnest($1::text[], $2::text[]) AS s (inbox_id, result)
WHERE i.inbox_id = s.inbox_id";

/// The answer to an item.
pub(super) const RESULT: &str = "SELECT result FROM inbox WHERE inbox_id = $1";

impl PostgresStore {
    pub(super) async fn post_item(&self, item: &InboxItem) -> Result<(), Error> {
        let post = || {
            sqlx::query(POST)
                .bind(&item.id.0)
                .bind(i32::from(item.partition.0))
                .bind(item.saga_id.as_str())
                .bind(&item.message)
                .bind(Time::from(item.posted_at))
        };
        failpoint!("postgres.post.before");
        self.hot.fetch(post).await?;
        failpoint!("postgres.post.after");
        Ok(())
    }

    pub(super) async fn open_items(
        &self,
        leases: &[Lease],
        limit: u16,
    ) -> Result<Vec<InboxItem>, Error> {
        let leases = Leases::new(leases);
        let query = || leases.bind(sqlx::query(OPEN)).bind(i64::from(limit));
        let rows = self.hot.fetch(query).await?;
        Ok(rows.iter().map(item_of).collect::<Result<_, _>>()?)
    }

    pub(super) async fn result_of(&self, id: &InboxId) -> Result<Option<String>, Error> {
        let rows = self.hot.fetch(|| sqlx::query(RESULT).bind(&id.0)).await?;
        Ok(rows.first().map(|found| row::get::<Option<String>>(found, 0)).transpose()?.flatten())
    }
}

fn item_of(columns: &PgRow) -> Result<InboxItem, Failure> {
    Ok(InboxItem {
        id: InboxId(row::get(columns, 0)?),
        partition: row::partition(columns, 1)?,
        saga_id: row::saga_id(columns, 2)?,
        message: row::get(columns, 3)?,
        posted_at: row::time(columns, 4)?,
    })
}
