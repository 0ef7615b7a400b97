//! The migrations, embedded by the build script.

use sqlx::SqlSafeStr as _;
use sqlx::migrate::{Migration, MigrationType, Migrator};

include!(concat!(env!("OUT_DIR"), "/migrations.rs"));

/// Version, description and SQL of each migration, in order.
pub(crate) type List = [(i64, &'static str, &'static str)];

/// The library's form of a list above. Migrations of newer releases are none of its business:
/// whether this release can live with them is said by the database ([`crate::version`]).
pub(crate) fn migrator(list: &List) -> Migrator {
    let migration = |&(version, description, sql): &(i64, &'static str, &'static str)| {
        let kind = MigrationType::Simple;
        Migration::new(version, description.into(), kind, sql.into_sql_str(), false)
    };
    let mut migrator = Migrator::with_migrations(list.iter().map(migration).collect());
    migrator.set_ignore_missing(true);
    migrator
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The first release that works beside others.
    const FIRST_BESIDE: i64 = 6;

    /// What the release before it may still use must stay, or the migration says that it can't.
    #[test]
    fn what_takes_something_away_refuses_older_releases() {
        for (version, name, sql) in POSTGRES.iter().chain(SQLITE) {
            let refuses = sql.contains(&format!("'{version}' WHERE name = 'oldest_reader'"))
                || sql.contains(&format!("{version} WHERE name = 'oldest_reader'"));
            let takes = ["DROP ", "RENAME ", " TYPE ", "SET NOT NULL"];
            let code = sql.lines().filter(|line| !line.starts_with("--"));
            // Whoever can do with an index or a constraint can do without.
            let harmless = ["DROP INDEX ", "DROP CONSTRAINT "];
            let has = |line: &str, words: &[&str]| words.iter().any(|word| line.contains(word));
            let taken = code.filter(|line| has(line, &takes) && !has(line, &harmless));
            assert!(*version <= FIRST_BESIDE || refuses || taken.count() == 0, "{name}");
        }
    }

    #[test]
    fn every_migration_says_who_reads_it_and_the_way_back() {
        for (_, name, sql) in POSTGRES.iter().chain(SQLITE) {
            assert!(sql.contains("Readers before this release:"), "{name}");
            let head: String = sql.lines().take_while(|line| line.starts_with("--")).collect();
            assert!(head.replace("--", "").contains("Way back:"), "{name}");
        }
    }
}
