//! Registered participants.
//!
//! Every change locks the row of the common revision first, so that changes happen one after
//! another and a reader of the revision misses none.

use amends_core::participant::ParticipantSpec;
use amends_core::{ParticipantName, Timestamp};
use amends_ports::failpoint;
use amends_ports::store::{Error, PutParticipant, StoredParticipant};
use sqlx::postgres::PgRow;

use super::pool::Session;
use super::{Failure, PostgresStore, Time, row};

/// Raises the common revision.
pub(super) const RAISE_REVISION: &str = "\
UPDATE meta SET value = (value::bigint + 1)::text WHERE name = 'participants_revision'";

/// The common revision.
pub(super) const REVISION: &str = "\
SELECT value::bigint FROM meta WHERE name = 'participants_revision'";

/// How often a participant was changed.
pub(super) const STORED_REVISION: &str = "SELECT revision FROM participant WHERE name = $1";

/// Registers or changes.
pub(super) const PUT: &str = "\
INSERT INTO participant (name, spec, revision, created_at, updated_at)
VALUES ($1, $2, 1, $3, $3)
ON CONFLICT (name) DO UPDATE SET
    spec = excluded.spec, revision = participant.revision + 1, updated_at = excluded.updated_at
RETURNING spec, revision, created_at, updated_at";

/// Deletes.
pub(super) const DELETE: &str = "DELETE FROM participant WHERE name = $1 RETURNING name";

/// All.
pub(super) const LIST: &str = "\
SELECT spec, revision, created_at, updated_at FROM participant ORDER BY name";

/// What a change of participants answers, and whether it is to stay.
struct Change<T> {
    answer: T,
    is_made: bool,
}

impl PostgresStore {
    pub(super) async fn keep_participant(
        &self,
        spec: &ParticipantSpec,
        expected: Option<u64>,
        now: Timestamp,
    ) -> Result<PutParticipant, Error> {
        let text = serde_json::to_string(spec)
            .map_err(|error| Error::Corrupt(format!("a participant can't be written: {error}")))?;
        let mut retries = self.lists.retries();
        loop {
            let mut session = self.lists.session().await?;
            let answer = match begin(&mut session).await {
                Ok(()) => put(&mut session, spec, &text, expected, now).await,
                Err(failure) => Err(failure),
            };
            match end(session, answer).await {
                Err(Failure::Conflict(_)) if retries.again().await => {}
                answer => return Ok(answer?),
            }
        }
    }

    pub(super) async fn drop_participant(&self, name: &ParticipantName) -> Result<bool, Error> {
        let mut retries = self.lists.retries();
        loop {
            let mut session = self.lists.session().await?;
            let answer = match begin(&mut session).await {
                Ok(()) => session.fetch(sqlx::query(DELETE).bind(name.as_str())).await,
                Err(failure) => Err(failure),
            };
            let answer =
                answer.map(|rows| Change { answer: !rows.is_empty(), is_made: !rows.is_empty() });
            match end(session, answer).await {
                Err(Failure::Conflict(_)) if retries.again().await => {}
                answer => return Ok(answer?),
            }
        }
    }

    pub(super) async fn participant_list(&self) -> Result<Vec<StoredParticipant>, Error> {
        let rows = self.lists.fetch(|| sqlx::query(LIST)).await?;
        Ok(rows.iter().map(participant_of).collect::<Result<_, _>>()?)
    }

    pub(super) async fn revision_of_participants(&self) -> Result<u64, Error> {
        let rows = self.lists.fetch(|| sqlx::query(REVISION)).await?;
        let answer = rows.first().ok_or_else(|| Error::Corrupt("no revision".to_owned()))?;
        Ok(row::count(answer, 0)?)
    }
}

async fn begin(session: &mut Session<'_>) -> Result<(), Failure> {
    session.execute("BEGIN").await?;
    session.fetch(sqlx::query(RAISE_REVISION)).await?;
    Ok(())
}

async fn put(
    session: &mut Session<'_>,
    spec: &ParticipantSpec,
    text: &str,
    expected: Option<u64>,
    now: Timestamp,
) -> Result<Change<PutParticipant>, Failure> {
    let name = spec.name.as_str();
    let rows = session.fetch(sqlx::query(STORED_REVISION).bind(name)).await?;
    let stored = rows.first().map(|found| row::count(found, 0)).transpose()?.unwrap_or(0);
    if expected.is_some_and(|expected| expected != stored) {
        return Ok(Change { answer: PutParticipant::RevisionMismatch { stored }, is_made: false });
    }
    let query = sqlx::query(PUT).bind(name).bind(text).bind(Time::from(now));
    let rows = session.fetch(query).await?;
    let written = rows.first().ok_or_else(|| Failure::Corrupt("no answer row".to_owned()))?;
    let written = participant_of(written)?;
    let answer = if stored == 0 {
        PutParticipant::Created(written)
    } else {
        PutParticipant::Updated(written)
    };
    Ok(Change { answer, is_made: true })
}

/// Commits what is to stay, rolls back what is not.
async fn end<T>(
    mut session: Session<'_>,
    change: Result<Change<T>, Failure>,
) -> Result<T, Failure> {
    let is_made = change.as_ref().is_ok_and(|change| change.is_made);
    failpoint!("postgres.participant.before-commit");
    let is_over = session.execute(if is_made { "COMMIT" } else { "ROLLBACK" }).await;
    failpoint!("postgres.participant.after-commit");
    session.keep_unless_spoilt(is_over.as_ref().err());
    let change = change?;
    is_over?;
    Ok(change.answer)
}

fn participant_of(columns: &PgRow) -> Result<StoredParticipant, Failure> {
    Ok(StoredParticipant {
        spec: row::json(row::get(columns, 0)?)?,
        revision: row::count(columns, 1)?,
        created_at: row::time(columns, 2)?,
        updated_at: row::time(columns, 3)?,
    })
}
