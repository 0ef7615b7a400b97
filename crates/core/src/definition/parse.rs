//! From a document to a definition, or to the list of what is wrong with it.

use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::check::{Registry, check, index_of};
use super::draft::{Draft, OperationDraft, StepDraft};
use super::field::Reader;
use super::{Definition, Fault, Graph, Operation, Starts, Step, StepKind, document, read};
use crate::{Json, RetryPolicy};

/// How a definition is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Format {
    /// JSON (RFC 8259).
    Json,
    /// YAML 1.2.
    Yaml,
}

impl fmt::Display for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Json => "JSON",
            Self::Yaml => "YAML",
        })
    }
}

/// What reading a document gave.
#[derive(Clone, Debug)]
pub struct Parsed {
    /// The definition; present exactly when no fault is an error.
    pub definition: Option<Arc<Definition>>,
    /// Everything that is wrong or deserves a look, errors first.
    pub faults: Vec<Fault>,
}

/// Reads, checks and compiles a definition from text.
pub fn parse_text(text: &str, format: Format, registry: &Registry) -> Parsed {
    match document::read(text, format) {
        Ok(value) => parse(&value, registry),
        Err(fault) => Parsed { definition: None, faults: vec![fault] },
    }
}

/// Reads, checks and compiles a definition.
pub fn parse(value: &Value, registry: &Registry) -> Parsed {
    let canonical = match document::check_bounds(value) {
        Ok(canonical) => canonical,
        Err(fault) => return Parsed { definition: None, faults: vec![fault] },
    };
    let mut reader = Reader::default();
    let draft = read::read(&mut reader, value);
    let graph = check(&mut reader, &draft, registry);
    let mut faults = reader.faults;
    faults.sort_by_key(|fault| fault.severity);
    let definition = match faults.first() {
        Some(fault) if fault.is_error() => None,
        _ => graph.and_then(|graph| build(draft, graph, value, &canonical)).map(Arc::new),
    };
    Parsed { definition, faults }
}

/// The definition, if nothing that it needs is missing.
fn build(mut draft: Draft, graph: Graph, value: &Value, canonical: &str) -> Option<Definition> {
    let graph = imply_pivot(&mut draft, graph);
    let outer = StepDefaults { timeout: draft.timeout, retry: draft.retry };
    let steps = draft.steps.into_iter().enumerate();
    let steps =
        steps.map(|(index, step)| build_step(step, graph.is_past_pivot(index_of(index)), &outer));
    Some(Definition {
        name: draft.name?,
        description: draft.description,
        mode: draft.mode,
        input_schema: draft.input_schema.map(Arc::new),
        lock: draft.lock.map(Arc::new),
        deadline: draft.deadline,
        steps: steps.map(|step| step.map(Arc::new)).collect::<Option<_>>()?,
        graph,
        output: draft.output.map(Arc::new),
        digest: document::digest(canonical),
        source: Json::from_value(value),
    })
}

/// A last step that nothing can undo is the pivot, said or not: if it may have happened, the saga
/// cannot go back any more.
fn imply_pivot(draft: &mut Draft, graph: Graph) -> Graph {
    let is_last = |index: usize| {
        (0..draft.steps.len())
            .all(|other| other == index || graph.is_before(index_of(other), index_of(index)))
    };
    let cannot_be_undone = |step: &StepDraft| {
        step.undo.is_none() && !step.undo_declined && !step.optional && step.kind == StepKind::Saga
    };
    let last = (0..draft.steps.len())
        .find(|index| is_last(*index) && cannot_be_undone(&draft.steps[*index]))
        .filter(|_| graph.pivot().is_none());
    let Some(last) = last else { return graph };
    draft.steps[last].pivot = true;
    graph.decided_by(index_of(last))
}

/// What holds for operations that say nothing themselves.
struct StepDefaults {
    timeout: Option<std::time::Duration>,
    retry: super::draft::RetryDraft,
}

