//! What is allowed and still deserves a look.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::check::{ParticipantDefaults, Registry, index_of};
use super::draft::{Draft, OperationDraft, Place, StepDraft};
use super::field::{Reader, below};
use super::{FaultCode, Graph, StepKind};
use crate::{RetryPolicy, format_duration};

/// Reports every warning.
pub(super) fn check(reader: &mut Reader, draft: &Draft, graph: &Graph, registry: &Registry) {
    undo_reads_unknown(reader, draft);
    useless_undo(reader, draft, graph);
    retry_past_deadline(reader, draft, graph, registry);
    no_timeout(reader, draft, registry);
    concurrent_writes(reader, draft, graph);
    no_lock(reader, draft);
}

fn undo_reads_unknown(reader: &mut Reader, draft: &Draft) {
    for one in &draft.uses {
        let Place::Undo(index) = one.place else { continue };
        let may_be_unknown = match one.reference.step_id().and_then(|id| draft.index_of(id)) {
            Some(named) => {
                let step = &draft.steps[named];
                let reads_output =
                    one.reference.path.get(1).is_some_and(|member| member == "output");
                reads_output && (named == index || step.optional || step.when.is_some())
            }
            None => one.reference.is_within("forward", &["output"]),
        };
        if may_be_unknown && !one.reference.guarded {
            let output = match one.reference.step_id() {
                Some(id) => format!("steps.{id}.output"),
                None => "forward.output".to_owned(),
            };
            let detail = format!(
                "{} is missing when the call's outcome is unknown or the step was skipped; use a key \
                 that is known beforehand, such as saga.id, or write `{} if {output} is defined \
                 else …`",
                one.reference, one.reference
            );
            reader.fault(&one.pointer, FaultCode::UndoReadsUnknown, detail);
        }
    }
}

fn useless_undo(reader: &mut Reader, draft: &Draft, graph: &Graph) {
    for (index, step) in draft.steps.iter().enumerate() {
        let is_useless = step.kind == StepKind::Saga && graph.is_past_pivot(index_of(index));
        if is_useless && step.undo.is_some() {
            let detail = "after the pivot nothing is undone, so this never runs; leave it out";
            reader.fault(&below(&step.pointer, "compensation"), FaultCode::UselessUndo, detail);
        }
    }
}

fn retry_past_deadline(reader: &mut Reader, draft: &Draft, graph: &Graph, registry: &Registry) {
    let Some(deadline) = draft.deadline else { return };
    for (index, step) in draft.steps.iter().enumerate() {
        let Some(forward) = &step.forward else { continue };
        if graph.is_past_pivot(index_of(index)) {
            continue;
        }
        let defaults = registry.of(step).unwrap_or_default();
        let base = if step.pivot { RetryPolicy::PERSISTENT } else { RetryPolicy::FORWARD };
        let written = forward.retry.or(step.retry).or(draft.retry).resolve(base);
        let policy = written.or(defaults.retry).unwrap_or(base);
        let timeout = forward.timeout.or(step.timeout).or(draft.timeout).or(defaults.timeout);
        let longest = longest(&policy, timeout.unwrap_or_default());
        if longest > deadline {
            let detail = format!(
                "its attempts can take {} and the deadline is {}: the last ones are never made; \
                 shorten the retry or lengthen the deadline",
                format_duration(longest),
                format_duration(deadline)
            );
            let name = if step.kind == StepKind::Tcc { "try" } else { "action" };
            reader.fault(&below(&step.pointer, name), FaultCode::RetryPastDeadline, detail);
        }
    }
}

/// The longest that all attempts and the delays between them can take.
fn longest(policy: &RetryPolicy, timeout: Duration) -> Duration {
    let (mut delay, mut total) = (policy.initial.as_secs_f64(), Duration::ZERO);
    for _ in 1..policy.attempts_max {
        let bounded = delay.min(policy.max.as_secs_f64());
        total = total.saturating_add(Duration::from_secs_f64(bounded));
        delay = bounded * policy.factor;
    }
    total.saturating_add(timeout.saturating_mul(policy.attempts_max))
}

