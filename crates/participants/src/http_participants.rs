//! The port's implementation: finds the participant, bounds the attempt, reads the answer.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Once};
use std::time::Duration;

use amends_core::definition::Completion;
use amends_core::participant::ParticipantSpec;
use amends_core::saga::{Answer, AttemptFailure, OutcomeKind};
use amends_core::{ParticipantName, RetryPolicy};
use amends_ports::{CallContext, Clock, Health, OutgoingCall, Participants};
use arc_swap::ArcSwap;
use async_trait::async_trait;
use http::StatusCode;
use http::header::RETRY_AFTER;
use tokio::time::{Instant, timeout_at};

use crate::answer::{Received, read};
use crate::config::Config;
use crate::dial::Dialer;
use crate::failure::Failure;
use crate::health;
use crate::participant::{Delivered, Participant, ParticipantSnapshot, Times};
use crate::poll::{Place, location, lost, place};
use crate::progress::Progress;
use crate::request::{Ask, request};

/// How often idle connections are looked at.
const SWEEP_EVERY: Duration = Duration::from_secs(1);

type Registry = HashMap<ParticipantName, Arc<Participant>>;

/// Registered participants, called over HTTP.
pub struct HttpParticipants {
    dialer: Dialer,
    clock: Arc<dyn Clock>,
    registry: Arc<ArcSwap<Registry>>,
    sweeping: Once,
}

impl HttpParticipants {
    /// Knows nobody until [`Participants::replace`] says so.
    pub fn new(config: Config, clock: Arc<dyn Clock>) -> Self {
        let registry = Arc::new(ArcSwap::default());
        Self { dialer: Dialer::new(config), clock, registry, sweeping: Once::new() }
    }

    /// What every participant is doing now, by name.
    pub fn snapshot(&self) -> Vec<ParticipantSnapshot> {
        let now = self.clock.elapsed();
        let mut all: Vec<_> = self.registry.load().values().map(|own| own.snapshot(now)).collect();
        all.sort_by(|a, b| a.name.cmp(&b.name));
        all
    }

    /// Closes idle connections that nobody uses any more, from now on until this is dropped.
    fn sweep(&self) {
        let registry = Arc::downgrade(&self.registry);
        self.dialer.spawn(async move {
            let mut every = tokio::time::interval(SWEEP_EVERY);
            loop {
                every.tick().await;
                let Some(registry) = registry.upgrade() else { return };
                for participant in registry.load().values() {
                    participant.origins.iter().for_each(|origin| origin.pool.sweep());
                }
            }
        });
    }

    fn find(&self, name: &ParticipantName) -> Option<Arc<Participant>> {
        self.registry.load().get(name).cloned()
    }

    /// One attempt, within its time.
    async fn attempt(
        &self,
        participant: &Participant,
        call: &OutgoingCall,
        to: To<'_>,
    ) -> Result<Delivered, Failure> {
        let timeout = call.timeout.or(participant.spec.timeout).unwrap_or(CallContext::TIMEOUT);
        let deadline = Instant::now() + timeout;
        let times = Times { now: self.clock.elapsed(), deadline };
        let progress = Progress::default();
        let work = async {
            let credentials = participant.vault.credentials(&participant.spec, times.now).await;
            let credentials = credentials.map_err(|error| {
                Failure::unsent(AttemptFailure::Connect, format!("{error}; nothing was sent"))
            })?;
            let mut outgoing = request(call, to.ask, timeout, &credentials)?;
            participant.exchange(&mut outgoing, to.only, &self.dialer, times, &progress).await
        };
        let done = timeout_at(deadline, work).await;
        done.unwrap_or_else(|_| {
            if let Some(origin) = progress.connecting_to() {
                participant.origins[origin].breaker.failed(self.clock.elapsed());
            }
            Err(progress.timed_out(timeout))
        })
    }
}

/// What is asked, and whether only one endpoint can be asked it.
#[derive(Clone, Copy)]
struct To<'a> {
    ask: Ask<'a>,
    only: Option<usize>,
}

