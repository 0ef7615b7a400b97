//! The sagas that are in memory, and how they are told something.

use std::collections::{BTreeMap, HashMap};
use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use amends_core::saga::{Actor, Answer, Command, Op};
use amends_core::{SagaId, StepIndex};
use amends_ports::store::{InboxId, Partition};
use parking_lot::Mutex;
use tokio::sync::futures::Notified;
use tokio::sync::{Notify, mpsc, oneshot};

use crate::ownership::Owned;
use crate::{CommandError, CompleteError, SagaDetail};

/// Messages that may wait for one saga.
const MESSAGES_MAX: usize = 64;

/// Parts of the table, so that threads seldom meet.
const SHARDS: usize = 64;

/// Something to tell a saga in memory. Small, since each saga has room for many.
#[derive(Debug)]
pub(crate) enum Message {
    /// Somebody wants something of it.
    Command { command: Box<Command>, by: Box<Actor>, reply: CommandReply },
    /// A pending call has ended.
    Complete { step: StepIndex, op: Op, answer: Box<Answer>, reply: CompleteReply },
    /// Somebody waits for its end or suspension.
    Wait(oneshot::Sender<SagaDetail>),
    /// Somebody wants to see it as it is stored now.
    Look(oneshot::Sender<SagaDetail>),
    /// The store's row was set to be in memory: it was due, or its lock keys may be free.
    Woken,
    /// How the guard of its lock keys stands has changed.
    Guard,
    /// Start nothing new and leave memory when nothing is in flight.
    Hold,
}

/// Whom the result of a command is told.
#[derive(Debug)]
pub(crate) enum CommandReply {
    /// A caller in this process.
    Caller(oneshot::Sender<Result<SagaDetail, CommandError>>),
    /// Whoever posted it.
    Inbox(InboxId),
}

/// Whom the result of a completion is told.
#[derive(Debug)]
pub(crate) enum CompleteReply {
    /// A caller in this process.
    Caller(oneshot::Sender<Result<(), CompleteError>>),
    /// Whoever posted it.
    Inbox(InboxId),
}

#[derive(Debug)]
struct Entry {
    /// The lease that it is driven under.
    owned: Arc<Owned>,
    sender: mpsc::Sender<Message>,
}

/// What became of telling a driver that its saga's row was set back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Telling {
    /// It was told.
    Told,
    /// It can't be told now: it is swamped, or drives under a lease that is over and is about to
    /// notice.
    Later,
    /// There is none.
    Nobody,
}

/// A part of the table.
#[derive(Debug, Default)]
struct Shard {
    drivers: HashMap<SagaId, Entry>,
    /// Sagas that somebody waits for, and how many those are.
    expected: HashMap<SagaId, (Arc<Notify>, usize)>,
}

/// Somebody waits for a saga to come into memory, while this lives.
#[derive(Debug)]
pub(crate) struct Expected<'l> {
    live: &'l Live,
    saga_id: &'l SagaId,
    came: Arc<Notify>,
}

impl Expected<'_> {
    /// Ready when it has come into memory after this call.
    pub(crate) fn came(&self) -> Notified<'_> {
        self.came.notified()
    }
}

impl Drop for Expected<'_> {
    fn drop(&mut self) {
        let mut shard = self.live.shard(self.saga_id).lock();
        if let Some((_, waiting)) = shard.expected.get_mut(self.saga_id) {
            *waiting -= 1;
            if *waiting == 0 {
                shard.expected.remove(self.saga_id);
            }
        }
    }
}

/// The table of sagas in memory: at most one driver a saga.
#[derive(Debug)]
pub(crate) struct Live {
    shards: Vec<Mutex<Shard>>,
    hasher: RandomState,
    count: AtomicUsize,
}

impl Live {
    pub(crate) fn new() -> Self {
        Self {
            shards: (0..SHARDS).map(|_| Mutex::default()).collect(),
            hasher: RandomState::new(),
            count: AtomicUsize::new(0),
        }
    }

    fn shard(&self, saga_id: &SagaId) -> &Mutex<Shard> {
        #[expect(clippy::cast_possible_truncation, reason = "only the low bits are used")]
        let hash = self.hasher.hash_one(saga_id) as usize;
        &self.shards[hash % SHARDS]
    }

