//! Asks the server and counts what it answers.

use std::sync::Arc;
use std::time::Duration;

use amends_tests::Answer;
use anyhow::Context as _;
use reqwest::{Method, RequestBuilder};
use serde_json::Value;

use super::registration;
use crate::tally::Tally;

/// Longest wait for one answer.
const ANSWER_MAX: Duration = Duration::from_secs(40);

/// A client that counts. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Asker {
    http: reqwest::Client,
    url: Arc<str>,
    /// Counts the answers.
    pub(crate) tally: Arc<Tally>,
}

impl Asker {
    /// Of the server at `url`.
    pub(crate) fn new(url: &str, tally: Arc<Tally>) -> anyhow::Result<Self> {
        let http = reqwest::Client::builder()
            .no_proxy()
            .redirect(reqwest::redirect::Policy::none())
            .timeout(ANSWER_MAX)
            // The server closes what was quiet for ten seconds.
            .pool_idle_timeout(Duration::from_secs(5))
            .build()?;
        Ok(Self { http, url: Arc::from(url), tally })
    }

    /// Host and port.
    pub(crate) fn address(&self) -> &str {
        self.url.trim_start_matches("http://")
    }

    /// A request to a path.
    pub(crate) fn request(&self, method: Method, path: &str) -> RequestBuilder {
        self.http.request(method, format!("{}{path}", self.url))
    }

    /// A request to a URL.
    pub(crate) fn post_to(&self, url: &str) -> RequestBuilder {
        self.http.post(url)
    }

    /// The answer, once it is counted; none if there was none.
    pub(crate) async fn ask(&self, what: &str, request: RequestBuilder) -> Option<Answer> {
        let Some(answer) = Self::send(request).await else {
            self.tally.broken();
            return None;
        };
        let code = answer.body["code"].as_str().unwrap_or_default();
        self.tally.answer(what, answer.status, code, answer.header("retry-after"));
        Some(answer)
    }

    /// Asks until the answer is another one than that a bound is reached.
    pub(crate) async fn insist(
        &self,
        what: &str,
        request: impl Fn() -> RequestBuilder,
    ) -> Option<Answer> {
        loop {
            match self.ask(what, request()).await {
                Some(answer) if answer.status == 503 => tokio::time::sleep(super::REST).await,
                other => return other,
            }
        }
    }

    /// Posts JSON, insisting.
    pub(crate) async fn post(&self, what: &str, path: &str, body: &Value) -> Option<Answer> {
        self.insist(what, || self.request(Method::POST, path).json(body)).await
    }

    /// Asks for a path, insisting.
    pub(crate) async fn get(&self, what: &str, path: &str) -> Option<Answer> {
        self.insist(what, || self.request(Method::GET, path)).await
    }

    /// Registers the participant `soak`.
    pub(crate) async fn register(&self, url: &str) -> anyhow::Result<()> {
        let body = registration(url);
        let request = self.request(Method::PUT, "/v1/participants/soak").json(&body);
        let answer = self.ask("a registration", request).await.context("no answer")?;
        answer.success().map(drop)
    }

    /// Stores a definition.
    pub(crate) async fn define(&self, definition: &Value) -> anyhow::Result<()> {
        let answer = self.post("a definition", "/v1/definitions", definition).await;
        answer.context("no answer")?.success().map(drop)
    }

    async fn send(request: RequestBuilder) -> Option<Answer> {
        let response = request.send().await.ok()?;
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        let text = response.text().await.ok()?;
        let body = serde_json::from_str(&text).unwrap_or_default();
        Some(Answer { status, headers, body, text })
    }
}
