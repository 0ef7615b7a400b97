//! What one transaction of the journal writer holds, and what it answers.

use std::collections::BTreeMap;

use amends_core::definition::Digest;
use amends_core::saga::{Status, Token};
use amends_core::{DefinitionName, LockKey, SagaId, StepId, Timestamp};

use super::{InboxId, Lease, Partition, StoredSaga, Tickets};

/// Changes of many sagas that are written together.
#[derive(Clone, Debug, Default)]
pub struct Batch {
    /// The leases that the batch relies on; each partition at most once.
    pub leases: Vec<Lease>,
    /// Those of their partitions in which sagas that move up may be granted their keys in this
    /// write (see [`Successor`]): not while the owner still reads the partition's sagas, nor when it
    /// gives the partition back.
    pub successors_in: Vec<Partition>,
    /// New sagas. Those in a partition without a lease above are for another owner to start.
    pub accepts: Vec<NewSaga>,
    /// Further facts of sagas that exist; each saga's partition has a lease above.
    pub appends: Vec<Append>,
    /// Sagas whose lock keys are to be granted now, if their tickets are first in every queue.
    pub grants: Vec<Grant>,
    /// Inbox items that are answered.
    pub settles: Vec<Settle>,
}

impl Batch {
    /// Whether it relies on a lease of this partition.
    pub fn is_under(&self, partition: Partition) -> bool {
        self.leases.iter().any(|lease| lease.partition == partition)
    }

    /// Whether it may grant a saga its keys that it does not ask for.
    pub fn may_follow(&self, partition: Partition, saga_id: &str) -> bool {
        self.successors_in.contains(&partition) && !self.names(saga_id)
    }

    /// Whether it changes this saga or asks for its lock keys.
    pub fn names(&self, saga_id: &str) -> bool {
        self.appends.iter().any(|append| append.saga_id.as_str() == saga_id)
            || self.grants.iter().any(|grant| grant.saga_id.as_str() == saga_id)
    }
}

/// A saga to be made.
#[derive(Clone, Debug)]
pub struct NewSaga {
    /// Its id.
    pub saga_id: SagaId,
    /// Its partition.
    pub partition: Partition,
    /// Identity of its definition's content.
    pub definition: Digest,
    /// Its definition's name.
    pub definition_name: DefinitionName,
    /// Its definition's version; none for an ad-hoc one.
    pub definition_version: Option<u32>,
    /// The caller's labels.
    pub labels: BTreeMap<String, String>,
    /// Its lock keys, sorted, each once. It takes a ticket for each, in this transaction.
    pub lock_keys: Vec<LockKey>,
    /// Its lock keys are granted at once if they are free (see [`Grant`]); none if it does not ask
    /// yet.
    pub grant: Option<GrantAtOnce>,
    /// The caller's `Idempotency-Key`.
    pub idempotency_key: Option<String>,
    /// Digest of the whole request, to tell a repetition from another request.
    pub request_digest: String,
    /// When it was accepted.
    pub created_at: Timestamp,
    /// Where it stands.
    pub header: Header,
    /// Its first facts: a JSON array of records, numbered from 0.
    pub records: String,
    /// How many facts that is.
    pub record_count: u32,
}

impl NewSaga {
    /// How many facts it was made with: those of a grant count if it was `granted` its lock keys.
    pub fn fact_count(&self, granted: bool) -> u64 {
        let more = self.grant_facts().filter(|_| granted).map_or(0, |facts| facts.record_count);
        u64::from(self.record_count) + u64::from(more)
    }

    /// The facts that are written with its lock keys, if it is granted them at once.
    pub fn grant_facts(&self) -> Option<&GrantFacts> {
        self.grant.as_ref()?.facts.as_ref()
    }
}

/// What goes with lock keys that a new saga is granted in the transaction that makes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GrantAtOnce {
    /// The status that its row has then.
    pub status: Status,
    /// Facts after its first ones that tell of the grant and what follows from it; without them its
    /// facts tell with the next write only.
    pub facts: Option<GrantFacts>,
}

impl GrantAtOnce {
    /// A grant that the saga's facts do not tell of yet.
    pub const fn untold(status: Status) -> Self {
        Self { status, facts: None }
    }
}

/// Facts with a place for tokens, which only the store knows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GrantFacts {
    /// A JSON array of records up to the place where an array of tokens has its first one.
    pub before: String,
    /// The rest of it, from the end of that array on.
    pub after: String,
    /// How many facts that is.
    pub record_count: u32,
}

