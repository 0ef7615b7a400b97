//! Columns of rows as words of the domain.

use amends_core::definition::Digest;
use amends_core::saga::Record;
use amends_core::{DefinitionName, IdError, SagaId, Timestamp};
use amends_ports::store::Partition;
use sqlx::postgres::PgRow;
use sqlx::{Postgres, Row as _};

use super::{Failure, Time};

/// One column of a row.
pub(super) fn get<'r, T>(row: &'r PgRow, column: usize) -> Result<T, Failure>
where
    T: sqlx::Decode<'r, Postgres> + sqlx::Type<Postgres>,
{
    row.try_get(column).map_err(Failure::of)
}

/// A number that is never negative.
pub(super) fn count(row: &PgRow, column: usize) -> Result<u64, Failure> {
    let number = get::<i64>(row, column)?;
    u64::try_from(number).map_err(|_| Failure::Corrupt(format!("{number} is less than 0")))
}

/// A version, if there is one.
pub(super) fn version(row: &PgRow, column: usize) -> Result<Option<u32>, Failure> {
    let number = get::<Option<i64>>(row, column)?;
    number
        .map(u32::try_from)
        .transpose()
        .map_err(|_| Failure::Corrupt("a version is out of range".to_owned()))
}

/// A partition.
pub(super) fn partition(row: &PgRow, column: usize) -> Result<Partition, Failure> {
    let number = get::<i32>(row, column)?;
    u16::try_from(number)
        .map(Partition)
        .map_err(|_| Failure::Corrupt(format!("partition {number} is out of range")))
}

/// A saga's id.
pub(super) fn saga_id(row: &PgRow, column: usize) -> Result<SagaId, Failure> {
    name(row, column, SagaId::new)
}

/// A definition's name.
pub(super) fn definition_name(row: &PgRow, column: usize) -> Result<DefinitionName, Failure> {
    name(row, column, DefinitionName::new)
}

/// An id or name that is checked by `new`.
pub(super) fn name<'r, T>(
    row: &'r PgRow,
    column: usize,
    new: impl Fn(&'r str) -> Result<T, IdError>,
) -> Result<T, Failure> {
    let text: &str = get(row, column)?;
    new(text).map_err(|error| Failure::Corrupt(format!("the id or name {text:?} {error}")))
}

/// A definition's digest.
pub(super) fn digest(row: &PgRow, column: usize) -> Result<Digest, Failure> {
    Ok(Digest(get(row, column)?))
}

/// A time.
pub(super) fn time(row: &PgRow, column: usize) -> Result<Timestamp, Failure> {
    Ok(get::<Time>(row, column)?.into())
}

/// Adds the facts of one chunk to those before it.
pub(super) fn add_records(
    saga_id: &SagaId,
    before: &mut Vec<Record>,
    row: &PgRow,
    column: usize,
) -> Result<(), Failure> {
    let first = u64::try_from(before.len()).unwrap_or(u64::MAX);
    before.extend(records(saga_id, first, get(row, column)?)?);
    Ok(())
}

/// The facts of one chunk, which begins with number `first`.
pub(super) fn records(saga_id: &SagaId, first: u64, text: &str) -> Result<Vec<Record>, Failure> {
    Record::read_all(first, text)
        .map_err(|error| Failure::Corrupt(format!("saga {saga_id}: {error}")))
}

/// What is stored as JSON.
pub(super) fn json<T: serde::de::DeserializeOwned>(text: &str) -> Result<T, Failure> {
    serde_json::from_str(text).map_err(|error| Failure::Corrupt(error.to_string()))
}
