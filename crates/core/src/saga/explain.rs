//! Why a saga is where it is and what happens next, in one sentence for people.
//!
//! A pure function of the state: times are written out, nothing is said to be "soon". Rule 2 (no
//! state is silent) is kept here: a suspended saga names its step, operation, last answer and
//! number of attempts.

use std::fmt::Write as _;

use super::{Call, CallState, Decision, Op, Saga, SkipReason, Status};
use crate::StepIndex;
use crate::definition::Mode;

/// Most open calls that are told one by one.
const CALLS_MAX: usize = 3;

/// Most characters of a participant's own words.
const WORDS_MAX: usize = 300;

impl Saga {
    /// One sentence: why the saga is where it is, and what happens next and when.
    pub fn explain(&self) -> String {
        let mut text = match self.status() {
            Status::Queued => self.explain_queue(),
            Status::Running => self.explain_forward("Running"),
            Status::Confirming => self.explain_forward("Commit is decided"),
            Status::Compensating => self.explain_undo(),
            Status::Suspended => self.explain_stuck(),
            Status::Completed => self.explain_completed(),
            Status::Compensated => self.explain_compensated(),
            Status::Abandoned => self.explain_abandoned(),
        };
        if self.is_paused() && !self.status().is_terminal() {
            text.push_str("; it is paused, so nothing new starts until it is resumed");
        }
        text.push('.');
        text
    }

    /// The step that the saga waits for an operator at or, without one, whose failure made it
    /// abort.
    pub fn focus(&self) -> Option<(StepIndex, Op)> {
        self.stuck().or_else(|| self.failed_step().filter(|_| self.decision.is_some()))
    }

    /// Why the saga stands where it stands: what it is stuck at, why it aborts, or how it was
    /// given up. None while everything goes well.
    pub fn standing_reason(&self) -> Option<String> {
        if let (Some(problem), true) = (self.end_problem(), self.status().is_terminal()) {
            return Some(problem.detail.clone());
        }
        match self.stuck().filter(|_| !self.status().is_terminal()) {
            Some((step, op)) => Some(self.stuck_words(step, op)),
            None => self.reason().map(str::to_owned),
        }
    }

    fn explain_queue(&self) -> String {
        let mut waits = Vec::new();
        if let Some(at) = self.accepted().start_at.filter(|at| *at > self.accepted_at()) {
            waits.push(format!("its start time {at}"));
        }
        let keys = &self.accepted().lock_keys;
        if let (Some(first), None) = (keys.first(), &self.tokens) {
            let more = keys.len() - 1;
            let mut words = format!("lock key {:?}", first.as_str());
            if more > 0 {
                // Writing to a `String` cannot fail.
                let _ = write!(words, " and {more} more");
            }
            words.push_str(", which other sagas hold or asked for before");
            if let Some(until) = self.accepted().lock_wait_until {
                let _ = write!(words, ", until {until} at most");
            }
            waits.push(words);
        }
        if waits.is_empty() {
            return "Queued: it starts as soon as its coordinator has room".to_owned();
        }
        format!("Queued: it waits for {}", waits.join(" and for "))
    }

    fn explain_forward(&self, word: &str) -> String {
        let mut text = format!("{word}: {}", self.explain_open_calls());
        match (self.decision(), self.deadline_at()) {
            (None, _) if self.is_prepared() => {}
            (None, Some(at))
                if !self.is_past_deadline()
                    && !self.commit_requested
                    && self.check_back().is_some() =>
            {
                let _ = write!(text, "; its client is asked at {at} unless it has said so before");
            }
            (None, Some(at)) if !self.is_past_deadline() => {
                let _ = write!(text, "; it aborts unless it is decided by {at}");
            }
            (None, _) if self.cancel.is_some() => {
                text.push_str("; a cancellation waits until the outcome of the pivot is known");
            }
            (Some(Decision::Commit), _) => {
                text.push_str("; it can only go forward now");
                if self.is_past_deadline() {
                    text.push_str(", although its deadline has passed");
                }
            }
            (None | Some(Decision::Abort), _) => {}
        }
        text
    }

    fn explain_undo(&self) -> String {
        let reason = self.reason().unwrap_or("an abort was decided");
        format!("Undoing ({}): {}", clip(reason), self.explain_open_calls())
    }

