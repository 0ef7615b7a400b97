//! What a participant answers: an output, a refusal, or a failure of its own.

use bytes::Bytes;
use http::StatusCode;
use serde_json::{Value, json};

/// The content type of an output.
const JSON: &str = "application/json";
/// The content type of a reason.
const PROBLEM: &str = "application/problem+json";

/// A status and a body, as they go to the coordinator and into the barrier's row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// Its status; [`Answer::kind`] tells how the coordinator reads it.
    pub status: StatusCode,
    /// The type of the body; none where there is no body.
    pub content_type: Option<String>,
    /// The output or the reason.
    pub body: Bytes,
}

/// How a coordinator reads an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// It took effect (or, with 202, will): 2xx.
    Success,
    /// It had no effect and asking again changes nothing: 4xx but those below.
    Refusal,
    /// Ask again: 408, 425, 429, 5xx, and everything that is no answer to a call.
    Retry,
}

impl Answer {
    /// 200 with an output.
    pub fn ok(output: impl Into<Value>) -> Self {
        Self::json(StatusCode::OK, &output.into())
    }

    /// 201 with an output.
    pub fn created(output: impl Into<Value>) -> Self {
        Self::json(StatusCode::CREATED, &output.into())
    }

    /// 204: done, and nothing to tell.
    pub fn empty() -> Self {
        Self { status: StatusCode::NO_CONTENT, content_type: None, body: Bytes::new() }
    }

    /// A status with a JSON body.
    pub fn json(status: StatusCode, body: &Value) -> Self {
        Self { status, content_type: Some(JSON.to_owned()), body: Bytes::from(body.to_string()) }
    }

    /// A no, as a problem document (RFC 9457). With a 4xx status it is final: nothing was done,
    /// and asking again changes nothing. `code` is a short word for programs, `detail` a sentence
    /// for people; neither may hold secrets.
    pub fn refused(status: StatusCode, code: &str, detail: &str) -> Self {
        let body =
            json!({ "title": code, "status": status.as_u16(), "code": code, "detail": detail });
        Self { status, content_type: Some(PROBLEM.to_owned()), body: Bytes::from(body.to_string()) }
    }

    /// 409 with a problem document.
    pub fn conflict(code: &str, detail: &str) -> Self {
        Self::refused(StatusCode::CONFLICT, code, detail)
    }

    /// How a coordinator reads it, unless the definition says otherwise.
    pub fn kind(&self) -> Kind {
        match self.status.as_u16() {
            200..=299 => Kind::Success,
            408 | 425 | 429 => Kind::Retry,
            400..=499 => Kind::Refusal,
            _ => Kind::Retry,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds_follow_the_contract() {
        for (status, kind) in [
            (200, Kind::Success),
            (202, Kind::Success),
            (302, Kind::Retry),
            (404, Kind::Refusal),
            (408, Kind::Retry),
            (409, Kind::Refusal),
            (425, Kind::Retry),
            (429, Kind::Retry),
            (451, Kind::Refusal),
            (500, Kind::Retry),
            (503, Kind::Retry),
        ] {
            let status = StatusCode::from_u16(status).unwrap();
            assert_eq!(Answer::json(status, &json!(null)).kind(), kind, "{status}");
        }
    }

    #[test]
    fn a_refusal_is_a_problem_document() {
        let answer = Answer::conflict("empty-shelf", "fewer than 3 are left");
        assert_eq!(answer.content_type.as_deref(), Some("application/problem+json"));
        let body: Value = serde_json::from_slice(&answer.body).unwrap();
        assert_eq!(body["status"], 409);
        assert_eq!(body["code"], "empty-shelf");
    }
}
