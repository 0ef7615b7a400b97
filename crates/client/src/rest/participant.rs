//! Registered participants.

use http::header::IF_MATCH;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use std::time::Duration;

use super::client::Client;
use super::error::{Error, Result};
use super::outgoing::{Outgoing, duration_text, to_value};

/// What is registered under a name.
///
/// ```
/// use std::time::Duration;
///
/// use amends_client::rest::ParticipantSpec;
///
/// let inventory = ParticipantSpec::new("inventory")
///     .endpoint("http://127.0.0.1:9001")
///     .health("/health")
///     .timeout(Duration::from_secs(2))
///     .field("breaker", &serde_json::json!({ "failures": 5, "open_for": "1s" }));
/// # drop(inventory);
/// ```
#[derive(Clone, PartialEq)]
#[must_use = "it only describes; hand it over"]
pub struct ParticipantSpec {
    name: String,
    fields: Map<String, Value>,
    fault: Option<String>,
}

/// Without the fields' values: some are secrets.
impl std::fmt::Debug for ParticipantSpec {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let fields: Vec<&String> = self.fields.keys().collect();
        f.debug_struct("ParticipantSpec")
            .field("name", &self.name)
            .field("fields", &fields)
            .finish_non_exhaustive()
    }
}

impl ParticipantSpec {
    /// A participant without an endpoint yet; it needs one.
    pub fn new(name: &str) -> Self {
        Self { name: name.to_owned(), fields: Map::new(), fault: None }
    }

    /// One more base URL; calls are spread over them.
    pub fn endpoint(mut self, url: &str) -> Self {
        let list = self.fields.entry("endpoints").or_insert_with(|| json!([]));
        if let Value::Array(urls) = list {
            urls.push(url.into());
        }
        self
    }

    /// Path below each endpoint that answers 2xx when it is well.
    pub fn health(self, path: &str) -> Self {
        self.field("health", path)
    }

    /// Time for one attempt where the definition says nothing.
    pub fn timeout(self, timeout: Duration) -> Self {
        self.field("timeout", &duration_text(timeout))
    }

    /// Most calls in flight at once from one coordinator.
    pub fn max_concurrency(self, calls: u32) -> Self {
        self.field("max_concurrency", &calls)
    }

    /// Calls carry this bearer token.
    pub fn bearer_token(self, token: &str) -> Self {
        self.field("auth", &json!({ "type": "bearer", "token": token }))
    }

    /// Any field of a registration, such as `retry`, `auth`, `signing_secrets`, `labels`.
    pub fn field(mut self, name: &str, value: &(impl Serialize + ?Sized)) -> Self {
        match to_value(&value) {
            Ok(value) => {
                self.fields.insert(name.to_owned(), value);
            }
            Err(fault) => self.fault = Some(format!("{name}: {fault}")),
        }
        self
    }
}

/// The participants of a server. Made by [`Client::participants`].
#[derive(Clone, Debug)]
pub struct Participants {
    client: Client,
}

impl Participants {
    pub(crate) fn new(client: Client) -> Self {
        Self { client }
    }

    /// Registers a participant, or changes it: calls in flight are not touched.
    ///
    /// # Errors
    ///
    /// `participant-invalid` with its faults.
    pub async fn put(&self, spec: &ParticipantSpec) -> Result<Participant> {
        self.client.send(request(spec)).await?.read()
    }

    /// Changes it only if it is still at this revision. Repeated only where nothing can have
    /// happened: the second of two would find a revision that the first one made.
    ///
    /// # Errors
    ///
    /// `revision-mismatch`; `participant-invalid` with its faults.
    pub async fn put_revision(&self, spec: &ParticipantSpec, revision: u64) -> Result<Participant> {
        let request = request(spec).header(IF_MATCH, &format!("\"{revision}\"")).once();
        self.client.send(request).await?.read()
    }

    /// One participant; secrets are shown as `***`.
    ///
    /// # Errors
    ///
    /// `participant-not-found`.
    pub async fn get(&self, name: &str) -> Result<Participant> {
        self.client.send(Outgoing::get(&["participants", name])).await?.read()
    }

    /// All participants, by name.
    ///
    /// # Errors
    ///
    /// No good answer.
    pub async fn list(&self) -> Result<Vec<Participant>> {
        #[derive(Deserialize)]
        struct List {
            participants: Vec<Participant>,
        }
        let list: List = self.client.send(Outgoing::get(&["participants"])).await?.read()?;
        Ok(list.participants)
    }

    /// Removes a participant that no definition in use names.
    ///
    /// # Errors
    ///
    /// `participant-in-use` with the definitions; `participant-not-found`.
    pub async fn delete(&self, name: &str) -> Result<()> {
        self.remove(Outgoing::new(http::Method::DELETE, &["participants", name])).await
    }

    /// Removes it even if definitions name it: their sagas will wait for it to come back.
    ///
    /// # Errors
    ///
    /// `participant-not-found`.
    pub async fn delete_though_in_use(&self, name: &str) -> Result<()> {
        let request = Outgoing::new(http::Method::DELETE, &["participants", name]);
        self.remove(request.query("force", &true)).await
    }

    async fn remove(&self, request: Outgoing) -> Result<()> {
        match self.client.send(request).await {
            Ok(_) => Ok(()),
            // It was our own earlier attempt that removed it.
            Err(Error::Problem(problem)) if problem.maybe_done_before && problem.status == 404 => {
                Ok(())
            }
            Err(error) => Err(error),
        }
    }

    /// Asks each endpoint's health path now.
    ///
    /// # Errors
    ///
    /// `participant-not-found`.
    pub async fn check(&self, name: &str) -> Result<ParticipantHealth> {
        self.client.send(Outgoing::post(&["participants", name, "check"])).await?.read()
    }
}

fn request(spec: &ParticipantSpec) -> Outgoing {
    let mut request = Outgoing::put(&["participants", &spec.name]).json(&spec.fields);
    request.fault = spec.fault.clone().or(request.fault);
    request
}

/// A registered participant.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[non_exhaustive]
pub struct Participant {
    /// The name that definitions use.
    pub name: String,
    /// Base URLs.
    #[serde(default)]
    pub endpoints: Vec<String>,
    /// How often it was changed, from 1.
    #[serde(default)]
    pub revision: u64,
    /// Everything else that is registered.
    #[serde(flatten)]
    pub more: Map<String, Value>,
}

/// What a health check found.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[non_exhaustive]
pub struct ParticipantHealth {
    /// The participant.
    pub name: String,
    /// Whether every endpoint is well.
    pub healthy: bool,
    /// One an endpoint.
    #[serde(default)]
    pub endpoints: Vec<EndpointHealth>,
}

/// What one endpoint answered.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[non_exhaustive]
pub struct EndpointHealth {
    /// The endpoint, without secrets.
    pub url: String,
    /// Whether it answered its health path with success.
    pub healthy: bool,
    /// How long that took, in milliseconds.
    #[serde(default)]
    pub latency_ms: Option<f64>,
    /// What is wrong.
    #[serde(default)]
    pub detail: Option<String>,
}