#[async_trait]
impl Participants for HttpParticipants {
    async fn call(&self, call: OutgoingCall) -> Answer {
        let Some(participant) = self.find(&call.participant) else {
            return unknown_participant(&call.participant).into_answer();
        };
        let to = To { ask: Ask::Call, only: None };
        match self.attempt(&participant, &call, to).await {
            Ok(delivered) => {
                let answer = read(&delivered.received, &call, &participant.spec.outcomes);
                with_location(answer, &delivered, &call, &participant)
            }
            Err(failure) => failure.into_answer(),
        }
    }

    async fn poll(&self, call: OutgoingCall, location: &str) -> Answer {
        let still = |retry_after| Answer {
            outcome: OutcomeKind::Pending,
            location: Some(location.to_owned()),
            retry_after,
            ..Answer::succeeded(None)
        };
        let Some(participant) = self.find(&call.participant) else {
            return Answer {
                problem: Some(unknown_participant(&call.participant).into_problem()),
                ..still(None)
            };
        };
        let Place { origin, path } =
            place(location, participant.origins.iter().map(|own| &own.endpoint));
        let to = To { ask: Ask::Poll(&path), only: origin };
        match self.attempt(&participant, &call, to).await {
            Ok(Delivered { received, .. }) => {
                let answer = read(&received, &call, &participant.spec.outcomes);
                if answer.outcome == OutcomeKind::Pending || is_not_yet(&received) {
                    still(answer.retry_after)
                } else {
                    answer
                }
            }
            // That nobody could be asked says nothing about the call, which was accepted.
            Err(failure) => {
                let retry_after = failure.retry_after;
                Answer { problem: Some(failure.into_problem()), ..still(retry_after) }
            }
        }
    }

    async fn check(&self, name: &ParticipantName) -> Option<Health> {
        let participant = self.find(name)?;
        Some(health::check(&participant, &self.dialer).await)
    }

    fn replace(&self, participants: Vec<ParticipantSpec>) {
        let (before, now) = (self.registry.load(), self.clock.elapsed());
        let next = participants.into_iter().map(|spec| {
            // What has not changed keeps its connections, its places and its breaker.
            let kept = before.get(&spec.name).filter(|old| *old.spec == spec).cloned();
            let name = spec.name.clone();
            let new = || Arc::new(Participant::new(spec, self.dialer.config(), now));
            (name, kept.unwrap_or_else(new))
        });
        self.registry.store(Arc::new(next.collect()));
        self.sweeping.call_once(|| self.sweep());
    }

    fn defaults(&self, name: &ParticipantName) -> Option<(Option<Duration>, Option<RetryPolicy>)> {
        self.registry.load().get(name).map(|own| (own.spec.timeout, own.spec.retry))
    }
}

/// A call that is to be polled must say where.
fn with_location(
    answer: Answer,
    delivered: &Delivered,
    call: &OutgoingCall,
    participant: &Participant,
) -> Answer {
    let polls = matches!(call.completion, Completion::Poll { .. });
    if answer.outcome != OutcomeKind::Pending || !polls {
        return answer;
    }
    let endpoint = &participant.origins[delivered.origin].endpoint;
    let asked = format!("{}{}", endpoint.base_path(), call.request.path);
    let endpoints = participant.origins.iter().map(|own| &own.endpoint);
    match location(&delivered.received, endpoint, &asked, endpoints) {
        Ok(location) => Answer { location: Some(location), ..answer },
        Err(detail) => lost(detail),
    }
}

/// 200 with `Retry-After` and no body: not ended yet.
fn is_not_yet(received: &Received) -> bool {
    received.status == StatusCode::OK
        && received.body.is_empty()
        && received.headers.contains_key(RETRY_AFTER)
}

fn unknown_participant(name: &ParticipantName) -> Failure {
    let detail = format!("the participant {name} is not registered; nothing was sent");
    Failure::unsent(AttemptFailure::UnknownParticipant, detail)
}

impl fmt::Debug for HttpParticipants {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.registry.load().keys()).finish()
    }
}
