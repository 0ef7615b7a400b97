//! Templates: JSON whose strings may hold expressions.
//!
//! A template is compiled into runs of finished JSON text with expressions between them, so
//! rendering is copying.

use std::sync::Arc;

use serde_json::Value;
use serde_json::value::RawValue;

use super::code::Code;
use super::context::Context;
use super::text::{self, Part};
use super::{ExpressionError, Reference, Scope, write};
use crate::Json;

/// A JSON value whose strings may hold `${…}`.
///
/// A string that is one whole `${…}` becomes the value itself, whatever its type; inside a longer
/// string the value is put in as text.
#[derive(Debug)]
pub struct Template {
    pieces: Vec<Piece>,
    /// The parts of the text, if the template is a string, a number or a truth value.
    text: Option<Vec<Part>>,
    references: Vec<(String, Reference)>,
}

#[derive(Debug)]
enum Piece {
    /// JSON as it stands.
    Json(Box<str>),
    /// The value of an expression.
    Value(Arc<Code>),
    /// A string with expressions in it.
    Text(Vec<Part>),
}

/// Where a fault stands within the template, as a JSON pointer, and what it is.
type Fault = (String, String);

impl Template {
    /// Compiles `value`.
    ///
    /// # Errors
    ///
    /// Every fault: a JSON pointer within `value`, and a sentence.
    pub fn parse(value: &Value) -> Result<Self, Vec<Fault>> {
        let mut builder = Builder::default();
        builder.value(value, &mut String::new());
        builder.flush();
        if !builder.faults.is_empty() {
            return Err(builder.faults);
        }
        let text = match value {
            Value::String(text) => text::split(text).ok(),
            Value::Number(_) | Value::Bool(_) => {
                Some(vec![Part::Literal(value.to_string().into())])
            }
            Value::Null | Value::Array(_) | Value::Object(_) => None,
        };
        Ok(Self { pieces: builder.pieces, text, references: builder.references })
    }

    /// A value in which nothing is an expression.
    pub fn literal(value: &Json) -> Self {
        let text = value.value().as_str().map(|text| vec![Part::Literal(text.into())]);
        Self { pieces: vec![Piece::Json(value.as_str().into())], text, references: Vec::new() }
    }

    /// A text in which nothing is an expression.
    pub fn literal_text(text: &str) -> Self {
        Self::literal(&Json::from_value(&Value::String(text.to_owned())))
    }

    /// Evaluates it to JSON.
    ///
    /// # Errors
    ///
    /// [`ExpressionError`]: of the first expression that failed.
    pub fn render(&self, scope: &Scope<'_>) -> Result<Json, ExpressionError> {
        let context = Context::new(scope);
        let mut out = String::with_capacity(self.pieces.iter().map(Piece::capacity).sum());
        for piece in &self.pieces {
            piece.write(&context, &mut out)?;
        }
        write::within_bound(&out).map_err(|why| ExpressionError::new("", why))?;
        RawValue::from_string(out)
            .map(Json::from_raw)
            .map_err(|error| ExpressionError::new("", error.to_string()))
    }

    /// Evaluates it to a text, for a lock key: strings as they are, numbers and truth values as
    /// JSON writes them.
    ///
    /// # Errors
    ///
    /// [`ExpressionError`], also when the value is null, a list or an object.
    pub fn render_text(&self, scope: &Scope<'_>) -> Result<String, ExpressionError> {
        let parts = self
            .text
            .as_ref()
            .ok_or_else(|| ExpressionError::new("", write::no_text("null, a list or an object")))?;
        let mut out = String::new();
        text::render(parts, &Context::new(scope), &mut out)?;
        Ok(out)
    }

    /// [`Template::render_text`] for the value of an HTTP header: visible ASCII characters and
    /// spaces only, so that no value can end the header and start another.
    ///
    /// # Errors
    ///
    /// [`ExpressionError`], also for any other character.
    pub fn render_header(&self, scope: &Scope<'_>) -> Result<String, ExpressionError> {
        let text = self.render_text(scope)?;
        match text.chars().find(|c| !matches!(c, ' '..='~')) {
            None => Ok(text.trim().to_owned()),
            Some(c) => {
                let why =
                    format!("gives {c:?}, which a header cannot hold; only ASCII can stand there");
                // The value may be a payload, which must not stand in a reason.
                let names: Vec<_> =
                    self.references.iter().map(|(_, name)| name.to_string()).collect();
                Err(ExpressionError::new(&names.join(", "), why))
            }
        }
    }

