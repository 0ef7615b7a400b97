//! A request before it is sent, and an answer after it is read.

use std::time::Duration;

use http::header::{CONTENT_TYPE, HeaderName};
use http::{HeaderMap, HeaderValue, Method, StatusCode};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use url::Url;

use super::error::{Error, Result};

pub(crate) const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");
pub(crate) const PREFER: HeaderName = HeaderName::from_static("prefer");
pub(crate) const ACTOR: HeaderName = HeaderName::from_static("amends-actor");

/// Whether a request may be repeated after an attempt whose outcome is not known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Safety {
    /// Twice is the same as once.
    Repeatable,
    /// Twice is not the same as once: only attempts that certainly had no effect are repeated.
    Once,
}

/// Whom a request asks.
#[derive(Clone, Debug)]
pub(crate) enum Target {
    /// Path segments below a base URL.
    Segments(Vec<String>),
    /// A whole URL that somebody handed out.
    Absolute(Url),
}

/// One logical request, the same for all its attempts.
#[derive(Clone, Debug)]
pub(crate) struct Outgoing {
    pub(crate) method: Method,
    pub(crate) target: Target,
    pub(crate) query: Vec<(String, String)>,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Option<Vec<u8>>,
    /// How long the server is asked to wait.
    pub(crate) wait: Duration,
    pub(crate) safety: Safety,
    /// Why it can't be sent.
    pub(crate) fault: Option<String>,
}

impl Outgoing {
    /// A request to `/v1` and these segments.
    pub(crate) fn new(method: Method, segments: &[&str]) -> Self {
        let below = std::iter::once(&"v1").chain(segments);
        Self::bare(method, Target::Segments(below.map(|&own| own.to_owned()).collect()))
    }

    pub(crate) fn bare(method: Method, target: Target) -> Self {
        let (query, headers) = (Vec::new(), HeaderMap::new());
        let (wait, safety) = (Duration::ZERO, Safety::Repeatable);
        Self { method, target, query, headers, body: None, wait, safety, fault: None }
    }

    pub(crate) fn get(segments: &[&str]) -> Self {
        Self::new(Method::GET, segments)
    }

    pub(crate) fn post(segments: &[&str]) -> Self {
        Self::new(Method::POST, segments)
    }

    pub(crate) fn put(segments: &[&str]) -> Self {
        Self::new(Method::PUT, segments)
    }

    pub(crate) fn query(mut self, name: &str, value: &(impl ToString + ?Sized)) -> Self {
        self.query.push((name.to_owned(), value.to_string()));
        self
    }

    pub(crate) fn once(mut self) -> Self {
        self.safety = Safety::Once;
        self
    }

    /// Adds a header; one that can't be is a fault of the request.
    pub(crate) fn header(mut self, name: HeaderName, value: &str) -> Self {
        match HeaderValue::from_str(value) {
            Ok(value) => {
                self.headers.insert(name, value);
            }
            Err(_) => self.fault = Some(format!("{value:?} cannot be the header {name}")),
        }
        self
    }

    pub(crate) fn json(self, body: &impl Serialize) -> Self {
        match serde_json::to_vec(body) {
            Ok(bytes) => self.body("application/json", bytes),
            Err(error) => Self { fault: Some(format!("the body has no JSON: {error}")), ..self },
        }
    }

    pub(crate) fn body(mut self, content_type: &'static str, body: Vec<u8>) -> Self {
        self.headers.insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
        self.body = Some(body);
        self
    }

    /// Asks the server to answer only later: in whole seconds, rounded up.
    pub(crate) fn wait(mut self, wait: Duration) -> Self {
        let seconds = wait.as_secs() + u64::from(wait.subsec_nanos() > 0);
        if seconds > 0 {
            self.wait = Duration::from_secs(seconds);
            let value = format!("wait={seconds}");
            return self.header(PREFER, &value);
        }
        self
    }
}

/// A good answer.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) body: Vec<u8>,
    /// Who answered, without the query.
    pub(crate) url: String,
}

impl Answer {
    /// The body, read as JSON.
    pub(crate) fn read<T: DeserializeOwned>(&self) -> Result<T> {
        serde_json::from_slice(&self.body).map_err(|error| Error::Unexpected {
            url: self.url.clone(),
            status: self.status.as_u16(),
            detail: format!("its body is not what was asked for: {error}"),
        })
    }
}

/// Writes a duration as the API reads it, in whole milliseconds, rounded up.
pub(crate) fn duration_text(duration: Duration) -> String {
    let ms = duration.as_nanos().div_ceil(1_000_000);
    if ms.is_multiple_of(1000) { format!("{}s", ms / 1000) } else { format!("{ms}ms") }
}

/// A value as JSON, or why it has none.
pub(crate) fn to_value(value: &impl Serialize) -> std::result::Result<Value, String> {
    serde_json::to_value(value).map_err(|error| format!("a value has no JSON: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_written_in_units_that_the_api_reads() {
        for (duration, expected) in [
            (Duration::ZERO, "0s"),
            (Duration::from_secs(90), "90s"),
            (Duration::from_millis(1500), "1500ms"),
            (Duration::from_nanos(1), "1ms"),
        ] {
            assert_eq!(duration_text(duration), expected);
        }
    }

    #[test]
    fn waits_are_whole_seconds() {
        let outgoing = Outgoing::get(&["sagas"]).wait(Duration::from_millis(1200));
        assert_eq!(outgoing.headers["prefer"], "wait=2");
        assert!(Outgoing::get(&["sagas"]).wait(Duration::ZERO).headers.is_empty());
    }
}
