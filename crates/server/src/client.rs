//! The client commands' side of the REST API: requests with time-outs, answers as JSON, problem
//! documents as failures.

use std::time::Duration;

use futures_util::StreamExt as _;
use reqwest::{Method, RequestBuilder, Response};
use serde_json::Value;
use url::Url;

use crate::failure::Failure;
use crate::problem::Problem;
use crate::sse::Decoder;

/// Longest wait for a connection.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);

/// Longest wait for a whole answer, where the request does not ask the server to wait.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(30);

/// Longest silence of a stream of events; the server sends a heartbeat every 15 s.
const SILENCE_MAX: Duration = Duration::from_secs(45);

/// Talks to one server.
#[derive(Debug)]
pub(crate) struct Client {
    base: Url,
    http: reqwest::Client,
}

/// A request in the making.
#[derive(Debug)]
pub(crate) struct Request<'a> {
    client: &'a Client,
    method: Method,
    url: Url,
    headers: Vec<(String, String)>,
    body: Option<String>,
    timeout: Duration,
}

impl Client {
    /// A client of the server with this base URL.
    pub(crate) fn new(url: &str) -> Result<Self, Failure> {
        let advice = "write it as http://HOST:PORT";
        let base = Url::parse(url)
            .map_err(|error| Failure::Usage(format!("--url {url}: {error}; {advice}")))?;
        if base.cannot_be_a_base() || base.scheme() != "http" {
            return Err(Failure::Usage(format!("--url {url} is no URL of a server; {advice}")));
        }
        let http = reqwest::Client::builder()
            .connect_timeout(CONNECT_TIMEOUT)
            .user_agent(concat!("amends/", env!("CARGO_PKG_VERSION")))
            .build()
            .map_err(|error| Failure::Server(error.to_string()))?;
        Ok(Self { base, http })
    }

    /// The server's base URL, without a trailing slash.
    pub(crate) fn base(&self) -> &str {
        self.base.as_str().trim_end_matches('/')
    }

    /// A GET of `/v1` and these path segments.
    pub(crate) fn get(&self, path: &[&str]) -> Request<'_> {
        self.request(Method::GET, path)
    }

    /// A POST to `/v1` and these path segments.
    pub(crate) fn post(&self, path: &[&str]) -> Request<'_> {
        self.request(Method::POST, path)
    }

    /// A PUT to `/v1` and these path segments.
    pub(crate) fn put(&self, path: &[&str]) -> Request<'_> {
        self.request(Method::PUT, path)
    }

    /// A DELETE of `/v1` and these path segments.
    pub(crate) fn delete(&self, path: &[&str]) -> Request<'_> {
        self.request(Method::DELETE, path)
    }

    fn request(&self, method: Method, path: &[&str]) -> Request<'_> {
        let mut url = self.base.clone();
        if let Ok(mut segments) = url.path_segments_mut() {
            segments.pop_if_empty().push("v1").extend(path);
        }
        let (headers, body, timeout) = (Vec::new(), None, ANSWER_TIMEOUT);
        Request { client: self, method, url, headers, body, timeout }
    }
}

impl Request<'_> {
    /// Adds query parameters.
    pub(crate) fn query(mut self, parameters: &[(&str, String)]) -> Self {
        if !parameters.is_empty() {
            self.url.query_pairs_mut().extend_pairs(parameters);
        }
        self
    }

    /// Adds a header.
    pub(crate) fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Sends this JSON.
    pub(crate) fn json(self, body: &Value) -> Self {
        self.body("application/json", body.to_string())
    }

    /// Sends this text under this content type.
    pub(crate) fn body(mut self, content_type: &str, body: String) -> Self {
        self.body = Some(body);
        self.header("content-type", content_type)
    }

    /// Asks the server to answer only when the saga is done, or after so many seconds.
    pub(crate) fn wait(mut self, seconds: u64) -> Self {
        self.timeout = ANSWER_TIMEOUT + Duration::from_secs(seconds);
        self.header("prefer", &format!("wait={seconds}"))
    }

    /// Sends it; the answer's JSON, `null` for an empty one.
    pub(crate) async fn send(self) -> Result<Value, Failure> {
        let client = self.client;
        let timeout = self.timeout;
        let response = client.accepted(self.builder().timeout(timeout).send().await).await?;
        let url = response.url().to_string();
        let bytes = response.bytes().await.map_err(|error| client.unreachable(&error))?;
        if bytes.is_empty() {
            return Ok(Value::Null);
        }
        serde_json::from_slice(&bytes).map_err(|error| Failure::Strange {
            url,
            what: format!("something that is no JSON: {error}"),
        })
    }

    /// Sends it and hands the data of every event to `each` until that says enough (false) or the
    /// stream ends or goes silent. Time-outs apply to silence, not to the whole.
    pub(crate) async fn events(
        self,
        mut each: impl AsyncFnMut(&Value) -> Result<bool, Failure>,
    ) -> Result<(), Failure> {
        let client = self.client;
        let response = self.header("accept", "text/event-stream").builder().send().await;
        let mut stream = client.accepted(response).await?.bytes_stream();
        let mut decoder = Decoder::default();
        while let Ok(Some(Ok(bytes))) = tokio::time::timeout(SILENCE_MAX, stream.next()).await {
            for data in decoder.feed(&bytes) {
                let Ok(event) = serde_json::from_str(&data) else { continue };
                if !each(&event).await? {
                    return Ok(());
                }
            }
        }
        Ok(())
    }

    fn builder(self) -> RequestBuilder {
        let builder = self.client.http.request(self.method, self.url);
        let builder =
            self.headers.iter().fold(builder, |builder, (name, value)| builder.header(name, value));
        match self.body {
            Some(body) => builder.body(body),
            None => builder,
        }
    }
}

impl Client {
    /// The response if it is a success; otherwise its problem document.
    async fn accepted(
        &self,
        response: Result<Response, reqwest::Error>,
    ) -> Result<Response, Failure> {
        let response = response.map_err(|error| self.unreachable(&error))?;
        let status = response.status();
        if status.is_success() {
            return Ok(response);
        }
        let url = response.url().to_string();
        let retry_after = response
            .headers()
            .get("retry-after")
            .and_then(|value| value.to_str().ok())
            .map(str::to_owned);
        let bytes = response.bytes().await.map_err(|error| self.unreachable(&error))?;
        match serde_json::from_slice::<Problem>(&bytes) {
            Ok(problem) if !problem.code.is_empty() => {
                let server = self.base().to_owned();
                Err(Failure::Problem(Box::new(Problem { retry_after, server, ..problem })))
            }
            Ok(_) | Err(_) => {
                Err(Failure::Strange { url, what: format!("{status} without a problem document") })
            }
        }
    }

    fn unreachable(&self, error: &reqwest::Error) -> Failure {
        let mut reason: &dyn std::error::Error = error;
        while let Some(deeper) = reason.source() {
            reason = deeper;
        }
        Failure::Unreachable { url: self.base().to_owned(), reason: reason.to_string() }
    }
}
