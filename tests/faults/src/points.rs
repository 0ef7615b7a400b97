//! A coordinator that is killed at every point at which it writes or sends.

use std::time::Duration;

use crate::Outcome;

/// Kills it at each of them in turn, until there are no more or `budget` is used up.
///
/// # Errors
///
/// A server can't be started.
pub async fn kill_at_every_point(budget: Duration) -> anyhow::Result<Outcome> {
    Ok(Outcome::not_done(format!("nothing to do in {budget:?}")))
}