    /// How many there are.
    pub(crate) fn count(&self) -> usize {
        self.count.load(Ordering::Relaxed)
    }

    /// Makes room for a driver; none if the saga has one.
    pub(crate) fn insert(
        &self,
        saga_id: &SagaId,
        owned: &Arc<Owned>,
    ) -> Option<mpsc::Receiver<Message>> {
        let mut shard = self.shard(saga_id).lock();
        if shard.drivers.contains_key(saga_id) {
            return None;
        }
        let (sender, receiver) = mpsc::channel(MESSAGES_MAX);
        shard.drivers.insert(saga_id.clone(), Entry { owned: Arc::clone(owned), sender });
        self.count.fetch_add(1, Ordering::Relaxed);
        if let Some((came, _)) = shard.expected.get(saga_id) {
            came.notify_waiters();
        }
        Some(receiver)
    }

    /// Hears of a saga that comes into memory.
    pub(crate) fn expect<'l>(&'l self, saga_id: &'l SagaId) -> Expected<'l> {
        let mut shard = self.shard(saga_id).lock();
        let (came, waiting) = shard.expected.entry(saga_id.clone()).or_default();
        *waiting += 1;
        Expected { live: self, saga_id, came: Arc::clone(came) }
    }

    /// Hands a message to a saga's driver; gives it back if there is none or it is swamped.
    pub(crate) fn send(&self, saga_id: &SagaId, message: Message) -> Result<(), Message> {
        let shard = self.shard(saga_id).lock();
        match shard.drivers.get(saga_id) {
            None => Err(message),
            Some(entry) => {
                entry.sender.try_send(message).map_err(mpsc::error::TrySendError::into_inner)
            }
        }
    }

    /// Tells a saga's driver under this lease that the row was set back. One under an earlier lease
    /// would take the word with it when it goes.
    pub(crate) fn tell_woken(&self, saga_id: &SagaId, owned: &Arc<Owned>) -> Telling {
        let shard = self.shard(saga_id).lock();
        let Some(entry) = shard.drivers.get(saga_id) else { return Telling::Nobody };
        let is_told =
            Arc::ptr_eq(&entry.owned, owned) && entry.sender.try_send(Message::Woken).is_ok();
        if is_told { Telling::Told } else { Telling::Later }
    }

    /// Takes a driver out, unless a message waits for it. Messages are handed over under the
    /// same lock, so none is lost between the look and the removal.
    pub(crate) fn remove_if_idle(
        &self,
        saga_id: &SagaId,
        receiver: &mpsc::Receiver<Message>,
    ) -> bool {
        let mut shard = self.shard(saga_id).lock();
        if !receiver.is_empty() {
            return false;
        }
        self.forget(&mut shard, saga_id);
        true
    }

    /// Takes the driver under this lease out, not its successor's; what waits for it is dropped, and
    /// its senders see that.
    pub(crate) fn remove(&self, saga_id: &SagaId, owned: &Arc<Owned>) {
        let mut shard = self.shard(saga_id).lock();
        if shard.drivers.get(saga_id).is_some_and(|entry| Arc::ptr_eq(&entry.owned, owned)) {
            self.forget(&mut shard, saga_id);
        }
    }

    fn forget(&self, shard: &mut Shard, saga_id: &SagaId) {
        if shard.drivers.remove(saga_id).is_some() {
            self.count.fetch_sub(1, Ordering::Relaxed);
        }
    }

    /// Tells every driver of a partition to leave memory as soon as nothing is in flight. One
    /// whose queue is full is passed over: it is stopped at the end of the drain.
    pub(crate) fn hold(&self, partition: Partition) {
        // By id, so that a simulation comes out the same each time.
        let mut held = BTreeMap::new();
        for shard in &self.shards {
            let shard = shard.lock();
            let own =
                shard.drivers.iter().filter(|(_, entry)| entry.owned.partition() == partition);
            held.extend(own.map(|(id, entry)| (id.clone(), entry.sender.clone())));
        }
        for sender in held.values() {
            let _ = sender.try_send(Message::Hold);
        }
    }
}
