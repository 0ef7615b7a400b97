//! The fuzz targets under proptest: sound documents that were changed, random JSON, random text,
//! random bytes, deep nesting, journals of real runs.
//!
//! `PROPTEST_CASES=200000 cargo test -p amends-fuzz --release` looks for longer.

#![allow(clippy::unwrap_used, clippy::panic, reason = "test code")]

mod change;

use std::time::{Duration, Instant};

use amends_fuzz::{TARGETS, Target, definitions, documents, journal_of};
use proptest::prelude::*;
use proptest::test_runner::{Config, TestError, TestRunner};

use crate::change::{changed_json, changed_text, value};

/// Longest time for one input. Whole milliseconds are usual; the rest is for machines that are busy.
const INPUT_MAX: Duration = Duration::from_secs(10);

/// Cases of each property where `PROPTEST_CASES` does not say.
const CASES: u32 = 3000;

#[expect(clippy::disallowed_methods, reason = "the time that an input really takes")]
fn run(name: &str, input: &[u8]) {
    let target: Target = TARGETS.iter().find(|(own, _)| *own == name).unwrap().1;
    let start = Instant::now();
    target(input);
    assert!(
        start.elapsed() < INPUT_MAX,
        "{:?} for {:?}",
        start.elapsed(),
        String::from_utf8_lossy(input)
    );
}

fn config(cases: u32) -> Config {
    let cases = std::env::var("PROPTEST_CASES").map_or(cases, |text| text.parse().unwrap());
    // What was found is kept in `corpus`, for cargo-fuzz too.
    Config { cases, failure_persistence: None, ..Config::default() }
}

/// Runs a target over inputs of every kind.
fn hunt(name: &'static str, cases: u32) {
    let sound = documents(name);
    // The first byte of a request names its route.
    let head = usize::from(name == "request");
    let input = prop_oneof![
        3 => changed_text(sound.clone()),
        4 => changed_json(sound, head),
        2 => (any::<u8>(), value()).prop_map(move |(first, value)| {
            [&[first % 17 + b'a'][..head], value.to_string().as_bytes()].concat()
        }),
        1 => prop::collection::vec(any::<u8>(), 0..200),
        1 => (0..3_usize, 1..20_000_usize).prop_map(move |(kind, depth)| {
            let open = ["[", "{\"a\":", "((${not "][kind];
            [&b"a"[..head], open.repeat(depth).as_bytes()].concat()
        }),
    ];
    let found = TestRunner::new(config(cases)).run(&input, |input| {
        run(name, &input);
        Ok(())
    });
    report(found);
}

/// Shows what was found as text, too.
fn report(found: Result<(), TestError<Vec<u8>>>) {
    match found {
        Ok(()) => {}
        Err(TestError::Fail(why, input)) => {
            panic!("{why}\nfor {:?}\nwhich is {input:?}", String::from_utf8_lossy(&input))
        }
        Err(TestError::Abort(why)) => panic!("{why}"),
    }
}

#[test]
fn branches_are_read_or_refused() {
    hunt("branch", CASES);
}

#[test]
fn definitions_are_read_or_refused() {
    hunt("definition", CASES / 2);
}

#[test]
fn expressions_are_evaluated_or_refused() {
    hunt("expression", CASES);
}

#[test]
fn journals_are_folded_or_refused() {
    hunt("journal", CASES / 3);
}

#[test]
fn participants_are_read_or_refused() {
    hunt("participant", CASES);
}

#[test]
fn requests_are_answered_as_documented() {
    hunt("request", CASES);
}

#[test]
fn words_are_read_or_refused() {
    hunt("word", CASES);
}

/// Facts of sagas that were really run, then changed: other numbers, other order, facts left out.
#[test]
fn journals_of_real_runs_are_folded_however_they_are_damaged() {
    let kinds = definitions().len();
    let life = (0..kinds, prop::collection::vec(any::<u8>(), 0..60));
    let input = (life, change::edits()).prop_map(|((kind, choices), edits)| {
        let records = journal_of(definitions()[kind].clone(), &choices);
        change::json(&serde_json::to_string(&records).unwrap(), &edits)
    });
    let found = TestRunner::new(config(CASES)).run(&input, |input| {
        run("journal", &input);
        Ok(())
    });
    report(found);
}

/// The generators are only worth something if sound inputs stay among what they make.
#[test]
fn sound_documents_are_read() {
    for (name, _) in TARGETS {
        let sound = documents(name);
        assert!(!sound.is_empty(), "{name}");
        for text in sound {
            run(name, text.as_bytes());
        }
    }
}

/// Every input that ever broke something, in `corpus/TARGET`.
#[test]
fn what_was_found_once_stays_mended() {
    let corpus = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus");
    for (name, _) in TARGETS {
        let Ok(entries) = std::fs::read_dir(corpus.join(name)) else { continue };
        for entry in entries {
            run(name, &std::fs::read(entry.unwrap().path()).unwrap());
        }
    }
}
