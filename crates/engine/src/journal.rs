//! The journal writer: changes of many sagas, one transaction.
//!
//! While one batch commits the next one fills, so a lone change goes at once and a crowd shares
//! its commits. Several changes of one saga that meet in a batch become one row. Changes of one
//! saga stay in the order they were handed over.

use std::collections::HashMap;
use std::sync::Arc;

use amends_core::SagaId;
use amends_core::saga::{Record, Token};
use amends_ports::store::{AcceptOutcome, Append, Header, NewSaga, Settle, Tickets};
use tokio::sync::{mpsc, oneshot};

use crate::ownership::Owned;

/// What became of a change.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum JournalError {
    /// The partition has another owner or epoch by now, and the change may or may not have been
    /// written: stop driving, the store has the truth.
    #[error("the partition was lost")]
    Lost,
    /// The store was away for too long; nothing was written.
    #[error("the store is not available")]
    Unavailable,
    /// It is not known whether it was written, and it is not to be seen.
    #[error("the answer to the commit was lost")]
    Unknown,
}

pub(crate) type AcceptReply = oneshot::Sender<Result<AcceptOutcome, JournalError>>;
pub(crate) type AppendReply = oneshot::Sender<Result<Option<Vec<Token>>, JournalError>>;

/// A saga to be made.
#[derive(Debug)]
pub(crate) struct Accept {
    pub(crate) saga: NewSaga,
    /// Its partition's lease; none if another coordinator is to start it.
    pub(crate) owned: Option<Arc<Owned>>,
    pub(crate) reply: AcceptReply,
}

/// Further facts of a saga.
#[derive(Debug)]
pub(crate) struct Change {
    pub(crate) saga_id: SagaId,
    pub(crate) owned: Arc<Owned>,
    /// Number of the first fact.
    pub(crate) from: u64,
    /// Facts as JSON, separated by commas.
    pub(crate) records: String,
    pub(crate) record_count: u32,
    pub(crate) header: Option<Header>,
    pub(crate) tickets: Tickets,
    /// Ask for its lock keys in the same transaction; the reply holds the tokens if granted.
    pub(crate) grant: bool,
    pub(crate) settles: Vec<Settle>,
    /// Told when it is durable; nobody waits, if none.
    pub(crate) reply: Option<AppendReply>,
}

/// What the writer is handed.
#[derive(Debug)]
pub(crate) enum Entry {
    Accept(Box<Accept>),
    Change(Box<Change>),
    /// Answered when everything handed over before is written.
    Flush(oneshot::Sender<()>),
}

/// The way to the writer. Cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct Journal {
    sender: mpsc::Sender<Entry>,
    bound: usize,
}

impl Journal {
    pub(crate) fn new(bound: usize) -> (Self, mpsc::Receiver<Entry>) {
        let (sender, receiver) = mpsc::channel(bound);
        (Self { sender, bound }, receiver)
    }

    /// Hands a submission over, if there is room: running sagas go first, so submissions are
    /// refused while half the queue is taken.
    pub(crate) fn try_accept(&self, accept: Accept) -> Result<(), Box<Accept>> {
        if self.sender.capacity() < self.bound / 2 {
            return Err(Box::new(accept));
        }
        match self.sender.try_reserve() {
            Ok(place) => {
                place.send(Entry::Accept(Box::new(accept)));
                Ok(())
            }
            Err(_) => Err(Box::new(accept)),
        }
    }

    /// Hands a change over; waits for room.
    pub(crate) async fn change(&self, change: Change) -> Result<(), JournalError> {
        self.sender.send(Entry::Change(Box::new(change))).await.map_err(|_| JournalError::Lost)
    }

    /// Returns when everything handed over before is written or lost.
    pub(crate) async fn flush(&self) {
        let (sender, receiver) = oneshot::channel();
        if self.sender.send(Entry::Flush(sender)).await.is_ok() {
            let _ = receiver.await;
        }
    }
}

