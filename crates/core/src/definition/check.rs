//! Checks of the steps as a whole: names, order, pivots, undos.
//!
//! Each check reports all it finds; those that need the order of steps are left out while the
//! order itself is faulty.

use std::collections::BTreeMap;
use std::time::Duration;

use super::draft::{Draft, StepDraft};
use super::field::{Reader, below};
use super::graph::Cycle;
use super::suggest::suggestion;
use super::{FaultCode, Graph, StepKind, check_reference, check_warning};
use crate::{ParticipantName, RetryPolicy, StepIndex};

/// What is known of participants when a definition is checked.
#[derive(Clone, Debug, Default)]
pub struct Registry {
    /// Those that are registered; none when that is not known, and not checked.
    pub participants: Option<BTreeMap<ParticipantName, ParticipantDefaults>>,
}

/// What a participant's registration says for calls that say nothing themselves.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct ParticipantDefaults {
    /// Time for one attempt.
    pub timeout: Option<Duration>,
    /// How often.
    pub retry: Option<RetryPolicy>,
}

/// Runs every check; gives the order of steps unless it is faulty.
pub(super) fn check(reader: &mut Reader, draft: &Draft, registry: &Registry) -> Option<Graph> {
    check_ids(reader, draft);
    check_participants(reader, draft, registry);
    for step in &draft.steps {
        check_step(reader, step);
    }
    let graph = order(reader, draft);
    check_reference::check(reader, draft, graph.as_ref());
    if let Some(graph) = &graph {
        check_pivots(reader, draft, graph);
        check_undos(reader, draft, graph);
        check_warning::check(reader, draft, graph, registry);
    }
    graph
}

fn check_ids(reader: &mut Reader, draft: &Draft) {
    let mut seen = BTreeMap::new();
    for step in &draft.steps {
        let Some(id) = &step.id else { continue };
        if let Some(first) = seen.insert(id, &step.pointer) {
            let detail = format!("{id:?} is the id of {first} too; every step needs its own");
            reader.fault(&below(&step.pointer, "id"), FaultCode::DuplicateId, detail);
        }
    }
}

fn check_participants(reader: &mut Reader, draft: &Draft, registry: &Registry) {
    for step in &draft.steps {
        if let Some(name) = &step.participant {
            check_participant(reader, &below(&step.pointer, "participant"), name, registry);
        }
    }
}

/// That a participant is registered, as far as that is known.
pub(super) fn check_participant(
    reader: &mut Reader,
    pointer: &str,
    name: &ParticipantName,
    registry: &Registry,
) {
    let Some(known) = registry.participants.as_ref().filter(|known| !known.contains_key(name))
    else {
        return;
    };
    let hint = suggestion(name.as_str(), known.keys().map(ParticipantName::as_str));
    let detail = format!("no participant {name:?} is registered; register it first{hint}");
    reader.fault(pointer, FaultCode::UnknownParticipant, detail);
}

fn check_step(reader: &mut Reader, step: &StepDraft) {
    let is_tcc = step.kind == StepKind::Tcc;
    if step.optional && (step.pivot || is_tcc) {
        let what = if step.pivot { "a pivot" } else { "a TCC step" };
        let detail = format!("{what} cannot be optional: commit hangs on it; leave on_failure out");
        reader.fault(&below(&step.pointer, "on_failure"), FaultCode::CannotBeOptional, detail);
    }
    if is_tcc {
        for (operation, name) in [(&step.confirm, "confirm"), (&step.undo, "cancel")] {
            if operation.is_none() {
                let detail = format!(
                    "a step with try needs {name} too; add it, or write action instead of try"
                );
                reader.fault(&step.pointer, FaultCode::IncompleteTcc, detail);
            }
        }
    }
}

/// The order that `after` gives, or the place in the list.
fn order(reader: &mut Reader, draft: &Draft) -> Option<Graph> {
    let after = (0..draft.steps.len()).map(|index| predecessors(reader, draft, index)).collect();
    let pivots: Vec<StepIndex> =
        (0..draft.steps.len()).filter(|step| draft.steps[*step].pivot).map(index_of).collect();
    match Graph::new(after, &pivots) {
        Ok(graph) => Some(graph),
        Err(cycle) => {
            report_cycle(reader, draft, &cycle);
            None
        }
    }
}

