//! A hundred bad inputs against the real server: each has its exact answer, and leaves the server
//! alive, at its size, and without a saga that nobody started.
//!
//! Where one request is the input, a [`row`] says it all; where it takes a story (a slow client, a
//! participant that misbehaves, a database that is away), a [`scenario`] tells it. What the server
//! does not have yet, and so cannot get wrong, stands in [`absent`].

#![allow(clippy::unwrap_used, missing_docs, reason = "test code")]

mod absent;
mod answer_cases;
mod body_rows;
mod browser_rows;
mod callbacks;
mod commands;
mod connections;
mod console;
mod database;
mod definition_rows;
mod exchange;
mod expressions;
mod names;
mod place_rows;
#[expect(dead_code, reason = "the store's own tests use more of it")]
#[path = "../../../crates/store/tests/proxy/mod.rs"]
mod proxy;
mod query_rows;
mod raw_participant;
mod refused_starts;
mod repetition;
mod row;
mod scenario;
mod shown;
mod stage;
mod start_rows;
mod target_rows;
mod tls_participant;

use std::collections::BTreeMap;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;

use futures_util::FutureExt as _;
use futures_util::future::join_all;
use row::Row;
use scenario::Scenario;
use stage::Stage;

/// What the server may have grown by when all is over, in KiB. One body of each connection of the
/// tests is less than half of it; a body that is kept for ever would not be the only one.
const GROWTH_KIB_MAX: u64 = 64 * 1024;

#[tokio::test(flavor = "multi_thread")]
async fn every_bad_input_has_its_answer_and_leaves_nothing_behind() {
    let stage = Arc::new(Stage::start().await.unwrap());
    let before = stage.server.memory_kib().unwrap();

    let mut wrong = Vec::new();
    for row in rows() {
        if let Err(error) = row.check(&stage.address()).await {
            wrong.push(format!("{}: {} {error:#}", row.line, row.input));
        }
    }
    wrong.extend(target_rows::check().await.unwrap());
    wrong.extend(play(&stage).await);
    assert!(wrong.is_empty(), "{} wrong answers:\n{}", wrong.len(), wrong.join("\n"));

    stage.check_unharmed().await.unwrap();
    let after = stage.server.memory_kib().unwrap();
    assert!(after < before + GROWTH_KIB_MAX, "grown from {before} KiB to {after} KiB");
}

/// Runs all scenarios beside each other; what went wrong.
async fn play(stage: &Arc<Stage>) -> Vec<String> {
    let scenarios = scenarios()
        .into_iter()
        .map(|own| (format!("{}: {}", own.line, own.input), (own.run)(Arc::clone(stage))));
    let cases = answer_cases::cases()
        .into_iter()
        .map(|own| (format!("{}: {}", own.line, own.input), own.run(Arc::clone(stage))));
    let plays = scenarios.chain(cases).map(async |(name, run)| {
        let why = match AssertUnwindSafe(run).catch_unwind().await {
            Ok(Ok(())) => return None,
            Ok(Err(error)) => format!("{error:#}"),
            Err(_) => "it panicked, see above".to_owned(),
        };
        Some(format!("{name}: {why}"))
    });
    join_all(plays).await.into_iter().flatten().collect()
}

fn rows() -> Vec<Row> {
    [
        body_rows::rows(),
        place_rows::rows(),
        start_rows::rows(),
        definition_rows::rows(),
        query_rows::rows(),
        browser_rows::rows(),
        console::rows(),
    ]
    .into_iter()
    .flatten()
    .collect()
}

fn scenarios() -> Vec<Scenario> {
    [
        connections::SCENARIOS,
        repetition::SCENARIOS,
        refused_starts::SCENARIOS,
        database::SCENARIOS,
        expressions::SCENARIOS,
        names::SCENARIOS,
        callbacks::SCENARIOS,
        commands::SCENARIOS,
        shown::SCENARIOS,
        console::SCENARIOS,
    ]
    .into_iter()
    .flatten()
    .copied()
    .collect()
}

#[test]
fn every_line_of_the_list_is_here_once() {
    let mut found: BTreeMap<u8, Vec<&str>> = BTreeMap::new();
    for row in rows().into_iter().chain(target_rows::rows("127.0.0.1:1")) {
        found.entry(row.line).or_default().push("cases");
    }
    for scenario in scenarios() {
        assert!(!scenario.answer.is_empty(), "{} does not say its answer", scenario.line);
        found.entry(scenario.line).or_default().push("cases");
    }
    for case in answer_cases::cases() {
        found.entry(case.line).or_default().push("cases");
    }
    for (line, why) in absent::ABSENT {
        assert!(why.len() > 20, "{line} does not say why");
        found.entry(*line).or_default().push("absent");
    }
    for kinds in found.values_mut() {
        kinds.dedup();
    }
    let missing: Vec<u8> = (1..=100).filter(|line| !found.contains_key(line)).collect();
    assert!(missing.is_empty(), "nothing stands here for {missing:?}");
    let strange: Vec<_> =
        found.iter().filter(|(line, kinds)| kinds.len() > 1 || **line > 100).collect();
    assert!(strange.is_empty(), "with cases and absent, or not of the list: {strange:?}");
}
