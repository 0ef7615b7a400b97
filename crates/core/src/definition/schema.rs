//! What inputs must look like: JSON Schema, draft 2020-12 unless `$schema` says otherwise.
//!
//! A schema is compiled once. It cannot refer to other documents, and its patterns are matched in
//! linear time.

use std::error::Error;
use std::fmt;

use boon::{Compiler, Draft, ErrorKind, SchemaIndex, Schemas, UrlLoader, ValidationError};
use serde_json::Value;

use super::schema_work;
use crate::Json;

/// Most violations that are reported of one input.
const VIOLATIONS_MAX: usize = 20;

/// Most characters of the sentence for one violation; it may repeat a part of the input.
const DETAIL_CHARS_MAX: usize = 300;

/// Most patterns in one schema.
const PATTERNS_MAX: usize = 64;

/// Most bytes that one compiled pattern may take; `(\w{100}){100}` would take many MiB.
const PATTERN_COMPILED_BYTES_MAX: usize = 1 << 20;

/// What names of other documents are completed with; nothing is ever fetched.
const BASE: &str = "amends:///";

/// The name that the schema has among documents.
const LOCATION: &str = "amends:///input_schema";

/// A compiled JSON schema.
pub struct InputSchema {
    /// The schema as it was given.
    pub source: Json,
    schemas: Schemas,
    index: SchemaIndex,
}

/// One way in which an input differs from its schema.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    /// JSON pointer (RFC 6901) into the input.
    pub pointer: String,
    /// What is wrong there.
    pub detail: String,
}

impl InputSchema {
    /// Compiles `schema`, an object or a truth value.
    ///
    /// # Errors
    ///
    /// A sentence that says what is wrong with it.
    pub fn compile(schema: &Value) -> Result<Self, String> {
        if !schema.is_object() && !schema.is_boolean() {
            return Err("a JSON schema is an object, such as { \"type\": \"object\" }".to_owned());
        }
        schema_work::check(schema)?;
        check_patterns(schema)?;
        let mut compiler = Compiler::new();
        compiler.set_default_draft(Draft::V2020_12);
        compiler.enable_format_assertions();
        compiler.use_loader(Box::new(NoLoader));
        let mut schemas = Schemas::new();
        let said = |error: boon::CompileError| sentence(&format!("{error:#}"));
        compiler.add_resource(LOCATION, schema.clone()).map_err(said)?;
        let index = compiler.compile(LOCATION, &mut schemas).map_err(said)?;
        Ok(Self { source: Json::from_value(schema), schemas, index })
    }

    /// How `input` differs from the schema: at most 20 violations, none when it fits.
    pub fn validate(&self, input: &Json) -> Vec<Violation> {
        let mut violations = Vec::new();
        if let Err(error) = self.schemas.validate(input.value(), self.index) {
            collect(&error, &mut violations);
        }
        violations
    }
}

impl fmt::Debug for InputSchema {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("InputSchema").field(&self.source).finish()
    }
}

/// Adds the violations themselves, not the schemas on the way to them; alternatives count as one.
fn collect(error: &ValidationError<'_, '_>, violations: &mut Vec<Violation>) {
    let is_wrapper = matches!(
        error.kind,
        ErrorKind::Schema { .. }
            | ErrorKind::Group
            | ErrorKind::Reference { .. }
            | ErrorKind::AllOf
    );
    if is_wrapper && !error.causes.is_empty() {
        for cause in &error.causes {
            collect(cause, violations);
        }
    } else if violations.len() < VIOLATIONS_MAX {
        violations.push(Violation {
            pointer: error.instance_location.to_string(),
            detail: sentence(&error.kind.to_string()),
        });
    }
}

fn sentence(text: &str) -> String {
    let line: String = text.split_whitespace().collect::<Vec<_>>().join(" ");
    let own = format!("{LOCATION}#");
    let line = line.replace(&own, "#").replace(LOCATION, "the schema").replace(BASE, "");
    match line.char_indices().nth(DETAIL_CHARS_MAX) {
        Some((end, _)) => format!("{}…", &line[..end]),
        None => line,
    }
}

/// Refuses every document but the schema itself and the published meta-schemas.
struct NoLoader;

impl UrlLoader for NoLoader {
    fn load(&self, url: &str) -> Result<Value, Box<dyn Error>> {
        Err(format!("{url} is another document; put what is needed under $defs").into())
    }
}

