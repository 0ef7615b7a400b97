//! Lists and counts.

use amends_core::saga::Status;
use amends_ports::{Cursor, Page, SagaFilter, SagaSummary};
use sqlx::{QueryBuilder, Sqlite};

use super::SqliteStore;
use super::failure::Failure;
use super::row::{self, summary_columns};

const COUNT: &str = "SELECT count(*) FROM (SELECT 1 FROM saga WHERE status = $1 LIMIT $2)";

/// Every statement here, for the test that prepares them.
#[cfg(test)]
pub(super) const STATEMENTS: &[&str] = &[COUNT];

impl SqliteStore {
    pub(super) async fn page(
        &self,
        filter: &SagaFilter,
        after: Option<&Cursor>,
        limit: u16,
    ) -> Result<Page<SagaSummary>, Failure> {
        let mut connection = self.readers.acquire().await?;
        let mut items: Vec<SagaSummary> = Vec::new();
        // One question a status, so that each is answered in the order of one index.
        let statuses: Vec<Option<Status>> = if filter.statuses.is_empty() {
            vec![None]
        } else {
            let mut statuses = filter.statuses.clone();
            statuses.sort_unstable();
            statuses.dedup();
            statuses.into_iter().map(Some).collect()
        };
        for status in statuses {
            let mut query = select(filter, status, after, limit);
            for row in query.build().fetch_all(&mut *connection).await? {
                items.push(row::saga(&row)?.summary);
            }
        }
        items.sort_by(|a, b| (b.created_at, &b.saga_id).cmp(&(a.created_at, &a.saga_id)));
        let more = items.len() > usize::from(limit);
        items.truncate(usize::from(limit));
        let cursor = |last: &SagaSummary| Cursor {
            created_at: last.created_at,
            saga_id: last.saga_id.clone(),
        };
        let next = items.last().filter(|_| more).map(cursor);
        Ok(Page { items, next })
    }

    pub(super) async fn count_each(&self, limit: u32) -> Result<Vec<(Status, u32)>, Failure> {
        let mut connection = self.readers.acquire().await?;
        let mut counts = Vec::with_capacity(Status::ALL.len());
        for status in Status::ALL {
            let count: i64 = sqlx::query_scalar(COUNT)
                .bind(status.as_str())
                .bind(limit)
                .fetch_one(&mut *connection)
                .await?;
            counts.push((status, u32::try_from(count).unwrap_or(u32::MAX)));
        }
        Ok(counts)
    }
}

/// The newest `limit` and one more that fit.
fn select(
    filter: &SagaFilter,
    status: Option<Status>,
    after: Option<&Cursor>,
    limit: u16,
) -> QueryBuilder<Sqlite> {
    let mut query =
        QueryBuilder::new(concat!("SELECT ", summary_columns!(), " FROM saga AS s WHERE true"));
    if let Some(status) = status {
        query.push(" AND s.status = ").push_bind(status.as_str());
    }
    if let Some(name) = &filter.definition {
        query.push(" AND s.definition_name = ").push_bind(name.as_str().to_owned());
    }
    for (name, value) in &filter.labels {
        query
            .push(" AND s.saga_no IN (SELECT l.saga_no FROM saga_label AS l WHERE l.name = ")
            .push_bind(name.clone())
            .push(" AND l.value = ")
            .push_bind(value.clone())
            .push(")");
    }
    if let Some(key) = &filter.lock_key {
        query
            .push(" AND s.saga_no IN (SELECT k.saga_no FROM saga_lock_key AS k WHERE k.lock_key = ")
            .push_bind(key.as_str().to_owned())
            .push(")");
    }
    if let Some(from) = filter.created_from {
        query.push(" AND s.created_us >= ").push_bind(from.0);
    }
    if let Some(before) = filter.created_before {
        query.push(" AND s.created_us < ").push_bind(before.0);
    }
    if let Some(prefix) = &filter.id_prefix {
        push_prefix(&mut query, prefix);
    }
    if let Some(cursor) = after {
        query
            .push(" AND (s.created_us, s.saga_id) < (")
            .push_bind(cursor.created_at.0)
            .push(", ")
            .push_bind(cursor.saga_id.as_str().to_owned())
            .push(")");
    }
    query.push(" ORDER BY s.created_us DESC, s.saga_id DESC LIMIT ");
    query.push_bind(i64::from(limit) + 1);
    query
}

/// Ids are ASCII: every one that begins with `prefix` is before `prefix` and the last character.
fn push_prefix(query: &mut QueryBuilder<Sqlite>, prefix: &str) {
    query
        .push(" AND s.saga_id >= ")
        .push_bind(prefix.to_owned())
        .push(" AND s.saga_id < ")
        .push_bind(format!("{prefix}\u{10ffff}"));
}
