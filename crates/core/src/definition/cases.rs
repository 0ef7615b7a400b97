//! Documents and the faults that they have: every code at least once.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use serde_json::{Value, json};

use super::*;
use crate::ParticipantName;

/// Codes of registrations, which no definition has.
const OF_PARTICIPANTS: [FaultCode; 4] = [
    FaultCode::BadEndpoint,
    FaultCode::TargetNotAllowed,
    FaultCode::BadSecret,
    FaultCode::NotSupported,
];

/// Participants `a` (with a time-out) and `open` (without one).
pub(super) fn registry() -> Registry {
    let timeout = Some(Duration::from_secs(1));
    let defaults = [
        ("a", ParticipantDefaults { timeout, retry: None }),
        ("open", ParticipantDefaults::default()),
    ];
    let participants = defaults
        .into_iter()
        .map(|(name, defaults)| (ParticipantName::new(name).unwrap(), defaults))
        .collect::<BTreeMap<_, _>>();
    Registry { participants: Some(participants) }
}

/// A definition `d` of steps `s0`, `s1` and so on, each with what is sound and what `steps` adds
/// or replaces; null takes a field away.
pub(super) fn definition(fields: &Value, steps: &[Value]) -> Value {
    let steps: Vec<Value> = steps
        .iter()
        .enumerate()
        .map(|(index, step)| {
            let sound = json!({
                "id": format!("s{index}"),
                "participant": "a",
                "action": { "path": "/do" },
                "compensation": { "path": "/undo" },
            });
            merged(sound, step)
        })
        .collect();
    merged(json!({ "name": "d", "steps": steps }), fields)
}

fn merged(mut sound: Value, other: &Value) -> Value {
    let members = sound.as_object_mut().unwrap();
    for (name, value) in other.as_object().into_iter().flatten() {
        members.insert(name.clone(), value.clone());
        if value.is_null() {
            members.remove(name);
        }
    }
    sound
}

pub(super) fn step(step: Value) -> Value {
    definition(&json!({}), &[step])
}

fn tcc(extra: &Value) -> Value {
    let operation = json!({ "path": "/x" });
    let sound = json!({ "action": null, "compensation": null, "try": operation, "confirm": operation,
        "cancel": operation });
    let mut merged = sound;
    for (name, value) in extra.as_object().into_iter().flatten() {
        merged[name] = value.clone();
    }
    merged
}

/// A definition without steps.
fn interactive(extra: &Value) -> Value {
    merged(json!({ "name": "d", "mode": "interactive" }), extra)
}