fn no_timeout(reader: &mut Reader, draft: &Draft, registry: &Registry) {
    let mut told = BTreeSet::new();
    for step in &draft.steps {
        let Some(defaults) = registry.of(step) else { continue };
        let outer = step.timeout.or(draft.timeout).or(defaults.timeout);
        let open = operations(step).any(|operation| operation.timeout.or(outer).is_none());
        if open && told.insert(&step.participant) {
            let detail = "neither the operation, the step, the definition nor the participant has a \
                          timeout; set one, so that a lost call is noticed in time";
            reader.fault(&below(&step.pointer, "participant"), FaultCode::NoTimeout, detail);
        }
    }
}

fn concurrent_writes(reader: &mut Reader, draft: &Draft, graph: &Graph) {
    let writes =
        |step: &StepDraft| step.forward.as_ref().is_some_and(|forward| forward.method != "GET");
    for (later, step) in draft.steps.iter().enumerate() {
        let beside = (0..later).find(|earlier| {
            let (a, b) = (index_of(*earlier), index_of(later));
            let other = &draft.steps[*earlier];
            let ordered = graph.is_before(a, b)
                || graph.is_before(b, a)
                || graph.starts_after(a).contains(&b)
                || graph.starts_after(b).contains(&a);
            !ordered && other.participant == step.participant && writes(other) && writes(step)
        });
        if let (Some(earlier), Some(participant)) = (beside, &step.participant) {
            let detail = format!(
                "{} and {} write to {participant} at the same time; if one depends on the other, add \
                 it to after",
                draft.name_of(earlier),
                draft.name_of(later)
            );
            reader.fault(&step.pointer, FaultCode::ConcurrentWrites, detail);
        }
    }
}

/// Looks for inputs that name a thing which other sagas may name too: by their name, and because
/// two steps, or the path of a request, hang on them.
fn no_lock(reader: &mut Reader, draft: &Draft) {
    if draft.lock.is_some() {
        return;
    }
    let mut steps_by_key: BTreeMap<String, (BTreeSet<usize>, bool)> = BTreeMap::new();
    for one in &draft.uses {
        let Place::Forward(step) = one.place else { continue };
        let key = one.reference.path.last().filter(|name| is_key_like(name));
        if one.reference.root == "input" && key.is_some() {
            let entry = steps_by_key.entry(one.reference.to_string()).or_default();
            entry.0.insert(step);
            entry.1 |= one.in_path;
        }
    }
    let keys: Vec<&str> = steps_by_key
        .iter()
        .filter(|(_, (steps, in_path))| steps.len() > 1 || *in_path)
        .map(|(key, _)| key.as_str())
        .collect();
    if let [first, ..] = keys.as_slice() {
        let detail = format!(
            "several sagas may work on the same {} at once; if that must not be, add lock: {{ keys: \
             [\"${{{first}}}\"] }}",
            keys.join(", ")
        );
        reader.fault("", FaultCode::NoLock, detail);
    }
}

/// Whether a name looks like that of a business key.
fn is_key_like(name: &str) -> bool {
    const WORDS: [&str; 8] = ["id", "key", "sku", "iban", "account", "number", "code", "seat"];
    let lower = name.to_ascii_lowercase();
    let is_word = |word: &str| {
        lower == word
            || lower.ends_with(&format!("_{word}"))
            || lower.ends_with(&format!("-{word}"))
    };
    WORDS.into_iter().any(is_word) || name.ends_with("Id")
}

fn operations(step: &StepDraft) -> impl Iterator<Item = &OperationDraft> {
    step.forward.iter().chain(&step.undo).chain(&step.confirm)
}

impl Registry {
    /// What is registered for the participant of a step; none when that is not known.
    fn of(&self, step: &StepDraft) -> Option<ParticipantDefaults> {
        self.participants.as_ref()?.get(step.participant.as_ref()?).copied()
    }
}
