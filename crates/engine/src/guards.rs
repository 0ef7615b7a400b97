//! Guards of lock keys: set on the lock service after the grant, kept alive while a saga has its
//! keys, in memory or not, and taken away when it gives them back.
//!
//! The store's tickets decide who has a key; guards keep out writers that are not sagas. So a guard
//! that cannot be set or kept makes forward calls wait and never lets two sagas meet. One task keeps
//! all guards of this coordinator: it extends those that hold, and sets those that do not.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use amends_core::saga::{Saga, Token};
use amends_core::{LockKey, SagaId};
use amends_ports::store::Lease;
use amends_ports::{Guard, GuardError, GuardHolder, Locks};
use futures_util::stream::{FuturesUnordered, StreamExt};
use parking_lot::Mutex;
use tokio::sync::Notify;

use crate::engine::Inner;
use crate::live::Message;
use crate::ownership::Owned;

/// First pause after a guard could not be set; doubles up to [`PAUSE_MAX`].
const PAUSE: Duration = Duration::from_millis(2);

/// Longest pause between two tries to set a guard.
const PAUSE_MAX: Duration = Duration::from_millis(250);

/// Guards that one request extends.
const EXTEND_MAX: usize = 256;

/// Every so many rounds of extending, guards are also set again where they hold: on a master that
/// came back empty, so that one restart after another does not lose them.
const HEAL_EVERY: u32 = 3;

/// Guards that are being set at once by the keeper.
const SETTING_MAX: usize = 64;

/// Time between two warnings about guards that cannot be set.
const WARN_EVERY: Duration = Duration::from_secs(10);

/// The guards of this coordinator's sagas.
#[derive(Debug)]
pub(crate) struct Guards {
    service: Option<Arc<dyn Locks>>,
    kept: Mutex<BTreeMap<SagaId, Kept>>,
    /// There is a guard to set.
    work: Notify,
    warned_at: Mutex<Option<Duration>>,
}

#[derive(Clone, Debug)]
struct Kept {
    guard: Guard,
    /// Under which it is kept: a saga may have ended under any other one.
    lease: Lease,
    /// Until when it holds, by the monotonic clock; zero if it never did.
    until: Duration,
    /// Somebody else was seen to have a key of it.
    is_taken: bool,
}

/// How the guard of a saga stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum GuardState {
    /// It holds, or none is needed.
    Held,
    /// Nobody knows who has the keys.
    Unknown,
    /// Somebody else has a key.
    Taken,
}

impl Guards {
    pub(crate) fn new(service: Option<Arc<dyn Locks>>) -> Self {
        Self { service, kept: Mutex::default(), work: Notify::new(), warned_at: Mutex::default() }
    }

    /// The lock service, if there is one.
    pub(crate) const fn service(&self) -> Option<&Arc<dyn Locks>> {
        self.service.as_ref()
    }

    /// How many are kept.
    pub(crate) fn count(&self) -> usize {
        self.kept.lock().len()
    }

    /// How the guard of a saga stands that has lock keys.
    pub(crate) fn state(&self, saga_id: &SagaId, now: Duration) -> GuardState {
        if self.service.is_none() {
            return GuardState::Held;
        }
        match self.kept.lock().get(saga_id) {
            Some(kept) if kept.until > now => GuardState::Held,
            Some(kept) if kept.is_taken => GuardState::Taken,
            Some(_) | None => GuardState::Unknown,
        }
    }

    /// Keeps a guard from now on; one that does not hold yet is set.
    fn keep(&self, guard: Guard, lease: Lease, until: Duration) {
        let saga_id = guard.holder.saga_id.clone();
        self.kept.lock().insert(saga_id, Kept { guard, lease, until, is_taken: false });
        if until.is_zero() {
            self.work.notify_one();
        }
    }

    /// Forgets the guards that were kept under leases that are over: they stay on the service, and
    /// whoever has the partition now, maybe this coordinator again, takes over those of sagas that
    /// still have their keys.
    fn forget_foreign(&self, is_ours: impl Fn(Lease) -> bool) {
        self.kept.lock().retain(|_, kept| is_ours(kept.lease));
    }

    fn all(&self) -> Vec<Kept> {
        self.kept.lock().values().cloned().collect()
    }

    /// Notes how a guard stands; true if that is news for its saga.
    fn update(&self, guard: &Guard, until: Duration, is_taken: bool, now: Duration) -> bool {
        let mut kept = self.kept.lock();
        let Some(own) = kept.get_mut(&guard.holder.saga_id).filter(|own| own.guard == *guard)
        else {
            return false;
        };
        let was = (own.until > now, own.is_taken);
        own.until = until;
        own.is_taken = is_taken;
        was != (own.until > now, own.is_taken)
    }
}

