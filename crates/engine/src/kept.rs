//! Compiled definitions in memory: bounded in number and in bytes, all forgotten when it is full.

use std::borrow::Borrow;
use std::collections::HashMap;
use std::hash::Hash;

/// Most definitions that are kept.
const KEPT_MAX: usize = 4_096;

/// Most bytes that they take together, as [`estimate`] has it.
const KEPT_BYTES_MAX: usize = 64 * 1024 * 1024;

/// What an expression is compiled to; measured. It may have been four bytes.
const EXPRESSION_BYTES: usize = 1_024;

/// What the rest of a document becomes, for each of its bytes.
const BYTES_PER_BYTE: usize = 4;

/// What is compiled from a document takes about so many bytes.
pub(crate) fn estimate(document: &str) -> usize {
    document.len() * BYTES_PER_BYTE + document.matches("${").count() * EXPRESSION_BYTES
}

/// What was made of documents.
#[derive(Debug)]
pub(crate) struct Kept<K, V> {
    /// With its bytes.
    entries: HashMap<K, (usize, V)>,
    bytes: usize,
}

impl<K, V> Default for Kept<K, V> {
    fn default() -> Self {
        Self { entries: HashMap::new(), bytes: 0 }
    }
}

impl<K: Eq + Hash, V> Kept<K, V> {
    /// What is kept under `key`.
    pub(crate) fn get<Q: Eq + Hash + ?Sized>(&self, key: &Q) -> Option<&V>
    where
        K: Borrow<Q>,
    {
        self.entries.get(key).map(|(_, value)| value)
    }

    /// Keeps what takes so many bytes. If there is no room, everything else is forgotten: what is
    /// in use stays alive through its users, and the rest is read again.
    pub(crate) fn insert(&mut self, key: K, bytes: usize, value: V) {
        self.remove(&key);
        if self.entries.len() >= KEPT_MAX || self.bytes + bytes > KEPT_BYTES_MAX {
            self.entries.clear();
            self.bytes = 0;
        }
        self.bytes += bytes;
        self.entries.insert(key, (bytes, value));
    }

    /// Forgets what is kept under `key`.
    pub(crate) fn remove<Q: Eq + Hash + ?Sized>(&mut self, key: &Q)
    where
        K: Borrow<Q>,
    {
        if let Some((bytes, _)) = self.entries.remove(key) {
            self.bytes -= bytes;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn neither_many_nor_large_ones_are_kept_without_end() {
        let mut kept = Kept::default();
        for number in 0..10_000 {
            kept.insert(number, 10, ());
            assert!(kept.entries.len() <= KEPT_MAX && kept.get(&number).is_some());
        }
        for number in 0..100 {
            kept.insert(number, 4 * 1024 * 1024, ());
            let bytes: usize = kept.entries.values().map(|(bytes, ())| bytes).sum();
            assert!(bytes <= KEPT_BYTES_MAX && bytes == kept.bytes, "{bytes}");
        }
        // The same again takes no more room.
        for _ in 0..100 {
            kept.insert(99, 4 * 1024 * 1024, ());
        }
        assert!(kept.get(&98).is_some());
        kept.remove(&99);
        assert!(kept.get(&99).is_none());
    }
}
