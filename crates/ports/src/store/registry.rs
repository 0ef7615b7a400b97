//! Definitions and participants as they are stored.

use amends_core::definition::Digest;
use amends_core::participant::ParticipantSpec;
use amends_core::{DefinitionName, Json, ParticipantName, Timestamp};

/// A definition to be stored.
#[derive(Clone, Debug)]
pub struct NewDefinition {
    /// Its name.
    pub name: DefinitionName,
    /// Identity of its content.
    pub digest: Digest,
    /// The document.
    pub source: Json,
    /// The participants it names, each once.
    pub participants: Vec<ParticipantName>,
    /// Whether it came inside a start request.
    pub ad_hoc: bool,
    /// When it was given.
    pub created_at: Timestamp,
}

/// A stored definition.
#[derive(Clone, Debug)]
pub struct StoredDefinition {
    /// Its name.
    pub name: DefinitionName,
    /// Its version, from 1; none for an ad-hoc one.
    pub version: Option<u32>,
    /// Identity of its content.
    pub digest: Digest,
    /// The document.
    pub source: Json,
    /// When it was stored.
    pub created_at: Timestamp,
}

/// A definition in a list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DefinitionSummary {
    /// Its name.
    pub name: DefinitionName,
    /// Its newest version.
    pub version: u32,
    /// That version's digest.
    pub digest: Digest,
    /// When that version was stored.
    pub created_at: Timestamp,
}

/// A stored participant.
#[derive(Clone, Debug)]
pub struct StoredParticipant {
    /// What was registered, secrets included: never shown.
    pub spec: ParticipantSpec,
    /// How often it was changed, from 1.
    pub revision: u64,
    /// When it was registered.
    pub created_at: Timestamp,
    /// When it was last changed.
    pub updated_at: Timestamp,
}

/// What became of a registration.
#[derive(Clone, Debug)]
pub enum PutParticipant {
    /// It was new.
    Created(StoredParticipant),
    /// It was changed.
    Updated(StoredParticipant),
    /// It stays as it was: the stored revision is another one (0: there is none).
    RevisionMismatch {
        /// The stored revision.
        stored: u64,
    },
}
