//! The transition table: every kind of call in every state, against every input.
//!
//! The snapshot is for reading: a change of it is a change of the semantics.

use std::fmt::Write as _;
use std::sync::Arc;

use super::network::failed;
use crate::definition::{Format, Registry, parse_text};
use crate::saga::{
    Accepted, Actor, Answer, AttemptFailure, CallId, CallState, Command, Event, Handled, Input, Op,
    OutcomeKind, Refusal, Saga,
};
use crate::{SagaId, Timestamp};

/// What a call is part of: the steps, what happens before it, and which call it is.
struct Phase {
    name: &'static str,
    steps: &'static str,
    /// Answers that come before it, in order.
    before: &'static [OutcomeKind],
    step: &'static str,
    op: Op,
}

const A: &str = "{ id: a, participant: p, action: { path: / }, compensation: { path: /u } }";

const PHASES: [Phase; 6] = [
    Phase {
        name: "forward, before the decision",
        steps: "[A, { id: b, participant: p, action: { path: / }, compensation: { path: /u } }]",
        before: &[OutcomeKind::Succeeded],
        step: "b",
        op: Op::Action,
    },
    Phase {
        name: "forward, optional",
        steps: "[A, { id: b, participant: p, action: { path: / }, on_failure: ignore },
            { id: c, participant: p, action: { path: / }, compensation: { path: /u } }]",
        before: &[OutcomeKind::Succeeded],
        step: "b",
        op: Op::Action,
    },
    Phase {
        name: "pivot without an undo",
        steps: "[A, { id: b, participant: p, action: { path: / }, pivot: true }]",
        before: &[OutcomeKind::Succeeded],
        step: "b",
        op: Op::Action,
    },
    Phase {
        name: "forward, after commit",
        steps: "[{ id: a, participant: p, action: { path: / }, pivot: true },
            { id: b, participant: p, action: { path: / } }]",
        before: &[OutcomeKind::Succeeded],
        step: "b",
        op: Op::Action,
    },
    Phase {
        name: "undo",
        steps: "[A, { id: b, participant: p, action: { path: / } }]",
        before: &[OutcomeKind::Succeeded, OutcomeKind::Refused],
        step: "a",
        op: Op::Compensation,
    },
    Phase {
        name: "confirm",
        steps: "[{ id: a, participant: p, try: { path: / }, confirm: { path: /c }, cancel: { path: /u } }]",
        before: &[OutcomeKind::Succeeded],
        step: "a",
        op: Op::Confirm,
    },
];

/// How a call gets into a state; each has two attempts.
const STATES: [(&str, &[Told]); 6] = [
    ("in flight", &[]),
    ("in flight, last attempt", &[Told::Unsent, Told::RetryDue]),
    ("pending", &[Told::Pending]),
    ("waiting, nothing was sent", &[Told::Unsent]),
    ("waiting, may have happened", &[Told::Silence]),
    ("stuck", &[Told::Silence, Told::RetryDue, Told::Silence]),
];

/// What a call can be told.
#[derive(Clone, Copy, Debug)]
enum Told {
    Succeeded,
    Refused,
    Unsent,
    Silence,
    Pending,
    Completed,
    CompletedRefused,
    Expired,
    RetryDue,
    Deadline,
    Recovered,
    Pause,
    Cancel,
    Retry,
    Skip,
    ResolveSucceeded,
    ResolveFailed,
    ResolveUndone,
    Abandon,
}

const ALL: [(Told, &str); 19] = [
    (Told::Succeeded, "answered: succeeded"),
    (Told::Refused, "answered: refused"),
    (Told::Unsent, "answered: not sent"),
    (Told::Silence, "answered: unknown"),
    (Told::Pending, "answered: pending"),
    (Told::Completed, "completed: succeeded"),
    (Told::CompletedRefused, "completed: refused"),
    (Told::Expired, "pending expired"),
    (Told::RetryDue, "retry due"),
    (Told::Deadline, "deadline passed"),
    (Told::Recovered, "recovered"),
    (Told::Pause, "pause"),
    (Told::Cancel, "cancel"),
    (Told::Retry, "retry"),
    (Told::Skip, "skip"),
    (Told::ResolveSucceeded, "resolve as succeeded"),
    (Told::ResolveFailed, "resolve as failed"),
    (Told::ResolveUndone, "resolve as undone"),
    (Told::Abandon, "abandon"),
];

