//! The engine as its users see it, and what its parts share.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use amends_core::definition::Mode;
use amends_core::saga::{Saga, Status};
use amends_core::{SagaId, Timestamp};
use amends_ports::store::{self, CoordinatorId, JournalPage, Partition};
use amends_ports::{
    Clock, Cursor, Ids, Locks, LocksHealth, Page, Participants, SagaFilter, SagaSummary, Store,
};
use tokio::runtime::Handle;
use tokio::sync::{Notify, broadcast, oneshot};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::definitions::Definitions;
use crate::guards::Guards;
use crate::journal::Journal;
use crate::live::{Live, Message};
use crate::memory::Memory;
use crate::ownership::Ownership;
use crate::{EngineConfig, Hint, Metrics, SagaDetail, StartError, Tracing, writer};

/// Hints that a slow listener may fall behind before it loses some.
const HINTS_MAX: usize = 4_096;

/// What the engine needs from outside.
#[derive(Clone, Debug)]
pub struct Ports {
    /// Keeps sagas.
    pub store: Arc<dyn Store>,
    /// Guards lock keys towards others; without it the store's tickets alone serve.
    pub locks: Option<Arc<dyn Locks>>,
    /// Makes calls.
    pub participants: Arc<dyn Participants>,
    /// Time.
    pub clock: Arc<dyn Clock>,
    /// Names.
    pub ids: Arc<dyn Ids>,
    /// Trace context.
    pub tracing: Arc<dyn Tracing>,
}

/// A running coordinator. Cheap to clone.
#[derive(Clone)]
pub struct Engine(Arc<Inner>);

/// What the parts of the engine share.
pub(crate) struct Inner {
    pub(crate) me: CoordinatorId,
    pub(crate) config: EngineConfig,
    pub(crate) store: Arc<dyn Store>,
    pub(crate) participants: Arc<dyn Participants>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) ids: Arc<dyn Ids>,
    pub(crate) tracing: Arc<dyn Tracing>,
    pub(crate) metrics: Metrics,
    pub(crate) journal: Journal,
    pub(crate) live: Live,
    pub(crate) memory: Memory,
    pub(crate) ownership: Ownership,
    pub(crate) definitions: Definitions,
    pub(crate) guards: Guards,
    pub(crate) partitions: u16,
    pub(crate) secret: String,
    pub(crate) tasks: TaskTracker,
    /// Where all but the journal writer runs.
    pub(crate) runtime: Handle,
    pub(crate) draining: CancellationToken,
    /// The drain is over.
    pub(crate) ended: CancellationToken,
    /// Looks for due sagas at once instead of at the next turn.
    pub(crate) wake_poller: Notify,
    /// A partition became ready.
    pub(crate) ready: Notify,
    pub(crate) participants_revision: AtomicU64,
    hints: broadcast::Sender<Hint>,
}

impl fmt::Debug for Engine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Engine").field("me", &self.0.me).finish_non_exhaustive()
    }
}

/// Whether the coordinator can do its work.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Readiness {
    /// All of the below is well.
    pub ready: bool,
    /// It is shutting down.
    pub draining: bool,
    /// Whether the store answers, or why not.
    pub store: Result<(), String>,
    /// Partitions it owns.
    pub partitions: u16,
    /// How the lock service is, if there is one. Without its quorum only sagas with lock keys wait.
    pub locks: Option<LocksHealth>,
}

impl Engine {
    /// Starts a coordinator. It takes its share of partitions and drives their sagas from now on.
    ///
    /// # Errors
    ///
    /// [`StartError`]; nothing runs then.
    pub async fn start(ports: Ports, config: EngineConfig) -> Result<Self, StartError> {
        Self::start_with_writer_on(&Handle::current(), ports, config).await
    }

    /// The same with the journal writer on another runtime. One with a thread of its own lets the
    /// next batch go as soon as the store has answered, however much else there is to do.
    ///
    /// # Errors
    ///
    /// [`StartError`]; nothing runs then.
    pub async fn start_with_writer_on(
        writer: &Handle,
        ports: Ports,
        config: EngineConfig,
    ) -> Result<Self, StartError> {
        config.validate()?;
        let Ports { store, locks, participants, clock, ids, tracing } = ports;
        store.ready().await?;
        let partitions = store.partitions().await?;
        let secret = store.secret().await?;
        let (journal, entries) = Journal::new(config.journal_queue_max);
        let inner = Arc::new(Inner {
            me: CoordinatorId(ids.token()),
            store,
            participants,
            clock,
            ids,
            tracing,
            metrics: Metrics::new(),
            journal,
            live: Live::new(),
            memory: Memory::default(),
            ownership: Ownership::new(),
            definitions: Definitions::default(),
            guards: Guards::new(locks),
            partitions,
            secret,
            tasks: TaskTracker::new(),
            runtime: Handle::current(),
            draining: CancellationToken::new(),
            ended: CancellationToken::new(),
            wake_poller: Notify::new(),
            ready: Notify::new(),
            participants_revision: AtomicU64::new(0),
            hints: broadcast::channel(HINTS_MAX).0,
            config,
        });
        inner.load_participants().await?;
        let writing = tokio_util::task::AbortOnDropHandle::new(
            inner.tasks.spawn_on(writer::run(Arc::clone(&inner), entries), writer),
        );
        inner.tasks.spawn(Arc::clone(&inner).watch_writer(writing));
        inner.tasks.spawn(Arc::clone(&inner).keep_leases());
        inner.tasks.spawn(Arc::clone(&inner).keep_guards());
        inner.tasks.spawn(Arc::clone(&inner).poll());
        inner.tasks.spawn(Arc::clone(&inner).watch_participants());
        inner.tasks.spawn(Arc::clone(&inner).clean_up());
        Ok(Self(inner))
    }

