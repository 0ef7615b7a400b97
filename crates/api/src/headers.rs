//! Request headers that mean something here.

use std::time::Duration;

use http::{HeaderMap, HeaderName, HeaderValue, header};

use crate::problem::Result;
use crate::{ErrorCode, Problem};

/// Name for the journal of the one who asks.
const ACTOR: HeaderName = HeaderName::from_static("amends-actor");
/// RFC draft *The Idempotency-Key HTTP Header Field*.
const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");
/// Set on the answer to a repeated submission.
pub(crate) const IDEMPOTENT_REPLAYED: HeaderName = HeaderName::from_static("idempotent-replayed");
/// RFC 7240.
const PREFER: HeaderName = HeaderName::from_static("prefer");
/// RFC 7240.
pub(crate) const PREFERENCE_APPLIED: HeaderName = HeaderName::from_static("preference-applied");
/// W3C Trace Context.
pub(crate) const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");

/// Longest `Idempotency-Key`, in bytes.
const KEY_BYTES_MAX: usize = 255;
/// Longest `Amends-Actor`, in bytes.
const ACTOR_BYTES_MAX: usize = 128;

fn bad(name: &HeaderName, detail: &str) -> Problem {
    Problem::new(ErrorCode::BadHeader, format!("header {name}: {detail}"))
}

/// The one value of a header: visible ASCII and spaces.
fn one<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Result<Option<&'a str>> {
    let mut values = headers.get_all(name).iter();
    let Some(value) = values.next() else { return Ok(None) };
    if values.next().is_some() {
        return Err(bad(name, "may be given only once"));
    }
    match value.to_str() {
        Ok(text) if !text.contains('\t') => Ok(Some(text)),
        Ok(_) | Err(_) => Err(bad(name, "must be visible ASCII characters")),
    }
}

/// `Idempotency-Key`: 1 to 255 visible ASCII characters; the quotes of a structured-field string
/// are taken off.
pub(crate) fn idempotency_key(headers: &HeaderMap) -> Result<Option<String>> {
    let Some(text) = one(headers, &IDEMPOTENCY_KEY)? else { return Ok(None) };
    let key = text
        .strip_prefix('"')
        .and_then(|rest| rest.strip_suffix('"'))
        .filter(|inner| !inner.contains('"'))
        .unwrap_or(text);
    let is_visible = key.bytes().all(|byte| byte.is_ascii_graphic());
    if !(1..=KEY_BYTES_MAX).contains(&key.len()) || !is_visible {
        let detail = "must be 1 to 255 visible ASCII characters without spaces";
        return Err(bad(&IDEMPOTENCY_KEY, detail));
    }
    Ok(Some(key.to_owned()))
}

/// `Amends-Actor`: a name for the journal; empty without it.
pub(crate) fn actor(headers: &HeaderMap) -> Result<String> {
    match one(headers, &ACTOR)? {
        Some(name) if name.len() > ACTOR_BYTES_MAX => {
            Err(bad(&ACTOR, "must have at most 128 characters"))
        }
        Some(name) => Ok(name.trim().to_owned()),
        None => Ok(String::new()),
    }
}

/// `Prefer: wait=N`, at most `max`. What cannot be read is passed over, as RFC 7240 asks.
pub(crate) fn wait(headers: &HeaderMap, max: Duration) -> Option<Duration> {
    let seconds: u64 = headers
        .get_all(PREFER)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split([',', ';']))
        .find_map(|preference| {
            let (name, value) = preference.split_once('=')?;
            let is_wait = name.trim().eq_ignore_ascii_case("wait");
            is_wait.then(|| value.trim().parse().ok()).flatten()
        })?;
    Some(Duration::from_secs(seconds).min(max))
}

/// The revision that a change expects: `If-Match: "3"`, or none yet with `If-None-Match: *`.
pub(crate) fn expected_revision(headers: &HeaderMap) -> Result<Option<u64>> {
    let new = one(headers, &header::IF_NONE_MATCH)?;
    let old = one(headers, &header::IF_MATCH)?;
    match (new, old) {
        (None, None) => Ok(None),
        (Some("*"), None) => Ok(Some(0)),
        (Some(_), None) => Err(bad(&header::IF_NONE_MATCH, "takes * alone here")),
        (None, Some(tag)) => tag
            .strip_prefix('"')
            .and_then(|rest| rest.strip_suffix('"'))
            .and_then(|inner| inner.parse().ok())
            .map(Some)
            .ok_or_else(|| bad(&header::IF_MATCH, "takes one ETag of this resource, like \"3\"")),
        (Some(_), Some(_)) => Err(bad(&header::IF_MATCH, "does not go with If-None-Match")),
    }
}

