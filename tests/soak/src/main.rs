//! `amends-soak --seconds 600`: keeps a server with small bounds at them and just above them, and
//! fails when its memory or its file descriptors grow, when it answers with a 5xx that nobody
//! designed, or when it does not say in time whether it is ready.

#![expect(clippy::print_stdout, reason = "a command line")]

mod bounds;
mod load;
mod participant;
mod raw;
mod sample;
mod tally;
mod watch;

use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use amends_tests::{Server, ServerOptions, until};
use clap::Parser;
use serde_json::json;

use crate::load::Load;
use crate::sample::Samples;
use crate::tally::Tally;

/// Longest wait for the sagas of the load to end, and for the server to leave.
const CALM_MAX: Duration = Duration::from_mins(2);

/// Lines of the server's log that are shown when something is wrong.
const LOG_LINES: usize = 30;

/// A soak at the edge of every bound.
#[derive(Debug, Parser)]
struct Arguments {
    /// How long: the first quarter, in which memory still grows, needs more than a minute.
    #[arg(long, default_value_t = 600, value_parser = clap::value_parser!(u64).range(300..))]
    seconds: u64,
}

#[tokio::main]
async fn main() -> anyhow::Result<ExitCode> {
    let Arguments { seconds } = Arguments::parse();
    let settings = bounds::SETTINGS.to_vec();
    let mut server = Server::start(ServerOptions { settings, ..Default::default() }).await?;
    println!("soak: {seconds} s against {}", server.url());
    let tally = Arc::new(Tally::default());
    let mut load = Load::start(&server.url(), Arc::clone(&tally)).await?;
    let samples = tokio::select! {
        samples = watch::watch(&server, &tally, Duration::from_secs(seconds)) => samples?,
        // Returning here ends the server, too.
        _ = tokio::signal::ctrl_c() => anyhow::bail!("it was asked to leave"),
    };
    load.stop().await;

    let mut wrong = samples.judge();
    wrong.extend(tally.wrong());
    wrong.extend(calm(&mut server).await.err().map(|error| format!("{error:#}")));
    let bad = server.log().lines().find(|line| line.contains("panicked")).map(str::to_owned);
    wrong.extend(bad.map(|line| format!("its log says: {line}")));

    println!("{tally}");
    for what in &wrong {
        println!("wrong: {what}");
    }
    if !wrong.is_empty() {
        let log = server.log();
        let skipped = log.lines().count().saturating_sub(LOG_LINES);
        log.lines().skip(skipped).for_each(|line| println!("log: {line}"));
    }
    println!("{}", summary(seconds, &tally, &samples));
    Ok(if wrong.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn summary(seconds: u64, tally: &Tally, samples: &Samples) -> String {
    let (memory, files) = (samples.memory_mib(), samples.files());
    format!(
        "soak: {seconds} seconds, {} requests, rss {:.1} -> {:.1} MiB, fds {} -> {}",
        tally.requests(),
        memory.0,
        memory.1,
        files.0,
        files.1
    )
}

/// Without the load all sagas end or are given up, are forgotten, and the server leaves when it is
/// asked to.
async fn calm(server: &mut Server) -> anyhow::Result<()> {
    let client = server.client()?;
    let is_empty = async || {
        for (status, command) in [("running", "cancel"), ("suspended", "abandon")] {
            let path = format!("/v1/sagas?limit=500&status={status}");
            let page = client.get(&path).await.ok()?.body;
            for id in page["sagas"].as_array()?.iter().filter_map(|row| row["id"].as_str()) {
                let path = format!("/v1/sagas/{id}/{command}");
                client.post(&path, &json!({})).await.ok()?;
            }
        }
        let counts = client.get("/v1/sagas/counts").await.ok()?.body;
        let mut all = counts["counts"].as_object()?.values();
        all.all(|count| *count == 0).then_some(())
    };
    if let Err(error) = until("all sagas to end and be forgotten", CALM_MAX, is_empty).await {
        let left = client.get("/v1/sagas?limit=3").await?.text;
        return Err(error.context(left));
    }
    server.signal("TERM")?;
    let status = server.wait(CALM_MAX).await?;
    anyhow::ensure!(status.success(), "the server ended with {status}");
    Ok(())
}
