//! The driver of scenarios: the one that was asked for, on each store.

use std::path::Path;

use anyhow::Context as _;

use super::super::run::{cores, say};
use super::super::{BenchOptions, BenchReport, Case, StoreKind};
use super::options::Scenario;
use super::scene::Scene;
use super::{coordinators, finished, hanging, takeover, waiting};

/// Sagas in flight where nothing else is asked for.
const IN_FLIGHT: u32 = 64;

/// Runs a scenario on each store that was asked for.
///
/// # Errors
///
/// The options don't fit it, something can't be started, or a saga goes astray.
pub(in super::super) async fn run(
    exe: &Path,
    options: &BenchOptions,
    scenario: Scenario,
) -> anyhow::Result<BenchReport> {
    let case = match options.cases.as_slice() {
        [] => Case::CHAIN3,
        [case] => *case,
        _ => anyhow::bail!("a scenario runs one case: name one by --case"),
    };
    let in_flight = match options.in_flight.as_slice() {
        [] => IN_FLIGHT,
        [in_flight] => *in_flight,
        _ => anyhow::bail!("a scenario runs at one number in flight: name one by --in-flight"),
    };
    let mut scenarios = Vec::new();
    for store in stores(options, scenario)? {
        say(&format!("{}: starting what is needed", store.name()));
        let scene = Scene { exe, options, store, case, in_flight };
        let findings = match scenario {
            Scenario::Finished { sagas, has_lists } => {
                Box::pin(finished::run(scene, sagas, has_lists)).await
            }
            Scenario::Waiting(sagas) => Box::pin(waiting::run(scene, sagas)).await,
            Scenario::Takeover(sagas) => Box::pin(takeover::run(scene, sagas)).await,
            Scenario::Coordinators(count) => Box::pin(coordinators::run(scene, count)).await,
            Scenario::Hanging => Box::pin(hanging::run(scene)).await,
        };
        let findings =
            findings.with_context(|| format!("{} on {}", scenario.name(), store.name()))?;
        findings.lines().for_each(say);
        scenarios.push(findings);
    }
    Ok(BenchReport { cores: cores(), rows: Vec::new(), parts: Vec::new(), scenarios })
}

/// On which stores a scenario is run.
fn stores(options: &BenchOptions, scenario: Scenario) -> anyhow::Result<Vec<StoreKind>> {
    let asked = options.stores.as_slice();
    if !matches!(scenario, Scenario::Coordinators(_)) {
        return Ok(options.stores());
    }
    anyhow::ensure!(
        !asked.contains(&StoreKind::Sqlite),
        "--coordinators needs --store postgres: the embedded store belongs to one coordinator"
    );
    Ok(vec![StoreKind::Postgres])
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;

    use super::*;

    #[derive(clap::Parser)]
    struct Cli {
        #[command(flatten)]
        bench: BenchOptions,
    }

    fn read(line: &str) -> Result<BenchOptions, String> {
        let words = std::iter::once("bench").chain(line.split_whitespace());
        Cli::try_parse_from(words).map(|cli| cli.bench).map_err(|error| error.to_string())
    }

    #[test]
    fn one_scenario_is_chosen_and_what_does_not_go_with_it_is_refused() {
        let options = read("--finished 1000 --lists --store sqlite --case tcc3").unwrap();
        let expected = Scenario::Finished { sagas: 1_000, has_lists: true };
        assert_eq!(options.scenario.chosen(), Some(expected));
        assert_eq!(read("").unwrap().scenario.chosen(), None);
        for (line, why) in [
            ("--finished 1000 --waiting 30", "cannot be used with"),
            ("--lists", "--finished"),
            ("--hanging --address 127.0.0.1:7411", "cannot be used with"),
            ("--coordinators 2 --svg a.svg", "cannot be used with"),
            ("--takeover 100 --case chain1", "cannot be used with"),
            ("--takeover 100 --seconds 3", "cannot be used with"),
            ("--hanging --case chain1", "cannot be used with"),
            ("--coordinators 17", "17"),
        ] {
            let error = read(line).unwrap_err();
            assert!(error.contains(why), "{line}: {error}");
        }
    }

    #[tokio::test]
    async fn what_only_the_scenario_can_tell_is_refused_before_anything_starts() {
        for (line, why) in [
            ("--finished 100 --case chain1,chain3", "one case"),
            ("--finished 100 --in-flight 1,2", "one number in flight"),
            ("--coordinators 2 --store sqlite", "--store postgres"),
        ] {
            let options = read(line).unwrap();
            let scenario = options.scenario.chosen().unwrap();
            let error = run(Path::new("/nonexistent"), &options, scenario).await.unwrap_err();
            assert!(error.to_string().contains(why), "{line}: {error:#}");
        }
    }
}
