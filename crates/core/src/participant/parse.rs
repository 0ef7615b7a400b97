//! Reads a registration: every fault is reported, each where it stands.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::Value;

use super::fields::{Fields, escape, kind};
use super::parse_auth::{auth, signing_secrets};
use super::{Breaker, Endpoint, ParticipantSpec, Protocol};
use crate::definition::{Fault, FaultCode, OutcomeOverride, suggestion};
use crate::saga::OutcomeKind;
use crate::{Jitter, ParticipantName, RetryPolicy};

const MS: Duration = Duration::from_millis(1);
const HOUR: Duration = Duration::from_hours(1);
const TIMEOUT_MAX: Duration = Duration::from_hours(30 * 24);
const LABELS_MAX: usize = 32;
const ATTEMPTS_MAX: u64 = 10_000;
const MIB: u64 = 1024 * 1024;

pub(super) fn parse(document: &Value) -> Result<ParticipantSpec, Vec<Fault>> {
    let mut faults = Vec::new();
    let spec = read(document, &mut faults);
    match spec {
        Some(spec) if faults.is_empty() => Ok(spec),
        _ => Err(faults),
    }
}

fn read(document: &Value, faults: &mut Vec<Fault>) -> Option<ParticipantSpec> {
    let mut fields = Fields::new(document, String::new(), faults);
    let name = name(&mut fields, faults);
    let protocol = protocol(&mut fields, faults);
    let endpoints = endpoints(&mut fields, faults);
    let health = health(&mut fields, faults);
    let auth = fields.get("auth").and_then(|value| auth(value, faults));
    let signing_secrets = signing_secrets(&mut fields, faults);
    let timeout = fields.duration("timeout", (MS, TIMEOUT_MAX), faults);
    let retry = fields.get("retry").map(|value| retry(value, faults));
    let concurrency = fields.whole("max_concurrency", (1, 100_000), faults);
    let rate = fields.number("rate", (0.001, 1_000_000.0), faults);
    let breaker = breaker(&mut fields, faults);
    let outcomes = outcomes(&mut fields, faults);
    let answer_bytes = fields.whole("answer_bytes_max", (1024, 64 * MIB), faults);
    let http2 = fields.truth("http2", faults).unwrap_or(false);
    let labels = labels(&mut fields, faults);
    fields.finish(faults);
    Some(ParticipantSpec {
        protocol: protocol?,
        endpoints,
        health,
        auth,
        signing_secrets,
        timeout,
        retry,
        concurrency_max: concurrency
            .and_then(|number| u32::try_from(number).ok())
            .unwrap_or(ParticipantSpec::CONCURRENCY),
        rate,
        breaker,
        outcomes,
        answer_bytes_max: answer_bytes.unwrap_or(ParticipantSpec::ANSWER_BYTES),
        http2,
        labels,
        name: name?,
    })
}

fn name(fields: &mut Fields<'_>, faults: &mut Vec<Fault>) -> Option<ParticipantName> {
    let text = fields.required("name", faults)?;
    ParticipantName::new(text)
        .map_err(|error| fields.fault("name", FaultCode::BadId, error.to_string(), faults))
        .ok()
}

fn protocol(fields: &mut Fields<'_>, faults: &mut Vec<Fault>) -> Option<Protocol> {
    fields.get("protocol");
    let detail = match fields.text("protocol", faults) {
        None | Some("http") => return Some(Protocol::Http),
        Some("grpc") => {
            "participants that speak gRPC are not supported yet; use \"http\"".to_owned()
        }
        Some(other) => {
            let shown: String = other.chars().take(32).collect();
            format!("{shown:?} is no protocol; the one that is supported is \"http\"")
        }
    };
    fields.fault("protocol", FaultCode::NotSupported, detail, faults);
    None
}

fn endpoints(fields: &mut Fields<'_>, faults: &mut Vec<Fault>) -> Vec<Endpoint> {
    if fields.get("endpoints").is_none() {
        let detail =
            "must be given: a list of base URLs, such as [\"https://payments.example.com\"]";
        fields.fault("endpoints", FaultCode::MissingField, detail.to_owned(), faults);
    }
    let list = fields.list("endpoints", (1, ParticipantSpec::ENDPOINTS_MAX), faults);
    let mut endpoints = Vec::with_capacity(list.len());
    for (index, value) in list.iter().enumerate() {
        let at = format!("/endpoints/{index}");
        let Some(text) = value.as_str() else {
            let detail = format!("must be a URL, is {}", kind(value));
            faults.push(Fault::new(at, FaultCode::WrongType, detail));
            continue;
        };
        match Endpoint::new(text) {
            Ok(endpoint) if endpoints.contains(&endpoint) => {
                let detail = "stands there twice; remove one".to_owned();
                faults.push(Fault::new(at, FaultCode::BadEndpoint, detail));
            }
            Ok(endpoint) => endpoints.push(endpoint),
            Err(error) => {
                faults.push(Fault::new(at, FaultCode::BadEndpoint, error.to_string()));
            }
        }
    }
    endpoints
}

