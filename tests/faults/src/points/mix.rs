//! A small, fixed mix of sagas that comes to every point, and the clients that see to it.

use std::sync::Arc;
use std::time::Duration;

use amends_ports::{Clock as _, SystemClock};
use futures_util::future::{LocalBoxFuture, try_join_all};
use reqwest::Method;
use serde_json::{Value, json};
use sqlx::PgConnection;

use super::book::Book;
use super::client::Client;
use super::database::Database;

/// The statuses in which a saga has ended.
const ENDED: &[&str] = &["completed", "compensated", "abandoned"];
/// Steps of the definition `order`, and which are confirmed.
const ORDER: &[(&str, bool)] = &[("a0", false), ("b1", true), ("c2", false), ("d3", false)];
/// Times that a commit is cut off, until it is not known what became of one.
const CUTS_MAX: u32 = 5;
const ONE: &[(&str, bool)] = &[("a0", false)];

/// A saga and how it must end.
#[derive(Clone, Debug)]
pub(super) struct Ended {
    pub(super) saga: String,
    pub(super) status: String,
    pub(super) expected: &'static str,
    pub(super) steps: &'static [(&'static str, bool)],
}

/// The clients of one run.
#[derive(Clone, Debug)]
pub(super) struct Mix {
    pub(super) client: Client,
    pub(super) book: Arc<Book>,
    pub(super) database: Database,
    /// Base URL of its participant.
    pub(super) participant: String,
    /// Whether it goes on from the prelude, and then the saga whose partition is haunted.
    pub(super) ghost: Option<String>,
}

type Played<'a> = LocalBoxFuture<'a, anyhow::Result<Ended>>;

impl Mix {
    /// Registers what the sagas need, and something that nobody needs.
    pub(super) async fn register(&self) -> anyhow::Result<()> {
        let spec = json!({ "endpoints": [self.participant], "timeout": "3s" });
        self.client.must(Method::PUT, "/v1/participants/books", &spec).await?;
        self.client.must(Method::PUT, "/v1/participants/spare", &spec).await?;
        // Gone already, if somebody died after it.
        self.client.ask(Method::DELETE, "/v1/participants/spare", None).await?;
        for definition in definitions() {
            self.client.must(Method::POST, "/v1/definitions", &definition).await?;
        }
        Ok(())
    }