#[test]
fn transition_table() {
    let mut table = String::new();
    for phase in &PHASES {
        for (state, way) in STATES {
            let Some(case) = Case::new(phase, way) else { continue };
            let words = case.state().as_str();
            // A call that gives up has no such state.
            if !state.starts_with(words.split(' ').next().unwrap()) {
                continue;
            }
            writeln!(table, "{}: {state}", phase.name).unwrap();
            let mut refused = Vec::new();
            for (told, name) in ALL {
                match case.facts(told) {
                    Some(facts) => writeln!(table, "  {name:<21} -> {facts}").unwrap(),
                    None => refused.push(name),
                }
            }
            writeln!(table, "  {:<21} -- {}\n", "refused or stale", refused.join(", ")).unwrap();
        }
    }
    insta::assert_snapshot!(table);
}

/// The confirm waits for a retry, when what was found out of the try is said at last.
#[test]
fn what_is_said_of_one_call_is_not_taken_of_another() {
    let case = Case::new(&PHASES[5], &[Told::Silence]).unwrap();
    let step = case.saga.definition().step(case.call.step).id.clone();
    let resolve = |op| Command::ResolveSucceeded { step: step.clone(), output: None, op: Some(op) };
    let (open, named) = (Op::Confirm, Op::Try);
    let refusal = Refusal::OtherCall { step: step.clone(), open, named };
    assert_eq!(case.saga.permits(&resolve(Op::Try)), Err(refusal));
    assert_eq!(case.saga.permits(&resolve(Op::Confirm)), Ok(()));
    assert_eq!(case.saga.permitted_on(case.call.step)[1], resolve(Op::Confirm));
    let unnamed = Command::ResolveSucceeded { step: step.clone(), output: None, op: None };
    assert_eq!(case.saga.permits(&unnamed), Ok(()));
    assert_eq!(case.saga.in_first_format(resolve(Op::Confirm)), Ok(unnamed));
}

/// An undo is open: what is said names the call, and so does the refusal.
#[test]
fn what_is_said_of_a_forward_call_is_not_taken_of_its_undo() {
    let case = Case::new(&PHASES[4], &[Told::Silence]).unwrap();
    let step = case.saga.definition().step(case.call.step).id.clone();
    let (open, named) = (Op::Compensation, Op::Action);
    let refusal = Refusal::OtherCall { step: step.clone(), open, named };
    let command = Command::ResolveSucceeded { step, output: None, op: Some(Op::Action) };
    assert_eq!(case.saga.permits(&command), Err(refusal));
}

/// In the first format nobody can say which call is meant: a try only while nothing follows it.
#[test]
fn in_the_first_format_a_try_is_resolved_in_a_paused_saga_only() {
    let phase = Phase { before: &[], op: Op::Try, ..PHASES[5] };
    let mut case = Case::new(&phase, &[Told::Silence]).unwrap();
    let step = case.saga.definition().step(case.call.step).id.clone();
    let resolve = |op| Command::ResolveSucceeded { step: step.clone(), output: None, op };
    let refusal = case.saga.in_first_format(resolve(Some(Op::Try))).unwrap_err();
    assert!(refusal.to_string().contains("needs one that is paused"), "{refusal}");
    case.tell(Told::Pause).unwrap();
    assert_eq!(case.saga.in_first_format(resolve(Some(Op::Try))), Ok(resolve(None)));
}

/// A call in a state.
struct Case {
    saga: Saga,
    call: CallId,
    now: Timestamp,
}

impl Case {
    /// None where a call of the phase does not get into the state.
    fn new(phase: &Phase, way: &[Told]) -> Option<Self> {
        let steps = phase.steps.replace('A', A);
        let text = format!(
            "{{ name: t, steps: {steps}, defaults: {{ retry: {{ max_attempts: 2, initial: 1s, jitter: none }} }} }}"
        );
        let parsed = parse_text(&text, Format::Yaml, &Registry::default());
        let definition = parsed.definition.unwrap_or_else(|| panic!("{:?}", parsed.faults));
        let accepted = accepted(&definition);
        let call = CallId { step: definition.index_of(phase.step).unwrap(), op: phase.op };
        let (saga, _) = Saga::accept(Arc::clone(&definition), accepted, Timestamp(0));
        let mut case = Self { saga, call, now: Timestamp(1_000_000) };
        for (index, outcome) in phase.before.iter().enumerate() {
            let earlier = definition.indices().nth(index).unwrap();
            let op = definition.step(earlier).forward_op();
            let input = answered(CallId { step: earlier, op }, 1, *outcome, true);
            case.saga.handle(case.now, input).unwrap();
        }
        for told in way {
            case.tell(*told)?;
        }
        Some(case)
    }

