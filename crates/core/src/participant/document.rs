//! Writes a registration in the form that it is read in.

use serde_json::{Map, Value, json};

use super::{Auth, ParticipantSpec, Protocol, Secret};
use crate::{Jitter, RetryPolicy, format_duration};

/// Whether secret values are written.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Secrets {
    /// For storage.
    Shown,
    /// For people.
    Hidden,
}

/// Every setting in force, defaults included; what is not set is left out.
pub(super) fn write(spec: &ParticipantSpec, secrets: Secrets) -> Value {
    let mut map = Map::new();
    let mut put = |name: &str, value: Value| map.insert(name.to_owned(), value);
    put("name", json!(spec.name.as_str()));
    put("protocol", json!(protocol(spec.protocol)));
    let endpoints: Vec<&str> = spec.endpoints.iter().map(super::Endpoint::as_str).collect();
    put("endpoints", json!(endpoints));
    if let Some(path) = &spec.health {
        put("health", json!(path));
    }
    if let Some(own) = &spec.auth {
        put("auth", auth(own, secrets));
    }
    if !spec.signing_secrets.is_empty() {
        put(
            "signing_secrets",
            spec.signing_secrets.iter().map(|own| secret(own, secrets)).collect(),
        );
    }
    if let Some(timeout) = spec.timeout {
        put("timeout", json!(format_duration(timeout)));
    }
    if let Some(policy) = &spec.retry {
        put("retry", retry(policy));
    }
    put("max_concurrency", json!(spec.concurrency_max));
    if let Some(rate) = spec.rate {
        put("rate", json!(rate));
    }
    put(
        "breaker",
        spec.breaker.map_or(
            Value::Bool(false),
            |own| json!({ "failures": own.failures, "open_for": format_duration(own.open_for) }),
        ),
    );
    if !spec.outcomes.is_empty() {
        let pairs = spec.outcomes.iter();
        put("outcomes", pairs.map(|own| (own.status.to_string(), json!(own.outcome))).collect());
    }
    put("answer_bytes_max", json!(spec.answer_bytes_max));
    put("http2", json!(spec.http2));
    if !spec.labels.is_empty() {
        put("labels", json!(spec.labels));
    }
    Value::Object(map)
}

const fn protocol(protocol: Protocol) -> &'static str {
    match protocol {
        Protocol::Http => "http",
    }
}

fn auth(auth: &Auth, secrets: Secrets) -> Value {
    match auth {
        Auth::Bearer { token } => json!({ "type": "bearer", "token": secret(token, secrets) }),
        Auth::Basic { user, password } => {
            json!({ "type": "basic", "user": user, "password": secret(password, secrets) })
        }
        Auth::Header { name, value } => {
            json!({ "type": "header", "name": name, "value": secret(value, secrets) })
        }
    }
}

fn secret(secret: &Secret, secrets: Secrets) -> Value {
    match secret {
        Secret::Value(text) if secrets == Secrets::Shown => json!(text),
        Secret::Value(_) => json!(Secret::MASK),
        Secret::Env(name) => json!({ "env": name }),
        Secret::File(path) => json!({ "file": path }),
    }
}

