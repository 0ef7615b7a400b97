//! The call as the coordinator describes it in its headers.

use std::time::SystemTime;

use http::HeaderMap;

use super::{Op, fields};

/// Most bytes of a saga's id.
const SAGA_BYTES_MAX: usize = 128;
/// Most bytes of a step's id.
const STEP_BYTES_MAX: usize = 64;
/// Most bytes of a lock key; longer ones fit no table of the barrier.
const LOCK_KEY_BYTES_MAX: usize = 256;
/// Most lock keys of one call.
const LOCK_KEYS_MAX: usize = 64;

/// Who calls, and for what: read from the `Saga-…` headers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Call {
    /// The saga, from `Saga-Id`: 1 to 128 letters, digits, `_`, `-`, `.`.
    pub saga: String,
    /// The step, from `Saga-Step`: 1 to 64 letters, digits, `_`, `-`.
    pub step: String,
    /// The operation, from `Saga-Operation`.
    pub op: Op,
    /// Which attempt of the call this is, from 1, from `Saga-Attempt`; 1 where a client that calls
    /// by itself sends none.
    pub attempt: u32,
    /// What the engine knows of the forward call; on an undo only.
    pub forward_outcome: Option<ForwardOutcome>,
    /// The lock keys that the saga holds with their tokens, sorted by key.
    pub fencing_tokens: Vec<FencingToken>,
    /// After it nobody wants this attempt's answer any more, by the coordinator's clock.
    pub deadline: Option<SystemTime>,
    /// Where to report the end, if the step completes by callback.
    pub callback_url: Option<String>,
}

/// The token under which a saga holds one lock key.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct FencingToken {
    /// The lock key, decoded: `sku:42`.
    pub key: String,
    /// Grows with every grant of the key.
    pub token: i64,
}

/// What the engine knows of the forward call, when it undoes it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ForwardOutcome {
    /// It took effect.
    Succeeded,
    /// It was refused, but an earlier attempt of it stayed unanswered.
    Refused,
    /// Nobody knows.
    Unknown,
}

/// A call that does not come from a coordinator, or not whole. Answer 400.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CallError {
    /// A header that every call has is not there.
    #[error("the header {0} is missing: is the caller a coordinator, and does a proxy drop it?")]
    Missing(&'static str),
    /// A header does not have the form that the contract gives it.
    #[error("the header {0} is ill-formed: {1}")]
    IllFormed(&'static str, &'static str),
    /// Two headers contradict each other.
    #[error("the headers {0} and {1} contradict each other")]
    Contradiction(&'static str, &'static str),
}

impl Call {
    /// Reads the call from a request's headers.
    ///
    /// # Errors
    ///
    /// [`CallError`] names the header that is missing or ill-formed.
    pub fn from_headers(headers: &HeaderMap) -> Result<Self, CallError> {
        let op = required(headers, "saga-operation")?;
        let op = Op::from_word(op).ok_or(CallError::IllFormed(
            "Saga-Operation",
            "expected action, compensation, try, confirm or cancel",
        ))?;
        let call = Self {
            saga: id(headers, "saga-id", SAGA_BYTES_MAX)?,
            step: id(headers, "saga-step", STEP_BYTES_MAX)?,
            op,
            attempt: attempt(headers)?,
            forward_outcome: forward_outcome(headers)?,
            fencing_tokens: fencing_tokens(headers)?,
            deadline: deadline(headers)?,
            callback_url: text(headers, "saga-callback-url")?.map(str::to_owned),
        };
        match text(headers, "idempotency-key")? {
            Some(key) if !names(key, &call.idempotency_key()) => {
                Err(CallError::Contradiction("Idempotency-Key", "Saga-Id, -Step and -Operation"))
            }
            _ => Ok(call),
        }
    }

    /// `{saga}/{step}/{op}`: the same for every attempt of the call. Pass it on to a service that
    /// takes idempotency keys.
    pub fn idempotency_key(&self) -> String {
        format!("{}/{}/{}", self.saga, self.step, self.op)
    }

