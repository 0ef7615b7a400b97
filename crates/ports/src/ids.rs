//! Names for what is new.

use std::fmt;

use amends_core::SagaId;
use uuid::Uuid;

/// Makes ids that were never given before.
pub trait Ids: fmt::Debug + Send + Sync {
    /// An id for a saga: unique, and later ones sort after earlier ones, roughly.
    fn saga_id(&self) -> SagaId;

    /// A random text of 32 hex digits, not guessable.
    fn token(&self) -> String;
}

/// UUIDs: version 7 for sagas, version 4 for the rest.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemIds;

impl Ids for SystemIds {
    #[expect(clippy::disallowed_methods, reason = "this is the port")]
    #[expect(clippy::expect_used, reason = "a hyphenated UUID is a valid saga id")]
    fn saga_id(&self) -> SagaId {
        let mut buffer = Uuid::encode_buffer();
        SagaId::new(Uuid::now_v7().hyphenated().encode_lower(&mut buffer))
            .expect("36 hex digits and hyphens")
    }

    #[expect(clippy::disallowed_methods, reason = "this is the port")]
    fn token(&self) -> String {
        let mut buffer = Uuid::encode_buffer();
        Uuid::new_v4().simple().encode_lower(&mut buffer).to_owned()
    }
}
