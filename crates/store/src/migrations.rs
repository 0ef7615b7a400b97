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
