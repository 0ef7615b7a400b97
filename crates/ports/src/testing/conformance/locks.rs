//! What every lock service must do, as cases that any adapter can run.
//!
//! An adapter's test file makes a fresh service whose guards live for one second, in an async
//! function which answers it and whatever must live as long as it, and hands the function to
//! [`locks_conformance!`](crate::locks_conformance). Each case is one test.

use std::sync::Arc;
use std::time::Duration;

use amends_core::saga::Token;
use amends_core::{LockKey, SagaId};

use crate::{Guard, GuardError, GuardHolder, Locks};

/// One `#[tokio::test]` for each case of the suite.
///
/// The calling crate needs tokio with `macros` and `rt-multi-thread`.
#[macro_export]
macro_rules! locks_conformance {
    ($make:ident) => {
        $crate::locks_conformance! { @cases $make;
            a_free_guard_is_held_for_less_than_its_life
            another_sagas_guard_is_busy_and_named
            one_key_that_is_taken_leaves_nothing_behind
            a_saga_takes_over_what_it_had
            a_replaced_owner_does_not_take_it_back
            what_is_released_is_free_and_only_that
            what_holds_is_extended_and_what_does_not_is_lost
            an_expired_guard_is_free_and_is_not_set_again
        }
    };
    (@cases $make:ident; $($case:ident)*) => {$(
        #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
        async fn $case() {
            let (locks, _alive) = $make().await;
            $crate::testing::conformance::locks::$case(locks).await;
        }
    )*};
}

fn key(text: &str) -> LockKey {
    LockKey::new(text).unwrap()
}

fn guard(saga: &str, token: u64, keys: &[&str]) -> Guard {
    let saga_id = SagaId::new(saga).unwrap();
    let holder = GuardHolder { nonce: "5a17".to_owned(), saga_id, token: Token(token) };
    Guard { keys: keys.iter().map(|text| key(text)).collect(), holder }
}

fn busy(text: &str, holder: &Guard) -> Result<Duration, GuardError> {
    Err(GuardError::Busy { key: key(text), holder: holder.holder.to_string() })
}

fn lost(text: &str) -> Result<Duration, GuardError> {
    Err(GuardError::Lost { key: key(text) })
}

/// Case.
pub async fn a_free_guard_is_held_for_less_than_its_life(locks: Arc<dyn Locks>) {
    let holds_for = locks.acquire(&guard("a", 1, &["x", "y", "z"])).await.unwrap();
    assert!(holds_for < locks.ttl() && holds_for > locks.ttl() / 2, "{holds_for:?}");
    assert!(locks.health().await.quorum);
}

/// Case.
pub async fn another_sagas_guard_is_busy_and_named(locks: Arc<dyn Locks>) {
    let first = guard("a", 7, &["x"]);
    locks.acquire(&first).await.unwrap();
    assert_eq!(locks.acquire(&guard("b", 8, &["x"])).await, busy("x", &first));
    let longer = guard("aa", 8, &["x"]);
    assert_eq!(locks.acquire(&longer).await, busy("x", &first), "an id may begin with another");
}

/// Case.
pub async fn one_key_that_is_taken_leaves_nothing_behind(locks: Arc<dyn Locks>) {
    let first = guard("a", 1, &["y"]);
    locks.acquire(&first).await.unwrap();
    assert_eq!(locks.acquire(&guard("b", 1, &["x", "y", "z"])).await, busy("y", &first));
    locks.acquire(&guard("c", 1, &["x", "z"])).await.unwrap();
}

/// Case.
pub async fn a_saga_takes_over_what_it_had(locks: Arc<dyn Locks>) {
    locks.acquire(&guard("a", 9, &["x"])).await.unwrap();
    locks.acquire(&guard("a", 9, &["x"])).await.unwrap();
    let newer = guard("a", 10, &["x", "y"]);
    locks.acquire(&newer).await.unwrap();
    assert_eq!(locks.extend(&[guard("a", 9, &["x"])]).await, [lost("x")]);
    assert!(locks.extend(&[newer]).await[0].is_ok());
}

/// Case.
pub async fn a_replaced_owner_does_not_take_it_back(locks: Arc<dyn Locks>) {
    let newer = guard("a", 10, &["x"]);
    locks.acquire(&newer).await.unwrap();
    assert_eq!(locks.acquire(&guard("a", 9, &["x"])).await, busy("x", &newer));
    locks.release(&[guard("a", 9, &["x"])]).await;
    assert!(locks.extend(&[newer]).await[0].is_ok());
}

/// Case.
pub async fn what_is_released_is_free_and_only_that(locks: Arc<dyn Locks>) {
    let (first, second) = (guard("a", 1, &["x", "y"]), guard("b", 1, &["z"]));
    for guard in [&first, &second] {
        locks.acquire(guard).await.unwrap();
    }
    locks.release(&[guard("b", 1, &["x"]), guard("c", 1, &["z"])]).await;
    assert_eq!(locks.acquire(&guard("c", 1, &["x"])).await, busy("x", &first));
    assert_eq!(locks.acquire(&guard("c", 1, &["z"])).await, busy("z", &second));
    locks.release(&[first, second]).await;
    locks.acquire(&guard("c", 1, &["x", "y", "z"])).await.unwrap();
    locks.release(&[guard("d", 1, &["never"])]).await;
}

/// Case.
pub async fn what_holds_is_extended_and_what_does_not_is_lost(locks: Arc<dyn Locks>) {
    let held = guard("a", 1, &["x", "y"]);
    let other = guard("b", 1, &["z"]);
    for guard in [&held, &other] {
        locks.acquire(guard).await.unwrap();
    }
    let results =
        locks.extend(&[guard("c", 1, &["free"]), held, guard("a", 1, &["y", "z"]), other]).await;
    assert_eq!((&results[0], &results[2]), (&lost("free"), &lost("z")));
    assert!(results[1].is_ok() && results[3].is_ok(), "{results:?}");
    locks.acquire(&guard("d", 1, &["free"])).await.unwrap();
    assert_eq!(locks.extend(&[]).await, []);
}

/// Case.
pub async fn an_expired_guard_is_free_and_is_not_set_again(locks: Arc<dyn Locks>) {
    let first = guard("a", 1, &["x"]);
    locks.acquire(&first).await.unwrap();
    let next = guard("b", 1, &["x"]);
    while let Err(error) = locks.acquire(&next).await {
        assert!(matches!(error, GuardError::Busy { .. }), "{error}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert_eq!(locks.extend(std::slice::from_ref(&first)).await, [lost("x")]);
    locks.release(&[next]).await;
    assert_eq!(locks.extend(&[first]).await, [lost("x")]);
}