    fn explain_stuck(&self) -> String {
        let Some((step, op)) = self.stuck() else {
            return "Suspended".to_owned();
        };
        let next = match self.step(step).call(op).state.due() {
            Some(at) => format!("it is tried again at {at} all the same, or when an operator asks"),
            None => "it is not tried again until an operator asks".to_owned(),
        };
        let why = match (op.is_undo(), self.reason()) {
            (true, Some(reason)) => format!(" while undoing ({})", clip(reason)),
            _ => String::new(),
        };
        format!("Suspended{why}: {}; {next}", self.stuck_words(step, op))
    }

    fn explain_completed(&self) -> String {
        let ended = self.ended_at().unwrap_or(self.accepted_at());
        // A question that was not needed is nothing that was left out.
        let is_skipped =
            |reason: Option<SkipReason>| reason.is_some_and(|why| why != SkipReason::Decided);
        let skipped = self.steps().iter().filter(|state| is_skipped(state.skipped)).count();
        let ignored = self
            .definition
            .indices()
            .filter(|index| {
                let state = &self.step(*index).forward.state;
                matches!(state, CallState::Refused | CallState::GivenUp)
            })
            .count();
        let mut text = match (skipped, ignored) {
            (0, 0) => format!("Completed at {ended}: every step took effect"),
            (_, 0) => format!("Completed at {ended}: every step took effect, {skipped} skipped"),
            (0, _) => format!("Completed at {ended}: {ignored} optional step(s) failed"),
            _ => format!("Completed at {ended}: {skipped} skipped, {ignored} optional failed"),
        };
        if let Some(problem) = self.end_problem() {
            let _ = write!(text, "; {}", clip(&problem.detail));
        }
        text
    }

    fn explain_compensated(&self) -> String {
        let ended = self.ended_at().unwrap_or(self.accepted_at());
        let undone =
            self.steps().iter().filter(|state| state.undo.state == CallState::Succeeded).count();
        let what = match undone {
            0 => "nothing had to be undone".to_owned(),
            1 => "one step was undone".to_owned(),
            _ => format!("{undone} steps were undone"),
        };
        let reason = self.reason().unwrap_or("an abort was decided");
        format!("Undone at {ended} ({}): {what}", clip(reason))
    }

    fn explain_abandoned(&self) -> String {
        let ended = self.ended_at().unwrap_or(self.accepted_at());
        let who = self.end_problem().map_or("abandoned", |problem| problem.detail.as_str());
        let at = self
            .stuck()
            .map(|(step, op)| format!(" at {op} of step {}", self.definition.step(step).id))
            .unwrap_or_default();
        format!("Given up at {ended} ({}): what stands half done{at} is left as it is", clip(who))
    }

    /// What is open now, and what each waits for.
    fn explain_open_calls(&self) -> String {
        let open: Vec<_> = self
            .calls()
            .filter(|(_, _, call)| call.state.is_open())
            .map(|(step, op, call)| self.call_words(step, op, call))
            .collect();
        let mut text = match open.len() {
            0 => return self.explain_rest(),
            1..=CALLS_MAX => open.join("; "),
            all => format!("{}; {} more", open[..CALLS_MAX].join("; "), all - CALLS_MAX),
        };
        if self.waits_for_lock() {
            text.push_str(
                "; its lock keys were taken away, so nothing starts until it has them again",
            );
        }
        text
    }

    /// What the saga waits for when no call is open.
    fn explain_rest(&self) -> String {
        if self.waits_for_lock() {
            return "its lock keys were taken away, and it waits for them again".to_owned();
        }
        if let (true, Some(parent)) = (self.is_prepared(), &self.accepted().parent) {
            return format!(
                "its work is done, and it waits for the decision of saga {}, of which it is a part",
                parent.saga_id
            );
        }
        if self.mode() == Mode::Interactive && self.decision().is_none() && !self.commit_requested {
            return "its client adds branches, and says when to commit".to_owned();
        }
        "no call is open, the next one follows at once".to_owned()
    }

    fn call_words(&self, step: StepIndex, op: Op, call: &Call) -> String {
        let own = self.definition.step(step);
        let attempt = call.attempts;
        let last = call.problem.as_ref().map(|problem| clip(&problem.detail)).unwrap_or_default();
        let state = match &call.state {
            CallState::InFlight if attempt > 1 && !last.is_empty() => {
                format!("is in flight, attempt {attempt} after: {last}")
            }
            CallState::InFlight => format!("is in flight, attempt {attempt}"),
            CallState::Pending { .. } if own.nested.is_some() => "is under way".to_owned(),
            CallState::Pending { until, .. } => {
                format!("was accepted by the participant and is awaited until {until}")
            }
            CallState::Waiting { until } => {
                format!("is tried again at {until}, after attempt {attempt}: {last}")
            }
            CallState::Failed => format!("has failed: {last}"),
            CallState::Idle
            | CallState::Succeeded
            | CallState::Refused
            | CallState::GivenUp
            | CallState::Stuck { .. } => call.state.as_str().to_owned(),
        };
        match &own.nested {
            Some(nested) => {
                format!("{op} of step {}, which is saga {}, {state}", own.id, nested.saga_id)
            }
            None => format!("{op} of step {} at {} {state}", own.id, own.participant),
        }
    }

