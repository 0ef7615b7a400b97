//! Facts of a journal in words.

use std::time::Duration;

use amends_core::definition::{Branch, BranchWork, Definition, Mode};
use amends_core::saga::{Actor, Decision, Event, Record, SkipReason};
use amends_core::{StepIndex, Timestamp};

use crate::look::Look;
use crate::moment::{exact, fine};
use crate::payload::Payload;

/// Most bytes of a fact's JSON that a page shows; the API has the whole.
const FACT_BYTES_MAX: usize = 2_048;

/// Longer than any time-out that somebody sets.
const FOR_EVER: Duration = Duration::from_hours(24 * 3_000);

/// One fact as a line of the journal.
#[derive(Debug)]
pub(crate) struct Entry {
    pub(crate) seq: u64,
    pub(crate) exact: String,
    /// Time since the saga was accepted.
    pub(crate) offset: String,
    pub(crate) look: Look,
    pub(crate) step: String,
    pub(crate) sentence: String,
    pub(crate) json: Payload,
}

impl Entry {
    /// Fact number `seq` of a saga accepted at `origin`.
    pub(crate) fn new(
        definition: &Definition,
        origin: Timestamp,
        seq: u64,
        record: &Record,
    ) -> Self {
        let name =
            |step: StepIndex| definition.steps.get(step.get()).map(|step| step.id.to_string());
        let raw = serde_json::to_string(&record.event).unwrap_or_default();
        Self {
            seq,
            exact: exact(record.at),
            offset: format!("+{}", fine(record.at.since(origin))),
            look: look(&record.event),
            step: record.event.step().and_then(name).unwrap_or_default(),
            sentence: sentence(record, nobody(definition.mode)),
            json: Payload::from_text(&raw, FACT_BYTES_MAX),
        }
    }
}

/// Who asked where nobody said who.
const fn nobody(mode: Mode) -> &'static str {
    match mode {
        Mode::Definition => "an operator",
        Mode::Interactive => "the client",
    }
}

fn sentence(record: &Record, nobody: &str) -> String {
    let asked = |what: &str, by: &Actor| asked(what, by, nobody);
    match &record.event {
        Event::Accepted(_) => "accepted".to_owned(),
        Event::LockGranted { tokens } => format!("lock keys granted ({})", tokens.len()),
        Event::Started => "started".to_owned(),
        Event::StepSkipped { reason: SkipReason::Decided, .. } => {
            "skipped, since the decision is known".to_owned()
        }
        Event::StepSkipped { reason, .. } => format!("skipped by {}", reason.as_str()),
        Event::CallStarted { op, attempt, .. } => format!("{op}: attempt {attempt} may leave"),
        Event::CallAnswered { op, attempt, answer, .. } => {
            let detail = answer.problem.as_ref().map(|problem| format!(": {}", problem.detail));
            format!("{op}: attempt {attempt} {}{}", answer.outcome, detail.unwrap_or_default())
        }
        Event::CallPending { op, until, .. } if until.since(record.at) > FOR_EVER => {
            format!("{op}: accepted; an answer counts whenever it comes")
        }
        Event::CallPending { op, until, .. } => {
            format!("{op}: accepted; an answer counts for {}", fine(until.since(record.at)))
        }
        Event::RetryScheduled { op, until, .. } => {
            format!("{op}: next attempt in {}", fine(until.since(record.at)))
        }
        Event::CallGivenUp { op, .. } => format!("{op}: will not be tried again"),
        Event::CallStuck { op, until, .. } => {
            let again = until.map(|until| {
                format!("; tried again all the same in {}", fine(until.since(record.at)))
            });
            format!("{op}: attempts used up, needs an operator{}", again.unwrap_or_default())
        }
        Event::Decided { decision: Decision::Commit, .. } => "decided: commit".to_owned(),
        Event::Decided { decision: Decision::Abort, reason } => {
            format!("decided: abort, since {}", reason.as_deref().unwrap_or("it was asked to"))
        }
        Event::DeadlinePassed => "the deadline passed".to_owned(),
        Event::LockWaitPassed => "the longest wait for the lock keys passed".to_owned(),
        Event::BranchEnlisted { branch } => enlisted(branch),
        Event::CommitRequested { by } => asked("commit asked for", by),
        Event::DeadlineExtended { until, by } => {
            let left = fine(until.since(record.at));
            asked(&format!("deadline put off to {left} from then on"), by)
        }
        Event::LockReleased { by } => asked("lock keys taken away", by),
        Event::CancelRequested { by } => asked("cancel asked for", by),
        Event::Paused { by } => asked("paused", by),
        Event::Resumed { by } => asked("resumed", by),
        Event::RetryForced { op, by, .. } => asked(&format!("{op}: retry asked for"), by),
        Event::CallResolved { op, succeeded: true, by, .. } => {
            asked(&format!("{op}: resolved as done"), by)
        }
        Event::CallResolved { op, succeeded: false, by, .. } => {
            asked(&format!("{op}: resolved as failed"), by)
        }
        Event::Recovered { epoch } => format!("taken over by a coordinator (epoch {epoch})"),
        Event::Ended { status, problem, .. } => {
            let status = serde_json::to_string(status).unwrap_or_default();
            let detail = problem.as_ref().map(|problem| format!(": {}", problem.detail));
            format!("ended: {}{}", status.trim_matches('"'), detail.unwrap_or_default())
        }
    }
}