/// Facts as the writer takes them.
pub(crate) fn encode(records: &[Record]) -> String {
    // Records have string keys only, so writing them cannot fail.
    let mut text = serde_json::to_string(records).unwrap_or_default();
    text.pop();
    if !text.is_empty() {
        text.remove(0);
    }
    text
}

/// One transaction in the making.
#[derive(Debug, Default)]
pub(crate) struct Gathered {
    pub(crate) accepts: Vec<Accept>,
    pub(crate) changes: Vec<Joined>,
    pub(crate) flushes: Vec<oneshot::Sender<()>>,
    index: HashMap<SagaId, Option<usize>>,
    bytes: usize,
}

/// All changes of one saga in a batch.
#[derive(Debug)]
pub(crate) struct Joined {
    pub(crate) owned: Arc<Owned>,
    pub(crate) append: Append,
    pub(crate) grant: bool,
    pub(crate) settles: Vec<Settle>,
    pub(crate) replies: Vec<AppendReply>,
}

impl Gathered {
    /// How many sagas are in it.
    pub(crate) fn sagas(&self) -> usize {
        self.accepts.len() + self.changes.len()
    }

    /// How many bytes of facts are in it.
    pub(crate) const fn bytes(&self) -> usize {
        self.bytes
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.sagas() == 0
    }

    /// Takes one more entry in; gives it back if it must wait for the next batch.
    pub(crate) fn add(&mut self, entry: Entry) -> Option<Entry> {
        match entry {
            Entry::Flush(reply) => self.flushes.push(reply),
            Entry::Accept(accept) => {
                if self.index.contains_key(&accept.saga.saga_id) {
                    return Some(Entry::Accept(accept));
                }
                self.bytes += accept.saga.records.len();
                self.index.insert(accept.saga.saga_id.clone(), None);
                self.accepts.push(*accept);
            }
            Entry::Change(change) => {
                self.bytes += change.records.len();
                match self.index.get(&change.saga_id) {
                    // Of one saga under two leases only the newer one counts.
                    Some(Some(at)) if !Arc::ptr_eq(&self.changes[*at].owned, &change.owned) => {
                        let earlier = &mut self.changes[*at];
                        let mut over = Joined::from(*change);
                        if earlier.owned.epoch() < over.owned.epoch() {
                            std::mem::swap(earlier, &mut over);
                        }
                        refuse(over.replies, &JournalError::Lost);
                    }
                    Some(Some(at)) => self.changes[*at].join(*change),
                    Some(None) => return Some(Entry::Change(change)),
                    None => {
                        self.index.insert(change.saga_id.clone(), Some(self.changes.len()));
                        self.changes.push(Joined::from(*change));
                    }
                }
            }
        }
        None
    }
}

/// Tells everyone who waits why their change was not written.
pub(crate) fn refuse(replies: Vec<AppendReply>, error: &JournalError) {
    for reply in replies {
        let _ = reply.send(Err(error.clone()));
    }
}

impl From<Change> for Joined {
    fn from(change: Change) -> Self {
        Self {
            append: Append {
                saga_id: change.saga_id,
                partition: change.owned.partition(),
                from: change.from,
                records: change.records,
                record_count: change.record_count,
                header: change.header,
                tickets: change.tickets,
            },
            owned: change.owned,
            grant: change.grant,
            settles: change.settles,
            replies: change.reply.into_iter().collect(),
        }
    }
}

impl Joined {
    fn join(&mut self, change: Change) {
        if !change.records.is_empty() {
            if !self.append.records.is_empty() {
                self.append.records.push(',');
            }
            self.append.records.push_str(&change.records);
        }
        self.append.record_count += change.record_count;
        if change.header.is_some() {
            self.append.header = change.header;
        }
        self.append.tickets = self.append.tickets.then(change.tickets);
        self.grant |= change.grant;
        self.settles.extend(change.settles);
        self.replies.extend(change.reply);
    }
}
