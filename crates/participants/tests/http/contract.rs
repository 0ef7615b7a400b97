//! What a participant sees.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use amends_core::participant::{ParticipantSpec, Secret};
use amends_core::saga::{ForwardOutcome, Op, Token};
use amends_core::{LockKey, StepId};
use amends_participants::Config;
use amends_ports::Participants as _;
use axum::Router;
use axum::body::Bytes;
use axum::http::{HeaderMap, Method, Uri};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use sha2::{Digest as _, Sha256};

use crate::support::{call, serve, spec_at, with};

type Seen = Arc<Mutex<Vec<(Method, String, BTreeMap<String, String>, String)>>>;

async fn recorder() -> (std::net::SocketAddr, Seen) {
    let seen: Seen = Arc::default();
    let own = Arc::clone(&seen);
    let handler = move |method: Method, uri: Uri, headers: HeaderMap, body: Bytes| {
        let headers = headers
            .iter()
            .map(|(name, value)| (name.to_string(), value.to_str().unwrap().to_owned()))
            .collect();
        let body = String::from_utf8(body.to_vec()).unwrap();
        own.lock().unwrap().push((method, uri.to_string(), headers, body));
        async { "" }
    };
    (serve(Router::new().fallback(handler)).await, seen)
}

/// HMAC-SHA256 by its definition (RFC 2104), not by the library that the code uses.
fn hmac(key: &[u8], text: &str) -> String {
    let mut block = [0_u8; 64];
    block[..key.len()].copy_from_slice(key);
    let mix = |byte: u8| block.iter().map(|own| own ^ byte).collect::<Vec<u8>>();
    let inner = Sha256::digest([mix(0x36), text.as_bytes().to_vec()].concat());
    STANDARD.encode(Sha256::digest([mix(0x5c), inner.to_vec()].concat()))
}

#[tokio::test]
async fn a_call_carries_what_the_contract_lists_and_nothing_else() {
    let (address, seen) = recorder().await;
    let spec = ParticipantSpec {
        endpoints: vec![format!("http://{address}/base/").parse().unwrap()],
        ..spec_at(address)
    };
    let participants = with(Config::default(), spec);
    let mut undo = call();
    undo.key.op = Op::Cancel;
    undo.key.step_id = StepId::new("hold").unwrap();
    undo.attempt = 3;
    undo.request.path = "/holds/7?force=1".to_owned();
    undo.request.headers = [
        ("x-tenant", "acme"),
        ("saga-id", "forged"),
        ("host", "forged"),
        ("content-length", "1"),
        ("webhook-id", "forged"),
    ]
    .map(|(name, value)| (name.to_owned(), value.to_owned()))
    .to_vec();
    undo.context.forward_outcome = Some(ForwardOutcome::Unknown);
    undo.context.tokens =
        vec![(LockKey::new("a").unwrap(), Token(42)), (LockKey::new("b \"ä").unwrap(), Token(7))];
    undo.context.callback_url = Some("https://amends.example/callbacks/x".to_owned());
    undo.context.traceparent =
        Some("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01".to_owned());

    participants.call(undo.clone()).await;
    undo.request.method = "DELETE".to_owned();
    undo.request.body = None;
    undo.context = amends_ports::CallContext { now: undo.context.now, ..Default::default() };
    undo.context.tokens = vec![(LockKey::new("a").unwrap(), Token(42))];
    participants.call(undo).await;

    let seen = seen.lock().unwrap();
    let (method, uri, headers, body) = &seen[0];
    assert_eq!((method.as_str(), uri.as_str()), ("POST", "/base/holds/7?force=1"));
    assert_eq!(body, r#"{"amount":7}"#);
    let expected: BTreeMap<String, String> = [
        ("accept", "application/json, application/problem+json"),
        ("accept-encoding", "identity"),
        ("content-length", "12"),
        ("content-type", "application/json"),
        ("host", &address.to_string()),
        ("idempotency-key", "\"order-42/hold/cancel\""),
        ("saga-attempt", "3"),
        ("saga-callback-url", "https://amends.example/callbacks/x"),
        ("saga-deadline", "2026-11-22T13:06:05Z"),
        ("saga-fencing-token", "42, 7"),
        ("saga-forward-outcome", "unknown"),
        ("saga-id", "order-42"),
        ("saga-lock-keys", r#""a", "b%20%22%C3%A4""#),
        ("saga-operation", "cancel"),
        ("saga-step", "hold"),
        ("traceparent", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"),
        ("user-agent", concat!("amends/", env!("CARGO_PKG_VERSION"))),
        ("x-tenant", "acme"),
    ]
    .map(|(name, value)| (name.to_owned(), value.to_owned()))
    .into();
    assert_eq!(headers, &expected);

    let (method, _, headers, body) = &seen[1];
    assert_eq!((method.as_str(), body.as_str()), ("DELETE", ""));
    assert_eq!(headers["saga-fencing-token"], "42");
    assert_eq!(headers["saga-lock-keys"], "\"a\"");
    for absent in ["content-type", "saga-callback-url", "traceparent", "webhook-signature"] {
        assert!(!headers.contains_key(absent), "{absent}");
    }
}

#[tokio::test]
async fn both_secrets_sign_while_one_is_rotated() {
    let (address, seen) = recorder().await;
    let keys = [[7_u8; 24], [9_u8; 24]];
    let secret = |key: &[u8; 24]| Secret::Value(format!("whsec_{}", STANDARD.encode(key)));
    let spec =
        ParticipantSpec { signing_secrets: keys.iter().map(secret).collect(), ..spec_at(address) };
    let participants = with(Config::default(), spec);
    participants.call(call()).await;

    let seen = seen.lock().unwrap();
    let (_, _, headers, body) = &seen[0];
    assert_eq!(headers["webhook-id"], "order-42/charge/action");
    assert_eq!(headers["webhook-timestamp"], "1795352760");
    let signed = format!("order-42/charge/action.1795352760.{body}");
    let expected = format!("v1,{} v1,{}", hmac(&keys[0], &signed), hmac(&keys[1], &signed));
    assert_eq!(headers["webhook-signature"], expected);
}

#[tokio::test]
async fn what_http_cannot_carry_is_refused_and_never_sent() {
    let (address, seen) = recorder().await;
    let participants = with(Config::default(), spec_at(address));
    let header = |name: &str, value: &str| {
        let mut wrong = call();
        wrong.request.headers = vec![(name.to_owned(), value.to_owned())];
        wrong
    };
    let path = |path: &str| {
        let mut wrong = call();
        wrong.request.path = path.to_owned();
        wrong
    };
    let mut method = call();
    method.request.method = "CONNECT".to_owned();
    for wrong in [
        header("x-a", "canary\r\nx-b: 1"),
        header("x-a", "canary\0"),
        header("x-a", "canary-ü"),
        header("x a", "1"),
        path("no-slash"),
        path("/a b"),
        path("http://elsewhere/"),
        method,
    ] {
        let answer = participants.call(wrong).await;
        let problem = answer.problem.unwrap();
        assert_eq!(answer.outcome, amends_core::saga::OutcomeKind::Refused, "{problem:?}");
        assert!(!answer.sent && !problem.detail.contains("canary"), "{problem:?}");
    }
    assert!(seen.lock().unwrap().is_empty());
}