fn retry(policy: &RetryPolicy) -> Value {
    json!({
        "max_attempts": policy.attempts_max,
        "initial": format_duration(policy.initial),
        "factor": policy.factor,
        "max": format_duration(policy.max),
        "jitter": match policy.jitter {
            Jitter::Full => "full",
            Jitter::None => "none",
        },
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::definition::FaultCode;

    fn full() -> Value {
        json!({
            "name": "payment",
            "protocol": "http",
            "endpoints": ["https://pay-a.example.com/api", "http://10.0.0.7:8080/"],
            "health": "/healthz",
            "auth": { "type": "basic", "user": "us", "password": "hunter2-canary" },
            "signing_secrets": [
                "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", { "env": "PAY_SECRET" }
            ],
            "timeout": "2s",
            "retry": {
                "max_attempts": 7, "initial": "50ms", "factor": 1.5, "max": "3s", "jitter": "none"
            },
            "max_concurrency": 8,
            "rate": 12.5,
            "breaker": { "failures": 3, "open_for": "1m" },
            "outcomes": { "404": "succeeded", "503": "unknown" },
            "answer_bytes_max": 4096,
            "http2": true,
            "labels": { "team": "money" }
        })
    }

    #[test]
    fn a_registration_is_stored_and_read_back_unchanged() {
        let spec = ParticipantSpec::parse(&full()).unwrap();
        let stored = serde_json::to_value(&spec).unwrap();
        assert_eq!(stored, full());
        assert_eq!(serde_json::from_value::<ParticipantSpec>(stored).unwrap(), spec);
    }

    #[test]
    fn nothing_that_is_shown_holds_a_secret() {
        let spec = ParticipantSpec::parse(&full()).unwrap();
        let shown = spec.redacted().to_string();
        for text in [&shown, &format!("{spec:?}"), &format!("{spec:#?}")] {
            assert!(!text.contains("hunter2") && !text.contains("MfKQ9r8G"), "{text}");
        }
        assert!(shown.contains("***") && shown.contains("PAY_SECRET"), "{shown}");
        let faults = ParticipantSpec::parse(&spec.redacted()).unwrap_err();
        assert_eq!(faults.len(), 2, "a mask is no secret: {faults:?}");
    }

    #[test]
    fn every_fault_is_reported_where_it_stands() {
        let document = json!({
            "endpoints": ["ftp://h", "http://u:canary@h", "https://h:6379", "http://h", "http://h/", 7],
            "protocol": "grpc",
            "health": "healthz",
            "auth": { "type": "header", "name": "Saga-Id", "value": "a\nb" },
            "signing_secrets": ["whsec_short", { "env": "AMENDS_DATABASE" }],
            "timeout": "0ms",
            "retry": { "max_attempts": 0, "factor": 0.5, "jitter": "some", "initial": "2 s" },
            "max_concurency": 1,
            "max_concurrency": 0,
            "rate": -1,
            "breaker": { "failures": 0 },
            "outcomes": { "99": "refused", "404": "succeded" },
            "answer_bytes_max": 1e12,
            "http2": "yes",
            "labels": { "a": 1 }
        });
        let faults = ParticipantSpec::parse(&document).unwrap_err();
        let found: Vec<(&str, FaultCode)> =
            faults.iter().map(|fault| (fault.pointer.as_str(), fault.code)).collect();
        assert_eq!(
            found,
            [
                ("/name", FaultCode::MissingField),
                ("/protocol", FaultCode::NotSupported),
                ("/endpoints/0", FaultCode::BadEndpoint),
                ("/endpoints/1", FaultCode::BadEndpoint),
                ("/endpoints/2", FaultCode::BadEndpoint),
                ("/endpoints/4", FaultCode::BadEndpoint),
                ("/endpoints/5", FaultCode::WrongType),
                ("/health", FaultCode::WrongType),
                ("/auth/name", FaultCode::ForbiddenHeader),
                ("/auth/value", FaultCode::BadSecret),
                ("/signing_secrets/0", FaultCode::BadSecret),
                ("/signing_secrets/1", FaultCode::BadSecret),
                ("/timeout", FaultCode::OutOfRange),
                ("/retry/max_attempts", FaultCode::OutOfRange),
                ("/retry/initial", FaultCode::WrongType),
                ("/retry/factor", FaultCode::OutOfRange),
                ("/retry/jitter", FaultCode::WrongType),
                ("/max_concurrency", FaultCode::OutOfRange),
                ("/rate", FaultCode::OutOfRange),
                ("/breaker/failures", FaultCode::OutOfRange),
                ("/outcomes/404", FaultCode::WrongType),
                ("/outcomes/99", FaultCode::OutOfRange),
                ("/answer_bytes_max", FaultCode::OutOfRange),
                ("/http2", FaultCode::WrongType),
                ("/labels/a", FaultCode::WrongType),
                ("/max_concurency", FaultCode::UnknownField),
            ]
        );
        let text = format!("{faults:?}");
        assert!(!text.contains("canary"), "{text}");
        assert!(text.contains("did you mean \\\"max_concurrency\\\"?"), "{text}");
    }

    #[test]
    fn no_document_is_too_strange_to_be_answered() {
        for document in [json!(null), json!([]), json!("x"), json!({}), json!({ "auth": 1 })] {
            assert!(!ParticipantSpec::parse(&document).unwrap_err().is_empty(), "{document}");
        }
    }

    #[test]
    fn name_and_endpoint_are_enough() {
        let document = json!({ "name": "a", "endpoints": ["http://localhost:8080"] });
        let spec = ParticipantSpec::parse(&document).unwrap();
        let endpoint = super::super::Endpoint::new("http://localhost:8080").unwrap();
        assert_eq!(spec, ParticipantSpec::new(spec.name.clone(), endpoint));
    }
}
