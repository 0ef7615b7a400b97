//! Commit locally and send, with the real binary and the library on both sides: whenever the
//! program dies, its local transaction and its messages are both there or both not.

#![allow(clippy::unwrap_used, reason = "test code")]

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use amends_client::barrier::{self, Error};
use amends_client::participant::{Answer, Call};
use amends_client::rest::{self, Decision, ParticipantSpec, Saga, Status, Transaction};
use amends_tests::{Participant, Server, ServerOptions, Serving, until};
use axum::extract::State;
use axum::{Router, routing::get};
use sqlx::SqlitePool;
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode};
use tempfile::TempDir;

/// Longest wait for something that should happen soon.
const SOON: Duration = Duration::from_secs(30);
/// How long a program may be silent; nothing here waits for a commit that comes before it.
const DEADLINE: Duration = Duration::from_secs(3);

/// A shop with a database, a coordinator, and somebody who sends mails.
struct Shop {
    _server: Server,
    client: amends_client::Client,
    db: SqlitePool,
    /// How often the coordinator has asked whether it was committed.
    questions: Arc<AtomicU32>,
    mail: Participant,
    _serving: Serving,
    _folder: TempDir,
}

#[derive(Clone)]
struct Desk {
    db: SqlitePool,
    questions: Arc<AtomicU32>,
}

async fn committed(State(desk): State<Desk>, call: Call) -> Result<Answer, Error> {
    desk.questions.fetch_add(1, Ordering::SeqCst);
    barrier::check_back(&desk.db, &call.saga).await
}

impl Shop {
    async fn open() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let options = SqliteConnectOptions::new()
            .filename(folder.path().join("shop.db"))
            .create_if_missing(true)
            .journal_mode(SqliteJournalMode::Wal)
            .busy_timeout(Duration::from_millis(200));
        let db = SqlitePool::connect_with(options).await.unwrap();
        barrier::migrate(&db).await.unwrap();
        sqlx::raw_sql("CREATE TABLE shipped (id TEXT NOT NULL)").execute(&db).await.unwrap();

        let questions = Arc::new(AtomicU32::new(0));
        let desk = Desk { db: db.clone(), questions: Arc::clone(&questions) };
        let service = Router::new().route("/committed", get(committed)).with_state(desk);
        let serving = Serving::start(service).await.unwrap();

        let server = Server::start(ServerOptions::default()).await.unwrap();
        let mail = Participant::start(Duration::ZERO).await.unwrap();
        server.client().unwrap().register("mail", &mail.spec()).await.unwrap();
        let client = amends_client::Client::new(&server.url()).unwrap();
        let shop = ParticipantSpec::new("shop").endpoint(serving.url());
        client.participants().put(&shop).await.unwrap();
        Self { _server: server, client, db, questions, mail, _serving: serving, _folder: folder }
    }

    /// Begins, and enlists the mail.
    async fn begin(&self, id: &str, deadline: Duration) -> Transaction {
        let begun = self.client.begin("ship").id(id).deadline(deadline);
        let tx = begun.prepared("shop", rest::Call::get("/committed")).send().await.unwrap();
        let mail = rest::Call::post("/mails");
        tx.branch("mail").participant("mail").action(mail).enlist().await.unwrap();
        tx
    }

    /// The local transaction, up to its commit.
    async fn ship(&self, id: &str) -> Result<sqlx::Transaction<'static, sqlx::Sqlite>, Error> {
        let mut local = self.db.begin().await?;
        barrier::prepare(&mut local, id).await?;
        sqlx::query("INSERT INTO shipped (id) VALUES (?)").bind(id).execute(&mut *local).await?;
        Ok(local)
    }

    async fn until_asked(&self) {
        let asked = async || (self.questions.load(Ordering::SeqCst) > 0).then_some(());
        until("the check-back", SOON, asked).await.unwrap();
    }

    async fn end_of(&self, id: &str) -> Saga {
        let saga = self.client.saga(id).wait_until_ended(SOON).await.unwrap();
        assert!(saga.is_ended(), "{saga:?}");
        saga
    }

    async fn shipped(&self) -> u32 {
        let count = "SELECT count(*) FROM shipped";
        sqlx::query_scalar(count).fetch_one(&self.db).await.unwrap()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn who_dies_after_its_local_commit_has_sent() {
    let shop = Shop::open().await;
    drop(shop.begin("s", DEADLINE).await);
    shop.ship("s").await.unwrap().commit().await.unwrap();
    let saga = shop.end_of("s").await;
    assert_eq!((saga.decision, saga.status), (Some(Decision::Commit), Status::Completed));
    assert_eq!((shop.shipped().await, shop.mail.count()), (1, 1));
    assert!(shop.questions.load(Ordering::SeqCst) > 0);
    // Started again, it does nothing twice.
    let again = shop.ship("s").await.unwrap_err();
    assert!(matches!(again, Error::CommittedBefore), "{again:?}");
    shop.client.interactive("s").commit().await.unwrap();
    assert_eq!((shop.shipped().await, shop.mail.count()), (1, 1));
}

#[tokio::test(flavor = "multi_thread")]
async fn who_comes_after_the_deadline_has_neither() {
    let shop = Shop::open().await;
    let tx = shop.begin("s", DEADLINE).await;
    let saga = shop.end_of("s").await;
    assert_eq!((saga.decision, saga.status), (Some(Decision::Abort), Status::Compensated));
    let late = shop.ship("s").await.unwrap_err();
    assert!(matches!(late, Error::RolledBack), "{late:?}");
    tx.commit().await.unwrap_err();
    assert_eq!((shop.shipped().await, shop.mail.count()), (0, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_local_transaction_under_way_is_waited_for() {
    for commits in [true, false] {
        let shop = Shop::open().await;
        shop.begin("s", DEADLINE).await;
        let local = shop.ship("s").await.unwrap();
        shop.until_asked().await;
        let asked = shop.client.saga("s").get().await.unwrap();
        assert_eq!(asked.decision, None, "{asked:?}");
        let decision = if commits {
            local.commit().await.unwrap();
            Decision::Commit
        } else {
            // As a program that dies.
            drop(local);
            Decision::Abort
        };
        assert_eq!(shop.end_of("s").await.decision, Some(decision));
        let both = if commits { (1, 1) } else { (0, 0) };
        assert_eq!((shop.shipped().await, shop.mail.count()), both);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn who_does_not_die_is_not_asked() {
    let shop = Shop::open().await;
    let tx = shop.begin("s", SOON).await;
    shop.ship("s").await.unwrap().commit().await.unwrap();
    tx.commit().await.unwrap();
    assert_eq!(shop.end_of("s").await.status, Status::Completed);
    assert_eq!((shop.shipped().await, shop.mail.count()), (1, 1));
    assert_eq!(shop.questions.load(Ordering::SeqCst), 0);
}
