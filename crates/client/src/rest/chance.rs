//! The one source of chance of the client: keys of requests, and jitter.

use uuid::Uuid;

/// A key for one logical request, kept over all its attempts.
pub(crate) fn key() -> String {
    random().to_string()
}

/// A number from 0 to 1.
pub(crate) fn fraction() -> f64 {
    // Of a random UUID, the lowest bits carry no version and no variant.
    let bits = u32::try_from(random().as_u128() & u128::from(u32::MAX)).unwrap_or_default();
    f64::from(bits) / f64::from(u32::MAX)
}

#[expect(clippy::disallowed_methods, reason = "a library in others' programs has no Ids port")]
fn random() -> Uuid {
    Uuid::new_v4()
}
