//! Problem documents and the faults in them.

use amends_core::definition::{self, Severity, Violation};
use serde::Serialize;
use utoipa::ToSchema;

use crate::ErrorCode;

/// A problem document (RFC 9457).
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Problem)]
pub struct ProblemBody {
    /// Where the code is explained, relative to the server.
    #[schema(format = "uri-reference", example = "/docs/errors#saga-not-found")]
    pub r#type: String,
    /// A few words, the same for every problem of this code.
    #[schema(value_type = String)]
    pub title: &'static str,
    /// The HTTP status.
    #[schema(minimum = 400, maximum = 599)]
    pub status: u16,
    /// Stable code.
    #[schema(value_type = String, example = "saga-not-found")]
    pub code: &'static str,
    /// One sentence about this occurrence.
    pub detail: String,
    /// Whether the same request may succeed later without being changed.
    pub retryable: bool,
    /// JSON pointer into the request's body.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pointer: Option<String>,
    /// Everything that is wrong with the body.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub faults: Vec<Fault>,
    /// Commands that would be permitted now: `command`, or `step/command`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub allowed: Option<Vec<String>>,
    /// Definitions that stand in the way.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub definitions: Vec<String>,
}

/// One thing that is wrong with a document.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Fault {
    /// JSON pointer (RFC 6901) to the place; empty for the whole document.
    pub pointer: String,
    /// Stable code.
    #[schema(value_type = String, example = "unknown-field")]
    pub code: &'static str,
    /// Error or warning.
    pub severity: SeverityWord,
    /// What is wrong and what to do about it.
    pub detail: String,
}

/// Whether a fault refuses the document.
#[derive(Clone, Copy, Debug, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(as = Severity)]
pub enum SeverityWord {
    /// The document is refused.
    Error,
    /// The document is taken; its author should look.
    Warning,
}

impl From<&definition::Fault> for Fault {
    fn from(fault: &definition::Fault) -> Self {
        Self {
            pointer: fault.pointer.clone(),
            code: fault.code.as_str(),
            severity: match fault.severity {
                Severity::Error => SeverityWord::Error,
                Severity::Warning => SeverityWord::Warning,
            },
            detail: fault.detail.clone(),
        }
    }
}

impl Fault {
    /// A violation of the input's schema, as a fault of the start request.
    pub(crate) fn of_input(violation: &Violation) -> Self {
        Self {
            pointer: format!("/input{}", violation.pointer),
            code: ErrorCode::InputInvalid.as_str(),
            severity: SeverityWord::Error,
            detail: violation.detail.clone(),
        }
    }
}