fn enlisted(branch: &Branch) -> String {
    let id = &branch.id;
    match &branch.work {
        BranchWork::Compensation { participant, .. } => {
            format!("branch {id} enlisted: the client calls {participant}, an abort undoes it")
        }
        BranchWork::Tcc { participant, .. } => {
            format!("branch {id} enlisted: TCC with {participant}, the client calls try")
        }
        BranchWork::Message { participant, .. } => {
            format!("branch {id} enlisted: a message to {participant} after the commit")
        }
        BranchWork::Saga(nested) => format!("branch {id} enlisted: saga {}", nested.saga_id),
    }
}

fn asked(what: &str, by: &Actor, nobody: &str) -> String {
    let who = if by.name.is_empty() { nobody } else { &by.name };
    if by.reason.is_empty() {
        format!("{what} by {who}")
    } else {
        format!("{what} by {who}: {}", by.reason)
    }
}

fn look(event: &Event) -> Look {
    match event {
        Event::CallAnswered { answer, .. } => Look::of_outcome(answer.outcome),
        Event::CallStarted { op, .. } => Look::of_open_attempt(*op),
        Event::StepSkipped { .. } => Look::new("off", "skip", "skipped"),
        Event::RetryScheduled { .. } => Look::new("warn", "retry", "retry"),
        Event::CallPending { .. } => Look::new("active", "clock", "pending"),
        Event::CallGivenUp { .. } => Look::new("bad", "question", "given up"),
        Event::CallStuck { .. } => Look::new("bad", "alert", "stuck"),
        Event::Decided { decision: Decision::Commit, .. } => Look::new("good", "flag", "commit"),
        Event::Decided { decision: Decision::Abort, .. } => Look::new("undo", "flag", "abort"),
        Event::DeadlinePassed | Event::LockWaitPassed => Look::new("warn", "clock", "late"),
        Event::CancelRequested { .. }
        | Event::CommitRequested { .. }
        | Event::DeadlineExtended { .. }
        | Event::LockReleased { .. }
        | Event::Paused { .. }
        | Event::Resumed { .. }
        | Event::RetryForced { .. }
        | Event::CallResolved { .. } => Look::new("confirm", "person", "operator"),
        Event::BranchEnlisted { .. } => Look::new("active", "person", "branch"),
        Event::Recovered { .. } => Look::new("warn", "retry", "recovered"),
        Event::Ended { .. } => Look::new("idle", "flag", "end"),
        Event::Accepted(_) | Event::LockGranted { .. } | Event::Started => {
            Look::new("idle", "dot", "fact")
        }
    }
}
