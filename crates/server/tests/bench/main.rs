//! `amends bench` from end to end, short and without a word about speed: what it says, in which
//! form, and that nothing of it stays.

#![allow(clippy::unwrap_used, clippy::panic, reason = "test code")]

mod scenarios;

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::time::Duration;

use amends_testbed::{Child, free_port};
use serde_json::Value;

/// Longest run: what it takes on two busy cores is a fraction of it.
const RUN_MAX: Duration = Duration::from_mins(3);
/// As little as there is to run.
const LITTLE: [&str; 6] = ["--in-flight", "2", "--seconds", "1", "--warm-up-seconds", "0"];

fn bench(folder: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_amends"));
    command.arg("bench").args(arguments).current_dir(folder);
    // Where PostgreSQL's programs are found; and files that are left would be seen.
    command.env_clear().envs(std::env::vars().filter(|(name, _)| name == "PATH"));
    command.env("TMPDIR", folder).stdin(Stdio::null());
    command
}

async fn run(folder: &Path, arguments: &[&str]) -> Output {
    run_all(folder, &[arguments, &LITTLE].concat()).await
}

async fn run_all(folder: &Path, arguments: &[&str]) -> Output {
    let mut command = tokio::process::Command::from(bench(folder, arguments));
    command.kill_on_drop(true);
    tokio::time::timeout(RUN_MAX, command.output()).await.unwrap().unwrap()
}

fn text(bytes: Vec<u8>) -> String {
    String::from_utf8(bytes).unwrap()
}

/// Whether a line is `bench: CASE STORE 2 in flight: S sagas/s, p50 A ms, p99 B ms, R of the limit`.
fn assert_line(line: &str, case_and_store: &str) {
    let rest = line.strip_prefix(&format!("bench: {case_and_store} 2 in flight: "));
    let parts: Vec<&str> = rest.unwrap_or_else(|| panic!("{line}")).split(", ").collect();
    let numbers = [(" sagas/s", ""), (" ms", "p50 "), (" ms", "p99 "), (" of the limit", "")];
    assert_eq!(parts.len(), numbers.len(), "{line}");
    for (part, (after, before)) in parts.into_iter().zip(numbers) {
        let number = part.strip_suffix(after).and_then(|part| part.strip_prefix(before));
        assert!(number.unwrap().parse::<f64>().unwrap() >= 0.0, "{line}");
    }
}

fn assert_positive(value: &Value, pointers: &[&str]) {
    for pointer in pointers {
        let number = value.pointer(pointer).and_then(Value::as_f64);
        assert!(number.is_some_and(|number| number > 0.0), "{pointer} of {value:#}");
    }
}

#[tokio::test]
async fn both_stores_are_measured_and_nothing_is_left() {
    let folder = tempfile::tempdir().unwrap();
    let cases = ["--store", "postgres,sqlite", "--case", "chain1,undo3-hot-1k-follow"];
    let svg = ["--json", "--svg", "chart.svg"];
    let output = run(folder.path(), &[&cases[..], &svg].concat()).await;
    let (out, err) = (text(output.stdout), text(output.stderr));
    assert!(output.status.success(), "{err}");

    let lines: Vec<&str> = err.lines().filter(|line| line.starts_with("bench: ")).collect();
    let runs = ["chain1 postgres", "undo3-hot-1k-follow postgres", "chain1 sqlite"];
    let runs = runs.into_iter().chain(["undo3-hot-1k-follow sqlite"]);
    lines.iter().zip(runs).for_each(|(line, run)| assert_line(line, run));
    assert_eq!(lines.len(), 4, "{err}");

    let report: Value = serde_json::from_str(&out).unwrap();
    let rows = report["rows"].as_array().unwrap();
    assert_eq!(rows.len(), 4);
    for row in rows {
        let figures =
            ["/sagas_per_second", "/of_limit", "/limit/sagas_per_second", "/load/p999_ms"];
        assert_positive(row, &figures);
        let costs = ["/costs/coordinator/memory_peak_bytes", "/costs/load/memory_bytes"];
        assert_positive(row, &costs);
        assert_positive(row, &["/written_per_saga/commits", "/written_per_saga/rows"]);
        assert_eq!(row["load"]["errors"], 0, "{row:#}");
        assert_eq!(row["limit"]["is_stored"], true);
    }
    assert_positive(&rows[0], &["/costs/database/memory_bytes", "/written_per_saga/bytes"]);
    assert!(rows[2]["costs"].get("database").is_none());
    for parts in report["parts"].as_array().unwrap() {
        let store = ["/commits_per_second", "/rows_by_100_per_second", "/rows_by_1000_per_second"];
        assert_positive(parts, &store);
        assert_positive(parts, &["/calls_per_second", "/unstored_sagas_per_second"]);
    }

    let chart = fs::read_to_string(folder.path().join("chart.svg")).unwrap();
    let chart = roxmltree::Document::parse(&chart).unwrap();
    let bars = chart.descendants().filter(|node| node.attribute("class") == Some("own"));
    assert_eq!(bars.count(), 4);
    fs::remove_file(folder.path().join("chart.svg")).unwrap();
    assert_left_nothing(folder.path());
}

