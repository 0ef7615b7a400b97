//! One call, as its facts tell it.

use amends_core::Timestamp;
use amends_core::saga::{AttemptFailure, Event, OutcomeKind};

/// Where a call stands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Phase {
    /// Nothing was sent.
    #[default]
    Idle,
    /// An attempt may be on its way.
    InFlight,
    /// Its completion is waited for until then.
    Pending(Timestamp),
    /// It was answered at that time so, and what follows is said next; not before the last time.
    Answered(OutcomeKind, Timestamp),
    /// The next attempt waits until then.
    Waiting(Timestamp),
    /// An operator is needed; tried again all the same, then.
    Stuck(Option<Timestamp>),
    /// Over: it took effect.
    Done,
    /// Over: the last attempt was refused.
    Refused,
    /// Over: not tried again.
    GivenUp,
}

/// One call.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct CallWatch {
    pub(crate) phase: Phase,
    pub(crate) attempts: u32,
    /// An attempt that was not refused may have arrived.
    pub(crate) maybe: bool,
}

impl CallWatch {
    /// Whether it may still change by itself.
    pub(crate) const fn is_open(&self) -> bool {
        matches!(
            self.phase,
            Phase::InFlight | Phase::Pending(_) | Phase::Answered(..) | Phase::Waiting(_)
        )
    }

    /// Why a fact about it cannot stand where it stands, whatever the saga does.
    pub(crate) fn check(&self, at: Timestamp, event: &Event) -> Option<&'static str> {
        let fits = match event {
            Event::CallStarted { attempt, .. } => {
                let is_due = match self.phase {
                    Phase::Idle => true,
                    Phase::Waiting(until) | Phase::Stuck(Some(until)) => until <= at,
                    _ => return Some("S3: an attempt of a call that waits for none"),
                };
                if !is_due {
                    return Some("S20: a retry before its time");
                }
                *attempt == self.attempts + 1
            }
            Event::CallAnswered { attempt: 0, .. } => self.phase == Phase::Idle,
            Event::CallAnswered { attempt, answer, .. } => {
                let kind = answer.problem.as_ref().map(|problem| problem.kind);
                let is_expiry = kind == Some(AttemptFailure::NotCompleted);
                match self.phase {
                    Phase::Pending(until) if is_expiry && until > at => {
                        return Some("S20: a pending call expired before its time");
                    }
                    Phase::InFlight | Phase::Pending(_) => *attempt == self.attempts,
                    _ => return Some("S3: an answer that nobody waits for"),
                }
            }
            Event::CallPending { .. } => {
                matches!(self.phase, Phase::Answered(OutcomeKind::Pending, _))
            }
            Event::RetryScheduled { until, .. } => match self.phase {
                Phase::Answered(OutcomeKind::Pending, _) => false,
                Phase::Answered(_, not_before) if *until < not_before => {
                    return Some("S20: a Retry-After is not honoured");
                }
                Phase::Answered(..) | Phase::Refused => true,
                _ => false,
            },
            Event::CallGivenUp { .. } => {
                matches!(self.phase, Phase::Answered(..) | Phase::Waiting(_) | Phase::Pending(_))
            }
            Event::CallStuck { .. } => matches!(self.phase, Phase::Answered(..) | Phase::Refused),
            Event::RetryForced { .. } | Event::CallResolved { .. } => {
                matches!(self.phase, Phase::Waiting(_) | Phase::Stuck(_))
            }
            _ => true,
        };
        (!fits).then_some("S3: a fact about a call that cannot stand there")
    }

    /// Takes a fact about it in.
    pub(crate) fn fold(&mut self, at: Timestamp, event: &Event) {
        self.phase = match event {
            Event::CallStarted { attempt, .. } => {
                self.attempts = *attempt;
                Phase::InFlight
            }
            Event::CallAnswered { answer, .. } => match answer.outcome {
                OutcomeKind::Succeeded => Phase::Done,
                OutcomeKind::Refused => Phase::Refused,
                outcome => {
                    self.maybe |= answer.sent && outcome != OutcomeKind::Pending;
                    Phase::Answered(outcome, at.after(answer.retry_after.unwrap_or_default()))
                }
            },
            Event::CallPending { until, .. } => Phase::Pending(*until),
            Event::RetryScheduled { until, .. } => Phase::Waiting(*until),
            Event::CallGivenUp { .. } => {
                self.maybe |= matches!(self.phase, Phase::Pending(_));
                Phase::GivenUp
            }
            Event::CallStuck { until, .. } => Phase::Stuck(*until),
            Event::RetryForced { .. } => Phase::Waiting(at),
            Event::CallResolved { succeeded: true, .. } => Phase::Done,
            Event::CallResolved { .. } => {
                self.maybe = false;
                Phase::Refused
            }
            _ => self.phase,
        };
    }

    /// Its owner was lost: what may have been on its way counts as unknown.
    pub(crate) fn interrupt(&mut self, at: Timestamp) {
        self.maybe |= match self.phase {
            Phase::InFlight | Phase::Answered(..) => true,
            Phase::Waiting(_) | Phase::Stuck(Some(_)) => self.attempts > 0,
            Phase::Pending(until) => until <= at,
            Phase::Idle | Phase::Done | Phase::Refused | Phase::GivenUp | Phase::Stuck(None) => {
                false
            }
        };
    }
}
