//! The journal writer: changes of many sagas, one transaction.
//!
//! While one batch commits the next one fills, so a lone change goes at once and a crowd shares
//! its commits. Several changes of one saga that meet in a batch become one row. Changes of one
//! saga stay in the order they were handed over.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use amends_core::SagaId;
use amends_core::saga::{Record, Token};
use amends_ports::store::{
    AcceptOutcome, Append, Batch, Grant, Header, NewSaga, Partition, Settle, Tickets,
};
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
    /// Facts as a JSON array.
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

/// About how many bytes of JSON a fact has without payloads.
const FACT_BYTES: usize = 160;

/// Facts as the writer takes them, a JSON array.
pub(crate) fn encode(records: &[Record]) -> String {
    let mut text = Vec::with_capacity(FACT_BYTES * records.len());
    // Records have string keys only, so writing them cannot fail; and JSON is UTF-8.
    let _ = serde_json::to_writer(&mut text, records);
    String::from_utf8(text).unwrap_or_default()
}

/// Puts the second of two JSON arrays behind the first.
fn join(first: &mut String, second: &str) {
    let Some(rest) = second.strip_prefix('[').filter(|rest| *rest != "]") else { return };
    if first == "[]" {
        second.clone_into(first);
    } else {
        first.pop();
        first.push(',');
        first.push_str(rest);
    }
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

/// Who waits for a batch, and all of it that is not in the [`Batch`] itself.
#[derive(Debug)]
pub(crate) struct Waiting {
    pub(crate) accepts: Vec<(Option<Arc<Owned>>, AcceptReply)>,
    pub(crate) changes: Vec<WaitingChange>,
}

/// One saga's part of [`Waiting`].
#[derive(Debug)]
pub(crate) struct WaitingChange {
    owned: Arc<Owned>,
    /// Says nothing that would have to be written.
    idle: Option<Append>,
    pub(crate) grant: bool,
    settles: Vec<Settle>,
    pub(crate) replies: Vec<AppendReply>,
}

impl Waiting {
    /// The lease on a partition that the batch relied on.
    pub(crate) fn owned(&self, partition: Partition) -> Option<&Arc<Owned>> {
        let of_changes = self.changes.iter().map(|change| &change.owned);
        let of_accepts = self.accepts.iter().filter_map(|(owned, _)| owned.as_ref());
        of_changes.chain(of_accepts).find(|own| own.partition() == partition)
    }

    /// The whole again, to be written another time.
    pub(crate) fn with(self, batch: Batch) -> Gathered {
        let accepts = self.accepts.into_iter().zip(batch.accepts);
        let mut appends = batch.appends.into_iter();
        let changes = self.changes.into_iter().filter_map(|change| {
            let WaitingChange { owned, idle, grant, settles, replies } = change;
            let append = idle.or_else(|| appends.next())?;
            Some(Joined { owned, append, grant, settles, replies })
        });
        let mut gathered = Gathered {
            accepts: accepts.map(|((owned, reply), saga)| Accept { saga, owned, reply }).collect(),
            changes: changes.collect(),
            ..Gathered::default()
        };
        gathered.bytes = gathered.accepts.iter().map(|own| own.saga.records.len()).sum::<usize>()
            + gathered.changes.iter().map(|own| own.append.records.len()).sum::<usize>();
        gathered
    }
}

impl Gathered {
    /// All leases that it relies on.
    pub(crate) fn leases(&self) -> BTreeMap<Partition, Arc<Owned>> {
        let of_changes = self.changes.iter().map(|change| &change.owned);
        let of_accepts = self.accepts.iter().filter_map(|accept| accept.owned.as_ref());
        let mut leases = BTreeMap::new();
        for own in of_changes.chain(of_accepts) {
            let known: Option<&Arc<Owned>> = leases.get(&own.partition());
            if known.is_none_or(|known| !Arc::ptr_eq(known, own)) {
                leases.insert(own.partition(), Arc::clone(own));
            }
        }
        leases
    }

    /// What the store is given, and who waits for it. Nothing is copied that may be long.
    pub(crate) fn into_batch(self) -> (Batch, Waiting) {
        let mut batch = Batch {
            leases: self.leases().values().map(|own| own.lease()).collect(),
            accepts: Vec::with_capacity(self.accepts.len()),
            appends: Vec::with_capacity(self.changes.len()),
            ..Batch::default()
        };
        let accepts = self.accepts.into_iter().map(|Accept { saga, owned, reply }| {
            batch.accepts.push(saga);
            (owned, reply)
        });
        let accepts = accepts.collect();
        let changes = self.changes.into_iter().map(|change| {
            let Joined { owned, append, grant, settles, replies } = change;
            if grant {
                let (saga_id, partition) = (append.saga_id.clone(), append.partition);
                batch.grants.push(Grant { saga_id, partition });
            }
            batch.settles.extend_from_slice(&settles);
            let says_something = append.record_count > 0 || append.header.is_some();
            let idle = if says_something {
                batch.appends.push(append);
                None
            } else {
                Some(append)
            };
            WaitingChange { owned, idle, grant, settles, replies }
        });
        let changes = changes.collect();
        (batch, Waiting { accepts, changes })
    }

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
        join(&mut self.append.records, &change.records);
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
