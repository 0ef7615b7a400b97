//! What comes from the store by itself: sagas that are due, commands for sagas of ours, and sagas
//! whose retention is over.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use amends_core::saga::{Input, Saga, Token};
use amends_core::{SagaId, Timestamp};
use amends_ports::store::{self, InboxId, InboxItem, Lease, StoredSaga, Successor, Tickets, Wake};
use tokio::sync::oneshot;

use crate::driver;
use crate::engine::Inner;
use crate::journal::{self, Change};
use crate::live::{CommandReply, CompleteReply, Message, Telling};
use crate::message::{InboxMessage, InboxResult};
use crate::ownership::Work;

/// How a saga was found in the store, under an epoch.
pub(crate) type Found = fn(u64) -> Input;

/// It was in the memory of the partition's last owner.
pub(crate) fn recovered(epoch: u64) -> Input {
    Input::Recovered { epoch }
}

/// It had left memory, or was never driven.
pub(crate) fn loaded(epoch: u64) -> Input {
    Input::Loaded { epoch }
}

/// What a saga that comes into memory hears first.
pub(crate) enum News {
    /// Somebody wants something of it.
    Message(Message),
    /// Its lock keys were granted.
    Granted(Vec<Token>),
}

/// Sagas taken into memory by one read.
const PAGE: u16 = 256;

/// Ended sagas deleted by one transaction.
const DELETE_PAGE: u16 = 1_000;

/// Time between two looks for sagas whose retention is over.
const DELETE_EVERY: Duration = Duration::from_mins(1);

impl Inner {
    /// Looks for due sagas and for messages, until the drain.
    pub(crate) async fn poll(self: Arc<Self>) {
        let mut in_progress = HashMap::new();
        let mut inbox_at = Duration::ZERO;
        while !self.draining.is_cancelled() {
            let owned = self.ownership.ready();
            let leases: Vec<Lease> = owned.iter().map(|own| own.lease()).collect();
            if !leases.is_empty() {
                self.claim_due().await;
                self.find_strays().await;
                // Whoever wakes this wants due sagas found; messages have their own times.
                if self.clock.elapsed() >= inbox_at {
                    self.read_inbox(&leases, &mut in_progress).await;
                    inbox_at = self.clock.elapsed() + self.config.poll_every;
                }
            }
            let left = inbox_at.saturating_sub(self.clock.elapsed());
            let pause = if left.is_zero() { self.config.poll_every } else { left };
            tokio::select! {
                biased;
                () = self.clock.sleep(pause) => {}
                () = self.wake_poller.notified() => {}
                () = self.draining.cancelled() => {}
            }
        }
    }

    async fn claim_due(self: &Arc<Self>) {
        loop {
            // Counted as work from before the claim, so that a hand-over waits for what is claimed.
            let ready = self.ownership.ready();
            let works = ready.iter().filter_map(|own| self.ownership.work_on(own.partition()));
            let works: Vec<Work> = works.collect();
            let leases: Vec<Lease> = works.iter().map(|work| work.owned().lease()).collect();
            if leases.is_empty() {
                return;
            }
            match self.store.claim_due(&leases, PAGE).await {
                Ok(page) => {
                    let is_last = page.len() < usize::from(PAGE);
                    for stored in page {
                        // Under the lease that it was claimed with: if that is lost by now, who
                        // has the partition finds the saga in memory and recovers it.
                        let own = works
                            .iter()
                            .map(Work::owned)
                            .find(|own| own.partition() == stored.partition);
                        if let Some(own) = own.filter(|own| !own.is_lost()) {
                            self.adopt(own.work(), stored, loaded, None).await;
                        }
                    }
                    if is_last {
                        return;
                    }
                }
                Err(error) => {
                    for work in &works {
                        work.owned().may_have_strays();
                    }
                    let error: &dyn std::error::Error = &error;
                    return tracing::warn!(error, "due sagas could not be read; trying again");
                }
            }
        }
    }

