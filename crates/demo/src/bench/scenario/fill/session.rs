//! One connection to either store, for SQL that is made as it goes.

use anyhow::Context as _;
use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection, SqliteJournalMode, SqliteSynchronous};
use sqlx::{AssertSqlSafe, ConnectOptions as _, Connection as _, PgConnection};

/// A connection; nothing that it writes to SQLite survives a crash of the machine.
#[derive(Debug)]
pub(super) enum Session {
    Postgres(PgConnection),
    Sqlite(SqliteConnection),
}

impl Session {
    /// Connects to the database at this URL.
    pub(super) async fn open(url: &str) -> anyhow::Result<Self> {
        let Some(path) = url.strip_prefix("sqlite://") else {
            return Ok(Self::Postgres(PgConnection::connect(url).await?));
        };
        let options = SqliteConnectOptions::new()
            .filename(path)
            .journal_mode(SqliteJournalMode::Off)
            .synchronous(SqliteSynchronous::Off)
            .pragma("cache_size", "-500000")
            .disable_statement_logging();
        Ok(Self::Sqlite(options.connect().await?))
    }

    /// Runs a statement.
    pub(super) async fn run(&mut self, sql: String) -> anyhow::Result<()> {
        let said: String = sql.chars().take(200).collect();
        let query = sqlx::raw_sql(AssertSqlSafe(sql));
        let done = match self {
            Self::Postgres(own) => query.execute(own).await.map(drop),
            Self::Sqlite(own) => query.execute(own).await.map(drop),
        };
        done.with_context(|| format!("running {said}"))
    }

    /// The texts of the only column.
    pub(super) async fn texts(&mut self, sql: String) -> anyhow::Result<Vec<String>> {
        let said: String = sql.chars().take(200).collect();
        let query = AssertSqlSafe(sql);
        let texts = match self {
            Self::Postgres(own) => sqlx::query_scalar(query).fetch_all(own).await,
            Self::Sqlite(own) => sqlx::query_scalar(query).fetch_all(own).await,
        };
        texts.with_context(|| format!("running {said}"))
    }

    /// The number in the only row and column, which comes as text.
    pub(super) async fn number(&mut self, sql: &str) -> anyhow::Result<i64> {
        let texts = self.texts(sql.to_owned()).await?;
        let text = texts.first().with_context(|| format!("{sql} gave nothing"))?;
        text.parse().with_context(|| format!("{sql} gave {text:?}"))
    }
}
