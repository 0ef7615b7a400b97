//! No document makes reading it panic.

use proptest::prelude::*;
use serde_json::{Value, json};

use super::cases::{definition, registry};
use super::*;

/// Values that a field might hold, sound or not.
fn any_value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        "[a-z0-9${}.| '\"\\[\\]()_/~ä-]{0,16}".prop_map(Value::from),
        prop::sample::select(vec![
            "s0",
            "s1",
            "none",
            "ignore",
            "poll",
            "callback",
            "1s",
            "0ms",
            "/x/${saga.id}",
            "${input.id}",
            "${steps.s0.output}",
            "${forward.output}",
            "input.x is defined",
            "${'x' * 9}",
            "$${",
            "a",
        ])
        .prop_map(Value::from),
    ];
    leaf.prop_recursive(3, 24, 5, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            members(inner),
        ]
    })
}

/// Objects with the names that definitions use.
fn members(value: impl Strategy<Value = Value>) -> impl Strategy<Value = Value> {
    let names = prop::sample::select(vec![
        "id",
        "participant",
        "after",
        "when",
        "action",
        "compensation",
        "try",
        "confirm",
        "cancel",
        "pivot",
        "on_failure",
        "undo_refused",
        "completion",
        "outcomes",
        "timeout",
        "retry",
        "path",
        "body",
        "headers",
        "method",
        "max_attempts",
        "initial",
        "factor",
        "max",
        "jitter",
        "poll",
        "interval",
        "409",
        "keys",
        "wait",
        "on_lost",
        "release",
        "mode",
        "saga",
        "definition",
        "version",
        "input",
        "x/~",
    ]);
    prop::collection::btree_map(names, value, 0..8).prop_map(|members| {
        members.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
    })
}

proptest! {
    #[test]
    fn no_document_makes_it_panic(
        name in any_value(),
        lock in any_value(),
        defaults in members(any_value()),
        schema in any_value(),
        output in any_value(),
        steps in prop::collection::vec((members(any_value()), any::<bool>()), 0..5),
        whole in any_value(),
    ) {
        // Half of the steps keep what is sound, so that later checks are reached too.
        let sound: Vec<Value> = steps.iter().map(|(step, _)| step.clone()).collect();
        let sound = definition(&json!({}), &sound);
        let steps: Vec<Value> = steps
            .iter()
            .zip(sound["steps"].as_array().unwrap())
            .map(|((step, keep), sound)| if *keep { sound.clone() } else { step.clone() })
            .collect();
        let document = json!({ "name": name, "lock": lock, "defaults": defaults,
            "input_schema": schema, "output": output, "steps": steps });
        for document in [document, whole, json!({ "name": "d", "steps": steps })] {
            let parsed = parse(&document, &registry());
            prop_assert_eq!(parsed.definition.is_none(), parsed.faults.iter().any(Fault::is_error));
            for fault in &parsed.faults {
                prop_assert!(fault.pointer.is_empty() || fault.pointer.starts_with('/'));
            }
        }
    }

    #[test]
    fn no_branch_makes_it_panic(branch in members(any_value()), call in members(any_value()),
        whole in any_value(), kind in 0..6_usize)
    {
        // Some come further: a whole kind of branch around one call.
        let name = ["compensation", "confirm", "cancel", "action", "saga", "participant"][kind];
        let mut near = json!({ "participant": "a", "confirm": { "path": "/" }, "cancel": { "path": "/" } });
        near[name] = call.clone();
        for document in [branch, whole, near, call] {
            let id = crate::StepId::new("b").unwrap();
            let faults = parse_branch(id, &document, &registry()).err().into_iter().flatten();
            let others = parse_check_back(&document, &registry()).err().into_iter().flatten();
            for fault in faults.chain(others) {
                prop_assert!(fault.is_error());
                prop_assert!(fault.pointer.is_empty() || fault.pointer.starts_with('/'));
            }
        }
    }

    #[test]
    fn no_text_makes_it_panic(text in "[\\x00-\\x7fäß€😀&*!|>{}\\[\\]:,'\"-]{0,200}") {
        for format in [Format::Json, Format::Yaml] {
            let parsed = parse_text(&text, format, &Registry::default());
            prop_assert!(parsed.definition.is_none());
        }
    }
}
