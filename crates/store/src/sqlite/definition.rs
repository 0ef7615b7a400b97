//! Definitions and their versions.

use amends_core::definition::Digest;
use amends_core::{DefinitionName, Json, ParticipantName, Timestamp};
use amends_ports::failpoint;
use amends_ports::store::{DefinitionSummary, NewDefinition, StoredDefinition};
use sqlx::Row as _;
use sqlx::sqlite::SqliteRow;

use super::SqliteStore;
use super::batch::json_array;
use super::failure::Failure;
use super::row::{corrupt, definition_name, version};

const BY_DIGEST: &str =
    "SELECT name, version, digest, source, created_us FROM definition WHERE digest = $1";

const BY_VERSION: &str = "SELECT name, version, digest, source, created_us FROM definition
     WHERE name = $1 AND version IS NOT NULL AND version = coalesce($2, version)
     ORDER BY version DESC LIMIT 1";

const NEWEST_VERSION: &str =
    "SELECT coalesce(max(version), 0) FROM definition WHERE name = $1 AND version IS NOT NULL";

/// What came inside a request before gets its version, and the time it got it.
const PUT: &str = "INSERT INTO definition (digest, name, version, source, created_us)
     VALUES ($1, $2, $3, $4, $5)
     ON CONFLICT (digest) DO UPDATE SET version = excluded.version,
         created_us = excluded.created_us";

const PUT_PARTICIPANTS: &str = "INSERT INTO definition_participant (participant, digest)
     SELECT p.value, $1 FROM json_each($2) AS p WHERE true ON CONFLICT DO NOTHING";

const LIST: &str = "SELECT name, max(version), digest, source, created_us FROM definition
     WHERE version IS NOT NULL AND name > $1 GROUP BY name ORDER BY name LIMIT $2";

const NAMING: &str = "SELECT DISTINCT d.name FROM definition_participant AS p
     CROSS JOIN definition AS d ON d.digest = p.digest
     WHERE p.participant = $1 AND (
         (d.version IS NOT NULL AND NOT EXISTS (
             SELECT 1 FROM definition AS n WHERE n.name = d.name AND n.version > d.version))
         OR EXISTS (
             SELECT 1 FROM saga AS s
             WHERE s.definition_name = d.name AND s.definition = d.digest
               AND s.ended_us IS NULL))
     ORDER BY d.name LIMIT $2";

/// Every statement here, for the test that prepares them.
#[cfg(test)]
pub(super) const STATEMENTS: &[&str] =
    &[BY_DIGEST, BY_VERSION, NEWEST_VERSION, PUT, PUT_PARTICIPANTS, LIST, NAMING];

fn stored(row: &SqliteRow) -> Result<StoredDefinition, Failure> {
    Ok(StoredDefinition {
        name: definition_name(row.try_get(0)?)?,
        version: version(row.try_get(1)?)?,
        digest: Digest(row.try_get(2)?),
        source: Json::parse(row.try_get(3)?).map_err(corrupt)?,
        created_at: Timestamp(row.try_get(4)?),
    })
}

impl SqliteStore {
    pub(super) async fn store_definition(
        &self,
        new: &NewDefinition,
    ) -> Result<(StoredDefinition, bool), Failure> {
        let mut transaction = self.writer.begin().await?;
        let connection = transaction.connection();
        let known = sqlx::query(BY_DIGEST)
            .bind(new.digest.0.clone())
            .fetch_optional(&mut *connection)
            .await?;
        let known = known.as_ref().map(stored).transpose()?;
        if let Some(known) = known.filter(|own| new.ad_hoc || own.version.is_some()) {
            transaction.roll_back().await;
            return Ok((known, false));
        }
        let newest: i64 = sqlx::query_scalar(NEWEST_VERSION)
            .bind(new.name.as_str().to_owned())
            .fetch_one(&mut *connection)
            .await?;
        let number = if new.ad_hoc { None } else { version(Some(newest + 1))? };
        sqlx::query(PUT)
            .bind(new.digest.0.clone())
            .bind(new.name.as_str().to_owned())
            .bind(number)
            .bind(new.source.as_str().to_owned())
            .bind(new.created_at.0)
            .execute(&mut *connection)
            .await?;
        sqlx::query(PUT_PARTICIPANTS)
            .bind(new.digest.0.clone())
            .bind(json_array(new.participants.iter())?)
            .execute(&mut *connection)
            .await?;
        failpoint!("sqlite.definition.before-commit");
        transaction.commit().await?;
        failpoint!("sqlite.definition.after-commit");
        let stored = StoredDefinition {
            name: new.name.clone(),
            version: number,
            digest: new.digest.clone(),
            source: new.source.clone(),
            created_at: new.created_at,
        };
        Ok((stored, true))
    }

    pub(super) async fn definition_by_digest(
        &self,
        digest: &Digest,
    ) -> Result<Option<StoredDefinition>, Failure> {
        let row =
            sqlx::query(BY_DIGEST).bind(digest.0.clone()).fetch_optional(&self.readers).await?;
        row.as_ref().map(stored).transpose()
    }

    pub(super) async fn definition_by_version(
        &self,
        name: &DefinitionName,
        version: Option<u32>,
    ) -> Result<Option<StoredDefinition>, Failure> {
        let row = sqlx::query(BY_VERSION)
            .bind(name.as_str().to_owned())
            .bind(version)
            .fetch_optional(&self.readers)
            .await?;
        row.as_ref().map(stored).transpose()
    }

    pub(super) async fn newest_definitions(
        &self,
        after: Option<&DefinitionName>,
        limit: u16,
    ) -> Result<Vec<DefinitionSummary>, Failure> {
        let rows = sqlx::query(LIST)
            .bind(after.map_or("", DefinitionName::as_str).to_owned())
            .bind(limit)
            .fetch_all(&self.readers)
            .await?;
        let summary = |row: &SqliteRow| {
            let own = stored(row)?;
            let version = own.version.ok_or_else(|| corrupt("a version is missing"))?;
            Ok(DefinitionSummary {
                name: own.name,
                version,
                digest: own.digest,
                created_at: own.created_at,
            })
        };
        rows.iter().map(summary).collect()
    }

    pub(super) async fn names_naming(
        &self,
        participant: &ParticipantName,
        limit: u16,
    ) -> Result<Vec<DefinitionName>, Failure> {
        let names: Vec<String> = sqlx::query_scalar(NAMING)
            .bind(participant.as_str().to_owned())
            .bind(limit)
            .fetch_all(&self.readers)
            .await?;
        names.iter().map(|name| definition_name(name)).collect()
    }
}
