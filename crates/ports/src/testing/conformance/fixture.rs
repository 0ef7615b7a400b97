//! What the cases start from: one coordinator that owns everything, and sagas made of little.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use amends_core::definition::Digest;
use amends_core::saga::{Event, Record, Status};
use amends_core::{DefinitionName, Json, LockKey, ParticipantName, SagaId, Timestamp};

use super::PARTITIONS;
use crate::Store;
use crate::store::{
    AcceptOutcome, Append, Batch, CoordinatorId, GrantAtOnce, Header, Lease, NewDefinition,
    NewSaga, Partition, Tickets, Wake, WriteError, Written,
};

/// A lease that outlives every case.
pub(super) const LONG: Duration = Duration::from_mins(10);
/// A lease that ends while a case waits for it.
pub(super) const SHORT: Duration = Duration::from_millis(30);
/// A wake-up time that has come by any clock.
pub(super) const PAST: Timestamp = Timestamp(1_000_000);
/// One that has not.
pub(super) const FUTURE: Timestamp = Timestamp(4_102_444_800_000_000);

/// A store whose partitions all belong to `me`, and in which the definition `transfer` stands.
pub(super) struct World {
    pub(super) store: Arc<dyn Store>,
    pub(super) me: CoordinatorId,
    pub(super) leases: Vec<Lease>,
}

impl World {
    pub(super) async fn new(store: Arc<dyn Store>) -> Self {
        let me = coordinator("a");
        store.put_definition(&definition("transfer", "1", &[])).await.unwrap();
        store.heartbeat(&me, "http://a.test", false, LONG).await.unwrap();
        let leases = store.acquire(&me, PARTITIONS, LONG).await.unwrap();
        assert_eq!(leases.len(), usize::from(PARTITIONS), "a fresh store has no owner");
        Self { store, me, leases }
    }

    /// An empty batch under every lease.
    pub(super) fn batch(&self) -> Batch {
        Batch {
            leases: self.leases.clone(),
            successors_in: self.leases.iter().map(|lease| lease.partition).collect(),
            ..Batch::default()
        }
    }

    pub(super) async fn try_write(&self, batch: Batch) -> Result<Written, WriteError> {
        self.store.write(&batch).await
    }

    pub(super) async fn accept_all(&self, accepts: Vec<NewSaga>) -> Vec<AcceptOutcome> {
        let batch = Batch { accepts, ..self.batch() };
        self.try_write(batch).await.unwrap().accepts
    }

    pub(super) async fn accept(&self, new: NewSaga) -> AcceptOutcome {
        self.accept_all(vec![new]).await.remove(0)
    }

    pub(super) async fn append(&self, append: Append) -> Written {
        let batch = Batch { appends: vec![append], ..self.batch() };
        self.try_write(batch).await.unwrap()
    }

    /// Ends the saga and gives its tickets back.
    pub(super) async fn end(&self, saga_id: &SagaId) -> Written {
        self.append(self.ending(saga_id).await).await
    }

    /// The same under the lease of its own partition only.
    pub(super) async fn end_under_one_lease(&self, saga_id: &SagaId) -> Written {
        let append = self.ending(saga_id).await;
        let leases = vec![self.leases[usize::from(append.partition.0)]];
        self.try_write(Batch { leases, appends: vec![append], ..Batch::default() }).await.unwrap()
    }

    pub(super) async fn ending(&self, saga_id: &SagaId) -> Append {
        let from = self.records(saga_id).await.len() as u64;
        let (partition, _) = self.store.summary(saga_id).await.unwrap().unwrap();
        let header = Some(header(Status::Completed));
        Append { header, tickets: Tickets::Release, ..append(saga_id, partition, from, &[]) }
    }

    pub(super) async fn records(&self, saga_id: &SagaId) -> Vec<Record> {
        self.store.saga(saga_id).await.unwrap().unwrap().1.records
    }

    pub(super) async fn status(&self, saga_id: &SagaId) -> Status {
        self.store.summary(saga_id).await.unwrap().unwrap().1.status
    }
}

