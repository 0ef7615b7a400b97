//! Databases that begin as copies of one that was prepared.

use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use amends_testbed::{Postgres, PostgresOptions};
use anyhow::Context as _;
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection};
use sqlx::{ConnectOptions as _, Connection as _, PgPool};
use tempfile::TempDir;

/// Which store.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Kind {
    Postgres,
    Sqlite,
}

/// Where databases of one kind are.
#[derive(Debug)]
pub(super) enum Databases {
    Postgres { server: Box<Postgres>, next: AtomicU32 },
    Sqlite { home: TempDir, next: AtomicU32 },
}

/// One database, to which the tests come besides the coordinator.
#[derive(Clone, Debug)]
pub(super) enum Database {
    Postgres { name: String, url: String, pool: PgPool },
    Sqlite { path: PathBuf },
}

/// A part of a saga's journal as it is stored: the number of its first fact, how many it has, and
/// the facts.
pub(super) type Chunk = (i64, i64, String);

impl Databases {
    pub(super) async fn open(kind: Kind) -> anyhow::Result<Self> {
        let next = AtomicU32::new(0);
        Ok(match kind {
            Kind::Postgres => {
                let options = PostgresOptions {
                    // Nobody takes the power away here: what a process has written is kept.
                    durable: true,
                    settings: [("synchronous_commit", "local"), ("wal_sync_method", "fdatasync")]
                        .map(|(name, value)| (name.to_owned(), value.to_owned()))
                        .to_vec(),
                    max_connections: 200,
                    ..PostgresOptions::default()
                };
                Self::Postgres { server: Box::new(Postgres::start_with(options).await?), next }
            }
            Kind::Sqlite => {
                let home = tempfile::Builder::new().prefix("amends-points-").tempdir()?;
                Self::Sqlite { home, next }
            }
        })
    }

    /// A new one: empty, or a copy of `from`, which nobody may use meanwhile.
    pub(super) async fn make(&self, from: Option<&Database>) -> anyhow::Result<Database> {
        match self {
            Self::Postgres { server, next } => {
                let name = format!("points{}", next.fetch_add(1, Ordering::Relaxed));
                let template = match from {
                    Some(Database::Postgres { name, .. }) => name,
                    Some(Database::Sqlite { .. }) | None => "template1",
                };
                let sql = format!("CREATE DATABASE {name} TEMPLATE {template} STRATEGY wal_log");
                server.psql("postgres", &sql).await?;
                let url = server.url_of(&name);
                let options = url.parse::<PgConnectOptions>()?.disable_statement_logging();
                let pool = PgPoolOptions::new().max_connections(3).connect_lazy_with(options);
                Ok(Database::Postgres { name, url, pool })
            }
            Self::Sqlite { home, next } => {
                let folder = home.path().join(next.fetch_add(1, Ordering::Relaxed).to_string());
                std::fs::create_dir(&folder)?;
                let path = folder.join("amends.db");
                if let Some(Database::Sqlite { path: template }) = from {
                    for end in ["", "-wal"] {
                        let with = |path: &PathBuf| format!("{}{end}", path.display());
                        // Where nothing is in the log there is none.
                        if std::path::Path::new(&with(template)).exists() {
                            std::fs::copy(with(template), with(&path))?;
                        }
                    }
                }
                Ok(Database::Sqlite { path })
            }
        }
    }

    /// Deletes one that nobody uses any more.
    pub(super) async fn drop(&self, database: Database) -> anyhow::Result<()> {
        database.leave().await;
        match (self, database) {
            (Self::Postgres { server, .. }, Database::Postgres { name, .. }) => {
                server.psql("postgres", &format!("DROP DATABASE {name} WITH (FORCE)")).await?;
            }
            (_, Database::Sqlite { path }) => {
                std::fs::remove_dir_all(path.parent().context("a file without a folder")?)?;
            }
            (Self::Sqlite { .. }, Database::Postgres { .. }) => {}
        }
        Ok(())
    }
}

impl Database {
    /// What the coordinator is told.
    pub(super) fn url(&self) -> String {
        match self {
            Self::Postgres { url, .. } => url.clone(),
            Self::Sqlite { path } => format!("sqlite://{}", path.display()),
        }
    }

    /// Closes the connections of the tests, so that it can be copied.
    pub(super) async fn leave(&self) {
        if let Self::Postgres { pool, .. } = self {
            pool.close().await;
        }
    }