    /// Whether a text can be the id of a saga. Others do not fit the barrier's table.
    #[cfg(feature = "sql")]
    pub(crate) fn is_saga_id(text: &str) -> bool {
        is_id(text, SAGA_BYTES_MAX)
    }
}

/// Whether the header's value, a structured-field string or a bare text, is `key`.
fn names(value: &str, key: &str) -> bool {
    value == key
        || fields::string(value).is_some_and(|(inner, rest)| inner == key && rest.is_empty())
}

fn attempt(headers: &HeaderMap) -> Result<u32, CallError> {
    let Some(value) = text(headers, "saga-attempt")? else { return Ok(1) };
    value
        .parse()
        .ok()
        .filter(|attempt| *attempt > 0)
        .ok_or(CallError::IllFormed("Saga-Attempt", "expected a whole number from 1"))
}

fn forward_outcome(headers: &HeaderMap) -> Result<Option<ForwardOutcome>, CallError> {
    match text(headers, "saga-forward-outcome")? {
        None => Ok(None),
        Some("succeeded") => Ok(Some(ForwardOutcome::Succeeded)),
        Some("refused") => Ok(Some(ForwardOutcome::Refused)),
        Some("unknown") => Ok(Some(ForwardOutcome::Unknown)),
        Some(_) => Err(CallError::IllFormed(
            "Saga-Forward-Outcome",
            "expected succeeded, refused or unknown",
        )),
    }
}

fn fencing_tokens(headers: &HeaderMap) -> Result<Vec<FencingToken>, CallError> {
    let tokens = text(headers, "saga-fencing-token")?.map(|value| {
        fields::integers(value).ok_or(CallError::IllFormed(
            "Saga-Fencing-Token",
            "expected whole numbers separated by commas, such as 42, 7",
        ))
    });
    let keys = text(headers, "saga-lock-keys")?.map(|value| {
        fields::strings(value).filter(|keys| are_lock_keys(keys)).ok_or(CallError::IllFormed(
            "Saga-Lock-Keys",
            "expected at most 64 keys of 1 to 256 bytes in quotes, such as \"sku:42\", \"user:1\"",
        ))
    });
    let (tokens, keys) = (tokens.transpose()?, keys.transpose()?);
    let (tokens, keys) = (tokens.unwrap_or_default(), keys.unwrap_or_default());
    if tokens.len() != keys.len() {
        return Err(CallError::Contradiction("Saga-Fencing-Token", "Saga-Lock-Keys"));
    }
    let mut found: Vec<FencingToken> =
        keys.into_iter().zip(tokens).map(|(key, token)| FencingToken { key, token }).collect();
    // Whoever takes several rows takes them in this order, so that two calls never wait for each
    // other.
    found.sort_unstable();
    Ok(found)
}

fn are_lock_keys(keys: &[String]) -> bool {
    keys.len() <= LOCK_KEYS_MAX
        && keys.iter().all(|key| (1..=LOCK_KEY_BYTES_MAX).contains(&key.len()))
}

fn deadline(headers: &HeaderMap) -> Result<Option<SystemTime>, CallError> {
    let Some(value) = text(headers, "saga-deadline")? else { return Ok(None) };
    let moment: jiff::Timestamp = value.parse().map_err(|_| {
        CallError::IllFormed("Saga-Deadline", "expected a time such as 2026-11-22T16:00:00Z")
    })?;
    Ok(Some(moment.into()))
}

fn id(headers: &HeaderMap, name: &'static str, bytes_max: usize) -> Result<String, CallError> {
    let value = required(headers, name)?;
    if !is_id(value, bytes_max) {
        let form = "expected a short text of letters, digits, '_', '-' and '.'";
        return Err(CallError::IllFormed(title(name), form));
    }
    Ok(value.to_owned())
}

fn is_id(text: &str, bytes_max: usize) -> bool {
    let allowed = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-' | b'.');
    (1..=bytes_max).contains(&text.len()) && text.bytes().all(allowed)
}

fn required<'h>(headers: &'h HeaderMap, name: &'static str) -> Result<&'h str, CallError> {
    text(headers, name)?.ok_or(CallError::Missing(title(name)))
}

