//! Sagas that are started one after another, by clients that do not give up.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use amends_demo::{Plan, PlannedSaga};
use anyhow::Context as _;
use parking_lot::Mutex;
use serde_json::json;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep};

/// How many clients there are.
const CLIENTS: usize = 12;
/// How long a client rests after each start: some 25 sagas a second in all.
const REST: Duration = Duration::from_millis(400);
/// Longest wait for one answer. Coordinators that stand still are left for others.
const ANSWER_MAX: Duration = Duration::from_secs(4);
/// How long one start is repeated.
const PATIENCE: Duration = Duration::from_secs(90);

/// Clients at work.
#[derive(Debug)]
pub(crate) struct Load {
    shared: Arc<Shared>,
    clients: JoinSet<()>,
}

#[derive(Debug)]
struct Shared {
    plan: Plan,
    urls: Vec<String>,
    http: reqwest::Client,
    next: AtomicUsize,
    is_over: AtomicBool,
    accepted: Mutex<Vec<PlannedSaga>>,
    /// Starts that were refused, or never answered.
    refused: Mutex<Vec<String>>,
}

/// What the clients know in the end.
#[derive(Debug)]
pub(crate) struct Started {
    /// Sagas whose start was acknowledged, in this order.
    pub(crate) accepted: Vec<PlannedSaga>,
    /// Starts that no coordinator took: one sentence each.
    pub(crate) refused: Vec<String>,
}

impl Load {
    /// Starts the sagas of `plan` at the coordinators at `urls`, in turn.
    ///
    /// # Errors
    ///
    /// None that a fault could cause.
    pub(crate) fn start(plan: Plan, urls: Vec<String>) -> anyhow::Result<Self> {
        let http = reqwest::Client::builder()
            .no_proxy()
            .connect_timeout(Duration::from_secs(1))
            .timeout(ANSWER_MAX)
            .build()?;
        let shared = Arc::new(Shared {
            plan,
            urls,
            http,
            next: AtomicUsize::new(0),
            is_over: AtomicBool::new(false),
            accepted: Mutex::default(),
            refused: Mutex::default(),
        });
        let mut clients = JoinSet::new();
        for _ in 0..CLIENTS {
            clients.spawn(Arc::clone(&shared).work());
        }
        Ok(Self { shared, clients })
    }

    /// How many starts have been acknowledged.
    pub(crate) fn accepted(&self) -> usize {
        self.shared.accepted.lock().len()
    }

    /// Sagas whose start has been acknowledged.
    pub(crate) fn so_far(&self) -> Vec<PlannedSaga> {
        self.shared.accepted.lock().clone()
    }

    /// Waits until so many more have been acknowledged.
    ///
    /// # Errors
    ///
    /// They have not been within `limit`.
    pub(crate) async fn until_more(&self, more: usize, limit: Duration) -> anyhow::Result<()> {
        let wanted = self.accepted() + more;
        let what = format!("{more} more sagas to be accepted");
        amends_tests::until(&what, limit, async || (self.accepted() >= wanted).then_some(())).await
    }

    /// Starts no more, and waits until those that are being started are answered.
    ///
    /// # Errors
    ///
    /// A client broke.
    pub(crate) async fn stop(mut self) -> anyhow::Result<Started> {
        self.shared.is_over.store(true, Ordering::Relaxed);
        while let Some(client) = self.clients.join_next().await {
            client.context("a client broke")?;
        }
        let accepted = std::mem::take(&mut *self.shared.accepted.lock());
        let refused = std::mem::take(&mut *self.shared.refused.lock());
        Ok(Started { accepted, refused })
    }
}

impl Shared {
    async fn work(self: Arc<Self>) {
        while !self.is_over.load(Ordering::Relaxed) {
            let index = self.next.fetch_add(1, Ordering::Relaxed);
            let Some(saga) = self.plan.sagas.get(index) else { return };
            match self.submit(index, saga).await {
                Ok(()) => self.accepted.lock().push(saga.clone()),
                Err(error) => self.refused.lock().push(format!("{}: {error:#}", saga.id)),
            }
            sleep(REST).await;
        }
    }

    /// Asks until it is taken. A repeated start is the same one: it carries its id and key.
    async fn submit(&self, index: usize, saga: &PlannedSaga) -> anyhow::Result<()> {
        let input = json!({
            "user": saga.user, "sku": saga.sku, "qty": saga.qty, "amount": saga.amount,
        });
        let start = json!({ "definition": "place-order", "id": saga.id, "input": input });
        let began = Instant::now();
        for attempt in 0.. {
            let url = &self.urls[(index + attempt) % self.urls.len()];
            let request = self
                .http
                .post(format!("{url}/v1/sagas"))
                .header("idempotency-key", format!("\"{}\"", saga.id))
                .json(&start);
            let trouble = match request.send().await {
                Ok(answer) if answer.status().is_success() => return Ok(()),
                Ok(answer) => {
                    let status = answer.status();
                    let text = format!("{status}: {}", answer.text().await.unwrap_or_default());
                    anyhow::ensure!(status.is_server_error() || status == 429, text);
                    text
                }
                Err(error) => format!("{:#}", anyhow::Error::from(error)),
            };
            anyhow::ensure!(began.elapsed() < PATIENCE, "for {PATIENCE:?} {trouble}");
            sleep(Duration::from_millis(100)).await;
        }
        Ok(())
    }
}
