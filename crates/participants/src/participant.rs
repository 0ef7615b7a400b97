//! One registered participant at work: its places, its rate, its endpoints.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use amends_core::participant::ParticipantSpec;
use amends_core::saga::AttemptFailure;
use amends_core::{ParticipantName, format_duration};
use amends_ports::failpoint;
use tokio::sync::Semaphore;
use tokio::time::Instant;

use crate::answer::{Received, collect};
use crate::breaker::BreakerState;
use crate::config::Config;
use crate::credentials::Vault;
use crate::dial::Dialer;
use crate::failure::Failure;
use crate::origin::{Exchange, Origin, Outgoing, Undone};
use crate::progress::Progress;
use crate::rate::Rate;

/// What a participant is doing now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ParticipantSnapshot {
    /// Its name.
    pub name: ParticipantName,
    /// Calls in flight.
    pub in_flight: usize,
    /// Most calls in flight.
    pub concurrency_max: u32,
    /// Its endpoints, as registered.
    pub endpoints: Vec<EndpointSnapshot>,
}

/// Whether calls go to an endpoint.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EndpointSnapshot {
    /// Its base URL.
    pub url: String,
    /// Whether calls go there.
    pub state: BreakerState,
}

#[derive(Debug)]
pub(crate) struct Participant {
    pub(crate) spec: Arc<ParticipantSpec>,
    pub(crate) origins: Vec<Origin>,
    pub(crate) vault: Vault,
    places: Semaphore,
    rate: Option<Rate>,
    next: AtomicUsize,
}

/// A whole answer, and which endpoint gave it.
pub(crate) struct Delivered {
    pub(crate) received: Received,
    pub(crate) origin: usize,
}

/// The clocks of one attempt: `now` is that of the breaker, `deadline` that of the timer.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Times {
    pub(crate) now: Duration,
    pub(crate) deadline: Instant,
}

/// Where one attempt starts among the endpoints, and which it has tried: bit i for endpoint i.
#[derive(Clone, Copy, Debug)]
struct Turn {
    start: usize,
    tried: u64,
}

impl Times {
    fn left(self) -> Duration {
        self.deadline.saturating_duration_since(Instant::now())
    }
}

impl Participant {
    pub(crate) fn new(spec: ParticipantSpec, config: &Config, now: Duration) -> Self {
        let origin = |own: &_| Origin::new(Clone::clone(own), spec.http2, spec.breaker, config);
        Self {
            origins: spec.endpoints.iter().filter_map(origin).collect(),
            vault: Vault::open(&spec, now),
            places: Semaphore::new(
                usize::try_from(spec.concurrency_max).unwrap_or(usize::MAX >> 4),
            ),
            rate: spec.rate.map(Rate::new),
            next: AtomicUsize::new(0),
            spec: Arc::new(spec),
        }
    }

    /// Waits for a place, sends and reads the whole answer.
    pub(crate) async fn exchange(
        &self,
        outgoing: &mut Outgoing,
        only: Option<usize>,
        dialer: &Dialer,
        times: Times,
        progress: &Progress,
    ) -> Result<Delivered, Failure> {
        self.keep_rate(times).await?;
        let _place = self
            .places
            .acquire()
            .await
            .map_err(|error| Failure::unsent(AttemptFailure::Interrupted, error.to_string()))?;
        let (exchange, origin) = self.send(outgoing, only, dialer, times, progress).await?;
        failpoint!("call.answer-begun");
        progress.answered();
        let Exchange { response, mut sender } = exchange;
        let (head, body) = response.into_parts();
        let body = sender.drive(collect(body, self.spec.answer_bytes_max)).await;
        let body = body.map_err(|failure| {
            // The rest of the body is not waited for: dropping the connection closes it.
            Failure { status: Some(head.status.as_u16()), ..failure }
        })?;
        self.origins[origin].pool.put(sender);
        failpoint!("call.answered");
        let received = Received { status: head.status, headers: head.headers, body };
        Ok(Delivered { received, origin })
    }

