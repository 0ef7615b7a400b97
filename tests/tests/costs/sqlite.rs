//! What sagas write on SQLite. Commits and bytes stand in its log, which is not copied into the
//! file before it has 64 MiB; rows are counted by triggers, in a run of their own.

use std::fs;
use std::path::Path;
use std::sync::Arc;

use amends_store::sqlite::{SqliteOptions, SqliteStore};
use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection};
use sqlx::{AssertSqlSafe, Connection as _};

use crate::ceilings::Line;
use crate::sagas::{PARTITIONS, Sagas, share};

const TABLES: &str = "SELECT name FROM sqlite_schema WHERE type = 'table' AND name <> 'written'";
const ROWS: &str = "SELECT rows FROM written";

/// Commits, rows and bytes of the log a saga.
pub(crate) async fn per_saga(line: &Line) -> Vec<f64> {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("amends.db");
    let options = SqliteOptions { partitions: PARTITIONS, ..SqliteOptions::default() };
    let store = SqliteStore::connect(file.to_str().unwrap(), options).await.unwrap();
    let mut sagas = Sagas::warmed_up(Arc::new(store), line.case).await;

    let before = Log::read(&file);
    sagas.run(line.sagas(), line.at_once).await;
    let after = Log::read(&file);
    assert_eq!(before.salt, after.salt, "the log has begun anew: run fewer sagas");

    let mut counter = count_rows(&file).await;
    sagas.run(line.sagas(), line.at_once).await;
    let rows: i64 = sqlx::query_scalar(ROWS).fetch_one(&mut counter).await.unwrap();
    sagas.end().await;
    let (commits, bytes) = (after.commits - before.commits, after.bytes - before.bytes);
    [commits, rows.unsigned_abs(), bytes].map(|count| share(count, line.sagas())).to_vec()
}

/// Lets the database count the rows that are written from now on.
async fn count_rows(file: &Path) -> SqliteConnection {
    let options = SqliteConnectOptions::new().filename(file);
    let mut own = SqliteConnection::connect_with(&options).await.unwrap();
    let tables: Vec<String> = sqlx::query_scalar(TABLES).fetch_all(&mut own).await.unwrap();
    let trigger = |table: &String, change: &str| {
        format!(
            "CREATE TRIGGER {table}_{change} AFTER {change} ON {table}
             BEGIN UPDATE written SET rows = rows + 1; END;"
        )
    };
    let triggers =
        |table| ["INSERT", "UPDATE", "DELETE"].map(|change| trigger(table, change)).concat();
    let table = "CREATE TABLE written (rows INTEGER); INSERT INTO written VALUES (0);";
    let sql = table.to_owned() + &tables.iter().map(triggers).collect::<String>();
    sqlx::raw_sql(AssertSqlSafe(sql)).execute(&mut own).await.unwrap();
    own
}

/// What stands in the log of changes. Its format: <https://sqlite.org/fileformat2.html#walformat>.
struct Log {
    /// Another one when it begins anew.
    salt: [u8; 8],
    commits: u64,
    bytes: u64,
}

impl Log {
    fn read(file: &Path) -> Self {
        const FRAME_HEAD: usize = 24;
        let mut path = file.as_os_str().to_owned();
        path.push("-wal");
        let log = fs::read(path).unwrap();
        let (head, frames) = log.split_at(32);
        let page_bytes = u32::from_be_bytes(head[8..12].try_into().unwrap());
        let frame_bytes = FRAME_HEAD + usize::try_from(page_bytes).unwrap();
        let salt = head[16..24].try_into().unwrap();
        let frames = frames.chunks_exact(frame_bytes).take_while(|frame| frame[8..16] == salt);
        let mut read = Self { salt, commits: 0, bytes: 0 };
        for frame in frames {
            // The last frame of a transaction has the size of the database.
            read.commits += u64::from(frame[4..8] != [0; 4]);
            read.bytes += frame.len() as u64;
        }
        read
    }
}
