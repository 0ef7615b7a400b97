//! From inputs to facts and effects: the one place where a saga is told something.

use std::sync::Arc;
use std::time::Duration;

use super::{
    Accepted, Answer, AttemptFailure, CallId, CallState, Decision, Effect, Event, Input, Op,
    OutcomeKind, Record, Refusal, Saga, Timer,
};
use crate::definition::{Completion, Definition};
use crate::mutant::Mutant;
use crate::{RetryPolicy, StepIndex, Timestamp};

/// How long a stuck call waits before it is tried again all the same.
const STUCK_RETRY_EVERY: Duration = Duration::from_mins(5);

/// How long a pending call is waited for where neither definition nor participant says so.
const PENDING_MAX: Duration = Duration::from_secs(10);

/// Facts after which stuck calls are not tried again by themselves, so that a journal stays
/// bounded; an operator may still ask.
const FACTS_MAX: u64 = 10_000;

/// What came of an input.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Handled {
    /// Facts for the journal, in order.
    pub records: Vec<Record>,
    /// What is to be done, once the facts are as durable as they must be.
    pub effects: Vec<Effect>,
}

impl Handled {
    /// Whether the effects must wait until the facts are durable.
    pub fn is_awaited(&self) -> bool {
        self.records.iter().any(|record| record.event.is_awaited()) && !Mutant::NotDurable.is_on()
    }
}

impl Saga {
    /// A new saga, with all that can start at once.
    pub fn accept(
        definition: Arc<Definition>,
        accepted: Accepted,
        at: Timestamp,
    ) -> (Self, Handled) {
        let saga = Self::from_accepted(definition, Arc::new(accepted), at);
        saga.begin(at)
    }

    /// [`Saga::accept`] at time zero, with every `when` taken to hold: for exploration.
    pub(crate) fn accept_assuming(
        definition: Arc<Definition>,
        accepted: Accepted,
    ) -> (Self, Handled) {
        let mut saga = Self::from_accepted(definition, Arc::new(accepted), Timestamp(0));
        saga.assumes_conditions = true;
        saga.begin(Timestamp(0))
    }

    fn begin(mut self, at: Timestamp) -> (Self, Handled) {
        let record = Record { at, event: Event::Accepted(Arc::clone(&self.accepted)) };
        let mut handled = Handled { records: vec![record], effects: Vec::new() };
        self.run_on(at, &mut handled);
        if self.end.is_none() {
            handled.effects.extend(self.waits());
        }
        (self, handled)
    }

