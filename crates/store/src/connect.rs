//! Opens the store that a URL names.

use std::sync::Arc;

use amends_ports::Store;

use crate::postgres::{PostgresOptions, PostgresStore};
use crate::sqlite::{SqliteOptions, SqliteStore};

/// Why a store could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The URL names no database that we can use.
    #[error("the database URL {0}")]
    Url(String),
    /// The database does not answer, or does not let us in.
    #[error("the database can't be reached")]
    Unavailable(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// The server answers commits before they are on disk.
    #[error(
        "the database server runs with {setting} = {value}, so that it may forget commits that it \
         answered, and accepted sagas with them; set it to on"
    )]
    NotDurable {
        /// The setting.
        setting: &'static str,
        /// What it is set to.
        value: String,
    },
    /// Others have gone on to what this release does not know; nothing was changed.
    #[error("this release is too old for it: {0}")]
    Outdated(String),
    /// The schema is not, and could not be made, what this release needs.
    #[error("the schema of the database can't be brought to this release")]
    Schema(#[source] Box<dyn std::error::Error + Send + Sync>),
}

/// Opens the store at `url`, which is `postgres://…` or `sqlite://PATH`, and brings its schema to
/// this release. A database that is made now gets `partitions` partitions.
///
/// # Errors
///
/// [`OpenError`]; the database is as it was, but for migrations that were done.
pub async fn open(url: &str, partitions: u16) -> Result<Arc<dyn Store>, OpenError> {
    if url.starts_with("postgres://") || url.starts_with("postgresql://") {
        let options = PostgresOptions { partitions, ..PostgresOptions::default() };
        return Ok(Arc::new(PostgresStore::connect(url, options).await?));
    }
    if url.starts_with("sqlite:") {
        let options = SqliteOptions { partitions, ..SqliteOptions::default() };
        return Ok(Arc::new(SqliteStore::connect(url, options).await?));
    }
    Err(OpenError::Url("must begin with postgres:// or sqlite://".to_owned()))
}
