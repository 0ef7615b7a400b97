//! Reading a step.

use std::time::Duration;

use serde_json::Value;

use super::draft::{OperationDraft, Place, RetryDraft, StepDraft};
use super::field::{Fields, Reader, below};
use super::read::{DAY, SHORTEST, STEPS_MAX, read_retry};
use super::read_operation::read_operation;
use super::{Completion, FaultCode, OutcomeOverride, StepKind};
use crate::expression::Condition;
use crate::saga::OutcomeKind;
use crate::{ParticipantName, StepId};

/// Most statuses that one step may read otherwise.
const OUTCOMES_MAX: usize = 64;

/// Shortest and longest time between two questions of `completion: poll`.
const POLL_INTERVALS: std::ops::RangeInclusive<Duration> = Duration::from_millis(100)..=DAY;

const FIELDS: &[&str] = &[
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
];

const OUTCOMES: [(&str, OutcomeKind); 5] = [
    ("succeeded", OutcomeKind::Succeeded),
    ("pending", OutcomeKind::Pending),
    ("refused", OutcomeKind::Refused),
    ("retryable", OutcomeKind::Retryable),
    ("unknown", OutcomeKind::Unknown),
];

/// Reads what is sound of the step at `index`.
pub(super) fn read_step(
    reader: &mut Reader,
    value: &Value,
    index: usize,
    pointer: String,
) -> StepDraft {
    let mut step = StepDraft {
        pointer,
        id: None,
        kind: StepKind::Saga,
        participant: None,
        after: None,
        forward: None,
        undo: None,
        confirm: None,
        undo_declined: false,
        when: None,
        optional: false,
        pivot: false,
        undo_refused: false,
        completion: Completion::Answer,
        outcomes: Vec::new(),
        timeout: None,
        retry: RetryDraft::default(),
    };
    let pointer = step.pointer.clone();
    let Some(fields) = reader.object(value, &pointer, FIELDS) else { return step };
    step.id = read_id(reader, &fields);
    step.participant = read_participant(reader, &fields);
    step.after = read_after(reader, &fields);
    step.when = read_when(reader, &fields, index);
    step.optional =
        reader.word(&fields, "on_failure", &[("ignore", true), ("abort", false)]).unwrap_or(false);
    step.pivot = reader.truth(&fields, "pivot");
    step.undo_refused = reader.truth(&fields, "undo_refused");
    step.completion = read_completion(reader, &fields).unwrap_or(Completion::Answer);
    step.outcomes = read_outcomes(reader, &fields);
    step.timeout = reader.duration(&fields, "timeout", SHORTEST..=DAY);
    step.retry = read_retry(reader, &fields);
    read_operations(reader, &fields, index, &mut step);
    step
}

fn read_operations(
    reader: &mut Reader,
    fields: &Fields<'_, '_>,
    index: usize,
    step: &mut StepDraft,
) {
    let names = ["action", "compensation", "try", "confirm", "cancel"];
    let [action, _, attempt, ..] = names.map(|name| fields.has(name));
    step.kind = if attempt && !action { StepKind::Tcc } else { StepKind::Saga };
    let (own, other) = match step.kind {
        StepKind::Saga => (("action", "compensation"), ["try", "confirm", "cancel"].as_slice()),
        StepKind::Tcc => (("try", "cancel"), ["compensation"].as_slice()),
    };
    if !action && !attempt {
        let detail =
            "the field \"action\" is missing: a step has an action, or try, confirm and cancel";
        reader.fault(fields.pointer, FaultCode::MissingField, detail);
    } else {
        for (_, pointer) in other.iter().filter_map(|name| fields.get(name)) {
            let detail = "a step has either action and compensation, or try, confirm and cancel";
            reader.fault(&pointer, FaultCode::FieldConflict, detail);
        }
    }
    step.forward = operation(reader, fields, own.0, Place::Forward(index));
    step.undo_declined = fields.get("compensation").is_some_and(|(value, _)| value == "none");
    if !step.undo_declined {
        step.undo = operation(reader, fields, own.1, Place::Undo(index));
    }
    if step.kind == StepKind::Tcc {
        step.confirm = operation(reader, fields, "confirm", Place::Confirm(index));
    }
    if step.undo_refused && !fields.has(own.1) {
        let detail =
            format!("undo_refused says nothing without {}; add one or leave it out", own.1);
        reader.fault(&below(fields.pointer, "undo_refused"), FaultCode::FieldConflict, detail);
    }
}

