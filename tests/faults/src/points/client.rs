//! A client that asks until it is answered, whoever dies meanwhile.

use std::time::Duration;

use anyhow::Context as _;
use reqwest::Method;
use serde_json::{Value, json};
use tokio::time::{Instant, sleep};

/// Pause before a request is repeated.
const PAUSE: Duration = Duration::from_millis(30);
/// Longest wait for one answer.
const ANSWER_MAX: Duration = Duration::from_secs(5);
/// How long a request is repeated, and how long a saga may take: the bound within which everything
/// must be well again, on a busy machine.
pub(super) const BOUND: Duration = Duration::from_secs(40);

/// Asks one coordinator.
#[derive(Clone, Debug)]
pub(super) struct Client {
    http: reqwest::Client,
    url: String,
}

/// An answer that is not about the coordinator's own troubles.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) body: Value,
}

impl Answer {
    pub(super) fn is_success(&self) -> bool {
        (200..300).contains(&self.status)
    }
}

impl Client {
    pub(super) fn new(url: String) -> anyhow::Result<Self> {
        let http = reqwest::Client::builder()
            .no_proxy()
            .redirect(reqwest::redirect::Policy::none())
            .timeout(ANSWER_MAX)
            .build()?;
        Ok(Self { http, url })
    }

    /// Asks until there is an answer below 500.
    pub(super) async fn ask(
        &self,
        method: Method,
        path: &str,
        body: Option<&Value>,
    ) -> anyhow::Result<Answer> {
        let began = Instant::now();
        loop {
            let trouble = match self.once(method.clone(), path, body).await {
                Ok(answer) if answer.status < 500 => return Ok(answer),
                Ok(answer) => format!("{}: {}", answer.status, answer.body),
                Err(error) => format!("{:#}", anyhow::Error::from(error)),
            };
            let is_late = began.elapsed() > BOUND;
            anyhow::ensure!(!is_late, "{method} {path} for {BOUND:?}: {trouble}");
            sleep(PAUSE).await;
        }
    }

    async fn once(
        &self,
        method: Method,
        path: &str,
        body: Option<&Value>,
    ) -> reqwest::Result<Answer> {
        let mut request = self.http.request(method, format!("{}{path}", self.url));
        if let Some(body) = body {
            request = request.json(body);
            if let Some(key) = body["id"].as_str().filter(|id| id.ends_with("-keyed")) {
                request = request.header("idempotency-key", key);
            }
        }
        let response = request.send().await?;
        let status = response.status().as_u16();
        let text = response.text().await?;
        Ok(Answer { status, body: serde_json::from_str(&text).unwrap_or(json!(text)) })
    }

    /// Asks for something that must be done.
    pub(super) async fn must(
        &self,
        method: Method,
        path: &str,
        body: &Value,
    ) -> anyhow::Result<Value> {
        let answer = self.ask(method.clone(), path, Some(body)).await?;
        anyhow::ensure!(answer.is_success(), "{method} {path}: {} {}", answer.status, answer.body);
        Ok(answer.body)
    }

    /// Asks for something that may have become needless.
    pub(super) async fn may(&self, path: &str) -> anyhow::Result<()> {
        self.ask(Method::POST, path, Some(&json!({ "reason": "test" }))).await.map(drop)
    }

    /// Starts a saga; it is there from then on.
    pub(super) async fn start(&self, body: &Value) -> anyhow::Result<()> {
        self.must(Method::POST, "/v1/sagas", body).await.map(drop)
    }

    /// The saga once its status is one of these.
    ///
    /// # Errors
    ///
    /// It is not there, though its start was acknowledged, or has not within the bound.
    pub(super) async fn until(&self, saga: &str, statuses: &[&str]) -> anyhow::Result<String> {
        let began = Instant::now();
        loop {
            let answer = self.ask(Method::GET, &format!("/v1/sagas/{saga}"), None).await?;
            anyhow::ensure!(answer.status != 404, "{LOST}: {saga}");
            let status = answer.body["status"].as_str().context("a saga without a status")?;
            if statuses.contains(&status) {
                return Ok(status.to_owned());
            }
            anyhow::ensure!(
                began.elapsed() < BOUND,
                "{saga} is {status} after {BOUND:?}: {}",
                answer.body["explanation"]
            );
            sleep(PAUSE).await;
        }
    }
}

/// What the error begins with that says that an acknowledged saga is gone.
pub(super) const LOST: &str = "acknowledged, and not there";
