//! What a participant answers: an output, a refusal, or a failure of its own.

use axum::Json;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};

/// A settled answer: the same for every attempt of a call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// Its status: 2xx took effect, 4xx had none.
    pub status: StatusCode,
    /// The output, or a problem document.
    pub body: Value,
}

impl Answer {
    /// 200 with an output.
    pub fn ok(body: Value) -> Self {
        Self { status: StatusCode::OK, body }
    }

    /// 201 with an output.
    pub fn created(body: Value) -> Self {
        Self { status: StatusCode::CREATED, body }
    }

    /// A no that is final: nothing was done, and asking again changes nothing.
    pub fn refused(status: StatusCode, code: &str, detail: &str) -> Self {
        let body =
            json!({ "title": code, "status": status.as_u16(), "code": code, "detail": detail });
        Self { status, body }
    }

    /// Whether it is a no.
    pub fn is_refusal(&self) -> bool {
        !self.status.is_success()
    }
}

impl IntoResponse for Answer {
    fn into_response(self) -> Response {
        let is_refusal = self.is_refusal();
        let mut response = (self.status, Json(self.body)).into_response();
        if is_refusal {
            let problem = HeaderValue::from_static("application/problem+json");
            response.headers_mut().insert(header::CONTENT_TYPE, problem);
        }
        response
    }
}

/// The database failed: nothing was done, so the caller may ask again.
#[derive(Debug)]
pub struct Failure(sqlx::Error);

impl From<sqlx::Error> for Failure {
    fn from(error: sqlx::Error) -> Self {
        Self(error)
    }
}

impl IntoResponse for Failure {
    fn into_response(self) -> Response {
        tracing::error!(error = &self.0 as &dyn std::error::Error, "database failed");
        let detail = "the database failed; nothing was done, ask again";
        Answer::refused(StatusCode::INTERNAL_SERVER_ERROR, "database-failed", detail)
            .into_response()
    }
}
