//! Partitions and the leases on them: taking, keeping, losing, handing over.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use amends_core::SagaId;
use amends_core::mutant::Mutant;
use amends_ports::failpoint;
use amends_ports::store::{self, Epoch, Lease, Member, Partition};
use parking_lot::RwLock;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use crate::engine::Inner;
use crate::poller;

/// Longest time between two looks at who lives and what is free.
const LOOK_EVERY_MAX: Duration = Duration::from_secs(1);

/// Sagas that go to one partition before the next one has its turn. Those of one moment then share
/// a lease, and every lease that a batch relies on costs the store a row lock.
const IN_A_ROW: usize = 256;

/// One partition that this coordinator owns. Lost for ever once it is lost: a new lease on the
/// same partition is another `Owned`.
#[derive(Debug)]
pub(crate) struct Owned {
    lease: Lease,
    lost: CancellationToken,
    /// Drivers and submissions that work under the lease.
    users: AtomicUsize,
    idle: Notify,
    /// The answer to a claim was lost: sagas may count as in memory that nobody drives.
    has_strays: AtomicBool,
}

impl Owned {
    fn new(lease: Lease) -> Arc<Self> {
        Arc::new(Self {
            lease,
            lost: CancellationToken::new(),
            users: AtomicUsize::new(0),
            idle: Notify::new(),
            has_strays: AtomicBool::new(false),
        })
    }

    pub(crate) const fn lease(&self) -> Lease {
        self.lease
    }

    pub(crate) const fn partition(&self) -> Partition {
        self.lease.partition
    }

    pub(crate) const fn epoch(&self) -> Epoch {
        self.lease.epoch
    }

    pub(crate) fn is_lost(&self) -> bool {
        self.lost.is_cancelled()
    }

    /// Cancelled when the lease is lost: whoever works under it stops.
    pub(crate) const fn lost(&self) -> &CancellationToken {
        &self.lost
    }

    /// Notes that the answer to a claim was lost.
    pub(crate) fn may_have_strays(&self) {
        self.has_strays.store(true, Ordering::Release);
    }

    /// Whether the answer to a claim was lost since the last time.
    pub(crate) fn take_strays(&self) -> bool {
        self.has_strays.swap(false, Ordering::AcqRel) && !Mutant::ClaimForgotten.is_on()
    }

    /// Counts one more that works under the lease, until the guard is dropped.
    pub(crate) fn work(self: &Arc<Self>) -> Work {
        self.users.fetch_add(1, Ordering::AcqRel);
        Work(Arc::clone(self))
    }

    /// Returns when nobody works under the lease.
    async fn wait_idle(&self) {
        loop {
            let notified = self.idle.notified();
            if self.users.load(Ordering::Acquire) == 0 {
                return;
            }
            notified.await;
        }
    }
}

/// Keeps a hand-over waiting while it lives.
#[derive(Debug)]
pub(crate) struct Work(Arc<Owned>);

impl Work {
    pub(crate) const fn owned(&self) -> &Arc<Owned> {
        &self.0
    }
}

impl Drop for Work {
    fn drop(&mut self) {
        if self.0.users.fetch_sub(1, Ordering::AcqRel) == 1 {
            self.0.idle.notify_waiters();
        }
    }
}

/// Where a partition is between being taken and being given back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// Its sagas are being read; nothing new is accepted for it.
    Recovering,
    /// All is well.
    Ready,
    /// It is being given back; nothing new is accepted for it.
    HandingOver,
}

/// The table of owned partitions.
#[derive(Debug)]
pub(crate) struct Ownership {
    table: RwLock<BTreeMap<Partition, (Arc<Owned>, Phase)>>,
    next: AtomicUsize,
    /// Until when the leases are certainly ours, in microseconds of [`Clock::elapsed`].
    ///
    /// [`Clock::elapsed`]: amends_ports::Clock::elapsed
    valid_until_us: AtomicU64,
    renewed: Notify,
}

