//! Calls to participants.

use std::fmt;
use std::time::Duration;

use amends_core::definition::{Completion, OutcomeOverride};
use amends_core::participant::ParticipantSpec;
use amends_core::saga::{Answer, ForwardOutcome, Op, Request, Token};
use amends_core::{CallKey, LockKey, ParticipantName, RetryPolicy, Timestamp};
use async_trait::async_trait;

/// One attempt to be made.
#[derive(Clone, Debug)]
pub struct OutgoingCall {
    /// Whom.
    pub participant: ParticipantName,
    /// Its idempotency key.
    pub key: CallKey,
    /// Which attempt, from 1.
    pub attempt: u32,
    /// What is sent: method, path, headers, body.
    pub request: Request,
    /// Time for this attempt; the participant's default, or [`CallContext::TIMEOUT`], without one.
    pub timeout: Option<Duration>,
    /// What else travels with it.
    pub context: CallContext,
    /// How a 202 is read.
    pub completion: Completion,
    /// Statuses that this step reads otherwise than usual.
    pub outcomes: Vec<OutcomeOverride>,
}

/// What travels with a call besides its request.
#[derive(Clone, Debug, Default)]
pub struct CallContext {
    /// On an undo: what is known of the forward call.
    pub forward_outcome: Option<ForwardOutcome>,
    /// Fencing tokens of the saga's lock keys, in order of the keys.
    pub tokens: Vec<(LockKey, Token)>,
    /// Where a later completion is to be sent.
    pub callback_url: Option<String>,
    /// W3C `traceparent` of the call's span.
    pub traceparent: Option<String>,
    /// Wall time at which the attempt leaves: with the time-out it gives `Saga-Deadline`.
    pub now: Timestamp,
}

impl CallContext {
    /// Time for an attempt where neither definition nor participant says otherwise.
    pub const TIMEOUT: Duration = Duration::from_secs(10);
}

/// What a health check found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Health {
    /// Whether every endpoint answered its health path with success.
    pub healthy: bool,
    /// One line an endpoint: the endpoint's URL without secrets, and what it answered.
    pub endpoints: Vec<(String, Result<Duration, String>)>,
}

/// Makes calls to registered participants.
///
/// Never fails: whatever goes wrong is an [`Answer`] with a problem in it. Every call ends within
/// its time-out plus the time-out of a connection; dropping its future closes its connection.
#[async_trait]
pub trait Participants: fmt::Debug + Send + Sync {
    /// Makes one attempt. Waits first for a free place among the participant's concurrent calls;
    /// that wait counts towards the time-out, and nothing was sent if it runs out there.
    async fn call(&self, call: OutgoingCall) -> Answer;

    /// Asks `location` whether a pending call has ended. 202 (or 200 with `Retry-After` and no
    /// body) is still pending; everything else is read like the answer to the call itself.
    async fn poll(&self, call: OutgoingCall, location: &str) -> Answer;

    /// Asks every endpoint's health path now.
    async fn check(&self, name: &ParticipantName) -> Option<Health>;

    /// Takes these registrations in place of all earlier ones; calls in flight go on.
    fn replace(&self, participants: Vec<ParticipantSpec>);

    /// The participant's own time-out and retry policy, if it is registered and has them.
    fn defaults(&self, name: &ParticipantName) -> Option<(Option<Duration>, Option<RetryPolicy>)>;
}

/// The word for the operation's metric and span label.
impl OutgoingCall {
    /// The operation.
    pub fn op(&self) -> Op {
        self.key.op
    }
}
