//! What can go wrong with a request, and what its caller can do then.

use std::fmt;
use std::time::Duration;

use serde::Deserialize;

use super::words::{Severity, Status};

/// Why a request has no good answer, after all attempts.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The request could not be made; nothing was sent. Mend the call.
    #[error("nothing was sent: {0}")]
    Invalid(String),
    /// The server answered with a problem document: look at its `code`.
    #[error(transparent)]
    Problem(Box<Problem>),
    /// No attempt was answered. Repeat the request under the same key, id or branch: with
    /// `maybe_sent` it may have taken effect, otherwise nothing has happened.
    #[error(
        "{url} did not answer ({attempts} attempts); {}: {}",
        if *maybe_sent { "the request may have taken effect" } else { "nothing has happened" },
        innermost(source.as_ref())
    )]
    NoAnswer {
        /// Whom the last attempt asked, without its query.
        url: String,
        /// Attempts that were made.
        attempts: u32,
        /// Whether an attempt may have reached a server.
        maybe_sent: bool,
        /// What was wrong with the last attempt.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The answer is not one of this API: a proxy's, or another server's. Look at the base URL.
    #[error("{url} answered {status}, but not as a coordinator does: {detail}")]
    Unexpected {
        /// Who answered, without its query.
        url: String,
        /// HTTP status.
        status: u16,
        /// What is strange about it.
        detail: String,
    },
    /// An interactive transaction is not running, so that no branch can be enlisted: it still
    /// waits for its lock keys, or it is over. Nothing that its closure does has happened.
    #[error("transaction {saga} is {status}, not running; its work was not begun")]
    NotRunning {
        /// Its id.
        saga: String,
        /// Where it stands.
        status: Status,
    },
    /// The commit was asked for, and it is not known whether it is decided. Ask again by
    /// `client.interactive(saga).commit()`: the decision is the same for all who ask.
    #[error("transaction {saga} may be committed or not; ask again: {source}")]
    CommitUnknown {
        /// The transaction's id.
        saga: String,
        /// What went wrong.
        source: Box<Error>,
    },
}

/// The result of a request.
pub type Result<T> = std::result::Result<T, Error>;

impl Error {
    /// The problem document, if the server answered with one.
    pub fn problem(&self) -> Option<&Problem> {
        match self {
            Self::Problem(problem) => Some(problem),
            Self::CommitUnknown { source, .. } => source.problem(),
            Self::Invalid(_)
            | Self::NoAnswer { .. }
            | Self::Unexpected { .. }
            | Self::NotRunning { .. } => None,
        }
    }

    /// The problem's stable code, such as `saga-not-found`.
    pub fn code(&self) -> Option<&str> {
        self.problem().map(|problem| problem.code.as_str())
    }

    /// Whether the same request may succeed later without being changed.
    pub fn is_retryable(&self) -> bool {
        match self {
            Self::Problem(problem) => problem.retryable,
            Self::NoAnswer { .. } | Self::CommitUnknown { .. } => true,
            Self::Unexpected { status, .. } => matches!(status, 408 | 429 | 502..=504),
            Self::Invalid(_) | Self::NotRunning { .. } => false,
        }
    }

    /// Whether the request may have taken effect although this is an error: an attempt may have
    /// reached the server without its answer reaching us.
    ///
    /// A refusal such as `callback-late` or `saga-ended` then possibly speaks of the effect of
    /// our own earlier attempt.
    pub fn may_have_taken_effect(&self) -> bool {
        match self {
            Self::Problem(problem) => problem.maybe_done_before || problem.is_undecided(),
            Self::NoAnswer { maybe_sent, .. } => *maybe_sent,
            Self::Unexpected { status, .. } => *status < 400 || *status >= 500,
            Self::CommitUnknown { .. } => true,
            Self::Invalid(_) | Self::NotRunning { .. } => false,
        }
    }
}

