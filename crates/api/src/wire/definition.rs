//! Definitions.

use amends_core::Json;
use amends_core::definition::Parsed;
use amends_ports::store::{DefinitionSummary, StoredDefinition};
use serde::Serialize;
use utoipa::ToSchema;

use super::{Fault, Time};

/// A definition that was stored.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct DefinitionStored {
    /// Its name.
    pub name: String,
    /// Its version, from 1.
    pub version: Option<u32>,
    /// SHA-256 of its canonical JSON, in hex.
    pub digest: String,
    /// When it was stored.
    pub created_at: Time,
    /// What its author should look at.
    pub warnings: Vec<Fault>,
}

impl DefinitionStored {
    pub(crate) fn new(stored: StoredDefinition, parsed: &Parsed) -> Self {
        Self {
            name: stored.name.into(),
            version: stored.version,
            digest: stored.digest.0,
            created_at: Time(stored.created_at),
            warnings: parsed.faults.iter().map(Fault::from).collect(),
        }
    }
}

/// A definition with its document.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[schema(as = Definition)]
pub struct DefinitionView {
    /// Its name.
    pub name: String,
    /// Its version, from 1.
    pub version: Option<u32>,
    /// SHA-256 of its canonical JSON, in hex.
    pub digest: String,
    /// When it was stored.
    pub created_at: Time,
    /// The document.
    #[schema(value_type = serde_json::Value)]
    pub document: Json,
}

impl From<StoredDefinition> for DefinitionView {
    fn from(stored: StoredDefinition) -> Self {
        Self {
            name: stored.name.into(),
            version: stored.version,
            digest: stored.digest.0,
            created_at: Time(stored.created_at),
            document: stored.source,
        }
    }
}

/// A definition in a list: its newest version.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[schema(as = DefinitionSummary)]
pub struct DefinitionRow {
    /// Its name.
    pub name: String,
    /// Its newest version.
    pub version: u32,
    /// That version's digest.
    pub digest: String,
    /// When that version was stored.
    pub created_at: Time,
}

impl From<DefinitionSummary> for DefinitionRow {
    fn from(row: DefinitionSummary) -> Self {
        Self {
            name: row.name.into(),
            version: row.version,
            digest: row.digest.0,
            created_at: Time(row.created_at),
        }
    }
}

/// A page of definitions, by name.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct DefinitionList {
    /// The rows.
    pub definitions: Vec<DefinitionRow>,
    /// The name after which the next page starts (`after`); null on the last one.
    pub next: Option<String>,
}

/// What checking a definition found.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[schema(as = Validation)]
pub struct ValidationView {
    /// Whether it would be stored.
    pub valid: bool,
    /// Everything that is wrong or deserves a look, errors first.
    pub faults: Vec<Fault>,
}

impl From<&Parsed> for ValidationView {
    fn from(parsed: &Parsed) -> Self {
        Self {
            valid: parsed.definition.is_some(),
            faults: parsed.faults.iter().map(Fault::from).collect(),
        }
    }
}
