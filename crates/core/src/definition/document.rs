//! The document behind a definition: text to JSON, bounds, identity.

use std::fmt::{self, Write as _};

use serde::de::{self, Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Value};
use sha2::{Digest as _, Sha256};

use super::{Digest, Fault, FaultCode, Format};

/// Most bytes of a document.
pub(super) const BYTES_MAX: usize = 256 * 1024;

/// Deepest nesting of a document.
pub(super) const DEPTH_MAX: usize = 64;

/// Reads `text`; names that stand twice in one object are refused.
pub(super) fn read(text: &str, format: Format) -> Result<Value, Fault> {
    if text.len() > BYTES_MAX {
        return Err(too_large(&format!(
            "is {} bytes long; at most {BYTES_MAX} are allowed",
            text.len()
        )));
    }
    let read = match format {
        Format::Json => serde_json::from_str::<Strict>(text).map_err(|error| error.to_string()),
        Format::Yaml => serde_saphyr::from_str_with_options::<Strict>(text, yaml_options())
            .map_err(|error| yaml_sentence(&error)),
    };
    let value = read.map_err(|why| {
        Fault::new("", FaultCode::Syntax, format!("the document is not {format}: {why}"))
    })?;
    Ok(value.0)
}

/// Checks the bounds of a document that did not come as text, and answers its canonical one.
pub(super) fn check_bounds(value: &Value) -> Result<String, Fault> {
    if !is_within_depth(value, DEPTH_MAX) {
        return Err(too_large(&format!("is nested deeper than {DEPTH_MAX} levels")));
    }
    let text = canonical(value);
    let bytes = text.len();
    if bytes > BYTES_MAX {
        return Err(too_large(&format!("is {bytes} bytes long; at most {BYTES_MAX} are allowed")));
    }
    if holds_nul(value) {
        let detail =
            "the document contains the character U+0000, which cannot be stored; remove it";
        return Err(Fault::new("", FaultCode::Syntax, detail));
    }
    Ok(text)
}

