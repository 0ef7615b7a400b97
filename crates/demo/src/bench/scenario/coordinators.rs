//! Several coordinators over one PostgreSQL: what they do together, how evenly, and what moves when
//! one joins or leaves.

use std::time::Duration;

use serde::Serialize;
use tokio::time::{Instant, sleep};

use super::super::run::say;
use super::super::stage::Stage;
use super::findings::{Findings, Sheet};
use super::scene::{Scene, until};
use super::turns::{ROUNDS, Turns};

/// Longest time until all coordinators have their shares.
const SHARE_MAX: Duration = Duration::from_mins(1);
/// What moves back and forth would be seen after so long.
const SETTLE: Duration = Duration::from_secs(3);
/// Most partitions of a coordinator that lives, how many such there are, how many partitions there
/// are, and how many of them are free.
const SHARES: &str = "
SELECT max(n), count(*), (SELECT count(*) FROM partition_lease), (SELECT count(*) FROM partition_lease WHERE owner IS NULL)
FROM (SELECT count(l.partition) AS n FROM coordinator c
      LEFT JOIN partition_lease l ON l.owner = c.coordinator_id
      WHERE c.expires_at > now() GROUP BY c.coordinator_id) s";
/// All partitions, and how often one was taken.
const TAKEN: &str = "SELECT count(*), coalesce(sum(epoch), 0)::bigint FROM partition_lease";

pub(super) async fn run(scene: Scene<'_>, count: u32) -> anyhow::Result<Findings> {
    let one = scene.stage(Vec::new(), Vec::new(), 1).await?;
    let mut several = scene.stage(Vec::new(), Vec::new(), usize::try_from(count)?).await?;
    let one_at = [one.address()?];
    let several_at = several.crew()?.addresses();
    until_shared(&several, count).await?;
    let before = ended(&several, &several_at).await?;
    let mut turns = Turns::default();
    for round in 1..=ROUNDS {
        say(&format!("round {round} of {ROUNDS}"));
        turns.without.push(scene.measure(&one_at, None).await?);
        turns.with.push(scene.measure(&several_at, None).await?);
    }
    let after = ended(&several, &several_at).await?;
    let shares = shares(&before, &after);
    let uneven = shares.iter().map(|(_, off)| off.abs()).fold(0.0, f64::max);

    say("one joins, then leaves");
    let joins = hand_over(&mut several, count + 1, Change::Join).await?;
    let leaves = hand_over(&mut several, count, Change::Leave).await?;

    let mut findings = Findings::new("coordinators", scene.store);
    let mut work = Sheet::new(&["coordinator", "sagas", "off_even_percent"]);
    for (number, (sagas, off)) in (1..).zip(&shares) {
        work.add(format!("{number} of {count}"), &[Some(*sagas), Some(off * 100.0)]);
    }
    let mut moves = Sheet::new(&["hand_over", "partitions_moved", "fair_share", "seconds"]);
    for (name, moved) in [("one more joins", joins), ("it leaves", leaves)] {
        moves.add(name, &[Some(moved.partitions), Some(moved.fair), Some(moved.seconds)]);
    }
    findings.tables.extend([turns.sheet("one", &format!("{count} together")), work, moves]);
    findings.conclude(
        "coordinators",
        &format!(
            "{count} together {:.0} sagas/s, one {:.0}, ratio {:.2} (target at least 0.85), shares within {:.0} % of even (target 20 %), moved {:.0} partitions at a join and {:.0} at a leave (target at most {:.0} and {:.0})",
            turns.speed_with(),
            turns.speed_without(),
            turns.speed_ratio(),
            uneven * 100.0,
            joins.partitions,
            leaves.partitions,
            joins.fair,
            leaves.fair,
        ),
    );
    Ok(findings)
}

/// Sagas that each has ended.
async fn ended(stage: &Stage, addresses: &[String]) -> anyhow::Result<Vec<f64>> {
    let mut all = Vec::new();
    for address in addresses {
        all.push(stage.metric(address, "amends_saga_finished_total").await?);
    }
    Ok(all)
}

/// What each has ended in between, and how far that is from even, as a part of that.
fn shares(before: &[f64], after: &[f64]) -> Vec<(f64, f64)> {
    let sagas: Vec<f64> = before.iter().zip(after).map(|(before, after)| after - before).collect();
    let parts = f64::from(u32::try_from(sagas.len()).unwrap_or(u32::MAX));
    let even = sagas.iter().sum::<f64>() / parts;
    sagas.into_iter().map(|own| (own, own / even - 1.0)).collect()
}

/// What happens to a crew.
#[derive(Clone, Copy, Debug)]
enum Change {
    Join,
    Leave,
}

#[derive(Clone, Copy, Debug, Serialize)]
struct Moved {
    partitions: f64,
    /// As many as the one that joins or leaves has in the end or at the start, at most.
    fair: f64,
    seconds: f64,
}

/// Lets one join or leave; what moves until `count` have their shares.
async fn hand_over(stage: &mut Stage, count: u32, change: Change) -> anyhow::Result<Moved> {
    let (partitions, before) = taken(stage).await?;
    let begin = Instant::now();
    let largest = match change {
        Change::Join => {
            stage.crew()?.join().await?;
            count
        }
        Change::Leave => {
            stage.crew()?.leave().await?;
            count + 1
        }
    };
    until_shared(stage, count).await?;
    let seconds = begin.elapsed().as_secs_f64();
    sleep(SETTLE).await;
    let (_, after) = taken(stage).await?;
    let fair = (partitions / f64::from(largest)).ceil();
    Ok(Moved { partitions: after - before, fair, seconds })
}

async fn taken(stage: &Stage) -> anyhow::Result<(f64, f64)> {
    let numbers = numbers(stage, TAKEN).await?;
    anyhow::ensure!(numbers.len() == 2, "{TAKEN} gave {numbers:?}");
    Ok((numbers[0], numbers[1]))
}

/// Waits until so many coordinators have all partitions, and none more than its share.
async fn until_shared(stage: &Stage, count: u32) -> anyhow::Result<()> {
    let shared = async || {
        let numbers = numbers(stage, SHARES).await?;
        let [most, living, all, free] = numbers[..] else { return Ok(None) };
        let share = (all / f64::from(count)).ceil();
        let is_whole = (living - f64::from(count)).abs() < 0.5 && free < 0.5;
        Ok((is_whole && most <= share).then_some(()))
    };
    until(&format!("{count} coordinators to share the partitions"), SHARE_MAX, shared).await
}

/// One row of numbers; empty where one is missing.
async fn numbers(stage: &Stage, sql: &str) -> anyhow::Result<Vec<f64>> {
    let text = stage.postgres()?.psql("amends", sql).await?;
    Ok(text.trim().split('|').filter_map(|number| number.parse().ok()).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_are_told_from_even() {
        let shares = shares(&[10.0, 20.0], &[40.0, 110.0]);
        assert_eq!(shares, [(30.0, -0.5), (90.0, 0.5)]);
    }
}
