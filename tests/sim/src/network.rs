//! Calls to participants over a network that loses, delays and doubles.

use std::sync::Arc;
use std::time::Duration;

use amends_core::participant::ParticipantSpec;
use amends_core::saga::{Answer, AttemptFailure, OutcomeKind, Problem};
use amends_core::{ParticipantName, RetryPolicy};
use amends_ports::{CallContext, Health, OutgoingCall, Participants};
use async_trait::async_trait;

use crate::books::Said;
use crate::gate::Gate;
use crate::world::World;

/// Time of a call on the way, each way.
const WAY_MAX: Duration = Duration::from_millis(20);

/// Latest arrival of what is late.
const LATE_MAX: Duration = Duration::from_secs(30);

/// The participants through one gate.
#[derive(Debug)]
pub(crate) struct Network {
    pub(crate) gate: Gate,
    pub(crate) world: Arc<World>,
}

impl Network {
    /// The call arrives once more, when nobody waits for it.
    fn arrives_later(&self, call: &OutgoingCall, after: Duration) {
        let (world, call) = (Arc::clone(&self.world), call.clone());
        #[expect(clippy::disallowed_methods, reason = "the simulated network is nobody's task")]
        tokio::spawn(async move {
            tokio::time::sleep(after).await;
            arrive(&world, &call, "late");
        });
    }

    async fn travel(&self, call: &OutgoingCall) -> Answer {
        let world = &self.world;
        let timeout = call.timeout.unwrap_or(CallContext::TIMEOUT);
        world.check_intent(call).await;
        if world.draws(|swarm| swarm.fails) && world.chance.is(0.3) {
            return failed(OutcomeKind::Retryable, false, AttemptFailure::Connect);
        }
        if world.draws(|swarm| swarm.doubled) {
            self.arrives_later(call, world.chance.time(Duration::ZERO, LATE_MAX));
        }
        if world.draws(|swarm| swarm.request_lost) {
            if world.chance.is(0.5) {
                self.arrives_later(call, world.chance.time(Duration::ZERO, LATE_MAX));
            }
            tokio::time::sleep(timeout).await;
            return failed(OutcomeKind::Unknown, true, AttemptFailure::Timeout);
        }
        tokio::time::sleep(world.chance.time(Duration::from_millis(1), WAY_MAX)).await;
        if world.draws(|swarm| swarm.fails) {
            return failed(OutcomeKind::Retryable, true, AttemptFailure::Status);
        }
        if world.draws(|swarm| swarm.hangs) {
            self.arrives_later(call, world.chance.time(Duration::ZERO, timeout * 2));
            tokio::time::sleep(timeout.saturating_sub(WAY_MAX)).await;
            return failed(OutcomeKind::Unknown, true, AttemptFailure::Timeout);
        }
        let said = arrive(world, call, "call");
        if world.draws(|swarm| swarm.fails_after) {
            return failed(OutcomeKind::Retryable, true, AttemptFailure::Status);
        }
        tokio::time::sleep(world.chance.time(Duration::from_millis(1), WAY_MAX)).await;
        if world.draws(|swarm| swarm.answer_lost) {
            return failed(OutcomeKind::Unknown, true, AttemptFailure::Reset);
        }
        match said {
            Said::Done => Answer::succeeded(None),
            Said::Refused => failed(OutcomeKind::Refused, true, AttemptFailure::Status),
        }
    }
}

/// What the participant does with a call.
fn arrive(world: &World, call: &OutgoingCall, how: &str) -> Said {
    let key = &call.key;
    // A refusal is a matter of the business: it is the same each time.
    let refuses = key.op.is_forward() && world.draws(|swarm| swarm.refuses);
    // Without duplicates of answered calls a refusal need not be remembered.
    let keeps = world.swarm().doubled > 0.0 || world.chance.is(0.5);
    let tokens = &call.context.tokens;
    let said =
        world.books.lock().arrive(&key.saga_id, &key.step_id, key.op, tokens, refuses, keeps);
    world.log(|| format!("{how} {key} #{} {said:?}", call.attempt));
    said
}

fn failed(outcome: OutcomeKind, sent: bool, kind: AttemptFailure) -> Answer {
    let problem =
        Problem { kind, status: None, detail: "the simulation wants it so".to_owned(), body: None };
    Answer::failed(outcome, sent, problem)
}

#[async_trait]
impl Participants for Network {
    async fn call(&self, call: OutgoingCall) -> Answer {
        self.gate.around(self.travel(&call)).await
    }

    async fn poll(&self, call: OutgoingCall, _location: &str) -> Answer {
        self.gate.around(self.travel(&call)).await
    }

    async fn check(&self, _name: &ParticipantName) -> Option<Health> {
        None
    }

    fn replace(&self, _participants: Vec<ParticipantSpec>) {}

    fn defaults(&self, _name: &ParticipantName) -> Option<(Option<Duration>, Option<RetryPolicy>)> {
        Some((None, None))
    }
}
