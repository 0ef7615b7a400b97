//! Reading a document's own fields.

use std::time::Duration;

use serde_json::Value;

use super::draft::{Draft, Place, RetryDraft};
use super::field::{Fields, Reader, below};
use super::read_step::read_step;
use super::{FaultCode, InputSchema, Lock, LockRelease, Mode, OnBusy, OnLost};
use crate::{DefinitionName, Jitter};

/// Most steps of a definition.
pub(super) const STEPS_MAX: usize = 100;

/// Most lock keys of a definition.
pub(super) const LOCK_KEYS_MAX: usize = 16;

/// Shortest duration of any kind.
pub(super) const SHORTEST: Duration = Duration::from_millis(1);

/// Longest time-out and longest delay between attempts: one day.
pub(super) const DAY: Duration = Duration::from_hours(24);

/// Longest deadline and longest wait: 3,660 days.
const DEADLINE_MAX: Duration = Duration::from_hours(24 * 3660);

const FIELDS: &[&str] = &[
    "name",
    "description",
    "mode",
    "input_schema",
    "lock",
    "deadline",
    "defaults",
    "steps",
    "output",
];

/// What says nothing in a definition without steps.
const FIELDS_OF_STEPS: &[&str] = &["defaults", "steps", "output"];

/// Reads what is sound of `document`; the rest becomes faults of `reader`.
pub(super) fn read(reader: &mut Reader, document: &Value) -> Draft {
    let Some(fields) = reader.object(document, "", FIELDS) else { return Draft::default() };
    let name = read_name(reader, &fields);
    let description = fields.get("description").and_then(|(value, at)| reader.text(value, &at));
    let modes = [("definition", Mode::Definition), ("interactive", Mode::Interactive)];
    let mode = reader.word(&fields, "mode", &modes).unwrap_or_default();
    let input_schema = read_schema(reader, &fields);
    let lock = read_lock(reader, &fields);
    let deadline = reader.duration(&fields, "deadline", SHORTEST..=DEADLINE_MAX);
    let (timeout, retry) = read_defaults(reader, &fields);
    let steps = match mode {
        Mode::Definition => read_steps(reader, &fields),
        Mode::Interactive => no_steps(reader, &fields),
    };
    let output = fields
        .get("output")
        .and_then(|(value, pointer)| reader.template(value, &pointer, Place::Output));
    Draft {
        name,
        description: description.unwrap_or_default().to_owned(),
        mode,
        input_schema,
        lock,
        deadline,
        timeout,
        retry,
        steps,
        output,
        uses: std::mem::take(&mut reader.uses),
    }
}

/// `retry`, of a definition's defaults, a step or an operation.
pub(super) fn read_retry(reader: &mut Reader, fields: &Fields<'_, '_>) -> RetryDraft {
    const KNOWN: &[&str] = &["max_attempts", "initial", "factor", "max", "jitter"];
    let Some((value, pointer)) = fields.get("retry") else { return RetryDraft::default() };
    let Some(fields) = reader.object(value, &pointer, KNOWN) else { return RetryDraft::default() };
    let retry = RetryDraft {
        attempts_max: read_attempts(reader, &fields),
        initial: reader.duration(&fields, "initial", SHORTEST..=DAY),
        factor: reader.number(&fields, "factor", 1.0..=10.0),
        max: reader.duration(&fields, "max", SHORTEST..=DAY),
        jitter: reader.word(&fields, "jitter", &[("full", Jitter::Full), ("none", Jitter::None)]),
    };
    if let (Some(initial), Some(max)) = (retry.initial, retry.max)
        && max < initial
    {
        let detail = "max is shorter than initial; it is the longest delay between attempts";
        reader.fault(&below(&pointer, "max"), FaultCode::OutOfRange, detail);
    }
    retry
}

fn read_attempts(reader: &mut Reader, fields: &Fields<'_, '_>) -> Option<u32> {
    let attempts = reader.number(fields, "max_attempts", 1.0..=1000.0)?;
    let (value, pointer) = fields.get("max_attempts")?;
    let whole = value.as_u64().and_then(|attempts| u32::try_from(attempts).ok());
    if whole.is_none() {
        let detail = format!("{attempts} is not a whole number");
        reader.fault(&pointer, FaultCode::WrongType, detail);
    }
    whole
}

fn read_name(reader: &mut Reader, fields: &Fields<'_, '_>) -> Option<DefinitionName> {
    let (value, pointer) = reader.required(fields, "name", "versions are stored under it")?;
    let text = reader.text(value, &pointer)?;
    DefinitionName::new(text)
        .map_err(|why| reader.fault(&pointer, FaultCode::BadId, format!("the name {why}")))
        .ok()
}

