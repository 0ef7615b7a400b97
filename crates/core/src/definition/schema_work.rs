//! Bounds the work of validating: a small schema must not describe exponential work.
//!
//! References make a schema a graph. Thirty definitions that each refer twice to the next one
//! stand for a thousand million checks, and one that refers to itself twice at the same place of
//! the input doubles the work with every level of nesting.

use std::collections::BTreeSet;

use serde_json::Value;

/// Most subschemas that a schema may have once every reference is written out.
const EXPANDED_MAX: usize = 50_000;

/// Deepest chain of subschemas.
const DEPTH_MAX: usize = 256;

/// Keywords with one subschema; `true` where it looks at another place of the input.
const SINGLE: &[(&str, bool)] = &[
    ("not", false),
    ("if", false),
    ("then", false),
    ("else", false),
    ("items", true),
    ("additionalItems", true),
    ("unevaluatedItems", true),
    ("contains", true),
    ("additionalProperties", true),
    ("unevaluatedProperties", true),
    ("propertyNames", true),
];

/// Keywords with a list of subschemas.
const LISTS: &[(&str, bool)] =
    &[("allOf", false), ("anyOf", false), ("oneOf", false), ("items", true), ("prefixItems", true)];

/// Keywords with an object of subschemas.
const OBJECTS: &[(&str, bool)] = &[
    ("properties", true),
    ("patternProperties", true),
    ("dependentSchemas", false),
    ("dependencies", false),
];

/// Refuses schemas that refer elsewhere or whose work has no reasonable bound.
///
/// # Errors
///
/// A sentence that says why.
pub(super) fn check(schema: &Value) -> Result<(), String> {
    check_bases(schema, true)?;
    let mut walk = Walk { root: schema, open: Vec::new(), places: Vec::new(), count: 0 };
    walk.visit(schema)
}

/// References are resolved within one document, so no part of it may have an address of its own.
fn check_bases(value: &Value, is_root: bool) -> Result<(), String> {
    match value {
        Value::Array(items) => items.iter().try_for_each(|item| check_bases(item, false)),
        Value::Object(members) => {
            for (name, member) in members {
                if !is_root && name == "$id" && member.is_string() {
                    return Err(
                        "a part of the schema has an $id of its own; leave it out".to_owned()
                    );
                }
                check_bases(member, false)?;
            }
            Ok(())
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => Ok(()),
    }
}

struct Walk<'a> {
    root: &'a Value,
    /// The referred subschemas that the walk is in.
    open: Vec<Open<'a>>,
    /// How the walk went down the input.
    places: Vec<String>,
    count: usize,
}

struct Open<'a> {
    schema: &'a Value,
    /// Length of `places` where it was entered.
    depth: usize,
    /// Where, below it, it refers to itself.
    returns: BTreeSet<Vec<String>>,
}

impl<'a> Walk<'a> {
    fn visit(&mut self, schema: &'a Value) -> Result<(), String> {
        let Some(keywords) = schema.as_object() else { return Ok(()) };
        self.count += 1;
        if self.count > EXPANDED_MAX || self.open.len() + self.places.len() > DEPTH_MAX {
            return Err(
                "its references multiply; with each one written out it is too large".to_owned()
            );
        }
        self.open.push(Open { schema, depth: self.places.len(), returns: BTreeSet::new() });
        for name in ["$ref", "$dynamicRef", "$recursiveRef"] {
            if let Some(Value::String(target)) = keywords.get(name) {
                self.refer(target)?;
            }
        }
        for (name, moves) in SINGLE {
            if let Some(inner) = keywords.get(*name) {
                self.below(moves.then(|| place(name, "")), inner)?;
            }
        }
        for (name, moves) in LISTS {
            for (index, inner) in
                keywords.get(*name).and_then(Value::as_array).into_iter().flatten().enumerate()
            {
                self.below(moves.then(|| place(name, &index.to_string())), inner)?;
            }
        }
        for (name, moves) in OBJECTS {
            for (member, inner) in
                keywords.get(*name).and_then(Value::as_object).into_iter().flatten()
            {
                self.below(moves.then(|| place(name, member)), inner)?;
            }
        }
        self.open.pop();
        Ok(())
    }

    fn below(&mut self, place: Option<String>, schema: &'a Value) -> Result<(), String> {
        let depth = self.places.len();
        self.places.extend(place);
        self.visit(schema)?;
        self.places.truncate(depth);
        Ok(())
    }