impl Inner {
    /// The guard that a saga needs under these tokens; none without a lock service.
    pub(crate) fn guard(
        &self,
        saga_id: &SagaId,
        keys: &[LockKey],
        tokens: &[Token],
    ) -> Option<Guard> {
        self.guards.service()?;
        let token = tokens.iter().max().copied()?;
        let nonce = self.guard_nonce(saga_id);
        let holder = GuardHolder { nonce, saga_id: saga_id.clone(), token };
        Some(Guard { keys: keys.to_vec(), holder })
    }

    /// Sets a guard, as long as that takes; false if somebody else still has a key and
    /// `may_wait` says no.
    pub(crate) async fn set_guard(
        &self,
        guard: Guard,
        owned: &Owned,
        may_wait: impl Fn() -> bool,
    ) -> bool {
        let Some(service) = self.guards.service() else { return true };
        let mut pause = PAUSE;
        loop {
            self.ownership.wait_valid(|| self.clock.elapsed()).await;
            match service.acquire(&guard).await {
                Ok(validity) => {
                    let until = self.clock.elapsed() + validity;
                    self.guards.keep(guard, owned.lease(), until);
                    return true;
                }
                Err(GuardError::Busy { .. }) if !may_wait() => return false,
                Err(error) => self.warn_of_guard(&guard, &error),
            }
            self.clock.sleep(self.spread(pause)).await;
            pause = (pause * 2).min(PAUSE_MAX);
        }
    }

    /// Sees to it that the guard of a saga that has its keys holds, now and from now on.
    pub(crate) fn keep_guard(&self, saga: &Saga, lease: Lease) {
        let (keys, tokens): (Vec<_>, Vec<_>) = saga.tokens().into_iter().unzip();
        let Some(guard) = self.guard(saga.id(), &keys, &tokens) else { return };
        let is_kept = self
            .guards
            .kept
            .lock()
            .get(saga.id())
            .is_some_and(|kept| kept.guard == guard && kept.lease == lease);
        if !is_kept {
            self.guards.keep(guard, lease, Duration::ZERO);
        }
    }

    /// Takes a saga's guard away: the one that its driver set, and one that was taken over and that
    /// the driver does not know.
    pub(crate) fn release_guard(self: &Arc<Self>, saga_id: &SagaId, set: Option<Guard>) {
        let Some(service) = self.guards.service().map(Arc::clone) else { return };
        let kept = self.guards.kept.lock().remove(saga_id).map(|kept| kept.guard);
        let unknown = kept.filter(|kept| set.as_ref() != Some(kept));
        let guards: Vec<Guard> = unknown.into_iter().chain(set).collect();
        if !guards.is_empty() {
            self.tasks.spawn(async move { service.release(&guards).await });
        }
    }

    /// Takes over the guards of all sagas of a partition that have their keys, also of those that
    /// are not in memory. Before any of them is driven: one that ended meanwhile would be guarded
    /// for ever.
    pub(crate) async fn adopt_guards(&self, own: &Owned) {
        const PAGE: u16 = 256;
        if self.guards.service().is_none() {
            return;
        }
        let mut after = None;
        while !own.is_lost() {
            match self.store.lock_holders(own.lease(), after.as_ref(), PAGE).await {
                Ok(page) => {
                    let is_last = page.len() < usize::from(PAGE);
                    after = page.last().map(|holder| holder.saga_id.clone()).or(after);
                    for holder in page {
                        let guard = self.guard(&holder.saga_id, &holder.keys, &holder.tokens);
                        let Some(guard) = guard else { continue };
                        self.guards.keep(guard, own.lease(), Duration::ZERO);
                    }
                    if is_last {
                        return;
                    }
                }
                Err(error) => {
                    {
                        let error: &dyn std::error::Error = &error;
                        tracing::warn!(
                            error,
                            "holders of lock keys could not be read; trying again"
                        );
                    }
                    self.clock.sleep(PAUSE_MAX).await;
                }
            }
        }
    }

    /// Extends and sets guards, until the drain is over.
    pub(crate) async fn keep_guards(self: Arc<Self>) {
        let Some(service) = self.guards.service().map(Arc::clone) else { return };
        let every = service.ttl() / 3;
        let (mut extend_at, mut pause, mut round) = (Duration::ZERO, PAUSE, 0_u32);
        loop {
            let now = self.clock.elapsed();
            self.guards.forget_foreign(|lease| self.ownership.has(lease));
            if now >= extend_at {
                round = round.wrapping_add(1);
                let extended = self.extend_guards(&*service, now).await;
                if round.is_multiple_of(HEAL_EVERY) && self.may_set_guards() {
                    self.set_guards(&*service, extended).await;
                }
                // Up to a tenth earlier, so that coordinators do not all come at once.
                extend_at = now + every * 4 / 5 + self.spread(every / 5);
            }
            let lapsed = self.lapsed_guards();
            let all_hold = lapsed.is_empty()
                || (self.may_set_guards() && self.set_guards(&*service, lapsed).await);
            pause = if all_hold { PAUSE } else { (pause * 2).min(PAUSE_MAX) };
            let until_extend = extend_at.saturating_sub(self.clock.elapsed());
            let wait = if all_hold { until_extend } else { until_extend.min(self.spread(pause)) };
            tokio::select! {
                biased;
                () = self.clock.sleep(wait) => {}
                () = self.guards.work.notified() => {}
                () = self.ended.cancelled() => return,
            }
        }
    }

