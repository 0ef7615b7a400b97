//! SQL databases for the cases: one server for all, a database for each.

use std::any::Any;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Weak};

use amends_client::barrier::{self, SqlStore};
use amends_testbed::{MariaDb, Postgres};
use sqlx::{AssertSqlSafe, Pool, Row as _};
use tokio::sync::Mutex;

/// Connections of a case.
const CONNECTIONS_MAX: u32 = 8;

/// A database of the suite.
pub(crate) trait Db: SqlStore {
    /// Ends one's own connection, as a crash of the server's process would; none where there is
    /// no connection.
    const KILL: Option<&'static str>;

    /// An empty database, without the barrier's tables; it lives as long as the first value.
    async fn empty() -> (Arc<dyn Any + Send + Sync>, Pool<Self>);
    /// Runs a statement.
    fn execute(
        connection: &mut Self::Connection,
        sql: String,
    ) -> impl Future<Output = sqlx::Result<()>> + Send;
    /// Runs a statement outside any transaction.
    async fn on(pool: &Pool<Self>, sql: &str) {
        Self::execute(&mut pool.acquire().await.unwrap(), sql.to_owned()).await.unwrap();
    }
    /// The number that a query answers.
    async fn number(pool: &Pool<Self>, sql: String) -> i64;

    /// A database with the tables of barrier and work.
    async fn start() -> (Arc<dyn Any + Send + Sync>, Pool<Self>) {
        let (server, pool) = Self::empty().await;
        barrier::migrate(&pool).await.unwrap();
        Self::on(&pool, "CREATE TABLE effect (name VARCHAR(200) NOT NULL)").await;
        (server, pool)
    }
}

macro_rules! db {
    ($database:ty, $kill:expr, $empty:expr) => {
        impl Db for $database {
            const KILL: Option<&'static str> = $kill;

            async fn empty() -> (Arc<dyn Any + Send + Sync>, Pool<Self>) {
                $empty.await
            }

            async fn execute(connection: &mut Self::Connection, sql: String) -> sqlx::Result<()> {
                sqlx::query(AssertSqlSafe(sql)).execute(connection).await.map(|_| ())
            }

            async fn number(pool: &Pool<Self>, sql: String) -> i64 {
                sqlx::query(AssertSqlSafe(sql)).fetch_one(pool).await.unwrap().get(0)
            }
        }
    };
}

db!(sqlx::Postgres, Some("SELECT pg_terminate_backend(pg_backend_pid())"), async {
    static SERVER: Mutex<Weak<Postgres>> = Mutex::const_new(Weak::new());
    let server = shared(&SERVER, async || Postgres::start().await.unwrap()).await;
    let url = server.create_database(&fresh_name()).await.unwrap();
    let options = sqlx::postgres::PgPoolOptions::new().max_connections(CONNECTIONS_MAX);
    (server as _, options.connect(&url).await.unwrap())
});

db!(sqlx::MySql, Some("KILL CONNECTION_ID()"), async {
    static SERVER: Mutex<Weak<MariaDb>> = Mutex::const_new(Weak::new());
    let server =
        shared(&SERVER, async || MariaDb::start_with(&["--max-connections=300"]).await.unwrap())
            .await;
    let url = server.create_database(&fresh_name()).await.unwrap();
    let options = sqlx::mysql::MySqlPoolOptions::new().max_connections(CONNECTIONS_MAX);
    (server as _, options.connect(&url).await.unwrap())
});

db!(sqlx::Sqlite, None, async {
    let folder = tempfile::Builder::new().prefix("amends-barrier-").tempdir().unwrap();
    let connect = sqlx::sqlite::SqliteConnectOptions::new()
        .filename(folder.path().join("shop.db"))
        .create_if_missing(true)
        .journal_mode(sqlx::sqlite::SqliteJournalMode::Wal)
        .synchronous(sqlx::sqlite::SqliteSynchronous::Off)
        .busy_timeout(std::time::Duration::from_secs(30));
    let options = sqlx::sqlite::SqlitePoolOptions::new().max_connections(CONNECTIONS_MAX);
    (Arc::new(folder) as _, options.connect_with(connect).await.unwrap())
});

/// The one server that all cases of this process share, while any of them runs.
async fn shared<T>(server: &Mutex<Weak<T>>, start: impl AsyncFnOnce() -> T) -> Arc<T> {
    let mut server = server.lock().await;
    if let Some(server) = server.upgrade() {
        return server;
    }
    let started = Arc::new(start().await);
    *server = Arc::downgrade(&started);
    started
}

fn fresh_name() -> String {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    format!("case_{}", COUNT.fetch_add(1, Ordering::Relaxed))
}