/// Documents with the code and pointer of a fault that each must have.
#[expect(clippy::too_many_lines, reason = "a table")]
fn cases() -> Vec<(Value, FaultCode, &'static str)> {
    use FaultCode as F;
    let two = |first: Value, second: Value| definition(&json!({}), &[first, second]);
    let body = |text: &str| json!({ "action": { "path": "/do", "body": { "x": text } } });
    let undo = |text: &str| json!({ "compensation": { "path": "/undo", "body": text } });
    let headers = |headers: Value| step(json!({ "action": { "path": "/", "headers": headers } }));
    let fields = |fields: Value| definition(&fields, &[json!({})]);
    vec![
        (json!(1), F::WrongType, ""),
        (json!({}), F::MissingField, ""),
        (fields(json!({ "name": 1 })), F::WrongType, "/name"),
        (fields(json!({ "name": "a b" })), F::BadId, "/name"),
        (fields(json!({ "naem": "d" })), F::UnknownField, "/naem"),
        (fields(json!({ "version": 1 })), F::UnknownField, "/version"),
        (fields(json!({ "labels": {} })), F::UnknownField, "/labels"),
        (fields(json!({ "a/b~": 1 })), F::UnknownField, "/a~1b~0"),
        (fields(json!({ "steps": [] })), F::MissingField, "/steps"),
        (fields(json!({ "steps": {} })), F::WrongType, "/steps"),
        (fields(json!({ "steps": vec![json!({}); 101] })), F::TooLarge, "/steps"),
        (fields(json!({ "description": "x".repeat(300_000) })), F::TooLarge, ""),
        (fields(json!({ "description": "\0" })), F::Syntax, ""),
        (fields(json!({ "deadline": "0ms" })), F::OutOfRange, "/deadline"),
        (fields(json!({ "deadline": 5 })), F::WrongType, "/deadline"),
        (fields(json!({ "deadline": "soon" })), F::WrongType, "/deadline"),
        (fields(json!({ "deadline": "1ms" })), F::RetryPastDeadline, "/steps/0/action"),
        (fields(json!({ "defaults": { "timeout": "2d" } })), F::OutOfRange, "/defaults/timeout"),
        (fields(json!({ "defaults": { "retries": 1 } })), F::UnknownField, "/defaults/retries"),
        (
            fields(json!({ "defaults": { "retry": { "max_attempts": 0 } } })),
            F::OutOfRange,
            "/defaults/retry/max_attempts",
        ),
        (
            fields(json!({ "defaults": { "retry": { "max_attempts": 1.5 } } })),
            F::WrongType,
            "/defaults/retry/max_attempts",
        ),
        (
            fields(json!({ "defaults": { "retry": { "factor": 11 } } })),
            F::OutOfRange,
            "/defaults/retry/factor",
        ),
        (
            fields(json!({ "defaults": { "retry": { "initial": "2s", "max": "1s" } } })),
            F::OutOfRange,
            "/defaults/retry/max",
        ),
        (
            fields(json!({ "defaults": { "retry": { "jitter": "ful" } } })),
            F::WrongType,
            "/defaults/retry/jitter",
        ),
        (fields(json!({ "input_schema": { "type": "nope" } })), F::BadSchema, "/input_schema"),
        (
            fields(json!({ "input_schema": { "$ref": "http://x/y" } })),
            F::BadSchema,
            "/input_schema",
        ),
        (fields(json!({ "lock": {} })), F::MissingField, "/lock"),
        (fields(json!({ "lock": { "keys": [] } })), F::MissingField, "/lock/keys"),
        (fields(json!({ "lock": { "keys": [""] } })), F::BadId, "/lock/keys/0"),
        (fields(json!({ "lock": { "keys": [1] } })), F::WrongType, "/lock/keys/0"),
        (fields(json!({ "lock": { "keys": vec!["k"; 17] } })), F::TooLarge, "/lock/keys"),
        (fields(json!({ "lock": { "keys": ["${x"] } })), F::BadExpression, "/lock/keys/0"),
        (
            fields(json!({ "lock": { "keys": ["k", "${steps.s0.output}"] } })),
            F::UnknownReference,
            "/lock/keys/1",
        ),
        (
            fields(json!({ "lock": { "keys": ["${saga.labels.x}"] } })),
            F::UnknownReference,
            "/lock/keys/0",
        ),
        (
            fields(json!({ "lock": { "keys": ["k"], "wait": "1s", "on_busy": "reject" } })),
            F::FieldConflict,
            "/lock/wait",
        ),
        (
            fields(json!({ "lock": { "keys": ["k"], "on_busy": "wait" } })),
            F::WrongType,
            "/lock/on_busy",
        ),
        (
            fields(json!({ "lock": { "keys": ["k"], "on_lost": "ignore" } })),
            F::WrongType,
            "/lock/on_lost",
        ),
        (
            fields(json!({ "lock": { "keys": ["k"], "on_lost": true } })),
            F::WrongType,
            "/lock/on_lost",
        ),
        (
            fields(json!({ "lock": { "keys": ["k"], "release": "commit" } })),
            F::WrongType,
            "/lock/release",
        ),
        (
            fields(json!({ "lock": { "keys": ["k"], "relase": 1 } })),
            F::UnknownField,
            "/lock/relase",
        ),
        (fields(json!({ "mode": "client" })), F::WrongType, "/mode"),
        (fields(json!({ "mode": 1 })), F::WrongType, "/mode"),
        (fields(json!({ "mode": "interactive" })), F::FieldConflict, "/steps"),
        (interactive(&json!({ "defaults": {} })), F::FieldConflict, "/defaults"),
        (interactive(&json!({ "output": 1 })), F::FieldConflict, "/output"),
        (interactive(&json!({ "lock": { "keys": [] } })), F::MissingField, "/lock/keys"),
        (interactive(&json!({ "deadline": "0s" })), F::OutOfRange, "/deadline"),
        (
            fields(json!({ "output": { "x": "${steps.nope.output}" } })),
            F::UnknownReference,
            "/output/x",
        ),
        (fields(json!({ "output": ["${"] })), F::BadExpression, "/output/0"),
        (fields(json!({ "output": "${step.key}" })), F::UnknownReference, "/output"),
        (step(json!({ "id": null })), F::MissingField, "/steps/0"),
        (step(json!({ "id": "1" })), F::BadId, "/steps/0/id"),
        (two(json!({}), json!({ "id": "s0" })), F::DuplicateId, "/steps/1/id"),
        (step(json!({ "participant": null })), F::MissingField, "/steps/0"),
        (step(json!({ "participant": "a/b" })), F::BadId, "/steps/0/participant"),
        (step(json!({ "participant": "b" })), F::UnknownParticipant, "/steps/0/participant"),
        (step(json!({ "participant": "open" })), F::NoTimeout, "/steps/0/participant"),
        (step(json!({ "aftr": [] })), F::UnknownField, "/steps/0/aftr"),
        (two(json!({}), json!({ "after": ["s3"] })), F::UnknownStep, "/steps/1/after/0"),
        (two(json!({}), json!({ "after": "s0" })), F::WrongType, "/steps/1/after"),
        (step(json!({ "after": ["s0"] })), F::Cycle, "/steps/0/after"),
        (two(json!({ "after": ["s1"] }), json!({})), F::Cycle, "/steps/0/after"),
        (step(json!({ "action": null })), F::MissingField, "/steps/0"),
        (step(json!({ "action": "POST /" })), F::WrongType, "/steps/0/action"),
        (step(json!({ "action": {} })), F::MissingField, "/steps/0/action"),
        (step(json!({ "action": { "path": "x" } })), F::BadExpression, "/steps/0/action/path"),
        (
            step(json!({ "action": { "path": "/", "method": "SEND" } })),
            F::WrongType,
            "/steps/0/action/method",
        ),
        (
            step(json!({ "action": { "path": "/", "method": "GET", "body": 1 } })),
            F::FieldConflict,
            "/steps/0/action/body",
        ),
        (step(json!({ "try": { "path": "/" } })), F::FieldConflict, "/steps/0/try"),
        (
            step(tcc(&json!({ "compensation": { "path": "/" } }))),
            F::FieldConflict,
            "/steps/0/compensation",
        ),
        (step(tcc(&json!({ "confirm": null }))), F::IncompleteTcc, "/steps/0"),
        (step(tcc(&json!({ "cancel": null }))), F::IncompleteTcc, "/steps/0"),
        (step(tcc(&json!({ "on_failure": "ignore" }))), F::CannotBeOptional, "/steps/0/on_failure"),
        (
            step(json!({ "pivot": true, "on_failure": "ignore" })),
            F::CannotBeOptional,
            "/steps/0/on_failure",
        ),
        (two(json!({ "pivot": true }), tcc(&json!({}))), F::TccPastPivot, "/steps/1"),
        (two(json!({ "pivot": true }), json!({ "pivot": true })), F::TwoPivots, "/steps/1/pivot"),
        (two(json!({ "pivot": true }), json!({})), F::UselessUndo, "/steps/1/compensation"),
        (two(json!({ "compensation": null }), json!({})), F::MissingUndo, "/steps/0"),
        (two(json!({}), json!({ "after": [], "compensation": null })), F::MissingUndo, "/steps/1"),
        (
            two(json!({ "pivot": true }), json!({ "after": [], "compensation": null })),
            F::MissingUndo,
            "/steps/1",
        ),
        (step(json!({ "pivot": 1 })), F::WrongType, "/steps/0/pivot"),
        (
            step(json!({ "undo_refused": true, "compensation": null })),
            F::FieldConflict,
            "/steps/0/undo_refused",
        ),
        (step(json!({ "when": "${input.x}" })), F::BadExpression, "/steps/0/when"),
        (step(json!({ "when": "step.key == 'x'" })), F::UnknownReference, "/steps/0/when"),
        (step(json!({ "when": "steps.s0.status == 'x'" })), F::UnknownReference, "/steps/0/when"),
        (step(json!({ "completion": "later" })), F::WrongType, "/steps/0/completion"),
        (
            step(json!({ "completion": { "poll": { "interval": "1ms" } } })),
            F::OutOfRange,
            "/steps/0/completion/poll/interval",
        ),
        (step(json!({ "outcomes": { "99": "refused" } })), F::OutOfRange, "/steps/0/outcomes/99"),
        (step(json!({ "outcomes": { "409": "retry" } })), F::WrongType, "/steps/0/outcomes/409"),
        (step(json!({ "timeout": "0s" })), F::OutOfRange, "/steps/0/timeout"),
        (step(body("${input.}")), F::BadExpression, "/steps/0/action/body/x"),
        (step(body("${input.x | nope}")), F::BadExpression, "/steps/0/action/body/x"),
        (step(body("${inptu.x}")), F::UnknownReference, "/steps/0/action/body/x"),
        (step(body("${saga.name}")), F::UnknownReference, "/steps/0/action/body/x"),
        (step(body("${step.id}")), F::UnknownReference, "/steps/0/action/body/x"),
        (step(body("${forward.output}")), F::UnknownReference, "/steps/0/action/body/x"),
        (step(body("${steps | length}")), F::UnknownReference, "/steps/0/action/body/x"),
        (
            two(body("${steps.s1.output.x}"), json!({})),
            F::UnknownReference,
            "/steps/0/action/body/x",
        ),
        (
            two(json!({}), merged(body("${steps.s0.output.x}"), &json!({ "after": [] }))),
            F::UnknownReference,
            "/steps/1/action/body/x",
        ),
        (two(json!({}), body("${steps.s0.result}")), F::UnknownReference, "/steps/1/action/body/x"),
        (
            two(json!({ "id": "my-s" }), body("${steps.my-s.output}")),
            F::UnknownReference,
            "/steps/1/action/body/x",
        ),
        (step(undo("${forward.result}")), F::UnknownReference, "/steps/0/compensation/body"),
        (step(undo("${forward.output.id}")), F::UndoReadsUnknown, "/steps/0/compensation/body"),
        (step(undo("${steps.s0.output.id}")), F::UndoReadsUnknown, "/steps/0/compensation/body"),
        (
            two(json!({ "when": "input.x" }), undo("${steps.s0.output.id}")),
            F::UndoReadsUnknown,
            "/steps/1/compensation/body",
        ),
        (two(json!({}), json!({ "after": [] })), F::ConcurrentWrites, "/steps/1"),
        (step(json!({ "action": { "path": "/${input.order_id}" } })), F::NoLock, ""),
        (two(body("${input.sku}"), body("${input.sku}")), F::NoLock, ""),
        (headers(json!({ "Saga-Id": "x" })), F::ForbiddenHeader, "/steps/0/action/headers/Saga-Id"),
        (
            headers(json!({ "Authorization": "x" })),
            F::ForbiddenHeader,
            "/steps/0/action/headers/Authorization",
        ),
        (headers(json!({ "a b": "x" })), F::ForbiddenHeader, "/steps/0/action/headers/a b"),
        (headers(json!({ "x": "a\r\nb: c" })), F::ForbiddenHeader, "/steps/0/action/headers/x"),
        (headers(json!({ "x": ["a"] })), F::WrongType, "/steps/0/action/headers/x"),
        (headers(json!({ "x": "1", "X": "2" })), F::ForbiddenHeader, "/steps/0/action/headers/x"),
        (
            headers((0..33).map(|n| (format!("x{n}"), json!("v"))).collect::<Value>()),
            F::TooLarge,
            "/steps/0/action/headers",
        ),
    ]
}

