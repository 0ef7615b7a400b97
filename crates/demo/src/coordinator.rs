//! A client that does not give up: the coordinator may be killed and started again under it.
//!
//! Every request is one that may be repeated: submissions carry the saga's id and an idempotency
//! key. What is answered 429 or 5xx, or not at all, is asked again, of the next coordinator where
//! there are several.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use anyhow::{Context, bail};
use reqwest::{Method, StatusCode, header};
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::time::{Instant, sleep};

use crate::audit::End;
use crate::plan::PlannedSaga;

/// How long a request goes on being repeated: a coordinator that is started again may take long.
const PATIENCE: Duration = Duration::from_secs(150);
/// How long one answer may take; more than [`WAIT_SECONDS`].
const ANSWER_MAX: Duration = Duration::from_secs(40);
/// How long a submission asks its answer to wait for the saga's end, in seconds.
const WAIT_SECONDS: u64 = 20;
/// How long a saga may stand suspended: slow background retries may bring it back.
const SUSPENDED_MAX: Duration = Duration::from_secs(30);
/// How long a saga is followed in all.
const FOLLOW_MAX: Duration = Duration::from_mins(6);

/// One coordinator, or several over one database.
#[derive(Debug)]
pub struct Coordinator {
    http: reqwest::Client,
    urls: Vec<String>,
    /// Counts requests, so that each coordinator gets its share of them.
    requests: AtomicUsize,
}

/// An answer that is final.
#[derive(Debug)]
struct Reply {
    status: StatusCode,
    body: Vec<u8>,
}

/// As much of a saga's view as the demo looks at.
#[derive(Debug, Deserialize)]
struct SagaView {
    status: String,
    #[serde(default)]
    reason: Value,
}

impl SagaView {
    fn end(&self) -> Option<End> {
        match self.status.as_str() {
            "completed" => Some(End::Completed),
            "compensated" => Some(End::Undone),
            "abandoned" => Some(End::Open("abandoned by an operator".to_owned())),
            _ => None,
        }
    }
}

impl Coordinator {
    /// Coordinators at `urls`, without a slash at the end; at least one.
    ///
    /// # Errors
    ///
    /// No URL was given.
    pub fn new(urls: Vec<String>) -> anyhow::Result<Self> {
        anyhow::ensure!(!urls.is_empty(), "no coordinator was named");
        let http = reqwest::Client::builder()
            .no_proxy()
            .redirect(reqwest::redirect::Policy::none())
            .connect_timeout(Duration::from_secs(2))
            .timeout(ANSWER_MAX)
            .build()?;
        Ok(Self { http, urls, requests: AtomicUsize::new(0) })
    }

    /// Registers a participant, or changes its address.
    ///
    /// # Errors
    ///
    /// The coordinator refuses, or stays away for too long.
    pub async fn register(&self, name: &str, url: &str) -> anyhow::Result<()> {
        // The killed participant is back soon: a long rest would only make the demo wait.
        let breaker = json!({ "failures": 5, "open_for": "500ms" });
        let spec = json!({
            "endpoints": [url], "health": "/health", "timeout": "2s", "breaker": breaker,
        });
        let path = format!("/v1/participants/{name}");
        let content = (JSON, serde_json::to_vec(&spec)?);
        let reply = self.ask(&Method::PUT, &path, Some(content), None).await?;
        reply.success(&format!("registering {name}"))
    }

    /// Posts a definition in YAML.
    ///
    /// # Errors
    ///
    /// The coordinator refuses, or stays away for too long.
    pub async fn define(&self, yaml: &str) -> anyhow::Result<()> {
        let content = ("application/yaml", yaml.as_bytes().to_vec());
        let reply = self.ask(&Method::POST, "/v1/definitions", Some(content), None).await?;
        reply.success("posting the definition")
    }

