//! The guard of what a saga costs, in figures that no machine changes: allocations of core and
//! engine over the in-memory store, and commits, rows and bytes on both databases.
//!
//! `cargo test -p amends-tests --test costs -- --nocapture` prints what is measured as lines of the
//! table in `ceilings.rs`. One thread runs all of a saga and the engine's clock stands still for it,
//! so that nothing but sagas is counted: no lease is renewed, nobody looks for what is due. The
//! sagas are those of the bench.

#![allow(clippy::unwrap_used, clippy::panic, reason = "test code")]

mod ceilings;
mod memory;
mod postgres;
mod sagas;
mod sqlite;

use std::time::Duration;

use ceilings::{ADVICE, LINES, Line, Store};

/// For each line of the table; it takes a second or two.
const LINE_MAX: Duration = Duration::from_mins(1);

#[test]
fn sagas_allocate_no_more_than_is_stated() {
    check(Store::Memory, memory::per_saga);
}

#[test]
fn sagas_on_postgres_write_no_more_than_is_stated() {
    let runtime = runtime();
    let server = runtime.block_on(postgres::start());
    check(Store::Postgres, |line| runtime.block_on(in_time(postgres::per_saga(&server, line))));
}

#[test]
fn sagas_on_sqlite_write_no_more_than_is_stated() {
    let runtime = runtime();
    check(Store::Sqlite, |line| runtime.block_on(in_time(sqlite::per_saga(line))));
}

async fn in_time<T>(measuring: impl Future<Output = T>) -> T {
    tokio::time::timeout(LINE_MAX, measuring).await.unwrap()
}

fn check(store: Store, per_saga: impl Fn(&Line) -> Vec<f64>) {
    let mut faults = Vec::new();
    for line in LINES.iter().filter(|line| line.store == store) {
        let measured = per_saga(line);
        eprintln!("{}", line.renewed(&measured));
        faults.extend(line.faults(&measured));
    }
    assert!(faults.is_empty(), "\n\n{}\n\n{ADVICE}\n", faults.join("\n"));
}

/// One thread for all, so that one run is like the other.
fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap()
}