/// A problem document (RFC 9457); members of later servers are passed over.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
#[non_exhaustive]
pub struct Problem {
    /// Where the code is explained, relative to the server.
    #[serde(rename = "type")]
    pub about: String,
    /// A few words, the same for every problem of this code.
    pub title: String,
    /// HTTP status.
    pub status: u16,
    /// Stable code; act on it.
    pub code: String,
    /// One sentence about this occurrence.
    pub detail: String,
    /// Whether the same request may succeed later without being changed.
    pub retryable: bool,
    /// JSON pointer into the request's body.
    pub pointer: Option<String>,
    /// Everything that is wrong with the body.
    pub faults: Vec<Fault>,
    /// Commands that are permitted now: `command`, or `step/command`.
    pub allowed: Vec<String>,
    /// Definitions that stand in the way.
    pub definitions: Vec<String>,
    /// `Retry-After` of the answer.
    #[serde(skip)]
    pub retry_after: Option<Duration>,
    /// Attempts that were made.
    #[serde(skip)]
    pub attempts: u32,
    /// Whether an attempt before this answer may have taken effect unheard.
    #[serde(skip)]
    pub maybe_done_before: bool,
}

/// One thing that is wrong with a document.
#[derive(Clone, Debug, Deserialize)]
#[non_exhaustive]
pub struct Fault {
    /// JSON pointer (RFC 6901) to the place; empty for the whole document.
    #[serde(default)]
    pub pointer: String,
    /// Stable code.
    #[serde(default)]
    pub code: String,
    /// Error or warning.
    pub severity: Severity,
    /// What is wrong and what to do about it.
    #[serde(default)]
    pub detail: String,
}

impl Problem {
    /// Whether the server says that it does not know whether the request took effect, or cannot
    /// know: a status of a gateway.
    pub(crate) fn is_undecided(&self) -> bool {
        match self.status {
            502 | 504 => true,
            503 => !matches!(self.code.as_str(), "draining" | "overloaded"),
            _ => self.status == 500,
        }
    }
}

impl std::error::Error for Problem {}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let what = if self.detail.is_empty() { &self.title } else { &self.detail };
        write!(f, "{what} ({}, HTTP {})", self.code, self.status)?;
        if let Some(pointer) = self.pointer.as_deref().filter(|pointer| !pointer.is_empty()) {
            write!(f, " at {pointer}")?;
        }
        for fault in &self.faults {
            write!(f, "; {fault}")?;
        }
        if !self.allowed.is_empty() {
            write!(f, "; allowed now: {}", self.allowed.join(", "))?;
        }
        if self.maybe_done_before {
            f.write_str("; an earlier attempt may have taken effect")?;
        }
        if self.retryable {
            f.write_str("; the same request may succeed later")?;
        }
        Ok(())
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let place = if self.pointer.is_empty() { "whole document" } else { &self.pointer };
        write!(f, "{} {} at {place}: {}", self.severity, self.code, self.detail)
    }
}

fn innermost(error: &(dyn std::error::Error + 'static)) -> String {
    let mut reason = error;
    while let Some(deeper) = reason.source() {
        reason = deeper;
    }
    reason.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_problem_tells_what_where_and_what_to_do() {
        let problem: Problem = serde_json::from_value(serde_json::json!({
            "type": "/docs/errors#pivot-undecided", "status": 409, "code": "pivot-undecided",
            "detail": "saga a cannot be cancelled", "retryable": true, "pointer": "/steps/1",
            "allowed": ["pause", "retry"], "a_later_member": 1,
            "faults": [{"pointer": "", "code": "cycle", "severity": "error", "detail": "d"}],
        }))
        .unwrap();
        let text = problem.to_string();
        assert_eq!(
            text,
            "saga a cannot be cancelled (pivot-undecided, HTTP 409) at /steps/1; error cycle at \
             whole document: d; allowed now: pause, retry; the same request may succeed later"
        );
    }

    #[test]
    fn only_some_answers_are_undecided() {
        for (status, code, expected) in [
            (409, "saga-ended", false),
            (422, "bad-id", false),
            (429, "overloaded", false),
            (500, "internal", true),
            (502, "", true),
            (503, "draining", false),
            (503, "overloaded", false),
            (503, "outcome-unknown", true),
            (503, "owner-unreachable", true),
            (504, "", true),
        ] {
            let problem = Problem { status, code: code.to_owned(), ..Problem::default() };
            let error = Error::Problem(Box::new(problem));
            assert_eq!(error.may_have_taken_effect(), expected, "{status} {code}");
        }
    }
}