impl GrantFacts {
    /// The JSON array of records, with the tokens in order of the saga's keys.
    pub fn records(&self, tokens: &[Token]) -> String {
        let numbers: Vec<String> = tokens.iter().map(|token| token.0.to_string()).collect();
        [&*self.before, &*numbers.join(","), &*self.after].concat()
    }
}

/// Further facts of a saga.
#[derive(Clone, Debug)]
pub struct Append {
    /// Which saga.
    pub saga_id: SagaId,
    /// Its partition.
    pub partition: Partition,
    /// Number of the first of these facts.
    pub from: u64,
    /// The facts: a JSON array of records. May be `[]` when only the header changes.
    pub records: String,
    /// How many facts that is.
    pub record_count: u32,
    /// Where it stands now; none if its row stays as it is.
    pub header: Option<Header>,
    /// What becomes of its tickets.
    pub tickets: Tickets,
}

/// What a saga's row says besides what never changes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Header {
    /// Its status.
    pub status: Status,
    /// Whether nothing new starts.
    pub paused: bool,
    /// The step that it waits for an operator at, or that made it abort.
    pub step: Option<StepId>,
    /// Why it stands where it stands, in one sentence.
    pub reason: Option<String>,
    /// When this became so.
    pub updated_at: Timestamp,
    /// When it ended; set exactly for terminal statuses.
    pub ended_at: Option<Timestamp>,
    /// When its owner must look at it.
    pub wake: Wake,
}

/// When the owner of a saga's partition must look at it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wake {
    /// The owner has it in memory; the next owner must take it over.
    InMemory,
    /// At this time, by the store's clock. Also: at once, for a saga that another owner is to
    /// start.
    At(Timestamp),
    /// Only when something happens: a lock key falls free, a command or completion comes.
    Parked,
}

/// A request for a saga's lock keys. If it is granted, the saga's wake-up becomes
/// [`Wake::InMemory`] in the same transaction, so that a crash right after it loses nothing.
///
/// A saga that has its keys already gets greater tokens: the answer to its first grant was lost.
///
/// No wake-up may be lost either: taking a ticket, releasing and granting lock the keys' rows of
/// `lock_fence` in sorted order first, and look at the queues in a later statement, so that of
/// two transactions over one key the second one sees what the first one did.
#[derive(Clone, Debug)]
pub struct Grant {
    /// Which saga; it has tickets.
    pub saga_id: SagaId,
    /// Its partition, which has a lease in the batch.
    pub partition: Partition,
}

/// The answer to an inbox item.
#[derive(Clone, Debug)]
pub struct Settle {
    /// Which.
    pub id: InboxId,
    /// The answer, as JSON, for the one who posted it.
    pub result: String,
}

/// What became of a batch.
#[derive(Clone, Debug, Default)]
pub struct Written {
    /// One an accept, in order.
    pub accepts: Vec<AcceptOutcome>,
    /// One a grant, in order: the tokens, in order of the saga's keys, if they were granted.
    pub grants: Vec<Option<Vec<Token>>>,
    /// Sagas that are first in all their queues now because another one released, or because they
    /// were put at the end of queues without anybody else: their wake-up time was set to now in the
    /// same transaction, before the grants.
    pub woken: Vec<(Partition, SagaId)>,
    /// Those of them that were granted their keys instead, in the same transaction, and are in
    /// memory now.
    pub successors: Vec<Successor>,
}

/// A saga that got its keys from the one before it, so that nobody has to find it first. It may
/// be so for those in a partition of [`Batch::successors_in`] that the batch does not name itself;
/// for others, for paused ones, where a key of theirs is not one of the batch, and where there are
/// very many, the owner is woken.
#[derive(Clone, Debug)]
pub struct Successor {
    /// As it is stored.
    pub saga: StoredSaga,
    /// In order of its keys.
    pub tokens: Vec<Token>,
}

/// What became of a submission.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AcceptOutcome {
    /// The saga was made; its lock keys' tokens if it has keys and they were granted at once.
    Created {
        /// In order of its keys; none if it has keys and waits.
        tokens: Option<Vec<Token>>,
    },
    /// There is a saga with this id or idempotency key; nothing was written.
    Exists {
        /// That saga.
        saga_id: SagaId,
        /// The digest of the request that made it.
        request_digest: String,
    },
}
