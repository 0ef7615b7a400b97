//! Expressions: templates, conditions and paths, compiled and evaluated.

use std::collections::BTreeMap;

use amends_core::expression::limit::OUTPUT_BYTES_MAX;
use amends_core::expression::{Condition, PathTemplate, Scope, ScopeForward, ScopeStep, Template};
use amends_core::saga::ForwardOutcome;
use amends_core::{Json, SagaId};
use serde_json::Value;

const INPUT: &str = r#"{"sku": "a/b ?", "qty": 3, "price": 1.50, "big": 12345678901234567890.5,
    "min": -9223372036854775808, "flag": true, "none": null, "empty": "", "list": [1, {"x": 2.0}],
    "user-id": "u1", "crlf": "a\r\nb", "dots": "..", "obj": {"a": {"b": "c"}}, "name": "Zoë \"Z\""}"#;

/// Compiles and evaluates a text (and, if it is JSON, a value) in every role that it may have.
pub fn expression(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    let (saga_id, labels) = (SagaId::new("order-1").unwrap(), BTreeMap::new());
    let (input, output) =
        (Json::parse(INPUT).unwrap(), Json::parse(r#"{"id": "h", "n": 5}"#).unwrap());
    let scope = Scope {
        saga_id: &saga_id,
        labels: &labels,
        input: &input,
        steps: vec![
            ScopeStep { id: "a", status: "succeeded", output: Some(&output) },
            ScopeStep { id: "b", status: "skipped", output: None },
        ],
        step_key: Some("order-1/a/action".to_owned()),
        forward: Some(ScopeForward { outcome: ForwardOutcome::Unknown, output: Some(&output) }),
    };
    template(&Value::from(&*text), &scope);
    template(&Value::from(format!("${{{text}}}")), &scope);
    if let Ok(value) = serde_json::from_str(&text) {
        template(&value, &scope);
    }
    if let Ok(condition) = Condition::parse(&text) {
        condition.references();
        assert_eq!(condition.eval(&scope).ok(), condition.eval(&scope).ok());
    }
    if let Ok(path) = PathTemplate::parse(&text) {
        path.references();
        if let Ok(path) = path.render(&scope) {
            assert!(path.len() <= OUTPUT_BYTES_MAX && path.starts_with('/'), "{path:?}");
            assert!(path.bytes().all(|byte| byte.is_ascii_graphic()), "{path:?}");
            assert!(!path.split(['/', '?']).any(|segment| segment == ".."), "{path:?}");
        }
    }
}

fn template(value: &Value, scope: &Scope<'_>) {
    let Ok(template) = Template::parse(value) else { return };
    template.references();
    let rendered = template.render(scope);
    assert_eq!(rendered.as_ref().ok(), template.render(scope).as_ref().ok(), "of {value}");
    if let Ok(json) = rendered {
        assert!(json.as_str().len() <= OUTPUT_BYTES_MAX);
        // It is JSON, and what is sent can be stored and read back.
        assert_eq!(Json::parse(json.as_str()).unwrap(), json);
    }
    if let Ok(text) = template.render_text(scope) {
        assert!(text.len() <= OUTPUT_BYTES_MAX);
    }
    if let Ok(header) = template.render_header(scope) {
        assert!(header.bytes().all(|byte| matches!(byte, b' '..=b'~')), "{header:?}");
    }
}