    /// Drives the sagas that were claimed by a claim whose answer was lost. Those that are just
    /// leaving memory are written before it looks.
    async fn find_strays(self: &Arc<Self>) {
        for own in self.ownership.ready().into_iter().filter(|own| own.take_strays()) {
            self.journal.flush().await;
            // One that is in memory is told that its row was set back, if that is what was lost.
            let is_driven = |saga_id: &SagaId| self.live.tell_woken(saga_id, &own) == Telling::Told;
            let _ = own.run(self.recover(&own, is_driven)).await;
        }
    }

    /// Drives a saga that got its lock keys from the one before it. If it does not want them any
    /// more, or has a driver that does not know of them, it asks again when it wants them.
    pub(crate) async fn follow(self: Arc<Self>, work: Work, Successor { saga, tokens }: Successor) {
        self.adopt(work, saga, loaded, Some(News::Granted(tokens))).await;
    }

    /// Drives a saga as its journal tells it, and tells it `news` before anything else: a saga for
    /// which nothing is due would leave memory again before a message that comes after it.
    pub(crate) async fn adopt(
        self: &Arc<Self>,
        work: Work,
        stored: StoredSaga,
        found: Found,
        news: Option<News>,
    ) {
        let mut pause = Duration::from_millis(20);
        let definition = loop {
            match self.compiled(&stored.definition).await {
                Ok(Some(definition)) => break definition,
                Ok(None) => {
                    return tracing::error!(saga.id = %stored.saga_id, "a saga's definition is gone; it is not driven");
                }
                Err(error @ store::Error::Corrupt(_)) => {
                    let error: &dyn std::error::Error = &error;
                    return tracing::error!(error, saga.id = %stored.saga_id, "a saga's definition can't be read by this release; it is not driven");
                }
                Err(error) => {
                    {
                        let error: &dyn std::error::Error = &error;
                        tracing::warn!(error, saga.id = %stored.saga_id, "a saga's definition could not be read; trying again");
                    }
                    self.clock.sleep(pause).await;
                    pause = (pause * 2).min(Duration::from_secs(1));
                }
            }
            if work.owned().is_lost() {
                return;
            }
        };
        let mut saga = match Saga::replay(definition, &stored.records) {
            Ok(saga) => saga,
            Err(error) => {
                let error: &dyn std::error::Error = &error;
                return tracing::error!(error, saga.id = %stored.saga_id, "a saga's journal could not be replayed; it is not driven");
            }
        };
        let updated_at = stored.records.last().map_or(Timestamp::default(), |last| last.at);
        let header = driver::header(&saga, updated_at, Wake::InMemory);
        let epoch = work.owned().epoch().0;
        let Ok(handled) = saga.handle(self.clock.now(), found(epoch)) else {
            // It has ended: whatever woke it came too late.
            return;
        };
        let (message, tokens) = match news {
            Some(News::Message(message)) => (Some(message), None),
            Some(News::Granted(tokens)) => (None, Some(tokens).filter(|_| saga.waits_for_lock())),
            None => (None, None),
        };
        // A driver that is just leaving memory is told that the row was set back; one that has
        // left has given the place free. One under a lease that is over is waited for: it drives
        // nothing any more, but may not have been told so yet.
        loop {
            match self.live.tell_woken(&stored.saga_id, work.owned()) {
                Telling::Told => break,
                Telling::Later if work.owned().is_lost() => return,
                Telling::Later => self.clock.sleep(Duration::from_millis(5)).await,
                Telling::Nobody => {
                    if let Some(driver) = driver::prepare(self, work, Arc::new(saga), header) {
                        if let Some(message) = message {
                            let _ = self.live.send(&stored.saga_id, message);
                        }
                        self.tasks.spawn(driver.run(handled, tokens));
                    }
                    return;
                }
            }
        }
        if let Some(message) = message {
            let _ = self.live.send(&stored.saga_id, message);
        }
    }

    async fn read_inbox(
        self: &Arc<Self>,
        leases: &[Lease],
        in_progress: &mut HashMap<InboxId, Duration>,
    ) {
        let items = match self.store.inbox(leases, PAGE).await {
            Ok(items) => items,
            Err(error) => {
                let error: &dyn std::error::Error = &error;
                return tracing::warn!(error, "the inbox could not be read; trying again");
            }
        };
        // What is not there any more is settled. What is there for long was lost with its driver:
        // messages are harmless to repeat.
        let now = self.clock.elapsed();
        in_progress.retain(|id, since| {
            now.saturating_sub(*since) < self.config.command_timeout
                && items.iter().any(|item| item.id == *id)
        });
        for item in items {
            if !in_progress.contains_key(&item.id) && self.deliver(&item).await {
                in_progress.insert(item.id, now);
            }
        }
    }

