//! `amends demo` as a newcomer runs it: the real binary, three participants, balanced books.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "test code")]

use std::process::Stdio;
use std::time::Duration;

use amends_testbed::{Postgres, PostgresOptions};
use amends_tests::amends;
use tokio::process::Command;

/// Longest run of one demo: what it takes on two busy cores is a tenth of it.
const RUN_MAX: Duration = Duration::from_mins(3);

#[tokio::test]
async fn the_books_balance_on_the_embedded_database() {
    let (succeeded, output) = demo(&["--seed", "21"]).await;
    check(succeeded, &output);
}

#[tokio::test]
async fn the_books_balance_on_postgres() {
    let options = PostgresOptions { durable: true, ..PostgresOptions::default() };
    let postgres = Postgres::start_with(options).await.unwrap();
    let (succeeded, output) = demo(&["--seed", "22", "--database", &postgres.url()]).await;
    check(succeeded, &output);
    // Not on the embedded one by mistake.
    let sagas = postgres.psql("amends", "SELECT count(*) FROM saga").await.unwrap();
    assert_eq!(sagas.trim(), "300");
}

#[tokio::test]
async fn a_database_that_is_away_ends_the_demo_with_advice() {
    let (succeeded, output) = demo(&["--database", "postgres://nobody@127.0.0.1:1/none"]).await;
    assert!(!succeeded, "{output}");
    assert!(output.contains("postgres://nobody@127.0.0.1:1/none"), "{output}");
    assert!(!output.contains("books balance"), "{output}");
}

/// Runs 300 sagas; whether it says that all is well, and what it wrote.
async fn demo(arguments: &[&str]) -> (bool, String) {
    let folder = tempfile::tempdir().unwrap();
    let run = Command::new(amends().unwrap())
        .args(["demo", "--sagas", "300", "--exit", "--listen", "127.0.0.1:0"])
        .args(arguments)
        .current_dir(folder.path())
        .env_clear()
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .output();
    let output = tokio::time::timeout(RUN_MAX, run).await.expect("the demo hangs").unwrap();
    let [out, err] = [output.stdout, output.stderr].map(|text| String::from_utf8(text).unwrap());
    (output.status.success(), format!("{err}\n{out}"))
}

fn check(succeeded: bool, output: &str) {
    assert!(succeeded, "{output}");
    let last = output.lines().last().unwrap();
    let words: Vec<&str> = last.split([' ', ',']).filter(|word| !word.is_empty()).collect();
    let [
        "demo:",
        "300",
        "sagas",
        completed,
        "completed",
        undone,
        "undone",
        "0",
        "open",
        "books",
        "balance",
    ] = words[..]
    else {
        panic!("{output}");
    };
    let [completed, undone]: [u32; 2] = [completed, undone].map(|number| number.parse().unwrap());
    assert!(completed > 0 && undone > 0 && completed + undone == 300, "{output}");
}
