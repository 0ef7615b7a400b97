//! The journal as text: the versions of its format, and how facts are read back.
//!
//! A fact that this release does not know, or that has more to it than this release knows, is
//! never passed over: what follows from it would be wrong. So reading is strict, and a release
//! that adds a kind of fact, a field or a message between coordinators gives the format a new
//! number. Coordinators agree on the number that may be written (`Store::heartbeat` of the ports).

use std::fmt;

use serde_json::value::RawValue;

use super::Record;

/// A version of what facts, and messages between coordinators, may look like.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct JournalFormat(pub u32);

impl JournalFormat {
    /// What release 0.1.0 wrote.
    pub const FIRST: Self = Self(1);
    /// From here on `resolve-succeeded` may name the operation that was looked into.
    pub const RESOLVED_OP: Self = Self(2);
    /// The newest one that this release reads. It goes up one release before [`Self::WRITTEN`], so
    /// that there is always a release to go back to.
    pub const READ: Self = Self(2);
    /// The newest one that this release writes, once every live coordinator reads it.
    pub const WRITTEN: Self = Self(1);
}

impl fmt::Display for JournalFormat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A fact that can't be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("fact {seq} can't be read: {problem}")]
pub struct UnreadableFact {
    /// Its number in the journal, from 0.
    pub seq: u64,
    /// What is wrong with it.
    pub problem: String,
}

impl Record {
    /// Reads a JSON array of facts, the first of which is number `first` of its journal.
    ///
    /// # Errors
    ///
    /// The first [`UnreadableFact`].
    pub fn read_all(first: u64, text: &str) -> Result<Vec<Self>, UnreadableFact> {
        serde_json::from_str(text).map_err(|error| locate(first, text, &error))
    }
}

/// Which fact it was.
fn locate(first: u64, text: &str, error: &serde_json::Error) -> UnreadableFact {
    let facts: Vec<&RawValue> = serde_json::from_str(text).unwrap_or_default();
    let each = (first..).zip(facts).find_map(|(seq, fact)| {
        let error = serde_json::from_str::<Record>(fact.get()).err()?;
        Some(UnreadableFact { seq, problem: error.to_string() })
    });
    each.unwrap_or_else(|| UnreadableFact { seq: first, problem: error.to_string() })
}

#[cfg(test)]
mod tests {
    use super::*;

    const KNOWN: &str = r#"{"at":1,"event":"started"}"#;

    fn read(facts: &[&str]) -> Result<Vec<Record>, UnreadableFact> {
        Record::read_all(7, &format!("[{}]", facts.join(",")))
    }

    #[test]
    fn a_fact_of_another_kind_is_named_and_never_passed_over() {
        let error = read(&[KNOWN, r#"{"at":2,"event":{"teleported":{"to":3}}}"#, KNOWN]);
        let error = error.unwrap_err();
        assert_eq!(error.seq, 8);
        assert!(error.to_string().contains("teleported"), "{error}");
        assert_eq!(read(&[KNOWN, KNOWN]).unwrap().len(), 2);
    }

    #[test]
    fn a_field_that_is_not_known_is_never_passed_over() {
        for fact in [
            r#"{"at":1,"event":"started","by":"clock"}"#,
            r#"{"at":1,"event":{"call_started":{"step":0,"op":"action","attempt":1,"dry":true}}}"#,
            r#"{"at":1,"event":{"paused":{"by":{"name":"a","role":"root"}}}}"#,
            r#"{"at":1,"event":{"accepted":{"saga_id":"s","definition":"d","definition_name":"n","input":1,"x":1}}}"#,
            r#"{"at":1,"event":{"call_answered":{"step":0,"op":"action","attempt":1,"answer":{"outcome":"succeeded","sent":true,"x":1}}}}"#,
            r#"{"at":1,"event":{"ended":{"status":"completed","problem":{"kind":"timeout","detail":"","x":1}}}}"#,
            r#"{"at":1,"event":{"branch_enlisted":{"branch":{"id":"b","work":{"message":{"participant":"p","action":{"method":"POST","path":"/","x":1}}}}}}}"#,
        ] {
            let error = read(&[fact]).unwrap_err();
            assert!(error.problem.contains("unknown field"), "{fact}: {error}");
        }
    }

    #[test]
    fn what_is_no_list_of_facts_is_said_of_the_first() {
        for text in ["", "{}", "[1", "null"] {
            assert_eq!(Record::read_all(3, text).unwrap_err().seq, 3, "{text}");
        }
    }
}
