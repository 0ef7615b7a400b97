//! Calls to participants over a network that loses, delays and doubles.

use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::sync::Arc;
use std::time::Duration;

use amends_core::definition::Completion;
use amends_core::participant::ParticipantSpec;
use amends_core::saga::{Answer, AttemptFailure, OutcomeKind, Problem};
use amends_core::{ParticipantName, RetryPolicy};
use amends_ports::{CallContext, Health, OutgoingCall, Participants};
use async_trait::async_trait;

use crate::books::{Arrival, Said};
use crate::completion;
use crate::gate::Gate;
use crate::world::World;

/// Time of a call on the way, each way.
const WAY_MAX: Duration = Duration::from_millis(20);

/// Latest arrival of what is late.
const LATE_MAX: Duration = Duration::from_secs(30);

/// Where a silent client is asked.
pub(crate) const CHECK_BACK: &str = "/prepared";

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

    async fn travel(&self, call: &OutgoingCall, is_question: bool) -> Answer {
        let world = &self.world;
        let timeout = call.timeout.unwrap_or(CallContext::TIMEOUT);
        if world.draws(|swarm| swarm.fails) && world.chance.is(0.3) {
            return failed(OutcomeKind::Retryable, false, AttemptFailure::Connect);
        }
        if !is_question && world.draws(|swarm| swarm.doubled) {
            self.arrives_later(call, world.chance.time(Duration::ZERO, LATE_MAX));
        }
        if world.draws(|swarm| swarm.request_lost) {
            if !is_question && world.chance.is(0.5) {
                self.arrives_later(call, world.chance.time(Duration::ZERO, LATE_MAX));
            }
            tokio::time::sleep(timeout).await;
            return failed(OutcomeKind::Unknown, true, AttemptFailure::Timeout);
        }
        tokio::time::sleep(world.chance.time(Duration::from_millis(1), WAY_MAX)).await;
        if world.draws(|swarm| swarm.fails) {
            return self.busy();
        }
        if world.draws(|swarm| swarm.hangs) {
            if !is_question {
                self.arrives_later(call, world.chance.time(Duration::ZERO, timeout * 2));
            }
            tokio::time::sleep(timeout.saturating_sub(WAY_MAX)).await;
            return failed(OutcomeKind::Unknown, true, AttemptFailure::Timeout);
        }
        let answer = if is_question {
            completion::asked(world, call)
        } else if call.completion != Completion::Answer && world.chance.is(0.8) {
            completion::begin(world, call)
        } else {
            told(arrive(world, call, "call"))
        };
        if world.draws(|swarm| swarm.fails_after) {
            return self.busy();
        }
        tokio::time::sleep(world.chance.time(Duration::from_millis(1), WAY_MAX)).await;
        if world.draws(|swarm| swarm.answer_lost) {
            return failed(OutcomeKind::Unknown, true, AttemptFailure::Reset);
        }
        answer
    }

    /// It can't now, and sometimes says when to come again.
    fn busy(&self) -> Answer {
        let mut answer = failed(OutcomeKind::Retryable, true, AttemptFailure::Status);
        if self.world.chance.is(0.2) {
            self.world.seen("Retry-After");
            let chance = &self.world.chance;
            answer.retry_after = Some(chance.time(Duration::from_secs(1), Duration::from_secs(5)));
        }
        answer
    }
}

/// What the participant does with a call.
pub(crate) fn arrive(world: &World, call: &OutgoingCall, how: &'static str) -> Said {
    let key = &call.key;
    if call.request.path == CHECK_BACK {
        let is_committed = world.books(|books| books.is_committed_locally(&key.saga_id));
        world.log((how, key, "asked", is_committed));
        return if is_committed { Said::Done } else { Said::Refused };
    }
    // A refusal is a matter of the business: it is the same each time.
    let refuses = key.op.is_forward() && world.draws(|swarm| swarm.refuses);
    // Without duplicates of answered calls a refusal need not be remembered.
    let keeps_refusals = world.rate(|swarm| swarm.doubled) > 0.0
        || call.completion != Completion::Answer
        || world.chance.is(0.5);
    let arrival = Arrival {
        saga: &key.saga_id,
        step: &key.step_id,
        op: key.op,
        tokens: &call.context.tokens,
        refuses,
        keeps_refusals,
    };
    let said = world.books(|books| {
        books.compare(&key.saga_id, &key.step_id, key.op, digest(call));
        books.arrive(arrival)
    });
    world.log((how, key, call.attempt, said));
    said
}

/// Rule 10: what is sent is the same each time.
fn digest(call: &OutgoingCall) -> u64 {
    let mut hash = DefaultHasher::new();
    call.participant.hash(&mut hash);
    (&call.request.method, &call.request.path).hash(&mut hash);
    call.request.body.as_ref().map(amends_core::Json::as_str).hash(&mut hash);
    hash.finish()
}

/// The answer that says so.
pub(crate) fn told(said: Said) -> Answer {
    match said {
        Said::Done => Answer::succeeded(None),
        Said::Refused => failed(OutcomeKind::Refused, true, AttemptFailure::Status),
    }
}

pub(crate) fn failed(outcome: OutcomeKind, sent: bool, kind: AttemptFailure) -> Answer {
    let problem =
        Problem { kind, status: None, detail: "the simulation wants it so".to_owned(), body: None };
    Answer::failed(outcome, sent, problem)
}

#[async_trait]
impl Participants for Network {
    async fn call(&self, call: OutgoingCall) -> Answer {
        self.gate
            .around(async {
                self.world.calls(&call);
                self.travel(&call, false).await
            })
            .await
    }

    async fn poll(&self, call: OutgoingCall, _location: &str) -> Answer {
        self.gate.around(self.travel(&call, true)).await
    }

    async fn check(&self, _name: &ParticipantName) -> Option<Health> {
        None
    }

    fn replace(&self, _participants: Vec<ParticipantSpec>) {}

    fn defaults(&self, _name: &ParticipantName) -> Option<(Option<Duration>, Option<RetryPolicy>)> {
        Some((None, None))
    }
}
