//! How a statement can fail, by what has happened then.

use amends_ports::store::{Error, WriteError};

/// Why a method has no answer.
#[derive(Debug)]
pub(super) enum Failure {
    /// Nothing was written.
    NotWritten(Box<dyn std::error::Error + Send + Sync>),
    /// It is not known whether the commit happened.
    Unknown(Box<dyn std::error::Error + Send + Sync>),
    /// What was read makes no sense.
    Corrupt(String),
    /// This release is too old for the file.
    Outdated(String),
}

/// SQLite's class of errors of reading and writing the disk.
const IO_ERROR: i32 = 10;

impl Failure {
    pub(super) fn not_written(what: impl Into<String>) -> Self {
        Self::NotWritten(what.into().into())
    }

    /// What a failed commit means, if the transaction could be rolled back afterwards or not.
    pub(super) fn of_commit(error: sqlx::Error, rolled_back: bool) -> Self {
        // When the disk failed, the commit may stand in the log and come back at the next start.
        if rolled_back && primary_code(&error) != Some(IO_ERROR) {
            Self::NotWritten(error.into())
        } else {
            Self::Unknown(error.into())
        }
    }
}

fn primary_code(error: &sqlx::Error) -> Option<i32> {
    let sqlx::Error::Database(error) = error else { return None };
    // Extended codes hold the primary one in the lowest byte.
    error.code()?.parse::<i32>().ok().map(|code| code & 0xff)
}

impl From<sqlx::Error> for Failure {
    fn from(error: sqlx::Error) -> Self {
        if matches!(
            error,
            sqlx::Error::ColumnDecode { .. }
                | sqlx::Error::Decode(_)
                | sqlx::Error::ColumnIndexOutOfBounds { .. }
                | sqlx::Error::ColumnNotFound(_)
        ) {
            return Self::Corrupt(error.to_string());
        }
        Self::NotWritten(error.into())
    }
}

impl From<Failure> for Error {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::NotWritten(source) | Failure::Unknown(source) => Self::Unavailable(source),
            Failure::Corrupt(what) => Self::Corrupt(what),
            Failure::Outdated(what) => Self::Outdated(what),
        }
    }
}

impl From<Failure> for WriteError {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::NotWritten(source) => Self::Unavailable(source),
            Failure::Unknown(source) => Self::OutcomeUnknown(source),
            Failure::Corrupt(what) | Failure::Outdated(what) => Self::Unavailable(what.into()),
        }
    }
}
