//! What is registered about one participant.
//!
//! Nothing here shows a secret through `Debug`; only serialising the whole, for storage, does.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::Value;

use super::document::{self, Secrets};
use super::{Endpoint, Secret, parse};
use crate::definition::{Fault, OutcomeOverride};
use crate::{ParticipantName, RetryPolicy};

/// One registered participant.
#[derive(Clone, Debug, PartialEq)]
pub struct ParticipantSpec {
    /// The name that definitions use.
    pub name: ParticipantName,
    /// How it is called.
    pub protocol: Protocol,
    /// Base URLs, 1 to [`Self::ENDPOINTS_MAX`]: calls are spread over them.
    pub endpoints: Vec<Endpoint>,
    /// Path below each endpoint that answers 2xx when it is well; starts with `/`.
    pub health: Option<String>,
    /// How we show who we are.
    pub auth: Option<Auth>,
    /// Secrets that sign calls, at most two: both are used while one is rotated.
    pub signing_secrets: Vec<Secret>,
    /// Time for one attempt where the definition says nothing.
    pub timeout: Option<Duration>,
    /// How often calls are repeated where the definition says nothing.
    pub retry: Option<RetryPolicy>,
    /// Most calls in flight at once from one coordinator; at least 1.
    pub concurrency_max: u32,
    /// Most calls a second from one coordinator; above 0.
    pub rate: Option<f64>,
    /// When an endpoint is left out for a while; `None`: never.
    pub breaker: Option<Breaker>,
    /// Statuses that are read otherwise than usual.
    pub outcomes: Vec<OutcomeOverride>,
    /// Longest answer body that is read, in bytes.
    pub answer_bytes_max: u64,
    /// Speaks HTTP/2 at once, also without TLS.
    pub http2: bool,
    /// For people: team, tier, link to a page.
    pub labels: BTreeMap<String, String>,
}

/// How a participant is called.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Protocol {
    /// HTTP/1.1 or HTTP/2, with JSON bodies.
    Http,
}

/// How calls show who makes them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Auth {
    /// `Authorization: Bearer …`.
    Bearer {
        /// The token.
        token: Secret,
    },
    /// `Authorization: Basic …`.
    Basic {
        /// User name; without a colon.
        user: String,
        /// Password.
        password: Secret,
    },
    /// A header of the participant's choice.
    Header {
        /// Its name, in lower case.
        name: String,
        /// Its value.
        value: Secret,
    },
}

/// When an endpoint is left out, and for how long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Breaker {
    /// Connections in a row that failed; at least 1.
    pub failures: u32,
    /// Longest time until one call may try it again; shorter after a short outage.
    pub open_for: Duration,
}

impl Breaker {
    /// 20 failed connections in a row, then at most 5 s of rest: far above what a lost packet
    /// does, and little to wait when the participant is back after an outage.
    pub const DEFAULT: Self = Self { failures: 20, open_for: Duration::from_secs(5) };
}

impl ParticipantSpec {
    /// Most endpoints of one participant.
    pub const ENDPOINTS_MAX: usize = 16;
    /// Calls in flight at once where the registration says nothing.
    pub const CONCURRENCY: u32 = 256;
    /// Bytes of an answer that are read where the registration says nothing: 1 MiB.
    pub const ANSWER_BYTES: u64 = 1024 * 1024;

    /// A participant at one endpoint, with every other setting at its default.
    pub fn new(name: ParticipantName, endpoint: Endpoint) -> Self {
        Self {
            name,
            protocol: Protocol::Http,
            endpoints: vec![endpoint],
            health: None,
            auth: None,
            signing_secrets: Vec::new(),
            timeout: None,
            retry: None,
            concurrency_max: Self::CONCURRENCY,
            rate: None,
            breaker: Some(Breaker::DEFAULT),
            outcomes: Vec::new(),
            answer_bytes_max: Self::ANSWER_BYTES,
            http2: false,
            labels: BTreeMap::new(),
        }
    }

    /// Reads a registration.
    ///
    /// # Errors
    ///
    /// Every fault of the document, in the order of its fields.
    pub fn parse(document: &Value) -> Result<Self, Vec<Fault>> {
        parse::parse(document)
    }

    /// The registration as it may be shown: secrets as `***`, the names of environment variables
    /// and files as they are.
    pub fn redacted(&self) -> Value {
        document::write(self, Secrets::Hidden)
    }

    /// What is read like this status at this participant, if it is read otherwise than usual.
    pub fn outcome_override(&self, status: u16) -> Option<crate::saga::OutcomeKind> {
        self.outcomes.iter().find(|own| own.status == status).map(|own| own.outcome)
    }
}

/// For storage: secrets included, in the form that [`ParticipantSpec::parse`] reads.
impl Serialize for ParticipantSpec {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        document::write(self, Secrets::Shown).serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for ParticipantSpec {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let document = Value::deserialize(deserializer)?;
        Self::parse(&document).map_err(|faults| {
            let first = faults.first();
            serde::de::Error::custom(first.map_or_else(
                || "is no participant".to_owned(),
                |fault| format!("at {:?}: {}", fault.pointer, fault.detail),
            ))
        })
    }
}