fn build_step(step: StepDraft, past_pivot: bool, outer: &StepDefaults) -> Option<Step> {
    let defaults =
        StepDefaults { timeout: step.timeout.or(outer.timeout), retry: step.retry.or(outer.retry) };
    let must_succeed = step.pivot || past_pivot;
    let base = if must_succeed { RetryPolicy::PERSISTENT } else { RetryPolicy::FORWARD };
    let operation = |draft: OperationDraft, base| Operation {
        method: draft.method,
        path: draft.path,
        body: draft.body,
        headers: draft.headers,
        timeout: draft.timeout.or(defaults.timeout),
        retry: draft.retry.or(defaults.retry).resolve(base),
    };
    Some(Step {
        id: step.id?,
        kind: step.kind,
        participant: step.participant?,
        forward: operation(step.forward?, base),
        undo: step.undo.map(|undo| operation(undo, RetryPolicy::PERSISTENT)),
        confirm: step.confirm.map(|confirm| operation(confirm, RetryPolicy::PERSISTENT)),
        when: step.when,
        optional: step.optional,
        pivot: step.pivot,
        undo_refused: step.undo_refused,
        completion: step.completion,
        outcomes: step.outcomes,
        starts: Starts::InOrder,
        nested: None,
    })
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use serde_json::json;

    use super::super::OutcomeOverride;
    use super::super::cases::{definition, registry, step};
    use super::*;
    use crate::saga::{Op, OutcomeKind};
    use crate::{Jitter, StepIndex};

    /// The example of the documentation.
    const EXAMPLE: &str = r#"
name: place-order
description: Reserve stock, charge the customer, create the order.
input_schema: { type: object, required: [sku, qty, user_id, amount], properties: { qty: { type: integer, minimum: 1 } } }
lock:
  keys: ["sku:${input.sku}"]
  wait: 30s                  # longer than this in the queue: refused, or `on_busy: reject` at once
deadline: 5m
defaults: { timeout: 2s, retry: { max_attempts: 5, initial: 100ms, factor: 2, max: 10s, jitter: full } }
steps:
  - id: reserve
    participant: inventory
    action:       { method: POST, path: /reservations, body: { sku: "${input.sku}", qty: "${input.qty}" } }
    compensation: { method: POST, path: "/reservations/${saga.id}/release" }
  - id: charge
    participant: payment
    try:     { path: /holds,                     body: { user: "${input.user_id}", amount: "${input.amount}" } }
    confirm: { path: "/holds/${saga.id}/capture" }
    cancel:  { path: "/holds/${saga.id}/void" }
  - id: create
    participant: orders
    after: [reserve, charge]
    action:       { path: /orders, body: { sku: "${input.sku}", hold: "${steps.charge.output.hold_id}" } }
    compensation: { method: DELETE, path: "/orders/${saga.id}" }
    pivot: true
  - id: notify
    participant: mail
    when: "input.email is defined"
    action: { path: /messages, body: { to: "${input.email}" } }
    on_failure: ignore
output: { order_id: "${steps.create.output.id}" }
"#;

    #[test]
    fn the_example_parses_without_errors() {
        let parsed = parse_text(EXAMPLE, Format::Yaml, &Registry::default());
        assert!(parsed.faults.is_empty(), "{:#?}", parsed.faults);
        let definition = parsed.definition.unwrap();
        let step = |id: &str| definition.step(definition.index_of(id).unwrap());
        assert_eq!(definition.steps.len(), 4);
        assert_eq!(definition.deadline, Some(Duration::from_mins(5)));
        assert_eq!(definition.graph.pivot(), Some(StepIndex(2)));
        assert_eq!(definition.graph.after(StepIndex(1)), [StepIndex(0)]);
        assert_eq!(step("charge").kind, StepKind::Tcc);
        assert_eq!(step("reserve").forward.retry.unwrap().attempts_max, 5);
        assert_eq!(step("reserve").forward.timeout, Some(Duration::from_secs(2)));
        assert_eq!(step("create").operation(Op::Compensation).unwrap().method, "DELETE");
        assert!(step("notify").optional && step("notify").when.is_some());
        let again = parse(definition.source.value(), &Registry::default()).definition.unwrap();
        assert_eq!(again.digest, definition.digest);
    }

    #[test]
    fn a_last_step_that_nothing_undoes_is_the_pivot() {
        let pivots = |last: Value| {
            let document = definition(&json!({}), &[json!({}), last]);
            let definition = parse(&document, &registry()).definition.unwrap();
            let said: Vec<bool> = definition.steps.iter().map(|step| step.pivot).collect();
            (definition.graph.pivot(), said[1], definition.steps[1].forward.retry)
        };
        let implied = pivots(json!({ "compensation": null, "retry": { "initial": "1s" } }));
        assert_eq!((implied.0, implied.1), (Some(StepIndex(1)), true));
        assert_eq!(implied.2.unwrap().attempts_max, RetryPolicy::PERSISTENT.attempts_max);
        let others = [
            json!({}),
            json!({ "compensation": "none" }),
            json!({ "compensation": null, "on_failure": "ignore" }),
        ];
        for other in others {
            assert_eq!(pivots(other), (None, false, None));
        }
    }

    #[test]
    fn what_is_written_nearest_holds() {
        let document = definition(
            &json!({ "defaults": { "timeout": "9s", "retry": { "max_attempts": 7, "jitter": "none" } } }),
            &[
                json!({
                    "retry": { "initial": "1s" },
                    "timeout": "8s",
                    "action": { "path": "/", "timeout": "7s", "retry": { "factor": 3 } },
                    "outcomes": { "409": "retryable" },
                }),
                json!({ "pivot": true, "retry": { "initial": "20s" } }),
            ],
        );
        let definition = parse(&document, &registry()).definition.unwrap();
        let first = &definition.steps[0];
        let expected = RetryPolicy {
            attempts_max: 7,
            initial: Duration::from_secs(1),
            factor: 3.0,
            jitter: Jitter::None,
            ..RetryPolicy::FORWARD
        };
        assert_eq!(first.forward.retry, Some(expected));
        assert_eq!(first.forward.timeout, Some(Duration::from_secs(7)));
        assert_eq!(first.undo.as_ref().unwrap().timeout, Some(Duration::from_secs(8)));
        assert_eq!(
            first.outcomes[0],
            OutcomeOverride { status: 409, outcome: OutcomeKind::Retryable }
        );
        let pivot = definition.steps[1].forward.retry.unwrap();
        assert_eq!(pivot.max, pivot.initial, "the longest delay is never below the first");

        let silent = parse(&step(json!({ "retry": { "initial": "1s" } })), &registry()).definition;
        let silent = silent.unwrap();
        assert_eq!(
            silent.steps[0].forward.retry.unwrap().attempts_max,
            RetryPolicy::FORWARD.attempts_max
        );
        let undo = silent.steps[0].undo.as_ref().unwrap();
        assert_eq!(undo.retry.unwrap().attempts_max, RetryPolicy::PERSISTENT.attempts_max);
        let plain = parse(&step(json!({})), &registry()).definition.unwrap();
        assert_eq!(plain.steps[0].forward.retry, None);
    }
}
