//! The scope as minijinja sees it, made only as far as an expression asks.
//!
//! Members of `input` and of outputs are converted one by one and at most once a rendering, so
//! that an expression that reads one number of a large input does not pay for all of it.

use std::cell::{OnceCell, RefCell};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use minijinja::Value;
use minijinja::value::{Enumerator, Object};
use serde_json::Value as JsonValue;

use super::{Reference, Scope};
use crate::Json;

/// One rendering's view of a scope.
pub(super) struct Context<'a> {
    /// The scope itself.
    pub(super) scope: &'a Scope<'a>,
    input: OnceCell<Value>,
    forward: OnceCell<Value>,
    outputs: RefCell<BTreeMap<&'a str, Value>>,
}

impl<'a> Context<'a> {
    /// Of `scope`.
    pub(super) fn new(scope: &'a Scope<'a>) -> Self {
        Self {
            scope,
            input: OnceCell::new(),
            forward: OnceCell::new(),
            outputs: RefCell::new(BTreeMap::new()),
        }
    }

    /// The names that `references` ask for, with their values.
    pub(super) fn names(&self, references: &[Reference]) -> Value {
        let mut names: BTreeMap<&'static str, Value> = BTreeMap::new();
        for reference in references {
            match reference.root.as_str() {
                "input" => {
                    let input = self.input.get_or_init(|| lazy(self.scope.input));
                    names.insert("input", input.clone());
                }
                "steps" => {
                    names.entry("steps").or_insert_with(|| self.steps(references));
                }
                "saga" => {
                    names.entry("saga").or_insert_with(|| self.saga());
                }
                "step" => {
                    let key = self.scope.step_key.iter().map(|key| ("key", Value::from(&**key)));
                    names.insert("step", Value::from_pairs(key));
                }
                "forward" if self.scope.forward.is_some() => {
                    names.insert("forward", self.forward.get_or_init(|| self.forward()).clone());
                }
                _ => {}
            }
        }
        Value::from_pairs(names)
    }

    fn saga(&self) -> Value {
        let labels = self.scope.labels.iter().map(|(name, label)| (&**name, &**label));
        Value::from_pairs([
            ("id", Value::from(self.scope.saga_id.as_str())),
            ("labels", Value::from_pairs(labels)),
        ])
    }

    fn steps(&self, references: &[Reference]) -> Value {
        let named = |id: &str| references.iter().any(|reference| reference.step_id() == Some(id));
        let steps = self.scope.steps.iter().filter(|step| named(step.id));
        Value::from_pairs(steps.map(|step| {
            let status = [("status", Value::from(step.status))];
            let output = step.output.map(|output| {
                let mut outputs = self.outputs.borrow_mut();
                ("output", outputs.entry(step.id).or_insert_with(|| lazy(output)).clone())
            });
            (step.id, Value::from_pairs(status.into_iter().chain(output)))
        }))
    }

    fn forward(&self) -> Value {
        Value::from_pairs(self.scope.forward.iter().flat_map(|forward| {
            let outcome = [("outcome", Value::from(forward.outcome.as_str()))];
            outcome.into_iter().chain(forward.output.map(|output| ("output", lazy(output))))
        }))
    }
}

fn lazy(json: &Json) -> Value {
    if json.value().is_object() {
        Value::from_object(LazyObject { json: json.clone(), known: Mutex::default() })
    } else {
        converted(json.value())
    }
}

fn converted(json: &JsonValue) -> Value {
    match json {
        JsonValue::Null => Value::from(()),
        JsonValue::Bool(truth) => Value::from(*truth),
        JsonValue::Number(number) => match (number.as_i64(), number.as_u64()) {
            (Some(number), _) => Value::from(number),
            (None, Some(number)) => Value::from(number),
            (None, None) => Value::from(number.as_f64().unwrap_or_default()),
        },
        JsonValue::String(text) => Value::from(text.as_str()),
        JsonValue::Array(items) => items.iter().map(converted).collect(),
        JsonValue::Object(members) => {
            Value::from_pairs(members.iter().map(|(name, member)| (&**name, converted(member))))
        }
    }
}

/// A JSON object whose members are converted when they are asked for.
#[derive(Debug)]
struct LazyObject {
    json: Json,
    known: Mutex<BTreeMap<String, Value>>,
}

impl Object for LazyObject {
    fn get_value(self: &Arc<Self>, key: &Value) -> Option<Value> {
        self.get_value_by_str(key.as_str()?)
    }

    fn get_value_by_str(self: &Arc<Self>, key: &str) -> Option<Value> {
        let member = self.json.value().get(key)?;
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(value) = known.get(key) {
            return Some(value.clone());
        }
        let value = converted(member);
        known.insert(key.to_owned(), value.clone());
        Some(value)
    }

    fn enumerate(self: &Arc<Self>) -> Enumerator {
        let members = self.json.value().as_object();
        let names = members.into_iter().flat_map(serde_json::Map::keys);
        Enumerator::Values(names.map(|name| Value::from(&**name)).collect())
    }
}