fn text<'h>(headers: &'h HeaderMap, name: &'static str) -> Result<Option<&'h str>, CallError> {
    let mut values = headers.get_all(name).iter();
    let Some(value) = values.next() else { return Ok(None) };
    if values.next().is_some() {
        return Err(CallError::IllFormed(title(name), "it stands more than once"));
    }
    let readable = value.to_str();
    readable.map(Some).map_err(|_| CallError::IllFormed(title(name), "it is not visible ASCII"))
}

/// The header's name as people write it.
fn title(name: &'static str) -> &'static str {
    const TITLES: [&str; 9] = [
        "Idempotency-Key",
        "Saga-Id",
        "Saga-Step",
        "Saga-Operation",
        "Saga-Attempt",
        "Saga-Forward-Outcome",
        "Saga-Fencing-Token",
        "Saga-Lock-Keys",
        "Saga-Deadline",
    ];
    TITLES.into_iter().find(|title| title.eq_ignore_ascii_case(name)).unwrap_or(name)
}

#[cfg(test)]
mod tests {
    use http::{HeaderName, HeaderValue};

    use super::*;

    fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
        let base = [("saga-id", "order-42"), ("saga-step", "charge"), ("saga-operation", "cancel")];
        let mut map = HeaderMap::new();
        for (name, value) in base.into_iter().chain(pairs.iter().copied()) {
            let value = HeaderValue::from_str(value).unwrap();
            map.insert(HeaderName::from_static(name), value);
        }
        map
    }

    #[test]
    fn a_whole_call_is_read() {
        let call = Call::from_headers(&headers(&[
            ("idempotency-key", "\"order-42/charge/cancel\""),
            ("saga-attempt", "3"),
            ("saga-forward-outcome", "unknown"),
            ("saga-fencing-token", "42, 7"),
            ("saga-lock-keys", "\"user:1\", \"sku%3A%20\""),
            ("saga-deadline", "1970-01-01T00:00:01Z"),
            ("saga-callback-url", "http://c/x"),
        ]))
        .unwrap();
        assert_eq!(call.idempotency_key(), "order-42/charge/cancel");
        assert_eq!((call.op, call.attempt), (Op::Cancel, 3));
        assert_eq!(call.forward_outcome, Some(ForwardOutcome::Unknown));
        let tokens: Vec<_> = call.fencing_tokens.iter().map(|t| (&*t.key, t.token)).collect();
        assert_eq!(tokens, [("sku: ", 7), ("user:1", 42)]);
        let second = SystemTime::UNIX_EPOCH + std::time::Duration::from_secs(1);
        assert_eq!(call.deadline, Some(second));
        assert_eq!(call.callback_url.as_deref(), Some("http://c/x"));
    }

    #[test]
    fn what_is_wrong_is_named() {
        let cases: [(&[(&'static str, &str)], &str); 10] = [
            (&[("saga-id", "")], "Saga-Id"),
            (&[("saga-id", "a/b")], "Saga-Id"),
            (&[("saga-step", "ä")], "Saga-Step"),
            (&[("saga-operation", "undo")], "Saga-Operation"),
            (&[("saga-attempt", "0")], "Saga-Attempt"),
            (&[("saga-forward-outcome", "maybe")], "Saga-Forward-Outcome"),
            (&[("saga-fencing-token", "42")], "Saga-Lock-Keys"),
            (&[("saga-fencing-token", "x"), ("saga-lock-keys", "\"a\"")], "Saga-Fencing-Token"),
            (&[("saga-deadline", "tomorrow")], "Saga-Deadline"),
            (&[("idempotency-key", "\"other/charge/cancel\"")], "Idempotency-Key"),
        ];
        for (pairs, name) in cases {
            let error = Call::from_headers(&headers(pairs)).unwrap_err().to_string();
            assert!(error.contains(name), "{pairs:?}: {error}");
        }
        let mut missing = headers(&[]);
        missing.remove("saga-operation");
        assert_eq!(Call::from_headers(&missing), Err(CallError::Missing("Saga-Operation")));
    }
}