    /// Hands a message to its saga; false if that did not work this time.
    async fn deliver(self: &Arc<Self>, item: &InboxItem) -> bool {
        let Some(work) = self.ownership.work_on(item.partition) else {
            return false;
        };
        if let Some(message) = self.inbox_message(item).await {
            let Err(message) = self.live.send(&item.saga_id, message) else {
                return true;
            };
            match self.store.claim_one(&[work.owned().lease()], &item.saga_id).await {
                Ok(Some(stored)) => {
                    self.adopt(work, stored, loaded, Some(News::Message(message))).await;
                    return true;
                }
                Ok(None) => {}
                Err(_) => {
                    work.owned().may_have_strays();
                    return false;
                }
            }
        }
        let is_live = match self.store.summary(&item.saga_id).await {
            Ok(summary) => summary.is_some_and(|(_, summary)| !summary.status.is_terminal()),
            Err(_) => return false,
        };
        if is_live {
            return false;
        }
        self.refuse(work, item).await
    }

    async fn inbox_message(&self, item: &InboxItem) -> Option<Message> {
        let id = item.id.clone();
        match serde_json::from_str(&item.message).ok()? {
            InboxMessage::Command { command, by } => {
                let (command, by) = (Box::new(command), Box::new(by));
                Some(Message::Command { command, by, reply: CommandReply::Inbox(id) })
            }
            InboxMessage::Complete { step, op, answer } => {
                let detail = self.detail(&item.saga_id).await.ok()??;
                let step = detail.saga.definition().index_of(step.as_str())?;
                let reply = CompleteReply::Inbox(id);
                Some(Message::Complete { step, op, answer, reply })
            }
        }
    }

    /// Settles a message for a saga that has ended or never was.
    async fn refuse(&self, work: Work, item: &InboxItem) -> bool {
        let (sender, receiver) = oneshot::channel();
        let result = InboxResult::Refused.encode();
        let change = Change {
            saga_id: item.saga_id.clone(),
            owned: Arc::clone(work.owned()),
            from: 0,
            records: journal::encode(&[]),
            record_count: 0,
            header: None,
            tickets: Tickets::Keep,
            grant: false,
            settles: vec![amends_ports::store::Settle { id: item.id.clone(), result }],
            reply: Some(sender),
        };
        self.journal.change(change).await.is_ok() && matches!(receiver.await, Ok(Ok(_)))
    }

    /// Deletes what ended longer ago than the retention, and what is kept of lock keys that nobody
    /// uses, and lists what a release before left, until the drain.
    pub(crate) async fn clean_up(self: Arc<Self>) {
        while !self.draining.is_cancelled() {
            let ended = self.delete_ended().await;
            let idle = self.store.forget_idle_locks(DELETE_PAGE).await;
            let left_behind = self.store.list_left_behind(DELETE_PAGE).await;
            let mut more = false;
            for done in [ended, idle, left_behind] {
                match done {
                    Ok(count) => more |= count >= u64::from(DELETE_PAGE),
                    Err(error) => {
                        let error: &dyn std::error::Error = &error;
                        tracing::warn!(error, "the store could not be tidied up; trying again");
                    }
                }
            }
            if more {
                continue;
            }
            tokio::select! {
                biased;
                () = self.clock.sleep(DELETE_EVERY) => {}
                () = self.draining.cancelled() => {}
            }
        }
    }

    /// A page of sagas that ended longer ago than the retention, if there is one.
    async fn delete_ended(&self) -> Result<u64, amends_ports::store::Error> {
        let Some(retention) = self.config.retention else { return Ok(0) };
        let micros = i64::try_from(retention.as_micros()).unwrap_or(i64::MAX);
        let before = Timestamp(self.clock.now().0.saturating_sub(micros));
        self.store.delete_ended(before, DELETE_PAGE).await
    }
}