impl Ownership {
    pub(crate) fn new() -> Self {
        Self {
            table: RwLock::default(),
            next: AtomicUsize::new(0),
            valid_until_us: AtomicU64::new(0),
            renewed: Notify::new(),
        }
    }

    /// How many partitions are owned.
    pub(crate) fn count(&self) -> usize {
        self.table.read().len()
    }

    /// All leases whose partitions are ready.
    pub(crate) fn ready(&self) -> Vec<Arc<Owned>> {
        let table = self.table.read();
        let ready = table.values().filter(|(_, phase)| *phase == Phase::Ready);
        ready.map(|(own, _)| Arc::clone(own)).collect()
    }

    /// Those of the partitions of some leases that are ready.
    pub(crate) fn ready_of(&self, leases: &[Lease]) -> Vec<Partition> {
        let table = self.table.read();
        let is_ready = |lease: &&Lease| {
            let own = table.get(&lease.partition);
            own.is_some_and(|(own, phase)| own.lease == **lease && *phase == Phase::Ready)
        };
        leases.iter().filter(is_ready).map(|lease| lease.partition).collect()
    }

    /// The lease on a partition, if it is ready, counted as used.
    pub(crate) fn work_on(&self, partition: Partition) -> Option<Work> {
        let table = self.table.read();
        let (own, phase) = table.get(&partition)?;
        (*phase == Phase::Ready).then(|| own.work())
    }

    /// Any ready partition: each in turn, for some sagas in a row.
    pub(crate) fn work_on_any(&self) -> Option<Work> {
        let table = self.table.read();
        if table.is_empty() {
            return None;
        }
        let start = self.next.fetch_add(1, Ordering::Relaxed) / IN_A_ROW % table.len();
        let (before, after) = (table.values().take(start), table.values().skip(start));
        after.chain(before).find(|(_, phase)| *phase == Phase::Ready).map(|(own, _)| own.work())
    }

    /// Whether a lease is its own, ready or not.
    pub(crate) fn has(&self, lease: Lease) -> bool {
        self.table.read().get(&lease.partition).is_some_and(|(own, _)| own.lease == lease)
    }

    /// Stops everything that works under the lease on a partition.
    pub(crate) fn lose(&self, partition: Partition) {
        if let Some((own, _)) = self.table.write().remove(&partition) {
            own.lost.cancel();
        }
    }

    /// Stops everything that works under this lease; a newer one on the partition stays.
    pub(crate) fn lose_lease(&self, lease: Lease) {
        let mut table = self.table.write();
        if table.get(&lease.partition).is_some_and(|(own, _)| own.lease == lease) {
            table.remove(&lease.partition).inspect(|(own, _)| own.lost.cancel());
        }
    }

    /// Whether the leases are certainly ours.
    pub(crate) fn is_valid(&self, now: Duration) -> bool {
        now < Duration::from_micros(self.valid_until_us.load(Ordering::Acquire))
    }

    /// Returns at once while the leases are certainly ours, else when they are again.
    pub(crate) async fn wait_valid(&self, now: impl Fn() -> Duration) {
        loop {
            let renewed = self.renewed.notified();
            if self.is_valid(now()) {
                return;
            }
            renewed.await;
        }
    }

    fn renew(&self, valid_until: Duration) {
        let micros = u64::try_from(valid_until.as_micros()).unwrap_or(u64::MAX);
        self.valid_until_us.store(micros, Ordering::Release);
        self.renewed.notify_waiters();
    }

    fn leases(&self) -> Vec<Lease> {
        self.table.read().values().map(|(own, _)| own.lease()).collect()
    }

    fn begin(&self, lease: Lease) -> Arc<Owned> {
        let own = Owned::new(lease);
        let old = self.table.write().insert(lease.partition, (Arc::clone(&own), Phase::Recovering));
        if let Some((old, _)) = old {
            old.lost.cancel();
        }
        own
    }