#[test]
fn every_fault_is_found_at_its_place() {
    let mut produced = BTreeSet::new();
    for (document, code, pointer) in cases() {
        let parsed = parse(&document, &registry());
        let found =
            parsed.faults.iter().any(|fault| fault.code == code && fault.pointer == pointer);
        assert!(found, "{code:?} at {pointer:?} in {document}\nfound {:#?}", parsed.faults);
        assert_eq!(parsed.definition.is_none(), parsed.faults.iter().any(Fault::is_error));
        produced.insert(code);
    }
    produced.extend(OF_PARTICIPANTS);
    let missing: Vec<_> = FaultCode::ALL.iter().filter(|code| !produced.contains(code)).collect();
    assert!(missing.is_empty(), "no case for {missing:?}");
}

/// What must not be reported.
#[test]
fn sound_documents_have_no_faults() {
    let undo = |body: &str| json!({ "compensation": { "path": "/", "body": body } });
    for document in [
        step(json!({})),
        step(json!({ "compensation": null })),
        step(json!({ "compensation": "none" })),
        step(tcc(&json!({ "confirm": { "path": "/${steps.s0.output.id}" } }))),
        step(undo("${forward.output.id if forward.output is defined else saga.id}")),
        step(undo("${forward.outcome}")),
        step(json!({ "outcomes": { "409": "retryable", "404": "succeeded" } })),
        step(json!({ "completion": "poll", "timeout": "1m" })),
        step(json!({ "completion": { "poll": { "interval": "5s" } } })),
        step(
            json!({ "action": { "path": "/", "method": "get", "headers": { "X-Key": "${step.key}" } } }),
        ),
        step(json!({ "participant": "open", "timeout": "1s" })),
        definition(&json!({}), &[json!({ "compensation": "none" }), json!({})]),
        definition(
            &json!({}),
            &[json!({ "compensation": null, "on_failure": "ignore" }), json!({})],
        ),
        definition(&json!({}), &[json!({ "pivot": true }), json!({ "compensation": null })]),
        definition(
            &json!({ "output": "${steps.s1.output}" }),
            &[
                json!({ "id": "a-b" }),
                json!({ "id": "s1", "action": { "path": "/", "body": "${steps['a-b'].output.x}" } }),
            ],
        ),
        definition(
            &json!({ "lock": { "keys": ["${input.sku}", "${saga.id}"], "on_busy": "reject" } }),
            &[json!({})],
        ),
        definition(&json!({ "input_schema": true, "deadline": "1h" }), &[json!({})]),
        definition(&json!({ "mode": "definition" }), &[json!({})]),
        definition(
            &json!({ "lock": { "keys": ["k"], "wait": "1s", "on_busy": "replace",
                "on_lost": "fence", "release": "pivot" } }),
            &[json!({})],
        ),
        interactive(&json!({})),
        interactive(&json!({ "lock": { "keys": ["k"] }, "deadline": "30s", "description": "x" })),
    ] {
        let parsed = parse(&document, &registry());
        assert!(parsed.faults.is_empty(), "{document}\n{:#?}", parsed.faults);
        assert!(parsed.definition.is_some(), "{document}");
    }
}