    /// What its expressions name, each with a JSON pointer to the string that holds it.
    pub fn references(&self) -> &[(String, Reference)] {
        &self.references
    }
}

impl Piece {
    fn capacity(&self) -> usize {
        match self {
            Self::Json(text) => text.len(),
            Self::Value(_) | Self::Text(_) => 32,
        }
    }

    fn write(&self, context: &Context<'_>, out: &mut String) -> Result<(), ExpressionError> {
        match self {
            Self::Json(text) => {
                out.push_str(text);
                Ok(())
            }
            Self::Value(code) => {
                code.write_json(context, out)?;
                write::within_bound(out).map_err(|why| code.error(why))
            }
            Self::Text(parts) => {
                let mut text = String::new();
                text::render(parts, context, &mut text)?;
                write::string(out, &text).map_err(|why| ExpressionError::new(&text, why))
            }
        }
    }
}

#[derive(Default)]
struct Builder {
    pieces: Vec<Piece>,
    json: String,
    references: Vec<(String, Reference)>,
    faults: Vec<Fault>,
}

impl Builder {
    /// Compiles `value`, which stands at `pointer`.
    fn value(&mut self, value: &Value, pointer: &mut String) {
        match value {
            Value::Null | Value::Bool(_) | Value::Number(_) => self.json += &value.to_string(),
            Value::String(text) => self.string(text, pointer),
            Value::Array(items) => {
                for (index, item) in items.iter().enumerate() {
                    self.json.push(if index == 0 { '[' } else { ',' });
                    self.below(item, pointer, &index.to_string());
                }
                self.json += if items.is_empty() { "[]" } else { "]" };
            }
            Value::Object(members) => {
                for (index, (name, member)) in members.iter().enumerate() {
                    self.json.push(if index == 0 { '{' } else { ',' });
                    self.name(name, pointer);
                    self.below(member, pointer, name);
                }
                self.json += if members.is_empty() { "{}" } else { "}" };
            }
        }
    }

    fn below(&mut self, value: &Value, pointer: &mut String, token: &str) {
        let len = pointer.len();
        pointer.push('/');
        pointer.push_str(&token.replace('~', "~0").replace('/', "~1"));
        self.value(value, pointer);
        pointer.truncate(len);
    }

    fn name(&mut self, name: &str, pointer: &str) {
        if name.contains("${") {
            let why = format!("the name {name:?} holds an expression; only values can");
            self.faults.push((pointer.to_owned(), why));
        }
        self.literal(name, pointer);
        self.json.push(':');
    }

    fn literal(&mut self, text: &str, pointer: &str) {
        if let Err(why) = write::string(&mut self.json, text) {
            self.faults.push((pointer.to_owned(), why));
        }
    }

    fn string(&mut self, text: &str, pointer: &str) {
        let parts = match text::split(text) {
            Ok(parts) => parts,
            Err(faults) => {
                self.faults.extend(faults.into_iter().map(|why| (pointer.to_owned(), why)));
                return;
            }
        };
        for part in &parts {
            if let Part::Code(code) = part {
                let named = code.references().iter().cloned();
                self.references.extend(named.map(|reference| (pointer.to_owned(), reference)));
            }
        }
        match parts.as_slice() {
            [] => self.json += "\"\"",
            [Part::Literal(text)] => self.literal(text, pointer),
            [Part::Code(code)] => self.push(Piece::Value(Arc::clone(code))),
            _ => self.push(Piece::Text(parts)),
        }
    }

    fn push(&mut self, piece: Piece) {
        self.flush();
        self.pieces.push(piece);
    }