    /// Takes one input at the time `at`.
    ///
    /// # Errors
    ///
    /// [`Refusal`] if the input does not fit; the saga is then as it was.
    pub fn handle(&mut self, at: Timestamp, input: Input) -> Result<Handled, Refusal> {
        if self.end.is_some() {
            let Input::Command { command, .. } = input else {
                return Err(Refusal::Ended(self.status()));
            };
            return self.permits(&command).map(|()| Handled::default());
        }
        if input.call().is_some_and(|call| !self.has_call(call)) {
            return Err(Refusal::Stale);
        }
        let mut handled = Handled::default();
        match input {
            Input::Granted(tokens) => {
                if !self.waits_for_lock() || tokens.len() != self.accepted.lock_keys.len() {
                    return Err(Refusal::Stale);
                }
                self.note(at, Event::LockGranted { tokens }, &mut handled);
            }
            Input::StartDue => {}
            Input::Answered { step, op, attempt, answer } => {
                let call = self.step(step).call(op);
                if call.state != CallState::InFlight || call.attempts != attempt {
                    return Err(Refusal::Stale);
                }
                self.answered(at, CallId { step, op }, attempt, answer, &mut handled);
            }
            Input::Completed { step, op, answer } => {
                let call = self.step(step).call(op);
                let is_pending = matches!(call.state, CallState::Pending { .. })
                    || (Mutant::CallbackTwice.is_on() && call.state == CallState::Succeeded);
                // That it is still pending is known, and must not put its end off.
                if !is_pending || answer.outcome == OutcomeKind::Pending {
                    return Err(Refusal::Stale);
                }
                let attempt = call.attempts;
                self.answered(at, CallId { step, op }, attempt, answer, &mut handled);
            }
            Input::PendingExpired { step, op } => self.expire(at, step, op, &mut handled)?,
            Input::RetryDue { step, op } => self.retry(at, step, op, &mut handled)?,
            // The timer of a deadline that was put off since may still go off.
            Input::DeadlinePassed
                if !self.deadline_passed
                    && (self.deadline_at.is_none_or(|until| until <= at)
                        || Mutant::DeadlineKept.is_on()) =>
            {
                self.note(at, Event::DeadlinePassed, &mut handled);
            }
            Input::LockWaitPassed if self.is_wait_bounded() => {
                self.note(at, Event::LockWaitPassed, &mut handled);
            }
            Input::DeadlinePassed | Input::LockWaitPassed => return Err(Refusal::Stale),
            Input::Recovered { epoch } | Input::Loaded { epoch } => {
                let is_taken_over = matches!(input, Input::Recovered { .. });
                let may_have_gone_on = |call: &super::Call| {
                    if is_taken_over {
                        call.may_have_gone_on(at)
                    } else {
                        call.state == CallState::InFlight
                    }
                };
                if self.calls().any(|(_, _, call)| may_have_gone_on(call)) {
                    self.note(at, Event::Recovered { epoch }, &mut handled);
                }
                self.run_on(at, &mut handled);
                if self.end.is_none() {
                    // What is outstanding says all but that keys go to the next saga.
                    handled.effects.retain(|effect| matches!(effect, Effect::Unlock { .. }));
                    handled.effects.extend(self.effects());
                }
                return Ok(handled);
            }
            Input::Command { command, by } => self.carry_out(at, &command, by, &mut handled)?,
        }
        self.run_on(at, &mut handled);
        Ok(handled)
    }

    /// Everything that is outstanding: what a new owner must take up. Calls in flight are made
    /// again under the same key; forward ones of an aborting saga, and all while its lock keys are
    /// taken away, are only heard out.
    pub fn effects(&self) -> Vec<Effect> {
        if self.end.is_some() {
            return Vec::new();
        }
        let mut effects = self.waits();
        for (step, op, call) in self.calls() {
            let id = CallId { step, op };
            let attempt = call.attempts;
            match &call.state {
                CallState::InFlight
                    if self.waits_for_lock_at(step)
                        || (op.is_forward() && self.decision == Some(Decision::Abort)) =>
                {
                    effects.push(Effect::Drain { call: id, attempt });
                }
                CallState::InFlight => effects.push(Effect::Call { call: id, attempt }),
                CallState::Pending { until, location } => {
                    effects.extend(pending(id, *until, location.as_ref()));
                }
                CallState::Waiting { .. } | CallState::Stuck { .. } => {
                    effects.extend(self.retry_timer(id));
                }
                CallState::Idle
                | CallState::Failed
                | CallState::Succeeded
                | CallState::Refused
                | CallState::GivenUp => {}
            }
        }
        effects
    }

    fn has_call(&self, id: CallId) -> bool {
        let step = self.definition.steps.get(id.step.get());
        step.is_some_and(|step| step.operation(id.op).is_some())
    }

    /// What the saga as a whole waits for.
    fn waits(&self) -> Vec<Effect> {
        let mut effects = Vec::new();
        if !self.started && self.decision.is_none() {
            if let Some(at) = self.accepted.start_at {
                effects.push(Effect::Arm { timer: Timer::Start, at });
            }
            if let (Some(at), true) = (self.accepted.lock_wait_until, self.is_wait_bounded()) {
                effects.push(Effect::Arm { timer: Timer::LockWait, at });
            }
        }
        effects.extend(self.lock_wish());
        if let (Some(at), false) = (self.deadline_at, self.deadline_passed) {
            effects.push(Effect::Arm { timer: Timer::Deadline, at });
        }
        effects
    }

    /// The lock keys, while it waits for them.
    fn lock_wish(&self) -> Option<Effect> {
        self.waits_for_lock().then(|| Effect::Lock { keys: self.accepted.lock_keys.clone() })
    }

