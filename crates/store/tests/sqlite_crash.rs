//! What a file holds after its process was stopped: all that was answered, and nothing half.
//!
//! One test starts this same program again as a child that writes until it is killed.

#![allow(clippy::unwrap_used, reason = "test code")]

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use amends_core::definition::Digest;
use amends_core::saga::{Event, Record, Status};
use amends_core::{DefinitionName, SagaId, Timestamp};
use amends_ports::store::{
    AcceptOutcome, Append, Batch, CoordinatorId, GrantAtOnce, Header, Lease, NewSaga, Partition,
    Tickets, Wake,
};
use amends_ports::{SagaFilter, Store as _};
use amends_store::OpenError;
use amends_store::sqlite::{SqliteOptions, SqliteStore};

const CHILD_FILE: &str = "AMENDS_TEST_CHILD_FILE";
/// Sagas that are made, and changed, by one batch.
const WIDTH: usize = 20;
const LONG: Duration = Duration::from_mins(10);

async fn open(path: &Path) -> Result<SqliteStore, OpenError> {
    let options = SqliteOptions { partitions: 4, ..SqliteOptions::default() };
    SqliteStore::connect(path.to_str().unwrap(), options).await
}

async fn take(store: &SqliteStore) -> Vec<Lease> {
    let me = CoordinatorId("a".to_owned());
    let (_, kept) = store.heartbeat(&me, "", false, LONG).await.unwrap();
    let taken = store.acquire(&me, 4, LONG).await.unwrap();
    kept.into_iter().chain(taken).collect()
}

fn saga_id(batch: usize, number: usize) -> SagaId {
    SagaId::new(format!("s{batch:05}-{number:02}")).unwrap()
}

fn facts(event: &Event) -> String {
    serde_json::to_string(&[Record { at: Timestamp(1), event: event.clone() }]).unwrap()
}

fn header(status: Status) -> Header {
    Header {
        status,
        paused: false,
        step: None,
        reason: None,
        updated_at: Timestamp(1),
        ended_at: None,
        wake: Wake::InMemory,
    }
}

/// Makes the sagas of `batch`, and gives those of the one before a second fact and a new status.
fn batch(leases: &[Lease], batch: usize) -> Batch {
    let new = |number| NewSaga {
        saga_id: saga_id(batch, number),
        partition: Partition(0),
        definition: Digest("d".repeat(64)),
        definition_name: DefinitionName::new("transfer").unwrap(),
        definition_version: Some(1),
        labels: BTreeMap::from([("batch".to_owned(), batch.to_string())]),
        lock_keys: Vec::new(),
        grant: Some(GrantAtOnce::untold(Status::Running)),
        idempotency_key: Some(format!("{batch}/{number}")),
        request_digest: "e".repeat(64),
        created_at: Timestamp(i64::try_from(batch).unwrap()),
        header: header(Status::Running),
        records: facts(&Event::Started),
        record_count: 1,
    };
    let append = |number| Append {
        saga_id: saga_id(batch - 1, number),
        partition: Partition(0),
        from: 1,
        records: facts(&Event::DeadlinePassed),
        record_count: 1,
        header: Some(header(Status::Suspended)),
        tickets: Tickets::Keep,
    };
    let appends = if batch == 0 { Vec::new() } else { (0..WIDTH).map(append).collect() };
    let accepts = (0..WIDTH).map(new).collect();
    Batch { leases: leases.to_vec(), accepts, appends, ..Batch::default() }
}

/// How many of the first batches are there whole, with all that belongs to them; that there is
/// nothing else, and nothing half.
async fn whole_batches(store: &SqliteStore) -> usize {
    let all = store.sagas(&SagaFilter::default(), None, u16::MAX).await.unwrap().items;
    assert_eq!(all.len() % WIDTH, 0, "a batch of sagas is there in part");
    let batches = all.len() / WIDTH;
    for batch in 0..batches {
        let changed = batch + 1 < batches;
        for number in 0..WIDTH {
            let (summary, stored) = store.saga(&saga_id(batch, number)).await.unwrap().unwrap();
            assert_eq!(stored.records.len(), if changed { 2 } else { 1 });
            let status = if changed { Status::Suspended } else { Status::Running };
            assert_eq!(summary.status, status);
        }
        let labels = vec![("batch".to_owned(), batch.to_string())];
        let filter = SagaFilter { labels, ..SagaFilter::default() };
        assert_eq!(store.sagas(&filter, None, 100).await.unwrap().items.len(), WIDTH);
    }
    batches
}