    /// Runs all of them side by side; how each ended.
    pub(super) async fn play(&self) -> anyhow::Result<Vec<Ended>> {
        self.register().await?;
        let mut all: Vec<Played<'_>> = vec![
            Box::pin(self.ordinary("order-1")),
            Box::pin(self.ordinary("order-2-keyed")),
            Box::pin(self.refused()),
            Box::pin(self.later()),
            Box::pin(self.called_back("callback-1")),
            Box::pin(self.silent()),
            Box::pin(self.paused()),
            Box::pin(self.cancelled()),
            Box::pin(self.stuck()),
            Box::pin(self.asked_back()),
            Box::pin(self.interactive()),
        ];
        let queue = self.queue();
        if let Some(ghost) = &self.ghost {
            all.push(Box::pin(self.haunted(ghost)));
            all.push(Box::pin(self.complete("left-1")));
            all.push(Box::pin(self.end("left-2", "completed", ORDER)));
        }
        let unanswered = self.unanswered();
        let (mut ended, queued, unanswered) =
            futures_util::try_join!(try_join_all(all), queue, unanswered)?;
        ended.extend(queued);
        ended.extend(unanswered);
        Ok(ended)
    }

    /// Waits until the saga has ended.
    async fn end(
        &self,
        saga: &str,
        expected: &'static str,
        steps: &'static [(&'static str, bool)],
    ) -> anyhow::Result<Ended> {
        let status = self.client.until(saga, ENDED).await?;
        Ok(Ended { saga: saga.to_owned(), status, expected, steps })
    }

    async fn ordinary(&self, saga: &str) -> anyhow::Result<Ended> {
        self.client.start(&start("order", saga)).await?;
        self.end(saga, "completed", ORDER).await
    }

    async fn refused(&self) -> anyhow::Result<Ended> {
        self.client.start(&start("undone", "undone-1")).await?;
        self.end("undone-1", "compensated", &ORDER[..3]).await
    }

    /// It sleeps in the store before it starts.
    async fn later(&self) -> anyhow::Result<Ended> {
        self.client.start(&start_in("order", "later-1", Duration::from_millis(500))).await?;
        self.end("later-1", "completed", ORDER).await
    }

    async fn called_back(&self, saga: &str) -> anyhow::Result<Ended> {
        self.client.start(&start("callback", saga)).await?;
        self.complete(saga).await
    }

    /// Says that its pending call is done, once it was made, until it has ended.
    async fn complete(&self, saga: &str) -> anyhow::Result<Ended> {
        let called = async || self.book.step(saga, "a0")?.callback;
        let what = format!("the callback of {saga}");
        let url = amends_tests::until(&what, super::client::BOUND, called).await?;
        // The prelude's coordinator was elsewhere.
        let path = url.find("/v1/").map_or("", |at| &url[at..]);
        let done = Some(json!({}));
        // Answered 409 where it was heard before its coordinator died, and where the call is about
        // to be made again after the time that it was waited for.
        loop {
            self.client.ask(Method::POST, path, done.as_ref()).await?;
            let view = self.client.ask(Method::GET, &format!("/v1/sagas/{saga}"), None).await?;
            let is_done = view.body["steps"][0]["calls"][0]["state"] == "succeeded";
            if is_done || view.status == 404 {
                return self.end(saga, "completed", ONE).await;
            }
            tokio::time::sleep(Duration::from_millis(30)).await;
        }
    }

    /// Nobody says that its call is done, and its deadline passes.
    async fn silent(&self) -> anyhow::Result<Ended> {
        let mut body = start("callback", "silent-1");
        body["deadline"] = json!("1s");
        self.client.start(&body).await?;
        self.end("silent-1", "compensated", ONE).await
    }

    async fn paused(&self) -> anyhow::Result<Ended> {
        self.client.start(&start_in("order", "paused-1", Duration::from_millis(600))).await?;
        self.client.may("/v1/sagas/paused-1/pause").await?;
        self.client.may("/v1/sagas/paused-1/resume").await?;
        self.end("paused-1", "completed", ORDER).await
    }

    async fn cancelled(&self) -> anyhow::Result<Ended> {
        self.client.start(&start_in("order", "cancelled-1", Duration::from_hours(1))).await?;
        self.client.may("/v1/sagas/cancelled-1/cancel").await?;
        self.end("cancelled-1", "compensated", ORDER).await
    }

    /// Its undo is put off until it is suspended, and an operator has it tried again.
    async fn stuck(&self) -> anyhow::Result<Ended> {
        self.client.start(&start("stuck", "stuck-1")).await?;
        while self.client.until("stuck-1", &[ENDED, &["suspended"]].concat()).await? == "suspended"
        {
            self.client.may("/v1/sagas/stuck-1/retry").await?;
        }
        self.end("stuck-1", "compensated", &ORDER[..1]).await
    }

    /// Another coordinator owns its partition, and dies: the command waits in the inbox.
    async fn haunted(&self, ghost: &str) -> anyhow::Result<Ended> {
        let cancel = format!("/v1/sagas/{ghost}/cancel");
        let free = async {
            while !self.database.has_mail().await? {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
            self.database.haunt(ghost, Duration::ZERO).await
        };
        futures_util::try_join!(self.client.may(&cancel), free)?;
        self.end(ghost, "compensated", ONE).await
    }

    /// Sagas that wait for one key; an operator takes it from the first one.
    async fn queue(&self) -> anyhow::Result<Vec<Ended>> {
        self.client.start(&start_with_key("held", "key-1", "k")).await?;
        let called = async || self.book.step("key-1", "a0")?.callback;
        amends_tests::until("key-1 to have the key", super::client::BOUND, called).await?;
        for saga in ["key-2", "key-3"] {
            self.client.start(&start_with_key("locked", saga, "k")).await?;
        }
        self.client.may("/v1/locks/k/release").await?;
        Ok(vec![
            self.complete("key-1").await?,
            self.end("key-2", "completed", ONE).await?,
            self.end("key-3", "completed", ONE).await?,
        ])
    }

    /// Its client commits locally and falls silent.
    async fn asked_back(&self) -> anyhow::Result<Ended> {
        let begin = json!({ "mode": "interactive", "id": "asked-1", "deadline": "1s",
            "prepared": { "participant": "books", "path": "/asked" } });
        self.client.start(&begin).await?;
        let is_committed = self.enlist("asked-1", "b1").await?;
        let expected = if is_committed { "completed" } else { "compensated" };
        let steps: &[(&str, bool)] = if is_committed { &[("b1", true)] } else { &[] };
        self.end("asked-1", expected, steps).await
    }

    async fn interactive(&self) -> anyhow::Result<Ended> {
        let begin = json!({ "mode": "interactive", "id": "interactive-1", "deadline": "60s" });
        self.client.start(&begin).await?;
        anyhow::ensure!(self.enlist("interactive-1", "b0").await?, "a branch was refused");
        let commit = "/v1/sagas/interactive-1/commit";
        self.client.must(Method::POST, commit, &json!({})).await?;
        self.end("interactive-1", "completed", &[("b0", true)]).await
    }

    /// Enlists a branch and does its part; whether it is done.
    async fn enlist(&self, saga: &str, branch: &str) -> anyhow::Result<bool> {
        let body = json!({ "participant": "books",
            "confirm": { "path": "/do" }, "cancel": { "path": "/undo" } });
        let path = format!("/v1/sagas/{saga}/branches/{branch}");
        let answer = self.client.ask(Method::PUT, &path, Some(&body)).await?;
        Ok(answer.is_success() && self.book.work(saga, branch))
    }

    /// The answer to a commit is lost: the server ends the connection in the middle of a write.
    async fn unanswered(&self) -> anyhow::Result<Vec<Ended>> {
        let Database::Postgres { pool, .. } = &self.database else { return Ok(Vec::new()) };
        self.ordinary("unanswered-0").await?;
        let mut ended = Vec::new();
        // By now the others have little to write. What they do may still share the transaction,
        // which then is known not to be committed.
        for number in 1..=CUTS_MAX {
            let saga = format!("unanswered-{number}");
            let body = start("order", &saga);
            let cut = async {
                let mut held = pool.begin().await?;
                let lock = "LOCK TABLE saga_journal IN EXCLUSIVE MODE";
                sqlx::query(lock).execute(&mut *held).await?;
                cut_writers(&mut held).await?;
                Ok(held.rollback().await?)
            };
            futures_util::try_join!(self.client.start(&body), cut)?;
            ended.push(self.end(&saga, "completed", ORDER).await?);
            let metrics = self.client.ask(Method::GET, "/metrics", None).await?;
            let metrics = metrics.body.as_str().unwrap_or_default();
            if !metrics.contains("amends_store_commits_unknown_total 0") {
                break;
            }
        }
        Ok(ended)
    }
}

