//! A scope for tests.

use std::collections::BTreeMap;

use super::{Scope, ScopeForward, ScopeStep};
use crate::saga::ForwardOutcome;
use crate::{Json, SagaId};

/// Runs `check` on a scope with one of everything.
pub(super) fn with_scope(check: impl FnOnce(&Scope<'_>)) {
    let saga_id = SagaId::new("order-1").unwrap();
    let labels = BTreeMap::from([("team".to_owned(), "shop".to_owned())]);
    let input = Json::parse(
        r#"{"sku": "a/b ?", "qty": 3, "price": 1.50, "big": 12345678901234567890.5, "flag": true,
            "none": null, "empty": "", "list": [1, {"x": 2.0}], "user-id": "u1", "crlf": "a\r\nb",
            "dots": "..", "obj": {"a": {"b": "c"}}, "name": "Zoë \"Z\""}"#,
    );
    let input = input.unwrap();
    let output = Json::parse(r#"{"hold_id": "h-7", "n": 5}"#).unwrap();
    let scope = Scope {
        saga_id: &saga_id,
        labels: &labels,
        input: &input,
        steps: vec![
            ScopeStep { id: "charge", status: "succeeded", output: Some(&output) },
            ScopeStep { id: "my-step", status: "skipped", output: None },
        ],
        step_key: Some("order-1/charge/action".to_owned()),
        forward: Some(ScopeForward { outcome: ForwardOutcome::Unknown, output: None }),
    };
    check(&scope);
}
