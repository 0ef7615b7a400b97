//! Calls and answers as axum extracts and sends them.

use axum::body::Body;
use axum::extract::FromRequestParts;
use axum::response::{IntoResponse, Response};
use http::request::Parts;
use http::{HeaderValue, StatusCode, header};

use super::{Answer, Call, CallError};

impl<S: Sync> FromRequestParts<S> for Call {
    type Rejection = CallError;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, CallError> {
        Self::from_headers(&parts.headers)
    }
}

impl IntoResponse for CallError {
    fn into_response(self) -> Response {
        Answer::refused(StatusCode::BAD_REQUEST, "bad-header", &self.to_string()).into_response()
    }
}

impl IntoResponse for Answer {
    fn into_response(self) -> Response {
        let mut response = Response::new(Body::from(self.body));
        *response.status_mut() = self.status;
        let content_type = self.content_type.and_then(|text| HeaderValue::try_from(text).ok());
        if let Some(content_type) = content_type {
            response.headers_mut().insert(header::CONTENT_TYPE, content_type);
        }
        response
    }
}
