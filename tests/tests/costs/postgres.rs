//! What sagas write on PostgreSQL: transactions and bytes as the server tells them, rows as triggers
//! count them, in a run of their own.

use std::sync::Arc;

use amends_store::postgres::{PostgresOptions, PostgresStore};
use amends_testbed::{Postgres, PostgresOptions as ServerOptions};

use crate::ceilings::Line;
use crate::sagas::{PARTITIONS, Sagas, share};

/// The least of so many runs counts: the server writes some of its own accord.
const TIMES: usize = 3;
/// Counts the rows that are written from now on.
const COUNT_ROWS: &str = "\
CREATE SEQUENCE written;
CREATE FUNCTION count_row() RETURNS trigger LANGUAGE plpgsql AS
    'BEGIN PERFORM nextval(''written''); RETURN NULL; END';
DO $$
DECLARE name text;
BEGIN
    FOR name IN SELECT relname FROM pg_stat_user_tables LOOP
        EXECUTE format('CREATE TRIGGER count_row AFTER INSERT OR UPDATE OR DELETE ON %I
                        FOR EACH ROW EXECUTE FUNCTION count_row()', name);
    END LOOP;
END $$";

/// A server that writes nothing of its own accord, and no images of pages: how many of those there
/// are depends on when its checkpoints fall.
pub(crate) async fn start() -> Postgres {
    let options = ServerOptions { max_connections: 200, ..ServerOptions::default() };
    let options = options.setting("autovacuum", "off");
    Postgres::start_with(options).await.unwrap()
}

/// Commits, rows and bytes of the log of changes a saga.
pub(crate) async fn per_saga(server: &Postgres, line: &Line) -> Vec<f64> {
    let database = format!("{}_{}", line.case, line.at_once);
    let url = server.create_database(&database).await.unwrap();
    let options = PostgresOptions {
        allow_lost_commits: true,
        partitions: PARTITIONS,
        ..PostgresOptions::default()
    };
    let store = PostgresStore::connect(&url, options).await.unwrap();
    let mut sagas = Sagas::warmed_up(Arc::new(store), line.case).await;

    let (mut commits, mut bytes) = (u64::MAX, u64::MAX);
    for _ in 0..TIMES {
        let before = written(server).await;
        sagas.run(line.sagas(), line.at_once).await;
        let after = written(server).await;
        commits = commits.min(after.0 - before.0);
        bytes = bytes.min(after.1 - before.1);
    }

    server.psql(&database, COUNT_ROWS).await.unwrap();
    sagas.run(line.sagas(), line.at_once).await;
    let rows = server.psql(&database, "SELECT last_value FROM written").await.unwrap();
    sagas.end().await;
    let rows = rows.trim().parse().unwrap();
    [commits, rows, bytes].map(|count| share(count, line.sagas())).to_vec()
}

/// Transactions that wrote, and bytes of the log of changes, so far.
async fn written(server: &Postgres) -> (u64, u64) {
    let commits = server.transactions_written().await.unwrap();
    (commits, server.log_bytes_written().await.unwrap())
}