    pub(crate) const fn from_inner(inner: Arc<Inner>) -> Self {
        Self(inner)
    }

    pub(crate) const fn inner(&self) -> &Arc<Inner> {
        &self.0
    }

    /// Waits until the coordinator drives at least one partition, for `at_most`; false if it does
    /// not by then (others may own them all).
    pub async fn wait_ready(&self, at_most: Duration) -> bool {
        let until = self.0.clock.elapsed() + at_most;
        loop {
            let became = self.0.ready.notified();
            if !self.0.ownership.ready().is_empty() {
                return true;
            }
            let left = until.saturating_sub(self.0.clock.elapsed());
            if left.is_zero() {
                return false;
            }
            tokio::select! {
                biased;
                () = became => {}
                () = self.0.clock.sleep(left) => {}
            }
        }
    }

    /// One saga, as it is stored now.
    ///
    /// # Errors
    ///
    /// The store's.
    pub async fn saga(&self, saga_id: &SagaId) -> Result<Option<SagaDetail>, store::Error> {
        match self.0.look(saga_id).await {
            Some(detail) => Ok(Some(detail)),
            None => self.0.detail(saga_id).await,
        }
    }

    /// Waits until a saga is terminal or suspended, or is an interactive transaction whose client
    /// has the next word, for `at_most`; answers it as it is then.
    ///
    /// # Errors
    ///
    /// The store's.
    pub async fn wait(
        &self,
        saga_id: &SagaId,
        at_most: Duration,
    ) -> Result<Option<SagaDetail>, store::Error> {
        const PAUSE_MAX: Duration = Duration::from_millis(500);
        let until = self.0.clock.elapsed() + at_most;
        // Usually it is in memory.
        if let Some(detail) = self.0.hear(saga_id, until).await {
            return Ok(Some(detail));
        }
        let expected = self.0.live.expect(saga_id);
        let mut pause = Duration::from_millis(20);
        // As far as is known: a summary does not tell, and a journal is not read at every look.
        let mut is_interactive = true;
        loop {
            let came = expected.came();
            if let Some(detail) = self.0.hear(saga_id, until).await {
                return Ok(Some(detail));
            }
            let left = until.saturating_sub(self.0.clock.elapsed());
            // Not in memory here: it has ended, sleeps, or another coordinator drives it.
            let is_over = |status: Status| status.is_terminal() || status == Status::Suspended;
            let summary = self.0.store.summary(saga_id).await?;
            // Whoever drives it here tells: the store is asked in case it is driven elsewhere soon.
            if let Some((partition, _)) = &summary
                && self.0.ownership.work_on(*partition).is_some()
            {
                pause = PAUSE_MAX;
            }
            match summary {
                None => return Ok(None),
                Some((_, summary)) if is_over(summary.status) => {
                    return self.0.detail(saga_id).await;
                }
                Some(_) if left.is_zero() => return self.0.detail(saga_id).await,
                Some((_, summary)) if is_interactive && summary.status == Status::Running => {
                    let detail = self.0.detail(saga_id).await?;
                    if detail.as_ref().is_some_and(|detail| detail.saga.waits_for_client()) {
                        return Ok(detail);
                    }
                    let mode = detail.map(|detail| detail.saga.mode());
                    is_interactive = mode == Some(Mode::Interactive);
                }
                Some(_) => {}
            }
            tokio::select! {
                biased;
                () = came => {}
                () = self.0.clock.sleep(pause.min(left)) => {
                    pause = (pause * 2).min(PAUSE_MAX);
                }
            }
        }
    }

    /// A part of a saga's journal, from fact number `from`.
    ///
    /// # Errors
    ///
    /// The store's.
    pub async fn records(
        &self,
        saga_id: &SagaId,
        from: u64,
        limit: u16,
    ) -> Result<Option<JournalPage>, store::Error> {
        self.0.store.journal(saga_id, from, limit).await
    }

    /// A page of sagas, newest first.
    ///
    /// # Errors
    ///
    /// The store's.
    pub async fn sagas(
        &self,
        filter: &SagaFilter,
        after: Option<&Cursor>,
        limit: u16,
    ) -> Result<Page<SagaSummary>, store::Error> {
        self.0.store.sagas(filter, after, limit).await
    }

    /// How many sagas stand in each status; counting stops at `limit` for each.
    ///
    /// # Errors
    ///
    /// The store's.
    pub async fn counts(&self, limit: u32) -> Result<Vec<(Status, u32)>, store::Error> {
        self.0.store.counts(limit).await
    }

