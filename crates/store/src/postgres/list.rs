//! Pages of sagas, and how many there are.

use amends_core::saga::Status;
use amends_core::{LockKey, StepId, Timestamp};
use amends_ports::store::Error;
use amends_ports::{Cursor, Page, SagaFilter, SagaSummary};
use sqlx::postgres::PgRow;
use sqlx::{Postgres, QueryBuilder};

use super::page::Asked;
use super::pool::Query;
use super::{Failure, PostgresStore, Time, row};
use crate::lead::{Counted, Lead, Leads, rarest};

/// Columns of a summary, of a row named `s`.
macro_rules! summary_columns {
    () => {
        "s.saga_id, s.definition_name, s.definition_version, s.status, s.paused, s.step, \
         s.reason, s.labels::text, s.lock_keys, s.created_at, s.updated_at, s.ended_at"
    };
}
pub(super) use summary_columns;

/// How many columns that is.
pub(super) const SUMMARY_WIDTH: usize = 12;

/// How many sagas stand in each status, at most $1.
pub(super) const COUNTS: &str = "\
SELECT 'queued', count(*) FROM
    (SELECT FROM saga WHERE status = 'queued' AND ended_at IS NULL LIMIT $1) s
UNION ALL SELECT 'running', count(*) FROM
    (SELECT FROM saga WHERE status = 'running' AND ended_at IS NULL LIMIT $1) s
UNION ALL SELECT 'confirming', count(*) FROM
    (SELECT FROM saga WHERE status = 'confirming' AND ended_at IS NULL LIMIT $1) s
UNION ALL SELECT 'compensating', count(*) FROM
    (SELECT FROM saga WHERE status = 'compensating' AND ended_at IS NULL LIMIT $1) s
UNION ALL SELECT 'suspended', count(*) FROM
    (SELECT FROM saga WHERE status = 'suspended' AND ended_at IS NULL LIMIT $1) s
UNION ALL SELECT 'completed', count(*) FROM
    (SELECT FROM saga WHERE status = 'completed' ORDER BY created_at DESC LIMIT $1) s
UNION ALL SELECT 'compensated', count(*) FROM
    (SELECT FROM saga WHERE status = 'compensated' LIMIT $1) s
UNION ALL SELECT 'abandoned', count(*) FROM
    (SELECT FROM saga WHERE status = 'abandoned' LIMIT $1) s";

impl PostgresStore {
    pub(super) async fn page(
        &self,
        filter: &SagaFilter,
        after: Option<&Cursor>,
        limit: u16,
    ) -> Result<Page<SagaSummary>, Error> {
        if holds_nul(filter) {
            return Ok(Page { items: Vec::new(), next: None });
        }
        let limit = usize::from(limit);
        let rows_max = i64::try_from(limit).unwrap_or(i64::MAX).saturating_add(1);
        let asked = Asked { filter, after, limit: rows_max };
        let lead = match Leads::of(filter, |status| status != Status::Completed) {
            Leads::One(lead) => lead,
            Leads::Count(leads) => rarest(filter, &self.counted(&asked, &leads).await?),
        };
        let rows = self.rows(|| asked.page(lead)).await?;
        let shown = &rows[..rows.len().min(limit)];
        let items = shown.iter().map(summary_of).collect::<Result<Vec<_>, Failure>>()?;
        let next = items
            .last()
            .filter(|_| rows.len() > limit)
            .map(|last| Cursor { created_at: last.created_at, saga_id: last.saga_id.clone() });
        Ok(Page { items, next })
    }

    /// How many rows each of these conditions finds.
    async fn counted(&self, asked: &Asked<'_>, leads: &[Lead]) -> Result<Vec<Counted>, Error> {
        let rows = self.rows(|| asked.count(leads)).await?;
        let counted = |(columns, lead): (&PgRow, &Lead)| {
            let oldest = row::get::<Option<Time>>(columns, 2)?.map(Timestamp::from);
            let oldest_us = oldest.map(|time| time.0);
            Ok(Counted { lead: *lead, rows: row::get(columns, 1)?, oldest_us })
        };
        let mut places: Vec<(i32, &PgRow)> = Vec::with_capacity(rows.len());
        for columns in &rows {
            places.push((row::get(columns, 0)?, columns));
        }
        places.sort_unstable_by_key(|(place, _)| *place);
        let rows = places.into_iter().map(|(_, columns)| columns);
        Ok(rows.zip(leads).map(counted).collect::<Result<_, Failure>>()?)
    }

    /// Runs a statement that is made for its parameters, and planned for them.
    async fn rows(&self, sql: impl Fn() -> QueryBuilder<Postgres>) -> Result<Vec<PgRow>, Failure> {
        let mut retries = self.lists.retries();
        loop {
            let mut sql = sql();
            let mut session = self.lists.session().await?;
            let answer = session.fetch(sql.build().persistent(false)).await;
            session.keep_unless_spoilt(answer.as_ref().err());
            match answer {
                Err(Failure::Conflict(_)) if retries.again().await => {}
                other => return other,
            }
        }
    }

    pub(super) async fn status_counts(&self, limit: u32) -> Result<Vec<(Status, u32)>, Error> {
        let query = || -> Query<'_> { sqlx::query(COUNTS).bind(i64::from(limit)) };
        let rows = self.lists.fetch(query).await?;
        let count = |columns: &PgRow| {
            let number = u32::try_from(row::count(columns, 1)?).unwrap_or(u32::MAX);
            Ok((status_of(columns, 0)?, number))
        };
        Ok(rows.iter().map(count).collect::<Result<_, Failure>>()?)
    }
}

/// Whether a text holds NUL, which no stored text does and the server refuses to hear of.
fn holds_nul(filter: &SagaFilter) -> bool {
    let labels = filter.labels.iter().flat_map(|(name, value)| [name, value]);
    labels.chain(&filter.id_prefix).any(|text| text.contains('\0'))
}

/// A summary from its columns, which come first.
pub(super) fn summary_of(columns: &PgRow) -> Result<SagaSummary, Failure> {
    let labels: Option<&str> = row::get(columns, 7)?;
    let lock_keys: Option<Vec<String>> = row::get(columns, 8)?;
    let lock_key = |text: String| {
        LockKey::new(&text).map_err(|error| Failure::Corrupt(format!("lock key {text:?} {error}")))
    };
    let step = row::get::<Option<&str>>(columns, 5)?.map(StepId::new).transpose();
    Ok(SagaSummary {
        saga_id: row::saga_id(columns, 0)?,
        definition: row::definition_name(columns, 1)?,
        version: row::version(columns, 2)?,
        status: status_of(columns, 3)?,
        paused: row::get(columns, 4)?,
        step: step.map_err(|error| Failure::Corrupt(format!("a step id {error}")))?,
        reason: row::get(columns, 6)?,
        labels: labels.map(row::json).transpose()?.unwrap_or_default(),
        lock_keys: lock_keys
            .unwrap_or_default()
            .into_iter()
            .map(lock_key)
            .collect::<Result<_, _>>()?,
        created_at: row::time(columns, 9)?,
        updated_at: row::time(columns, 10)?,
        ended_at: row::get::<Option<Time>>(columns, 11)?.map(Into::into),
    })
}

/// A status from its column.
pub(super) fn status_of(columns: &PgRow, column: usize) -> Result<Status, Failure> {
    let text: &str = row::get(columns, column)?;
    text.parse().map_err(|_| Failure::Corrupt(format!("{text:?} is no status")))
}
