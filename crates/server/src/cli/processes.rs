//! Commands of the demo and the bench that this binary starts for itself, and the bench.

use amends_demo::{
    BenchOptions, BenchParticipantOptions, LoadOptions, ParticipantOptions, StandInOptions,
};

use super::screen::Screen;
use crate::failure::Failure;

/// A participant of the demo, until its input ends. It writes its own first line.
pub(crate) async fn demo_participant(options: ParticipantOptions) -> Result<(), Failure> {
    amends_demo::serve_participant(options).await.map_err(|error| failure(&error))
}

/// The idle participant of the bench, until its input ends.
pub(crate) async fn bench_participant(options: BenchParticipantOptions) -> Result<(), Failure> {
    amends_demo::bench_participant(options).await.map_err(|error| failure(&error))
}

/// The stand-in for a coordinator of the bench, until its input ends.
pub(crate) async fn bench_stand_in(options: StandInOptions) -> Result<(), Failure> {
    amends_demo::bench_stand_in(options).await.map_err(|error| failure(&error))
}

/// The load generator of the bench: one line of JSON.
pub(crate) async fn bench_load(options: LoadOptions, screen: &mut Screen) -> Result<(), Failure> {
    let result = amends_demo::bench_load(options).await.map_err(|error| failure(&error))?;
    screen.line(&result.to_string())
}

/// The bench.
pub(crate) async fn bench(options: BenchOptions, screen: &mut Screen) -> Result<(), Failure> {
    let svg = options.svg.clone();
    let report = amends_demo::bench(options).await.map_err(|error| failure(&error))?;
    let broken = |error: &dyn std::fmt::Display| Failure::Demo(format!("the report: {error}"));
    if screen.is_json() {
        screen.line(&report.to_json().map_err(|error| broken(&error))?)?;
    } else {
        screen.line(&report.to_string())?;
    }
    let Some(path) = svg else { return Ok(()) };
    let chart = report.to_svg().map_err(|error| broken(&error))?;
    std::fs::write(&path, chart)
        .map_err(|error| Failure::Demo(format!("cannot write {}: {error}", path.display())))
}

fn failure(error: &anyhow::Error) -> Failure {
    Failure::Demo(format!("{error:#}"))
}
