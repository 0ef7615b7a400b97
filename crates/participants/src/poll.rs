//! Where the end of a pending call is asked for: only ever at the participant itself.

use amends_core::participant::Endpoint;
use amends_core::saga::{Answer, AttemptFailure, OutcomeKind, Problem};
use http::header::LOCATION;
use url::Url;

use crate::answer::Received;

/// Longest `Location` that is kept, in bytes.
const LOCATION_BYTES_MAX: usize = 2048;

/// A place to ask.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Place {
    /// The endpoint that it is at, if it still is one.
    pub(crate) origin: Option<usize>,
    /// Path and query, the endpoint's own path included.
    pub(crate) path: String,
}

/// Takes apart what an earlier answer gave.
pub(crate) fn place<'a>(
    location: &str,
    mut endpoints: impl Iterator<Item = &'a Endpoint>,
) -> Place {
    // A registration may have changed since: then the path is asked for at the new address.
    let Ok(url) = Url::parse(location) else {
        return Place { origin: None, path: location.to_owned() };
    };
    let path = match url.query() {
        Some(query) => format!("{}?{query}", url.path()),
        None => url.path().to_owned(),
    };
    Place { origin: endpoints.position(|endpoint| is_at(&url, endpoint)), path }
}

fn is_at(url: &Url, endpoint: &Endpoint) -> bool {
    url.scheme() == if endpoint.is_https() { "https" } else { "http" }
        && url.host_str().map(|host| host.trim_end_matches('.')) == Some(endpoint.host())
        && url.port_or_known_default() == Some(endpoint.port())
}

/// The `Location` of a 202 as an absolute URL; `asked` is the path that was asked at `endpoint`.
///
/// # Errors
///
/// A sentence: there is none, or it is somewhere else, where our credentials must not go.
pub(crate) fn location<'a>(
    received: &Received,
    endpoint: &Endpoint,
    asked: &str,
    mut endpoints: impl Iterator<Item = &'a Endpoint>,
) -> Result<String, String> {
    let text = received
        .headers
        .get(LOCATION)
        .and_then(|value| value.to_str().ok())
        .filter(|text| text.len() <= LOCATION_BYTES_MAX)
        .ok_or("answered 202 without a Location of at most 2048 bytes to ask later")?;
    let joined = Url::parse(endpoint.as_str())
        .and_then(|base| base.join(asked))
        .and_then(|asked| asked.join(text))
        .map_err(|error| format!("answered 202 with a Location that is no URL: {error}"))?;
    if endpoints.any(|endpoint| is_at(&joined, endpoint)) {
        return Ok(joined.into());
    }
    let host = joined.host_str().unwrap_or_default();
    Err(format!(
        "answered 202 with a Location at {host:?}, which is no endpoint of the participant"
    ))
}

/// A 202 that cannot be followed: what it has accepted may take effect.
pub(crate) fn lost(detail: String) -> Answer {
    let kind = AttemptFailure::BadAnswer;
    let problem = Problem { kind, status: Some(202), detail, body: None };
    Answer::failed(OutcomeKind::Unknown, true, problem)
}
