//! Interactive transactions: adding branches.

use amends_core::definition::{
    Branch, BranchDocument, BranchWork, Definition, Fault, FaultCode, Mode, NestedSaga,
};
use amends_core::saga::{Actor, Command, Refusal, Saga};
use amends_core::{DefinitionName, Json, SagaId, StepId};
use amends_ports::store;

use crate::submit::lock_keys;
use crate::{CommandError, Engine, SagaDetail, nested};

/// A branch that was added, now or before.
#[derive(Clone, Debug)]
pub struct Enlisted {
    /// The transaction.
    pub detail: SagaDetail,
    /// Whether this request added it; otherwise an earlier one with the same content did.
    pub created: bool,
}

/// Why a branch was not added. Nothing was changed, unless said otherwise.
#[derive(Debug, thiserror::Error)]
pub enum EnlistError {
    /// The branch itself is wrong.
    #[error("the branch is wrong in {} place(s)", .0.len())]
    Faults(Vec<Fault>),
    /// The transaction did not take it.
    #[error(transparent)]
    Command(#[from] CommandError),
    /// The store is away.
    #[error("the store is not available")]
    Unavailable(#[source] store::Error),
}

impl Engine {
    /// Adds a branch to an interactive transaction, durably. Adding the same one again is harmless.
    ///
    /// # Errors
    ///
    /// [`EnlistError`].
    pub async fn enlist(
        &self,
        saga_id: &SagaId,
        document: BranchDocument,
        by: Actor,
    ) -> Result<Enlisted, EnlistError> {
        let detail = self.saga(saga_id).await.map_err(EnlistError::Unavailable)?;
        let detail = detail.ok_or_else(|| CommandError::UnknownSaga(saga_id.clone()))?;
        if detail.saga.mode() != Mode::Interactive {
            return Err(CommandError::refused(&detail.saga, Refusal::NotInteractive).into());
        }
        let branches = detail.saga.branches();
        let branch = match document {
            BranchDocument::Ready(branch) => branch,
            BranchDocument::Saga { id, definition, version, input } => {
                let before = branches.iter().find(|branch| branch.id == id);
                match before.filter(|branch| is_same(branch, &definition, version, &input)) {
                    // The newest version may be another one by now.
                    Some(branch) => branch.clone(),
                    None => self.nested_branch(&detail, id, &definition, version, input).await?,
                }
            }
        };
        let created = branches.iter().all(|other| other.id != branch.id);
        let command = Command::Enlist { branch: Box::new(branch) };
        let detail = self.command(saga_id, command, by).await?;
        Ok(Enlisted { detail, created })
    }

    async fn nested_branch(
        &self,
        parent: &SagaDetail,
        id: StepId,
        name: &DefinitionName,
        version: Option<u32>,
        input: Json,
    ) -> Result<Branch, EnlistError> {
        let found = self.inner().stored_definition(name, version).await;
        let Some((stored, definition)) = found.map_err(EnlistError::Unavailable)? else {
            let detail = match version {
                Some(version) => format!("there is no definition {name} version {version}"),
                None => format!("there is no definition {name}; store it first"),
            };
            return Err(fault("/saga/definition", FaultCode::BadId, detail));
        };
        let mut faults = cannot_nest(&definition);
        if parent.saga.accepted().prepared.is_some() {
            let detail = "a transaction with check-back cannot have a saga as a branch: its client \
                          may have committed before that one fails";
            faults.push(Fault::new("/saga", FaultCode::FieldConflict, detail));
        }
        if let Some(schema) = &definition.input_schema {
            faults.extend(schema.validate(&input).into_iter().map(|violation| {
                let pointer = format!("/saga/input{}", violation.pointer);
                Fault::new(&pointer, FaultCode::WrongType, violation.detail)
            }));
        }
        let saga_id = match nested::nested_id(parent.saga.id(), &id) {
            Ok(saga_id) => saga_id,
            Err(why) => return Err(fault("", FaultCode::BadId, why)),
        };
        if self.inner().store.summary(&saga_id).await.map_err(EnlistError::Unavailable)?.is_some() {
            let detail = format!("there is a saga {saga_id} already; give the branch another id");
            faults.push(Fault::new("", FaultCode::DuplicateId, detail));
        }
        faults.extend(self.keys_in_common(&parent.saga, &saga_id, &definition, &input).await?);
        if !faults.is_empty() {
            return Err(EnlistError::Faults(faults));
        }
        let nested = NestedSaga {
            saga_id,
            definition: stored.digest,
            definition_name: stored.name,
            definition_version: stored.version,
            input,
        };
        Ok(Branch { id, after: None, work: BranchWork::Saga(nested) })
    }

    /// Lock keys that a nested saga would wait for while its parent, or another branch that is a
    /// saga, holds them until all are decided together.
    async fn keys_in_common(
        &self,
        parent: &Saga,
        saga_id: &SagaId,
        definition: &Definition,
        input: &Json,
    ) -> Result<Vec<Fault>, EnlistError> {
        let labels = &parent.accepted().labels;
        let keys = match lock_keys(definition, saga_id, input, labels, &[]) {
            Ok(keys) => keys,
            Err(error) => {
                return Ok(vec![Fault::new("/saga/input", FaultCode::BadId, error.to_string())]);
            }
        };
        let mut held = vec![("its parent".to_owned(), parent.accepted().lock_keys.clone())];
        for branch in parent.branches() {
            let BranchWork::Saga(other) = &branch.work else { continue };
            let found = self.inner().compiled(&other.definition).await;
            let Some(own) = found.map_err(EnlistError::Unavailable)? else { continue };
            let own =
                lock_keys(&own, &other.saga_id, &other.input, labels, &[]).unwrap_or_default();
            held.push((format!("branch {}", branch.id), own));
        }
        Ok(held
            .iter()
            .flat_map(|(who, held)| held.iter().map(move |key| (who, key)))
            .filter(|(_, key)| keys.contains(key))
            .map(|(who, key)| {
                let detail = format!(
                    "the nested saga names lock key {:?}, which {who} holds until all is decided \
                     together: it would wait for ever; leave the key out of one of them",
                    key.as_str()
                );
                Fault::new("/saga", FaultCode::FieldConflict, detail)
            })
            .collect())
    }
}

/// Why sagas of a definition cannot be a part of another one: that one may have to undo them.
fn cannot_nest(definition: &Definition) -> Vec<Fault> {
    if definition.mode == Mode::Interactive {
        let detail = "an interactive transaction cannot be a branch: nobody would decide it";
        return vec![Fault::new("/saga/definition", FaultCode::FieldConflict, detail)];
    }
    let Some(pivot) = definition.graph.pivot() else { return Vec::new() };
    let detail = format!(
        "sagas of this definition cannot be undone once step {} has succeeded; a branch must be \
         undoable as a whole",
        definition.step(pivot).id
    );
    vec![Fault::new("/saga/definition", FaultCode::MissingUndo, detail)]
}

fn is_same(branch: &Branch, name: &DefinitionName, version: Option<u32>, input: &Json) -> bool {
    match &branch.work {
        BranchWork::Saga(nested) => {
            nested.definition_name == *name
                && version.is_none_or(|version| nested.definition_version == Some(version))
                && nested.input.as_str() == input.as_str()
        }
        BranchWork::Compensation { .. } | BranchWork::Tcc { .. } | BranchWork::Message { .. } => {
            false
        }
    }
}

fn fault(pointer: &str, code: FaultCode, detail: String) -> EnlistError {
    EnlistError::Faults(vec![Fault::new(pointer, code, detail)])
}
