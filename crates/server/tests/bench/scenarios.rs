//! Scenarios of `amends bench` with few sagas: that each does what it says and comes to figures.

use serde_json::Value;

use super::{assert_left_nothing, run_all, text};

/// As little load as there is.
const LITTLE: [&str; 6] = ["--in-flight", "4", "--seconds", "1", "--warm-up-seconds", "0"];

/// Runs a scenario; what it found on each store.
async fn findings(arguments: &str, load: &[&str]) -> Vec<Value> {
    let folder = tempfile::tempdir().unwrap();
    let words: Vec<&str> = arguments.split_whitespace().chain(["--json"]).collect();
    let output = run_all(folder.path(), &[&words, load].concat()).await;
    let (out, err) = (text(output.stdout), text(output.stderr));
    assert!(output.status.success(), "{err}");
    assert_left_nothing(folder.path());
    let report: Value = serde_json::from_str(&out).unwrap();
    let scenarios = report["scenarios"].as_array().unwrap().clone();
    for line in scenarios.iter().flat_map(|found| found["lines"].as_array().unwrap()) {
        let line = line.as_str().unwrap();
        assert!(line.starts_with("bench: ") && line.contains("(target "), "{line}");
        assert!(err.lines().any(|said| said == line), "{line} is not said: {err}");
    }
    scenarios
}

/// The row of this name in some table.
fn row<'a>(found: &'a Value, name: &str) -> &'a Value {
    let tables = found["tables"].as_array().unwrap().iter();
    let mut rows = tables.flat_map(|table| table.as_array().unwrap());
    let is_it = |row: &&Value| row.as_object().unwrap().values().any(|cell| cell == name);
    rows.find(is_it).unwrap_or_else(|| panic!("no {name}: {found:#}"))
}

#[track_caller]
fn assert_between(value: &Value, least: f64, most: f64) {
    let number = value.as_f64().unwrap_or_else(|| panic!("no number: {value}"));
    assert!((least..=most).contains(&number), "{number} is not in {least} to {most}");
}

#[tokio::test]
async fn finished_sagas_are_filled_in_and_listed_on_both_stores() {
    let found = findings("--finished 400 --lists", &LITTLE).await;
    assert_eq!(found.len(), 2);
    for found in &found {
        let store = found["store"].as_str().unwrap();
        assert_eq!(row(found, store)["finished_sagas"], 400.0);
        let first = row(found, "no filter: first page");
        assert_eq!((&first["rows"], &first["times"]), (&50.0.into(), &30.0.into()));
        // A page back there has as many as are older: not a page from somewhere else.
        assert_between(&row(found, "no filter: far back page")["rows"], 10.0, 25.0);
        assert_between(&row(found, "status=abandoned: first page")["rows"], 5.0, 20.0);
        assert_eq!(row(found, "key=sku:none: first page")["rows"], 0.0);
        for filter in ["label=channel:web", "key=sku:sku-7", "q=ID", "definition=bench-order&DAY"] {
            assert!(row(found, &format!("{filter}: first page")).get("failed_with").is_none());
        }
        assert_between(&row(found, "q=ID: first page")["rows"], 1.0, 1.0);
        let ratio = row(found, "ratio of the middle round");
        assert_between(&ratio["sagas_per_second"], 0.1, 10.0);
        assert!(found["lines"][1].as_str().unwrap().contains("400 finished sagas"));
    }
}

#[tokio::test]
async fn sagas_wait_for_a_time_a_callback_and_a_key() {
    let found = findings("--waiting 300 --store postgres", &LITTLE).await;
    let waits = row(&found[0], "when all wait");
    // All have left memory: the third that waits for callbacks too.
    assert_eq!(waits["live_sagas"], 0.0);
    assert_between(&waits["memory_mib"], 1.0, 1_000.0);
    assert_eq!(row(&found[0], "3: all wait")["errors"], 0.0);
}

#[tokio::test]
async fn a_killed_coordinator_loses_no_saga_on_either_store() {
    let found = findings("--takeover 300", &[]).await;
    assert_eq!(found.len(), 2);
    for found in &found {
        let resumed = row(found, "from there until it has all sagas in memory");
        assert_between(&resumed["sagas_per_second"], 1.0, 1e9);
        assert!(found["lines"][0].as_str().unwrap().ends_with("none lost"));
    }
}

#[tokio::test]
async fn coordinators_share_the_work_and_hand_partitions_over() {
    let found = findings("--coordinators 2", &LITTLE).await;
    assert_eq!(found.len(), 1);
    assert_between(&row(&found[0], "1 of 2")["sagas"], 1.0, 1e9);
    assert_between(&row(&found[0], "2 of 2")["sagas"], 1.0, 1e9);
    for change in ["one more joins", "it leaves"] {
        let moved = row(&found[0], change);
        assert_eq!(moved["fair_share"], 22.0);
        assert_between(&moved["partitions_moved"], 20.0, 64.0);
    }
}

#[tokio::test]
async fn a_participant_that_hangs_is_answered_for_in_the_end() {
    let found = findings("--hanging --store sqlite", &LITTLE).await;
    let hangs = row(&found[0], "3: one of ten hangs");
    assert_eq!(hangs["errors"], 0.0);
    assert_between(&hangs["sagas_per_second"], 1.0, 1e9);
}
