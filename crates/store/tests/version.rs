//! Releases of different age on one database: who may work beside whom, when the format of
//! journals goes up, and what becomes of a saga that a release can't read.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "test code")]

use std::sync::Arc;
use std::time::Duration;

use amends_core::saga::{Event, JournalFormat, Record};
use amends_core::{SagaId, Timestamp};
use amends_ports::Store;
use amends_ports::store::{Batch, CoordinatorId, Error, Lease, NewSaga, Wake};
use amends_store::postgres::{COLD, PostgresOptions, PostgresStore};
use amends_store::sqlite::{SqliteOptions, SqliteStore};
use amends_store::{Formats, OpenError};
use amends_testbed::Postgres;
use sqlx::{Connection as _, Executor as _, PgConnection, SqliteConnection};

mod sagas;
mod server;

const LONG: Duration = Duration::from_mins(10);

/// A release that reads up to one format and writes up to another.
fn release(read: u32, written: u32) -> Formats {
    Formats { read: JournalFormat(read), written: JournalFormat(written) }
}

fn named(name: &str) -> CoordinatorId {
    CoordinatorId(name.to_owned())
}

async fn beat(store: &dyn Store, name: &str) -> Result<(), Error> {
    store.heartbeat(&named(name), "", false, LONG).await.map(drop)
}

struct Database {
    server: Arc<Postgres>,
    url: String,
}

impl Database {
    async fn new() -> Self {
        let server = server::shared(&[]).await;
        let url = server::database(&server).await;
        Self { server, url }
    }

    async fn open(&self, formats: Formats) -> Result<PostgresStore, OpenError> {
        let options = PostgresOptions { formats, ..server::options() };
        PostgresStore::connect(&self.url, options).await
    }

    async fn run(&self, sql: &str) {
        self.server.psql(self.url.rsplit_once('/').unwrap().1, sql).await.unwrap();
    }

    /// As if its time were over.
    async fn forget(&self, name: &str) {
        let sql = "UPDATE coordinator SET expires_at = now() WHERE coordinator_id";
        self.run(&format!("{sql} = '{name}'")).await;
    }
}

#[tokio::test]
async fn the_format_goes_up_when_the_last_coordinator_that_can_not_read_it_is_gone() {
    let database = Database::new().await;
    let old = database.open(release(1, 1)).await.unwrap();
    let new = database.open(release(2, 2)).await.unwrap();
    beat(&old, "old").await.unwrap();
    assert_eq!(old.acquire(&named("old"), 2, LONG).await.unwrap().len(), 2);
    for _ in 0..2 {
        beat(&new, "new").await.unwrap();
        assert_eq!(new.journal_format(), JournalFormat(1));
    }

    database.forget("old").await;
    beat(&new, "new").await.unwrap();
    beat(&new, "new").await.unwrap();
    assert_eq!(new.journal_format(), JournalFormat(2));

    // The old one, which was asleep, gets nothing any more, and nor does the next one like it.
    assert!(matches!(beat(&old, "old").await, Err(Error::Outdated(_))));
    assert!(matches!(old.ready().await, Err(Error::Outdated(_))));
    let (members, _) = new.heartbeat(&named("new"), "", false, LONG).await.unwrap();
    assert_eq!(members.len(), 1, "{members:?}");
    let refused = database.open(release(1, 1)).await.unwrap_err();
    assert!(matches!(refused, OpenError::Outdated(_)), "{refused:?}");
    let text = refused.to_string();
    assert!(text.contains("format 2") && text.contains("reads up to 1"), "{text}");
}

