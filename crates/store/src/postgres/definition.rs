//! Definitions.

use amends_core::definition::Digest;
use amends_core::{DefinitionName, Json, ParticipantName};
use amends_ports::failpoint;
use amends_ports::store::{DefinitionSummary, Error, NewDefinition, StoredDefinition};
use sqlx::postgres::PgRow;

use super::pool::Query;
use super::{Failure, PostgresStore, Time, row};

/// Stores a definition that is not there; makes a version of one that only came inside start
/// requests so far. No row if nothing was to be done. Two new versions of one name at once are a
/// duplicate key for one of them.
pub(super) const PUT: &str = "\
INSERT INTO definition (digest, name, version, source, participants, created_at)
VALUES ($1, $2,
    CASE WHEN $6 THEN NULL
        ELSE (SELECT coalesce(max(d.version), 0) + 1 FROM definition d WHERE d.name = $2) END,
    $3, $4, $5)
ON CONFLICT (digest) DO UPDATE SET
    name = excluded.name, version = excluded.version, source = excluded.source,
    participants = excluded.participants, created_at = excluded.created_at
WHERE definition.version IS NULL AND excluded.version IS NOT NULL
RETURNING name, version, digest, source, created_at";

/// The definition with this content.
pub(super) const BY_DIGEST: &str = "\
SELECT name, version, digest, source, created_at FROM definition WHERE digest = $1";

/// One version.
pub(super) const BY_VERSION: &str = "\
SELECT name, version, digest, source, created_at FROM definition
WHERE name = $1 AND version = $2";

/// The newest version.
pub(super) const NEWEST: &str = "\
SELECT name, version, digest, source, created_at FROM definition
WHERE name = $1 AND version IS NOT NULL
ORDER BY version DESC
LIMIT 1";

/// The newest version of each.
pub(super) const LIST: &str = "\
SELECT DISTINCT ON (name) name, version, digest, created_at FROM definition
WHERE name > $1 AND version IS NOT NULL
ORDER BY name, version DESC
LIMIT $2";

/// Whose newest version, or one that a live saga runs, names the participant.
pub(super) const NAMING: &str = "\
SELECT DISTINCT d.name FROM definition d
WHERE d.participants @> ARRAY[$1]
    AND (
        d.version = (SELECT max(n.version) FROM definition n WHERE n.name = d.name)
        OR EXISTS (SELECT 1 FROM saga s WHERE s.definition = d.digest AND s.ended_at IS NULL)
    )
ORDER BY d.name
LIMIT $2";

impl PostgresStore {
    pub(super) async fn keep_definition(
        &self,
        new: &NewDefinition,
    ) -> Result<(StoredDefinition, bool), Error> {
        let participants: Vec<&str> =
            new.participants.iter().map(ParticipantName::as_str).collect();
        let put = || -> Query<'_> {
            sqlx::query(PUT)
                .bind(&new.digest.0)
                .bind(new.name.as_str())
                .bind(new.source.as_str())
                .bind(&participants)
                .bind(Time::from(new.created_at))
                .bind(new.ad_hoc)
        };
        failpoint!("postgres.definition.before");
        let mut retries = self.lists.retries();
        let rows = loop {
            match self.lists.fetch(put).await {
                Err(failure) if failure.is_duplicate() && retries.again().await => {}
                answer => break answer?,
            }
        };
        failpoint!("postgres.definition.after");
        if let Some(columns) = rows.first() {
            return Ok((definition_of(columns)?, true));
        }
        let known = self.definition_with(&new.digest).await?;
        let gone = || Error::Unavailable("a definition was deleted in the middle".into());
        Ok((known.ok_or_else(gone)?, false))
    }

    pub(super) async fn definition_with(
        &self,
        digest: &Digest,
    ) -> Result<Option<StoredDefinition>, Error> {
        let rows = self.lists.fetch(|| sqlx::query(BY_DIGEST).bind(&digest.0)).await?;
        Ok(rows.first().map(definition_of).transpose()?)
    }

    pub(super) async fn definition_named(
        &self,
        name: &DefinitionName,
        version: Option<u32>,
    ) -> Result<Option<StoredDefinition>, Error> {
        let query = || match version {
            Some(version) => sqlx::query(BY_VERSION).bind(name.as_str()).bind(i64::from(version)),
            None => sqlx::query(NEWEST).bind(name.as_str()),
        };
        let rows = self.lists.fetch(query).await?;
        Ok(rows.first().map(definition_of).transpose()?)
    }

    pub(super) async fn definition_list(
        &self,
        after: Option<&DefinitionName>,
        limit: u16,
    ) -> Result<Vec<DefinitionSummary>, Error> {
        let after = after.map_or("", |name| name.as_str());
        let query = || sqlx::query(LIST).bind(after).bind(i64::from(limit));
        let rows = self.lists.fetch(query).await?;
        Ok(rows.iter().map(listed).collect::<Result<_, _>>()?)
    }

    pub(super) async fn definitions_with(
        &self,
        participant: &ParticipantName,
        limit: u16,
    ) -> Result<Vec<DefinitionName>, Error> {
        let query = || sqlx::query(NAMING).bind(participant.as_str()).bind(i64::from(limit));
        let rows = self.lists.fetch(query).await?;
        let name = |columns: &PgRow| row::definition_name(columns, 0);
        Ok(rows.iter().map(name).collect::<Result<_, _>>()?)
    }
}

fn definition_of(columns: &PgRow) -> Result<StoredDefinition, Failure> {
    let source = Json::parse(row::get(columns, 3)?);
    Ok(StoredDefinition {
        name: row::definition_name(columns, 0)?,
        version: row::version(columns, 1)?,
        digest: row::digest(columns, 2)?,
        source: source.map_err(|error| Failure::Corrupt(format!("a definition {error}")))?,
        created_at: row::time(columns, 4)?,
    })
}

fn listed(columns: &PgRow) -> Result<DefinitionSummary, Failure> {
    Ok(DefinitionSummary {
        name: row::definition_name(columns, 0)?,
        version: row::version(columns, 1)?.unwrap_or(0),
        digest: row::digest(columns, 2)?,
        created_at: row::time(columns, 3)?,
    })
}
