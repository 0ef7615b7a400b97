//! What becomes of attempts on their way: answers, late work, and what nothing waits for.

use super::moves::Reply;
use super::participant::output;
use super::story::{Entry, Fate};
use super::world::{AttemptKind, World};
use crate::StepIndex;
use crate::saga::{
    Answer, AttemptFailure, CallId, CallState, Input, Op, OutcomeKind, Problem, Refusal, Token,
};

impl World {
    pub(super) fn take(&mut self, call: CallId, is_willing: bool) -> bool {
        let truth = &mut self.truth[call.step.get()];
        let was_undone = truth.undone;
        let is_taken = truth.take(call.op, is_willing);
        if truth.undone && !was_undone {
            self.entries.push(Entry::Undone(call.step));
        }
        if is_taken && self.is_question(call) {
            self.client_has_committed();
        }
        is_taken
    }

    pub(super) fn answer(&mut self, call: CallId, reply: Reply) {
        let Some(attempt) = self.open.remove(&call) else { return };
        let (answer, fate) = match attempt.kind {
            AttemptKind::Call => self.reply(call, reply),
            AttemptKind::Drain => {
                (failed(OutcomeKind::Unknown, true, AttemptFailure::Interrupted), Fate::Dirty)
            }
            AttemptKind::Unmade => {
                (failed(OutcomeKind::Refused, false, AttemptFailure::Expression), Fate::Clean)
            }
        };
        self.entries.push(if answer.outcome == OutcomeKind::Pending {
            Entry::Pending { call }
        } else {
            Entry::Answered { call, fate }
        });
        let CallId { step, op } = call;
        let attempt = attempt.number;
        let told = self.tell(Input::Answered { step, op, attempt, answer: Box::new(answer) });
        if let Err(refusal) = told {
            self.faults.push(format!("the answer to {call:?} was dropped: {refusal}"));
        }
    }

    fn reply(&mut self, call: CallId, reply: Reply) -> (Answer, Fate) {
        match reply {
            Reply::Succeed | Reply::Refuse if self.take(call, reply == Reply::Succeed) => {
                let output = output(call.step).filter(|_| call.op.is_forward());
                (Answer::succeeded(output), Fate::Dirty)
            }
            Reply::Succeed | Reply::Refuse => {
                // Whoever refuses a key drops the work that it had accepted under it.
                self.pending.remove(&call);
                (failed(OutcomeKind::Refused, true, AttemptFailure::Status), Fate::Clean)
            }
            Reply::Unsent => {
                (failed(OutcomeKind::Retryable, false, AttemptFailure::Connect), Fate::Clean)
            }
            Reply::Fault { took_effect } => {
                self.take_or_late(call, took_effect);
                (failed(OutcomeKind::Retryable, true, AttemptFailure::Status), Fate::Dirty)
            }
            Reply::Silence { took_effect } => {
                self.take_or_late(call, took_effect);
                (failed(OutcomeKind::Unknown, true, AttemptFailure::Timeout), Fate::Dirty)
            }
            Reply::Later => {
                self.pending.insert(call);
                let mut answer = failed(OutcomeKind::Pending, true, AttemptFailure::Status);
                answer.problem = None;
                answer.location = Some("/jobs/1".to_owned());
                (answer, Fate::Dirty)
            }
        }
    }

    fn take_or_late(&mut self, call: CallId, is_now: bool) {
        if is_now {
            self.take(call, true);
        } else {
            self.late.push(call);
        }
    }

    /// Accepted work is finished, whether anybody waits for it or not.
    pub(super) fn complete(&mut self, call: CallId, reply: Reply) {
        let CallId { step, op } = call;
        let is_waited_for = matches!(self.state(call), CallState::Pending { .. });
        if reply != Reply::Later {
            self.pending.remove(&call);
        }
        // Late work that nobody waits for may do what it likes.
        let reply = if is_waited_for { reply } else { Reply::Succeed };
        let (answer, fate) = self.reply(call, reply);
        if is_waited_for && reply != Reply::Later {
            self.entries.push(Entry::Settled { call, fate });
        }
        let told = self.tell(Input::Completed { step, op, answer: Box::new(answer) });
        // Who completes a call is answered when that is durable.
        self.flush();
        let is_taken = is_waited_for && reply != Reply::Later;
        if told.is_ok() != is_taken {
            self.faults.push(format!("{call:?} was completed with {reply:?}: {told:?}"));
        }
    }

    pub(super) fn arrive_late(&mut self, pick: usize) {
        if let Some((CallId { step, op }, attempt)) = self.dropped.pop() {
            let answer = Box::new(Answer::succeeded(None));
            let told = self.saga.handle(self.now, Input::Answered { step, op, attempt, answer });
            if told.is_ok() {
                self.faults.push("the answer to a question that was dropped was taken".to_owned());
            }
        }
        if !self.late.is_empty() {
            let call = self.late.swap_remove(pick % self.late.len());
            self.take(call, true);
        }
    }

    pub(super) fn stray(&mut self, what: u8, pick: usize) {
        let step =
            StepIndex(u16::try_from(pick % (self.saga.definition().steps.len() + 1)).unwrap());
        let op = Op::ALL[(pick / 7) % Op::ALL.len()];
        let call = CallId { step, op };
        let exists = self.exists(call);
        if exists && matches!(self.state(call), CallState::Pending { .. }) {
            return;
        }
        let answer = Box::new(Answer::succeeded(None));
        let input = match what % 6 {
            0 => Input::Answered { step, op, attempt: 77, answer },
            1 => Input::Completed { step, op, answer },
            2 => Input::PendingExpired { step, op },
            3 => Input::Granted(vec![Token(1)]),
            // The timer of a deadline that was put off.
            4 if self.saga.deadline_at().is_some_and(|at| at > self.now) => Input::DeadlinePassed,
            // This one is only early, late or in vain.
            _ => Input::RetryDue { step, op },
        };
        let may_fit = exists && matches!(input, Input::RetryDue { .. });
        let told = self.tell(input.clone());
        if told != Err(Refusal::Stale) && !may_fit {
            self.faults.push(format!("{input:?} was not stale: {told:?}"));
        }
    }
}

pub(super) fn failed(outcome: OutcomeKind, sent: bool, kind: AttemptFailure) -> Answer {
    let detail = format!("it was {outcome}");
    Answer::failed(outcome, sent, Problem { kind, status: None, detail, body: None })
}