fn predecessors(reader: &mut Reader, draft: &Draft, index: usize) -> Vec<StepIndex> {
    let step = &draft.steps[index];
    let Some(after) = &step.after else {
        return index.checked_sub(1).map(index_of).into_iter().collect();
    };
    let mut found = Vec::new();
    for (place, id) in after.iter().enumerate() {
        match draft.index_of(id) {
            Some(earlier) if found.contains(&index_of(earlier)) => {}
            Some(earlier) => found.push(index_of(earlier)),
            None if id.is_empty() => {}
            None => {
                let pointer = below(&below(&step.pointer, "after"), &place.to_string());
                let detail = format!("there is no step {id:?}{}", suggestion(id, draft.ids()));
                reader.fault(&pointer, FaultCode::UnknownStep, detail);
            }
        }
    }
    found
}

fn report_cycle(reader: &mut Reader, draft: &Draft, cycle: &Cycle) {
    let name = |step: &StepIndex| draft.name_of(step.get());
    let mut names: Vec<String> = cycle.steps.iter().map(name).collect();
    names.extend(cycle.steps.first().map(name));
    // Without `after` a step only looks back, so every circle has a step with one.
    let steps = cycle.steps.iter().filter_map(|step| draft.steps.get(step.get()));
    let Some(step) = steps.into_iter().find(|step| step.after.is_some()) else { return };
    let detail =
        format!("these steps wait for one another: {}; take one out of after", names.join(", "));
    reader.fault(&below(&step.pointer, "after"), FaultCode::Cycle, detail);
}

fn check_pivots(reader: &mut Reader, draft: &Draft, graph: &Graph) {
    for (index, step) in draft.steps.iter().enumerate() {
        if !graph.is_past_pivot(index_of(index)) {
            continue;
        }
        if step.pivot {
            let detail =
                "a pivot comes before this one already; only one can be the point of no return";
            reader.fault(&below(&step.pointer, "pivot"), FaultCode::TwoPivots, detail);
        }
        if step.kind == StepKind::Tcc {
            let detail = "a TCC step after the pivot could not be cancelled any more; put it before the \
                          pivot, or write action instead of try";
            reader.fault(&step.pointer, FaultCode::TccPastPivot, detail);
        }
    }
}

fn check_undos(reader: &mut Reader, draft: &Draft, graph: &Graph) {
    for (index, step) in draft.steps.iter().enumerate() {
        let needs_none = step.undo.is_some()
            || step.undo_declined
            || step.optional
            || step.pivot
            || step.kind == StepKind::Tcc
            || step.forward.is_none()
            || graph.is_past_pivot(index_of(index))
            || is_last(draft, graph, index);
        if !needs_none {
            let detail = "a later failure could not be undone here; add compensation, or say that none \
                          is needed: compensation: none";
            reader.fault(&step.pointer, FaultCode::MissingUndo, detail);
        }
    }
}

/// Whether nothing else can fail once this step is done.
fn is_last(draft: &Draft, graph: &Graph, index: usize) -> bool {
    graph.pivot().is_none()
        && (0..draft.steps.len())
            .all(|other| other == index || graph.is_before(index_of(other), index_of(index)))
}

impl Draft {
    /// Where the step named `id` stands.
    pub(super) fn index_of(&self, id: &str) -> Option<usize> {
        self.steps.iter().position(|step| step.id.as_ref().is_some_and(|own| own.as_str() == id))
    }

    /// The ids of all steps that have one.
    pub(super) fn ids(&self) -> impl Iterator<Item = &str> {
        self.steps.iter().filter_map(|step| step.id.as_ref()).map(crate::StepId::as_str)
    }

    /// A step's id, or its place.
    pub(super) fn name_of(&self, index: usize) -> String {
        let id = self.steps.get(index).and_then(|step| step.id.as_ref());
        id.map_or_else(|| format!("step {index}"), ToString::to_string)
    }
}

/// The number of steps is bounded far below `u16::MAX` when they are read.
pub(super) fn index_of(step: usize) -> StepIndex {
    StepIndex(u16::try_from(step).unwrap_or(u16::MAX))
}
