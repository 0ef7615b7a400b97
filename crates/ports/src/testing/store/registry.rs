//! Definitions and participants.

use std::collections::{BTreeMap, BTreeSet};

use amends_core::participant::ParticipantSpec;
use amends_core::{DefinitionName, ParticipantName, Timestamp};

use super::state::{DefinitionRow, State};
use crate::store::{
    DefinitionSummary, NewDefinition, PutParticipant, StoredDefinition, StoredParticipant,
};

impl State {
    pub(super) fn put_definition(&mut self, new: &NewDefinition) -> (StoredDefinition, bool) {
        let known = self.definitions.get(&new.digest).map(|row| row.stored.clone());
        match known {
            Some(stored) if new.ad_hoc || stored.version.is_some() => (stored, false),
            // What came inside a start request before becomes a version now.
            Some(_) | None => {
                let version = (!new.ad_hoc).then(|| self.newest_version(&new.name) + 1);
                let row = DefinitionRow::new(new, version);
                let stored = row.stored.clone();
                self.definitions.insert(new.digest.clone(), row);
                (stored, true)
            }
        }
    }

    fn newest_version(&self, name: &DefinitionName) -> u32 {
        self.definitions
            .values()
            .filter(|row| row.stored.name == *name)
            .filter_map(|row| row.stored.version)
            .max()
            .unwrap_or(0)
    }

    pub(super) fn definition_version(
        &self,
        name: &DefinitionName,
        version: Option<u32>,
    ) -> Option<StoredDefinition> {
        let version = version.unwrap_or_else(|| self.newest_version(name));
        self.definitions
            .values()
            .find(|row| row.stored.name == *name && row.stored.version == Some(version))
            .map(|row| row.stored.clone())
    }

    /// The newest version of each definition.
    fn newest(&self) -> BTreeMap<&DefinitionName, (u32, &DefinitionRow)> {
        let mut newest: BTreeMap<&DefinitionName, (u32, &DefinitionRow)> = BTreeMap::new();
        for row in self.definitions.values() {
            let Some(version) = row.stored.version else { continue };
            let entry = newest.entry(&row.stored.name).or_insert((version, row));
            if entry.0 < version {
                *entry = (version, row);
            }
        }
        newest
    }

    pub(super) fn list_definitions(
        &self,
        after: Option<&DefinitionName>,
        limit: u16,
    ) -> Vec<DefinitionSummary> {
        self.newest()
            .into_iter()
            .filter(|(name, _)| after.is_none_or(|after| *name > after))
            .take(usize::from(limit))
            .map(|(name, (version, row))| DefinitionSummary {
                name: name.clone(),
                version,
                digest: row.stored.digest.clone(),
                created_at: row.stored.created_at,
            })
            .collect()
    }

    pub(super) fn definitions_naming(
        &self,
        participant: &ParticipantName,
        limit: u16,
    ) -> Vec<DefinitionName> {
        let running = self
            .live
            .iter()
            .filter_map(|saga_id| self.definitions.get(&self.sagas.get(saga_id)?.definition));
        let newest = self.newest().into_values().map(|(_, row)| row);
        let names: BTreeSet<&DefinitionName> = running
            .chain(newest)
            .filter(|row| row.participants.contains(participant))
            .map(|row| &row.stored.name)
            .collect();
        names.into_iter().take(usize::from(limit)).cloned().collect()
    }

    pub(super) fn put_participant(
        &mut self,
        spec: &ParticipantSpec,
        expected_revision: Option<u64>,
        now: Timestamp,
    ) -> PutParticipant {
        let before = self.participants.get(&spec.name);
        let stored = before.map_or(0, |row| row.revision);
        if expected_revision.is_some_and(|expected| expected != stored) {
            return PutParticipant::RevisionMismatch { stored };
        }
        let row = StoredParticipant {
            spec: spec.clone(),
            revision: stored + 1,
            created_at: before.map_or(now, |row| row.created_at),
            updated_at: now,
        };
        self.participants_revision += 1;
        self.participants.insert(spec.name.clone(), row.clone());
        if stored == 0 { PutParticipant::Created(row) } else { PutParticipant::Updated(row) }
    }

    pub(super) fn delete_participant(&mut self, name: &ParticipantName) -> bool {
        let deleted = self.participants.remove(name).is_some();
        self.participants_revision += u64::from(deleted);
        deleted
    }
}
