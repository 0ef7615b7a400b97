//! What the database says of the releases that may work on it.

use amends_core::saga::JournalFormat;
use amends_ports::failpoint;
use amends_ports::store::Error;
use sqlx::postgres::PgRow;

use super::pool::Session;
use super::{Failure, PostgresStore, row};
use crate::version::Stored;

/// The newest migration that was done, the format in force, the oldest release that may work.
pub(super) const VERSION: &str = "\
SELECT (SELECT max(version) FROM _sqlx_migrations WHERE success),
    (SELECT value::bigint FROM meta WHERE name = 'journal_format'),
    (SELECT value::bigint FROM meta WHERE name = 'oldest_reader')";

/// Waits for heartbeats that have looked at the format in force, and holds up the next ones.
pub(super) const HOLD_FORMAT: &str = "\
SELECT value FROM meta WHERE name = 'journal_format' FOR UPDATE";

/// Raises the format in force to $1 if everybody who lives reads that.
pub(super) const RAISE_FORMAT: &str = "\
UPDATE meta SET value = $1::bigint::text
WHERE name = 'journal_format' AND value::bigint < $1 AND NOT EXISTS (
    SELECT FROM coordinator WHERE expires_at > clock_timestamp() AND journal_format < $1
)
RETURNING name";

/// What a row says in two columns from `first`.
pub(super) fn stored(columns: &PgRow, first: usize) -> Result<Stored, Failure> {
    let number = |column| {
        let number = row::get::<Option<i64>>(columns, column)?;
        number.ok_or_else(|| Failure::Corrupt("it does not say which releases may use it".into()))
    };
    Ok(Stored { journal_format: number(first)?, oldest_reader: number(first + 1)? })
}

/// The newest migration that was done, and the rest.
pub(super) async fn read(session: &mut Session<'_>) -> Result<(i64, Stored), Failure> {
    let rows = session.fetch(sqlx::query(VERSION)).await?;
    let columns = rows.first().ok_or_else(|| Failure::Corrupt("no version".to_owned()))?;
    Ok((row::get::<Option<i64>>(columns, 0)?.unwrap_or(0), stored(columns, 1)?))
}

impl PostgresStore {
    /// Whether the database is still, or again, one that this release can use.
    pub(super) async fn check_version(&self) -> Result<(), Error> {
        let mut session = self.control.session().await?;
        let answer = read(&mut session).await;
        session.keep_unless_spoilt(answer.as_ref().err());
        let (done, stored) = answer?;
        let needed = self.version.newest_migration();
        if done < needed {
            let what = format!("its schema is at {done}, this release needs {needed}: restart it");
            return Err(Error::Corrupt(what));
        }
        self.version.hear(stored).map_err(Error::Outdated)
    }

    /// Puts what this release writes into force, unless somebody lives who can't read it.
    pub(super) async fn raise_format(&self) -> Result<(), Failure> {
        let wanted = self.version.formats().written;
        if self.version.in_force() >= wanted {
            return Ok(());
        }
        let mut session = self.control.session().await?;
        let raised = raise(&mut session, wanted).await;
        session.keep_unless_spoilt(raised.as_ref().err());
        if raised? {
            tracing::info!(journal.format = wanted.0, "facts may have a new format from now on");
        }
        Ok(())
    }
}

/// In one transaction, whose second statement sees all that the first has waited for.
async fn raise(session: &mut Session<'_>, wanted: JournalFormat) -> Result<bool, Failure> {
    session.execute("BEGIN ISOLATION LEVEL READ COMMITTED").await?;
    let raised = async {
        session.fetch(sqlx::query(HOLD_FORMAT)).await?;
        session.fetch(sqlx::query(RAISE_FORMAT).bind(i64::from(wanted.0))).await
    };
    match raised.await {
        Ok(rows) => {
            failpoint!("postgres.format.before-commit");
            session.execute("COMMIT").await?;
            failpoint!("postgres.format.after-commit");
            Ok(!rows.is_empty())
        }
        Err(failure) => {
            session.execute("ROLLBACK").await?;
            Err(failure)
        }
    }
}