    fn refer(&mut self, target: &str) -> Result<(), String> {
        let Some(fragment) = target.strip_prefix('#') else {
            // The published meta-schemas are known; anything else is refused when compiling.
            return Ok(());
        };
        let Some(schema) = resolve(self.root, fragment) else { return Ok(()) };
        let Some(open) = self.open.iter_mut().find(|open| std::ptr::eq(open.schema, schema)) else {
            return self.visit(schema);
        };
        let way = self.places[open.depth..].to_vec();
        if open.returns.insert(way) {
            return Ok(());
        }
        Err(format!("{target} refers to itself twice at the same place of the input"))
    }
}

/// The place of the input that a subschema looks at; keywords that may look at the same one share
/// it.
fn place(keyword: &str, name: &str) -> String {
    match keyword {
        "properties" => format!("/{name}"),
        "items" | "prefixItems" | "additionalItems" | "unevaluatedItems" | "contains" => {
            "[]".to_owned()
        }
        _ => "{}".to_owned(),
    }
}

/// What a fragment names: a JSON pointer or an anchor.
fn resolve<'a>(root: &'a Value, fragment: &str) -> Option<&'a Value> {
    let fragment = percent_encoding::percent_decode_str(fragment).decode_utf8_lossy();
    if fragment.is_empty() || fragment.starts_with('/') {
        return root.pointer(&fragment);
    }
    anchored(root, &fragment)
}

fn anchored<'a>(value: &'a Value, anchor: &str) -> Option<&'a Value> {
    match value {
        Value::Array(items) => items.iter().find_map(|item| anchored(item, anchor)),
        Value::Object(members) => {
            let names = ["$anchor", "$dynamicAnchor"];
            let is_it =
                names.iter().any(|name| members.get(*name).is_some_and(|own| own == anchor));
            if is_it {
                Some(value)
            } else {
                members.values().find_map(|inner| anchored(inner, anchor))
            }
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Map, json};

    use super::*;

    /// `d0` refers twice to `d1`, and so on.
    fn doubling(refer: impl Fn(String) -> Value) -> Value {
        let mut definitions: Map<String, Value> =
            (0..40).map(|n| (format!("d{n}"), refer(format!("#/$defs/d{}", n + 1)))).collect();
        definitions.insert("d40".to_owned(), json!({ "type": "string" }));
        json!({ "$ref": "#/$defs/d0", "$defs": definitions })
    }

    #[test]
    fn schemas_that_multiply_are_refused() {
        for schema in [
            doubling(|next| json!({ "allOf": [{ "$ref": next }, { "$ref": next }] })),
            doubling(|next| json!({ "anyOf": [{ "not": { "$ref": next } }, { "$ref": next }] })),
            doubling(
                |next| json!({ "properties": { "a": { "$ref": next }, "b": { "$ref": next } } }),
            ),
            json!({ "items": { "allOf": [{ "$ref": "#" }, { "$ref": "#" }] } }),
            json!({ "$ref": "#a", "$defs": { "x": { "$anchor": "a",
                "properties": { "p": { "anyOf": [{ "$ref": "#a" }, { "$ref": "#/$defs/x" }] } } } } }),
            json!({ "items": { "$ref": "#" }, "contains": { "$ref": "#" } }),
            json!({ "$defs": { "x": { "$id": "http://x/" } } }),
        ] {
            assert!(check(&schema).is_err(), "{schema}");
        }
    }

    #[test]
    fn honest_schemas_pass() {
        for schema in [
            json!(true),
            json!({ "$id": "http://x/", "type": "object" }),
            json!({ "properties": { "$id": { "type": "string" } } }),
            json!({ "properties": { "left": { "$ref": "#" }, "right": { "$ref": "#" } } }),
            json!({ "$ref": "#/$defs/a", "$defs": { "a": { "items": { "$ref": "#/$defs/b" } },
                "b": { "additionalProperties": { "$ref": "#/$defs/a" } } } }),
            json!({ "anyOf": [{ "type": "string" }, { "type": "array", "items": { "$ref": "#" } }] }),
            json!({ "$ref": "#" }),
            json!({ "$ref": "https://json-schema.org/draft/2020-12/schema" }),
        ] {
            assert_eq!(check(&schema), Ok(()), "{schema}");
        }
    }
}