#[tokio::test]
async fn a_release_that_only_reads_a_format_leaves_the_way_back_open() {
    let database = Database::new().await;
    let reader = database.open(release(2, 1)).await.unwrap();
    for _ in 0..2 {
        beat(&reader, "reader").await.unwrap();
    }
    assert_eq!(reader.journal_format(), JournalFormat(1));
    let old = database.open(release(1, 1)).await.unwrap();
    beat(&old, "old").await.unwrap();
    drop(old);
    database.forget("old").await;

    // The release after it writes it; the one before it still takes part, but no older one.
    let writer = database.open(release(2, 2)).await.unwrap();
    for _ in 0..2 {
        beat(&writer, "writer").await.unwrap();
    }
    assert_eq!(writer.journal_format(), JournalFormat(2));
    beat(&reader, "reader").await.unwrap();
    assert_eq!(reader.journal_format(), JournalFormat(2));
    assert!(matches!(database.open(release(1, 1)).await, Err(OpenError::Outdated(_))));
}

/// The first heartbeat of an old one is on its way: it has looked at the format in force, and is
/// not to be seen yet.
#[tokio::test]
async fn the_format_does_not_go_up_past_a_coordinator_that_is_just_coming() {
    let database = Database::new().await;
    let new = database.open(release(2, 2)).await.unwrap();
    let (_, heartbeat) = *COLD.iter().find(|(name, _)| *name == "heartbeat").unwrap();
    let mut old = PgConnection::connect(&database.url).await.unwrap();
    old.execute("BEGIN").await.unwrap();
    let coming = sqlx::query(heartbeat).bind("old").bind("").bind(false).bind(60_000_000_i64);
    old.execute(coming.bind(1_i64).bind(6_i64)).await.unwrap();

    let beating = async {
        beat(&new, "new").await.unwrap();
        beat(&new, "new").await.unwrap();
    };
    // It waits for the row of the format, which nobody else has written.
    let waiting = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock'
        AND datname = current_database() AND query LIKE '%journal_format%FOR UPDATE%'";
    let name = database.url.rsplit_once('/').unwrap().1;
    let arriving = async {
        while database.server.psql(name, waiting).await.unwrap().trim() != "1" {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        old.execute("COMMIT").await.unwrap();
    };
    let both = async { tokio::join!(beating, arriving) };
    tokio::time::timeout(Duration::from_secs(20), both).await.expect("it did not wait");
    assert_eq!(new.journal_format(), JournalFormat(1));
}

#[tokio::test]
async fn a_newer_schema_is_used_unless_it_says_that_it_can_not_be() {
    let database = Database::new().await;
    let before = database.open(Formats::default()).await.unwrap();
    beat(&before, "before").await.unwrap();
    let newer = "INSERT INTO _sqlx_migrations (version, description, success, checksum,
        execution_time) VALUES (1000, 'of a newer release', true, '', 0)";
    database.run(newer).await;
    before.ready().await.unwrap();
    let beside = database.open(Formats::default()).await.unwrap();
    beside.ready().await.unwrap();
    beat(&beside, "beside").await.unwrap();

    database.run("UPDATE meta SET value = '1000' WHERE name = 'oldest_reader'").await;
    let refused = database.open(Formats::default()).await.unwrap_err();
    assert!(refused.to_string().contains("migration 1000"), "{refused}");
    // Those that run give up.
    assert!(matches!(before.ready().await, Err(Error::Outdated(_))));
    assert!(matches!(beat(&before, "before").await, Err(Error::Outdated(_))));
}

#[tokio::test]
async fn a_file_takes_the_newest_format_and_then_no_older_release() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("amends.db");
    let url = format!("sqlite://{}", path.display());
    let open = async |formats| {
        SqliteStore::connect(&url, SqliteOptions { formats, ..SqliteOptions::default() }).await
    };
    let old = open(release(1, 1)).await.unwrap();
    beat(&old, "old").await.unwrap();
    old.close().await;

    // Whether a killed one lives nobody knows before its lease is over.
    let new = open(release(2, 2)).await.unwrap();
    for _ in 0..2 {
        beat(&new, "new").await.unwrap();
        assert_eq!(new.journal_format(), JournalFormat(1));
    }
    new.leave(&named("old")).await.unwrap();
    for _ in 0..2 {
        beat(&new, "new").await.unwrap();
    }
    assert_eq!(new.journal_format(), JournalFormat(2));
    new.close().await;
    assert!(matches!(open(release(1, 1)).await, Err(OpenError::Outdated(_))));
}

