//! A database that the first release left in the middle of everything.

use std::path::PathBuf;
use std::time::Duration;

use amends_tests::old_release::{Expected, ExpectedSaga, INBOX, NOWHERE, OldHand, is_within};
use amends_tests::{Client, Server, ServerOptions, until};
use serde_json::{Value, json};
use sqlx::{AssertSqlSafe, Connection as _, PgConnection, SqliteConnection};

use super::durable_postgres;

const LIMIT: Duration = Duration::from_mins(1);

fn fixture(name: &str) -> String {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("fixtures/0.1.0");
    std::fs::read_to_string(folder.join(name)).unwrap()
}

/// The dump, with the participants where they are now.
fn dump(name: &str, worker: &OldHand) -> String {
    let text = fixture(name);
    assert!(text.contains(NOWHERE), "nobody is to be called");
    text.replace(NOWHERE, worker.url())
}

fn options(database: String) -> ServerOptions {
    let settings = vec![("engine.retention", "0ms"), ("engine.lease-ttl", "2s")];
    ServerOptions { database: Some(database), settings, redis: Vec::new() }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_first_release_left_in_sqlite_is_brought_to_its_end() {
    let worker = OldHand::helpful().await.unwrap();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("amends.db");
    let url = format!("sqlite://{}", path.display());
    let mut file = SqliteConnection::connect(&format!("{url}?mode=rwc")).await.unwrap();
    sqlx::raw_sql(AssertSqlSafe(dump("sqlite.sql", &worker))).execute(&mut file).await.unwrap();
    file.close().await.unwrap();

    let server = Server::start(options(url)).await.unwrap();
    let expected = Expected::read(&fixture("sqlite.expected.json")).unwrap();
    Reading { clients: vec![server.client().unwrap()], worker, expected }.whole().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_first_release_left_in_postgres_is_brought_to_its_end() {
    let worker = OldHand::helpful().await.unwrap();
    let postgres = durable_postgres().await;
    let mut database = PgConnection::connect(&postgres.url()).await.unwrap();
    let dump = dump("postgres.sql", &worker);
    sqlx::raw_sql(AssertSqlSafe(dump)).execute(&mut database).await.unwrap();
    database.close().await.unwrap();

    let servers = [
        Server::start(options(postgres.url())).await.unwrap(),
        Server::start(options(postgres.url())).await.unwrap(),
    ];
    let clients = servers.iter().map(|server| server.client().unwrap()).collect();
    let expected = Expected::read(&fixture("postgres.expected.json")).unwrap();
    let reading = Reading { clients, worker, expected };
    // The first release was asked to, but killed before it read its inbox.
    for saga in reading.expected.0.iter().filter(|saga| saga.id.starts_with(INBOX)) {
        until("the messages to be read", LIMIT, async || {
            (reading.view(saga).await["paused"] == true).then_some(())
        })
        .await
        .unwrap();
    }
    reading.whole().await;
}

struct Reading {
    clients: Vec<Client>,
    worker: OldHand,
    expected: Expected,
}

impl Reading {
    fn client(&self) -> &Client {
        self.clients.last().unwrap()
    }

    async fn view(&self, saga: &ExpectedSaga) -> Value {
        let path = format!("/v1/sagas/{}", saga.id);
        self.client().get(&path).await.unwrap().success().unwrap()
    }

    async fn whole(&self) {
        for saga in &self.expected.0 {
            self.check_state(saga).await;
            self.repeat(saga).await;
        }
        self.check_queue().await;
        self.worker.open();
        for saga in &self.expected.0 {
            self.finish(saga).await;
        }
        for saga in &self.expected.0 {
            self.client().until_status(&saga.id, &saga.end, LIMIT).await.unwrap();
            let journal = self.check_journal(saga).await;
            assert_eq!(journal.last().unwrap()["event"], "ended", "{}", saga.id);
        }
        self.check_tokens().await;
        self.check_credentials();
    }

    /// No call is answered yet: everything stands as it was left.
    async fn check_state(&self, saga: &ExpectedSaga) {
        self.check_journal(saga).await;
        let mut before = saga.view.clone();
        if saga.id.starts_with(INBOX) {
            before["paused"] = self.view(saga).await["paused"].clone();
        }
        let view = self.view(saga).await;
        if before["status"] == "suspended" {
            // It may be tried again by itself just now.
            assert!(!["completed", "compensated"].contains(&view["status"].as_str().unwrap()));
            before["status"] = view["status"].clone();
        }
        assert!(is_within(&before, &view), "{before:#}\n{view:#}");
    }

    /// It goes on from the facts that were written, all of them.
    async fn check_journal(&self, saga: &ExpectedSaga) -> Vec<Value> {
        let journal = self.client().journal(&saga.id).await.unwrap();
        assert!(!saga.journal.is_empty(), "{}", saga.id);
        for (before, now) in saga.journal.iter().zip(&journal) {
            assert!(is_within(before, now), "{}: {before} became {now}", saga.id);
        }
        assert!(saga.journal.len() <= journal.len(), "{}: facts are missing", saga.id);
        journal
    }

    /// Who repeats a submission to the first release gets the saga that it made.
    async fn repeat(&self, saga: &ExpectedSaga) {
        if saga.request.is_null() {
            return;
        }
        for client in &self.clients {
            let mut request =
                client.request(reqwest::Method::POST, "/v1/sagas").json(&saga.request);
            if let Some(key) = saga.key.as_str() {
                request = request.header("Idempotency-Key", key);
            }
            let answer = client.send(request).await.unwrap();
            assert_eq!(answer.status, 200, "{}: {}", saga.id, answer.text);
            assert_eq!(answer.header("idempotent-replayed"), Some("true"), "{}", saga.id);
            assert_eq!(answer.body["id"], saga.id);
        }
    }

    async fn check_queue(&self) {
        let queue = self.client().get("/v1/locks/sku%3A1").await.unwrap().success().unwrap();
        assert_eq!(queue["holder"]["saga"], "holder", "{queue}");
        assert_eq!(queue["queue"][0]["saga"], "queued", "{queue}");
    }

    async fn finish(&self, saga: &ExpectedSaga) {
        for command in &saga.finish {
            if command == "resume" && self.view(saga).await["paused"] == false {
                // Only where there was an inbox was it asked to pause.
                assert!(saga.id.starts_with(INBOX), "{} is not paused", saga.id);
                continue;
            }
            let path = format!("/v1/sagas/{}/{command}", saga.id);
            let answer = self.client().post(&path, &json!({})).await.unwrap();
            // What was due by itself meanwhile is not to be hurried any more.
            let is_under_way = command == "retry" && answer.status == 409;
            assert!(answer.status == 200 || is_under_way, "{path}: {}", answer.text);
        }
        if let Some(callback) = saga.callback.as_str() {
            // If the wait for it was over, the call is made again first, under the same URL.
            until("the completion to be taken", LIMIT, async || {
                let answer = self.client().post(callback, &json!({ "late": true })).await.ok()?;
                assert!([204, 409].contains(&answer.status), "{callback}: {}", answer.text);
                (answer.status == 204).then_some(())
            })
            .await
            .unwrap();
        }
    }

    async fn check_tokens(&self) {
        let tokens = async |id: &str| {
            let view = self.client().get(&format!("/v1/sagas/{id}")).await.unwrap().body;
            let tokens = view["tokens"].as_array().unwrap().clone();
            tokens.iter().map(|token| token.as_u64().unwrap()).collect::<Vec<_>>()
        };
        let (first, second) = (tokens("holder").await, tokens("queued").await);
        assert_eq!((first.len(), second.len()), (2, 2));
        let grew = first.iter().zip(&second).all(|(first, second)| second > first);
        assert!(grew, "{first:?} {second:?}");
    }

    fn check_credentials(&self) {
        let heard = self.worker.heard();
        let by_bank: Vec<_> = heard.iter().filter(|call| call.path == "/hang/confirm").collect();
        assert!(!by_bank.is_empty());
        for call in by_bank {
            assert_eq!(call.authorization.as_deref(), Some("Bearer token-of-the-first-release"));
            assert!(call.is_signed);
        }
        assert!(heard.iter().any(|call| call.path == "/hang/undo"));
    }
}
