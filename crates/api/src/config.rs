//! Bounds and addresses of the API, each with a default.

use std::sync::Arc;
use std::time::Duration;

use amends_core::participant::TargetPolicy;
use amends_engine::{NoTracing, Tracing};

/// Settings of the API.
#[derive(Clone, Debug)]
pub struct ApiConfig {
    /// Base URL under which clients reach this server, without a slash at the end; empty where
    /// it is not known. Browsers' requests from this origin are let in.
    pub public_url: String,
    /// Names of hosts that requests may be for, in small letters, besides addresses and
    /// `localhost`; any name, if none. For servers that only their own machine can reach: a page
    /// on the web may have its own name resolve to a loopback address, and to the browser such a
    /// server is then the page's own site, so that the page may read and command everything here.
    pub host_names: Option<Vec<String>>,
    /// Longest request body, in bytes.
    pub body_bytes_max: usize,
    /// Longest time in which a request's body must have come.
    pub body_timeout: Duration,
    /// Longest time for an answer, besides what `Prefer: wait` asks for.
    pub request_timeout: Duration,
    /// Longest wait that `Prefer: wait=N` may ask for.
    pub wait_max: Duration,
    /// Most requests at once; more are answered 503. Health and metrics are not counted.
    pub requests_max: usize,
    /// Most event streams at once; more are answered 503.
    pub sse_clients_max: usize,
    /// Time between two signs of life on a quiet event stream.
    pub sse_heartbeat: Duration,
    /// Hints about one saga are sent at most once in this time.
    pub sse_interval: Duration,
    /// Rows on a page of a list where the request does not say.
    pub page_rows: u16,
    /// Most rows on a page of a list.
    pub page_rows_max: u16,
    /// Sagas of one status are counted up to here.
    pub counts_max: u32,
    /// Which endpoints may be registered; the same that calls obey.
    pub targets: TargetPolicy,
    /// Connects the spans of requests with those of the callers.
    pub tracing: Arc<dyn Tracing>,
}

impl Default for ApiConfig {
    fn default() -> Self {
        Self {
            public_url: String::new(),
            host_names: None,
            body_bytes_max: 1024 * 1024,
            body_timeout: Duration::from_secs(10),
            request_timeout: Duration::from_secs(30),
            wait_max: Duration::from_mins(1),
            requests_max: 4096,
            sse_clients_max: 256,
            sse_heartbeat: Duration::from_secs(15),
            sse_interval: Duration::from_millis(250),
            page_rows: 50,
            page_rows_max: 500,
            counts_max: 10_000,
            targets: TargetPolicy::permissive(),
            tracing: Arc::new(NoTracing),
        }
    }
}
