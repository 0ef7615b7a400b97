//! The headers of a call, as the participant contract lists them, and its signature.
//!
//! Fencing tokens come with their lock keys, in the same order.

use std::fmt::{self, Write as _};
use std::time::Duration;

use amends_core::CallKey;
use amends_core::participant::{fencing_token_header, is_reserved_header, lock_keys_header};
use amends_core::saga::AttemptFailure;
use amends_ports::OutgoingCall;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::BytesMut;
use hmac::Mac as _;
use http::header::{ACCEPT, ACCEPT_ENCODING, CONTENT_TYPE, USER_AGENT};
use http::{HeaderMap, HeaderName, HeaderValue};

use crate::credentials::Credentials;
use crate::failure::Failure;

const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");
const SAGA_ID: HeaderName = HeaderName::from_static("saga-id");
const SAGA_STEP: HeaderName = HeaderName::from_static("saga-step");
const SAGA_OPERATION: HeaderName = HeaderName::from_static("saga-operation");
const SAGA_ATTEMPT: HeaderName = HeaderName::from_static("saga-attempt");
const SAGA_FORWARD_OUTCOME: HeaderName = HeaderName::from_static("saga-forward-outcome");
const SAGA_FENCING_TOKEN: HeaderName = HeaderName::from_static("saga-fencing-token");
const SAGA_LOCK_KEYS: HeaderName = HeaderName::from_static("saga-lock-keys");
const SAGA_DEADLINE: HeaderName = HeaderName::from_static("saga-deadline");
const SAGA_CALLBACK_URL: HeaderName = HeaderName::from_static("saga-callback-url");
const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");
const WEBHOOK_ID: HeaderName = HeaderName::from_static("webhook-id");
const WEBHOOK_TIMESTAMP: HeaderName = HeaderName::from_static("webhook-timestamp");
const WEBHOOK_SIGNATURE: HeaderName = HeaderName::from_static("webhook-signature");

const AGENT: HeaderValue = HeaderValue::from_static(concat!("amends/", env!("CARGO_PKG_VERSION")));
const JSON: HeaderValue = HeaderValue::from_static("application/json");
const ACCEPTED: HeaderValue =
    HeaderValue::from_static("application/json, application/problem+json");
const IDENTITY: HeaderValue = HeaderValue::from_static("identity");

/// Everything but `Host` and what HTTP adds for the body.
///
/// # Errors
///
/// A header of the definition that HTTP cannot carry; nothing may be sent.
pub(crate) fn headers(
    call: &OutgoingCall,
    body: Option<&str>,
    timeout: Duration,
    credentials: &Credentials,
) -> Result<HeaderMap, Failure> {
    let mut map = HeaderMap::with_capacity(24);
    let mut values = Values::new();
    map.insert(ACCEPT, ACCEPTED);
    of_definition(call, &mut values, &mut map)?;
    map.insert(USER_AGENT, AGENT);
    map.insert(ACCEPT_ENCODING, IDENTITY);
    if body.is_some() {
        map.insert(CONTENT_TYPE, JSON);
    }
    let CallKey { saga_id, step_id, op } = &call.key;
    let quoted = format_args!("\"{}\"", call.key);
    map.insert(IDEMPOTENCY_KEY, values.make("the idempotency key", quoted)?);
    map.insert(SAGA_ID, values.make("the saga's id", saga_id)?);
    map.insert(SAGA_STEP, values.make("the step's id", step_id)?);
    map.insert(SAGA_OPERATION, HeaderValue::from_static(op.as_str()));
    map.insert(SAGA_ATTEMPT, values.make("the attempt", call.attempt)?);
    let context = &call.context;
    if let Some(outcome) = context.forward_outcome {
        map.insert(SAGA_FORWARD_OUTCOME, HeaderValue::from_static(outcome.as_str()));
    }
    if !context.tokens.is_empty() {
        let (tokens, keys) =
            (fencing_token_header(&context.tokens), lock_keys_header(&context.tokens));
        map.insert(SAGA_FENCING_TOKEN, values.make("the fencing token", tokens)?);
        map.insert(SAGA_LOCK_KEYS, values.make("the lock keys", keys)?);
    }
    map.insert(SAGA_DEADLINE, values.make("the deadline", context.now.after(timeout))?);
    if let Some(url) = &context.callback_url {
        map.insert(SAGA_CALLBACK_URL, values.make("the callback URL", url)?);
    }
    if let Some(trace) = &context.traceparent {
        map.insert(TRACEPARENT, values.make("traceparent", trace)?);
    }
    if !credentials.signers.is_empty() {
        let (id, seconds) = (call.key.text(), context.now.0 / 1_000_000);
        let signatures = sign(&id, seconds, body.unwrap_or_default(), credentials);
        map.insert(WEBHOOK_ID, values.make("webhook-id", id)?);
        map.insert(WEBHOOK_TIMESTAMP, HeaderValue::from(seconds));
        map.insert(WEBHOOK_SIGNATURE, values.make("webhook-signature", signatures)?);
    }
    if let Some((name, secret)) = &credentials.header {
        map.insert(name.clone(), secret.clone());
    }
    Ok(map)
}

/// What goes with a question that belongs to no call.
pub(crate) fn of_question() -> HeaderMap {
    let mut map = HeaderMap::with_capacity(4);
    map.insert(USER_AGENT, AGENT);
    map.insert(ACCEPT_ENCODING, IDENTITY);
    map
}

fn of_definition(
    call: &OutgoingCall,
    values: &mut Values,
    map: &mut HeaderMap,
) -> Result<(), Failure> {
    for (name, text) in &call.request.headers {
        let known = HeaderName::try_from(name.as_str()).map_err(|_| {
            let detail = format!("{name:?} is no name of a header; nothing was sent");
            Failure::unsent(AttemptFailure::Expression, detail)
        })?;
        // The check of definitions refuses these; here they only must not win.
        if !is_reserved_header(known.as_str()) {
            map.insert(known, values.make(name, text)?);
        }
    }
    Ok(())
}

/// Makes the values of one request in one piece of memory.
struct Values(BytesMut);

impl Values {
    /// Room for the usual ones.
    const BYTES: usize = 512;

    fn new() -> Self {
        Self(BytesMut::with_capacity(Self::BYTES))
    }

    /// A header's value, which `what` names for people. Its text may be a secret of the definition's
    /// input and is not shown.
    fn make(&mut self, what: &str, text: impl fmt::Display) -> Result<HeaderValue, Failure> {
        let written = write!(self.0, "{text}");
        let bytes = self.0.split().freeze();
        let visible = written.is_ok() && bytes.iter().all(|byte| (0x20..0x7f).contains(byte));
        HeaderValue::from_maybe_shared(bytes).ok().filter(|_| visible).ok_or_else(|| {
            let detail = format!(
                "the value of the header {what} holds a character that no header can carry (a line \
                 break, or one outside ASCII); nothing was sent"
            );
            Failure::unsent(AttemptFailure::Expression, detail)
        })
    }
}

/// Standard Webhooks 1.0: HMAC-SHA256 over `id.timestamp.body`, once for each secret.
fn sign(id: &str, timestamp_s: i64, body: &str, credentials: &Credentials) -> String {
    let head = format!("{id}.{timestamp_s}.");
    let mut signatures = String::new();
    for signer in &credentials.signers {
        let mut mac = signer.clone();
        mac.update(head.as_bytes());
        mac.update(body.as_bytes());
        if !signatures.is_empty() {
            signatures.push(' ');
        }
        signatures.push_str("v1,");
        STANDARD.encode_string(mac.finalize().into_bytes(), &mut signatures);
    }
    signatures
}
