//! Masters that are silent, dead or of another opinion.

use std::time::Duration;

use amends_ports::Locks as _;
use amends_testbed::Redis;
use tokio::time::Instant;

use crate::setup::{
    NODE_TIMEOUT, busy, guard, lost, masters, meddle, no_quorum, ready, redlock, standing, until,
    until_acquired, until_said, until_trusted,
};

/// The middle of 21 times of setting and releasing a guard.
async fn median(locks: &amends_locks::Redlock) -> Duration {
    let mut times = Vec::new();
    for _ in 0..21 {
        let started = Instant::now();
        locks.acquire(&guard("a", &["x"])).await.unwrap();
        locks.release(&[guard("a", &["x"])]).await;
        times.push(started.elapsed());
    }
    times.sort();
    times[10]
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_silent_minority_costs_nothing() {
    for (count, paused) in [(3, 1), (5, 2)] {
        let mut masters = masters(count).await;
        let locks = ready(&masters).await;
        for master in &mut masters[..paused] {
            master.pause().unwrap();
        }
        let started = Instant::now();
        locks.acquire(&guard("a", &["x"])).await.unwrap();
        assert!(started.elapsed() < NODE_TIMEOUT, "not even at the first time");
        let median = median(&locks).await;
        assert!(median < NODE_TIMEOUT / 4, "{median:?} with {paused} of {count} paused");
        let extended = locks.extend(&[guard("a", &["x"])]).await;
        assert_eq!(extended, [lost("x")]);
        let detail = until_said(&locks, 0, "does not answer within").await;
        assert!(!detail.trusted);
        for master in &mut masters[..paused] {
            master.resume().unwrap();
        }
        until_trusted(&locks, count).await;
        for master in &masters {
            until(async || standing(master, "x").await.is_none()).await;
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_silent_majority_is_no_quorum_and_not_busy() {
    let mut masters = masters(3).await;
    let locks = ready(&masters).await;
    masters[0].pause().unwrap();
    masters[1].pause().unwrap();
    let words = no_quorum(locks.acquire(&guard("a", &["x"])).await);
    assert!(words.contains("2 are needed"), "{words}");
    assert_eq!(standing(&masters[2], "x").await, None, "nothing is left behind");
    until_trusted(&locks, 1).await;
    let started = Instant::now();
    no_quorum(locks.acquire(&guard("a", &["x"])).await);
    assert!(started.elapsed() < NODE_TIMEOUT, "who is known to be silent is not waited for");
    masters[0].resume().unwrap();
    until_acquired(&locks, &guard("a", &["x"])).await;
    let counts = locks.counts();
    assert!(counts.acquired == 1 && counts.no_quorum >= 2 && counts.seconds > 0.0, "{counts:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_silent_master_does_late_is_undone_in_order() {
    let mut masters = masters(3).await;
    let locks = ready(&masters).await;
    masters[0].pause().unwrap();
    locks.acquire(&guard("a", &["x"])).await.unwrap();
    until_said(&locks, 0, "does not answer within").await;
    locks.release(&[guard("a", &["x"])]).await;
    masters[0].resume().unwrap();
    until_trusted(&locks, 3).await;
    assert_eq!(standing(&masters[0], "x").await, None);
    locks.acquire(&guard("b", &["x"])).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn dead_masters_are_missed_only_beyond_the_quorum() {
    let mut masters = masters(3).await;
    let locks = ready(&masters).await;
    masters[0].stop().unwrap();
    locks.acquire(&guard("a", &["x"])).await.unwrap();
    masters[1].stop().unwrap();
    assert!(locks.extend(&[guard("a", &["x"])]).await[0].is_err());
    until_said(&locks, 1, "refuses connections").await;
    let started = Instant::now();
    let words = no_quorum(locks.acquire(&guard("a", &["y"])).await);
    assert!(started.elapsed() < NODE_TIMEOUT, "a dead master is not waited for");
    assert!(words.contains("refuses connections"), "{words}");
    assert!(!locks.health().await.quorum);
    for master in &mut masters[..2] {
        master.start_again().await.unwrap();
    }
    until_acquired(&locks, &guard("a", &["y"])).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn it_starts_with_no_master_in_reach() {
    let mut masters = masters(3).await;
    for master in &mut masters {
        master.stop().unwrap();
    }
    let started = Instant::now();
    let locks = redlock(&masters);
    assert!(started.elapsed() < NODE_TIMEOUT);
    no_quorum(locks.acquire(&guard("a", &["x"])).await);
    locks.release(&[guard("a", &["x"])]).await;
    for master in &mut masters {
        master.start_again().await.unwrap();
    }
    until_acquired(&locks, &guard("a", &["x"])).await;
    locks.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn yes_no_and_silence_together_are_no_quorum() {
    let mut masters = masters(3).await;
    let locks = ready(&masters).await;
    meddle(&masters[0], "SET", "x", &["somebody"]).await;
    masters[1].stop().unwrap();
    no_quorum(locks.acquire(&guard("a", &["x"])).await);
    assert_eq!(standing(&masters[2], "x").await, None);
    meddle(&masters[2], "SET", "x", &["somebody"]).await;
    assert_eq!(locks.acquire(&guard("a", &["x"])).await, busy("x", "somebody"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_others_keep_under_a_key_is_busy_and_stays() {
    let masters = masters(3).await;
    let locks = ready(&masters).await;
    for master in &masters[..2] {
        meddle(master, "HSET", "x", &["field", "value"]).await;
    }
    let result = locks.acquire(&guard("a", &["w", "x"])).await;
    assert_eq!(result, busy("x", "a value that is no guard"));
    locks.release(&[guard("a", &["x"])]).await;
    meddle(&masters[0], "HGET", "x", &["field"]).await;
    for master in &masters {
        assert_eq!(standing(master, "w").await, None, "nothing is left behind");
    }
    assert_eq!(locks.extend(&[guard("a", &["x"])]).await, [lost("x")]);
}

/// As a master does whose clock jumps ahead.
async fn let_expire(master: &Redis) {
    meddle(master, "PEXPIRE", "x", &["1"]).await;
    until(async || standing(master, "x").await.is_none()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_clock_that_jumps_harms_nobody_and_two_are_noticed() {
    let masters = masters(3).await;
    let locks = ready(&masters).await;
    let rival = ready(&masters).await;
    let held = guard("a", &["x"]);
    locks.acquire(&held).await.unwrap();
    let_expire(&masters[0]).await;
    assert!(locks.extend(std::slice::from_ref(&held)).await[0].is_ok());
    assert_eq!(rival.acquire(&guard("b", &["x"])).await, busy("x", "5a17/a/3"));
    assert_eq!(standing(&masters[0], "x").await, None, "the rival took its own back");
    let_expire(&masters[1]).await;
    assert_eq!(locks.extend(std::slice::from_ref(&held)).await, [lost("x")]);
    assert_eq!(standing(&masters[1], "x").await, None, "it is not set again");
    let counts = locks.counts();
    assert_eq!((counts.acquired, counts.extended, counts.lost), (1, 1, 1));
    assert_eq!(rival.counts().busy, 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn another_coordinator_takes_the_guard_over() {
    let masters = masters(3).await;
    let (old, new) = (ready(&masters).await, ready(&masters).await);
    let held = guard("a", &["x", "y"]);
    old.acquire(&held).await.unwrap();
    new.acquire(&held).await.unwrap();
    drop(old);
    assert!(new.extend(std::slice::from_ref(&held)).await[0].is_ok());
    new.release(&[held]).await;
    for master in &masters {
        until(async || standing(master, "x").await.is_none()).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_rivals_never_hold_together() {
    let masters = masters(3).await;
    let rivals = [ready(&masters).await, ready(&masters).await, ready(&masters).await];
    let inside = std::sync::atomic::AtomicUsize::new(0);
    let work = |(locks, name): (_, &'static str)| {
        let (inside, held) = (&inside, guard(name, &["x"]));
        async move {
            let locks: &amends_locks::Redlock = locks;
            for _ in 0..20 {
                until_acquired(locks, &held).await;
                assert_eq!(inside.fetch_add(1, std::sync::atomic::Ordering::SeqCst), 0);
                tokio::task::yield_now().await;
                inside.fetch_sub(1, std::sync::atomic::Ordering::SeqCst);
                locks.release(std::slice::from_ref(&held)).await;
            }
        }
    };
    let names = ["a", "b", "c"];
    futures_util::future::join_all(rivals.iter().zip(names).map(work)).await;
}