    async fn keep_rate(&self, times: Times) -> Result<(), Failure> {
        let Some(rate) = &self.rate else { return Ok(()) };
        match rate.take(times.now, times.left()) {
            Ok(Duration::ZERO) => Ok(()),
            Ok(wait) => {
                tokio::time::sleep(wait).await;
                Ok(())
            }
            Err(wait) => {
                let time = format_duration(wait);
                let detail = format!("the participant's rate leaves no room for another {time}");
                let failure = Failure::unsent(AttemptFailure::Timeout, detail);
                Err(Failure { retry_after: Some(wait), ..failure })
            }
        }
    }

    /// Sends to one endpoint after another, until one takes the request.
    async fn send(
        &self,
        outgoing: &mut Outgoing,
        only: Option<usize>,
        dialer: &Dialer,
        times: Times,
        progress: &Progress,
    ) -> Result<(Exchange, usize), Failure> {
        let mut turn = Turn {
            start: self.next.fetch_add(1, Ordering::Relaxed),
            tried: only.map_or(0, |only| !(1 << only)),
        };
        let mut last = None;
        loop {
            let Some(index) = self.pick(turn, times.now) else {
                return Err(last.unwrap_or_else(|| self.all_open(times.now)));
            };
            turn.tried |= 1 << index;
            let others = self.origins.len() > 1 && self.pick_plain(turn, times.now).is_some();
            // A dead endpoint must leave time for the next one.
            let limit = if others { times.left() / 2 } else { times.left() };
            progress.connecting(index);
            let origin = &self.origins[index];
            match origin.send(outgoing, dialer, limit, progress).await {
                Ok(exchange) => {
                    origin.breaker.succeeded();
                    return Ok((exchange, index));
                }
                Err(Undone { failure, is_unwritten }) => {
                    if failure.is_of_connection() {
                        origin.breaker.failed(times.now);
                    } else if failure.sent {
                        origin.breaker.succeeded();
                    }
                    if !is_unwritten {
                        return Err(failure);
                    }
                    last = Some(failure);
                }
            }
        }
    }

    /// The next endpoint: one that is well, else one that is avoided, else one whose breaker lets
    /// a trial through.
    fn pick(&self, turn: Turn, now: Duration) -> Option<usize> {
        self.pick_plain(turn, now).or_else(|| {
            self.candidates(turn).find(|index| {
                let breaker = &self.origins[*index].breaker;
                breaker.state(now) == BreakerState::Open && breaker.admits_trial(now)
            })
        })
    }

    fn pick_plain(&self, turn: Turn, now: Duration) -> Option<usize> {
        let with = |state| {
            self.candidates(turn).find(|index| self.origins[*index].breaker.state(now) == state)
        };
        with(BreakerState::Closed).or_else(|| with(BreakerState::Avoided))
    }

    /// Untried endpoints, those whose turn it is first.
    fn candidates(&self, turn: Turn) -> impl Iterator<Item = usize> {
        let count = self.origins.len();
        (0..count)
            .map(move |step| turn.start.wrapping_add(step) % count)
            .filter(move |index| turn.tried & (1 << index) == 0)
    }

    fn all_open(&self, now: Duration) -> Failure {
        let waits = self.origins.iter().map(|origin| origin.breaker.rests_for(now));
        let wait = waits.min().unwrap_or_default();
        let detail = format!(
            "no connection to any endpoint could be made lately; the next trial is in {}",
            format_duration(wait)
        );
        let failure = Failure::unsent(AttemptFailure::BreakerOpen, detail);
        Failure { retry_after: Some(wait), ..failure }
    }

    pub(crate) fn snapshot(&self, now: Duration) -> ParticipantSnapshot {
        let max = usize::try_from(self.spec.concurrency_max).unwrap_or(usize::MAX);
        ParticipantSnapshot {
            name: self.spec.name.clone(),
            in_flight: max.saturating_sub(self.places.available_permits()),
            concurrency_max: self.spec.concurrency_max,
            endpoints: self
                .origins
                .iter()
                .map(|origin| EndpointSnapshot {
                    url: origin.endpoint.to_string(),
                    state: origin.breaker.state(now),
                })
                .collect(),
        }
    }
}
