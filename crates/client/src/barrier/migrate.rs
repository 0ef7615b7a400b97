//! The barrier's tables.

use sqlx::Pool;

use super::{Error, SqlStore};

/// The tables for PostgreSQL, for services that make all tables by migrations of their own.
pub const SCHEMA_POSTGRES: &str = include_str!("../../migrations/barrier-postgres.sql");
/// The tables for MySQL and MariaDB.
pub const SCHEMA_MYSQL: &str = include_str!("../../migrations/barrier-mysql.sql");
/// The tables for SQLite.
pub const SCHEMA_SQLITE: &str = include_str!("../../migrations/barrier-sqlite.sql");

/// Tries before giving up: several instances of a service may start at once, and on PostgreSQL
/// `CREATE TABLE IF NOT EXISTS` fails for those that lose the race.
const TRIES_MAX: u32 = 5;

/// Makes the tables `amends_barrier` and `amends_fence` where they are missing. Call it when the
/// service starts; it may run in several instances at once.
///
/// # Errors
///
/// The database is away, or the user may not create tables.
pub async fn migrate<DB: SqlStore>(pool: &Pool<DB>) -> Result<(), Error> {
    let mut tries = 1;
    loop {
        match DB::migrate(pool).await {
            Ok(()) => return Ok(()),
            Err(error) if tries == TRIES_MAX => return Err(error.into()),
            Err(sqlx::Error::Database(_)) => tries += 1,
            Err(error) => return Err(error.into()),
        }
    }
}