    /// What follows, in words; none if it is refused.
    fn facts(&self, told: Told) -> Option<String> {
        let mut case = Self { saga: self.saga.clone(), call: self.call, now: self.now };
        let handled = case.tell(told)?;
        let facts: Vec<String> =
            handled.records.iter().map(|record| case.words(&record.event)).collect();
        let status = case.saga.status();
        Some(format!("{} [{status}]", facts.join("; ")))
    }

    fn tell(&mut self, told: Told) -> Option<Handled> {
        let CallId { step, op } = self.call;
        let id = self.saga.definition().step(step).id.clone();
        let attempt = self.saga.step(step).call(op).attempts;
        let of = |outcome, sent| answered(self.call, attempt, outcome, sent);
        let completed = |answer| Input::Completed { step, op, answer: Box::new(answer) };
        let command = |command| Input::Command { command, by: Actor::default() };
        self.now = self.due().unwrap_or(self.now);
        let input = match told {
            Told::Succeeded => of(OutcomeKind::Succeeded, true),
            Told::Refused => of(OutcomeKind::Refused, true),
            Told::Unsent => of(OutcomeKind::Retryable, false),
            Told::Silence => of(OutcomeKind::Unknown, true),
            Told::Pending => of(OutcomeKind::Pending, true),
            Told::Completed => completed(Answer::succeeded(None)),
            Told::CompletedRefused => {
                completed(failed(OutcomeKind::Refused, true, AttemptFailure::Status))
            }
            Told::Expired => Input::PendingExpired { step, op },
            Told::RetryDue => Input::RetryDue { step, op },
            Told::Deadline => Input::DeadlinePassed,
            Told::Recovered => Input::Recovered { epoch: 2 },
            Told::Pause => command(Command::Pause),
            Told::Cancel => command(Command::Cancel),
            Told::Retry => command(Command::RetryNow { step: Some(id) }),
            Told::Skip => command(Command::Skip { step: id }),
            Told::ResolveSucceeded => {
                command(Command::ResolveSucceeded { step: id, output: None, op: None })
            }
            Told::ResolveFailed => command(Command::ResolveFailed { step: id }),
            Told::ResolveUndone => command(Command::ResolveUndone { step: id }),
            Told::Abandon => command(Command::Abandon),
        };
        self.saga.handle(self.now, input).ok()
    }

    /// When the call's timer goes off.
    fn due(&self) -> Option<Timestamp> {
        match self.state() {
            CallState::Pending { until, .. } => Some(*until),
            state => state.due(),
        }
    }

    fn state(&self) -> &CallState {
        &self.saga.step(self.call.step).call(self.call.op).state
    }

    fn words(&self, event: &Event) -> String {
        let call = |step: &_, op: &Op| format!("{op} {}", self.saga.definition().step(*step).id);
        match event {
            Event::CallStarted { step, op, attempt } => {
                format!("{} starts ({attempt})", call(step, op))
            }
            Event::CallAnswered { step, op, answer, .. } => {
                format!("{} {}", call(step, op), answer.outcome)
            }
            Event::CallPending { step, op, .. } => format!("{} is waited for", call(step, op)),
            Event::RetryScheduled { step, op, .. } => {
                format!("{} waits for a retry", call(step, op))
            }
            Event::CallGivenUp { step, op } => format!("{} is given up", call(step, op)),
            Event::CallStuck { step, op, .. } => format!("{} is stuck", call(step, op)),
            Event::RetryForced { step, op, .. } => format!("{} is asked for again", call(step, op)),
            Event::CallResolved { step, op, succeeded, .. } => {
                format!("{} {}", call(step, op), if *succeeded { "was seen" } else { "was not" })
            }
            Event::Decided { decision, .. } => decision.as_str().to_uppercase(),
            Event::StepSkipped { step, .. } => {
                format!("{} is skipped", self.saga.definition().step(*step).id)
            }
            Event::Ended { status, .. } => format!("ends {status:?}"),
            Event::Recovered { .. } => "what is open may have happened".to_owned(),
            other => {
                let json = serde_json::to_value(other).unwrap();
                let name =
                    json.as_str().or_else(|| json.as_object()?.keys().next().map(|key| &**key));
                name.unwrap_or_default().replace('_', " ")
            }
        }
    }
}

fn answered(call: CallId, attempt: u32, outcome: OutcomeKind, sent: bool) -> Input {
    let CallId { step, op } = call;
    let answer = match outcome {
        OutcomeKind::Succeeded => Answer::succeeded(None),
        other => failed(other, sent, AttemptFailure::Status),
    };
    Input::Answered { step, op, attempt, answer: Box::new(answer) }
}

fn accepted(definition: &crate::definition::Definition) -> Accepted {
    Accepted::new(SagaId::new("s-1").unwrap(), definition)
}