/// Ends the connections of the coordinator that wait for a lock, once there are any.
async fn cut_writers(connection: &mut PgConnection) -> anyhow::Result<()> {
    let cut = "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity
        WHERE datname = current_database() AND application_name = 'amends'
            AND wait_event_type = 'Lock'";
    for _ in 0..100 {
        let ended: i64 = sqlx::query_scalar(cut).fetch_one(&mut *connection).await?;
        if ended > 0 {
            break;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    Ok(())
}

/// A start of a saga.
pub(super) fn start(definition: &str, saga: &str) -> Value {
    json!({ "definition": definition, "id": saga })
}

/// A start of a saga that names a lock key.
pub(super) fn start_with_key(definition: &str, saga: &str, key: &str) -> Value {
    json!({ "definition": definition, "id": saga, "input": { "key": key } })
}

/// A start of a saga that is to wait so long.
pub(super) fn start_in(definition: &str, saga: &str, wait: Duration) -> Value {
    let at = SystemClock::new().now().after(wait).to_string();
    json!({ "definition": definition, "id": saga, "start_at": at })
}

fn definitions() -> Vec<Value> {
    let op = |path: &str| json!({ "path": path });
    let step = |id: &str, action: &str, undo: &str| json!({ "id": id, "participant": "books", "action": op(action), "compensation": op(undo) });
    let tcc = json!({ "id": "b1", "participant": "books", "after": [],
        "try": op("/flaky"), "confirm": op("/do"), "cancel": op("/undo") });
    let mut last = step("c2", "/do", "/undo");
    last["after"] = json!(["a0", "b1"]);
    let mut pivot = last.clone();
    pivot["pivot"] = json!(true);
    let mut refused = last.clone();
    refused["action"] = op("/refuse");
    let mut called_back = step("a0", "/later", "/undo");
    called_back["completion"] = json!("callback");
    called_back["action"]["timeout"] = json!("1s");
    let mut stuck = step("a0", "/do", "/stuck");
    stuck["compensation"]["retry"] = json!({ "max_attempts": 2, "initial": "30ms" });
    let after = json!({ "id": "d3", "participant": "books", "action": op("/do") });
    let first = || step("a0", "/do", "/undo");
    let lock = json!({ "keys": ["${input.key}"] });
    let define = |name: &str, steps: Vec<Value>| {
        json!({ "name": name, "steps": steps, "defaults": { "timeout": "3s",
            "retry": { "max_attempts": 100, "initial": "30ms", "max": "200ms" } } })
    };
    let with_lock = |mut definition: Value| {
        definition["lock"] = lock.clone();
        definition
    };
    let mut refuse = step("b1", "/refuse", "/undo");
    refuse["after"] = json!(["a0"]);
    vec![
        define("order", vec![first(), tcc.clone(), pivot, after]),
        define("undone", vec![first(), tcc, refused]),
        define("callback", vec![called_back.clone()]),
        with_lock(define("held", vec![called_back])),
        with_lock(define("locked", vec![first()])),
        define("stuck", vec![stuck, refuse]),
    ]
}
