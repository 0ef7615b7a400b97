//! The least journal that is durable: rows of one table, written in batches. The stand-in keeps its
//! sagas in it, and the limits of the store are measured by it.

use anyhow::Context as _;
use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection, SqliteJournalMode, SqliteSynchronous};
use sqlx::{ConnectOptions as _, Connection as _, PgConnection};
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinSet;

/// Most rows of one commit.
const BATCH_ROWS_MAX: usize = 1_000;
/// Most rows that wait for the writer.
const QUEUE_MAX: usize = 20_000;

const TABLE: &str = "CREATE TABLE IF NOT EXISTS bench_row (
    saga BIGINT NOT NULL, seq INTEGER NOT NULL, facts TEXT NOT NULL, PRIMARY KEY (saga, seq))";
const INSERT_POSTGRES: &str =
    "INSERT INTO bench_row SELECT * FROM UNNEST($1::bigint[], $2::int[], $3::text[])";
const INSERT_SQLITE: &str = "INSERT INTO bench_row
    SELECT value->>0, value->>1, value->>2 FROM json_each(?)";

/// One row: what happened to a saga.
#[derive(Clone, Debug)]
pub(super) struct Row {
    pub(super) saga: i64,
    pub(super) seq: i32,
    pub(super) facts: String,
}

/// One connection that writes batches, each as one commit.
#[derive(Debug)]
pub(super) enum Writer {
    Postgres(PgConnection),
    Sqlite(SqliteConnection),
}

impl Writer {
    /// Connects, and makes the table where it is missing. SQLite commits as the embedded store
    /// does: a log of changes, `synchronous=FULL`.
    pub(super) async fn open(url: &str) -> anyhow::Result<Self> {
        let opened = async {
            let Some(path) = url.strip_prefix("sqlite://") else {
                let mut connection = PgConnection::connect(url).await?;
                sqlx::query(TABLE).execute(&mut connection).await?;
                return Ok(Self::Postgres(connection));
            };
            let options = SqliteConnectOptions::new()
                .filename(path)
                .create_if_missing(true)
                .journal_mode(SqliteJournalMode::Wal)
                .synchronous(SqliteSynchronous::Full)
                .pragma("wal_autocheckpoint", "16384")
                .disable_statement_logging();
            let mut connection = options.connect().await?;
            sqlx::query(TABLE).execute(&mut connection).await?;
            anyhow::Ok(Self::Sqlite(connection))
        };
        opened.await.with_context(|| format!("opening a journal in {url}"))
    }

    /// Writes the rows; they are durable when this returns.
    pub(super) async fn write(&mut self, rows: Vec<Row>) -> anyhow::Result<()> {
        match self {
            Self::Postgres(connection) => {
                let sagas: Vec<i64> = rows.iter().map(|row| row.saga).collect();
                let seqs: Vec<i32> = rows.iter().map(|row| row.seq).collect();
                let facts: Vec<String> = rows.into_iter().map(|row| row.facts).collect();
                let insert = sqlx::query(INSERT_POSTGRES).bind(sagas).bind(seqs).bind(facts);
                insert.execute(connection).await?;
            }
            Self::Sqlite(connection) => {
                let rows: Vec<(i64, i32, String)> =
                    rows.into_iter().map(|row| (row.saga, row.seq, row.facts)).collect();
                let json = serde_json::to_string(&rows)?;
                sqlx::query(INSERT_SQLITE).bind(json).execute(connection).await?;
            }
        }
        Ok(())
    }
}

/// One writer that takes what has come while it wrote as its next batch.
#[derive(Debug)]
pub(super) struct Journal {
    queue: mpsc::Sender<Entry>,
    _writer: JoinSet<()>,
}

#[derive(Debug)]
struct Entry {
    row: Row,
    written: oneshot::Sender<()>,
}

impl Journal {
    pub(super) fn over(writer: Writer) -> Self {
        let (queue, entries) = mpsc::channel(QUEUE_MAX);
        let mut task = JoinSet::new();
        task.spawn(async {
            if let Err(error) = write_all(writer, entries).await {
                tracing::error!("the stand-in's journal stopped: {error:#}");
            }
        });
        Self { queue, _writer: task }
    }

    /// Answers when the row is durable.
    pub(super) async fn write(&self, row: Row) -> anyhow::Result<()> {
        let (written, done) = oneshot::channel();
        self.queue.send(Entry { row, written }).await.context("the journal has stopped")?;
        done.await.context("the journal has stopped")
    }
}

async fn write_all(mut writer: Writer, mut entries: mpsc::Receiver<Entry>) -> anyhow::Result<()> {
    let mut batch = Vec::new();
    while entries.recv_many(&mut batch, BATCH_ROWS_MAX).await > 0 {
        let (rows, waiting): (Vec<Row>, Vec<oneshot::Sender<()>>) =
            batch.drain(..).map(|entry| (entry.row, entry.written)).unzip();
        writer.write(rows).await?;
        for written in waiting {
            // Whoever waited may have gone.
            let _ = written.send(());
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Writes three rows in two batches; how many are there.
    async fn written(url: &str) -> i64 {
        let row = |saga, seq| Row { saga, seq, facts: r#"{"a":"\"b"}"#.to_owned() };
        let mut writer = Writer::open(url).await.unwrap();
        writer.write(vec![row(1, 0), row(2, 0)]).await.unwrap();
        assert!(writer.write(vec![row(3, 0), row(1, 0)]).await.is_err(), "a batch is whole");
        writer.write(vec![row(1, 1)]).await.unwrap();
        let count = "SELECT count(*) FROM bench_row WHERE facts = '{\"a\":\"\\\"b\"}'";
        match &mut writer {
            Writer::Postgres(own) => sqlx::query_scalar(count).fetch_one(own).await.unwrap(),
            Writer::Sqlite(own) => sqlx::query_scalar(count).fetch_one(own).await.unwrap(),
        }
    }

    #[tokio::test]
    async fn batches_are_written_whole_on_both_stores() {
        let dir = tempfile::tempdir().unwrap();
        let file = format!("sqlite://{}", dir.path().join("bench.db").display());
        assert_eq!(written(&file).await, 3);
        let postgres = amends_testbed::Postgres::start().await.unwrap();
        assert_eq!(written(&postgres.url()).await, 3);
    }

    #[tokio::test]
    async fn a_journal_answers_when_a_row_is_written_and_fails_when_it_can_not() {
        let dir = tempfile::tempdir().unwrap();
        let file = format!("sqlite://{}", dir.path().join("bench.db").display());
        let journal = Journal::over(Writer::open(&file).await.unwrap());
        let row = Row { saga: 1, seq: 0, facts: String::new() };
        journal.write(row.clone()).await.unwrap();
        assert!(journal.write(row.clone()).await.is_err(), "it is there already");
        assert!(journal.write(Row { seq: 1, ..row }).await.is_err(), "the journal has stopped");
    }
}
