//! Definitions, drawn.

use std::sync::{Arc, LazyLock};

use amends_core::LockKey;
use amends_core::definition::{Definition, Registry, parse};
use serde_json::{Value, json};

use crate::chance::Chance;

/// Lock keys that sagas contend for.
pub(crate) const KEYS: usize = 6;

/// All of them.
pub(crate) fn keys() -> Vec<LockKey> {
    (0..KEYS).filter_map(|number| LockKey::new(format!("k{number}")).ok()).collect()
}

/// Some definitions that pass their checks.
pub(crate) fn definitions(chance: &Chance, count: usize) -> Vec<Arc<Definition>> {
    let mut found = Vec::new();
    while found.len() < count {
        let document = definition(chance, found.len());
        found.extend(parse(&document, &Registry::default()).definition);
    }
    found
}

/// An input for a saga.
pub(crate) fn input(chance: &Chance) -> Value {
    json!({ "a": chance.below(KEYS), "b": chance.below(KEYS) })
}

/// What an interactive transaction runs.
pub(crate) fn interactive() -> Arc<Definition> {
    static PARSED: LazyLock<Arc<Definition>> = LazyLock::new(|| {
        let document = json!({ "name": "interactive", "mode": "interactive" });
        #[expect(clippy::expect_used, reason = "a constant")]
        parse(&document, &Registry::default()).definition.expect("it has no faults")
    });
    Arc::clone(&PARSED)
}

fn definition(chance: &Chance, number: usize) -> Value {
    let count = 1 + chance.below(5);
    let pivot = chance.is(0.3).then(|| chance.below(count));
    let steps: Vec<Value> = (0..count).map(|index| step(chance, index, pivot)).collect();
    let mut document = json!({
        "name": format!("plan-{number}"),
        "defaults": { "timeout": "1s", "retry": {
            "max_attempts": 1 + chance.below(4), "initial": "100ms", "factor": 2, "max": "1s" } },
        "steps": steps,
    });
    if chance.is(0.3) {
        document["deadline"] = json!(format!("{}s", 1 + chance.below(30)));
    }
    if chance.is(0.5) {
        let keys = if chance.is(0.5) {
            json!(["k${input.a}"])
        } else {
            json!(["k${input.a}", "k${input.b}"])
        };
        document["lock"] = json!({
            "keys": keys,
            "on_busy": *chance.one_of(&["queue", "queue", "queue", "reject", "replace"]),
            "on_lost": *chance.one_of(&["pause", "fence", "abort"]),
            "release": *chance.one_of(&["end", "end", "pivot"]),
        });
        if document["lock"]["on_busy"] == "queue" && chance.is(0.3) {
            document["lock"]["wait"] = json!(format!("{}s", 1 + chance.below(20)));
        }
    }
    document
}

fn step(chance: &Chance, index: usize, pivot: Option<usize>) -> Value {
    let id = format!("s{index}");
    let persistent = json!({ "max_attempts": 30, "initial": "100ms", "factor": 2, "max": "2s" });
    let call = |path: &str| json!({ "path": path, "retry": persistent });
    let mut step = json!({ "id": id, "participant": format!("p{}", chance.below(3)) });
    if chance.is(0.3) {
        step["try"] = json!({ "path": "/try" });
        step["confirm"] = call("/confirm");
        step["cancel"] = call("/cancel");
    } else {
        step["action"] = json!({ "path": "/action" });
        if chance.is(0.2) {
            step["action"]["body"] = json!({ "amount": "${input.a}" });
        }
        if pivot.is_none_or(|pivot| index < pivot) || chance.is(0.2) {
            step["compensation"] = call("/undo");
        }
    }
    if pivot == Some(index) {
        step["pivot"] = json!(true);
    }
    if chance.is(0.4) {
        let after: Vec<String> =
            (0..index).filter(|_| chance.is(0.5)).map(|before| format!("s{before}")).collect();
        step["after"] = json!(after);
    }
    match chance.below(10) {
        0 => step["completion"] = json!("callback"),
        1 => step["completion"] = json!({ "poll": { "interval": "300ms" } }),
        _ => {}
    }
    if chance.is(0.1) {
        step["when"] = json!("input.a > 2");
    }
    if chance.is(0.1) {
        step["on_failure"] = json!("ignore");
    }
    step
}