    /// Moves a partition on, unless it was lost or is being given back meanwhile.
    fn enter(&self, own: &Owned, phase: Phase) -> bool {
        match self.table.write().get_mut(&own.partition()) {
            Some((now, at)) if now.lease == own.lease && !(*at == Phase::HandingOver) => {
                *at = phase;
                true
            }
            _ => false,
        }
    }

    fn handing_over(&self) -> usize {
        self.table.read().values().filter(|(_, phase)| *phase == Phase::HandingOver).count()
    }
}

impl Inner {
    /// Keeps leases, takes what is free and gives back what is too much, until the drain.
    pub(crate) async fn keep_leases(self: Arc<Self>) {
        let every = (self.config.lease_ttl / 3).min(LOOK_EVERY_MAX);
        while !self.draining.is_cancelled() {
            self.look_at_leases().await;
            tokio::select! {
                biased;
                () = self.clock.sleep(every) => {}
                () = self.draining.cancelled() => {}
            }
        }
    }

    async fn look_at_leases(self: &Arc<Self>) {
        let asked_at = self.clock.elapsed();
        let before = self.ownership.leases();
        let heartbeat =
            self.store.heartbeat(&self.me, &self.config.public_url, false, self.config.lease_ttl);
        match heartbeat.await {
            Ok((members, held)) => {
                self.ownership.renew(asked_at + self.config.lease_ttl);
                for lease in before.iter().filter(|lease| !held.contains(lease)) {
                    tracing::warn!(
                        partition = lease.partition.0,
                        "a partition was taken by another coordinator"
                    );
                    self.ownership.lose(lease.partition);
                }
                self.adopt_stray(&held).await;
                self.take_share(&members).await;
            }
            Err(error @ store::Error::Outdated(_)) => {
                let error: &dyn std::error::Error = &error;
                tracing::error!(error, "this coordinator drives nothing any more; replace it");
                for lease in before {
                    self.ownership.lose_lease(lease);
                }
            }
            Err(error) => {
                let error: &dyn std::error::Error = &error;
                tracing::warn!(error, "leases could not be renewed; calls wait once they run out");
            }
        }
        self.metrics.partitions(self.ownership.count());
        self.metrics.journal_format(self.store.journal_format());
    }

    /// Leases that the store says are ours and that we do not know: their taking was answered
    /// too late. Nobody may write under their old epochs.
    async fn adopt_stray(self: &Arc<Self>, held: &[Lease]) {
        let known = self.ownership.leases();
        let is_known = |lease: &&Lease| known.iter().any(|own| own.partition == lease.partition);
        let stray: Vec<Lease> = held.iter().filter(|lease| !is_known(lease)).copied().collect();
        if stray.is_empty() {
            return;
        }
        if let Ok(leases) = self.store.raise_epochs(&self.me, &stray, self.config.lease_ttl).await {
            for lease in leases {
                self.take(lease);
            }
        }
    }

    async fn take_share(self: &Arc<Self>, members: &[Member]) {
        let others = members.iter().filter(|member| !member.draining && member.id != self.me);
        let count = 1 + others.clone().count();
        let share = usize::from(self.partitions).div_ceil(count);
        let held = self.ownership.count();
        if held < share {
            let wanted = u16::try_from(share - held).unwrap_or(u16::MAX);
            match self.store.acquire(&self.me, wanted, self.config.lease_ttl).await {
                Ok(leases) => leases.into_iter().for_each(|lease| self.take(lease)),
                Err(error) => {
                    let error: &dyn std::error::Error = &error;
                    tracing::warn!(error, "free partitions could not be taken; trying again");
                }
            }
        }
        let is_wanted = others.clone().any(|member| usize::from(member.partitions) < share);
        if held > share && is_wanted && self.ownership.handing_over() == 0 {
            for own in self.ownership.ready().into_iter().take(held - share) {
                let inner = Arc::clone(self);
                self.tasks.spawn(async move { inner.hand_over(own).await });
            }
        }
    }

