//! The headers of a call and its signature, written from the contract alone.

use std::fmt::Write as _;
use std::time::Duration;

use amends_core::saga::{ForwardOutcome, Op};
use amends_core::{StepId, Timestamp};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit as _, Mac as _};
use http::{HeaderMap, HeaderName, HeaderValue};
use sha2::Sha256;

/// How a call is signed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Signing {
    /// As it should be.
    Right,
    /// Not at all.
    Missing,
    /// With another secret.
    WrongSecret,
    /// For another body.
    OtherBody,
    /// An hour ago.
    TooOld,
}

/// What the headers of a call are made of.
#[derive(Clone, Debug)]
pub(crate) struct Envelope<'a> {
    pub(crate) saga: &'a str,
    pub(crate) step: &'a StepId,
    pub(crate) op: Op,
    pub(crate) attempt: u32,
    pub(crate) forward_outcome: Option<ForwardOutcome>,
    /// The token of every lock key, and the keys; none where the saga holds none.
    pub(crate) token: Option<(u64, &'a [String])>,
    pub(crate) now: Timestamp,
    pub(crate) timeout: Duration,
}

impl Envelope<'_> {
    fn key(&self) -> String {
        format!("{}/{}/{}", self.saga, self.step, self.op)
    }

    /// The headers that the contract lists, without a signature.
    ///
    /// # Errors
    ///
    /// A sentence: a header can't carry its value.
    pub(crate) fn headers(&self, has_body: bool) -> Result<HeaderMap, String> {
        let mut map = HeaderMap::new();
        put(&mut map, "accept", "application/json, application/problem+json")?;
        put(&mut map, "user-agent", concat!("amends-conform/", env!("CARGO_PKG_VERSION")))?;
        if has_body {
            put(&mut map, "content-type", "application/json")?;
        }
        put(&mut map, "idempotency-key", &format!("\"{}\"", self.key()))?;
        put(&mut map, "saga-id", self.saga)?;
        put(&mut map, "saga-step", self.step.as_str())?;
        put(&mut map, "saga-operation", self.op.as_str())?;
        put(&mut map, "saga-attempt", &self.attempt.to_string())?;
        if let Some(outcome) = self.forward_outcome.filter(|_| self.op.is_undo()) {
            put(&mut map, "saga-forward-outcome", outcome.as_str())?;
        }
        if let Some((token, keys)) = self.token {
            let tokens = vec![token.to_string(); keys.len()].join(", ");
            let keys: Vec<String> = keys.iter().map(|key| structured(key)).collect();
            put(&mut map, "saga-fencing-token", &tokens)?;
            put(&mut map, "saga-lock-keys", &keys.join(", "))?;
        }
        put(&mut map, "saga-deadline", &self.now.after(self.timeout).to_string())?;
        put(&mut map, "connection", "close")?;
        Ok(map)
    }

    /// Adds the signature over `body`, as Standard Webhooks 1.0 says.
    ///
    /// # Errors
    ///
    /// A sentence: a header can't carry its value.
    pub(crate) fn sign(
        &self,
        map: &mut HeaderMap,
        body: &str,
        secret: &[u8],
        how: Signing,
    ) -> Result<(), String> {
        const HOUR_S: i64 = 3_600;
        let now_s = self.now.0 / 1_000_000;
        let (secret, text, at) = match how {
            Signing::Missing => return Ok(()),
            Signing::Right => (secret, body, now_s),
            Signing::WrongSecret => (&b"a secret that nobody ever shared"[..], body, now_s),
            Signing::OtherBody => (secret, "{\"another\":\"body\"}", now_s),
            Signing::TooOld => (secret, body, now_s - HOUR_S),
        };
        let key = self.key();
        let mut mac = Hmac::<Sha256>::new_from_slice(secret).map_err(|error| error.to_string())?;
        mac.update(format!("{key}.{at}.{text}").as_bytes());
        let signature = format!("v1,{}", STANDARD.encode(mac.finalize().into_bytes()));
        put(map, "webhook-id", &key)?;
        put(map, "webhook-timestamp", &at.to_string())?;
        put(map, "webhook-signature", &signature)
    }
}

/// Sets one header.
///
/// # Errors
///
/// A sentence: it can't carry `value`, which is not repeated since it may be a secret.
pub(crate) fn put(map: &mut HeaderMap, name: &str, value: &str) -> Result<(), String> {
    let wrong = || format!("the header {name} can't carry its value");
    let name = HeaderName::try_from(name).map_err(|_| wrong())?;
    map.insert(name, HeaderValue::try_from(value).map_err(|_| wrong())?);
    Ok(())
}

/// A lock key as a structured-field string; what can't stand there is percent-encoded.
fn structured(key: &str) -> String {
    let mut text = String::from("\"");
    for byte in key.bytes() {
        if byte.is_ascii_graphic() && !b"\"%\\".contains(&byte) {
            text.push(char::from(byte));
        } else {
            // Writing to a text can't fail.
            let _ = write!(text, "%{byte:02X}");
        }
    }
    text + "\""
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_headers_are_those_of_the_contract() {
        let step = StepId::new("reserve").unwrap();
        let keys = ["sku:42".to_owned(), "a \"b\" 5%".to_owned()];
        let envelope = Envelope {
            saga: "conform-1",
            step: &step,
            op: Op::Compensation,
            attempt: 2,
            forward_outcome: Some(ForwardOutcome::Unknown),
            token: Some((7, &keys)),
            now: Timestamp(1_700_000_000_000_000),
            timeout: Duration::from_secs(10),
        };
        let mut map = envelope.headers(true).unwrap();
        envelope.sign(&mut map, "{}", &[7; 24], Signing::Right).unwrap();
        for (name, value) in [
            ("idempotency-key", "\"conform-1/reserve/compensation\""),
            ("saga-forward-outcome", "unknown"),
            ("saga-fencing-token", "7, 7"),
            ("saga-lock-keys", r#""sku:42", "a%20%22b%22%205%25""#),
            ("saga-deadline", "2023-11-14T22:13:30Z"),
            ("webhook-id", "conform-1/reserve/compensation"),
            ("webhook-timestamp", "1700000000"),
        ] {
            assert_eq!(map[name], value, "{name}");
        }
    }

    #[test]
    fn wrong_signatures_differ_from_the_right_one() {
        let step = StepId::new("s").unwrap();
        let envelope = Envelope {
            saga: "x",
            step: &step,
            op: Op::Action,
            attempt: 1,
            forward_outcome: None,
            token: None,
            now: Timestamp(1_700_000_000_000_000),
            timeout: Duration::ZERO,
        };
        let signature = |how| {
            let mut map = HeaderMap::new();
            envelope.sign(&mut map, "{}", &[7; 24], how).unwrap();
            map.get("webhook-signature").map(|value| value.to_str().unwrap().to_owned())
        };
        let right = signature(Signing::Right);
        // Computed with Python's hmac module.
        assert_eq!(right.as_deref(), Some(EXPECTED));
        for how in [Signing::Missing, Signing::WrongSecret, Signing::OtherBody, Signing::TooOld] {
            assert_ne!(signature(how), right, "{how:?}");
        }
    }

    const EXPECTED: &str = "v1,C+rwN8l/WRrXTY2slTotSATJ9qhlfwJi1rHIFbsQp+8=";
}
