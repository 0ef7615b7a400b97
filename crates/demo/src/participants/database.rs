//! A participant's own database: one SQLite file.

use std::path::Path;
use std::time::Duration;

use amends_client::barrier::{self, Error};
use sqlx::SqlitePool;
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous};

/// Opens the database at `path`, making it, the barrier's tables and those of `schema` where they
/// are missing.
///
/// # Errors
///
/// The file can't be opened or written.
pub(super) async fn open(path: &Path, schema: &'static str) -> Result<SqlitePool, Error> {
    let options = SqliteConnectOptions::new()
        .filename(path)
        .create_if_missing(true)
        .journal_mode(SqliteJournalMode::Wal)
        // A killed process loses nothing that was committed: the pages are with the kernel. Only
        // a power cut could take the last commits; where that matters, use `Full`.
        .synchronous(SqliteSynchronous::Normal)
        .busy_timeout(Duration::from_secs(5));
    // SQLite has one writer at a time: with one connection calls queue here, fairly.
    let pool = SqlitePoolOptions::new().max_connections(1).test_before_acquire(false);
    let db = pool.connect_with(options).await?;
    barrier::migrate(&db).await?;
    sqlx::raw_sql(schema).execute(&db).await?;
    Ok(db)
}