/// SHA-256 of the canonical text.
pub(super) fn digest(canonical: &str) -> Digest {
    let hash = Sha256::digest(canonical.as_bytes());
    Digest(hash.iter().fold(String::with_capacity(64), |mut text, byte| {
        // Writing to a `String` cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    }))
}

/// JSON without white space, names sorted by their bytes whatever order the map keeps.
pub(super) fn canonical(value: &Value) -> String {
    let mut text = Vec::new();
    write_canonical(value, &mut text);
    // JSON is UTF-8.
    String::from_utf8(text).unwrap_or_default()
}

fn write_canonical(value: &Value, out: &mut Vec<u8>) {
    match value {
        Value::Array(items) => {
            out.push(b'[');
            for (index, item) in items.iter().enumerate() {
                if index > 0 {
                    out.push(b',');
                }
                write_canonical(item, out);
            }
            out.push(b']');
        }
        Value::Object(members) => {
            let mut sorted: Vec<_> = members.iter().collect();
            sorted.sort_by_key(|(name, _)| *name);
            out.push(b'{');
            for (index, (name, member)) in sorted.into_iter().enumerate() {
                if index > 0 {
                    out.push(b',');
                }
                // Writing to a `Vec` cannot fail.
                let _ = serde_json::to_writer(&mut *out, name);
                out.push(b':');
                write_canonical(member, out);
            }
            out.push(b'}');
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {
            let _ = serde_json::to_writer(out, value);
        }
    }
}

fn too_large(what: &str) -> Fault {
    Fault::new("", FaultCode::TooLarge, format!("the document {what}; split it up"))
}

fn is_within_depth(value: &Value, levels: usize) -> bool {
    match value {
        Value::Array(items) => {
            levels > 0 && items.iter().all(|item| is_within_depth(item, levels - 1))
        }
        Value::Object(members) => {
            levels > 0 && members.values().all(|member| is_within_depth(member, levels - 1))
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => true,
    }
}

fn holds_nul(value: &Value) -> bool {
    match value {
        Value::String(text) => text.contains('\0'),
        Value::Array(items) => items.iter().any(holds_nul),
        Value::Object(members) => {
            members.iter().any(|(name, member)| name.contains('\0') || holds_nul(member))
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => false,
    }
}

/// One document, aliases within bounds that no honest document meets, YAML 1.2's true and false.
fn yaml_options() -> serde_saphyr::Options {
    serde_saphyr::options! {
        budget: serde_saphyr::budget! {
            max_events: 100_000,
            max_nodes: 50_000,
            max_aliases: 1_000,
            max_anchors: 1_000,
            max_depth: DEPTH_MAX,
            max_documents: 1,
        },
        alias_limits: serde_saphyr::alias_limits! {
            max_total_replayed_events: 20_000,
            max_replay_stack_depth: 16,
        },
        strict_booleans: true,
        reject_unsupported_tags: true,
    }
}

fn yaml_sentence(error: &serde_saphyr::Error) -> String {
    let plain = error.without_snippet();
    let text = plain.to_string();
    match plain.location() {
        Some(at) if !text.contains("line ") => {
            format!("line {}, column {}: {text}", at.line(), at.column())
        }
        _ => text,
    }
}

/// A JSON value read without forgiving names that stand twice.
struct Strict(Value);

impl<'de> Deserialize<'de> for Strict {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(StrictVisitor).map(Self)
    }
}

struct StrictVisitor;

impl<'de> Visitor<'de> for StrictVisitor {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_none<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }

    fn visit_bool<E>(self, truth: bool) -> Result<Value, E> {
        Ok(Value::Bool(truth))
    }

    fn visit_i64<E>(self, number: i64) -> Result<Value, E> {
        Ok(Value::from(number))
    }

    fn visit_u64<E>(self, number: u64) -> Result<Value, E> {
        Ok(Value::from(number))
    }

    fn visit_f64<E: de::Error>(self, number: f64) -> Result<Value, E> {
        serde_json::Number::from_f64(number)
            .map(Value::Number)
            .ok_or_else(|| E::custom("infinite numbers and NaN are not JSON"))
    }

    fn visit_str<E>(self, text: &str) -> Result<Value, E> {
        Ok(Value::String(text.to_owned()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Value, A::Error> {
        let mut items = Vec::new();
        while let Some(Strict(item)) = seq.next_element()? {
            items.push(item);
        }
        Ok(Value::Array(items))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Value, A::Error> {
        let mut members = Map::new();
        while let Some(name) = map.next_key::<String>()? {
            if members.contains_key(&name) {
                return Err(de::Error::custom(format_args!("the name {name:?} stands twice")));
            }
            let Strict(member) = map.next_value()?;
            members.insert(name, member);
        }
        Ok(Value::Object(members))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    /// Or a definition would have another digest each time that it is read back.
    #[test]
    fn numbers_are_read_as_they_were_written() {
        for number in ["9.947272810725941", "9.096554065370487", "1e-308", "0.1", "-1.7e308"] {
            let value = read(number, Format::Json).unwrap();
            let again = read(&canonical(&value), Format::Json).unwrap();
            assert_eq!(again, value, "{number}");
            assert_eq!(value.as_f64(), number.parse().ok(), "{number}");
        }
    }

    #[test]
    fn the_digest_does_not_depend_on_order_or_format() {
        let json = read(r#"{"b": [1, {"y": null, "x": 1.5}], "a": "ä"}"#, Format::Json).unwrap();
        let yaml = read("a: ä\nb:\n  - 1\n  - {x: 1.5, y: null}\n", Format::Yaml).unwrap();
        assert_eq!(canonical(&json), r#"{"a":"ä","b":[1,{"x":1.5,"y":null}]}"#);
        assert_eq!(digest(&canonical(&json)), digest(&canonical(&yaml)));
        assert_ne!(digest(&canonical(&json)), digest(&canonical(&json!({}))));
        assert_eq!(digest(&canonical(&json)).0.len(), 64);
    }

    #[test]
    fn faulty_texts_are_refused_with_their_place() {
        let bomb = (1..12).fold("a0: &a0 [x]\n".to_owned(), |text, n| {
            let before = n - 1;
            format!("{text}a{n}: &a{n} [{}]\n", vec![format!("*a{before}"); 10].join(","))
        });
        for (text, format, place) in [
            ("{\"a\": 1,\n \"a\": 2}", Format::Json, "line 2"),
            ("{\"a\": ", Format::Json, "line 1"),
            ("a: 1\na: 2\n", Format::Yaml, "line 2"),
            ("a: [1\nb: 2\n", Format::Yaml, "line"),
            ("a: .nan\n", Format::Yaml, ""),
            ("a: 1\n---\nb: 2\n", Format::Yaml, ""),
            (&bomb, Format::Yaml, ""),
            (&"[".repeat(10_000), Format::Yaml, ""),
            (&"[".repeat(10_000), Format::Json, ""),
            ("{\"a\": 1} x", Format::Json, ""),
        ] {
            let fault = read(text, format).unwrap_err();
            assert_eq!(fault.code, FaultCode::Syntax, "{fault:?}");
            assert!(fault.detail.contains(place), "{fault:?}");
        }
        let long = " ".repeat(BYTES_MAX + 1);
        assert_eq!(read(&long, Format::Yaml).unwrap_err().code, FaultCode::TooLarge);
    }

    #[test]
    fn yaml_words_are_not_truth_values() {
        let value = read("a: no\nb: true\nc: 2s\n409: retryable\n", Format::Yaml).unwrap();
        assert_eq!(value, json!({"a": "no", "b": true, "c": "2s", "409": "retryable"}));
    }

    #[test]
    fn depth_and_nul_are_bounded() {
        let nested = |levels: usize| (0..levels).fold(json!(1), |value, _| json!([value]));
        assert!(check_bounds(&nested(64)).is_ok());
        assert_eq!(check_bounds(&nested(65)).unwrap_err().code, FaultCode::TooLarge);
        assert!(check_bounds(&json!({"a\0": 1})).is_err());
        assert!(check_bounds(&json!(["x".repeat(BYTES_MAX)])).is_err());
    }
}