#[test]
fn what_a_document_does_not_say_about_its_lock_is_the_careful_choice() {
    let lock = |lock: Value| {
        let document = definition(&json!({ "lock": lock }), &[json!({})]);
        let definition = parse(&document, &registry()).definition.unwrap();
        let lock = definition.lock.clone().unwrap();
        (definition.mode, lock.on_busy, lock.on_lost, lock.release)
    };
    let silent = lock(json!({ "keys": ["k"] }));
    assert_eq!(silent, (Mode::Definition, OnBusy::Queue, OnLost::Pause, LockRelease::End));
    for (word, on_lost) in
        [("fence", OnLost::Fence), ("pause", OnLost::Pause), ("abort", OnLost::Abort)]
    {
        let said = lock(json!({ "keys": ["k"], "on_busy": "replace", "on_lost": word,
            "release": "pivot" }));
        assert_eq!(said, (Mode::Definition, OnBusy::Replace, on_lost, LockRelease::Pivot));
    }
    let parsed = parse(&interactive(&json!({})), &registry()).definition.unwrap();
    assert_eq!((parsed.mode, parsed.steps.len()), (Mode::Interactive, 0));
}

#[test]
fn all_faults_are_reported_at_once() {
    let document = definition(
        &json!({ "nam": 1, "deadline": 3 }),
        &[
            json!({ "participant": "b", "action": { "pth": "/", "body": ["${", "${}"] } }),
            json!({ "after": ["s9"], "pivot": "yes", "compensation": { "path": "/", "timeout": 1 } }),
        ],
    );
    let parsed = parse(&document, &registry());
    assert_eq!(parsed.faults.iter().filter(|fault| fault.is_error()).count(), 10, "{parsed:#?}");
}

#[test]
fn faults_are_bounded() {
    let document = definition(&json!({ "output": vec!["${"; 5000] }), &[json!({})]);
    assert_eq!(parse(&document, &registry()).faults.len(), 200);
}
