//! Seeing effects: a GET that gives a number before and after.

use std::fmt;

use serde::Serialize;
use serde_json::Value;

use crate::answer::{Answer, printable};

/// Where an effect can be seen.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct EffectSource {
    /// An absolute URL, or a path below the participant's base URL.
    pub url: String,
    /// JSON pointer (RFC 6901) to a number, or to a list or an object whose members count; the
    /// empty text is the whole answer.
    pub pointer: String,
}

impl EffectSource {
    /// Reads `URL#POINTER`, as RFC 6901 writes a pointer in a URL's fragment.
    ///
    /// # Errors
    ///
    /// A sentence: the pointer is none, or the URL is neither absolute nor a path.
    pub fn parse(text: &str) -> Result<Self, String> {
        let (url, pointer) = text.split_once('#').unwrap_or((text, ""));
        Self::new(url, pointer)
    }

    /// Of its two parts.
    ///
    /// # Errors
    ///
    /// As [`EffectSource::parse`].
    pub fn new(url: &str, pointer: &str) -> Result<Self, String> {
        if !pointer.is_empty() && !pointer.starts_with('/') {
            return Err(format!("{pointer:?} is no JSON pointer: it must start with /, as /qty"));
        }
        if !["/", "http://", "https://"].iter().any(|start| url.starts_with(start)) {
            return Err(format!(
                "{url:?} is no place to see an effect: give a URL (http://…) or a path (/…)"
            ));
        }
        Ok(Self { url: url.to_owned(), pointer: pointer.to_owned() })
    }

    /// The number in `answer`.
    ///
    /// # Errors
    ///
    /// A sentence: there is none.
    pub(crate) fn number(&self, answer: &Answer) -> Result<f64, String> {
        let Some(body) = answer.output() else {
            return Err(format!("GET {} was {}", self.url, answer.with_reason()));
        };
        let place = if self.pointer.is_empty() { "its answer" } else { &self.pointer };
        match body.pointer(&self.pointer) {
            Some(Value::Number(number)) => number
                .as_f64()
                .filter(|number| number.is_finite())
                .ok_or_else(|| format!("the number at {place} is out of range")),
            Some(Value::Array(items)) => Ok(count(items.len())),
            Some(Value::Object(members)) => Ok(count(members.len())),
            Some(other) => Err(format!(
                "{place} of GET {} is {}, not a number, a list or an object",
                self.url,
                printable(&other.to_string())
            )),
            None => Err(format!("GET {} has nothing at {place}", self.url)),
        }
    }
}

/// As a person would write it.
impl fmt::Display for EffectSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "GET {}", self.url)?;
        if self.pointer.is_empty() { Ok(()) } else { write!(f, " at {}", self.pointer) }
    }
}

#[expect(clippy::cast_precision_loss, reason = "an answer is too short for 2^52 members")]
fn count(members: usize) -> f64 {
    members as f64
}

/// Whether two measured numbers are the same, up to rounding.
pub(crate) fn same(one: f64, other: f64) -> bool {
    (one - other).abs() <= 1e-9 * one.abs().max(other.abs()).max(1.0)
}

/// `change` in words, where one call changes the number by `unit`.
pub(crate) fn in_words(change: f64, unit: Option<f64>) -> String {
    if same(change, 0.0) {
        return "none".to_owned();
    }
    match unit.filter(|unit| !same(*unit, 0.0)).map(|unit| change / unit) {
        Some(times) if same(times, 1.0) => "once".to_owned(),
        Some(times) if same(times, 2.0) => "twice".to_owned(),
        Some(times) if same(times, times.round()) && times > 0.0 => format!("{times} times"),
        _ => format!("{change:+}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn number(pointer: &str, body: &'static str) -> Result<f64, String> {
        let source = EffectSource::new("/stock", pointer).unwrap();
        source.number(&Answer::given(200, &bytes::Bytes::from_static(body.as_bytes())))
    }

    #[test]
    fn numbers_are_taken_and_members_counted() {
        assert_eq!(number("/a/0", r#"{"a":[7.5]}"#), Ok(7.5));
        assert_eq!(number("/a", r#"{"a":[7.5, 1]}"#), Ok(2.0));
        assert_eq!(number("", r#"{"a":1}"#), Ok(1.0));
        assert!(number("/b", r#"{"a":1}"#).unwrap_err().contains("nothing at /b"));
        assert!(number("/a", r#"{"a":"x"}"#).unwrap_err().contains("\"x\", not a number"));
    }

    #[test]
    fn places_are_a_url_and_a_pointer() {
        let parsed = EffectSource::parse("http://h/stock/tea#/on_shelf").unwrap();
        assert_eq!((&*parsed.url, &*parsed.pointer), ("http://h/stock/tea", "/on_shelf"));
        assert!(EffectSource::parse("stock").is_err());
        assert!(EffectSource::parse("/stock#qty").is_err());
    }

    #[test]
    fn changes_are_told_in_calls() {
        for (change, words) in
            [(0.0, "none"), (-2.0, "once"), (-4.0, "twice"), (-6.0, "3 times"), (1.0, "+1")]
        {
            assert_eq!(in_words(change, Some(-2.0)), words);
        }
        assert_eq!(in_words(3.0, None), "+3");
    }
}
