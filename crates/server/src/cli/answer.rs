//! Reading the API's answers for tables: what is missing is an empty text, never a failure.

use serde_json::Value;

/// The text at a member, numbers and flags as they are written; empty for `null` or nothing.
pub(crate) fn text(answer: &Value, member: &str) -> String {
    plain(&answer[member])
}

/// A value as a cell shows it.
pub(crate) fn plain(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        Value::Bool(_) | Value::Number(_) | Value::Array(_) | Value::Object(_) => value.to_string(),
    }
}

/// The items at a member; none if it is no array.
pub(crate) fn items<'a>(answer: &'a Value, member: &str) -> &'a [Value] {
    answer[member].as_array().map_or(&[], Vec::as_slice)
}

/// The texts at a member, joined.
pub(crate) fn joined(answer: &Value, member: &str) -> String {
    items(answer, member).iter().map(plain).collect::<Vec<_>>().join(", ")
}

/// Names and values at a member, as `k=v`.
pub(crate) fn pairs(answer: &Value, member: &str) -> String {
    let Some(object) = answer[member].as_object() else { return String::new() };
    object
        .iter()
        .map(|(name, value)| format!("{name}={}", plain(value)))
        .collect::<Vec<_>>()
        .join(" ")
}

/// A time to the second; the API's are RFC 3339 in UTC with fractions.
pub(crate) fn time(answer: &Value, member: &str) -> String {
    let text = text(answer, member);
    match text.split_once('.') {
        Some((seconds, _)) => format!("{seconds}Z"),
        None => text,
    }
}