    /// Starts a saga and follows it to its end.
    ///
    /// # Errors
    ///
    /// The coordinator refuses it, loses it, or stays away for too long.
    pub async fn run(&self, run: &str, saga: &PlannedSaga) -> anyhow::Result<End> {
        let start = Instant::now();
        let mut suspended_since: Option<Instant> = None;
        let mut view = self.submit(run, saga).await?;
        loop {
            if let Some(end) = view.end() {
                return Ok(end);
            }
            suspended_since =
                (view.status == "suspended").then(|| suspended_since.unwrap_or_else(Instant::now));
            let is_stuck = suspended_since.is_some_and(|since| since.elapsed() > SUSPENDED_MAX);
            if is_stuck || start.elapsed() > FOLLOW_MAX {
                return Ok(End::Open(format!("{}: {}", view.status, view.reason)));
            }
            sleep(Duration::from_millis(200)).await;
            let reply =
                self.ask(&Method::GET, &format!("/v1/sagas/{}", saga.id), None, None).await?;
            view = reply.json(&format!("asking for saga {}", saga.id))?;
        }
    }

    async fn submit(&self, run: &str, saga: &PlannedSaga) -> anyhow::Result<SagaView> {
        let input = json!({
            "user": saga.user, "sku": saga.sku, "qty": saga.qty, "amount": saga.amount,
        });
        let start = json!({
            "definition": "place-order", "id": saga.id, "input": input,
            "labels": { "demo": run, "meets": saga.fate.label() },
        });
        let content = (JSON, serde_json::to_vec(&start)?);
        let reply = self.ask(&Method::POST, "/v1/sagas", Some(content), Some(&saga.id)).await?;
        reply.json(&format!("starting saga {}", saga.id))
    }

    /// Sends a request until there is an answer that is neither 429 nor 5xx.
    async fn ask(
        &self,
        method: &Method,
        path: &str,
        content: Option<(&str, Vec<u8>)>,
        idempotency_key: Option<&str>,
    ) -> anyhow::Result<Reply> {
        let start = Instant::now();
        let mut pause = Duration::from_millis(50);
        let first = self.requests.fetch_add(1, Ordering::Relaxed) % self.urls.len();
        for url in self.urls.iter().cycle().skip(first) {
            let mut request = self.http.request(method.clone(), format!("{url}{path}"));
            if let Some((kind, body)) = &content {
                request = request.header(header::CONTENT_TYPE, *kind).body(body.clone());
            }
            if let Some(key) = idempotency_key {
                request = request
                    .header("idempotency-key", format!("\"{key}\""))
                    .header("prefer", format!("wait={WAIT_SECONDS}"));
            }
            let trouble = match reply_to(request).await {
                Ok(reply) if !reply.is_worth_repeating() => return Ok(reply),
                Ok(reply) => format!("{}: {}", reply.status, reply.text()),
                Err(error) => format!("{error:#}"),
            };
            if start.elapsed() > PATIENCE {
                bail!("{method} {path} found no answer in {} s: {trouble}", PATIENCE.as_secs());
            }
            sleep(pause).await;
            pause = (pause * 2).min(Duration::from_secs(1));
        }
        bail!("no coordinator was named")
    }
}

const JSON: &str = "application/json";

async fn reply_to(request: reqwest::RequestBuilder) -> anyhow::Result<Reply> {
    let response = request.send().await?;
    let status = response.status();
    let body = response.bytes().await.context("the answer broke off")?.to_vec();
    Ok(Reply { status, body })
}

impl Reply {
    fn is_worth_repeating(&self) -> bool {
        self.status.is_server_error() || self.status == StatusCode::TOO_MANY_REQUESTS
    }

    fn text(&self) -> std::borrow::Cow<'_, str> {
        String::from_utf8_lossy(&self.body)
    }

    fn success(&self, what: &str) -> anyhow::Result<()> {
        anyhow::ensure!(self.status.is_success(), "{what}: {} {}", self.status, self.text());
        Ok(())
    }

    fn json<T: serde::de::DeserializeOwned>(&self, what: &str) -> anyhow::Result<T> {
        self.success(what)?;
        serde_json::from_slice(&self.body).with_context(|| format!("{what}: {}", self.text()))
    }
}
