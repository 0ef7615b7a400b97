//! A client of the REST surface that takes every answer as it comes.

use std::time::Duration;

use anyhow::Context as _;
use reqwest::header::HeaderMap;
use reqwest::{Method, RequestBuilder};
use serde_json::Value;

use crate::until;

/// Longest wait for one answer: more than any `Prefer: wait` here.
const ANSWER_MAX: Duration = Duration::from_secs(40);

/// Asks one coordinator.
#[derive(Clone, Debug)]
pub struct Client {
    http: reqwest::Client,
    url: String,
}

/// What was answered.
#[derive(Clone, Debug)]
pub struct Answer {
    /// The status.
    pub status: u16,
    /// The headers.
    pub headers: HeaderMap,
    /// The body; null if it is no JSON.
    pub body: Value,
    /// The body as it came.
    pub text: String,
}

impl Client {
    /// A client of the coordinator at `url`.
    ///
    /// # Errors
    ///
    /// None that a test could cause.
    pub fn new(url: &str) -> anyhow::Result<Self> {
        let http = reqwest::Client::builder()
            .no_proxy()
            .redirect(reqwest::redirect::Policy::none())
            .connect_timeout(Duration::from_secs(5))
            .timeout(ANSWER_MAX)
            .build()?;
        Ok(Self { http, url: url.to_owned() })
    }

    /// A request to `path`, to be completed by the test.
    pub fn request(&self, method: Method, path: &str) -> RequestBuilder {
        self.http.request(method, format!("{}{path}", self.url))
    }

    /// Asks for `path`.
    ///
    /// # Errors
    ///
    /// There was no answer.
    pub async fn get(&self, path: &str) -> anyhow::Result<Answer> {
        send(self.request(Method::GET, path)).await
    }

    /// Posts JSON.
    ///
    /// # Errors
    ///
    /// There was no answer.
    pub async fn post(&self, path: &str, body: &Value) -> anyhow::Result<Answer> {
        send(self.request(Method::POST, path).json(body)).await
    }

    /// Puts JSON.
    ///
    /// # Errors
    ///
    /// There was no answer.
    pub async fn put(&self, path: &str, body: &Value) -> anyhow::Result<Answer> {
        send(self.request(Method::PUT, path).json(body)).await
    }

    /// Sends a request that the test has completed.
    ///
    /// # Errors
    ///
    /// There was no answer.
    pub async fn send(&self, request: RequestBuilder) -> anyhow::Result<Answer> {
        send(request).await
    }

    /// Registers a participant.
    ///
    /// # Errors
    ///
    /// It is refused.
    pub async fn register(&self, name: &str, spec: &Value) -> anyhow::Result<()> {
        self.put(&format!("/v1/participants/{name}"), spec).await?.success().map(drop)
    }

    /// Stores a definition.
    ///
    /// # Errors
    ///
    /// It is refused.
    pub async fn define(&self, definition: &Value) -> anyhow::Result<()> {
        self.post("/v1/definitions", definition).await?.success().map(drop)
    }

    /// The saga's view once it has this status.
    ///
    /// # Errors
    ///
    /// It has another one after `limit`, or cannot be found.
    pub async fn until_status(
        &self,
        saga: &str,
        status: &str,
        limit: Duration,
    ) -> anyhow::Result<Value> {
        let mut last = Value::Null;
        let what = format!("saga {saga} to be {status}");
        let found = until(&what, limit, async || {
            let answer = self.get(&format!("/v1/sagas/{saga}")).await.ok()?;
            last = answer.body;
            (last["status"] == status).then(|| last.clone())
        });
        found.await.with_context(|| format!("its last view: {last:#}"))
    }

    /// All records of a saga's journal.
    ///
    /// # Errors
    ///
    /// They cannot be read.
    pub async fn journal(&self, saga: &str) -> anyhow::Result<Vec<Value>> {
        let path = format!("/v1/sagas/{saga}/journal?limit=500");
        let body = self.get(&path).await?.success()?;
        anyhow::ensure!(body["next"].is_null(), "a journal of more than 500 records");
        body["records"].as_array().cloned().context("a journal without records")
    }

    /// The sum of a counter or gauge over all its labels; 0 if it is not there.
    ///
    /// # Errors
    ///
    /// The metrics cannot be read.
    pub async fn metric(&self, name: &str) -> anyhow::Result<u64> {
        let text = self.get("/metrics").await?.text;
        let of_name =
            |line: &&str| line.strip_prefix(name).is_some_and(|rest| rest.starts_with([' ', '{']));
        let value =
            |line: &str| line.rsplit(' ').next().and_then(|value| value.parse::<u64>().ok());
        Ok(text.lines().filter(of_name).filter_map(value).sum())
    }
}

async fn send(request: RequestBuilder) -> anyhow::Result<Answer> {
    let response = request.send().await?;
    let (status, headers) = (response.status().as_u16(), response.headers().clone());
    let text = response.text().await?;
    let body = serde_json::from_str(&text).unwrap_or_default();
    Ok(Answer { status, headers, body, text })
}

impl Answer {
    /// The body of a 2xx.
    ///
    /// # Errors
    ///
    /// Any other status; with the body.
    pub fn success(self) -> anyhow::Result<Value> {
        anyhow::ensure!((200..300).contains(&self.status), "{}: {}", self.status, self.text);
        Ok(self.body)
    }

    /// The value of a header, if it is there.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).and_then(|value| value.to_str().ok())
    }
}