    fn retry_timer(&self, id: CallId) -> Option<Effect> {
        let at = self.step(id.step).call(id.op).state.due()?;
        let at = if Mutant::EarlyRetry.is_on() { Timestamp(at.0 - 500_000) } else { at };
        (!self.paused && !self.waits_for_lock_at(id.step))
            .then_some(Effect::Arm { timer: Timer::Retry(id), at })
    }

    /// Takes a fact in, and writes it down with the effect that follows from it.
    pub(super) fn note(&mut self, at: Timestamp, event: Event, handled: &mut Handled) {
        self.evolve(at, &event);
        match &event {
            Event::CallStarted { step, op, attempt } => {
                let call = CallId { step: *step, op: *op };
                handled.effects.push(Effect::Call { call, attempt: *attempt });
            }
            Event::CallPending { step, op, until, location } => {
                let id = CallId { step: *step, op: *op };
                handled.effects.extend(pending(id, *until, location.as_ref()));
            }
            Event::RetryScheduled { step, op, .. } | Event::CallStuck { step, op, .. } => {
                handled.effects.extend(self.retry_timer(CallId { step: *step, op: *op }));
            }
            Event::LockReleased { .. } => {
                let requeue = !Mutant::ReleaseKeepsTickets.is_on();
                handled.effects.push(Effect::Unlock { requeue });
                handled.effects.extend(self.lock_wish());
            }
            Event::Decided { .. }
                if self.has_given_lock_back() && !self.accepted.lock_keys.is_empty() =>
            {
                handled.effects.push(Effect::Unlock { requeue: false });
            }
            Event::DeadlineExtended { .. } if Mutant::DeadlineKept.is_on() => {}
            Event::DeadlineExtended { until, .. } => {
                handled.effects.push(Effect::Arm { timer: Timer::Deadline, at: *until });
            }
            Event::Resumed { .. } | Event::LockGranted { .. } => {
                let timers: Vec<_> = self
                    .calls()
                    .filter_map(|(step, op, _)| self.retry_timer(CallId { step, op }))
                    .collect();
                handled.effects.extend(timers);
            }
            Event::Ended { .. } => handled.effects.push(Effect::End { tokens: self.tokens() }),
            Event::Accepted(_)
            | Event::BranchEnlisted { .. }
            | Event::CommitRequested { .. }
            | Event::Started
            | Event::StepSkipped { .. }
            | Event::CallAnswered { .. }
            | Event::CallGivenUp { .. }
            | Event::Decided { .. }
            | Event::DeadlinePassed
            | Event::LockWaitPassed
            | Event::CancelRequested { .. }
            | Event::Paused { .. }
            | Event::RetryForced { .. }
            | Event::CallResolved { .. }
            | Event::Recovered { .. } => {}
        }
        handled.records.push(Record { at, event });
    }

    /// Adds every fact that follows of the saga's own accord. Each one moves a step, a call or
    /// the decision on, so there is an end to it.
    fn run_on(&mut self, at: Timestamp, handled: &mut Handled) {
        while let Some(event) = self.next_fact(at) {
            self.note(at, event, handled);
        }
    }

    fn answered(
        &mut self,
        at: Timestamp,
        id: CallId,
        attempt: u32,
        answer: Box<Answer>,
        handled: &mut Handled,
    ) {
        let CallId { step, op } = id;
        let (outcome, retry_after) = (answer.outcome, answer.retry_after);
        let (location, timeout) = (answer.location.clone(), answer.timeout);
        let is_hopeless = answer
            .problem
            .as_ref()
            .is_some_and(|problem| problem.kind == AttemptFailure::Expression);
        self.note(at, Event::CallAnswered { step, op, attempt, answer }, handled);
        let definition = Arc::clone(&self.definition);
        let may_end = self.is_question(step, op)
            || (!self.is_persistent(definition.step(step), op)
                && !self.must_become_known(step, op));
        match outcome {
            OutcomeKind::Succeeded => {}
            OutcomeKind::Refused if may_end => {}
            OutcomeKind::Refused if is_hopeless => {
                self.note(at, Event::CallStuck { step, op, until: None }, handled);
            }
            OutcomeKind::Pending => {
                let own = definition.step(step).operation(op).and_then(|own| own.timeout);
                let until = at.after(own.or(timeout).unwrap_or(PENDING_MAX));
                let location = location.filter(|_| {
                    matches!(definition.step(step).completion, Completion::Poll { .. })
                });
                self.note(at, Event::CallPending { step, op, until, location }, handled);
            }
            OutcomeKind::Refused | OutcomeKind::Retryable | OutcomeKind::Unknown => {
                let event = self.after_failure(at, id, retry_after);
                self.note(at, event, handled);
            }
        }
    }

