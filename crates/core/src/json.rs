//! JSON that nobody has looked into yet.
//!
//! Payloads travel as the text they came in; they are parsed at most once, and only when an
//! expression asks. Bounds on size and depth are checked where the text enters
//! ([`Json::parse_bounded`]).

use std::fmt;
use std::sync::{Arc, OnceLock};

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::Value;
use serde_json::value::RawValue;

/// One JSON value as text, parsed when first asked for. Cheap to clone.
#[derive(Clone)]
pub struct Json(Arc<Inner>);

struct Inner {
    raw: Box<RawValue>,
    value: OnceLock<Value>,
}

/// Why a text is not acceptable JSON.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum JsonError {
    /// Not JSON at all.
    #[error("is not JSON: {0}")]
    Syntax(String),
    /// Arrays and objects stand deeper in one another than the bound.
    #[error("is nested deeper than {max} levels")]
    TooDeep {
        /// Levels allowed.
        max: usize,
    },
    /// A string or name holds the character U+0000, which PostgreSQL cannot store as text.
    #[error("contains the NUL character (U+0000)")]
    Nul,
}

impl Json {
    /// The value `null`.
    pub fn null() -> Self {
        Self::from_value(&Value::Null)
    }

    /// Takes a text that is JSON; white space around it is dropped, inside it is kept.
    ///
    /// # Errors
    ///
    /// [`JsonError::Syntax`].
    pub fn parse(text: &str) -> Result<Self, JsonError> {
        let raw: Box<RawValue> =
            serde_json::from_str(text).map_err(|error| JsonError::Syntax(error.to_string()))?;
        Ok(Self::from_raw(raw))
    }

    /// [`Json::parse`] for text from outside: also refuses NUL characters, values nested deeper
    /// than `depth_max`, and numbers that no reader could hold (`1e400`).
    ///
    /// # Errors
    ///
    /// [`JsonError`].
    pub fn parse_bounded(text: &str, depth_max: usize) -> Result<Self, JsonError> {
        scan(text, depth_max)?;
        let json = Self::parse(text)?;
        let value =
            serde_json::from_str(text).map_err(|error| JsonError::Syntax(error.to_string()))?;
        json.0.value.get_or_init(|| value);
        Ok(json)
    }

    /// Takes a text already known to be JSON.
    pub fn from_raw(raw: Box<RawValue>) -> Self {
        Self(Arc::new(Inner { raw, value: OnceLock::new() }))
    }

    /// Writes `value` as text.
    pub fn from_value(value: &Value) -> Self {
        // A `Value` has string keys only, so writing it cannot fail.
        let raw = serde_json::value::to_raw_value(value).unwrap_or_default();
        Self::from_raw(raw)
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        self.0.raw.get()
    }

    /// The parsed value; parsed on the first call.
    pub fn value(&self) -> &Value {
        self.0.value.get_or_init(|| serde_json::from_str(self.as_str()).unwrap_or(Value::Null))
    }
}

/// Looks for what must not enter, in one pass and without building anything.
fn scan(text: &str, depth_max: usize) -> Result<(), JsonError> {
    let (mut depth, mut in_string, mut bytes) = (0_usize, false, text.bytes());
    while let Some(byte) = bytes.next() {
        match byte {
            0 => return Err(JsonError::Nul),
            b'"' => in_string = !in_string,
            b'\\' if in_string => {
                let escape = bytes.next();
                if escape == Some(b'u') && bytes.as_slice_starts_with_zeroes() {
                    return Err(JsonError::Nul);
                }
            }
            b'[' | b'{' if !in_string => {
                depth += 1;
                if depth > depth_max {
                    return Err(JsonError::TooDeep { max: depth_max });
                }
            }
            b']' | b'}' if !in_string => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    Ok(())
}

/// Whether the next four digits of a `\u` escape are zeroes.
trait Zeroes {
    fn as_slice_starts_with_zeroes(&self) -> bool;
}

impl Zeroes for std::str::Bytes<'_> {
    fn as_slice_starts_with_zeroes(&self) -> bool {
        self.clone().take(4).eq(*b"0000")
    }
}

impl fmt::Debug for Json {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl PartialEq for Json {
    fn eq(&self, other: &Self) -> bool {
        self.as_str() == other.as_str() || self.value() == other.value()
    }
}

impl Eq for Json {}

impl Serialize for Json {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.0.raw.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Json {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Box::<RawValue>::deserialize(deserializer).map(Self::from_raw)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bounds_are_checked_before_anything_is_built() {
        let deep = format!("{}1{}", "[".repeat(65), "]".repeat(65));
        assert_eq!(Json::parse_bounded(&deep, 64), Err(JsonError::TooDeep { max: 64 }));
        assert!(Json::parse_bounded(&deep, 65).is_ok());
        assert_eq!(Json::parse_bounded(r#""a\u0000""#, 64), Err(JsonError::Nul));
        assert!(Json::parse_bounded(r#""a\\u0000 [[[""#, 1).is_ok());
        assert!(matches!(Json::parse_bounded("{", 64), Err(JsonError::Syntax(_))));
        assert!(matches!(Json::parse_bounded("[1e400]", 64), Err(JsonError::Syntax(_))));
    }

    #[test]
    fn text_survives_unchanged() {
        let json = Json::parse(r#" {"n":1.10000000000000000000001} "#).unwrap();
        assert_eq!(serde_json::to_string(&json).unwrap(), json.as_str());
        assert_eq!(json.as_str(), r#"{"n":1.10000000000000000000001}"#);
    }
}