pub(super) fn coordinator(name: &str) -> CoordinatorId {
    CoordinatorId(name.to_owned())
}

pub(super) fn id(text: &str) -> SagaId {
    SagaId::new(text).unwrap()
}

pub(super) fn key(text: &str) -> LockKey {
    LockKey::new(text).unwrap()
}

pub(super) fn definition_name(text: &str) -> DefinitionName {
    DefinitionName::new(text).unwrap()
}

pub(super) fn participant_name(text: &str) -> ParticipantName {
    ParticipantName::new(text).unwrap()
}

/// Seconds after some moment in the past.
pub(super) fn at(seconds: i64) -> Timestamp {
    Timestamp(1_767_225_600_000_000 + seconds * 1_000_000)
}

/// 64 hex digits that differ for different short texts.
pub(super) fn digest(text: &str) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let nibbles = text.bytes().flat_map(|byte| [byte >> 4, byte & 15]);
    let hex: String = nibbles.map(|nibble| char::from(DIGITS[usize::from(nibble)])).collect();
    format!("{hex:0<64}")
}

pub(super) fn definition(name: &str, content: &str, participants: &[&str]) -> NewDefinition {
    NewDefinition {
        name: definition_name(name),
        digest: Digest(digest(&format!("{name}/{content}"))),
        source: Json::parse(&format!(r#"{{"name":"{name}","note":"{content}"}}"#)).unwrap(),
        participants: participants.iter().map(|name| participant_name(name)).collect(),
        ad_hoc: false,
        created_at: at(0),
    }
}

/// A running saga of `transfer` in partition 0 with one fact, in its owner's memory.
pub(super) fn saga(saga_id: &str) -> NewSaga {
    NewSaga {
        saga_id: id(saga_id),
        partition: Partition(0),
        definition: definition("transfer", "1", &[]).digest,
        definition_name: definition_name("transfer"),
        definition_version: Some(1),
        labels: BTreeMap::new(),
        lock_keys: Vec::new(),
        grant: Some(GrantAtOnce::untold(Status::Running)),
        idempotency_key: None,
        request_digest: digest(saga_id),
        created_at: at(0),
        header: header(Status::Running),
        records: journal(&[Event::Started]),
        record_count: 1,
    }
}

/// A queued saga that asks for these keys, parked.
pub(super) fn queued(saga_id: &str, keys: &[&str]) -> NewSaga {
    NewSaga {
        lock_keys: keys.iter().map(|text| key(text)).collect(),
        header: Header { wake: Wake::Parked, ..header(Status::Queued) },
        grant: Some(GrantAtOnce::untold(Status::Queued)),
        ..saga(saga_id)
    }
}

/// A header of this status; live ones are in memory.
pub(super) fn header(status: Status) -> Header {
    crate::testing::header(status, at(1))
}

/// Facts without a change of the row.
pub(super) fn append(
    saga_id: &SagaId,
    partition: Partition,
    from: u64,
    events: &[Event],
) -> Append {
    Append {
        saga_id: saga_id.clone(),
        partition,
        from,
        records: journal(events),
        record_count: u32::try_from(events.len()).unwrap(),
        header: None,
        tickets: Tickets::Keep,
    }
}

/// Facts as the JSON of the port.
pub(super) fn journal(events: &[Event]) -> String {
    let record = |event: &Event| Record { at: at(2), event: event.clone() };
    let records: Vec<Record> = events.iter().map(record).collect();
    serde_json::to_string(&records).unwrap()
}

/// A fact that is told from others by its number.
pub(super) const fn fact(number: u64) -> Event {
    Event::Recovered { epoch: number }
}

/// Asks until `ask` answers something; fails after 20 s of tokio's time.
pub(super) async fn until<T>(what: &str, mut ask: impl AsyncFnMut() -> Option<T>) -> T {
    let deadline = tokio::time::Instant::now() + Duration::from_secs(20);
    loop {
        if let Some(answer) = ask().await {
            return answer;
        }
        assert!(tokio::time::Instant::now() < deadline, "still not so: {what}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}
