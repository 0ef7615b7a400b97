//! What came back from one attempt, and what a coordinator reads from it.

use std::fmt;

use bytes::Bytes;
use serde_json::Value;

/// Longest part of a participant's own words that a report repeats.
const REASON_CHARS_MAX: usize = 100;

/// What became of one attempt.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Answer {
    /// It was answered.
    Given {
        /// HTTP status.
        status: u16,
        /// The body: JSON where it is, else its text.
        body: Value,
    },
    /// No answer, or none that can be read; a sentence.
    Lost(String),
    /// The definition gives no request here; nothing was sent. A sentence.
    Unsent(String),
}

/// What a coordinator reads from an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    Succeeded,
    Refused,
    Retryable,
    Unknown,
}

impl Answer {
    /// Of a status and the bytes of a body.
    pub(crate) fn given(status: u16, body: &Bytes) -> Self {
        let text = || Value::String(String::from_utf8_lossy(body).into_owned());
        let body = match serde_json::from_slice(body) {
            Ok(value) => value,
            Err(_) if body.is_empty() => Value::Null,
            Err(_) => text(),
        };
        Self::Given { status, body }
    }

    /// The contract's reading of it, without overrides.
    pub(crate) fn outcome(&self) -> Outcome {
        match self {
            Self::Given { status: 200..=299, .. } => Outcome::Succeeded,
            Self::Given { status: 408 | 425 | 429 | 500..=599, .. } => Outcome::Retryable,
            Self::Given { status: 400..=499, .. } => Outcome::Refused,
            Self::Given { .. } | Self::Lost(_) | Self::Unsent(_) => Outcome::Unknown,
        }
    }

    pub(crate) fn succeeded(&self) -> bool {
        self.outcome() == Outcome::Succeeded
    }

    pub(crate) fn refused(&self) -> bool {
        self.outcome() == Outcome::Refused
    }

    /// Whether the participant has fallen over, as far as one answer shows.
    pub(crate) fn crashed(&self) -> bool {
        matches!(self, Self::Lost(_) | Self::Given { status: 500..=599, .. })
    }

    /// The body of an answer that succeeded.
    pub(crate) fn output(&self) -> Option<&Value> {
        match self {
            Self::Given { body, .. } if self.succeeded() => Some(body),
            Self::Given { .. } | Self::Lost(_) | Self::Unsent(_) => None,
        }
    }

    /// The status and, where it is no success, the participant's own words.
    pub(crate) fn with_reason(&self) -> String {
        match (self, self.reason()) {
            (Self::Given { .. }, Some(reason)) => format!("{self} ({reason})"),
            _ => self.to_string(),
        }
    }

    /// What became of the call, as the rest of a sentence.
    pub(crate) fn told(&self) -> String {
        match self {
            Self::Given { .. } => format!("was answered {}", self.with_reason()),
            Self::Lost(why) => format!("was not answered ({why})"),
            Self::Unsent(why) => format!("could not be sent ({why})"),
        }
    }

    fn reason(&self) -> Option<String> {
        let Self::Given { body, .. } = self else { return None };
        if self.succeeded() {
            return None;
        }
        let member = |name: &str| body.get(name).and_then(Value::as_str);
        let text = ["detail", "title", "message", "error"].iter().find_map(|name| member(name));
        text.or(body.as_str()).map(printable).filter(|text| !text.is_empty())
    }
}

/// The status, or why there is none.
impl fmt::Display for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Given { status, .. } => write!(f, "{status}"),
            Self::Lost(why) => write!(f, "no answer ({why})"),
            Self::Unsent(why) => write!(f, "not sent ({why})"),
        }
    }
}

/// One line of `text` that no terminal takes for a command.
pub(crate) fn printable(text: &str) -> String {
    let words: Vec<&str> = text.split_whitespace().collect();
    let line: String = words.join(" ").chars().filter(|c| !c.is_control()).collect();
    if line.chars().count() <= REASON_CHARS_MAX {
        return line;
    }
    line.chars().take(REASON_CHARS_MAX).chain(['…']).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn given(status: u16, body: &'static str) -> Answer {
        Answer::given(status, &Bytes::from_static(body.as_bytes()))
    }

    #[test]
    fn statuses_are_read_as_the_contract_says() {
        for (status, outcome) in [
            (201, Outcome::Succeeded),
            (302, Outcome::Unknown),
            (409, Outcome::Refused),
            (429, Outcome::Retryable),
            (503, Outcome::Retryable),
        ] {
            assert_eq!(given(status, "").outcome(), outcome, "{status}");
        }
    }

    #[test]
    fn answers_are_the_same_if_their_json_is() {
        assert_eq!(given(200, r#"{"a":1,"b":2}"#), given(200, r#"{ "b": 2, "a": 1 }"#));
        assert_ne!(given(200, r#"{"a":1}"#), given(201, r#"{"a":1}"#));
        assert_ne!(given(200, "yes"), given(200, "no"));
    }

    #[test]
    fn reasons_are_one_harmless_line() {
        let answer = given(409, "{\"title\": \"sold\\u001b[2J\\nout\"}");
        assert_eq!(answer.with_reason(), "409 (sold[2J out)");
        assert_eq!(given(200, r#"{"detail":"x"}"#).with_reason(), "200");
        assert!(given(400, Box::leak("x".repeat(999).into_boxed_str())).with_reason().len() < 120);
    }
}
