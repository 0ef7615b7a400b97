//! Beginning an interactive transaction: what a start request says besides what all say.

use std::ops::RangeInclusive;
use std::time::Duration;

use amends_core::definition::{CheckBack, FaultCode, Mode, Registry, parse, parse_check_back};
use amends_core::{DefinitionName, LockKey};
use amends_engine::Chosen;
use serde_json::value::RawValue;
use serde_json::{Value, json};

use crate::Problem;
use crate::body::Fields;
use crate::digest::AskedTransaction;
use crate::problem::Result;
use crate::refusal::invalid_branch;
use crate::state::AppState;

/// Most lock keys of one transaction, as of a definition.
const LOCK_KEYS_MAX: usize = 16;
/// Times that a deadline may be away.
pub(crate) const DEADLINES: RangeInclusive<Duration> =
    Duration::from_secs(1)..=Duration::from_hours(366 * 24);
/// What a transaction without a name is called.
const NAME: &str = "interactive";
/// Fields that only a transaction has.
const OWN: [&str; 4] = ["name", "lock_keys", "lock_wait", "prepared"];
/// Fields that a transaction cannot have.
const OTHERS: [&str; 3] = ["definition", "version", "start_at"];

/// What is particular to a transaction.
#[derive(Debug, Default)]
pub(crate) struct Transaction {
    pub(crate) name: Option<DefinitionName>,
    pub(crate) lock_keys: Vec<LockKey>,
    pub(crate) lock_wait: Option<Duration>,
    /// Not looked at yet: that takes the registry.
    pub(crate) prepared: Option<Box<RawValue>>,
}

/// The mode; that of a definition where the request does not say. None if it says nonsense: then
/// nothing is said about the fields that depend on it.
pub(crate) fn read_mode(fields: &mut Fields<'_>) -> Option<Mode> {
    let is_said = fields.raw("mode").is_some();
    let word = fields.text("mode");
    let modes = [Mode::Definition, Mode::Interactive];
    let mode = match word.as_deref() {
        Some(word) => modes.into_iter().find(|mode| mode.as_str() == word),
        None => (!is_said).then_some(Mode::Definition),
    };
    if word.is_some() && mode.is_none() {
        fields.fault("mode", FaultCode::WrongType, "must be definition or interactive");
    }
    mode
}

/// Refuses what does not go with the mode.
pub(crate) fn refuse_others(fields: &mut Fields<'_>, mode: Option<Mode>) {
    let (names, detail) = match mode {
        Some(Mode::Interactive) => (&OTHERS[..], "does not go with mode: interactive"),
        Some(Mode::Definition) => (&OWN[..], "goes with mode: interactive only"),
        None => return fields.pass_over(&[&OWN[..], &OTHERS[..]].concat()),
    };
    for name in names {
        if fields.raw(name).is_some() {
            fields.fault(name, FaultCode::FieldConflict, detail);
        }
    }
}

/// Reads the fields that only a transaction has.
pub(crate) fn read(fields: &mut Fields<'_>) -> Transaction {
    Transaction {
        name: fields.id("name"),
        lock_keys: read_lock_keys(fields),
        lock_wait: fields.duration_in("lock_wait", &(Duration::from_millis(1)..=*DEADLINES.end())),
        prepared: fields.raw("prepared").map(ToOwned::to_owned),
    }
}

fn read_lock_keys(fields: &mut Fields<'_>) -> Vec<LockKey> {
    const FIELD: &str = "lock_keys";
    let Some(items) = fields.list(FIELD, LOCK_KEYS_MAX) else { return Vec::new() };
    let mut keys = Vec::with_capacity(items.len());
    for (index, item) in items.into_iter().enumerate() {
        let place = format!("{FIELD}/{index}");
        match serde_json::from_str::<String>(item.get()) {
            Ok(text) => match LockKey::new(&text) {
                Ok(key) => keys.push(key),
                Err(why) => fields.fault_at(&place, FaultCode::BadId, format!("a lock key {why}")),
            },
            Err(_) => fields.fault_at(&place, FaultCode::WrongType, "must be a text"),
        }
    }
    keys.sort();
    keys.dedup();
    keys
}

impl Transaction {
    /// The definition that the transaction runs: a name, and steps that its client will bring.
    pub(crate) fn definition(&self) -> Result<Chosen> {
        let name = self.name.as_ref().map_or(NAME, DefinitionName::as_str);
        let document = json!({ "name": name, "mode": Mode::Interactive.as_str() });
        // Without steps it names no participant.
        let parsed = parse(&document, &Registry { participants: None });
        let definition = parsed.definition.map(Chosen::AdHoc);
        definition.ok_or_else(|| Problem::internal("a transaction without steps has faults"))
    }

    /// What tells a repetition of it from another request.
    pub(crate) fn asked(&self) -> AskedTransaction<'_> {
        AskedTransaction {
            lock_keys: &self.lock_keys,
            lock_wait: self.lock_wait,
            prepared: self.prepared.as_ref().map_or("", |raw| raw.get()),
        }
    }

    /// How its client is asked, checked.
    pub(crate) async fn check_back(&self, state: &AppState) -> Result<Option<CheckBack>> {
        let Some(raw) = &self.prepared else { return Ok(None) };
        let value: Value = serde_json::from_str(raw.get()).map_err(Problem::internal)?;
        let registry = state.engine.registry().await?;
        parse_check_back(&value, &registry)
            .map(Some)
            .map_err(|faults| invalid_branch(&faults, "/prepared"))
    }
}
