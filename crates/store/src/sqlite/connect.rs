//! Opening a file: the lock, the connections, the schema, the first rows.

use std::fs::{File, OpenOptions, TryLockError};
use std::path::Path;

use amends_ports::SystemClock;
use amends_ports::failpoint;
use sqlx::sqlite::{
    SqliteConnectOptions, SqliteConnection, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous,
};
use sqlx::{ConnectOptions as _, Connection as _};

use super::options::file_path;
use super::writer::Writer;
use super::{SqliteOptions, SqliteStore, lease, statement};
use crate::OpenError;
use crate::migrations;
use crate::version::Version;

/// Pages of the log after which it is copied into the file: 64 MiB. A checkpoint of little costs
/// as much waiting as one of more.
const CHECKPOINT_PAGES: &str = "16384";
/// Cache of the writing connection, as SQLite counts: negative is KiB.
const CACHE_KIB: &str = "-65536";

impl SqliteStore {
    /// Opens the file at `path_or_url` (`sqlite://PATH`, or a path), makes it if it is not there,
    /// and brings its schema to this release.
    ///
    /// # Errors
    ///
    /// [`OpenError`]: among others when another process has the file open.
    pub async fn connect(path_or_url: &str, options: SqliteOptions) -> Result<Self, OpenError> {
        let path = file_path(path_or_url)?;
        let locked = lock(&path)?;
        let mut writer = writer_options(&path, &options).connect().await.map_err(unavailable)?;
        failpoint!("sqlite.migrate.before");
        migrations::migrator(migrations::SQLITE)
            .run_direct(None, &mut writer, false)
            .await
            .map_err(|error| OpenError::Schema(error.into()))?;
        failpoint!("sqlite.migrate.after");
        let version = Version::new(options.formats, migrations::SQLITE);
        let stored = lease::stored_version(&mut writer)
            .await
            .map_err(|error| OpenError::Schema(error.into()))?;
        version.hear(stored).map_err(OpenError::Outdated)?;
        let (partitions, secret) = first_rows(&mut writer, options.partitions)
            .await
            .map_err(|error| OpenError::Schema(error.into()))?;
        let readers = SqlitePoolOptions::new()
            .max_connections(options.readers.max(1))
            .acquire_timeout(options.timeout)
            .test_before_acquire(false)
            .connect_with(reader_options(&path, &options))
            .await
            .map_err(unavailable)?;
        Ok(Self {
            writer: Writer::new(writer),
            readers,
            options,
            clock: SystemClock::new(),
            partitions,
            secret,
            version,
            _locked: locked,
        })
    }

    /// Closes all connections in good order and lets the file go. Without it nothing is lost, but
    /// the next start has to read the log.
    pub async fn close(self) {
        self.readers.close().await;
        self.writer.close().await;
    }
}

/// Takes the file beside the database that says who has it.
fn lock(path: &Path) -> Result<File, OpenError> {
    let mut name = path.as_os_str().to_owned();
    name.push(".lock");
    let file = OpenOptions::new()
        .create(true)
        .truncate(false)
        .write(true)
        .open(&name)
        .map_err(|error| unavailable(LockFile { path: path.display().to_string(), error }))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => {
            Err(unavailable(InUse { path: path.display().to_string() }))
        }
        Err(TryLockError::Error(error)) => {
            Err(unavailable(LockFile { path: path.display().to_string(), error }))
        }
    }
}

/// Another process drives the sagas of this file.
#[derive(Debug, thiserror::Error)]
#[error(
    "{path} is in use by another amends process; an SQLite file serves one coordinator at a time: \
     stop the other one, or use PostgreSQL to run several"
)]
struct InUse {
    path: String,
}

/// The lock file can't be made: often the folder is missing or not ours.
#[derive(Debug, thiserror::Error)]
#[error("the file {path}.lock can't be made; check that its folder exists and may be written to")]
struct LockFile {
    path: String,
    #[source]
    error: std::io::Error,
}

fn unavailable(error: impl std::error::Error + Send + Sync + 'static) -> OpenError {
    OpenError::Unavailable(error.into())
}

fn reader_options(path: &Path, options: &SqliteOptions) -> SqliteConnectOptions {
    SqliteConnectOptions::new()
        .filename(path)
        .busy_timeout(options.timeout / 2)
        .pragma("query_only", "1")
        .statement_cache_capacity(64)
        .disable_statement_logging()
}

fn writer_options(path: &Path, options: &SqliteOptions) -> SqliteConnectOptions {
    SqliteConnectOptions::new()
        .filename(path)
        .create_if_missing(true)
        .journal_mode(SqliteJournalMode::Wal)
        .synchronous(SqliteSynchronous::Full)
        .busy_timeout(options.timeout / 2)
        .pragma("wal_autocheckpoint", CHECKPOINT_PAGES)
        .pragma("cache_size", CACHE_KIB)
        .pragma("temp_store", "memory")
        // One for each combination of what a batch may hold, and the rest.
        .statement_cache_capacity(256)
        .disable_statement_logging()
}

/// Makes what a fresh file needs; the number of partitions and the secret.
async fn first_rows(
    writer: &mut SqliteConnection,
    partitions: u16,
) -> Result<(u16, String), sqlx::Error> {
    let mut transaction = writer.begin_with("BEGIN IMMEDIATE").await?;
    for sql in statement::FIRST_ROWS {
        sqlx::query(*sql).bind(partitions).execute(&mut *transaction).await?;
    }
    let found: (u16, String) =
        sqlx::query_as(statement::FIXED_FACTS).fetch_one(&mut *transaction).await?;
    failpoint!("sqlite.initialise.before-commit");
    transaction.commit().await?;
    failpoint!("sqlite.initialise.after-commit");
    sqlx::query(statement::TEMPORARY).execute(&mut *writer).await?;
    Ok(found)
}
