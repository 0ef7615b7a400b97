//! A saga's journal, for people and their tools: names instead of indices, no secrets.

use amends_core::definition::Definition;
use amends_core::saga::{Actor, EndStatus, Event, Op, Record, SkipReason};
use amends_core::{Json, StepIndex};
use amends_ports::store::JournalPage;
use serde::Serialize;
use utoipa::ToSchema;

use super::{Attempt, BranchView, DecisionWord, OpWord, OutcomeWord, StatusWord, Time};

/// A part of a journal.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[schema(as = Journal)]
pub struct JournalView {
    /// Number of the first record here.
    pub from: u64,
    /// The records.
    pub records: Vec<JournalRecord>,
    /// Where the next part starts; null at the end.
    pub next: Option<u64>,
}

impl JournalView {
    pub(crate) fn new(page: JournalPage, definition: &Definition) -> Self {
        let count = u64::try_from(page.records.len()).unwrap_or(u64::MAX);
        let records = (page.from..).zip(page.records);
        Self {
            from: page.from,
            records: records.map(|(seq, own)| JournalRecord::new(seq, own, definition)).collect(),
            next: page.more.then(|| page.from.saturating_add(count)),
        }
    }
}

/// Who asked for something, and why.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[schema(as = Actor)]
pub struct ActorView {
    /// A name; empty where nobody is signed in.
    pub name: String,
    /// The reason given; may be empty.
    pub reason: String,
}

impl From<Actor> for ActorView {
    fn from(actor: Actor) -> Self {
        Self { name: actor.name, reason: actor.reason }
    }
}

/// One fact. Which fields it has depends on `event`.
#[derive(Clone, Debug, Default, Serialize, ToSchema)]
pub struct JournalRecord {
    /// Its number, from 0.
    pub seq: u64,
    /// When it was known.
    #[schema(value_type = Time)]
    pub at: Option<Time>,
    /// What happened.
    #[schema(value_type = String, example = "call_answered")]
    pub event: &'static str,
    /// Which step.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub step: Option<String>,
    /// Which operation.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub op: Option<OpWord>,
    /// Which attempt, from 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub attempt: Option<u32>,
    /// What became of the attempt.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub outcome: Option<OutcomeWord>,
    /// Whether anything may have reached the participant.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sent: Option<bool>,
    /// What was answered, or what the saga completed with.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<serde_json::Value>)]
    pub output: Option<Json>,
    /// Why it did not succeed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub problem: Option<Attempt>,
    /// When it is due, or until when it is waited for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub until: Option<Time>,
    /// The decision.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub decision: Option<DecisionWord>,
    /// Why.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// Who asked for it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub by: Option<ActorView>,
    /// Fencing tokens, in order of the lock keys.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub tokens: Vec<u64>,
    /// Whether the call took effect, as an operator found out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub succeeded: Option<bool>,
    /// The partition's new epoch.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub epoch: Option<u64>,
    /// What the branch that was enlisted is made of.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub branch: Option<BranchView>,
    /// How it ended.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub status: Option<StatusWord>,
}

impl JournalRecord {
    fn new(seq: u64, record: Record, definition: &Definition) -> Self {
        let name = |step: StepIndex| match definition.steps.get(step.get()) {
            Some(step) => step.id.as_str().to_owned(),
            None => format!("step {}", step.0),
        };
        let about = |event: &'static str, step: StepIndex, op: Op| Self {
            event,
            step: Some(name(step)),
            op: Some(op.into()),
            ..Self::default()
        };
        let plain = |event: &'static str| Self { event, ..Self::default() };
        let asked = |event: &'static str, by: Actor| Self { by: Some(by.into()), ..plain(event) };
        let fields = match record.event {
            Event::Accepted(_) => plain("accepted"),
            Event::LockGranted { tokens } => Self {
                tokens: tokens.into_iter().map(|token| token.0).collect(),
                ..plain("lock_granted")
            },
            Event::Started => plain("started"),
            Event::StepSkipped { step, reason } => Self {
                step: Some(name(step)),
                reason: Some(match reason {
                    SkipReason::Condition => "its condition does not hold".to_owned(),
                    SkipReason::Operator => "an operator skipped it".to_owned(),
                    SkipReason::Decided => "the decision made it needless".to_owned(),
                }),
                ..plain("step_skipped")
            },
            Event::CallStarted { step, op, attempt } => {
                Self { attempt: Some(attempt), ..about("call_started", step, op) }
            }
            Event::CallAnswered { step, op, attempt, answer } => Self {
                attempt: Some(attempt),
                outcome: Some(answer.outcome.into()),
                sent: Some(answer.sent),
                problem: answer.problem.as_ref().map(Attempt::from),
                output: answer.output,
                ..about("call_answered", step, op)
            },
            Event::CallPending { step, op, until, location: _ } => {
                Self { until: Some(Time(until)), ..about("call_pending", step, op) }
            }
            Event::RetryScheduled { step, op, until } => {
                Self { until: Some(Time(until)), ..about("retry_scheduled", step, op) }
            }
            Event::CallGivenUp { step, op } => about("call_given_up", step, op),
            Event::CallStuck { step, op, until } => {
                Self { until: until.map(Time), ..about("call_stuck", step, op) }
            }
            Event::Decided { decision, reason } => {
                Self { decision: Some(decision.into()), reason, ..plain("decided") }
            }
            Event::BranchEnlisted { branch } => Self {
                step: Some(branch.id.as_str().to_owned()),
                branch: Some(BranchView::from(*branch)),
                ..plain("branch_enlisted")
            },
            Event::CommitRequested { by } => asked("commit_requested", by),
            Event::DeadlineExtended { until, by } => {
                Self { until: Some(Time(until)), ..asked("deadline_extended", by) }
            }
            Event::LockReleased { by } => asked("lock_released", by),
            Event::DeadlinePassed => plain("deadline_passed"),
            Event::LockWaitPassed => plain("lock_wait_passed"),
            Event::CancelRequested { by } => asked("cancel_requested", by),
            Event::Paused { by } => asked("paused", by),
            Event::Resumed { by } => asked("resumed", by),
            Event::RetryForced { step, op, by } => {
                Self { by: Some(by.into()), ..about("retry_forced", step, op) }
            }
            Event::CallResolved { step, op, succeeded, output, by } => Self {
                succeeded: Some(succeeded),
                output,
                by: Some(by.into()),
                ..about("call_resolved", step, op)
            },
            Event::Recovered { epoch } => Self { epoch: Some(epoch), ..plain("recovered") },
            Event::Ended { status, output, problem } => Self {
                status: Some(match status {
                    EndStatus::Completed => StatusWord::Completed,
                    EndStatus::Compensated => StatusWord::Compensated,
                    EndStatus::Abandoned => StatusWord::Abandoned,
                }),
                output,
                problem: problem.as_ref().map(Attempt::from),
                ..plain("ended")
            },
        };
        Self { seq, at: Some(Time(record.at)), ..fields }
    }
}