/// Bounds what the patterns of a schema cost in memory.
fn check_patterns(schema: &Value) -> Result<(), String> {
    let mut patterns = Vec::new();
    collect_patterns(schema, &mut patterns);
    if patterns.len() > PATTERNS_MAX {
        return Err(format!("has {} patterns; at most {PATTERNS_MAX} are allowed", patterns.len()));
    }
    for pattern in patterns {
        let built =
            regex::RegexBuilder::new(pattern).size_limit(PATTERN_COMPILED_BYTES_MAX).build();
        if matches!(built, Err(regex::Error::CompiledTooBig(_))) {
            return Err(sentence(&format!(
                "the pattern {pattern:?} repeats too much; write smaller bounds"
            )));
        }
    }
    Ok(())
}

fn collect_patterns<'a>(value: &'a Value, patterns: &mut Vec<&'a str>) {
    match value {
        Value::Array(items) => items.iter().for_each(|item| collect_patterns(item, patterns)),
        Value::Object(members) => {
            for (name, member) in members {
                match (name.as_str(), member) {
                    ("pattern", Value::String(pattern)) => patterns.push(pattern),
                    ("patternProperties", Value::Object(properties)) => {
                        patterns.extend(properties.keys().map(String::as_str));
                    }
                    _ => {}
                }
                collect_patterns(member, patterns);
            }
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[track_caller]
    fn check(schema: &Value, input: &Value, expected: &[&str]) {
        let schema = InputSchema::compile(schema).unwrap();
        let found = schema.validate(&Json::from_value(input));
        let mut pointers: Vec<_> = found.iter().map(|one| one.pointer.as_str()).collect();
        pointers.sort_unstable();
        assert_eq!(pointers, expected, "{found:?}");
    }

    #[test]
    fn violations_carry_pointers() {
        let schema = json!({
            "type": "object",
            "required": ["sku", "qty"],
            "properties": {
                "sku": { "type": "string", "pattern": "^[a-z]+$" },
                "qty": { "type": "integer", "minimum": 1 },
                "lines": { "type": "array", "items": { "$ref": "#/$defs/line" } },
                "kind": { "anyOf": [{ "const": "a" }, { "const": "b" }] },
            },
            "$defs": { "line": { "type": "object", "additionalProperties": false } },
        });
        check(&schema, &json!({"sku": "a", "qty": 1, "lines": [{}], "kind": "a"}), &[]);
        check(&schema, &json!({}), &[""]);
        check(&schema, &json!({"sku": "A", "qty": 0}), &["/qty", "/sku"]);
        check(&schema, &json!({"sku": "a", "qty": 1.5}), &["/qty"]);
        check(
            &schema,
            &json!({"sku": "a", "qty": 1, "lines": [{}, {"x/y": 1}, 3]}),
            &["/lines/1", "/lines/2"],
        );
        check(&schema, &json!({"sku": "a", "qty": 1, "kind": "c"}), &["/kind"]);
        check(&json!(true), &json!(1), &[]);
        check(&json!(false), &json!(1), &[""]);
    }

    #[test]
    fn violations_are_bounded() {
        let schema = InputSchema::compile(&json!({"items": {"type": "string"}})).unwrap();
        let input = Json::from_value(&json!(vec![1; 1000]));
        assert_eq!(schema.validate(&input).len(), VIOLATIONS_MAX);
        let schema = InputSchema::compile(&json!({"pattern": "^a*$"})).unwrap();
        let found = schema.validate(&Json::from_value(&json!("b".repeat(100_000))));
        assert!(found[0].detail.chars().count() <= DETAIL_CHARS_MAX + 1);
    }

    #[test]
    fn schemas_that_cannot_be_used_are_refused() {
        for schema in [
            json!(1),
            json!({"type": "nope"}),
            json!({"$ref": "https://example.com/schema.json"}),
            json!({"$ref": "file:///etc/passwd"}),
            json!({"$ref": "other.json"}),
            json!({"$ref": "#/$defs/missing"}),
            json!({"$schema": "https://example.com/meta"}),
            json!({"pattern": "("}),
            json!({"pattern": "(?=a)"}),
            json!({"pattern": "((a{100}){100}){100}"}),
            json!({"anyOf": vec![json!({"pattern": "a"}); 100]}),
        ] {
            let why = InputSchema::compile(&schema).map(|_| ()).expect_err(&schema.to_string());
            assert!(!why.contains("amends:"), "{why}");
        }
    }

    #[test]
    fn patterns_take_linear_time() {
        let schema = InputSchema::compile(&json!({"pattern": "^(a+)+$"})).unwrap();
        let input = format!("{}b", "a".repeat(50_000));
        assert_eq!(schema.validate(&Json::from_value(&json!(input))).len(), 1);
    }
}