/// A newer release wrote it. Neither at a takeover nor in its turn does it stand in the way of the
/// others, and whoever asks is told which fact it is.
async fn an_unreadable_saga_stands_alone(store: &dyn Store, spoil: impl AsyncFn(&str)) {
    let leases = store.acquire(&named("a"), 8, LONG).await.unwrap();
    for (wake, sagas) in
        [(Wake::At(Timestamp(0)), ["a", "b", "c"]), (Wake::InMemory, ["d", "e", "f"])]
    {
        let accepts = sagas.iter().map(|text| new_saga(text, leases[0], wake)).collect();
        let batch = Batch { leases: leases.clone(), accepts, ..Batch::default() };
        store.write(&batch).await.unwrap();
    }
    let ids = |sagas: &[amends_ports::store::StoredSaga]| -> Vec<String> {
        let mut ids: Vec<_> = sagas.iter().map(|saga| saga.saga_id.as_str().to_owned()).collect();
        ids.sort();
        ids
    };
    for unknown in ["a", "d"] {
        spoil(unknown).await;
    }
    // Pages of one: what is left out of a page is made up for.
    let first = store.recover(leases[0], None, 1).await.unwrap();
    assert_eq!(ids(&first), ["e"]);
    let rest = store.recover(leases[0], Some(&first[0].saga_id), 8).await.unwrap();
    assert_eq!(ids(&rest), ["f"]);
    assert_eq!(ids(&store.claim_due(&leases, 8).await.unwrap()), ["b", "c"]);
    assert_eq!(ids(&store.claim_due(&leases, 8).await.unwrap()), [""; 0]);
    // The next owner, which may be of a newer release, finds it among those in memory.
    let all = store.recover(leases[0], None, 8).await.unwrap();
    assert_eq!(ids(&all), ["b", "c", "e", "f"]);
    spoil("a").await;
    let error = store.saga(&SagaId::new("a").unwrap()).await.unwrap_err().to_string();
    assert!(error.contains("saga a: fact 0") && error.contains("teleported"), "{error}");
    let error = store.journal(&SagaId::new("a").unwrap(), 0, 9).await.unwrap_err().to_string();
    assert!(error.contains("saga a: fact 0"), "{error}");
}

const TELEPORTED: &str = r#"[{"at":0,"event":{"teleported":{"to":7}}}]"#;

#[tokio::test]
async fn an_unreadable_saga_stands_alone_on_postgres() {
    let database = Database::new().await;
    let store = database.open(Formats::default()).await.unwrap();
    let spoil = async |saga: &str| {
        let sql = format!("UPDATE saga_journal SET records = '{TELEPORTED}' WHERE saga_id");
        database.run(&format!("{sql} = '{saga}'")).await;
    };
    an_unreadable_saga_stands_alone(&store, spoil).await;
}

#[tokio::test]
async fn an_unreadable_saga_stands_alone_on_sqlite() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("amends.db");
    let store = SqliteStore::connect(path.to_str().unwrap(), SqliteOptions::default()).await;
    let spoil = async |saga: &str| {
        let mut file = SqliteConnection::connect(path.to_str().unwrap()).await.unwrap();
        let sql = "UPDATE saga_journal SET records = $1
            WHERE saga_no = (SELECT saga_no FROM saga WHERE saga_id = $2)";
        file.execute(sqlx::query(sql).bind(TELEPORTED).bind(saga.to_owned())).await.unwrap();
        file.close().await.unwrap();
    };
    an_unreadable_saga_stands_alone(&store.unwrap(), spoil).await;
}

fn new_saga(text: &str, lease: Lease, wake: Wake) -> NewSaga {
    let started = Record { at: Timestamp(0), event: Event::Started };
    NewSaga {
        partition: lease.partition,
        records: serde_json::to_string(&[started]).unwrap(),
        ..sagas::new_saga(text, 0, wake)
    }
}