fn read_schema(reader: &mut Reader, fields: &Fields<'_, '_>) -> Option<InputSchema> {
    let (value, pointer) = fields.get("input_schema")?;
    InputSchema::compile(value)
        .map_err(|why| reader.fault(&pointer, FaultCode::BadSchema, why))
        .ok()
}

fn read_lock(reader: &mut Reader, fields: &Fields<'_, '_>) -> Option<Lock> {
    const KNOWN: &[&str] = &["keys", "wait", "on_busy", "on_lost", "release"];
    let (value, pointer) = fields.get("lock")?;
    let fields = reader.object(value, &pointer, KNOWN)?;
    let wait = reader.duration(&fields, "wait", SHORTEST..=DEADLINE_MAX);
    let words =
        [("queue", OnBusy::Queue), ("reject", OnBusy::Reject), ("replace", OnBusy::Replace)];
    let on_busy = reader.word(&fields, "on_busy", &words).unwrap_or(OnBusy::Queue);
    if on_busy == OnBusy::Reject && fields.has("wait") {
        let detail = "wait says nothing with on_busy: reject; leave one of them out";
        reader.fault(&below(&pointer, "wait"), FaultCode::FieldConflict, detail);
    }
    let words = [("fence", OnLost::Fence), ("pause", OnLost::Pause), ("abort", OnLost::Abort)];
    let on_lost = reader.word(&fields, "on_lost", &words).unwrap_or_default();
    let words = [("end", LockRelease::End), ("pivot", LockRelease::Pivot)];
    let release = reader.word(&fields, "release", &words).unwrap_or_default();
    let (value, pointer) = reader.required(&fields, "keys", "list at least one key")?;
    let items = reader.list(value, &pointer);
    if value.as_array().is_some_and(Vec::is_empty) {
        reader.fault(
            &pointer,
            FaultCode::MissingField,
            "no key is listed; add one or leave lock out",
        );
    }
    if items.len() > LOCK_KEYS_MAX {
        let detail =
            format!("{} keys are listed; at most {LOCK_KEYS_MAX} are allowed", items.len());
        reader.fault(&pointer, FaultCode::TooLarge, detail);
    }
    let mut keys = Vec::new();
    for (index, item) in items.iter().take(LOCK_KEYS_MAX).enumerate() {
        let pointer = below(&pointer, &index.to_string());
        if reader.text(item, &pointer).is_some_and(str::is_empty) {
            reader.fault(&pointer, FaultCode::BadId, "a lock key must not be empty");
        }
        keys.extend(reader.template(item, &pointer, Place::LockKey));
    }
    Some(Lock { keys, wait, on_busy, on_lost, release })
}

fn read_defaults(reader: &mut Reader, fields: &Fields<'_, '_>) -> (Option<Duration>, RetryDraft) {
    let none = (None, RetryDraft::default());
    let Some((value, pointer)) = fields.get("defaults") else { return none };
    let Some(fields) = reader.object(value, &pointer, &["timeout", "retry"]) else { return none };
    let timeout = reader.duration(&fields, "timeout", SHORTEST..=DAY);
    (timeout, read_retry(reader, &fields))
}

/// The client of an interactive transaction brings the steps.
fn no_steps(reader: &mut Reader, fields: &Fields<'_, '_>) -> Vec<super::draft::StepDraft> {
    for name in FIELDS_OF_STEPS {
        if let Some((_, pointer)) = fields.get(name) {
            let detail = format!(
                "{name} says nothing with mode: interactive, whose client brings the steps"
            );
            reader.fault(&pointer, FaultCode::FieldConflict, detail);
        }
    }
    Vec::new()
}

fn read_steps(reader: &mut Reader, fields: &Fields<'_, '_>) -> Vec<super::draft::StepDraft> {
    let Some((value, pointer)) = reader.required(fields, "steps", "list at least one step") else {
        return Vec::new();
    };
    let items = reader.list(value, &pointer);
    if value.as_array().is_some_and(Vec::is_empty) {
        reader.fault(&pointer, FaultCode::MissingField, "no step is listed; add at least one");
    }
    if items.len() > STEPS_MAX {
        let detail = format!("{} steps are listed; at most {STEPS_MAX} are allowed", items.len());
        reader.fault(&pointer, FaultCode::TooLarge, detail);
    }
    let steps = items.iter().take(STEPS_MAX).enumerate();
    steps
        .map(|(index, item)| read_step(reader, item, index, below(&pointer, &index.to_string())))
        .collect()
}
