//! An attempt that got no answer.

use std::time::Duration;

use amends_core::saga::{Answer, AttemptFailure, OutcomeKind, Problem};

/// Longest detail of a problem, in bytes.
const DETAIL_BYTES_MAX: usize = 1024;

/// Why there is no answer.
#[derive(Debug)]
pub(crate) struct Failure {
    pub(crate) kind: AttemptFailure,
    /// Whether anything may have reached the participant.
    pub(crate) sent: bool,
    pub(crate) detail: String,
    pub(crate) retry_after: Option<Duration>,
    pub(crate) status: Option<u16>,
}

impl Failure {
    /// Nothing was sent.
    pub(crate) fn unsent(kind: AttemptFailure, detail: impl Into<String>) -> Self {
        Self { kind, sent: false, detail: detail.into(), retry_after: None, status: None }
    }

    /// Something may have been sent.
    pub(crate) fn sent(kind: AttemptFailure, detail: impl Into<String>) -> Self {
        Self { sent: true, ..Self::unsent(kind, detail) }
    }

    /// Whether it tells against the endpoint: no connection to it could be made.
    pub(crate) fn is_of_connection(&self) -> bool {
        !self.sent
            && matches!(
                self.kind,
                AttemptFailure::Connect | AttemptFailure::Dns | AttemptFailure::Tls
            )
    }

    /// As the engine takes it.
    pub(crate) fn into_answer(self) -> Answer {
        let outcome = match (self.sent, self.kind) {
            (true, _) => OutcomeKind::Unknown,
            // The same request would fail the same way for ever.
            (false, AttemptFailure::Expression) => OutcomeKind::Refused,
            (false, _) => OutcomeKind::Retryable,
        };
        let (retry_after, sent) = (self.retry_after, self.sent);
        Answer { retry_after, ..Answer::failed(outcome, sent, self.into_problem()) }
    }

    /// For people and the journal.
    pub(crate) fn into_problem(self) -> Problem {
        let detail = shortened(self.detail);
        Problem { kind: self.kind, status: self.status, detail, body: None }
    }
}

/// At most [`DETAIL_BYTES_MAX`] bytes of `text`.
pub(crate) fn shortened(mut text: String) -> String {
    if text.len() > DETAIL_BYTES_MAX {
        text.truncate(text.floor_char_boundary(DETAIL_BYTES_MAX - 3));
        text.push('…');
    }
    text
}