    /// Once the leases have run out, others may have ended the sagas and taken their guards away:
    /// what still stands is kept, and nothing is set.
    fn may_set_guards(&self) -> bool {
        self.ownership.is_valid(self.clock.elapsed())
    }

    /// Extends the guards that hold; answers those that still do.
    async fn extend_guards(&self, service: &dyn Locks, now: Duration) -> Vec<Guard> {
        let mut held = self.guards.all();
        held.retain(|kept| kept.until > now);
        let holding: Vec<Guard> = held.into_iter().map(|kept| kept.guard).collect();
        let mut extended = Vec::with_capacity(holding.len());
        for chunk in holding.chunks(EXTEND_MAX) {
            let results = service.extend(chunk).await;
            let now = self.clock.elapsed();
            for (guard, result) in chunk.iter().zip(results) {
                let is_news = match result {
                    Ok(validity) => {
                        extended.push(guard.clone());
                        self.guards.update(guard, now + validity, false, now)
                    }
                    // Whether somebody else has it shows when it is set again.
                    Err(error @ (GuardError::Lost { .. } | GuardError::Busy { .. })) => {
                        self.warn_of_guard(guard, &error);
                        self.guards.update(guard, Duration::ZERO, false, now)
                    }
                    // It holds on until its time is over.
                    Err(error @ GuardError::NoQuorum(_)) => {
                        self.warn_of_guard(guard, &error);
                        false
                    }
                };
                self.tell_of_guard(guard, is_news);
            }
        }
        extended
    }

    fn lapsed_guards(&self) -> Vec<Guard> {
        let now = self.clock.elapsed();
        let all = self.guards.all().into_iter();
        all.filter(|kept| kept.until <= now).map(|kept| kept.guard).collect()
    }

    /// Tries once to set these guards; whether all hold then.
    async fn set_guards(&self, service: &dyn Locks, guards: Vec<Guard>) -> bool {
        let mut guards = guards.into_iter();
        let mut setting = FuturesUnordered::new();
        let mut all_hold = true;
        loop {
            while setting.len() < SETTING_MAX
                && let Some(guard) = guards.next()
            {
                setting.push(async move { (service.acquire(&guard).await, guard) });
            }
            let Some((result, guard)) = setting.next().await else { return all_hold };
            let now = self.clock.elapsed();
            let is_news = match &result {
                Ok(validity) => self.guards.update(&guard, now + *validity, false, now),
                Err(error) => {
                    all_hold = false;
                    self.warn_of_guard(&guard, error);
                    let is_taken = matches!(error, GuardError::Busy { .. });
                    self.guards.update(&guard, Duration::ZERO, is_taken, now)
                }
            };
            if result.is_ok() && !self.is_kept(&guard) {
                // Its saga gave its keys back meanwhile.
                service.release(&[guard]).await;
                continue;
            }
            self.tell_of_guard(&guard, is_news);
        }
    }

    fn is_kept(&self, guard: &Guard) -> bool {
        self.guards.kept.lock().get(&guard.holder.saga_id).is_some_and(|kept| kept.guard == *guard)
    }

    fn tell_of_guard(&self, guard: &Guard, is_news: bool) {
        if is_news {
            // One that is not in memory asks when it is.
            let _ = self.live.send(&guard.holder.saga_id, Message::Guard);
        }
    }

    fn warn_of_guard(&self, guard: &Guard, error: &GuardError) {
        let now = self.clock.elapsed();
        let mut warned_at = self.guards.warned_at.lock();
        if warned_at.is_none_or(|at| now.saturating_sub(at) >= WARN_EVERY) {
            *warned_at = Some(now);
            let error: &dyn std::error::Error = error;
            tracing::warn!(
                error,
                saga.id = %guard.holder.saga_id,
                "the guard of a saga's lock keys does not hold; its forward calls wait (more such \
                 sagas are not named)"
            );
        }
    }

    /// Between half of a time and the whole.
    fn spread(&self, time: Duration) -> Duration {
        let token = self.ids.token();
        let byte = token.get(..2).and_then(|hex| u8::from_str_radix(hex, 16).ok()).unwrap_or(128);
        time.mul_f64(0.5 + f64::from(byte) / 512.0)
    }
}
