//! The one connection that writes.
//!
//! A transaction holds it alone. One that was dropped half way is rolled back before the next
//! begins, so a cancelled method leaves nothing half.

use futures_util::TryStreamExt as _;
use sqlx::query::Query;
use sqlx::sqlite::{SqliteArguments, SqliteConnection, SqliteQueryResult, SqliteRow};
use sqlx::{Connection as _, Either, Executor as _, Sqlite};
use tokio::sync::{Mutex, MutexGuard};

use super::failure::Failure;

/// The connection that writes, one transaction after another, first come, first served.
pub(super) struct Writer(Mutex<Guarded>);

struct Guarded {
    connection: SqliteConnection,
    /// Whether a transaction was begun whose end was not seen.
    is_open: bool,
}

/// The right to write until it is committed or dropped.
pub(super) struct Transaction<'a>(MutexGuard<'a, Guarded>);

impl Writer {
    pub(super) fn new(connection: SqliteConnection) -> Self {
        Self(Mutex::new(Guarded { connection, is_open: false }))
    }

    /// Waits for the connection; the first statement must begin the transaction.
    pub(super) async fn enter(&self) -> Result<Transaction<'_>, Failure> {
        let mut guarded = self.0.lock().await;
        if guarded.is_open {
            roll_back(&mut guarded.connection).await;
        }
        guarded.is_open = true;
        Ok(Transaction(guarded))
    }

    /// Waits for the connection and begins a transaction.
    pub(super) async fn begin(&self) -> Result<Transaction<'_>, Failure> {
        let mut transaction = self.enter().await?;
        sqlx::query("BEGIN IMMEDIATE").execute(transaction.connection()).await?;
        Ok(transaction)
    }

    /// Ends what is open and closes the file; the log goes into it.
    pub(super) async fn close(self) {
        let Guarded { mut connection, is_open } = self.0.into_inner();
        if is_open {
            roll_back(&mut connection).await;
        }
        if let Err(error) = connection.close().await {
            tracing::warn!(error = &error as &dyn std::error::Error, "closing the file failed");
        }
    }
}

/// Rolls back, if there is anything to roll back; whether there was.
async fn roll_back(connection: &mut SqliteConnection) -> bool {
    sqlx::query("ROLLBACK").execute(connection).await.is_ok()
}

impl Transaction<'_> {
    pub(super) fn connection(&mut self) -> &mut SqliteConnection {
        &mut self.0.connection
    }

    /// Runs the statements of `text` in one go, and hands each row with the index of its statement
    /// to `row`. Answers how many rows each statement changed.
    pub(super) async fn run(
        &mut self,
        text: Query<'_, Sqlite, SqliteArguments>,
        mut row: impl FnMut(usize, SqliteRow) -> Result<(), Failure> + Send,
    ) -> Result<Vec<u64>, Failure> {
        let mut changed = Vec::new();
        let mut results = self.connection().fetch_many(text);
        while let Some(result) = results.try_next().await? {
            match result {
                Either::Left(done) => changed.push(SqliteQueryResult::rows_affected(&done)),
                Either::Right(found) => row(changed.len(), found)?,
            }
        }
        Ok(changed)
    }

    /// Makes it durable.
    pub(super) async fn commit(mut self) -> Result<(), Failure> {
        let result = sqlx::query("COMMIT").execute(self.connection()).await;
        let outcome = match result {
            Ok(_) => Ok(()),
            Err(error) => {
                let rolled_back = roll_back(self.connection()).await;
                Err(Failure::of_commit(error, rolled_back))
            }
        };
        self.0.is_open = false;
        outcome
    }

    /// Undoes everything since it began.
    pub(super) async fn roll_back(mut self) {
        roll_back(self.connection()).await;
        self.0.is_open = false;
    }
}
