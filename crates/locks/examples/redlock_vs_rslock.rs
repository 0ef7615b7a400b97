//! Times of setting and releasing a guard, beside those of the `rslock` crate, in one run on
//! masters of its own: with all well, with one of three paused, and with two of five.

#![expect(clippy::print_stdout, reason = "its table is what it is for")]

use std::time::Duration;

use amends_core::saga::Token;
use amends_core::{LockKey, SagaId};
use amends_locks::{Config, Redlock};
use amends_ports::{Guard, GuardHolder, Locks as _};
use amends_testbed::Redis;
use anyhow::Context as _;
use rslock::LockManager;
use tokio::time::Instant;

/// Turns that are timed while all masters answer, and while some are paused.
const TURNS: usize = 2000;
const TURNS_PAUSED: usize = 200;
/// Turns before.
const WARM_UP: usize = 50;
const TTL: Duration = Duration::from_secs(10);

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    println!("{:<22}{:<10}{:>12}{:>12}{:>8}", "masters", "crate", "p50", "p99", "failed");
    for (count, paused) in [(3, 0), (3, 1), (5, 0), (5, 2)] {
        let mut masters = Vec::new();
        for _ in 0..count {
            masters.push(Redis::start().await?);
        }
        measure(&mut masters, paused).await?;
    }
    Ok(())
}

async fn measure(masters: &mut [Redis], paused: usize) -> anyhow::Result<()> {
    let urls: Vec<String> = masters.iter().map(Redis::url).collect();
    let ours = Redlock::new(&Config { ttl: TTL, ..Config::new(urls.clone()) })?;
    until_trusted(&ours, urls.len()).await;
    let theirs = LockManager::new(urls);
    turns(WARM_UP, async || one_of_ours(&ours).await).await;
    turns(WARM_UP, async || one_of_theirs(&theirs).await).await;
    for master in &mut masters[..paused] {
        master.pause()?;
    }
    let count = if paused == 0 { TURNS } else { TURNS_PAUSED };
    let name = format!("{} of {} paused", paused, masters.len());
    let of_ours = turns(count, async || one_of_ours(&ours).await).await;
    row(&name, "amends", of_ours);
    // Half a second each while one is paused.
    let count = if paused == 0 { TURNS } else { TURNS_PAUSED / 10 };
    let of_theirs = turns(count, async || one_of_theirs(&theirs).await).await;
    row(&name, "rslock", of_theirs);
    Ok(())
}

async fn until_trusted(locks: &Redlock, count: usize) {
    let trusted = async || {
        let masters = locks.health().await.masters;
        masters.iter().filter(|master| master.trusted).count()
    };
    while trusted().await < count {
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

async fn one_of_ours(locks: &Redlock) -> anyhow::Result<()> {
    let holder = GuardHolder {
        nonce: "0123456789abcdef".to_owned(),
        saga_id: SagaId::new("order-4711")?,
        token: Token(1),
    };
    let guard = Guard { keys: vec![LockKey::new("sku:ours")?], holder };
    let result = locks.acquire(&guard).await;
    locks.release(&[guard]).await;
    result.map(|_| ()).context("not acquired")
}

async fn one_of_theirs(locks: &LockManager) -> anyhow::Result<()> {
    let lock = locks.lock("sku:theirs", TTL).await.context("not acquired")?;
    locks.unlock(&lock).await;
    Ok(())
}

/// Times, sorted, and how many failed.
async fn turns(count: usize, turn: impl AsyncFn() -> anyhow::Result<()>) -> (Vec<Duration>, usize) {
    let (mut times, mut failed) = (Vec::with_capacity(count), 0);
    for _ in 0..count {
        let started = Instant::now();
        failed += usize::from(turn().await.is_err());
        times.push(started.elapsed());
    }
    times.sort();
    (times, failed)
}

fn row(masters: &str, name: &str, (times, failed): (Vec<Duration>, usize)) {
    let at = |part: usize| times.get(times.len() * part / 100).copied().unwrap_or_default();
    let ms = |time: Duration| format!("{:.3} ms", time.as_secs_f64() * 1000.0);
    println!("{masters:<22}{name:<10}{:>12}{:>12}{failed:>8}", ms(at(50)), ms(at(99)));
}
