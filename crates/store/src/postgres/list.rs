//! Pages of sagas, and how many there are.

use std::collections::{BTreeMap, BTreeSet};

use amends_core::saga::Status;
use amends_core::{LockKey, StepId};
use amends_ports::store::Error;
use amends_ports::{Cursor, Page, SagaFilter, SagaSummary};
use sqlx::postgres::PgRow;
use sqlx::{Postgres, QueryBuilder};

use super::pool::Query;
use super::{Failure, PostgresStore, Time, row};

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
    (SELECT FROM saga WHERE status = 'completed' LIMIT $1) s
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
        let mut retries = self.lists.retries();
        let rows = loop {
            let mut sql = statement(filter, after, limit.saturating_add(1));
            let mut session = self.lists.session().await?;
            let answer = session.fetch(sql.build().persistent(false)).await;
            session.keep_unless_spoilt(answer.as_ref().err());
            match answer {
                Err(Failure::Conflict(_)) if retries.again().await => {}
                answer => break answer?,
            }
        };
        let shown = &rows[..rows.len().min(limit)];
        let items = shown.iter().map(summary_of).collect::<Result<Vec<_>, Failure>>()?;
        let next = items
            .last()
            .filter(|_| rows.len() > limit)
            .map(|last| Cursor { created_at: last.created_at, saga_id: last.saga_id.clone() });
        Ok(Page { items, next })
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

/// One part a status, each read from an index in order and cut off; then the parts together.
fn statement(filter: &SagaFilter, after: Option<&Cursor>, limit: usize) -> QueryBuilder<Postgres> {
    let limit = i64::try_from(limit).unwrap_or(i64::MAX);
    let statuses: BTreeSet<Status> = filter.statuses.iter().copied().collect();
    let parts: Vec<Option<Status>> = match statuses.len() {
        0 => vec![None],
        _ => statuses.into_iter().map(Some).collect(),
    };
    let mut sql = QueryBuilder::new(concat!("SELECT ", summary_columns!(), " FROM ("));
    for (index, status) in parts.into_iter().enumerate() {
        sql.push(if index == 0 { "" } else { " UNION ALL " });
        push_part(&mut sql, filter, after, status, limit);
    }
    sql.push(") s ORDER BY s.created_at DESC, s.saga_id DESC LIMIT ").push_bind(limit);
    sql
}

fn push_part(
    sql: &mut QueryBuilder<Postgres>,
    filter: &SagaFilter,
    after: Option<&Cursor>,
    status: Option<Status>,
    limit: i64,
) {
    sql.push("(SELECT s.* FROM saga s WHERE true");
    if let Some(status) = status {
        // As text, not as a parameter: the partial indexes ask for it.
        sql.push(format_args!(" AND s.status = '{}'", status.as_str()));
        sql.push(if status.is_terminal() { "" } else { " AND s.ended_at IS NULL" });
    }
    if let Some(name) = &filter.definition {
        sql.push(" AND s.definition_name = ").push_bind(name.as_str().to_owned());
    }
    if !filter.labels.is_empty() {
        let labels: BTreeMap<&String, &String> =
            filter.labels.iter().map(|(name, value)| (name, value)).collect();
        // A map of texts is always JSON.
        let labels = serde_json::to_string(&labels).unwrap_or_default();
        sql.push(" AND s.labels @> ").push_bind(labels).push("::jsonb");
    }
    if let Some(key) = &filter.lock_key {
        sql.push(" AND s.lock_keys @> ARRAY[").push_bind(key.as_str().to_owned()).push("]");
    }
    if let Some(from) = filter.created_from {
        sql.push(" AND s.created_at >= ").push_bind(Time::from(from));
    }
    if let Some(before) = filter.created_before {
        sql.push(" AND s.created_at < ").push_bind(Time::from(before));
    }
    if let Some(prefix) = &filter.id_prefix {
        sql.push(" AND s.saga_id >= ").push_bind(prefix.clone());
        sql.push(" AND s.saga_id < ").push_bind(format!("{prefix}\u{10FFFF}"));
    }
    if let Some(cursor) = after {
        sql.push(" AND (s.created_at, s.saga_id) < (");
        sql.push_bind(Time::from(cursor.created_at)).push(", ");
        sql.push_bind(cursor.saga_id.as_str().to_owned()).push(")");
    }
    sql.push(" ORDER BY s.created_at DESC, s.saga_id DESC LIMIT ").push_bind(limit).push(")");
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
