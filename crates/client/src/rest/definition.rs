//! Definitions.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::client::Client;
use super::error::{Fault, Result};
use super::items::Items;
use super::outgoing::{Outgoing, to_value};
use super::words::{Op, Outcome, Status};

/// A definition's document.
#[derive(Clone, Debug, PartialEq)]
pub struct Document(Body);

#[derive(Clone, Debug, PartialEq)]
enum Body {
    Json(Value),
    Yaml(String),
    /// Why it has no JSON.
    Bad(String),
}

impl Document {
    /// From anything with a JSON form.
    pub fn json(document: &impl Serialize) -> Self {
        Self(to_value(document).map_or_else(Body::Bad, Body::Json))
    }

    /// From YAML, of which JSON is a part.
    pub fn yaml(text: impl Into<String>) -> Self {
        Self(Body::Yaml(text.into()))
    }

    fn onto(self, request: Outgoing) -> Outgoing {
        match self.0 {
            Body::Json(document) => request.json(&document),
            Body::Yaml(text) => request.body("application/yaml", text.into_bytes()),
            Body::Bad(fault) => Outgoing { fault: Some(fault), ..request },
        }
    }
}

impl From<Value> for Document {
    fn from(document: Value) -> Self {
        Self(Body::Json(document))
    }
}

impl From<&str> for Document {
    fn from(text: &str) -> Self {
        Self::yaml(text)
    }
}

impl From<String> for Document {
    fn from(text: String) -> Self {
        Self::yaml(text)
    }
}

/// The definitions of a server. Made by [`Client::definitions`]. Texts are read as YAML.
#[derive(Clone, Debug)]
pub struct Definitions {
    client: Client,
}

impl Definitions {
    pub(crate) fn new(client: Client) -> Self {
        Self { client }
    }

    /// Checks a definition and stores it as a new version; content that is stored already keeps
    /// its version.
    ///
    /// # Errors
    ///
    /// `definition-invalid` with its faults; `yaml-syntax`, `json-syntax`.
    pub async fn put(&self, document: impl Into<Document>) -> Result<DefinitionStored> {
        let request = document.into().onto(Outgoing::post(&["definitions"]));
        self.client.send(request).await?.read()
    }

    /// The same checks; nothing is stored, and faults are no error.
    ///
    /// # Errors
    ///
    /// `yaml-syntax`, `json-syntax`.
    pub async fn validate(&self, document: impl Into<Document>) -> Result<Validation> {
        let request = document.into().onto(Outgoing::post(&["definitions", "validate"]));
        self.client.send(request).await?.read()
    }

    /// The newest version of a definition.
    ///
    /// # Errors
    ///
    /// `definition-not-found`.
    pub async fn get(&self, name: &str) -> Result<Definition> {
        self.client.send(Outgoing::get(&["definitions", name])).await?.read()
    }

    /// One version of a definition.
    ///
    /// # Errors
    ///
    /// `definition-not-found`.
    pub async fn version(&self, name: &str, version: u32) -> Result<Definition> {
        let version = version.to_string();
        let request = Outgoing::get(&["definitions", name, "versions", &version]);
        self.client.send(request).await?.read()
    }

    /// The newest version of each definition, by name.
    pub fn list(&self) -> Items<DefinitionSummary> {
        let client = self.client.clone();
        Items::paged(move |after: Option<String>| {
            let client = client.clone();
            async move {
                let mut request = Outgoing::get(&["definitions"]);
                if let Some(after) = &after {
                    request = request.query("after", after);
                }
                let page: Page = client.send(request).await?.read()?;
                Ok((page.definitions, page.next))
            }
        })
    }

    /// Runs a stored definition over every failure point, with no call made: the newest version,
    /// or the one given.
    ///
    /// # Errors
    ///
    /// `definition-not-found`.
    pub async fn explore(&self, name: &str, version: Option<u32>) -> Result<Exploration> {
        let mut request = Outgoing::post(&["definitions", name, "explore"]);
        if let Some(version) = version {
            request = request.query("version", &version);
        }
        self.client.send(request).await?.read()
    }

    /// The same for a document that is not stored.
    ///
    /// # Errors
    ///
    /// `definition-invalid` with its faults.
    pub async fn explore_document(&self, document: impl Into<Document>) -> Result<Exploration> {
        let request = document.into().onto(Outgoing::post(&["definitions", "explore"]));
        self.client.send(request).await?.read()
    }
}

#[derive(Deserialize)]
struct Page {
    definitions: Vec<DefinitionSummary>,
    #[serde(default)]
    next: Option<String>,
}

/// A definition that was stored.
#[derive(Clone, Debug, Deserialize)]
#[non_exhaustive]
pub struct DefinitionStored {
    /// Its name.
    pub name: String,
    /// Its version, from 1.
    pub version: u32,
    /// SHA-256 of its canonical JSON, in hex.
    #[serde(default)]
    pub digest: String,
    /// When it was stored.
    pub created_at: Timestamp,
    /// What its author should look at.
    #[serde(default)]
    pub warnings: Vec<Fault>,
}

/// A definition with its document.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[non_exhaustive]
pub struct Definition {
    /// Its name.
    pub name: String,
    /// Its version, from 1.
    pub version: u32,
    /// SHA-256 of its canonical JSON, in hex.
    #[serde(default)]
    pub digest: String,
    /// When it was stored.
    pub created_at: Timestamp,
    /// The document.
    pub document: Value,
}

/// A definition in a list: its newest version.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[non_exhaustive]
pub struct DefinitionSummary {
    /// Its name.
    pub name: String,
    /// Its newest version.
    pub version: u32,
    /// That version's digest.
    #[serde(default)]
    pub digest: String,
    /// When that version was stored.
    pub created_at: Timestamp,
}

/// What checking a definition found.
#[derive(Clone, Debug, Deserialize)]
#[non_exhaustive]
pub struct Validation {
    /// Whether it would be stored.
    pub valid: bool,
    /// Everything that is wrong or deserves a look, errors first.
    #[serde(default)]
    pub faults: Vec<Fault>,
}

/// Every run of a definition.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[non_exhaustive]
pub struct Exploration {
    /// The definition's name.
    pub definition: String,
    /// First the one where nothing fails.
    pub runs: Vec<Run>,
}

/// One run.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[non_exhaustive]
pub struct Run {
    /// What the run is about; none in the run where nothing fails.
    #[serde(default)]
    pub failure: Option<ExploredFailure>,
    /// Everything that fails, the last one being `failure`.
    #[serde(default)]
    pub failures: Vec<ExploredFailure>,
    /// The calls, in the order in which they are first made.
    #[serde(default)]
    pub calls: Vec<ExploredCall>,
    /// Where the saga ends, or stands suspended.
    pub status: Status,
    /// Why it aborts, if it does.
    #[serde(default)]
    pub reason: Option<String>,
}

/// What fails in a run.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[non_exhaustive]
pub struct ExploredFailure {
    /// Which step.
    pub step: String,
    /// Which operation.
    pub op: Op,
    /// How.
    pub outcome: Outcome,
}

/// One call of a run.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[non_exhaustive]
pub struct ExploredCall {
    /// Which step.
    pub step: String,
    /// Which operation.
    pub op: Op,
    /// How often it was made.
    #[serde(default)]
    pub attempts: u32,
    /// What its last attempt became.
    pub outcome: Outcome,
}
