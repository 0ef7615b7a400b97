//! Participants and definitions as the engine's users register them.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use amends_core::definition::{Definition, ParticipantDefaults, Registry};
use amends_core::participant::ParticipantSpec;
use amends_core::{DefinitionName, ParticipantName};
use amends_ports::Health;
use amends_ports::store::{
    self, DefinitionSummary, NewDefinition, PutParticipant, StoredDefinition, StoredParticipant,
};

use crate::engine::Inner;
use crate::{Engine, RegistryError};

/// How often registrations made through other coordinators are looked for.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// Most definitions named in a refusal to delete a participant.
const NAMED_MAX: u16 = 10;

impl Engine {
    /// What definitions are checked against.
    ///
    /// # Errors
    ///
    /// The store's.
    pub async fn registry(&self) -> Result<Registry, store::Error> {
        let participants = self.participants().await?;
        let defaults = participants.into_iter().map(|stored| {
            let spec = stored.spec;
            (spec.name, ParticipantDefaults { timeout: spec.timeout, retry: spec.retry })
        });
        Ok(Registry { participants: Some(defaults.collect::<BTreeMap<_, _>>()) })
    }

    /// Stores a checked definition as the next version of its name; the flag says whether it was
    /// new.
    ///
    /// # Errors
    ///
    /// The store's. Repeating it is harmless.
    pub async fn put_definition(
        &self,
        definition: &Definition,
    ) -> Result<(StoredDefinition, bool), store::Error> {
        let inner = self.inner();
        let new = new_definition(inner, definition, false);
        let stored = inner.store.put_definition(&new).await?;
        inner.definitions.forget_newest(&definition.name);
        Ok(stored)
    }

    /// A stored definition; the newest version without a number.
    ///
    /// # Errors
    ///
    /// The store's.
    pub async fn definition(
        &self,
        name: &DefinitionName,
        version: Option<u32>,
    ) -> Result<Option<(StoredDefinition, Arc<Definition>)>, store::Error> {
        self.inner().stored_definition(name, version).await
    }

    /// The newest version of each definition, by name.
    ///
    /// # Errors
    ///
    /// The store's.
    pub async fn definitions(
        &self,
        after: Option<&DefinitionName>,
        limit: u16,
    ) -> Result<Vec<DefinitionSummary>, store::Error> {
        self.inner().store.definitions(after, limit).await
    }

    /// Registers or changes a participant; the flag says whether it was new. It takes effect at
    /// the next attempt here, and within about a second on other coordinators.
    ///
    /// # Errors
    ///
    /// [`RegistryError::RevisionMismatch`], or the store's.
    pub async fn put_participant(
        &self,
        spec: ParticipantSpec,
        expected_revision: Option<u64>,
    ) -> Result<(StoredParticipant, bool), RegistryError> {
        let inner = self.inner();
        let now = inner.clock.now();
        let stored = match inner.store.put_participant(&spec, expected_revision, now).await? {
            PutParticipant::Created(stored) => (stored, true),
            PutParticipant::Updated(stored) => (stored, false),
            PutParticipant::RevisionMismatch { stored } => {
                return Err(RegistryError::RevisionMismatch { stored });
            }
        };
        inner.load_participants().await?;
        Ok(stored)
    }

    /// One participant, secrets included: show it redacted.
    ///
    /// # Errors
    ///
    /// The store's.
    pub async fn participant(
        &self,
        name: &ParticipantName,
    ) -> Result<Option<StoredParticipant>, store::Error> {
        let all = self.participants().await?;
        Ok(all.into_iter().find(|stored| stored.spec.name == *name))
    }

    /// All participants, by name.
    ///
    /// # Errors
    ///
    /// The store's.
    pub async fn participants(&self) -> Result<Vec<StoredParticipant>, store::Error> {
        self.inner().store.participants().await
    }

    /// Deletes a participant, unless a definition names it and `force` is not set.
    ///
    /// # Errors
    ///
    /// [`RegistryError`].
    pub async fn delete_participant(
        &self,
        name: &ParticipantName,
        force: bool,
    ) -> Result<(), RegistryError> {
        let inner = self.inner();
        if !force {
            let definitions = inner.store.definitions_naming(name, NAMED_MAX).await?;
            if !definitions.is_empty() {
                return Err(RegistryError::InUse { name: name.clone(), definitions });
            }
        }
        if !inner.store.delete_participant(name).await? {
            return Err(RegistryError::UnknownParticipant(name.clone()));
        }
        inner.load_participants().await?;
        Ok(())
    }

    /// Asks a participant's endpoints for their health, now.
    ///
    /// # Errors
    ///
    /// [`RegistryError::UnknownParticipant`], or the store's.
    pub async fn check_participant(&self, name: &ParticipantName) -> Result<Health, RegistryError> {
        let inner = self.inner();
        inner.load_participants().await?;
        let health = inner.participants.check(name).await;
        health.ok_or_else(|| RegistryError::UnknownParticipant(name.clone()))
    }
}

/// A definition as the store takes it.
pub(crate) fn new_definition(
    inner: &Inner,
    definition: &Definition,
    ad_hoc: bool,
) -> NewDefinition {
    let participants: BTreeSet<_> =
        definition.steps.iter().map(|step| step.participant.clone()).collect();
    NewDefinition {
        name: definition.name.clone(),
        digest: definition.digest.clone(),
        source: definition.source.clone(),
        participants: participants.into_iter().collect(),
        ad_hoc,
        created_at: inner.clock.now(),
    }
}

impl Inner {
    /// Reads all registrations and hands them to the caller of participants.
    pub(crate) async fn load_participants(&self) -> Result<(), store::Error> {
        // The number first: what changes after it is read again at the next look.
        let revision = self.store.participants_revision().await?;
        let stored = self.store.participants().await?;
        self.participants.replace(stored.into_iter().map(|stored| stored.spec).collect());
        self.participants_revision.store(revision, Ordering::Release);
        Ok(())
    }

    /// Looks for registrations made through other coordinators, until the drain.
    pub(crate) async fn watch_participants(self: Arc<Self>) {
        while !self.draining.is_cancelled() {
            let result = match self.store.participants_revision().await {
                Ok(now) if now == self.participants_revision.load(Ordering::Acquire) => Ok(()),
                Ok(_) => self.load_participants().await,
                Err(error) => Err(error),
            };
            if let Err(error) = result {
                let error: &dyn std::error::Error = &error;
                tracing::debug!(error, "registrations could not be read; trying again");
            }
            tokio::select! {
                biased;
                () = self.clock.sleep(LOOK_EVERY) => {}
                () = self.draining.cancelled() => {}
            }
        }
    }
}
