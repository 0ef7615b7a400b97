//! Whether a call was signed with one of our secrets (Standard Webhooks 1.0).

use std::time::{Duration, SystemTime};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit as _, Mac as _};
use http::HeaderMap;
use sha2::Sha256;
use subtle::ConstantTimeEq as _;

/// Difference of the two clocks that is borne, unless another is given.
const TOLERANCE: Duration = Duration::from_mins(5);
/// Most signatures of one call that are looked at.
const SIGNATURES_MAX: usize = 16;
/// Bytes of a key.
const KEY_BYTES: std::ops::RangeInclusive<usize> = 24..=64;

/// Checks signatures against one secret, or several while one is rotated.
#[derive(Clone)]
pub struct Verifier {
    keys: Vec<Hmac<Sha256>>,
    tolerance: Duration,
}

/// A text that is no signing secret. It does not repeat the text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SecretError {
    /// No secret was given.
    #[error("no signing secret was given; without one no call can be checked")]
    None,
    /// One of them is not `whsec_` and base64.
    #[error(
        "secret {0} (counted from 1) is not whsec_ followed by 24 to 64 bytes in base64, for \
         example the output of: echo whsec_$(openssl rand -base64 32)"
    )]
    IllFormed(usize),
}

/// Why a call is not believed. Answer 401.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SignatureError {
    /// A header is not there.
    #[error("the header {0} is missing or unreadable: is a signing secret registered?")]
    Missing(&'static str),
    /// It was signed too long ago, or by a clock that is ahead.
    #[error("webhook-timestamp is too far from the time here: an old call, or clocks that differ")]
    Time,
    /// No signature was made with one of our secrets over this body.
    #[error("no signature fits: another secret, or the call was changed on its way")]
    NoMatch,
    /// The signature is good, but it was made for another call than the headers name.
    #[error("webhook-id does not name the call that the Saga-… headers name")]
    OtherCall,
}

impl Verifier {
    /// A verifier for these secrets, `whsec_…` each.
    ///
    /// # Errors
    ///
    /// [`SecretError`] if there is none, or one is ill-formed.
    pub fn new<S: AsRef<str>>(secrets: impl IntoIterator<Item = S>) -> Result<Self, SecretError> {
        let keys = secrets
            .into_iter()
            .enumerate()
            .map(|(index, secret)| key(secret.as_ref()).ok_or(SecretError::IllFormed(index + 1)))
            .collect::<Result<Vec<_>, _>>()?;
        if keys.is_empty() {
            return Err(SecretError::None);
        }
        Ok(Self { keys, tolerance: TOLERANCE })
    }

    /// Bears this difference of the two clocks instead of five minutes.
    #[must_use]
    pub fn tolerance(mut self, tolerance: Duration) -> Self {
        self.tolerance = tolerance;
        self
    }

    /// Checks the body's signature, its time, and that it was made for this very call.
    ///
    /// A signature covers the id, the time and the body. The id is the idempotency key, so a
    /// signed call can not be sent again as another operation. The path and the other headers are
    /// not covered: keep others off the wire by TLS.
    ///
    /// # Errors
    ///
    /// [`SignatureError`]; the call is not to be believed.
    pub fn verify(
        &self,
        headers: &HeaderMap,
        body: &[u8],
        now: SystemTime,
    ) -> Result<(), SignatureError> {
        let id = text(headers, "webhook-id")?;
        let timestamp = text(headers, "webhook-timestamp")?;
        let signatures = text(headers, "webhook-signature")?;
        if !self.is_near(timestamp, now) {
            return Err(SignatureError::Time);
        }
        if !self.has_made_one(signatures, id, timestamp, body) {
            return Err(SignatureError::NoMatch);
        }
        if headers.contains_key("saga-id") && !names_the_call(headers, id) {
            return Err(SignatureError::OtherCall);
        }
        Ok(())
    }

    fn is_near(&self, timestamp: &str, now: SystemTime) -> bool {
        let Ok(signed_s) = timestamp.parse::<u64>() else { return false };
        let Ok(now) = now.duration_since(SystemTime::UNIX_EPOCH) else { return false };
        now.as_secs().abs_diff(signed_s) <= self.tolerance.as_secs()
    }

    fn has_made_one(&self, signatures: &str, id: &str, timestamp: &str, body: &[u8]) -> bool {
        let given: Vec<Vec<u8>> = signatures
            .split(' ')
            .take(SIGNATURES_MAX)
            .filter_map(|one| STANDARD.decode(one.strip_prefix("v1,")?).ok())
            .collect();
        let mut fits = subtle::Choice::from(0);
        for key in &self.keys {
            let mut mac = key.clone();
            for part in [id.as_bytes(), b".", timestamp.as_bytes(), b".", body] {
                mac.update(part);
            }
            let made = mac.finalize().into_bytes();
            for one in &given {
                fits |= made.as_slice().ct_eq(one);
            }
        }
        fits.into()
    }
}

