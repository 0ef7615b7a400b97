//! A task that writes: gathers, commits, wakes, and deals with commits that fail.
//!
//! * Fenced: the partitions named are lost, the rest is written again.
//! * Unavailable: the same batch again after a pause; submissions wait no longer than their
//!   time-out.
//! * Outcome unknown: the epochs are raised first (which waits for the old transaction or fences
//!   it), the sagas of these partitions leave memory, and recovery reads what became of them.

use std::sync::Arc;
use std::time::Duration;

use amends_core::mutant::Mutant;
use amends_core::saga::Token;
use amends_ports::failpoint;
use amends_ports::store::{Lease, WriteError, Written};
use tokio::sync::mpsc;

use crate::engine::Inner;
use crate::journal::{Entry, Gathered, JournalError, Waiting, WaitingChange, refuse};
use crate::ownership::Owned;

/// First pause after a failed write; doubles up to [`PAUSE_MAX`].
const PAUSE: Duration = Duration::from_millis(20);

/// Longest pause between two tries of a batch.
const PAUSE_MAX: Duration = Duration::from_secs(1);

/// Failures of one batch after which its changes are tried one by one, if the store says that it
/// is well: so that one change that the store cannot take does not hold up all others.
const FAILURES_MAX: u32 = 4;

/// Writes until every sender is gone.
pub(crate) async fn run(inner: Arc<Inner>, mut entries: mpsc::Receiver<Entry>) {
    let mut held_back = Vec::new();
    loop {
        let mut gathered = Gathered::default();
        for entry in std::mem::take(&mut held_back) {
            held_back.extend(gathered.add(entry));
        }
        if gathered.is_empty() && gathered.flushes.is_empty() {
            match entries.recv().await {
                Some(entry) => held_back.extend(gathered.add(entry)),
                None => return,
            }
        }
        // An entry that must wait for the next batch holds up those after it, so that the changes
        // of a saga stay in order.
        while held_back.is_empty()
            && gathered.sagas() < inner.config.batch_sagas_max
            && gathered.bytes() < inner.config.batch_bytes_max
        {
            match entries.try_recv() {
                Ok(entry) => held_back.extend(gathered.add(entry)),
                Err(_) => break,
            }
        }
        let flushes = std::mem::take(&mut gathered.flushes);
        write(&inner, gathered).await;
        for flush in flushes {
            let _ = flush.send(());
        }
    }
}

/// Writes a batch, whatever it takes, and tells everyone who waits what became of it.
async fn write(inner: &Arc<Inner>, mut gathered: Gathered) {
    let started = inner.clock.elapsed();
    let (mut pause, mut failures) = (PAUSE, 0);
    loop {
        drop_lost(&mut gathered);
        if gathered.is_empty() {
            return;
        }
        let (sagas, bytes) = (gathered.sagas(), gathered.bytes());
        let (mut batch, waiting) = gathered.into_batch();
        batch.successors_in = inner.ownership.ready_of(&batch.leases);
        let began = inner.clock.elapsed();
        let error = match inner.store.write(&batch).await {
            Ok(written) => {
                let seconds = inner.clock.elapsed().saturating_sub(began).as_secs_f64();
                let rows = batch.accepts.len() * 2 + batch.appends.len();
                inner.metrics.committed(sagas, rows, bytes, seconds);
                return answer(inner, waiting, written);
            }
            Err(error) => error,
        };
        gathered = waiting.with(batch);
        match error {
            WriteError::Fenced(partitions) => {
                inner.metrics.fenced();
                tracing::warn!(
                    ?partitions,
                    "a batch was refused: these partitions have a newer owner"
                );
                for own in gathered.leases().values() {
                    if partitions.contains(&own.partition()) {
                        inner.ownership.lose_lease(own.lease());
                    }
                }
            }
            WriteError::Unavailable(error) => {
                failures += 1;
                tracing::warn!(
                    error = &*error,
                    failures,
                    "a batch could not be written; it is tried again"
                );
                if inner.clock.elapsed().saturating_sub(started) > inner.config.submit_timeout {
                    for accept in gathered.accepts.drain(..) {
                        let _ = accept.reply.send(Err(JournalError::Unavailable));
                    }
                }
                if failures >= FAILURES_MAX
                    && gathered.sagas() > 1
                    && inner.store.ready().await.is_ok()
                {
                    return write_one_by_one(inner, gathered).await;
                }
                if failures >= FAILURES_MAX
                    && gathered.sagas() == 1
                    && inner.store.ready().await.is_ok()
                {
                    return reload(inner, gathered).await;
                }
                inner.clock.sleep(pause).await;
                pause = (pause * 2).min(PAUSE_MAX);
            }
            WriteError::OutcomeUnknown(_) if Mutant::LostCommitIgnored.is_on() => {
                inner.clock.sleep(pause).await;
            }
            WriteError::OutcomeUnknown(error) => {
                inner.metrics.unknown_commit();
                tracing::warn!(
                    error = &*error,
                    "the answer to a commit was lost; raising the epochs of its partitions"
                );
                return reload(inner, gathered).await;
            }
        }
    }
}

