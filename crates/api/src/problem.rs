//! Problem documents (RFC 9457): the one form of every error that leaves this API.
//!
//! A [`Problem`] may carry its cause. The cause is logged once, here, when the answer is made of
//! it, and is never sent.

use std::error::Error;

use amends_core::definition;
use axum::response::{IntoResponse, Response};
use http::{HeaderValue, header};

use crate::ErrorCode;
use crate::wire::{Fault, ProblemBody};

/// The media type of problem documents.
pub(crate) const MEDIA_TYPE: &str = "application/problem+json";

/// Seconds that a client is asked to wait before it repeats a request that failed for now.
const RETRY_AFTER_S: u32 = 1;

/// Why a request was not carried out.
#[derive(Debug)]
pub struct Problem(Box<Parts>);

#[derive(Debug)]
struct Parts {
    code: ErrorCode,
    detail: String,
    pointer: Option<String>,
    faults: Vec<Fault>,
    allowed: Option<Vec<String>>,
    definitions: Vec<String>,
    source: Option<Box<dyn Error + Send + Sync>>,
}

/// What a handler answers.
pub(crate) type Result<T> = std::result::Result<T, Problem>;

impl Problem {
    /// A problem of this code; `detail` is one sentence about this occurrence.
    pub fn new(code: ErrorCode, detail: impl Into<String>) -> Self {
        Self(Box::new(Parts {
            code,
            detail: detail.into(),
            pointer: None,
            faults: Vec::new(),
            allowed: None,
            definitions: Vec::new(),
            source: None,
        }))
    }

    /// A fault of the server: `source` goes to the log alone.
    pub fn internal(source: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self::new(ErrorCode::Internal, ErrorCode::Internal.meaning()).caused_by(source)
    }

    /// With the place in the request's document, as a JSON pointer.
    #[must_use]
    pub(crate) fn at(mut self, pointer: impl Into<String>) -> Self {
        self.0.pointer = Some(pointer.into());
        self
    }

    /// With the commands that would be permitted.
    #[must_use]
    pub(crate) fn allowing(mut self, allowed: Vec<String>) -> Self {
        self.0.allowed = Some(allowed);
        self
    }

    /// With the definitions that stand in the way.
    #[must_use]
    pub(crate) fn naming(mut self, definitions: Vec<String>) -> Self {
        self.0.definitions = definitions;
        self
    }

    /// With its cause, for the log.
    #[must_use]
    pub(crate) fn caused_by(mut self, source: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        self.0.source = Some(source.into());
        self
    }

    /// With everything that is wrong with a document. The first error gives the pointer.
    #[must_use]
    pub(crate) fn listing(mut self, faults: Vec<Fault>) -> Self {
        self.0.pointer = faults.first().map(|fault| fault.pointer.clone());
        self.0.faults = faults;
        self
    }

    /// The problem of a body with these faults, at least one: its code is that of the first.
    pub(crate) fn of_body(faults: &[definition::Fault]) -> Self {
        let first = faults.first();
        let code = first.map_or(ErrorCode::WrongType, |fault| code_of(fault.code));
        let detail = first.map(|fault| fault.detail.clone()).unwrap_or_default();
        Self::new(code, detail).listing(faults.iter().map(Fault::from).collect())
    }

    /// Its code.
    pub fn code(&self) -> ErrorCode {
        self.0.code
    }

    /// What operators must hear of, if anything.
    fn failure(&self) -> Option<RequestFailure> {
        let code = self.0.code;
        let is_expected = matches!(code, ErrorCode::Draining | ErrorCode::Overloaded);
        (code.status().is_server_error() && !is_expected).then(|| RequestFailure {
            code,
            source: self.0.source.as_deref().map(chain).unwrap_or_default(),
            detail: self.0.detail.clone(),
        })
    }
}

/// A request failed, and not by its sender's fault. Travels with the answer to where the request is
/// known.
#[derive(Clone, Debug)]
pub(crate) struct RequestFailure {
    code: ErrorCode,
    source: String,
    detail: String,
}

impl RequestFailure {
    pub(crate) fn log(&self, method: &str, route: &str, id: &str) {
        let Self { code, source, detail } = self;
        let (word, status) = (code.as_str(), code.status().as_u16());
        macro_rules! log {
            ($level:ident) => {
                tracing::$level!(
                    code = word,
                    status,
                    source,
                    http.request.method = method,
                    http.route = route,
                    request.id = id,
                    "request failed: {detail}"
                )
            };
        }
        if *code == ErrorCode::Internal { log!(error) } else { log!(warn) }
    }
}

/// The code of a problem whose first fault is this one.
fn code_of(fault: definition::FaultCode) -> ErrorCode {
    use definition::FaultCode as Code;
    match fault {
        Code::UnknownField => ErrorCode::UnknownField,
        Code::MissingField => ErrorCode::MissingField,
        Code::FieldConflict => ErrorCode::FieldConflict,
        Code::BadId => ErrorCode::BadId,
        Code::OutOfRange | Code::TooLarge => ErrorCode::OutOfRange,
        Code::Syntax
        | Code::WrongType
        | Code::DuplicateId
        | Code::UnknownStep
        | Code::Cycle
        | Code::UnknownParticipant
        | Code::BadExpression
        | Code::UnknownReference
        | Code::MissingUndo
        | Code::TwoPivots
        | Code::CannotBeOptional
        | Code::IncompleteTcc
        | Code::TccPastPivot
        | Code::ForbiddenHeader
        | Code::BadSchema
        | Code::BadEndpoint
        | Code::TargetNotAllowed
        | Code::BadSecret
        | Code::NotSupported
        | Code::UndoReadsUnknown
        | Code::RetryPastDeadline
        | Code::NoTimeout
        | Code::ConcurrentWrites
        | Code::NoLock
        | Code::UselessUndo => ErrorCode::WrongType,
    }
}

/// An error with all its causes, in one line.
fn chain(error: &(dyn Error + Send + Sync)) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        next = cause.source();
    }
    text
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let failure = self.failure();
        let Parts { code, detail, pointer, faults, allowed, definitions, source: _ } = *self.0;
        let body = ProblemBody {
            r#type: format!("/docs/errors#{}", code.as_str()),
            title: code.title(),
            status: code.status().as_u16(),
            code: code.as_str(),
            detail,
            retryable: code.is_retryable(),
            pointer,
            faults,
            allowed,
            definitions,
        };
        // Texts and lists of texts always have a JSON form.
        let body = serde_json::to_vec(&body).unwrap_or_default();
        let mut response = (code.status(), body).into_response();
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(MEDIA_TYPE));
        if code.is_retryable() && code.status() == http::StatusCode::SERVICE_UNAVAILABLE {
            headers.insert(header::RETRY_AFTER, HeaderValue::from(RETRY_AFTER_S));
        }
        if let Some(failure) = failure {
            response.extensions_mut().insert(failure);
        }
        response
    }
}
