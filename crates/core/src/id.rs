//! Ids and names: one newtype each, checked where they enter.
//!
//! All are short texts without white space, control or path characters, so that they can stand in
//! a URL, a header, a log line and a table unescaped.

use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize, Serializer};

use crate::saga::Op;

/// Why a text is not an id or name.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum IdError {
    /// Nothing was given.
    #[error("must not be empty")]
    Empty,
    /// Longer than the bound.
    #[error("is {len} bytes long, at most {max} are allowed")]
    TooLong {
        /// Bytes given.
        len: usize,
        /// Bytes allowed.
        max: usize,
    },
    /// A first character that is not allowed there.
    #[error("must not begin with {0:?}; allowed are {1}")]
    First(char, &'static str),
    /// A character that is not allowed there.
    #[error("must not contain {0:?}; allowed are {1}")]
    Character(char, &'static str),
}

/// Checks length and characters, those of the first one apart.
fn check(
    text: &str,
    max: usize,
    allowed: fn(char) -> bool,
    first: fn(char) -> bool,
    words: &'static str,
) -> Result<(), IdError> {
    if text.len() > max {
        return Err(IdError::TooLong { len: text.len(), max });
    }
    let mut characters = text.chars();
    let head = characters.next().ok_or(IdError::Empty)?;
    if !first(head) {
        return Err(if allowed(head) {
            IdError::First(head, words)
        } else {
            IdError::Character(head, words)
        });
    }
    match characters.find(|c| !allowed(*c)) {
        Some(c) => Err(IdError::Character(c, words)),
        None => Ok(()),
    }
}

macro_rules! text_id {
    ($(#[$doc:meta])* $name:ident, $max:literal, $allowed:expr, $first:expr, $words:literal) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize)]
        #[serde(try_from = "String")]
        pub struct $name(Arc<str>);

        impl $name {
            /// Most bytes such a text may have.
            pub const BYTES_MAX: usize = $max;

            /// Checks `text`.
            ///
            /// # Errors
            ///
            /// [`IdError`] says which character or length is wrong.
            pub fn new(text: impl AsRef<str>) -> Result<Self, IdError> {
                let text = text.as_ref();
                check(text, $max, $allowed, $first, $words)?;
                Ok(Self(Arc::from(text)))
            }

            /// The text itself.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl From<$name> for String {
            fn from(id: $name) -> Self {
                id.0.as_ref().to_owned()
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(&self.0)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Debug::fmt(&self.0, f)
            }
        }

        impl TryFrom<String> for $name {
            type Error = IdError;

            fn try_from(text: String) -> Result<Self, IdError> {
                Self::new(text)
            }
        }

        impl std::str::FromStr for $name {
            type Err = IdError;

            fn from_str(text: &str) -> Result<Self, IdError> {
                Self::new(text)
            }
        }

    };
}

impl SagaId {
    /// The saga of which this one is a branch, if it is nested: what stands before its last dot. An
    /// id that somebody chose may look the same.
    pub fn parent(&self) -> Option<Self> {
        let (parent, _) = self.as_str().rsplit_once('.')?;
        Self::new(parent).ok()
    }
}

const fn word(c: char) -> bool {
    c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.')
}

const fn alphanumeric(c: char) -> bool {
    c.is_ascii_alphanumeric()
}

const fn step_character(c: char) -> bool {
    c.is_ascii_alphanumeric() || matches!(c, '_' | '-')
}

const fn alphabetic(c: char) -> bool {
    c.is_ascii_alphabetic()
}

fn visible(c: char) -> bool {
    !c.is_control()
}

text_id! {
    /// Names one saga: the caller's own id, or a UUIDv7 made by the coordinator.
    SagaId, 128, word, alphanumeric, "letters, digits, '_', '-' and '.', a letter or digit first"
}
text_id! {
    /// Names a definition; its versions count from 1.
    DefinitionName, 128, word, alphanumeric,
    "letters, digits, '_', '-' and '.', a letter or digit first"
}
text_id! {
    /// Names a registered participant.
    ParticipantName, 128, word, alphanumeric,
    "letters, digits, '_', '-' and '.', a letter or digit first"
}
text_id! {
    /// Names a step within its definition.
    StepId, 64, step_character, alphabetic, "letters, digits, '_' and '-', a letter first"
}
text_id! {
    /// A business key, such as `sku:42`, that serialises the sagas which name it.
    LockKey, 256, visible, visible, "any characters but control characters"
}

impl ParticipantName {
    /// The coordinator itself, where a step is a saga of its own.
    pub(crate) fn own() -> Self {
        Self(Arc::from("amends"))
    }
}

/// Where a step stands in its definition, from 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct StepIndex(pub u16);

impl StepIndex {
    /// As an index into a list of steps.
    pub const fn get(self) -> usize {
        self.0 as usize
    }
}

/// The idempotency key of one call: `{saga}/{step}/{op}`, the same for every attempt.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct CallKey {
    /// The saga.
    pub saga_id: SagaId,
    /// The step.
    pub step_id: StepId,
    /// The operation.
    pub op: Op,
}

impl CallKey {
    /// The key's text.
    pub fn text(&self) -> String {
        [self.saga_id.as_str(), "/", self.step_id.as_str(), "/", self.op.as_str()].concat()
    }
}

impl fmt::Display for CallKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}/{}", self.saga_id, self.step_id, self.op)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_refuse_what_a_url_or_header_could_not_hold() {
        for (text, ok) in [
            ("order-42", true),
            ("0192f.x_Y", true),
            ("", false),
            ("-x", false),
            ("a b", false),
            ("a/b", false),
            ("a\0", false),
            ("ä", false),
        ] {
            assert_eq!(SagaId::new(text).is_ok(), ok, "{text:?}");
        }
        assert_eq!(SagaId::new("x".repeat(129)), Err(IdError::TooLong { len: 129, max: 128 }));
        assert!(StepId::new("1st").is_err());
        assert!(LockKey::new("sku:42/ä").is_ok());
    }
}
