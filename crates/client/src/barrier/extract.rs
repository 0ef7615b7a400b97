//! The barrier as axum extracts it, and its errors as responses.

use axum::extract::{FromRef, FromRequestParts};
use axum::response::{IntoResponse, Response};
use http::request::Parts;
use http::{HeaderValue, StatusCode, header};

use super::{Error, Ledger, TwoCall};
use crate::participant::{Answer, Call, CallError};

#[cfg(feature = "sql")]
impl<S, DB> FromRequestParts<S> for super::Barrier<DB>
where
    S: Send + Sync,
    DB: super::SqlStore,
    sqlx::Pool<DB>: FromRef<S>,
{
    type Rejection = CallError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, CallError> {
        let call = Call::from_headers(&parts.headers)?;
        Ok(Self::new(sqlx::Pool::from_ref(state), call))
    }
}

impl<S, L> FromRequestParts<S> for TwoCall<L>
where
    S: Send + Sync,
    L: Ledger + FromRef<S>,
{
    type Rejection = CallError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, CallError> {
        let call = Call::from_headers(&parts.headers)?;
        Ok(Self::new(L::from_ref(state), call))
    }
}

impl IntoResponse for Error {
    fn into_response(self) -> Response {
        let (status, code) = match &self {
            Self::Busy { .. } => (StatusCode::SERVICE_UNAVAILABLE, "call-at-work"),
            Self::Lost => (StatusCode::SERVICE_UNAVAILABLE, "call-taken-over"),
            Self::Unavailable(_) => (StatusCode::SERVICE_UNAVAILABLE, "store-unavailable"),
            Self::RolledBack => (StatusCode::CONFLICT, "rolled-back"),
            // Never a refusal: it has had its effect.
            Self::CommittedBefore => (StatusCode::INTERNAL_SERVER_ERROR, "committed-before"),
            Self::AnswerTooLong { .. } => (StatusCode::INTERNAL_SERVER_ERROR, "answer-too-long"),
            Self::NotMigrated(_) => (StatusCode::INTERNAL_SERVER_ERROR, "barrier-not-migrated"),
            Self::Misuse(_) => (StatusCode::INTERNAL_SERVER_ERROR, "barrier-misused"),
            Self::Store(_) => (StatusCode::INTERNAL_SERVER_ERROR, "store-failed"),
            Self::Work(_) => (StatusCode::INTERNAL_SERVER_ERROR, "work-failed"),
        };
        if !matches!(self, Self::Busy { .. }) {
            // What lies below may hold data; it is for the log, not for the caller.
            tracing::warn!(error = &self as &dyn std::error::Error, code, "call not settled");
        }
        let mut response = Answer::refused(status, code, &self.to_string()).into_response();
        if let Some(after) = self.retry_after() {
            let after_s = HeaderValue::from(after.as_secs().max(1));
            response.headers_mut().insert(header::RETRY_AFTER, after_s);
        }
        response
    }
}
