//! Registered participants.

use amends_core::participant::ParticipantSpec;
use amends_core::{ParticipantName, Timestamp};
use amends_ports::failpoint;
use amends_ports::store::{PutParticipant, StoredParticipant};
use sqlx::sqlite::SqliteConnection;

use super::SqliteStore;
use super::failure::Failure;
use super::row::corrupt;

const REVISION: &str = "SELECT revision, created_us FROM participant WHERE name = $1";

const PUT: &str = "INSERT INTO participant (name, spec, revision, created_us, updated_us)
     VALUES ($1, $2, $3, $4, $5)
     ON CONFLICT (name) DO UPDATE SET spec = excluded.spec, revision = excluded.revision,
         updated_us = excluded.updated_us";

const DELETE: &str = "DELETE FROM participant WHERE name = $1";

const CHANGED: &str = "UPDATE meta SET value = value + 1 WHERE name = 'participants_revision'";

const LIST: &str = "SELECT spec, revision, created_us, updated_us FROM participant ORDER BY name";

const LAST_CHANGE: &str = "SELECT value FROM meta WHERE name = 'participants_revision'";

/// Every statement here, for the test that prepares them.
#[cfg(test)]
pub(super) const STATEMENTS: &[&str] = &[REVISION, PUT, DELETE, CHANGED, LIST, LAST_CHANGE];

fn unsigned(number: i64) -> Result<u64, Failure> {
    u64::try_from(number).map_err(|_| corrupt(format!("revision {number}")))
}

async fn revision(
    connection: &mut SqliteConnection,
    name: &ParticipantName,
) -> Result<Option<(u64, Timestamp)>, Failure> {
    let row: Option<(i64, i64)> =
        sqlx::query_as(REVISION).bind(name.as_str().to_owned()).fetch_optional(connection).await?;
    row.map(|(number, created)| Ok((unsigned(number)?, Timestamp(created)))).transpose()
}

impl SqliteStore {
    pub(super) async fn store_participant(
        &self,
        spec: &ParticipantSpec,
        expected_revision: Option<u64>,
        now: Timestamp,
    ) -> Result<PutParticipant, Failure> {
        let mut transaction = self.writer.begin().await?;
        let connection = transaction.connection();
        let before = revision(connection, &spec.name).await?;
        let stored = before.map_or(0, |(number, _)| number);
        if expected_revision.is_some_and(|expected| expected != stored) {
            transaction.roll_back().await;
            return Ok(PutParticipant::RevisionMismatch { stored });
        }
        let text =
            serde_json::to_string(spec).map_err(|error| Failure::NotWritten(error.into()))?;
        let row = StoredParticipant {
            spec: spec.clone(),
            revision: stored + 1,
            created_at: before.map_or(now, |(_, created)| created),
            updated_at: now,
        };
        sqlx::query(PUT)
            .bind(spec.name.as_str().to_owned())
            .bind(text)
            .bind(i64::try_from(row.revision).unwrap_or(i64::MAX))
            .bind(row.created_at.0)
            .bind(row.updated_at.0)
            .execute(&mut *connection)
            .await?;
        sqlx::query(CHANGED).execute(&mut *connection).await?;
        failpoint!("sqlite.participant-put.before-commit");
        transaction.commit().await?;
        failpoint!("sqlite.participant-put.after-commit");
        let is_new = before.is_none();
        Ok(if is_new { PutParticipant::Created(row) } else { PutParticipant::Updated(row) })
    }

    pub(super) async fn forget_participant(&self, name: &ParticipantName) -> Result<bool, Failure> {
        let mut transaction = self.writer.begin().await?;
        let done = sqlx::query(DELETE)
            .bind(name.as_str().to_owned())
            .execute(transaction.connection())
            .await?;
        if done.rows_affected() == 0 {
            transaction.roll_back().await;
            return Ok(false);
        }
        sqlx::query(CHANGED).execute(transaction.connection()).await?;
        failpoint!("sqlite.participant-delete.before-commit");
        transaction.commit().await?;
        failpoint!("sqlite.participant-delete.after-commit");
        Ok(true)
    }

    pub(super) async fn all_participants(&self) -> Result<Vec<StoredParticipant>, Failure> {
        let rows: Vec<(String, i64, i64, i64)> =
            sqlx::query_as(LIST).fetch_all(&self.readers).await?;
        let read = |(spec, revision, created, updated): (String, i64, i64, i64)| {
            Ok(StoredParticipant {
                spec: serde_json::from_str(&spec)
                    .map_err(|error| corrupt(format!("a participant: {error}")))?,
                revision: unsigned(revision)?,
                created_at: Timestamp(created),
                updated_at: Timestamp(updated),
            })
        };
        rows.into_iter().map(read).collect()
    }

    pub(super) async fn last_change_of_participants(&self) -> Result<u64, Failure> {
        let number: i64 = sqlx::query_scalar(LAST_CHANGE).fetch_one(&self.readers).await?;
        unsigned(number)
    }
}
