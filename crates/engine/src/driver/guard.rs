//! The guard of a saga's lock keys, as its driver sees it: nothing forward leaves without it, and
//! nothing backward waits for it.

use std::sync::Arc;
use std::time::Duration;

use amends_core::definition::OnLost;
use amends_core::saga::{
    Actor, Answer, AttemptFailure, Command, Decision, Handled, Input, OutcomeKind, Problem,
    Refusal, Status, Timer, Token,
};

use super::Driver;
use crate::guards::GuardState;

/// How long a guard is waited for at least: its last holder takes it away after its end.
const GRACE: Duration = Duration::from_secs(1);

impl Driver {
    /// The saga's tickets were granted: it is told when the guard is set.
    pub(super) fn granted(&mut self, tokens: Vec<Token>, handled: &mut Handled) {
        let keys = &self.saga.accepted().lock_keys;
        let Some(guard) = self.inner.guard(self.saga.id(), keys, &tokens) else {
            return self.input(Input::Granted(tokens), handled);
        };
        self.guard = Some(guard.clone());
        self.is_granting = true;
        // From here on it waits for others than sagas; losing the lock service must not fail it.
        self.timers.retain(|(timer, _)| *timer != Timer::LockWait);
        let is_queued = self.saga.status() == Status::Queued;
        // A guard that its last holder is just taking away is no reason to give up.
        let wait_until = self.saga.accepted().lock_wait_until.filter(|_| is_queued);
        let wait_until = wait_until.map(|until| until.after(GRACE));
        let (inner, owned) = (Arc::clone(&self.inner), Arc::clone(self.work.owned()));
        self.calls.push(Box::pin(async move {
            let may_wait = || wait_until.is_none_or(|until| inner.clock.now() < until);
            if inner.set_guard(guard, &owned, may_wait).await {
                Input::Granted(tokens)
            } else {
                Input::LockWaitPassed
            }
        }));
    }

    /// The saga was read back with its keys: its guard is kept from now on. It may have been lost
    /// while the saga was not in memory.
    pub(super) fn take_guard_over(&mut self, handled: &mut Handled) {
        let (keys, tokens): (Vec<_>, Vec<_>) = self.saga.tokens().into_iter().unzip();
        self.guard = self.inner.guard(self.saga.id(), &keys, &tokens);
        if self.guard.is_some() {
            self.inner.keep_guard(&self.saga, self.work.owned().lease());
            self.guard_changed(handled);
        }
    }

    /// The client of an interactive transaction calls after it has enlisted: like a forward call
    /// of ours, that waits for the guard.
    pub(super) fn refuse_unguarded(&self, command: &Command) -> Result<(), Refusal> {
        let is_enlist = matches!(command, Command::Enlist { .. });
        if !is_enlist || self.guard.is_none() || self.is_guarded() {
            return Ok(());
        }
        Err(Refusal::WrongStatus {
            status: self.saga.status(),
            command: command.as_str(),
            needed: "has the guard of its lock keys on the lock service",
        })
    }

    /// The saga has given its keys back, or ends.
    pub(super) fn drop_guard(&mut self) {
        self.is_granting = false;
        if !self.saga.accepted().lock_keys.is_empty() {
            self.inner.release_guard(self.saga.id(), self.guard.take());
        }
    }

    /// Whether forward calls may leave.
    pub(super) fn is_guarded(&self) -> bool {
        if self.guard.is_none() {
            return !self.saga.waits_for_lock();
        }
        self.saga.on_lock_lost() == OnLost::Fence || self.guard_state() == GuardState::Held
    }

    fn guard_state(&self) -> GuardState {
        self.inner.guards.state(self.saga.id(), self.inner.clock.elapsed())
    }

    /// The keeper of guards has news: what waited may leave, or the saga gives up.
    pub(super) fn guard_changed(&mut self, handled: &mut Handled) {
        let is_lost =
            self.guard.is_some() && !self.is_granting && self.guard_state() == GuardState::Taken;
        if is_lost && self.saga.on_lock_lost() == OnLost::Abort && self.saga.decision().is_none() {
            let reason = "somebody else holds its lock keys on the lock service".to_owned();
            let by = Actor { name: "the coordinator".to_owned(), reason };
            self.input(Input::Command { command: Command::Cancel, by }, handled);
        }
        self.open_gate();
    }

    /// Lets the calls leave that waited for the guard, if it holds now.
    pub(super) fn open_gate(&mut self) {
        if self.is_guarded() {
            for (call, attempt) in std::mem::take(&mut self.gated) {
                self.calls.push(self.inner.attempt(&self.saga, call, attempt));
            }
        }
    }

    /// Answers the forward calls that wait for the guard of a saga that aborts: nothing was sent.
    /// Whether there were any.
    pub(super) fn give_up_gated(&mut self, handled: &mut Handled) -> bool {
        if self.gated.is_empty() || self.saga.decision() != Some(Decision::Abort) {
            return false;
        }
        for (call, attempt) in std::mem::take(&mut self.gated) {
            let problem = Problem {
                kind: AttemptFailure::Interrupted,
                status: None,
                detail: "the saga was aborted while the call waited for the guard of its lock keys"
                    .to_owned(),
                body: None,
            };
            let answer = Box::new(Answer::failed(OutcomeKind::Retryable, false, problem));
            self.input(Input::Answered { step: call.step, op: call.op, attempt, answer }, handled);
        }
        true
    }
}
