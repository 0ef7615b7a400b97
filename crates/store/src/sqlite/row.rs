//! Rows as the records of the port.

use amends_core::definition::Digest;
use amends_core::saga::{Record, UnreadableFact};
use amends_core::{DefinitionName, LockKey, SagaId, StepId, Timestamp};
use amends_ports::SagaSummary;
use amends_ports::store::Partition;
use sqlx::Row as _;
use sqlx::sqlite::SqliteRow;

use super::failure::Failure;

/// Columns of a row that [`summary`] reads.
macro_rules! summary_columns {
    () => {
        "s.saga_no, s.saga_id, s.partition, s.definition, s.definition_name, \
         s.definition_version, s.status, s.paused, s.step, s.reason, s.labels, s.lock_keys, \
         s.created_us, s.updated_us, s.ended_us"
    };
}
pub(super) use summary_columns;

/// A row of `saga` without its journal.
pub(super) struct SagaRow {
    pub(super) saga_no: i64,
    pub(super) partition: Partition,
    pub(super) definition: Digest,
    pub(super) summary: SagaSummary,
}

pub(super) fn corrupt(what: impl std::fmt::Display) -> Failure {
    Failure::Corrupt(what.to_string())
}

pub(super) fn saga_id(text: &str) -> Result<SagaId, Failure> {
    SagaId::new(text).map_err(|error| corrupt(format!("the saga id {text:?} {error}")))
}

pub(super) fn partition(number: i64) -> Result<Partition, Failure> {
    u16::try_from(number).map(Partition).map_err(|_| corrupt(format!("partition {number}")))
}

pub(super) fn definition_name(text: &str) -> Result<DefinitionName, Failure> {
    DefinitionName::new(text).map_err(|error| corrupt(format!("the name {text:?} {error}")))
}

/// A version, where there is one.
pub(super) fn version(number: Option<i64>) -> Result<Option<u32>, Failure> {
    number.map(|own| u32::try_from(own).map_err(|_| corrupt(format!("version {own}")))).transpose()
}

/// Adds the facts of one chunk to those before it.
pub(super) fn add_records(records: &mut Vec<Record>, text: &str) -> Result<(), UnreadableFact> {
    let first = u64::try_from(records.len()).unwrap_or(u64::MAX);
    records.extend(Record::read_all(first, text)?);
    Ok(())
}

/// Reads `summary_columns!`.
pub(super) fn saga(row: &SqliteRow) -> Result<SagaRow, Failure> {
    let step: Option<&str> = row.try_get(8)?;
    let labels: Option<&str> = row.try_get(10)?;
    let lock_keys: Option<&str> = row.try_get(11)?;
    let lock_keys: Vec<LockKey> = lock_keys
        .map_or(Ok(Vec::new()), serde_json::from_str)
        .map_err(|error| corrupt(format!("lock keys: {error}")))?;
    let summary = SagaSummary {
        saga_id: saga_id(row.try_get(1)?)?,
        definition: definition_name(row.try_get(4)?)?,
        version: version(row.try_get(5)?)?,
        status: row.try_get::<&str, _>(6)?.parse().map_err(corrupt)?,
        paused: row.try_get(7)?,
        step: step.map(StepId::new).transpose().map_err(corrupt)?,
        reason: row.try_get(9)?,
        labels: labels
            .map_or(Ok(std::collections::BTreeMap::new()), serde_json::from_str)
            .map_err(|error| corrupt(format!("labels: {error}")))?,
        lock_keys,
        created_at: Timestamp(row.try_get(12)?),
        updated_at: Timestamp(row.try_get(13)?),
        ended_at: row.try_get::<Option<i64>, _>(14)?.map(Timestamp),
    };
    Ok(SagaRow {
        saga_no: row.try_get(0)?,
        partition: partition(row.try_get(2)?)?,
        definition: Digest(row.try_get(3)?),
        summary,
    })
}