    fn stuck_words(&self, step: StepIndex, op: Op) -> String {
        let (own, call) = (self.definition.step(step), self.step(step).call(op));
        let last = call.problem.as_ref().map_or("no answer", |problem| problem.detail.as_str());
        format!(
            "{op} of step {} at {} did not succeed in {} attempt(s), the last: {}",
            own.id,
            own.participant,
            call.attempts,
            clip(last)
        )
    }
}

/// A part of somebody else's words that fits into a sentence.
fn clip(words: &str) -> String {
    let words = words.trim_end_matches(['.', ' ', '\n']);
    if words.chars().count() <= WORDS_MAX {
        return words.to_owned();
    }
    let mut short: String = words.chars().take(WORDS_MAX).collect();
    short.push('…');
    short
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::Duration;

    use crate::definition::{Definition, Format, Registry, parse_text};
    use crate::saga::{
        Accepted, Actor, Answer, AttemptFailure, Command, Effect, Handled, Input, Op, OutcomeKind,
        Problem, Saga, Token,
    };
    use crate::{LockKey, SagaId, Timestamp};

    const PLAIN: &str = r"
        name: order
        deadline: 5m
        defaults: { timeout: 1s, retry: { max_attempts: 2, initial: 1s, factor: 1, jitter: none } }
        steps:
          - { id: a, participant: one, action: { path: /a }, compensation: { path: /a/undo } }
          - { id: b, participant: two, action: { path: /b }, compensation: { path: /b/undo } }
    ";

    fn definition(text: &str) -> Arc<Definition> {
        let parsed = parse_text(text, Format::Yaml, &Registry::default());
        parsed.definition.unwrap_or_else(|| panic!("{:?}", parsed.faults))
    }

    fn accepted(definition: &Definition) -> Accepted {
        Accepted {
            definition_version: Some(1),
            deadline_at: definition.deadline.map(|deadline| Timestamp(0).after(deadline)),
            ..Accepted::new(SagaId::new("s-1").unwrap(), definition)
        }
    }

    fn start(text: &str) -> (Saga, Handled) {
        let definition = definition(text);
        let accepted = accepted(&definition);
        Saga::accept(definition, accepted, Timestamp(0))
    }

    fn problem(detail: &str) -> Problem {
        Problem {
            kind: AttemptFailure::Status,
            status: Some(409),
            detail: detail.to_owned(),
            body: None,
        }
    }

    /// Answers the first call that is asked for.
    fn answer(saga: &mut Saga, handled: &Handled, answer: Answer) -> Handled {
        let (call, attempt) = handled
            .effects
            .iter()
            .find_map(|effect| {
                let Effect::Call { call, attempt } = effect else { return None };
                Some((*call, *attempt))
            })
            .unwrap();
        let input =
            Input::Answered { step: call.step, op: call.op, attempt, answer: Box::new(answer) };
        saga.handle(Timestamp(1_000_000), input).unwrap()
    }

    fn ok() -> Answer {
        Answer::succeeded(None)
    }

    fn failed(outcome: OutcomeKind, detail: &str) -> Answer {
        Answer::failed(outcome, true, problem(detail))
    }

    fn command(saga: &mut Saga, command: Command) -> Handled {
        let by = Actor { name: "ann".to_owned(), reason: "asked".to_owned() };
        saga.handle(Timestamp(2_000_000), Input::Command { command, by }).unwrap()
    }

    #[test]
    fn a_saga_in_flight_says_what_it_waits_for_and_what_comes_next() {
        let (mut saga, first) = start(PLAIN);
        assert_eq!(
            saga.explain(),
            "Running: action of step a at one is in flight, attempt 1; it aborts unless it is \
             decided by 1970-01-01T00:05:00Z."
        );
        answer(&mut saga, &first, failed(OutcomeKind::Retryable, "503 from the participant."));
        assert_eq!(
            saga.explain(),
            "Running: action of step a at one is tried again at 1970-01-01T00:00:02Z, after \
             attempt 1: 503 from the participant; it aborts unless it is decided by \
             1970-01-01T00:05:00Z."
        );
        command(&mut saga, Command::Pause);
        assert!(
            saga.explain().ends_with("it is paused, so nothing new starts until it is resumed.")
        );
        assert_eq!((saga.standing_reason(), saga.focus()), (None, None));
    }

    #[test]
    fn a_queued_saga_names_its_lock_key_and_its_start_time() {
        let definition = definition(PLAIN);
        let accepted = Accepted {
            lock_keys: vec![LockKey::new("sku:1").unwrap(), LockKey::new("sku:2").unwrap()],
            lock_wait_until: Some(Timestamp(30_000_000)),
            start_at: Some(Timestamp(5_000_000)),
            ..accepted(&definition)
        };
        let (mut saga, _) = Saga::accept(definition, accepted, Timestamp(0));
        assert_eq!(
            saga.explain(),
            "Queued: it waits for its start time 1970-01-01T00:00:05Z and for lock key \"sku:1\" \
             and 1 more, which other sagas hold or asked for before, until 1970-01-01T00:00:30Z \
             at most."
        );
        saga.handle(Timestamp(1), Input::Granted(vec![Token(1), Token(2)])).unwrap();
        assert_eq!(saga.explain(), "Queued: it waits for its start time 1970-01-01T00:00:05Z.");
    }

    #[test]
    fn an_abort_says_why_until_the_end() {
        let (mut saga, first) = start(PLAIN);
        let second = answer(&mut saga, &first, ok());
        let undo = answer(&mut saga, &second, failed(OutcomeKind::Refused, "card declined"));
        assert_eq!(
            saga.explain(),
            "Undoing (action of step b was refused: card declined): compensation of step a at one is \
             in flight, attempt 1."
        );
        assert_eq!(saga.focus().map(|(step, op)| (step.0, op)), Some((1, Op::Action)));
        answer(&mut saga, &undo, ok());
        assert_eq!(
            saga.explain(),
            "Undone at 1970-01-01T00:00:01Z (action of step b was refused: card declined): one step \
             was undone."
        );
        let reason = "action of step b was refused: card declined";
        assert_eq!(saga.standing_reason().as_deref(), Some(reason));
    }

    #[test]
    fn a_suspended_saga_names_step_operation_answer_and_attempts() {
        let text = PLAIN.replace("max_attempts: 2", "max_attempts: 1");
        let (mut saga, first) = start(&text);
        let second = answer(&mut saga, &first, ok());
        let undo = answer(&mut saga, &second, failed(OutcomeKind::Refused, "card declined"));
        answer(&mut saga, &undo, failed(OutcomeKind::Refused, "no such shelf"));
        assert_eq!(
            saga.explain(),
            "Suspended while undoing (action of step b was refused: card declined): \
             compensation of step a at one did not succeed in 1 attempt(s), the last: no such \
             shelf; it is tried again at 1970-01-01T00:05:01Z all the same, or when an operator \
             asks."
        );
        assert_eq!(saga.focus().map(|(step, op)| (step.0, op)), Some((0, Op::Compensation)));
        command(&mut saga, Command::Abandon);
        assert_eq!(
            saga.explain(),
            "Given up at 1970-01-01T00:00:02Z (abandoned by ann: asked): what stands half done at \
             compensation of step a is left as it is."
        );
    }

    #[test]
    fn a_completed_saga_counts_what_did_not_take_effect() {
        let (mut saga, first) = start(PLAIN);
        let second = answer(&mut saga, &first, ok());
        answer(&mut saga, &second, ok());
        assert_eq!(saga.explain(), "Completed at 1970-01-01T00:00:01Z: every step took effect.");
        let optional = PLAIN.replace("compensation: { path: /b/undo }", "on_failure: ignore");
        let (mut saga, first) = start(&optional);
        let second = answer(&mut saga, &first, ok());
        answer(&mut saga, &second, failed(OutcomeKind::Refused, "no"));
        assert_eq!(saga.explain(), "Completed at 1970-01-01T00:00:01Z: 1 optional step(s) failed.");
    }

    #[test]
    fn words_of_others_are_cut() {
        let (mut saga, first) = start(PLAIN);
        answer(&mut saga, &first, failed(OutcomeKind::Retryable, &"x".repeat(2_000)));
        assert!(saga.explain().len() < 600, "{}", saga.explain());
        assert_eq!(saga.accepted().deadline_at, Some(Timestamp(0).after(Duration::from_mins(5))));
    }
}
