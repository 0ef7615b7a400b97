//! The digest by which a repeated submission is told from another one.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::time::Duration;

use amends_core::{LockKey, SagaId, Timestamp};
use amends_engine::Chosen;
use sha2::{Digest as _, Sha256};

/// What a submission asks for, whatever headers it came with.
pub(crate) struct Asked<'a> {
    pub(crate) definition: &'a Chosen,
    pub(crate) saga_id: Option<&'a SagaId>,
    pub(crate) input: &'a str,
    pub(crate) labels: &'a BTreeMap<String, String>,
    pub(crate) start_at: Option<Timestamp>,
    pub(crate) deadline: Option<Duration>,
    /// What only an interactive transaction has.
    pub(crate) transaction: Option<AskedTransaction<'a>>,
}

/// What the begin of an interactive transaction asks for besides.
pub(crate) struct AskedTransaction<'a> {
    pub(crate) lock_keys: &'a [LockKey],
    pub(crate) lock_wait: Option<Duration>,
    /// As text.
    pub(crate) prepared: &'a str,
}

impl Asked<'_> {
    /// SHA-256 in hex. Every part is written with its length, so that no two requests give the
    /// same bytes.
    pub(crate) fn digest(&self) -> String {
        let mut hash = Sha256::new();
        let mut put = |part: &[u8]| {
            hash.update((part.len() as u64).to_be_bytes());
            hash.update(part);
        };
        match self.definition {
            Chosen::Stored { name, version } => {
                put(b"stored");
                put(name.as_str().as_bytes());
                put(&version.unwrap_or(0).to_be_bytes());
            }
            Chosen::AdHoc(definition) => {
                put(b"ad-hoc");
                put(definition.digest.0.as_bytes());
                put(b"");
            }
            Chosen::Known { definition, version } => {
                put(b"known");
                put(definition.digest.0.as_bytes());
                put(&version.unwrap_or(0).to_be_bytes());
            }
        }
        put(self.saga_id.map_or("", SagaId::as_str).as_bytes());
        put(self.input.as_bytes());
        put(&self.start_at.map_or(i64::MIN, |at| at.0).to_be_bytes());
        put(&self.deadline.map_or(0, |own| own.as_micros()).to_be_bytes());
        for (name, value) in self.labels {
            put(name.as_bytes());
            put(value.as_bytes());
        }
        if let Some(own) = &self.transaction {
            // No name of a label is empty, so this is none of them.
            put(b"");
            put(&own.lock_wait.map_or(0, |wait| wait.as_micros()).to_be_bytes());
            put(own.prepared.as_bytes());
            for key in own.lock_keys {
                put(key.as_str().as_bytes());
            }
        }
        let mut text = String::with_capacity(64);
        for byte in hash.finalize() {
            // Writing to a `String` cannot fail.
            let _ = write!(text, "{byte:02x}");
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_part_counts_and_parts_do_not_run_together() {
        let stored = |name: &str, version| Chosen::Stored { name: name.parse().unwrap(), version };
        let (plain, one) = (stored("ab", None), stored("ab", Some(1)));
        let id: SagaId = "b".parse().unwrap();
        let none = BTreeMap::new();
        let label = |name: &str, value: &str| BTreeMap::from([(name.to_owned(), value.to_owned())]);
        let (first, second) = (label("a", "bc"), label("ab", "c"));
        let base = || Asked {
            definition: &plain,
            saga_id: None,
            input: "null",
            labels: &none,
            start_at: None,
            deadline: None,
            transaction: None,
        };
        let keys = ["a", "b"].map(|key| LockKey::new(key).unwrap());
        let bare = || AskedTransaction { lock_keys: &[], lock_wait: None, prepared: "" };
        let with = |own| Asked { transaction: Some(own), ..base() };
        let all = [
            base().digest(),
            Asked { definition: &one, ..base() }.digest(),
            Asked { saga_id: Some(&id), ..base() }.digest(),
            Asked { input: "1", ..base() }.digest(),
            Asked { labels: &first, ..base() }.digest(),
            Asked { labels: &second, ..base() }.digest(),
            Asked { start_at: Some(Timestamp(0)), ..base() }.digest(),
            Asked { deadline: Some(Duration::from_secs(1)), ..base() }.digest(),
            with(bare()).digest(),
            with(AskedTransaction { lock_keys: &keys[..1], ..bare() }).digest(),
            with(AskedTransaction { lock_keys: &keys, ..bare() }).digest(),
            with(AskedTransaction { prepared: "a", ..bare() }).digest(),
            with(AskedTransaction { lock_wait: Some(Duration::from_secs(1)), ..bare() }).digest(),
        ];
        let distinct: std::collections::BTreeSet<&String> = all.iter().collect();
        assert_eq!(distinct.len(), all.len());
        assert_eq!(base().digest(), all[0]);
        assert_eq!(all[0].len(), 64);
    }
}
