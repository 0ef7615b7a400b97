//! Leaving memory: what sleeps is in the store alone.

use std::sync::Arc;

use amends_core::definition::Mode;
use amends_core::mutant::Mutant;
use amends_ports::store::{Tickets, Wake};
use tokio::sync::oneshot;

use super::{Driver, Exit};
use crate::journal::{self, Change};

impl Driver {
    /// Leaves memory if nothing is due soon, or if the partition is handed over and nothing is in
    /// flight.
    pub(super) async fn leave(&mut self) -> Option<Exit> {
        // Of an earlier look: in the past it would ring again and again.
        self.lingers_until = None;
        if !self.calls.is_empty() {
            return None;
        }
        if self.is_held {
            // The row says that the saga is in memory, so the next owner takes it over.
            self.inner.live.remove(self.saga.id(), self.work.owned());
            return Some(Exit::Done);
        }
        if !self.polls.is_empty()
            || (!self.waiters.is_empty() && self.header.wake == Wake::InMemory)
            || !self.gated.is_empty()
            || self.lingers()
        {
            return None;
        }
        let next = self.timers.iter().map(|(_, at)| *at).min();
        let soon = self.inner.clock.now().after(self.inner.config.park_after);
        if next.is_some_and(|at| at <= soon) {
            return None;
        }
        // The row of a saga that waits for its lock keys says when to look already.
        let wake = match (self.header.wake, next) {
            (Wake::InMemory, Some(at)) if !Mutant::SleepsForEver.is_on() => Wake::At(at),
            (Wake::InMemory, _) => Wake::Parked,
            (wake, _) => wake,
        };
        if !self.inner.live.remove_if_idle(self.saga.id(), &self.messages) {
            return None;
        }
        // From here on the saga is found in the store alone; whoever looks for it before the
        // row says so asks again.
        let now = self.inner.clock.now();
        if let Some(header) = self.changed_header(now, wake) {
            let (sender, receiver) = oneshot::channel();
            let change = Change {
                saga_id: self.saga.id().clone(),
                owned: Arc::clone(self.work.owned()),
                from: self.saga.fact_count(),
                records: journal::encode(&[]),
                record_count: 0,
                header: Some(header),
                tickets: Tickets::Keep,
                grant: false,
                settles: Vec::new(),
                reply: Some(sender),
            };
            if self.inner.journal.change(change).await.is_ok() {
                let _ = receiver.await;
            }
        }
        Some(Exit::Done)
    }

    /// Whether its client or parent, who decides, may come back soon: then it stays a while.
    fn lingers(&mut self) -> bool {
        let is_for_others =
            self.saga.mode() == Mode::Interactive || self.saga.accepted().parent.is_some();
        let until = self.header.updated_at.after(self.inner.config.park_after);
        let lingers =
            is_for_others && self.saga.decision().is_none() && until > self.inner.clock.now();
        self.lingers_until = lingers.then_some(until);
        lingers
    }
}