impl std::fmt::Debug for Verifier {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Verifier").field("tolerance", &self.tolerance).finish_non_exhaustive()
    }
}

fn key(secret: &str) -> Option<Hmac<Sha256>> {
    let bytes = STANDARD.decode(secret.trim().strip_prefix("whsec_")?).ok()?;
    Hmac::new_from_slice(&bytes).ok().filter(|_| KEY_BYTES.contains(&bytes.len()))
}

fn names_the_call(headers: &HeaderMap, id: &str) -> bool {
    let part = |name| text(headers, name).ok();
    let mut words = id.split('/');
    ["saga-id", "saga-step", "saga-operation"]
        .into_iter()
        .all(|name| part(name).is_some_and(|value| words.next() == Some(value)))
        && words.next().is_none()
}

fn text<'h>(headers: &'h HeaderMap, name: &'static str) -> Result<&'h str, SignatureError> {
    let value = headers.get(name).and_then(|value| value.to_str().ok());
    value.ok_or(SignatureError::Missing(name))
}

#[cfg(test)]
mod tests {
    use http::{HeaderName, HeaderValue};

    use super::*;

    // The example of the specification.
    const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
    const OTHER: &str = "whsec_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";
    const BODY: &[u8] = br#"{"test": 2432232314}"#;
    const SIGNATURE: &str = "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=";
    const SIGNED_S: u64 = 1_614_265_330;

    fn headers(signature: &str) -> HeaderMap {
        [
            ("webhook-id", "msg_p5jXN8AQM9LWM0D4loKWxJek"),
            ("webhook-timestamp", "1614265330"),
            ("webhook-signature", signature),
        ]
        .into_iter()
        .map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_str(value).unwrap()))
        .collect()
    }

    fn check(secrets: &[&str], signature: &str, at_s: u64) -> Result<(), SignatureError> {
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(at_s);
        Verifier::new(secrets).unwrap().verify(&headers(signature), BODY, now)
    }

    #[test]
    fn the_example_of_the_specification_fits() {
        assert_eq!(check(&[SECRET], SIGNATURE, SIGNED_S), Ok(()));
        assert_eq!(check(&[OTHER], SIGNATURE, SIGNED_S), Err(SignatureError::NoMatch));
    }

    #[test]
    fn while_secrets_rotate_one_of_several_is_enough() {
        assert_eq!(check(&[OTHER, SECRET], SIGNATURE, SIGNED_S), Ok(()));
        let two = format!("v1,AAAA v1a,x {SIGNATURE}");
        assert_eq!(check(&[SECRET], &two, SIGNED_S), Ok(()));
    }

    #[test]
    fn five_minutes_are_borne_and_no_more() {
        assert_eq!(check(&[SECRET], SIGNATURE, SIGNED_S + 300), Ok(()));
        assert_eq!(check(&[SECRET], SIGNATURE, SIGNED_S - 300), Ok(()));
        assert_eq!(check(&[SECRET], SIGNATURE, SIGNED_S + 301), Err(SignatureError::Time));
        assert_eq!(check(&[SECRET], SIGNATURE, SIGNED_S - 301), Err(SignatureError::Time));
    }

    #[test]
    fn a_changed_body_or_a_missing_header_is_not_believed() {
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(SIGNED_S);
        let verifier = Verifier::new([SECRET]).unwrap();
        let changed = verifier.verify(&headers(SIGNATURE), b"{}", now);
        assert_eq!(changed, Err(SignatureError::NoMatch));
        let none = verifier.verify(&HeaderMap::new(), BODY, now);
        assert_eq!(none, Err(SignatureError::Missing("webhook-id")));
    }

    #[test]
    fn a_signature_of_one_call_does_not_serve_another() {
        let mut headers = headers(SIGNATURE);
        headers.insert("saga-id", HeaderValue::from_static("order-42"));
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(SIGNED_S);
        let other = Verifier::new([SECRET]).unwrap().verify(&headers, BODY, now);
        assert_eq!(other, Err(SignatureError::OtherCall));
    }

    #[test]
    fn secrets_are_checked_and_not_shown() {
        assert_eq!(Verifier::new([""; 0]).unwrap_err(), SecretError::None);
        assert_eq!(Verifier::new([SECRET, "whsec_AA"]).unwrap_err(), SecretError::IllFormed(2));
        assert!(!format!("{:?}", Verifier::new([SECRET]).unwrap()).contains("MfK"));
    }
}
