//! Why the barrier could not let a call in, or not settle it.

use std::time::Duration;

/// Any error.
pub type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// How long to wait before another attempt, where nothing better is known.
const RETRY_AFTER: Duration = Duration::from_secs(1);

/// Why there is no answer. As a response it is 503 where asking again may help, else 500; both make
/// the coordinator ask again. [`Error::RolledBack`] alone is final, and 409.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Another attempt of the call, or the call it undoes, is at work. Nothing was done.
    #[error("another attempt of this call is at work; nothing was done, ask again")]
    Busy {
        /// When asking again may help.
        retry_after: Duration,
    },
    /// The database is away, or chose this transaction to make way for another. Nothing was done,
    /// unless the connection broke at the very commit; the barrier tells at the next attempt.
    #[error("the barrier's store did not finish in time; ask again")]
    Unavailable(#[source] BoxError),
    /// The attempt is not the one that the barrier waits for any more: it took longer than its
    /// hold and a later attempt has begun, or its handler ended the transaction. What this one
    /// did in the transaction is undone.
    #[error(
        "a later attempt has taken this call over, or its transaction was ended inside the handler"
    )]
    Lost,
    /// `prepare` came too late: a check-back was told that the local transaction is not committed,
    /// and the interactive transaction is rolled back. Roll back here too.
    #[error(
        "the interactive transaction was rolled back already: roll back this local transaction"
    )]
    RolledBack,
    /// `prepare` came again: an earlier local transaction of the same interactive one has been
    /// committed. Roll this one back, and commit the interactive one.
    #[error(
        "an earlier local transaction has committed this already: roll back this one and commit \
         the interactive transaction"
    )]
    CommittedBefore,
    /// The answer is longer than the barrier keeps. Nothing was recorded.
    #[error("the answer has {bytes} bytes, the barrier keeps at most {bytes_max}")]
    AnswerTooLong {
        /// Bytes of the answer.
        bytes: usize,
        /// Bytes that are allowed.
        bytes_max: usize,
    },
    /// The barrier's tables are missing.
    #[error(
        "the barrier's tables are missing: call barrier::migrate(&pool) when the service starts"
    )]
    NotMigrated(#[source] BoxError),
    /// The barrier was asked for something that would break its promise.
    #[error("{0}")]
    Misuse(&'static str),
    /// A statement, of the barrier or of the handler, failed. Nothing was done.
    #[error("a statement failed; nothing was done")]
    Store(#[source] BoxError),
    /// The handler's own work failed. Nothing was recorded.
    #[error("the work failed")]
    Work(#[source] BoxError),
}

impl Error {
    /// For a handler's own failures: `client.charge(…).await.map_err(barrier::Error::work)?`.
    pub fn work(error: impl Into<BoxError>) -> Self {
        Self::Work(error.into())
    }

    /// When asking again may help; none if somebody has to see to it first.
    pub fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Busy { retry_after } => Some(*retry_after),
            Self::Unavailable(_) | Self::Lost => Some(RETRY_AFTER),
            Self::RolledBack
            | Self::CommittedBefore
            | Self::AnswerTooLong { .. }
            | Self::NotMigrated(_)
            | Self::Misuse(_)
            | Self::Store(_)
            | Self::Work(_) => None,
        }
    }

    #[cfg(feature = "sql")]
    pub(crate) fn busy() -> Self {
        Self::Busy { retry_after: RETRY_AFTER }
    }
}

#[cfg(feature = "sql")]
impl From<sqlx::Error> for Error {
    fn from(error: sqlx::Error) -> Self {
        use sqlx::Error as E;

        let told = error.as_database_error();
        let is_away =
            matches!(error, E::Io(_) | E::PoolTimedOut | E::PoolClosed | E::WorkerCrashed);
        if is_away || matches!(error, E::BeginFailed) || told.is_some_and(is_waiting_or_away) {
            return Self::Unavailable(error.into());
        }
        if told.is_some_and(is_missing_table) {
            return Self::NotMigrated(error.into());
        }
        Self::Store(error.into())
    }
}

/// Whether the same transaction may succeed when it is made again: a deadlock, a lock that was not
/// had in time, a serialisation failure, a server that goes down or has no room.
#[cfg(feature = "sql")]
fn is_waiting_or_away(error: &dyn sqlx::error::DatabaseError) -> bool {
    #[cfg(feature = "mysql")]
    if let Some(error) = error.try_downcast_ref::<sqlx::mysql::MySqlDatabaseError>() {
        return matches!(error.number(), 1020 | 1040 | 1053 | 1203 | 1205 | 1213 | 1317 | 1927);
    }
    let code = error.code().unwrap_or_default();
    #[cfg(feature = "sqlite")]
    if error.try_downcast_ref::<sqlx::sqlite::SqliteError>().is_some() {
        // The low byte is the primary code: SQLITE_BUSY or SQLITE_LOCKED.
        return code.parse::<i32>().is_ok_and(|code| matches!(code & 0xff, 5 | 6));
    }
    ["40", "08", "53", "57"].iter().any(|class| code.starts_with(class)) || code == "55P03"
}

#[cfg(feature = "sql")]
fn is_missing_table(error: &dyn sqlx::error::DatabaseError) -> bool {
    // By name: the handler's own tables may be missing too.
    let message = error.message();
    let is_ours = message.contains("amends_barrier") || message.contains("amends_fence");
    is_ours
        && (error.code().is_some_and(|code| matches!(&*code, "42P01" | "42S02"))
            || message.starts_with("no such table"))
}

#[cfg(feature = "redis")]
impl From<redis::RedisError> for Error {
    fn from(error: redis::RedisError) -> Self {
        if error.kind() == redis::ErrorKind::UnexpectedReturnType {
            return Self::Store(error.into());
        }
        Self::Unavailable(error.into())
    }
}
