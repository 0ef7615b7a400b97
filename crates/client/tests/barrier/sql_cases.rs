//! What holds where barrier and work end together.

use std::time::Duration;

use amends_client::barrier::{self, AGE_MIN, Barrier, Error};
use amends_client::participant::{Answer, Op};

use crate::bed::{Bed as _, attempt, call, done, effect_of, fenced, no};
use crate::database::Db;
use crate::transaction::TransactionBed;

/// Attempts after which a call should have its answer.
const ATTEMPTS_MAX: u32 = 10_000;
/// Calls at once where many are made.
const AT_ONCE: usize = 24;

pub(crate) async fn a_refusal_takes_the_work_back<D: Db>(bed: &TransactionBed<D>) {
    for op in [Op::Action, Op::Confirm] {
        let mut turn = bed.enter(call("s", op)).await.unwrap().turn();
        bed.work(&mut turn, "half").await;
        assert_eq!(bed.settle(turn, no()).await.unwrap(), no());
        assert_eq!(bed.effects("half").await, 0, "{op}");
    }
    assert_eq!(bed.enter(call("s", Op::Action)).await.unwrap().answer(), no());
}

pub(crate) async fn a_failed_statement_may_be_a_refusal<D: Db>(bed: &TransactionBed<D>) {
    let sold_out = async || {
        let barrier = Barrier::new(bed.pool.clone(), call("s", Op::Action));
        barrier
            .run::<Error>(async |work| {
                let sql = "INSERT INTO effect (name) VALUES (NULL)".to_owned();
                assert!(D::execute(work.tx(), sql).await.is_err());
                Ok(no())
            })
            .await
    };
    assert_eq!(sold_out().await.unwrap(), no());
    assert_eq!(bed.enter(call("s", Op::Action)).await.unwrap().answer(), no());
}

pub(crate) async fn a_failed_handler_leaves_nothing<D: Db>(bed: &TransactionBed<D>) {
    let barrier = Barrier::new(bed.pool.clone(), call("s", Op::Action));
    let failed = barrier
        .run(async |work| {
            let sql = "INSERT INTO effect (name) VALUES ('half')".to_owned();
            D::execute(work.tx(), sql).await?;
            Err(Error::work("the printer is on fire"))
        })
        .await;
    assert!(matches!(failed, Err(Error::Work(_))), "{failed:?}");
    assert_eq!(bed.effects("half").await, 0);
    attempt(bed, call("s", Op::Action)).await.unwrap();
}

pub(crate) async fn old_rows_are_swept_and_young_ones_stay<D: Db>(bed: &TransactionBed<D>) {
    let day = AGE_MIN;
    for saga in ["old", "young"] {
        attempt(bed, fenced(saga, Op::Action, &[(saga, 1)])).await.unwrap();
    }
    // More than one batch.
    let many: Vec<String> =
        (0..2_500).map(|n| format!("('many-{n}', 'a', 'try', 'succeeded', 0, 0)")).collect();
    let insert = "INSERT INTO amends_barrier (saga, step, op, state, held_until_ms, changed_at_ms)";
    D::on(&bed.pool, &format!("{insert} VALUES {}", many.join(", "))).await;
    let past = "changed_at_ms = changed_at_ms - 172800000";
    D::on(&bed.pool, &format!("UPDATE amends_barrier SET {past} WHERE saga = 'old'")).await;
    D::on(&bed.pool, &format!("UPDATE amends_fence SET {past} WHERE lock_key = 'old'")).await;
    assert_eq!(barrier::sweep(&bed.pool, 3 * day).await.unwrap(), 2_500);
    assert_eq!(barrier::sweep(&bed.pool, day).await.unwrap(), 2);
    assert_eq!(barrier::sweep(&bed.pool, day).await.unwrap(), 0);
    bed.enter(call("young", Op::Action)).await.unwrap().answer();
    assert_eq!(D::number(&bed.pool, "SELECT count(*) FROM amends_fence".to_owned()).await, 1);
    let too_young = barrier::sweep(&bed.pool, day.saturating_sub(Duration::from_secs(1))).await;
    assert!(matches!(too_young, Err(Error::Misuse(_))), "{too_young:?}");
}

pub(crate) async fn tables_are_made_once_and_missing_ones_are_named<D: Db>(
    bed: &TransactionBed<D>,
) {
    barrier::migrate(&bed.pool).await.unwrap();
    attempt(bed, call("s", Op::Action)).await.unwrap();
    barrier::migrate(&bed.pool).await.unwrap();
    bed.enter(call("s", Op::Action)).await.unwrap().answer();
    let (_server, empty) = D::empty().await;
    let error = Barrier::new(empty.clone(), call("s", Op::Action)).enter().await.unwrap_err();
    assert!(matches!(error, Error::NotMigrated(_)), "{error:?}");
    assert!(error.to_string().contains("barrier::migrate"), "{error}");
    // Instances that start at once.
    let (a, b, c, d) = tokio::join!(
        barrier::migrate(&empty),
        barrier::migrate(&empty),
        barrier::migrate(&empty),
        barrier::migrate(&empty)
    );
    for made in [a, b, c, d] {
        made.unwrap();
    }
}

/// Of many attempts at once one takes effect, whatever deadlocks the database finds.
pub(crate) async fn many_at_once_take_effect_once<D: Db>(bed: &TransactionBed<D>) {
    let forward = || until_answered(bed, Op::Action);
    let undo = || until_answered(bed, Op::Compensation);
    let mut calls = Vec::new();
    for n in 0..AT_ONCE {
        calls.push(async move { if n % 3 == 2 { undo().await } else { forward().await } });
    }
    let answers = futures_util::future::join_all(calls).await;
    let done = answers.iter().filter(|answer| **answer == done("s/charge/action")).count();
    let (actions, undos) =
        (bed.effects("s/charge/action").await, bed.effects("s/charge/compensation").await);
    assert_eq!(actions, undos, "{answers:?}");
    assert!(actions <= 1, "{actions}");
    assert_eq!(actions == 1, done > 0, "{answers:?}");
}

async fn until_answered<D: Db>(bed: &TransactionBed<D>, op: Op) -> Answer {
    let call = fenced("s", op, &[("a", 1), ("b", 1)]);
    let effect = effect_of(&call);
    for _ in 0..ATTEMPTS_MAX {
        let barrier = Barrier::new(bed.pool.clone(), call.clone());
        let answered = barrier.run(async |work| {
            let sql = format!("INSERT INTO effect (name) VALUES ('{effect}')");
            D::execute(work.tx(), sql).await?;
            Ok::<_, Error>(done(&effect))
        });
        match answered.await {
            Ok(answer) => return answer,
            Err(error) => assert!(error.retry_after().is_some(), "{error:?}"),
        }
    }
    panic!("no answer after {ATTEMPTS_MAX} attempts");
}

pub(crate) async fn an_ended_transaction_is_noticed<D: Db>(bed: &TransactionBed<D>) {
    let mut turn = bed.enter(call("s", Op::Action)).await.unwrap().turn();
    D::execute(turn.tx(), "ROLLBACK".to_owned()).await.unwrap();
    let settled = bed.settle(turn, done("nothing")).await;
    assert!(settled.is_err(), "{settled:?}");
    attempt(bed, call("s", Op::Action)).await.unwrap();
    assert_eq!(bed.effects("s/charge/action").await, 1);
}
