//! Writing values as JSON and as text, within [`OUTPUT_BYTES_MAX`].

use std::fmt::Write as _;

use minijinja::Value;
use minijinja::value::ValueKind;
use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;

use super::limit::{OUTPUT_BYTES_MAX, OUTPUT_DEPTH_MAX};
use super::path::Segment;

/// Refuses what has grown over the bound.
pub(super) fn within_bound(out: &str) -> Result<(), String> {
    if out.len() <= OUTPUT_BYTES_MAX {
        return Ok(());
    }
    Err(format!("what it gives is longer than {OUTPUT_BYTES_MAX} bytes"))
}

/// Why a value of this kind cannot be put into a text.
pub(super) fn no_text(kind: &str) -> String {
    format!("is {kind}; a text can hold strings, numbers, true and false")
}

/// Writes a JSON string.
pub(super) fn string(out: &mut String, text: &str) -> Result<(), String> {
    out.push('"');
    let mut written = 0;
    for (index, byte) in text.bytes().enumerate() {
        let escape = match byte {
            b'"' => "\\\"",
            b'\\' => "\\\\",
            b'\n' => "\\n",
            b'\r' => "\\r",
            b'\t' => "\\t",
            0 => return Err("gives the character U+0000, which cannot be stored".to_owned()),
            1..0x20 => "",
            _ => continue,
        };
        out.push_str(&text[written..index]);
        written = index + 1;
        if escape.is_empty() {
            // Writing to a `String` cannot fail.
            let _ = write!(out, "\\u{byte:04x}");
        } else {
            out.push_str(escape);
        }
    }
    out.push_str(&text[written..]);
    out.push('"');
    within_bound(out)
}

/// Writes what minijinja computed as JSON.
pub(super) fn value(out: &mut String, value: &Value, depth: usize) -> Result<(), String> {
    if depth > OUTPUT_DEPTH_MAX {
        return Err(format!("what it gives is nested deeper than {OUTPUT_DEPTH_MAX} levels"));
    }
    match value.kind() {
        ValueKind::Undefined => return Err(undefined()),
        ValueKind::None => out.push_str("null"),
        ValueKind::Bool => out.push_str(if value.is_true() { "true" } else { "false" }),
        ValueKind::Number => number(out, value)?,
        ValueKind::String => string(out, value.as_str().unwrap_or_default())?,
        ValueKind::Seq | ValueKind::Iterable => list(out, value, depth)?,
        ValueKind::Map => object(out, value, depth)?,
        ValueKind::Bytes | ValueKind::Plain | ValueKind::Invalid | _ => {
            return Err(format!(
                "gives a value of type {}, which JSON does not have",
                value.kind()
            ));
        }
    }
    within_bound(out)
}

/// Writes what minijinja computed as text.
pub(super) fn text(out: &mut String, value: &Value) -> Result<(), String> {
    match value.kind() {
        ValueKind::Undefined => return Err(undefined()),
        ValueKind::None => return Err(no_text("null")),
        ValueKind::Bool => out.push_str(if value.is_true() { "true" } else { "false" }),
        ValueKind::Number => number(out, value)?,
        ValueKind::String => out.push_str(value.as_str().unwrap_or_default()),
        ValueKind::Seq | ValueKind::Iterable => return Err(no_text("a list")),
        ValueKind::Map => return Err(no_text("an object")),
        ValueKind::Bytes | ValueKind::Plain | ValueKind::Invalid | _ => {
            return Err(no_text("of another type"));
        }
    }
    within_bound(out)
}

/// Why a missing value is refused.
pub(super) fn undefined() -> String {
    "what it names is not there; write `… | default(…)` or ask `… is defined` first".to_owned()
}

fn number(out: &mut String, value: &Value) -> Result<(), String> {
    if value.is_integer() {
        // Writing to a `String` cannot fail.
        let _ = write!(out, "{value}");
        return Ok(());
    }
    let number = f64::try_from(value.clone()).ok().and_then(serde_json::Number::from_f64);
    let number = number.ok_or("gives a number that JSON does not have (infinite, or none)")?;
    let _ = write!(out, "{number}");
    Ok(())
}

