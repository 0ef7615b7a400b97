//! Which releases may work on a database: the versions of its schema and of its journals.
//!
//! Releases before and after an upgrade work on one database side by side. A schema says which
//! migration a release must know at least; what facts may look like goes up only when all live
//! coordinators read it. Who is left behind by either is told so, and touches nothing.

use std::sync::atomic::{AtomicU32, Ordering};

use amends_core::SagaId;
use amends_core::saga::JournalFormat;

use crate::migrations::List;

/// Which formats of journals a release reads and writes. Other than the default only in tests.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Formats {
    /// The newest that it reads.
    pub read: JournalFormat,
    /// The newest that it writes, once every live coordinator reads it.
    pub written: JournalFormat,
}

impl Default for Formats {
    fn default() -> Self {
        Self { read: JournalFormat::READ, written: JournalFormat::WRITTEN }
    }
}

/// What the database says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Stored {
    /// The format in force.
    pub(crate) journal_format: i64,
    /// The migration that a release must know at least.
    pub(crate) oldest_reader: i64,
}

/// What this release can do, and the format in force as far as it has heard.
#[derive(Debug)]
pub(crate) struct Version {
    formats: Formats,
    newest_migration: i64,
    in_force: AtomicU32,
}

impl Version {
    pub(crate) fn new(formats: Formats, migrations: &List) -> Self {
        let newest_migration = migrations.last().map_or(0, |(version, _, _)| *version);
        Self { formats, newest_migration, in_force: AtomicU32::new(JournalFormat::FIRST.0) }
    }

    pub(crate) fn formats(&self) -> Formats {
        self.formats
    }

    /// The newest migration that this release knows.
    pub(crate) fn newest_migration(&self) -> i64 {
        self.newest_migration
    }

    /// The format in force when it was heard of last.
    pub(crate) fn in_force(&self) -> JournalFormat {
        JournalFormat(self.in_force.load(Ordering::Relaxed))
    }

    /// Takes note of what the database says.
    ///
    /// # Errors
    ///
    /// Why this release must not work on it, and what to do.
    pub(crate) fn hear(&self, stored: Stored) -> Result<(), String> {
        let Stored { journal_format, oldest_reader } = stored;
        if oldest_reader > self.newest_migration {
            return Err(format!(
                "its schema needs a release that knows migration {oldest_reader}, this one knows \
                 {}. {ADVICE}",
                self.newest_migration
            ));
        }
        if journal_format > i64::from(self.formats.read.0) {
            return Err(format!(
                "facts are written in journal format {journal_format}, this release reads up to \
                 {}. {ADVICE}",
                self.formats.read
            ));
        }
        let heard = u32::try_from(journal_format).unwrap_or(JournalFormat::FIRST.0);
        self.in_force.fetch_max(heard, Ordering::Relaxed);
        Ok(())
    }
}

/// Says that a saga stands still, once an owner of its partition has found out.
pub(crate) fn report_unreadable(saga_id: &SagaId, error: &(dyn std::error::Error + 'static)) {
    tracing::error!(
        saga.id = %saga_id,
        error,
        "a saga's journal can't be read by this release; it is not driven until a coordinator of \
         the release that wrote it, or of a newer one, takes its partition over"
    );
}

const ADVICE: &str = "Start the release that worked on it last, or a newer one; the only way back \
                      is a backup from before the upgrade (docs/operations.md, Upgrading)";

#[cfg(test)]
mod tests {
    use super::*;

    fn version() -> Version {
        let formats = Formats { read: JournalFormat(2), written: JournalFormat(1) };
        Version::new(formats, &[(5, "", ""), (6, "", "")])
    }

    #[test]
    fn a_release_takes_what_it_reads_and_knows() {
        let version = version();
        assert_eq!(version.in_force(), JournalFormat(1));
        version.hear(Stored { journal_format: 2, oldest_reader: 6 }).unwrap();
        assert_eq!(version.in_force(), JournalFormat(2));
        // What was heard late does not count.
        version.hear(Stored { journal_format: 1, oldest_reader: 6 }).unwrap();
        assert_eq!(version.in_force(), JournalFormat(2));
    }

    #[test]
    fn a_release_refuses_a_schema_or_a_journal_beyond_it() {
        let version = version();
        let schema = version.hear(Stored { journal_format: 1, oldest_reader: 7 }).unwrap_err();
        assert!(schema.contains("migration 7") && schema.contains("knows 6"), "{schema}");
        let journal = version.hear(Stored { journal_format: 3, oldest_reader: 6 }).unwrap_err();
        assert!(journal.contains("format 3") && journal.contains("up to 2"), "{journal}");
        assert_eq!(version.in_force(), JournalFormat(1));
    }
}
