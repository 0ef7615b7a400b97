//! The coordinator's stand-ins, by which the limits are measured.

use std::path::Path;

use amends_testbed::Child;

use super::start;

/// Two stand-ins, one with a store like the coordinator's and one with none.
#[derive(Debug)]
pub(super) struct StandIns {
    _unstored: Child,
    stored: Option<(Child, String)>,
    /// Where the one listens that stores nothing, as `host:port`.
    pub(super) unstored: String,
    /// URL of the database of the other one; none where the store is somebody else's.
    pub(super) database: Option<String>,
}

impl StandIns {
    /// Starts both, the second only over a database.
    pub(super) async fn start(
        exe: &Path,
        participant: &str,
        database: Option<String>,
    ) -> anyhow::Result<Self> {
        let (child, unstored) = start::stand_in(exe, participant, None).await?;
        let stored = match &database {
            Some(url) => Some(start::stand_in(exe, participant, Some(url)).await?),
            None => None,
        };
        Ok(Self { _unstored: child, stored, unstored, database })
    }

    /// Where the one listens that stores, as `host:port`.
    pub(super) fn stored(&self) -> Option<&str> {
        self.stored.as_ref().map(|(_, address)| &**address)
    }
}