/// A revision as an `ETag`.
pub(crate) fn etag(revision: u64) -> HeaderValue {
    // Digits and quotes are always a header value.
    HeaderValue::from_str(&format!("\"{revision}\""))
        .unwrap_or_else(|_| HeaderValue::from_static("\"0\""))
}

/// A well-formed `traceparent` of version 00; another one is passed over, as the standard asks.
pub(crate) fn traceparent(headers: &HeaderMap) -> Option<&str> {
    let text = headers.get(TRACEPARENT)?.to_str().ok()?;
    let mut parts = text.split('-');
    let mut part = |len: usize| {
        let part = parts.next()?;
        let is_hex = part.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
        (part.len() == len && is_hex).then_some(part)
    };
    let (version, trace, span, _flags) = (part(2)?, part(32)?, part(16)?, part(2)?);
    let is_zero = |part: &str| part.bytes().all(|byte| byte == b'0');
    let is_good = version == "00" && !is_zero(trace) && !is_zero(span) && parts.next().is_none();
    is_good.then_some(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(name: &HeaderName, values: &[&[u8]]) -> HeaderMap {
        let values = values.iter().map(|value| HeaderValue::from_bytes(value).unwrap());
        values.map(|value| (name.clone(), value)).collect()
    }

    #[test]
    fn keys_lose_their_quotes_and_nothing_else() {
        let long = "x".repeat(255);
        let too_long = "x".repeat(256);
        for (values, expected) in [
            (vec!["order-42"], Some("order-42")),
            (vec!["\"order-42\""], Some("order-42")),
            (vec![long.as_str()], Some(long.as_str())),
            (vec![too_long.as_str()], None),
            (vec![""], None),
            (vec!["\"\""], None),
            (vec!["a b"], None),
            (vec!["schlüssel"], None),
            (vec!["a", "b"], None),
        ] {
            let bytes: Vec<&[u8]> = values.iter().map(|value| value.as_bytes()).collect();
            let key = idempotency_key(&headers(&IDEMPOTENCY_KEY, &bytes));
            assert_eq!(key.ok().flatten().as_deref(), expected, "{values:?}");
        }
        assert!(idempotency_key(&HeaderMap::new()).unwrap().is_none());
    }

    #[test]
    fn actors_are_short_and_visible() {
        for (value, expected) in [
            ("di", Some("di")),
            ("di of the night shift", Some("di of the night shift")),
            ("di\tvox", None),
            ("dï", None),
            (&"x".repeat(129), None),
        ] {
            let name = actor(&headers(&ACTOR, &[value.as_bytes()]));
            assert_eq!(name.ok().as_deref(), expected, "{value:?}");
        }
    }

    #[test]
    fn waits_are_bounded_and_nonsense_is_passed_over() {
        let max = Duration::from_mins(1);
        for (values, expected) in [
            (vec!["wait=10"], Some(10)),
            (vec!["respond-async, Wait = 5"], Some(5)),
            (vec!["return=minimal", "wait=7"], Some(7)),
            (vec!["wait=99999"], Some(60)),
            (vec!["wait=-1"], None),
            (vec!["wait=ten"], None),
            (vec!["wait"], None),
        ] {
            let bytes: Vec<&[u8]> = values.iter().map(|value| value.as_bytes()).collect();
            let found = wait(&headers(&PREFER, &bytes), max);
            assert_eq!(found, expected.map(Duration::from_secs), "{values:?}");
        }
    }

    #[test]
    fn only_well_formed_trace_context_is_taken() {
        let good = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
        assert_eq!(traceparent(&headers(&TRACEPARENT, &[good.as_bytes()])), Some(good));
        for bad in [
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7",
            "00-00000000000000000000000000000000-00f067aa0ba902b7-01",
            "00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-x",
            "",
        ] {
            assert_eq!(traceparent(&headers(&TRACEPARENT, &[bad.as_bytes()])), None, "{bad}");
        }
    }
}