/// Not a test of its own: what the child of the test below does.
#[tokio::test]
async fn child_that_writes_until_it_is_killed() {
    let Ok(path) = std::env::var(CHILD_FILE) else { return };
    let store = open(Path::new(&path)).await.unwrap();
    let leases = take(&store).await;
    for number in 0..50_000 {
        store.write(&batch(&leases, number)).await.unwrap();
        println!("answered {number}");
    }
}

#[tokio::test]
async fn a_killed_process_leaves_all_that_it_answered_and_nothing_half() {
    let folder = tempfile::tempdir().unwrap();
    for (round, answers) in [1, 7, 23, 60].into_iter().enumerate() {
        let path = folder.path().join(format!("{round}.db"));
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "child_that_writes_until_it_is_killed", "--nocapture"])
            .env(CHILD_FILE, &path)
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let answered = lines
            .map_while(Result::ok)
            .filter(|line| line.contains("answered "))
            .take(answers)
            .count();
        child.kill().unwrap();
        child.wait().unwrap();
        assert_eq!(answered, answers, "the child wrote");

        let store = open(&path).await.unwrap();
        let whole = whole_batches(&store).await;
        assert!(whole >= answered, "{whole} batches are there, {answered} were answered");
        let leases = take(&store).await;
        store.write(&batch(&leases, whole)).await.unwrap();
        assert_eq!(whole_batches(&store).await, whole + 1, "and it goes on from there");
    }
}

#[tokio::test]
async fn a_cancelled_write_happens_whole_or_not_at_all() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(&folder.path().join("amends.db")).await.unwrap();
    let leases = take(&store).await;
    let (mut next, mut cancelled) = (0, 0);
    for round in 0..120_u32 {
        // From before the first statement to after the commit.
        let patience = Duration::from_micros(u64::from(round) * 40);
        let write = batch(&leases, next);
        cancelled += u32::from(tokio::time::timeout(patience, store.write(&write)).await.is_err());
        // A raise waits until the transaction is over, whichever way.
        let me = CoordinatorId("a".to_owned());
        store.raise_epochs(&me, &[], LONG).await.unwrap();
        let there = whole_batches_at_the_end(&store, next).await;
        assert!(there == next || there == next + 1);
        next = there;
    }
    assert!(cancelled > 0, "some were cancelled");
    store.write(&batch(&leases, next)).await.unwrap();
    assert_eq!(whole_batches(&store).await, next + 1);
}

/// [`whole_batches`] for a file whose first `known` are known to be whole.
async fn whole_batches_at_the_end(store: &SqliteStore, known: usize) -> usize {
    let mut there = 0;
    for number in 0..WIDTH {
        there += usize::from(store.summary(&saga_id(known, number)).await.unwrap().is_some());
    }
    assert!(there == 0 || there == WIDTH, "a batch of sagas is there in part");
    known + there / WIDTH
}

#[tokio::test]
async fn a_file_serves_one_process_at_a_time() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("amends.db");
    let store = open(&path).await.unwrap();
    let refused = open(&path).await.unwrap_err();
    let reason = std::error::Error::source(&refused).unwrap().to_string();
    assert!(reason.contains("in use by another amends process"), "{reason}");
    store.close().await;
    open(&path).await.unwrap();
}

#[tokio::test]
async fn a_missing_folder_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let refused = open(&folder.path().join("not/there/amends.db")).await.unwrap_err();
    let reason = std::error::Error::source(&refused).unwrap().to_string();
    assert!(reason.contains("check that its folder exists"), "{reason}");
}

#[tokio::test]
async fn a_file_that_is_opened_again_is_the_same() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("amends.db");
    let store = open(&path).await.unwrap();
    let leases = take(&store).await;
    let written = store.write(&batch(&leases, 0)).await.unwrap();
    assert!(written.accepts.iter().all(|own| matches!(own, AcceptOutcome::Created { .. })));
    let secret = store.secret().await.unwrap();
    store.close().await;

    let options = SqliteOptions { partitions: 9, ..SqliteOptions::default() };
    let store = SqliteStore::connect(path.to_str().unwrap(), options).await.unwrap();
    assert_eq!(store.partitions().await.unwrap(), 4, "fixed when the file was made");
    assert_eq!(store.secret().await.unwrap(), secret);
    assert_eq!(whole_batches(&store).await, 1);
    assert_eq!(take(&store).await, leases, "the leases are still the coordinator's");
    let in_memory = store.recover(leases[0], None, 100).await.unwrap();
    assert_eq!(in_memory.len(), WIDTH, "the next owner finds what was in memory");
}
