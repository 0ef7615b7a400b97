//! What follows from a plan before anything is called: keys, order, and whose outputs are needed.

use std::collections::{BTreeMap, BTreeSet};

use amends_core::definition::{Operation, Step};
use amends_core::expression::{Scope, Template};
use amends_core::{SagaId, StepIndex};

use crate::plan::{Error, Plan};

/// The lock keys that were given, or the definition's.
pub(crate) fn lock_keys(plan: &Plan) -> Result<Vec<String>, Error> {
    let Some(lock) = plan.definition.lock.as_ref().filter(|_| plan.lock_keys.is_empty()) else {
        return Ok(plan.lock_keys.clone());
    };
    let (labels, any) = (BTreeMap::new(), SagaId::new("conform"));
    let saga_id = any.map_err(|error| Error::Plan(error.to_string()))?;
    let (steps, step_key, forward) = (Vec::new(), None, None);
    let input = &plan.input;
    let scope = Scope { saga_id: &saga_id, labels: &labels, input, steps, step_key, forward };
    let rendered = lock.keys.iter().map(|key| key.render_text(&scope));
    let mut keys = rendered
        .collect::<Result<Vec<_>, _>>()
        .map_err(|error| Error::Plan(format!("the lock keys can't be made: {error}")))?;
    keys.sort();
    keys.dedup();
    Ok(keys)
}

/// The steps, each after those that it comes after.
pub(crate) fn in_order(plan: &Plan) -> Vec<StepIndex> {
    let graph = &plan.definition.graph;
    let mut order: Vec<StepIndex> = plan.definition.indices().collect();
    // Who has more steps before it comes later; the sort keeps the rest as it stands.
    order.sort_by_key(|index| {
        plan.definition.indices().filter(|other| graph.is_before(*other, *index)).count()
    });
    order
}

/// The steps whose outputs other steps read.
pub(crate) fn needed(plan: &Plan) -> BTreeSet<&str> {
    let steps = plan.definition.steps.iter();
    steps.clone().filter(|step| is_read(plan, step)).map(|step| step.id.as_str()).collect()
}

fn is_read(plan: &Plan, wanted: &Step) -> bool {
    let others = plan.definition.steps.iter().filter(|step| step.id != wanted.id);
    let operations =
        others.flat_map(|step| [Some(&step.forward), step.undo.as_ref(), step.confirm.as_ref()]);
    operations.flatten().any(|operation| names(operation, wanted.id.as_str()))
}

fn names(operation: &Operation, step: &str) -> bool {
    let in_headers = operation.headers.iter().map(|(_, value)| value);
    let mut templates = operation.body.iter().chain(in_headers).flat_map(Template::references);
    templates.any(|(_, name)| name.step_id() == Some(step))
        || operation.path.references().iter().any(|name| name.step_id() == Some(step))
}
