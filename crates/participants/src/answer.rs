//! Reads an answer, within its bounds, and says what it means.

use amends_core::Json;
use amends_core::definition::OutcomeOverride;
use amends_core::saga::{Answer, AttemptFailure, OutcomeKind, Problem};
use amends_ports::OutgoingCall;
use bytes::{Bytes, BytesMut};
use http::header::{CONTENT_ENCODING, CONTENT_TYPE};
use http::{HeaderMap, StatusCode};
use http_body_util::BodyExt as _;
use hyper::body::{Body as _, Incoming};

use crate::classify::classify;
use crate::failure::{Failure, shortened};
use crate::retry_after::retry_after;

/// Deepest JSON that is taken.
const DEPTH_MAX: usize = 64;
/// Longest problem document that is kept.
const PROBLEM_BYTES_MAX: usize = 16 * 1024;
/// Longest sentence that is taken out of a problem document, in characters.
const REASON_CHARS_MAX: usize = 300;

/// An answer that was received whole.
#[derive(Debug)]
pub(crate) struct Received {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

/// The whole body, if it has at most `bytes_max` bytes.
pub(crate) async fn collect(mut body: Incoming, bytes_max: u64) -> Result<Bytes, Failure> {
    let too_large = || {
        let detail = format!("the answer is longer than {bytes_max} bytes (answer_bytes_max)");
        Failure::sent(AttemptFailure::AnswerTooLarge, detail)
    };
    if body.size_hint().lower() > bytes_max {
        return Err(too_large());
    }
    let room = usize::try_from(bytes_max).unwrap_or(usize::MAX);
    // Most answers come in one piece, which is taken without a copy.
    let (mut first, mut joined) = (Bytes::new(), BytesMut::new());
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|error| {
            let detail = format!("the connection broke while the answer was read: {error}");
            Failure::sent(AttemptFailure::Reset, detail)
        })?;
        let Ok(data) = frame.into_data() else { continue };
        if first.len().max(joined.len()) + data.len() > room {
            return Err(too_large());
        }
        if first.is_empty() {
            first = data;
            continue;
        }
        if joined.is_empty() {
            joined.extend_from_slice(&first);
        }
        joined.extend_from_slice(&data);
    }
    Ok(if joined.is_empty() { first } else { joined.freeze() })
}

/// What `received` means for `call`.
pub(crate) fn read(
    received: &Received,
    call: &OutgoingCall,
    participant: &[OutcomeOverride],
) -> Answer {
    let status = received.status.as_u16();
    let outcome = classify(status, call.completion, participant, &call.outcomes);
    let retry_after = retry_after(&received.headers, call.context.now);
    let answer = match outcome {
        OutcomeKind::Succeeded => match output(received) {
            Ok(output) => Answer::succeeded(output),
            Err(detail) => {
                let problem = problem(AttemptFailure::BadAnswer, status, detail);
                Answer::failed(OutcomeKind::Unknown, true, problem)
            }
        },
        OutcomeKind::Pending => Answer { outcome, ..Answer::succeeded(None) },
        OutcomeKind::Refused | OutcomeKind::Retryable | OutcomeKind::Unknown => {
            Answer::failed(outcome, true, reason(received))
        }
    };
    Answer { retry_after, ..answer }
}

/// The JSON of a success: none if the body is empty or something else.
fn output(received: &Received) -> Result<Option<Json>, String> {
    if received.body.is_empty() || !is_json(&received.headers) {
        return Ok(None);
    }
    if let Some(encoding) = coding(&received.headers) {
        return Err(format!("the answer is encoded ({encoding}) although nothing was asked for"));
    }
    let text = std::str::from_utf8(&received.body)
        .map_err(|_| "the answer says that it is JSON but is not UTF-8".to_owned())?;
    Json::parse_bounded(text, DEPTH_MAX)
        .map(Some)
        .map_err(|error| format!("the answer says that it is JSON but cannot be taken: it {error}"))
}

/// Why it was no success, in the participant's own words where it gave them.
fn reason(received: &Received) -> Problem {
    let status = received.status;
    let name = status.canonical_reason().unwrap_or("an unregistered status");
    let said = format!("answered {} {name}", status.as_u16());
    if status.is_redirection() {
        let detail = format!("{said}; redirects are never followed, register the right address");
        return problem(AttemptFailure::Redirect, status.as_u16(), detail);
    }
    let body = problem_document(received);
    let words = body.as_ref().and_then(|json| {
        let value = json.value();
        let text = value.get("detail").or_else(|| value.get("title"))?.as_str()?;
        Some(text.chars().filter(|c| !c.is_control()).take(REASON_CHARS_MAX).collect::<String>())
    });
    let detail = words.map_or_else(|| said.clone(), |words| format!("{said}: {words}"));
    Problem { body, ..problem(AttemptFailure::Status, status.as_u16(), detail) }
}

fn problem_document(received: &Received) -> Option<Json> {
    let fits = (1..=PROBLEM_BYTES_MAX).contains(&received.body.len());
    let is_problem = media_type(&received.headers)
        .is_some_and(|name| name.eq_ignore_ascii_case("application/problem+json"));
    if !fits || !is_problem || coding(&received.headers).is_some() {
        return None;
    }
    Json::parse_bounded(std::str::from_utf8(&received.body).ok()?, DEPTH_MAX).ok()
}

fn problem(kind: AttemptFailure, status: u16, detail: String) -> Problem {
    Problem { kind, status: Some(status), detail: shortened(detail), body: None }
}

fn is_json(headers: &HeaderMap) -> bool {
    media_type(headers).is_some_and(|name| {
        let name = name.to_ascii_lowercase();
        name == "application/json" || name == "text/json" || name.ends_with("+json")
    })
}

/// The media type without its parameters.
fn media_type(headers: &HeaderMap) -> Option<&str> {
    let text = headers.get(CONTENT_TYPE)?.to_str().ok()?;
    Some(text.split(';').next().unwrap_or_default().trim())
}

/// A content coding other than none.
fn coding(headers: &HeaderMap) -> Option<&str> {
    let text = headers.get(CONTENT_ENCODING)?.to_str().unwrap_or("unknown").trim();
    (!text.eq_ignore_ascii_case("identity")).then_some(text)
}
