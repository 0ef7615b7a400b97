//! How a statement can fail, by what has happened then.

use amends_ports::store::Error;
use sqlx::postgres::{PgDatabaseError, PgSeverity};

type Source = Box<dyn std::error::Error + Send + Sync>;

/// A division by zero: how a statement of ours voids itself when another one was in its way.
const LOST_RACE: &str = "22012";

/// Why a statement has no answer.
#[derive(Debug)]
pub(super) enum Failure {
    /// No connection was to be had: nothing was sent.
    Unreachable(Source),
    /// The server rolled the transaction back because of another one: do it again, whole.
    Conflict(Source),
    /// The server refused the statement: its transaction is void.
    Refused(sqlx::Error),
    /// The connection or the answer was lost: the statement may have happened, or still may. The
    /// connection must not be used again.
    Lost(Source),
    /// The answer could not be read.
    Corrupt(String),
    /// What was asked contradicts what is stored; nothing was changed.
    Unfit(String),
}

impl Failure {
    /// Sorts what the database library reports.
    pub(super) fn of(error: sqlx::Error) -> Self {
        let sqlx::Error::Database(inner) = &error else { return Self::without_answer(error) };
        let Some(answer) = inner.try_downcast_ref::<PgDatabaseError>() else {
            return Self::Lost(error.into());
        };
        let code = answer.code();
        // Fatal ones may come after the commit, when the server shuts down. Class 25 holds the
        // read-only server: one that was the primary until a moment ago.
        let is_lost = matches!(answer.severity(), PgSeverity::Fatal | PgSeverity::Panic)
            || code.starts_with("08")
            || code.starts_with("57P");
        if is_lost {
            Self::Lost(error.into())
        } else if matches!(code, "40001" | "40P01" | LOST_RACE) {
            Self::Conflict(error.into())
        } else {
            Self::Refused(error)
        }
    }

    fn without_answer(error: sqlx::Error) -> Self {
        let is_content = matches!(
            error,
            sqlx::Error::ColumnDecode { .. }
                | sqlx::Error::Decode(_)
                | sqlx::Error::ColumnIndexOutOfBounds { .. }
                | sqlx::Error::ColumnNotFound(_)
                | sqlx::Error::TypeNotFound { .. }
        );
        if is_content { Self::Corrupt(error.to_string()) } else { Self::Lost(error.into()) }
    }

    /// Whether the connection that it came on can't serve any longer: it is broken, or its server
    /// has become a read-only one.
    pub(super) fn spoils_connection(&self) -> bool {
        match self {
            Self::Lost(_) | Self::Unreachable(_) | Self::Corrupt(_) => true,
            Self::Conflict(_) | Self::Unfit(_) => false,
            Self::Refused(error) => has_code(error, "25006"),
        }
    }

    /// Whether a row with the same key was there.
    pub(super) fn is_duplicate(&self) -> bool {
        matches!(self, Self::Refused(error) if has_code(error, "23505"))
    }

    /// Whether what a statement took for granted is not so: a row with the same key was there, or
    /// a column that must not be NULL was.
    pub(super) fn is_wrong_guess(&self) -> bool {
        self.is_duplicate() || matches!(self, Self::Refused(error) if has_code(error, "23502"))
    }

    pub(super) fn into_source(self) -> Source {
        match self {
            Self::Unreachable(source) | Self::Lost(source) | Self::Conflict(source) => source,
            Self::Refused(error) => error.into(),
            Self::Corrupt(what) | Self::Unfit(what) => what.into(),
        }
    }
}

impl From<Failure> for Error {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::Corrupt(what) => Self::Corrupt(what),
            Failure::Unreachable(_)
            | Failure::Conflict(_)
            | Failure::Refused(_)
            | Failure::Unfit(_)
            | Failure::Lost(_) => Self::Unavailable(failure.into_source()),
        }
    }
}

/// Whether somebody else held a lock for too long, or both waited for each other: tried again it may
/// go.
pub(super) fn is_in_the_way(error: &sqlx::Error) -> bool {
    has_code(error, "55P03") || has_code(error, "40P01")
}

fn has_code(error: &sqlx::Error, code: &str) -> bool {
    matches!(error, sqlx::Error::Database(answer) if answer.code().is_some_and(|c| c == code))
}