#[tokio::test]
async fn a_server_that_is_there_is_driven_and_goes_on() {
    let folder = tempfile::tempdir().unwrap();
    let address = format!("127.0.0.1:{}", free_port().unwrap());
    let mut serve = Command::new(env!("CARGO_BIN_EXE_amends"));
    serve.args(["serve", "--listen", &address, "--data-dir", "data"]);
    serve.env_clear().current_dir(folder.path()).stdin(Stdio::null()).stdout(Stdio::piped());
    let mut server = Child::spawn(&mut serve).unwrap();
    let mut said = String::new();
    // Kept open, since the server says more, and ends when nobody can hear it.
    let mut stdout = BufReader::new(server.take_stdout().unwrap());
    stdout.read_line(&mut said).unwrap();
    assert!(said.contains(&address), "{said}");

    let temporary = tempfile::tempdir().unwrap();
    let there = ["--address", &address, "--case", "tcc3-spread", "--header", "Amends-Actor: me"];
    let output = run(temporary.path(), &there).await;
    let (out, err) = (text(output.stdout), text(output.stderr));
    assert!(output.status.success(), "{err}");
    assert_line(out.lines().last().unwrap(), "tcc3-spread server");
    assert!(server.exit_status().unwrap().is_none(), "it was not ours to end");
    assert_left_nothing(temporary.path());
}

#[tokio::test]
async fn a_server_that_is_away_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let address = format!("127.0.0.1:{}", free_port().unwrap());
    let output = run(folder.path(), &["--address", &address]).await;
    assert_eq!(output.status.code(), Some(1));
    assert!(text(output.stderr).contains(&address));
    assert_left_nothing(folder.path());
}

#[tokio::test]
async fn an_interrupted_run_leaves_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let mut command = bench(folder.path(), &["--store", "postgres", "--seconds", "600"]);
    let mut bench = Child::spawn(command.stdout(Stdio::null()).stderr(Stdio::null())).unwrap();
    let pids = tokio::time::timeout(RUN_MAX, async {
        loop {
            // PostgreSQL, the coordinator, the participant, two stand-ins, and the load by now.
            let pids = children_of(bench.id());
            if pids.len() >= 6 {
                return pids;
            }
            assert!(bench.exit_status().unwrap().is_none(), "it ended by itself");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    });
    let pids = pids.await.unwrap();
    bench.signal("INT").unwrap();
    let status = bench.wait(Duration::from_mins(1)).await.unwrap();
    assert_eq!(status.code(), Some(1));
    for pid in pids {
        // One that nobody has buried yet is dead all the same.
        let state = state_and_parent(&pid).map(|(state, _)| state);
        assert!(state.is_none_or(|state| state == "Z"), "{pid} still runs");
    }
    assert_left_nothing(folder.path());
}

fn assert_left_nothing(folder: &Path) {
    let left: Vec<_> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    assert!(left.is_empty(), "{left:?}");
}

fn children_of(parent: u32) -> Vec<String> {
    let names = fs::read_dir("/proc").unwrap().map(|entry| entry.unwrap().file_name());
    let ids = names.filter_map(|name| name.into_string().ok());
    ids.filter(|id| state_and_parent(id).is_some_and(|(_, own)| own == parent)).collect()
}

/// See proc(5); none of a process that is gone.
fn state_and_parent(id: &str) -> Option<(String, u32)> {
    let stat = fs::read_to_string(format!("/proc/{id}/stat")).ok()?;
    let (_, rest) = stat.rsplit_once(')')?;
    let mut words = rest.split_whitespace();
    Some((words.next()?.to_owned(), words.next()?.parse().ok()?))
}
