//! Participants.

use std::collections::BTreeMap;

use amends_ports::Health;
use amends_ports::store::StoredParticipant;
use serde::Serialize;
use serde_json::{Map, Value};
use utoipa::ToSchema;

/// A registered participant. Secrets are shown as `***`, or as the name of the environment
/// variable or file that holds them.
///
/// Describes what [`participant_view`] gives; the core itself writes registrations, so that what
/// hides secrets stands in one place.
#[derive(Debug, ToSchema)]
#[schema(as = Participant)]
pub struct ParticipantView {
    /// The name that definitions use.
    pub name: String,
    /// How it is called: `http`.
    pub protocol: String,
    /// Base URLs; calls are spread over them.
    pub endpoints: Vec<String>,
    /// Path below each endpoint that answers 2xx when it is well.
    #[schema(nullable = false)]
    pub health: Option<String>,
    /// How calls show who makes them: `{"type": "bearer" | "basic" | "header", …}`.
    #[schema(nullable = false, value_type = Option<Object>)]
    pub auth: Option<Value>,
    /// Secrets that sign calls, each a text or `{"env": …}` or `{"file": …}`.
    #[schema(nullable = false)]
    pub signing_secrets: Option<Vec<Value>>,
    /// Time for one attempt where the definition says nothing.
    #[schema(nullable = false, example = "2s")]
    pub timeout: Option<String>,
    /// How often calls are repeated where the definition says nothing.
    #[schema(nullable = false, value_type = Option<Object>)]
    pub retry: Option<Value>,
    /// Most calls in flight at once from one coordinator.
    #[schema(minimum = 1)]
    pub max_concurrency: Option<u32>,
    /// Most calls a second from one coordinator.
    #[schema(nullable = false)]
    pub rate: Option<f64>,
    /// When an endpoint is left out for a while; false: never.
    pub breaker: Option<Value>,
    /// Statuses that are read otherwise than usual.
    #[schema(nullable = false)]
    pub outcomes: Option<BTreeMap<String, String>>,
    /// Longest answer body that is read, in bytes.
    pub answer_bytes_max: Option<u64>,
    /// Speaks HTTP/2 at once, also without TLS.
    pub http2: Option<bool>,
    /// For people.
    #[schema(nullable = false)]
    pub labels: Option<BTreeMap<String, String>>,
    /// How often it was changed, from 1; also the `ETag`.
    #[schema(minimum = 1)]
    pub revision: u64,
    /// When it was registered.
    pub created_at: super::Time,
    /// When it was last changed.
    pub updated_at: super::Time,
}

/// A participant as it may be shown.
pub fn participant_view(stored: &StoredParticipant) -> Map<String, Value> {
    let mut map = Map::new();
    if let Value::Object(spec) = stored.spec.redacted() {
        map = spec;
    }
    map.insert("revision".to_owned(), stored.revision.into());
    map.insert("created_at".to_owned(), stored.created_at.to_string().into());
    map.insert("updated_at".to_owned(), stored.updated_at.to_string().into());
    map
}

/// All participants.
#[derive(Debug, Serialize, ToSchema)]
pub struct ParticipantList {
    /// By name.
    #[schema(value_type = Vec<ParticipantView>)]
    pub participants: Vec<Map<String, Value>>,
}

/// What a health check found.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Health)]
pub struct HealthView {
    /// The participant.
    pub name: String,
    /// Whether every endpoint is well.
    pub healthy: bool,
    /// One an endpoint.
    pub endpoints: Vec<EndpointHealth>,
}

/// What one endpoint answered.
#[derive(Debug, Serialize, ToSchema)]
pub struct EndpointHealth {
    /// The endpoint, without secrets.
    pub url: String,
    /// Whether it answered its health path with success.
    pub healthy: bool,
    /// How long that took, in milliseconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub latency_ms: Option<f64>,
    /// What is wrong.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub detail: Option<String>,
}

impl HealthView {
    pub(crate) fn new(name: String, health: Health) -> Self {
        let endpoints = health
            .endpoints
            .into_iter()
            .map(|(url, answer)| {
                let (latency, detail) = match answer {
                    Ok(latency) => (Some(latency), None),
                    Err(detail) => (None, Some(detail)),
                };
                let latency_ms = latency.map(|own| (own.as_secs_f64() * 1e6).round() / 1e3);
                EndpointHealth { url, healthy: detail.is_none(), latency_ms, detail }
            })
            .collect();
        Self { name, healthy: health.healthy, endpoints }
    }
}
