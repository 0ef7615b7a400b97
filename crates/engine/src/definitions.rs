//! Definitions, compiled once and kept.

use std::sync::Arc;
use std::time::Duration;

use amends_core::DefinitionName;
use amends_core::definition::{self, Definition, Digest, Registry};
use amends_ports::store::{self, StoredDefinition};
use parking_lot::Mutex;

use crate::engine::Inner;
use crate::kept::{Kept, estimate};

/// How long the newest version of a name is believed without asking the store: another
/// coordinator may have stored a newer one. This one forgets at once what it replaces itself.
const NEWEST_FOR: Duration = Duration::from_secs(1);

type Newest = Kept<DefinitionName, (Duration, StoredDefinition, Arc<Definition>)>;

/// What was compiled so far.
#[derive(Debug, Default)]
pub(crate) struct Definitions {
    compiled: Mutex<Kept<Digest, Arc<Definition>>>,
    newest: Mutex<Newest>,
}

impl Definitions {
    /// Keeps a definition that was compiled elsewhere.
    pub(crate) fn keep(&self, definition: &Arc<Definition>) {
        let (digest, bytes) = (definition.digest.clone(), estimate(definition.source.as_str()));
        self.compiled.lock().insert(digest, bytes, Arc::clone(definition));
    }

    /// Whether a definition is kept, and so stored.
    pub(crate) fn has(&self, digest: &Digest) -> bool {
        self.compiled.lock().get(digest).is_some()
    }

    /// Forgets which version of a name is the newest.
    pub(crate) fn forget_newest(&self, name: &DefinitionName) {
        self.newest.lock().remove(name);
    }

    fn compile(&self, stored: &StoredDefinition) -> Result<Arc<Definition>, store::Error> {
        if let Some(definition) = self.compiled.lock().get(&stored.digest) {
            return Ok(Arc::clone(definition));
        }
        let parsed = definition::parse(stored.source.value(), &Registry { participants: None });
        let Some(definition) = parsed.definition else {
            let detail =
                format!("definition {} ({}) does not pass its checks", stored.name, stored.digest);
            return Err(store::Error::Corrupt(detail));
        };
        self.keep(&definition);
        Ok(definition)
    }
}

impl Inner {
    /// The definition with this content.
    pub(crate) async fn compiled(
        &self,
        digest: &Digest,
    ) -> Result<Option<Arc<Definition>>, store::Error> {
        if let Some(definition) = self.definitions.compiled.lock().get(digest) {
            return Ok(Some(Arc::clone(definition)));
        }
        let stored = self.store.definition(digest).await?;
        stored.map(|stored| self.definitions.compile(&stored)).transpose()
    }

    /// A version of a definition; the newest without a number.
    pub(crate) async fn stored_definition(
        &self,
        name: &DefinitionName,
        version: Option<u32>,
    ) -> Result<Option<(StoredDefinition, Arc<Definition>)>, store::Error> {
        let now = self.clock.elapsed();
        if version.is_none()
            && let Some((at, stored, definition)) = self.definitions.newest.lock().get(name)
            && now.saturating_sub(*at) < NEWEST_FOR
        {
            return Ok(Some((stored.clone(), Arc::clone(definition))));
        }
        let Some(stored) = self.store.definition_version(name, version).await? else {
            return Ok(None);
        };
        let definition = self.definitions.compile(&stored)?;
        if version.is_none() {
            let bytes = estimate(definition.source.as_str());
            let newest = (now, stored.clone(), Arc::clone(&definition));
            self.definitions.newest.lock().insert(name.clone(), bytes, newest);
        }
        Ok(Some((stored, definition)))
    }
}