    fn flush(&mut self) {
        if !self.json.is_empty() {
            self.pieces.push(Piece::Json(std::mem::take(&mut self.json).into_boxed_str()));
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::limit::{EXPRESSION_DEPTH_MAX, OUTPUT_BYTES_MAX};
    use super::super::sample::with_scope;
    use super::*;

    /// The rendered text, or the word `error:` and why.
    fn render(template: &Value) -> String {
        let template = Template::parse(template).unwrap();
        let mut rendered = String::new();
        with_scope(|scope| {
            rendered = match template.render(scope) {
                Ok(json) => json.as_str().to_owned(),
                Err(error) => format!("error: {error}"),
            };
        });
        rendered
    }

    fn check(template: &Value, expected: &str) {
        let rendered = render(template);
        assert!(
            if expected.starts_with("error") {
                rendered.contains(&expected[7..]) && rendered.starts_with("error")
            } else {
                rendered == expected
            },
            "{template}: {rendered}"
        );
    }

    #[test]
    fn a_whole_expression_keeps_its_type_and_its_digits() {
        check(&json!("${input.qty}"), "3");
        check(&json!("${input.price}"), "1.50");
        check(&json!("${input.big}"), "12345678901234567890.5");
        check(&json!("${input.flag}"), "true");
        check(&json!("${input.none}"), "null");
        check(&json!("${input.list}"), r#"[1, {"x": 2.0}]"#);
        check(&json!("${input.list[1].x}"), "2.0");
        check(&json!("${input['user-id']}"), r#""u1""#);
        check(&json!("${input.name}"), r#""Zoë \"Z\"""#);
        check(&json!("${steps.charge.output}"), r#"{"hold_id": "h-7", "n": 5}"#);
        check(&json!("${steps.charge.status}"), r#""succeeded""#);
        check(&json!("${steps['my-step'].status}"), r#""skipped""#);
        check(&json!("${saga.id}"), r#""order-1""#);
        check(&json!("${saga.labels.team}"), r#""shop""#);
        check(&json!("${step.key}"), r#""order-1/charge/action""#);
        check(&json!("${forward.outcome}"), r#""unknown""#);
    }

    #[test]
    fn computed_values_keep_their_type() {
        check(&json!("${input.qty * 2}"), "6");
        check(&json!("${input.qty / 2}"), "1.5");
        check(&json!("${input.qty > 2}"), "true");
        check(&json!("${none}"), "null");
        check(&json!("${[input.qty, saga.id]}"), r#"[3,"order-1"]"#);
        check(
            &json!("${{'a': input.obj.a, 'n': steps.charge.output.n + 1}}"),
            r#"{"a":{"b":"c"},"n":6}"#,
        );
        check(&json!("${input.nope | default('x')}"), r#""x""#);
        check(&json!("${input.list | length}"), "2");
        check(&json!("${saga.labels}"), r#"{"team":"shop"}"#);
        check(&json!("${input.obj == {'a': {'b': 'c'}}}"), "true");
        check(&json!("${input | items | length}"), "13");
        check(&json!("${steps['my-step'].output is defined}"), "false");
        check(&json!("${forward.outcome == 'unknown' and forward.output is not defined}"), "true");
        check(
            &json!("${steps.charge}"),
            r#"{"output":{"hold_id":"h-7","n":5},"status":"succeeded"}"#,
        );
    }

    #[test]
    fn inside_a_text_values_are_text() {
        check(&json!("${input.qty} of ${input.sku}"), r#""3 of a/b ?""#);
        check(&json!("${input.price}€"), r#""1.50€""#);
        check(&json!("is ${input.flag}"), r#""is true""#);
        check(&json!("<${input.name}>"), r#""<Zoë \"Z\">""#);
        check(&json!("cost: $${input.qty}"), r#""cost: ${input.qty}""#);
        check(&json!("a ${input.none}"), "error: is null");
        check(&json!("a ${input.list}"), "error: is a list");
        check(&json!("a ${input.obj}"), "error: is an object");
        check(&json!("a ${none ~ ''} ${1 if false}"), "error: is not there");
    }

    #[test]
    fn constants_stay_and_structure_is_kept() {
        check(
            &json!({"b": [], "a": {}, "c": [null, 1, "x", "${input.qty}"], "d/~": "\u{1}"}),
            r#"{"a":{},"b":[],"c":[null,1,"x",3],"d/~":"\u0001"}"#,
        );
        check(&json!(null), "null");
    }

    #[test]
    fn what_is_missing_is_an_error() {
        for text in [
            "input.nope",
            "input.qty.x",
            "input.list[9]",
            "input.list.x",
            "steps.charge.output.nope",
            "steps.other.output",
            "steps['my-step'].output",
            "saga.labels.nope",
            "forward.output",
            "input.nope + 1",
            "input.nope.deeper is defined",
            "not input.nope",
            "input.nope ~ 'x'",
        ] {
            check(&json!(format!("${{{text}}}")), "error: failed");
        }
    }

    #[test]
    fn faults_carry_pointers() {
        let template = json!({"a/b": ["${input.", {"c~": "x ${} ${input.ok}"}], "${x}": 1});
        let faults = Template::parse(&template).unwrap_err();
        let pointers: Vec<_> = faults.iter().map(|(pointer, _)| pointer.as_str()).collect();
        assert_eq!(pointers.len(), 3, "{faults:?}");
        for pointer in ["", "/a~1b/0", "/a~1b/1/c~0"] {
            assert!(pointers.contains(&pointer), "{pointer}: {faults:?}");
        }
        let template = Template::parse(&json!({"a/b": [0, "${steps.x.output.y}"]})).unwrap();
        let (pointer, reference) = &template.references()[0];
        assert_eq!((pointer.as_str(), reference.step_id()), ("/a~1b/1", Some("x")));
    }

    #[test]
    fn bombs_are_stopped() {
        let bombs = [
            "'x' * 100000000",
            "[0] * 100000000",
            "('x' * 1000000) ~ ('x' * 1000000)",
            "'%1000000000d' | format(1)",
            "('a' * 100000) | replace('a', 'b' * 100000)",
            "[[0] * 1000] * 1000 | string",
            "((input.list * 1000) | map('string') | list) * 1000",
            "9 ** 9 ** 9 ** 9",
            "'x' | replace('', 'y' * 1000000)",
            "('x ' * 500000) | split",
        ];
        for bomb in bombs {
            check(&json!(format!("${{{bomb}}}")), "error: failed");
        }
        // Lists of lists share their items, so little work may describe much text.
        let nested = "[[[[[['x']*50]*50]*50]*50]*50]*50";
        check(&json!(format!("${{{nested}}}")), "error: failed");
        // Two levels of what it gives for each of its own.
        let deep = (0..EXPRESSION_DEPTH_MAX)
            .fold("input.list".to_owned(), |own, _| format!("{{'a': {own}}} | items | list"));
        check(&json!(format!("${{{deep}}}")), "error: nested deeper");
        let deeper = format!("${{{}1{}}}", "[".repeat(2000), "]".repeat(2000));
        assert!(Template::parse(&json!(deeper)).is_err());
        let long = format!("${{'{}'}}", "x".repeat(5000));
        assert!(Template::parse(&json!(long)).is_err());
        let many = vec!["${'x' * 100000}"; 20];
        check(&json!(many), "error: longer than");
        let text = "${'x' * 100000}".repeat(20);
        check(&json!(text), "error: longer than");
        assert!(render(&json!("${'x' * 1000000}")).len() <= OUTPUT_BYTES_MAX);
    }

    #[test]
    fn texts_are_for_keys_and_headers() {
        let check = |template: Value, key: Option<&str>, header: Option<&str>| {
            let template = Template::parse(&template).unwrap();
            with_scope(|scope| {
                assert_eq!(template.render_text(scope).ok().as_deref(), key, "{template:?}");
                assert_eq!(template.render_header(scope).ok().as_deref(), header, "{template:?}");
            });
        };
        check(json!("sku:${input.sku}"), Some("sku:a/b ?"), Some("sku:a/b ?"));
        check(json!("${input.price}"), Some("1.50"), Some("1.50"));
        check(json!(5), Some("5"), Some("5"));
        check(json!("${input.name}"), Some("Zoë \"Z\""), None);
        check(json!("${input.crlf}"), Some("a\r\nb"), None);
        check(json!("${input.list}"), None, None);
        check(json!("${input.none}"), None, None);
        check(json!({"a": 1}), None, None);
    }
}
