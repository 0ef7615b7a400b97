//! Journals: facts read from text, folded, explained, taken up by a new coordinator.

use std::sync::Arc;

use amends_core::definition::Definition;
use amends_core::saga::{
    Accepted, Actor, Answer, AttemptFailure, CallId, Command, Effect, Input, Op, OutcomeKind,
    Problem, Record, Saga, Timer, Token,
};
use amends_core::{Json, SagaId, StepId, Timestamp};

use crate::definitions;

/// When everything here happens.
const NOW: Timestamp = Timestamp(1_767_225_600_000_000);

/// Reads a journal and folds it over definitions of every kind.
pub fn journal(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    let Ok(records) = Record::read_all(0, &text) else { return };
    let written = serde_json::to_string(&records).unwrap();
    assert_eq!(Record::read_all(0, &written).unwrap(), records);
    for definition in definitions() {
        let Ok(saga) = Saga::replay(definition, &records) else { continue };
        look(&saga);
        for input in [
            Input::Recovered { epoch: 7 },
            Input::Loaded { epoch: 7 },
            Input::DeadlinePassed,
            Input::LockWaitPassed,
            Input::Granted(vec![Token(1)]),
            command(Command::Cancel),
            command(Command::Commit),
            command(Command::RetryNow { step: None }),
            command(Command::Resume),
            command(Command::Abandon),
        ] {
            let mut own = saga.clone();
            if own.handle(NOW, input).is_ok() {
                look(&own);
            }
        }
    }
}

fn command(command: Command) -> Input {
    Input::Command { command, by: Actor::default() }
}

/// Everything that is asked of a saga which stands somewhere.
fn look(saga: &Saga) {
    assert!(!saga.explain().is_empty());
    let _ = (saga.effects(), saga.permitted(), saga.focus(), saga.standing_reason(), saga.stuck());
    let _ = (saga.status(), saga.reason(), saga.failed_step(), saga.calls().count());
    for step in saga.definition().indices() {
        let _ = (saga.permitted_on(step), saga.forward_outcome(step));
    }
    for (step, op, call) in saga.calls() {
        if call.attempts > 0 {
            // It may be one that cannot be made: then it says so.
            let _ = saga.request(CallId { step, op });
        }
    }
}

/// The journal of a saga that lives through what `choices` say, one for each thing that happens.
pub fn journal_of(definition: Arc<Definition>, choices: &[u8]) -> Vec<Record> {
    let mut accepted = Accepted::new(SagaId::new("s").unwrap(), &definition);
    accepted.input = Json::parse(r#"{"sku": "42", "qty": 1}"#).unwrap();
    accepted.deadline_at = Some(NOW.after(std::time::Duration::from_hours(1)));
    let (mut saga, handled) = Saga::accept(definition, accepted, NOW);
    let (mut records, mut due) = (handled.records, handled.effects);
    for (count, choice) in choices.iter().enumerate() {
        let at = NOW.after(std::time::Duration::from_secs(count as u64));
        let index = usize::from(choice >> 4) % due.len().max(1);
        let effect = (!due.is_empty()).then(|| due.remove(index));
        let Some(input) = happening(effect, choice & 15) else { continue };
        if let Ok(handled) = saga.handle(at, input) {
            records.extend(handled.records);
            due.extend(handled.effects);
        }
    }
    let again = Saga::replay(saga.definition().clone(), &records).unwrap();
    assert_eq!((again.status(), again.steps()), (saga.status(), saga.steps()));
    records
}

/// What comes next: the answer to what was asked for, or something that nobody asked for.
fn happening(effect: Option<Effect>, choice: u8) -> Option<Input> {
    let step = || StepId::new("a").unwrap();
    match (choice, effect) {
        (12, _) => Some(command(Command::Cancel)),
        (13, _) => Some(command(Command::RetryNow { step: None })),
        (14, _) => {
            Some(command(Command::ResolveSucceeded { step: step(), output: None, op: None }))
        }
        (15, _) => Some(Input::Recovered { epoch: 2 }),
        (_, Some(Effect::Call { call, attempt } | Effect::Drain { call, attempt })) => {
            let CallId { step, op } = call;
            Some(Input::Answered { step, op, attempt, answer: Box::new(answer(choice, op)) })
        }
        (_, Some(Effect::Poll { call: CallId { step, op }, .. })) => {
            Some(Input::Completed { step, op, answer: Box::new(answer(choice, op)) })
        }
        (_, Some(Effect::Arm { timer, .. })) => Some(match timer {
            Timer::Start => Input::StartDue,
            Timer::Deadline => Input::DeadlinePassed,
            Timer::LockWait => Input::LockWaitPassed,
            Timer::Retry(CallId { step, op }) => Input::RetryDue { step, op },
            Timer::Pending(CallId { step, op }) => Input::PendingExpired { step, op },
        }),
        (_, Some(Effect::Lock { keys })) => {
            Some(Input::Granted(keys.iter().map(|_| Token(u64::from(choice))).collect()))
        }
        (_, Some(Effect::Unlock { .. } | Effect::End { .. }) | None) => {
            (choice == 0).then_some(Input::DeadlinePassed)
        }
    }
}

fn answer(choice: u8, op: Op) -> Answer {
    let (outcome, sent) = match choice {
        0..=5 => return Answer::succeeded(Json::parse(r#"{"id": "7"}"#).ok()),
        6 | 7 if !op.is_undo() => (OutcomeKind::Refused, true),
        8 => (OutcomeKind::Pending, true),
        9 => (OutcomeKind::Retryable, false),
        _ => (OutcomeKind::Unknown, true),
    };
    let kind = AttemptFailure::Status;
    Answer::failed(
        outcome,
        sent,
        Problem { kind, status: Some(409), detail: "no".to_owned(), body: None },
    )
}
