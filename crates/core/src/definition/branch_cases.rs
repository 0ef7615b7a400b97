//! Branches and questions as clients write them, and the faults that they have.

use std::time::Duration;

use serde_json::{Value, json};

use super::cases::registry;
use super::*;
use crate::saga::{Op, OutcomeKind};
use crate::{RetryPolicy, StepId};

fn id() -> StepId {
    StepId::new("b").unwrap()
}

fn read(value: &Value) -> Result<BranchDocument, Vec<Fault>> {
    parse_branch(id(), value, &registry())
}

fn ready(value: &Value) -> Branch {
    match read(value) {
        Ok(BranchDocument::Ready(branch)) => branch,
        other => panic!("{value}: {other:?}"),
    }
}

/// A branch with one call, of which `fields` are a part.
fn call(fields: &Value) -> Value {
    let mut call = json!({ "path": "/x" });
    for (name, value) in fields.as_object().unwrap().clone() {
        call[name] = value;
    }
    json!({ "participant": "a", "action": call })
}

#[test]
fn every_kind_of_branch_is_read() {
    let undo = json!({ "method": "DELETE", "path": "/r/1?why=x" });
    let one = ready(&json!({ "participant": "a", "compensation": undo, "after": ["x", "y-z"] }));
    let BranchWork::Compensation { participant, compensation } = &one.work else {
        panic!("{one:?}")
    };
    assert_eq!((participant.as_str(), &*compensation.method), ("a", "DELETE"));
    let after: Vec<_> = one.after.iter().flatten().map(StepId::as_str).collect();
    assert_eq!((after, one.client_op()), (vec!["x", "y-z"], Some(Op::Action)));

    let operation = json!({ "path": "/" });
    let tcc = ready(&json!({ "participant": "a", "confirm": operation, "cancel": operation,
        "after": [] }));
    assert_eq!((tcc.client_op(), tcc.after.clone()), (Some(Op::Try), Some(Vec::new())));

    let message = ready(&call(&json!({ "body": { "to": "${input.x}" }, "timeout": "2s",
        "headers": { "X-Shop": 7 }, "retry": { "max_attempts": 3 } })));
    let BranchWork::Message { action, .. } = &message.work else { panic!("{message:?}") };
    assert_eq!((&*action.method, action.timeout), ("POST", Some(Duration::from_secs(2))));
    assert_eq!(action.headers, [("x-shop".to_owned(), "7".to_owned())]);
    assert_eq!(action.body.as_ref().unwrap().value()["to"], "${input.x}", "taken as it stands");
    assert_eq!(action.retry, Some(RetryPolicy { attempts_max: 3, ..RetryPolicy::PERSISTENT }));
    assert_eq!((message.client_op(), message.after), (None, None));

    let nested = read(&json!({ "saga": { "definition": "book", "version": 2, "input": [1] } }));
    let Ok(BranchDocument::Saga { definition, version, input, .. }) = nested else {
        panic!("{nested:?}")
    };
    assert_eq!((definition.as_str(), version, input.as_str()), ("book", Some(2), "[1]"));
    let newest = read(&json!({ "saga": { "definition": "book" } }));
    assert!(matches!(newest, Ok(BranchDocument::Saga { version: None, .. })), "{newest:?}");
}

