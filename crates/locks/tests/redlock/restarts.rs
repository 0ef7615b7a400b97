//! Masters that forget: delayed trust.

use amends_locks::Redlock;
use amends_ports::Locks as _;
use amends_testbed::Redis;
use tokio::time::Instant;

use crate::setup::{
    TTL, guard, lost, masters, no_quorum, ready, redlock, standing, until, until_said,
    until_trusted,
};

/// A guard of saga `a` on two of three masters, one of which then forgets it, together with the
/// third, which never had it. Two of three are empty; the guard holds until the time in the answer.
async fn forgotten_by_one(masters: &mut [Redis], locks: &Redlock) -> Instant {
    masters[2].stop().unwrap();
    let asked = Instant::now();
    let holds_for = locks.acquire(&guard("a", &["x"])).await.unwrap();
    masters[2].start_again().await.unwrap();
    masters[1].stop().unwrap();
    masters[1].start_again().await.unwrap();
    assert!(standing(&masters[0], "x").await.is_some());
    assert!(standing(&masters[1], "x").await.is_none());
    asked + holds_for
}

async fn acquired_at(rival: &Redlock) -> Instant {
    until(async || rival.acquire(&guard("b", &["x"])).await.is_ok()).await;
    Instant::now()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn masters_restarted_empty_do_not_give_away_what_is_held() {
    let mut masters = masters(3).await;
    let (locks, rival) = (ready(&masters).await, ready(&masters).await);
    let holds_until = forgotten_by_one(&mut masters, &locks).await;
    assert!(acquired_at(&rival).await >= holds_until);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn not_even_to_a_coordinator_that_started_after_them() {
    let mut masters = masters(3).await;
    let locks = ready(&masters).await;
    let holds_until = forgotten_by_one(&mut masters, &locks).await;
    let rival = redlock(&masters);
    assert!(acquired_at(&rival).await >= holds_until);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_restarted_master_is_waited_for_one_ttl_and_says_so() {
    let mut masters = masters(3).await;
    let locks = ready(&masters).await;
    locks.acquire(&guard("a", &["x"])).await.unwrap();
    masters[0].stop().unwrap();
    until_trusted(&locks, 2).await;
    let restarted = Instant::now();
    masters[0].start_again().await.unwrap();
    let status = until_said(&locks, 0, "started anew").await;
    assert!(!status.trusted);
    // Its votes do not count, but what is asked of the others is asked of it too.
    locks.acquire(&guard("b", &["y"])).await.unwrap();
    until(async || standing(&masters[0], "y").await.is_some()).await;
    locks.release(&[guard("b", &["y"])]).await;
    until(async || standing(&masters[0], "y").await.is_none()).await;
    until_trusted(&locks, 3).await;
    assert!(restarted.elapsed() >= TTL);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn all_restarted_is_no_quorum_until_nothing_can_be_held() {
    let mut masters = masters(3).await;
    let locks = ready(&masters).await;
    locks.acquire(&guard("a", &["x"])).await.unwrap();
    for master in &mut masters {
        master.stop().unwrap();
        master.start_again().await.unwrap();
    }
    let words = no_quorum(locks.acquire(&guard("b", &["x"])).await);
    assert!(!words.is_empty());
    until_trusted(&locks, 3).await;
    assert_eq!(locks.extend(&[guard("a", &["x"])]).await, [lost("x")]);
    locks.acquire(&guard("b", &["x"])).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_broken_connection_to_the_same_run_is_trusted_at_once() {
    let masters = masters(1).await;
    let locks = ready(&masters).await;
    locks.acquire(&guard("a", &["x"])).await.unwrap();
    let cut = Instant::now();
    masters[0].command(&["CLIENT", "KILL", "TYPE", "normal"]).await.unwrap();
    until(async || locks.extend(&[guard("a", &["x"])]).await[0].is_ok()).await;
    assert!(cut.elapsed() < TTL, "the guard was held on to");
}