async fn write_one_by_one(inner: &Arc<Inner>, gathered: Gathered) {
    for change in gathered.changes {
        let mut one = Gathered::default();
        one.changes.push(change);
        Box::pin(write(inner, one)).await;
    }
    for accept in gathered.accepts {
        let mut one = Gathered::default();
        one.accepts.push(accept);
        Box::pin(write(inner, one)).await;
    }
}

/// Leaves out what belongs to partitions that were lost meanwhile.
fn drop_lost(gathered: &mut Gathered) {
    for change in gathered.changes.extract_if(.., |change| change.owned.is_lost()) {
        refuse(change.replies, &JournalError::Lost);
    }
    let is_lost = |owned: &Option<Arc<Owned>>| owned.as_ref().is_some_and(|own| own.is_lost());
    for accept in gathered.accepts.extract_if(.., |accept| is_lost(&accept.owned)) {
        let _ = accept.reply.send(Err(JournalError::Lost));
    }
}

/// Tells everyone what was written.
fn answer(inner: &Arc<Inner>, waiting: Waiting, written: Written) {
    let mut following = Vec::with_capacity(written.successors.len());
    for successor in written.successors {
        // Counted as work before who released is told, so that a hand-over waits for it.
        let owned = waiting.owned(successor.saga.partition);
        let is_wanted = |own: &&Arc<Owned>| !own.is_lost() && !Mutant::SuccessorForgotten.is_on();
        if let Some(own) = owned.filter(is_wanted) {
            following.push(Arc::clone(inner).follow(own.work(), successor));
        }
    }
    for ((_, reply), outcome) in waiting.accepts.into_iter().zip(written.accepts) {
        let _ = reply.send(Ok(outcome));
    }
    let mut grants = written.grants.into_iter();
    for WaitingChange { grant, replies, .. } in waiting.changes {
        let tokens: Option<Vec<Token>> = if grant { grants.next().flatten() } else { None };
        for reply in replies {
            let _ = reply.send(Ok(tokens.clone()));
        }
    }
    // After that, so that a guard is given up before the next saga asks for it.
    for follow in following {
        inner.tasks.spawn_on(follow, &inner.runtime);
    }
    if !written.woken.is_empty() {
        inner.wake_poller.notify_one();
    }
}

/// Finds out what became of a batch by taking its partitions anew: raises their epochs, lets
/// their sagas go, and reads them again.
async fn reload(inner: &Arc<Inner>, gathered: Gathered) {
    let owned = gathered.leases();
    let old: Vec<Lease> = owned.values().map(|own| own.lease()).collect();
    for lease in &old {
        inner.ownership.lose_lease(*lease);
    }
    for change in gathered.changes {
        refuse(change.replies, &JournalError::Lost);
    }
    failpoint!("engine.reload.before-raise");
    let mut pause = PAUSE;
    let began = inner.clock.elapsed();
    let leases = loop {
        match inner.store.raise_epochs(&inner.me, &old, inner.config.lease_ttl).await {
            Ok(leases) => break leases,
            Err(error) => {
                tracing::warn!(
                    error = &error as &dyn std::error::Error,
                    "epochs could not be raised; trying again"
                );
                inner.clock.sleep(pause).await;
                pause = (pause * 2).min(PAUSE_MAX);
            }
        }
    };
    for lease in leases {
        inner.take(lease);
    }
    for accept in gathered.accepts {
        let is_late = inner.clock.elapsed().saturating_sub(began) > inner.config.submit_timeout;
        // A foreign submission has no epoch to raise: its transaction may still be running.
        let found = match (&accept.owned, is_late) {
            (Some(_), false) => inner.store.summary(&accept.saga.saga_id).await.ok().flatten(),
            _ => None,
        };
        // The one that is there may have been made before, by another request: asked again, the store
        // says which.
        let error = found.map_or(JournalError::Unknown, |_| JournalError::Lost);
        let _ = accept.reply.send(Err(error));
    }
}