fn health(fields: &mut Fields<'_>, faults: &mut Vec<Fault>) -> Option<String> {
    let path = fields.text("health", faults)?;
    let clean = path.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'#');
    if path.starts_with('/') && clean && path.len() <= Endpoint::BYTES_MAX {
        return Some(path.to_owned());
    }
    let detail = "must be a path that starts with '/', percent-encoded, such as /healthz";
    fields.fault("health", FaultCode::WrongType, detail.to_owned(), faults);
    None
}

fn retry(value: &Value, faults: &mut Vec<Fault>) -> RetryPolicy {
    let mut fields = Fields::new(value, "/retry".to_owned(), faults);
    let default = RetryPolicy::FORWARD;
    let attempts = fields.whole("max_attempts", (1, ATTEMPTS_MAX), faults);
    let initial = fields.duration("initial", (Duration::ZERO, HOUR), faults);
    let factor = fields.number("factor", (1.0, 100.0), faults);
    let max = fields.duration("max", (Duration::ZERO, 24 * HOUR), faults);
    let jitter = match fields.text("jitter", faults) {
        None => default.jitter,
        Some("full") => Jitter::Full,
        Some("none") => Jitter::None,
        Some(_) => {
            let detail = "must be \"full\" or \"none\"".to_owned();
            fields.fault("jitter", FaultCode::WrongType, detail, faults);
            default.jitter
        }
    };
    fields.finish(faults);
    let initial = initial.unwrap_or(default.initial);
    RetryPolicy {
        attempts_max: attempts
            .and_then(|number| u32::try_from(number).ok())
            .unwrap_or(default.attempts_max),
        initial,
        factor: factor.unwrap_or(default.factor),
        max: max.unwrap_or_else(|| default.max.max(initial)),
        jitter,
    }
}

/// On unless it says `false`.
fn breaker(fields: &mut Fields<'_>, faults: &mut Vec<Fault>) -> Option<Breaker> {
    match fields.get("breaker") {
        None => Some(Breaker::DEFAULT),
        Some(Value::Bool(false)) => None,
        Some(value) => {
            let mut own = Fields::new(value, "/breaker".to_owned(), faults);
            let failures = own.whole("failures", (1, 1_000_000), faults);
            let open_for = own.duration("open_for", (MS, HOUR), faults);
            own.finish(faults);
            Some(Breaker {
                failures: failures
                    .and_then(|number| u32::try_from(number).ok())
                    .unwrap_or(Breaker::DEFAULT.failures),
                open_for: open_for.unwrap_or(Breaker::DEFAULT.open_for),
            })
        }
    }
}

fn outcomes(fields: &mut Fields<'_>, faults: &mut Vec<Fault>) -> Vec<OutcomeOverride> {
    const WORDS: [&str; 4] = ["succeeded", "refused", "retryable", "unknown"];
    let Some(value) = fields.get("outcomes") else { return Vec::new() };
    let Some(map) = value.as_object() else {
        let detail =
            "must be an object from statuses to outcomes, such as {\"404\": \"succeeded\"}";
        fields.fault("outcomes", FaultCode::WrongType, detail.to_owned(), faults);
        return Vec::new();
    };
    let mut found = Vec::with_capacity(map.len());
    for (key, value) in map {
        let at = format!("/outcomes/{}", escape(key));
        let status = key.parse().ok().filter(|status| (200..=599).contains(status));
        let outcome = match value.as_str() {
            Some("succeeded") => Some(OutcomeKind::Succeeded),
            Some("refused") => Some(OutcomeKind::Refused),
            Some("retryable") => Some(OutcomeKind::Retryable),
            Some("unknown") => Some(OutcomeKind::Unknown),
            _ => None,
        };
        match (status, outcome) {
            (Some(status), Some(outcome)) => found.push(OutcomeOverride { status, outcome }),
            (None, _) => {
                let detail = "the name must be a status from 200 to 599";
                faults.push(Fault::new(at, FaultCode::OutOfRange, detail));
            }
            (Some(_), None) => {
                let hint = suggestion(value.as_str().unwrap_or_default(), WORDS);
                let detail = format!("is no outcome{hint}");
                faults.push(Fault::new(at, FaultCode::WrongType, detail));
            }
        }
    }
    found.sort_by_key(|own| own.status);
    found
}

fn labels(fields: &mut Fields<'_>, faults: &mut Vec<Fault>) -> BTreeMap<String, String> {
    let Some(value) = fields.get("labels") else { return BTreeMap::new() };
    let Some(map) = value.as_object().filter(|map| map.len() <= LABELS_MAX) else {
        let detail = format!("must be an object of at most {LABELS_MAX} texts");
        fields.fault("labels", FaultCode::WrongType, detail, faults);
        return BTreeMap::new();
    };
    let mut labels = BTreeMap::new();
    for (key, value) in map {
        let clean = |text: &str| !text.chars().any(char::is_control);
        match value.as_str() {
            Some(text) if key.len() <= 64 && clean(key) && text.len() <= 256 && clean(text) => {
                labels.insert(key.clone(), text.to_owned());
            }
            _ => {
                let detail = "must be a text of at most 256 bytes without control characters, \
                              under a name of at most 64";
                let at = format!("/labels/{}", escape(key));
                faults.push(Fault::new(at, FaultCode::WrongType, detail));
            }
        }
    }
    labels
}