    /// A pending call that was not completed in time may have had an effect: it is repeated.
    fn expire(
        &mut self,
        at: Timestamp,
        step: StepIndex,
        op: Op,
        handled: &mut Handled,
    ) -> Result<(), Refusal> {
        let call = self.step(step).call(op);
        let attempt = call.attempts;
        if !matches!(call.state, CallState::Pending { until, .. } if until <= at) {
            return Err(Refusal::Stale);
        }
        let problem = super::Problem {
            kind: AttemptFailure::NotCompleted,
            status: None,
            detail: "it was accepted, but not completed in time".to_owned(),
            body: None,
        };
        let answer = Box::new(Answer::failed(OutcomeKind::Unknown, true, problem));
        self.answered(at, CallId { step, op }, attempt, answer, handled);
        Ok(())
    }

    /// What follows a failed attempt that is not final by itself.
    fn after_failure(&self, at: Timestamp, id: CallId, retry_after: Option<Duration>) -> Event {
        let CallId { step: index, op } = id;
        let step = self.definition.step(index);
        let call = self.step(index).call(op);
        let is_persistent = self.is_persistent(step, op);
        let is_open_pivot =
            op.is_forward() && self.decision.is_none() && self.open_pivot() == Some(index);
        let must_know = self.must_become_known(index, op);
        if Mutant::SilenceIsNo.is_on() && self.is_question(index, op) {
            return Event::CallGivenUp { step: index, op };
        }
        let retry_after = retry_after.filter(|_| !Mutant::RetryAfterIgnored.is_on());
        if op.is_forward() && !is_persistent && !must_know {
            let is_aborting =
                self.decision == Some(Decision::Abort) || self.abort_reason().is_some();
            if is_aborting {
                return Event::CallGivenUp { step: index, op };
            }
        }
        let policy = self.policy(id, is_persistent || is_open_pivot);
        if call.attempts.saturating_sub(call.attempts_forgiven) < policy.attempts_max {
            let key = self.call_key(index, op);
            let until = policy.next_at(at, &key, call.attempts, retry_after);
            return Event::RetryScheduled { step: index, op, until };
        }
        if is_persistent || must_know {
            let until = (self.fact_count < FACTS_MAX).then(|| at.after(STUCK_RETRY_EVERY));
            return Event::CallStuck { step: index, op, until };
        }
        Event::CallGivenUp { step: index, op }
    }

    fn policy(&self, id: CallId, is_persistent: bool) -> RetryPolicy {
        let own = self.definition.step(id.step).operation(id.op).and_then(|own| own.retry);
        let fallback = if is_persistent { RetryPolicy::PERSISTENT } else { RetryPolicy::FORWARD };
        own.or(self.step(id.step).call(id.op).retry).unwrap_or(fallback)
    }

    fn retry(
        &mut self,
        at: Timestamp,
        step: StepIndex,
        op: Op,
        handled: &mut Handled,
    ) -> Result<(), Refusal> {
        let call = self.step(step).call(op);
        let is_due = call.state.due().is_some_and(|due| due <= at || Mutant::EarlyRetry.is_on());
        if !is_due || self.paused || self.held || self.waits_for_lock_at(step) {
            return Err(Refusal::Stale);
        }
        let attempt = call.attempts + 1;
        self.note(at, Event::CallStarted { step, op, attempt }, handled);
        Ok(())
    }
}

/// What a pending call waits for.
fn pending(id: CallId, until: Timestamp, location: Option<&String>) -> Vec<Effect> {
    let mut effects = vec![Effect::Arm { timer: Timer::Pending(id), at: until }];
    if let Some(location) = location {
        effects.push(Effect::Poll { call: id, location: location.clone() });
    }
    effects
}