    /// Starts to drive a partition: reads what its last owner had in memory.
    pub(crate) fn take(self: &Arc<Self>, lease: Lease) {
        let own = self.ownership.begin(lease);
        let inner = Arc::clone(self);
        let taking = async move {
            let lost = own.lost().clone();
            tokio::select! {
                biased;
                () = lost.cancelled() => {}
                () = async {
                    inner.adopt_guards(&own).await;
                    inner.recover(&own, |_| false).await;
                } => {
                    if inner.ownership.enter(&own, Phase::Ready) {
                        inner.wake_poller.notify_one();
                        inner.ready.notify_waiters();
                    }
                }
            }
        };
        // The writer takes partitions, too, and must not have to run their sagas.
        self.tasks.spawn_on(taking, &self.runtime);
    }

    /// Drives the sagas of a partition that count as in memory, but for those that `is_driven`.
    pub(crate) async fn recover(
        self: &Arc<Self>,
        own: &Arc<Owned>,
        is_driven: impl Fn(&SagaId) -> bool,
    ) {
        const PAGE: u16 = 256;
        let (mut after, mut total) = (None, 0_usize);
        loop {
            match self.store.recover(own.lease(), after.as_ref(), PAGE).await {
                Ok(page) => {
                    let is_last = page.len() < usize::from(PAGE);
                    after = page.last().map(|stored| stored.saga_id.clone()).or(after);
                    failpoint!("engine.recover.read");
                    for stored in page {
                        if !is_driven(&stored.saga_id) {
                            total += 1;
                            self.adopt(own.work(), stored, poller::recovered, None).await;
                        }
                    }
                    if is_last {
                        break;
                    }
                }
                Err(error) => {
                    {
                        let error: &dyn std::error::Error = &error;
                        tracing::warn!(
                            error,
                            partition = own.partition().0,
                            "a partition could not be read; trying again"
                        );
                    }
                    self.clock.sleep(Duration::from_millis(200)).await;
                }
            }
        }
        if total > 0 {
            tracing::info!(
                partition = own.partition().0,
                epoch = own.epoch().0,
                sagas = total,
                "sagas were taken over"
            );
        }
    }

    /// Gives a partition back: its sagas start nothing new and leave memory when nothing of theirs
    /// is in flight; what is in flight after the bound is cut, and counts as unknown.
    pub(crate) async fn hand_over(self: Arc<Self>, own: Arc<Owned>) {
        if !self.ownership.enter(&own, Phase::HandingOver) {
            return;
        }
        let bound = self.clock.sleep(self.config.drain_timeout);
        tokio::pin!(bound);
        loop {
            // Again and again, since a driver may have started after the last time.
            self.live.hold(own.partition());
            tokio::select! {
                biased;
                () = own.wait_idle() => break,
                () = &mut bound => break,
                () = self.clock.sleep(Duration::from_millis(50)) => {}
            }
        }
        self.journal.flush().await;
        self.ownership.lose_lease(own.lease());
        if let Err(error) = self.store.release(&[own.lease()]).await {
            let error: &dyn std::error::Error = &error;
            tracing::warn!(error, "a partition could not be given back; its lease will run out");
        }
    }

    /// Gives everything back, side by side, and keeps the leases until then.
    pub(crate) async fn hand_over_all(self: &Arc<Self>) {
        let giving = async {
            // Once more, if a lost commit made us take a partition anew meanwhile.
            for _ in 0..3 {
                let all: Vec<_> =
                    self.ownership.table.read().values().map(|(own, _)| Arc::clone(own)).collect();
                let each = all.into_iter().map(|own| Arc::clone(self).hand_over(own));
                futures_util::future::join_all(each).await;
            }
        };
        let keeping = async {
            loop {
                let asked_at = self.clock.elapsed();
                let (url, ttl) = (&self.config.public_url, self.config.lease_ttl);
                if self.store.heartbeat(&self.me, url, true, ttl).await.is_ok() {
                    self.ownership.renew(asked_at + ttl);
                }
                self.clock.sleep((ttl / 3).min(LOOK_EVERY_MAX)).await;
            }
        };
        tokio::select! {
            biased;
            () = giving => {}
            () = keeping => {}
        }
    }
}