    /// What changes, from now on. A listener that is too slow misses some.
    pub fn hints(&self) -> broadcast::Receiver<Hint> {
        self.0.hints.subscribe()
    }

    /// Whether the coordinator can do its work.
    pub async fn ready(&self) -> Readiness {
        let store = self.0.store.ready().await.map_err(|error| error.to_string());
        let draining = self.is_draining();
        let partitions = u16::try_from(self.0.ownership.count()).unwrap_or(u16::MAX);
        let locks = match self.0.guards.service() {
            Some(service) => Some(service.health().await),
            None => None,
        };
        Readiness { ready: store.is_ok() && !draining, draining, store, partitions, locks }
    }

    /// Whether it is shutting down.
    pub fn is_draining(&self) -> bool {
        self.0.draining.is_cancelled()
    }

    /// Cancelled when the drain begins.
    pub fn draining(&self) -> CancellationToken {
        self.0.draining.clone()
    }

    /// Shuts down: accepts nothing new, lets calls in flight end (within the drain's bound), gives
    /// the partitions to others, and returns.
    pub async fn drain(&self) {
        self.0.draining.cancel();
        self.0.hand_over_all().await;
        if let Err(error) = self.0.store.leave(&self.0.me).await {
            let error: &dyn std::error::Error = &error;
            tracing::warn!(error, "the coordinator could not sign off; its leases will run out");
        }
        self.0.ended.cancel();
    }

    /// What it counts.
    pub fn metrics(&self) -> &Metrics {
        &self.0.metrics
    }

    /// All metrics in OpenMetrics text, with what is in memory now.
    pub fn metrics_text(&self) -> String {
        let Inner { metrics, live, memory, guards, .. } = &*self.0;
        metrics.in_memory(live.count(), memory.taken(), guards.count());
        metrics.encode()
    }

    /// The time, by its clock.
    pub fn now(&self) -> Timestamp {
        self.0.clock.now()
    }
}

impl Inner {
    /// Without its writer a coordinator can do nothing: it stops, so that another one takes over.
    async fn watch_writer(self: Arc<Self>, writing: tokio_util::task::AbortOnDropHandle<()>) {
        let ended = writing.await;
        if !self.draining.is_cancelled() {
            tracing::error!(?ended, "the journal writer has stopped; this is a bug; shutting down");
            self.draining.cancel();
        }
    }

    /// What a saga in memory has to tell by `until` to those who wait for it; none if it is not in
    /// memory, leaves it, or takes longer.
    async fn hear(&self, saga_id: &SagaId, until: Duration) -> Option<SagaDetail> {
        let (sender, receiver) = oneshot::channel();
        self.live.send(saga_id, Message::Wait(sender)).ok()?;
        let left = until.saturating_sub(self.clock.elapsed());
        tokio::select! {
            biased;
            answer = receiver => answer.ok(),
            () = self.clock.sleep(left) => None,
        }
    }

    /// A saga that is driven here, as it is stored now: while the leases are certainly ours nobody
    /// else writes it, so the store need not be asked.
    async fn look(&self, saga_id: &SagaId) -> Option<SagaDetail> {
        const AT_MOST: Duration = Duration::from_millis(100);
        let (sender, receiver) = oneshot::channel();
        self.live.send(saga_id, Message::Look(sender)).ok()?;
        let detail = tokio::select! {
            biased;
            detail = receiver => detail.ok()?,
            // It waits for the store, which may tell more.
            () = self.clock.sleep(AT_MOST) => return None,
        };
        self.ownership.is_valid(self.clock.elapsed()).then_some(detail)
    }

    /// A saga as the store has it.
    pub(crate) async fn detail(
        &self,
        saga_id: &SagaId,
    ) -> Result<Option<SagaDetail>, store::Error> {
        let Some((summary, stored)) = self.store.saga(saga_id).await? else {
            return Ok(None);
        };
        let definition = self.compiled(&stored.definition).await?.ok_or_else(|| {
            store::Error::Corrupt(format!("the definition of saga {saga_id} is gone"))
        })?;
        let saga = Saga::replay(definition, &stored.records)
            .map_err(|error| store::Error::Corrupt(format!("saga {saga_id}: {error}")))?;
        let last = stored.records.last().map_or(summary.updated_at, |record| record.at);
        let updated_at = last.max(summary.updated_at);
        Ok(Some(SagaDetail { saga: Arc::new(saga), updated_at }))
    }

    /// Where sagas with this first lock key, or with this id, live.
    pub(crate) fn partition_of(&self, text: &str) -> Partition {
        // FNV-1a: every release and coordinator must come to the same partition.
        let mut hash = 0xcbf2_9ce4_8422_2325_u64;
        for byte in text.bytes() {
            hash = (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
        }
        let partition = (hash >> 16) % u64::from(self.partitions.max(1));
        Partition(u16::try_from(partition).unwrap_or(0))
    }

    /// Tells listeners, if there are any.
    pub(crate) fn send_hint(&self, hint: impl FnOnce() -> Hint) {
        if self.hints.receiver_count() > 0 {
            let _ = self.hints.send(hint());
        }
    }
}