fn list(out: &mut String, list: &Value, depth: usize) -> Result<(), String> {
    out.push('[');
    let items = list.try_iter().map_err(|error| error.to_string())?;
    for (index, item) in items.checked().enumerate() {
        if index > 0 {
            out.push(',');
        }
        value(out, &item.map_err(|error| error.to_string())?, depth + 1)?;
    }
    out.push(']');
    Ok(())
}

fn object(out: &mut String, object: &Value, depth: usize) -> Result<(), String> {
    out.push('{');
    let keys = object.try_iter().map_err(|error| error.to_string())?;
    for (index, key) in keys.checked().enumerate() {
        if index > 0 {
            out.push(',');
        }
        let key = key.map_err(|error| error.to_string())?;
        string(out, key.as_str().ok_or("gives an object with a name that is no string")?)?;
        out.push(':');
        value(out, &object.get_item(&key).map_err(|error| error.to_string())?, depth + 1)?;
    }
    out.push('}');
    Ok(())
}

/// The piece of a JSON text that `members` lead to.
pub(super) fn excerpt<'a>(text: &'a str, members: &[Segment]) -> Option<&'a str> {
    members.iter().try_fold(text.trim(), |text, member| {
        let mut deserializer = serde_json::Deserializer::from_str(text);
        Member(member).deserialize(&mut deserializer).ok().flatten().map(RawValue::get)
    })
}

/// Reads one member or item of a value as text and skips the others; of members with the same
/// name the last counts, as everywhere.
struct Member<'s>(&'s Segment);

impl<'de> DeserializeSeed<'de> for Member<'_> {
    type Value = Option<&'de RawValue>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Member<'_> {
    type Value = Option<&'de RawValue>;

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("an object or a list")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut found = None;
        while let Some(is_it) = map.next_key_seed(IsMember(self.0))? {
            if is_it {
                found = Some(map.next_value()?);
            } else {
                map.next_value::<IgnoredAny>()?;
            }
        }
        Ok(found)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Self::Value, A::Error> {
        let mut found = None;
        let mut index = 0;
        loop {
            if *self.0 == Segment::Index(index) {
                found = seq.next_element()?;
            } else if seq.next_element::<IgnoredAny>()?.is_none() {
                return Ok(found);
            }
            index += 1;
        }
    }
}

/// Compares a member's name without keeping it.
struct IsMember<'s>(&'s Segment);

impl<'de> DeserializeSeed<'de> for IsMember<'_> {
    type Value = bool;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<bool, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl Visitor<'_> for IsMember<'_> {
    type Value = bool;

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("a name")
    }

    fn visit_str<E>(self, name: &str) -> Result<bool, E> {
        Ok(matches!(self.0, Segment::Name(own) if **own == *name))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strings_are_escaped_as_serde_json_does() {
        for text in ["", "a\"b\\c\n\r\t\u{1}\u{1f}ä€😀", "\u{7f}"] {
            let mut out = String::new();
            string(&mut out, text).unwrap();
            assert_eq!(serde_json::from_str::<String>(&out).unwrap(), text);
        }
        assert!(string(&mut String::new(), "a\0").is_err());
    }

    #[test]
    fn excerpts_are_verbatim() {
        let text = r#" {"a": [1, {"b\u0063": 1.10, "bc": 2.50}], "a\u0062": null} "#;
        let name = |name: &str| Segment::Name(name.into());
        let path = [name("a"), Segment::Index(1), name("bc")];
        assert_eq!(excerpt(text, &path), Some("2.50"));
        assert_eq!(excerpt(text, &[name("ab")]), Some("null"));
        assert_eq!(excerpt(text, &[name("a"), Segment::Index(7)]), None);
        assert_eq!(excerpt(text, &[]), Some(text.trim()));
    }
}