#[test]
fn every_fault_of_a_branch_is_found_at_its_place() {
    use FaultCode as F;
    let op = json!({ "path": "/" });
    let cases = [
        (json!([]), F::WrongType, ""),
        (json!({}), F::MissingUndo, ""),
        (json!({}), F::MissingField, ""),
        (json!({ "participant": "a" }), F::MissingUndo, ""),
        (json!({ "participant": "a", "try": op }), F::UnknownField, "/try"),
        (json!({ "compensation": op }), F::MissingField, ""),
        (json!({ "participant": 1, "compensation": op }), F::WrongType, "/participant"),
        (json!({ "participant": "a/b", "compensation": op }), F::BadId, "/participant"),
        (json!({ "participant": "b", "compensation": op }), F::UnknownParticipant, "/participant"),
        (json!({ "participant": "a", "compensation": "/x" }), F::WrongType, "/compensation"),
        (json!({ "participant": "a", "compensation": "none" }), F::WrongType, "/compensation"),
        (json!({ "participant": "a", "compensation": {} }), F::MissingField, "/compensation"),
        (json!({ "participant": "a", "confirm": op }), F::IncompleteTcc, ""),
        (json!({ "participant": "a", "cancel": op }), F::IncompleteTcc, ""),
        (
            json!({ "participant": "a", "compensation": op, "action": op }),
            F::FieldConflict,
            "/action",
        ),
        (
            json!({ "participant": "a", "compensation": op, "cancel": op }),
            F::FieldConflict,
            "/cancel",
        ),
        (
            json!({ "participant": "a", "confirm": op, "cancel": op, "action": op }),
            F::FieldConflict,
            "/action",
        ),
        (json!({ "participant": "a", "action": op, "after": "x" }), F::WrongType, "/after"),
        (json!({ "participant": "a", "action": op, "after": [1] }), F::WrongType, "/after/0"),
        (json!({ "participant": "a", "action": op, "after": ["x", "a b"] }), F::BadId, "/after/1"),
        (
            json!({ "participant": "a", "action": op, "after": vec!["x"; 101] }),
            F::TooLarge,
            "/after",
        ),
        (call(&json!({ "path": 1 })), F::WrongType, "/action/path"),
        (call(&json!({ "path": "x" })), F::WrongType, "/action/path"),
        (call(&json!({ "path": "/a/../b" })), F::WrongType, "/action/path"),
        (call(&json!({ "path": "/${saga.id}" })), F::WrongType, "/action/path"),
        (call(&json!({ "path": format!("/{}", "x".repeat(9_000)) })), F::TooLarge, "/action/path"),
        (call(&json!({ "method": "SEND" })), F::WrongType, "/action/method"),
        (call(&json!({ "method": "GET", "body": 1 })), F::FieldConflict, "/action/body"),
        (
            call(&json!({ "headers": { "Saga-Id": "x" } })),
            F::ForbiddenHeader,
            "/action/headers/Saga-Id",
        ),
        (call(&json!({ "headers": { "x": "a\r\nb" } })), F::ForbiddenHeader, "/action/headers/x"),
        (call(&json!({ "headers": { "x": [] } })), F::WrongType, "/action/headers/x"),
        (call(&json!({ "timeout": "0s" })), F::OutOfRange, "/action/timeout"),
        (call(&json!({ "timeout": "2d" })), F::OutOfRange, "/action/timeout"),
        (
            call(&json!({ "retry": { "max_attempts": 0 } })),
            F::OutOfRange,
            "/action/retry/max_attempts",
        ),
        (call(&json!({ "retry": 3 })), F::WrongType, "/action/retry"),
        (call(&json!({ "pth": "/" })), F::UnknownField, "/action/pth"),
        (json!({ "saga": "book" }), F::WrongType, "/saga"),
        (json!({ "saga": {} }), F::MissingField, "/saga"),
        (json!({ "saga": { "definition": 1 } }), F::WrongType, "/saga/definition"),
        (json!({ "saga": { "definition": "a b" } }), F::BadId, "/saga/definition"),
        (json!({ "saga": { "definition": "d", "version": 0 } }), F::WrongType, "/saga/version"),
        (json!({ "saga": { "definition": "d", "version": "1" } }), F::WrongType, "/saga/version"),
        (json!({ "saga": { "definition": "d", "id": "x" } }), F::UnknownField, "/saga/id"),
        (json!({ "saga": { "definition": "d" }, "after": [] }), F::FieldConflict, "/after"),
        (
            json!({ "saga": { "definition": "d" }, "participant": "a" }),
            F::FieldConflict,
            "/participant",
        ),
    ];
    for (document, code, pointer) in cases {
        let faults = read(&document).expect_err(&document.to_string());
        let found = faults.iter().any(|fault| fault.code == code && fault.pointer == pointer);
        assert!(found, "{code:?} at {pointer:?} in {document}\nfound {faults:#?}");
        assert!(faults.iter().all(Fault::is_error), "a warning refuses nothing: {faults:#?}");
    }
}

#[test]
fn how_a_silent_client_is_asked_is_read() {
    let check_back = parse_check_back(&json!({ "participant": "a", "path": "/o/1" }), &registry());
    let CheckBack { participant, call } = check_back.unwrap();
    assert_eq!((participant.as_str(), &*call.method, &*call.path), ("a", "GET", "/o/1"));
    let policy = call.retry.unwrap_or(RetryPolicy::PERSISTENT);
    assert_eq!(policy.attempts_max, RetryPolicy::PERSISTENT.attempts_max);
    let said = json!({ "participant": "a", "method": "POST", "path": "/", "body": 1 });
    assert_eq!(parse_check_back(&said, &registry()).unwrap().call.method, "POST");
}

#[test]
fn every_fault_of_a_question_is_found_at_its_place() {
    use FaultCode as F;
    let cases = [
        (json!("shop"), F::WrongType, ""),
        (json!({ "path": "/" }), F::MissingField, ""),
        (json!({ "participant": "a" }), F::MissingField, ""),
        (json!({ "participant": "b", "path": "/" }), F::UnknownParticipant, "/participant"),
        (json!({ "participant": "a", "path": "/", "body": 1 }), F::FieldConflict, "/body"),
        (json!({ "participant": "a", "path": "/", "after": [] }), F::UnknownField, "/after"),
        (json!({ "participant": "a", "path": "http://x/" }), F::WrongType, "/path"),
    ];
    for (document, code, pointer) in cases {
        let faults = parse_check_back(&document, &registry()).expect_err(&document.to_string());
        let found = faults.iter().any(|fault| fault.code == code && fault.pointer == pointer);
        assert!(found, "{code:?} at {pointer:?} in {document}\nfound {faults:#?}");
    }
}

/// What a branch becomes: it is sent as it stands, and the question decides by itself.
#[test]
fn branches_become_steps_in_the_order_they_come() {
    let base = json!({ "name": "d", "mode": "interactive" });
    let base = parse(&base, &registry()).definition.unwrap();
    let question = parse_check_back(&json!({ "participant": "a", "path": "/" }), &registry());
    let grown = base.with_check_back(&question.unwrap());
    assert_eq!(grown.graph.pivot(), Some(crate::StepIndex(0)), "also without a branch");
    assert_eq!(grown.step(crate::StepIndex(0)).outcomes[4].outcome, OutcomeKind::Refused);
    let undo = json!({ "participant": "a", "compensation": { "path": "/u" } });
    let grown = grown.with_branch(&ready(&undo));
    let second = Branch { id: StepId::new("c").unwrap(), ..ready(&undo) };
    let grown = grown.with_branch(&second);
    let names: Vec<_> = grown.steps.iter().map(|step| step.id.as_str()).collect();
    assert_eq!(names, ["prepared", "b", "c"]);
    assert!(grown.graph.is_before(crate::StepIndex(1), crate::StepIndex(2)));
    assert!(!grown.graph.is_before(crate::StepIndex(0), crate::StepIndex(1)));
    assert_eq!(
        (grown.graph.pivot(), grown.digest),
        (Some(crate::StepIndex(0)), base.digest.clone())
    );
}
