//! Lists and counts.

use amends_core::saga::Status;
use amends_ports::{Cursor, Page, SagaFilter, SagaSummary};
use sqlx::SqliteConnection;

use super::SqliteStore;
use super::failure::Failure;
use super::page::Asked;
use super::row;
use crate::lead::{Counted, Lead, Leads, rarest};

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
        // One view for all statements: nothing is seen twice, or missed, that changes in between.
        let mut view = self.readers.begin().await?;
        let asked = Asked { filter, after, limit: i64::from(limit) + 1 };
        let lead = match Leads::of(filter, |_| true) {
            Leads::One(lead) => lead,
            Leads::Count(leads) => rarest(filter, &counted(&mut view, &asked, &leads).await?),
        };
        let mut items: Vec<SagaSummary> = Vec::new();
        for mut query in asked.page(lead) {
            for row in query.build().fetch_all(&mut *view).await? {
                items.push(row::saga(&row)?.summary);
            }
        }
        if asked.is_by_id() {
            items.sort_by(|a, b| b.saga_id.cmp(&a.saga_id));
        } else {
            items.sort_by(|a, b| (b.created_at, &b.saga_id).cmp(&(a.created_at, &a.saga_id)));
        }
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
        let mut view = self.readers.begin().await?;
        let mut counts = Vec::with_capacity(Status::ALL.len());
        for status in Status::ALL {
            let count: i64 = sqlx::query_scalar(COUNT)
                .bind(status.as_str())
                .bind(limit)
                .fetch_one(&mut *view)
                .await?;
            counts.push((status, u32::try_from(count).unwrap_or(u32::MAX)));
        }
        Ok(counts)
    }
}

/// How many rows each of these conditions finds.
async fn counted(
    connection: &mut SqliteConnection,
    asked: &Asked<'_>,
    leads: &[Lead],
) -> Result<Vec<Counted>, Failure> {
    let mut query = asked.count(leads);
    let mut rows: Vec<(i64, i64, Option<i64>)> =
        query.build_query_as().fetch_all(connection).await?;
    rows.sort_unstable_by_key(|(place, ..)| *place);
    let counted = |((_, rows, oldest_us), lead): ((i64, i64, Option<i64>), &Lead)| Counted {
        lead: *lead,
        rows,
        oldest_us,
    };
    Ok(rows.into_iter().zip(leads).map(counted).collect())
}