/// The operation `name`; faulty ones count as there, so that they are not also missed.
fn operation(
    reader: &mut Reader,
    fields: &Fields<'_, '_>,
    name: &str,
    place: Place,
) -> Option<OperationDraft> {
    let (value, pointer) = fields.get(name)?;
    Some(read_operation(reader, value, &pointer, place))
}

fn read_id(reader: &mut Reader, fields: &Fields<'_, '_>) -> Option<StepId> {
    let (value, pointer) = reader.required(fields, "id", "every step has one")?;
    let text = reader.text(value, &pointer)?;
    StepId::new(text)
        .map_err(|why| reader.fault(&pointer, FaultCode::BadId, format!("the id {why}")))
        .ok()
}

fn read_participant(reader: &mut Reader, fields: &Fields<'_, '_>) -> Option<ParticipantName> {
    let (value, pointer) = reader.required(fields, "participant", "name whom the step calls")?;
    let text = reader.text(value, &pointer)?;
    let name = ParticipantName::new(text);
    if let Err(why) = &name {
        let detail = format!("the participant's name {why}");
        reader.fault(&pointer, FaultCode::BadId, detail);
    }
    name.ok()
}

fn read_after(reader: &mut Reader, fields: &Fields<'_, '_>) -> Option<Vec<String>> {
    let (value, pointer) = fields.get("after")?;
    let items = reader.list(value, &pointer);
    if items.len() > STEPS_MAX {
        reader.fault(
            &pointer,
            FaultCode::TooLarge,
            format!("at most {STEPS_MAX} steps can be named"),
        );
    }
    let mut ids = Vec::new();
    for (index, item) in items.iter().take(STEPS_MAX).enumerate() {
        // A text is kept even if it names nothing, so that its place in the list stays known.
        let text = reader.text(item, &below(&pointer, &index.to_string()));
        ids.push(text.unwrap_or_default().to_owned());
    }
    Some(ids)
}

fn read_when(reader: &mut Reader, fields: &Fields<'_, '_>, index: usize) -> Option<Condition> {
    let (value, pointer) = fields.get("when")?;
    let text = reader.text(value, &pointer)?;
    match Condition::parse(text) {
        Ok(condition) => {
            for reference in condition.references() {
                reader.used(pointer.clone(), Place::When(index), false, reference);
            }
            Some(condition)
        }
        Err(why) => {
            reader.fault(&pointer, FaultCode::BadExpression, why);
            None
        }
    }
}

fn read_completion(reader: &mut Reader, fields: &Fields<'_, '_>) -> Option<Completion> {
    const POLL: Completion = Completion::Poll { interval: Duration::from_secs(1) };
    let (value, pointer) = fields.get("completion")?;
    if !value.is_object() {
        let words =
            [("answer", Completion::Answer), ("callback", Completion::Callback), ("poll", POLL)];
        return reader.word(fields, "completion", &words);
    }
    let fields = reader.object(value, &pointer, &["poll"])?;
    let (value, pointer) = reader.required(&fields, "poll", "write { poll: { interval: 1s } }")?;
    let fields = reader.object(value, &pointer, &["interval"])?;
    let interval = reader.duration(&fields, "interval", POLL_INTERVALS)?;
    Some(Completion::Poll { interval })
}

fn read_outcomes(reader: &mut Reader, fields: &Fields<'_, '_>) -> Vec<OutcomeOverride> {
    let Some((value, pointer)) = fields.get("outcomes") else { return Vec::new() };
    let Some(fields) = reader.map(value, &pointer) else { return Vec::new() };
    let mut overrides = Vec::new();
    for (count, (name, _, at)) in fields.iter().enumerate() {
        if count == OUTCOMES_MAX {
            reader.fault(
                &pointer,
                FaultCode::TooLarge,
                format!("at most {OUTCOMES_MAX} statuses are allowed"),
            );
            break;
        }
        let status = name.parse().ok().filter(|status: &u16| (200..600).contains(status));
        if status.is_none() {
            let detail = format!("{name:?} is no HTTP status from 200 to 599");
            reader.fault(&at, FaultCode::OutOfRange, detail);
        }
        let outcome = reader.word(&fields, name, &OUTCOMES);
        if let (Some(status), Some(outcome)) = (status, outcome) {
            overrides.push(OutcomeOverride { status, outcome });
        }
    }
    overrides
}