    /// The journal of a saga as it stands there now.
    pub(super) async fn journal(&self, saga: &str) -> anyhow::Result<Vec<Chunk>> {
        Ok(match self {
            Self::Postgres { pool, .. } => {
                let sql = "SELECT first_seq, record_count::bigint, records FROM saga_journal
                    WHERE saga_id = $1 ORDER BY first_seq";
                sqlx::query_as(sql).bind(saga).fetch_all(pool).await?
            }
            Self::Sqlite { .. } => {
                let sql = "SELECT first_seq, record_count, records FROM saga_journal
                    WHERE saga_no = (SELECT saga_no FROM saga WHERE saga_id = ?) ORDER BY first_seq";
                let mut connection = self.connect(true).await?;
                let rows = sqlx::query_as(sql).bind(saga).fetch_all(&mut connection).await?;
                connection.close().await?;
                rows
            }
        })
    }

    /// The partition of a saga.
    pub(super) async fn partition(&self, saga: &str) -> anyhow::Result<i32> {
        let sql = "SELECT partition FROM saga WHERE saga_id = $1";
        Ok(match self {
            Self::Postgres { pool, .. } => {
                sqlx::query_scalar(sql).bind(saga).fetch_one(pool).await?
            }
            Self::Sqlite { .. } => {
                let mut connection = self.connect(true).await?;
                sqlx::query_scalar(sql).bind(saga).fetch_one(&mut connection).await?
            }
        })
    }

    /// Gives the partition of `saga` to a coordinator that does nothing, for so long.
    pub(super) async fn haunt(&self, saga: &str, ttl: Duration) -> anyhow::Result<()> {
        let partition = self.partition(saga).await?;
        let ms = u32::try_from(ttl.as_millis())?;
        match self {
            Self::Postgres { pool, .. } => {
                let sql = "UPDATE partition_lease SET owner = 'ghost', epoch = epoch + 1,
                    expires_at = now() + $2 * INTERVAL '1 ms' WHERE partition = $1";
                sqlx::query(sql).bind(partition).bind(f64::from(ms)).execute(pool).await?;
            }
            Self::Sqlite { .. } => {
                let sql = "UPDATE partition_lease SET owner = 'ghost', epoch = epoch + 1,
                    expires_us = (CAST(unixepoch('subsec') * 1000 AS INTEGER) + $2) * 1000
                    WHERE partition = $1";
                let mut connection = self.connect(false).await?;
                sqlx::query(sql).bind(partition).bind(ms).execute(&mut connection).await?;
                connection.close().await?;
            }
        }
        Ok(())
    }

    /// Whether a command waits for the owner of its saga.
    pub(super) async fn has_mail(&self) -> anyhow::Result<bool> {
        let sql = "SELECT count(*) FROM inbox";
        let count: i64 = match self {
            Self::Postgres { pool, .. } => sqlx::query_scalar(sql).fetch_one(pool).await?,
            Self::Sqlite { .. } => {
                let mut connection = self.connect(true).await?;
                let count = sqlx::query_scalar(sql).fetch_one(&mut connection).await?;
                connection.close().await?;
                count
            }
        };
        Ok(count > 0)
    }

    /// Lets two hours pass over everything that has ended.
    pub(super) async fn age(&self) -> anyhow::Result<()> {
        match self {
            Self::Postgres { pool, .. } => {
                let sql = "UPDATE saga SET created_at = created_at - INTERVAL '2 h',
                    updated_at = updated_at - INTERVAL '2 h', ended_at = ended_at - INTERVAL '2 h'
                    WHERE ended_at IS NOT NULL";
                sqlx::query(sql).execute(pool).await?;
            }
            Self::Sqlite { .. } => {
                let sql = "UPDATE saga SET created_us = created_us - 7200000000,
                    updated_us = updated_us - 7200000000, ended_us = ended_us - 7200000000
                    WHERE ended_us IS NOT NULL";
                let mut connection = self.connect(false).await?;
                sqlx::query(sql).execute(&mut connection).await?;
                connection.close().await?;
            }
        }
        Ok(())
    }

    async fn connect(&self, read_only: bool) -> anyhow::Result<SqliteConnection> {
        let Self::Sqlite { path } = self else { anyhow::bail!("not an SQLite file") };
        let options = SqliteConnectOptions::new()
            .filename(path)
            .read_only(read_only)
            .busy_timeout(Duration::from_secs(5))
            .disable_statement_logging();
        Ok(options.connect().await?)
    }
}
