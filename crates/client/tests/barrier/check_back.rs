//! A local transaction and the check-back that asks for it: they agree, whatever the order.

use std::time::Duration;

use amends_client::barrier::{self, AGE_MIN, Error};
use amends_client::participant::Answer;
use axum::response::IntoResponse as _;
use futures_util::future::{Either, join_all, ready};
use http::StatusCode;
use sqlx::{Pool, Transaction};
use tokio::task::{JoinError, JoinHandle};
use tokio::time::timeout;

use crate::bed::{Bed as _, code};
use crate::database::Db;
use crate::transaction::TransactionBed;

/// How long a check-back may take before the local transaction goes on.
const STEP_WAIT: Duration = Duration::from_millis(20);
/// Attempts after which there should be an answer.
const ATTEMPTS_MAX: u32 = 10_000;
/// Local transactions at once, and as many check-backs.
const AT_ONCE: usize = 8;

/// A step of the local transaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    Work,
    Prepare,
    End(End),
}

/// How the local transaction ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    Commit,
    RollBack,
    Crash,
    LostConnection,
}

pub(crate) async fn check_back_and_transaction_agree_in_every_order<D: Db>(
    bed: &TransactionBed<D>,
) {
    let (mut committed, mut too_late) = (0, 0);
    for end in [End::Commit, End::RollBack, End::Crash, End::LostConnection] {
        for first in [[Step::Work, Step::Prepare], [Step::Prepare, Step::Work]] {
            for asked_at in 0..=3 {
                let steps = [first[0], first[1], Step::End(end)];
                let saga = format!("{}-{asked_at}-{end:?}", first[0] == Step::Work);
                let run = run(bed, &saga, steps, asked_at).await;
                committed += u32::from(run == Ok(true));
                too_late += u32::from(run == Err("too late"));
            }
        }
    }
    assert!(committed >= 4, "{committed}: whoever has prepared commits");
    assert!(too_late >= 4, "{too_late}: whoever is asked for before it prepares is too late");
}

/// Lets a local transaction go step by step, and asks for it before the step `asked_at`. Whether
/// it was committed, or that its `prepare` came too late.
async fn run<D: Db>(
    bed: &TransactionBed<D>,
    saga: &str,
    steps: [Step; 3],
    asked_at: usize,
) -> Result<bool, &'static str> {
    let context = format!("{steps:?}, asked before step {asked_at}");
    let mut local = Some(bed.pool.begin().await.unwrap());
    let mut question = None;
    let mut outcome = Ok(false);
    for (at, step) in steps.into_iter().enumerate() {
        if at == asked_at {
            let is_prepared = steps[..at].contains(&Step::Prepare);
            question = Some(ask(bed, saga, is_prepared, &context).await);
        }
        let Some(mut tx) = local.take() else { continue };
        match step {
            Step::Work => work::<D>(&mut tx, saga).await,
            Step::Prepare => match barrier::prepare(&mut tx, saga).await {
                Ok(()) => {}
                Err(Error::RolledBack) => {
                    outcome = Err("too late");
                    continue;
                }
                Err(error) => panic!("{context}: {error:?}"),
            },
            Step::End(how) => {
                outcome = Ok(end(tx, how).await);
                continue;
            }
        }
        local = Some(tx);
    }
    let expected = if outcome == Ok(true) { StatusCode::OK } else { StatusCode::CONFLICT };
    if let Some(question) = question {
        match question.await.unwrap() {
            Ok(answer) => assert_eq!(answer.status, expected, "{context}"),
            Err(error) => assert!(error.retry_after().is_some(), "{context}: {error:?}"),
        }
    }
    for _ in 0..2 {
        assert_eq!(until_answered(&bed.pool, saga).await.status, expected, "{context}");
    }
    assert_eq!(bed.effects(saga).await, i64::from(outcome == Ok(true)), "{context}");
    outcome
}

/// Asks; while the local transaction is between `prepare` and its end, there must be no answer.
async fn ask<D: Db>(
    bed: &TransactionBed<D>,
    saga: &str,
    is_prepared: bool,
    context: &str,
) -> impl Future<Output = Result<Result<Answer, Error>, JoinError>> + use<D> {
    let mut asked = start_asking(bed, saga);
    match timeout(STEP_WAIT, &mut asked).await {
        Ok(told) => {
            let is_answer = matches!(told, Ok(Ok(_)));
            assert!(!(is_prepared && is_answer), "{context}: {told:?} while it is open");
            Either::Left(ready(told))
        }
        Err(_) => Either::Right(asked),
    }
}

fn start_asking<D: Db>(bed: &TransactionBed<D>, saga: &str) -> JoinHandle<Result<Answer, Error>> {
    let (pool, saga) = (bed.pool.clone(), saga.to_owned());
    start(async move { barrier::check_back(&pool, &saga).await })
}

#[expect(clippy::disallowed_methods, reason = "the test awaits it, there is nothing to drain")]
fn start<T: Send + 'static>(work: impl Future<Output = T> + Send + 'static) -> JoinHandle<T> {
    tokio::spawn(work)
}

async fn work<D: Db>(tx: &mut Transaction<'static, D>, saga: &str) {
    let sql = format!("INSERT INTO effect (name) VALUES ('{saga}')");
    D::execute(tx, sql).await.unwrap();
}

async fn end<D: Db>(mut tx: Transaction<'static, D>, how: End) -> bool {
    match how {
        End::Commit => tx.commit().await.unwrap(),
        End::RollBack => tx.rollback().await.unwrap(),
        End::Crash => drop(tx),
        End::LostConnection => {
            if let Some(kill) = D::KILL {
                D::execute(&mut tx, kill.to_owned()).await.unwrap_err();
            }
        }
    }
    how == End::Commit
}

async fn until_answered<D: Db>(pool: &Pool<D>, saga: &str) -> Answer {
    for _ in 0..ATTEMPTS_MAX {
        match barrier::check_back(pool, saga).await {
            Ok(answer) => return answer,
            Err(error) => assert!(error.retry_after().is_some(), "{error:?}"),
        }
    }
    panic!("no answer after {ATTEMPTS_MAX} attempts");
}

/// One local transaction from begin to commit.
async fn commit<D: Db>(pool: &Pool<D>, saga: &str) -> Result<(), Error> {
    let mut tx = pool.begin().await?;
    barrier::prepare(&mut tx, saga).await?;
    work::<D>(&mut tx, saga).await;
    Ok(tx.commit().await?)
}

pub(crate) async fn a_no_keeps_the_transaction_from_committing<D: Db>(bed: &TransactionBed<D>) {
    let no = until_answered(&bed.pool, "s").await;
    assert_eq!((no.status, &*code(&no)), (StatusCode::CONFLICT, "rolled-back"));
    for _ in 0..2 {
        let late = commit(&bed.pool, "s").await.unwrap_err();
        assert!(matches!(late, Error::RolledBack), "{late:?}");
        assert!(late.to_string().contains("roll back this local transaction"), "{late}");
    }
    assert_eq!(until_answered(&bed.pool, "s").await, no);
    assert_eq!(bed.effects("s").await, 0);
    // It is no other's no.
    commit(&bed.pool, "S").await.unwrap();
}

pub(crate) async fn what_was_committed_is_not_done_again<D: Db>(bed: &TransactionBed<D>) {
    commit(&bed.pool, "s").await.unwrap();
    let yes = until_answered(&bed.pool, "s").await;
    assert_eq!((yes.status, &*yes.body), (StatusCode::OK, br#"{"committed":true}"#.as_slice()));
    let again = commit(&bed.pool, "s").await.unwrap_err();
    assert!(matches!(again, Error::CommittedBefore), "{again:?}");
    assert_eq!(again.into_response().status(), StatusCode::INTERNAL_SERVER_ERROR);
    assert_eq!(until_answered(&bed.pool, "s").await, yes);
    assert_eq!(bed.effects("s").await, 1);
}

pub(crate) async fn of_two_local_transactions_one_commits<D: Db>(bed: &TransactionBed<D>) {
    for (saga, how) in [("a", End::Commit), ("b", End::RollBack), ("c", End::Crash)] {
        let mut first = bed.pool.begin().await.unwrap();
        barrier::prepare(&mut first, saga).await.unwrap();
        work::<D>(&mut first, saga).await;
        let pool = bed.pool.clone();
        let mut second = start(async move { commit(&pool, saga).await });
        assert!(timeout(STEP_WAIT, &mut second).await.is_err(), "{how:?}: the second went on");
        end(first, how).await;
        match (second.await.unwrap(), how) {
            (Err(Error::CommittedBefore), End::Commit) | (Ok(()), End::RollBack | End::Crash) => {}
            (other, _) => panic!("{how:?}: {other:?}"),
        }
        assert_eq!(bed.effects(saga).await, 1, "{how:?}");
    }
}

/// Of many at once all are told the same, whatever deadlocks the database finds.
pub(crate) async fn many_local_transactions_and_check_backs_agree<D: Db>(bed: &TransactionBed<D>) {
    for round in 0..4 {
        let saga = format!("s{round}");
        let commits = (0..AT_ONCE).map(|_| async {
            loop {
                match commit(&bed.pool, &saga).await {
                    Ok(()) | Err(Error::CommittedBefore) => return StatusCode::OK,
                    Err(Error::RolledBack) => return StatusCode::CONFLICT,
                    Err(error) => assert!(error.retry_after().is_some(), "{error:?}"),
                }
            }
        });
        let questions =
            (0..AT_ONCE).map(|_| async { until_answered(&bed.pool, &saga).await.status });
        let (commits, questions) = tokio::join!(join_all(commits), join_all(questions));
        let said = commits[0];
        assert!(commits.iter().chain(&questions).all(|one| *one == said), "{commits:?}");
        let is_committed = said == StatusCode::OK;
        assert_eq!(bed.effects(&saga).await, i64::from(is_committed), "{questions:?}");
    }
}

pub(crate) async fn rows_of_check_backs_are_swept<D: Db>(bed: &TransactionBed<D>) {
    commit(&bed.pool, "yes").await.unwrap();
    until_answered(&bed.pool, "no").await;
    assert_eq!(barrier::sweep(&bed.pool, AGE_MIN).await.unwrap(), 0);
    let past = "UPDATE amends_barrier SET changed_at_ms = changed_at_ms - 172800000";
    D::on(&bed.pool, past).await;
    assert_eq!(barrier::sweep(&bed.pool, AGE_MIN).await.unwrap(), 2);
}

pub(crate) async fn what_is_no_saga_or_has_no_table_is_named<D: Db>(bed: &TransactionBed<D>) {
    let long = "x".repeat(129);
    for id in ["", "a/b", "ä", &*long] {
        let asked = barrier::check_back(&bed.pool, id).await.unwrap_err();
        assert!(matches!(asked, Error::Misuse(_)), "{id:?}: {asked:?}");
        let prepared = commit(&bed.pool, id).await.unwrap_err();
        assert!(matches!(prepared, Error::Misuse(_)), "{id:?}: {prepared:?}");
    }
    commit(&bed.pool, &long[1..]).await.unwrap();
    let (_server, empty) = D::empty().await;
    let asked = barrier::check_back(&empty, "s").await.unwrap_err();
    assert!(matches!(asked, Error::NotMigrated(_)), "{asked:?}");
}

/// Who waits too long is to ask again.
async fn a_check_back_does_not_wait_for_ever<D: Db>(bed: &TransactionBed<D>) {
    let mut tx = bed.pool.begin().await.unwrap();
    barrier::prepare(&mut tx, "s").await.unwrap();
    let busy = barrier::check_back(&bed.pool, "s").await.unwrap_err().into_response();
    assert_eq!(busy.status(), StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(busy.headers()["retry-after"], "1");
    tx.commit().await.unwrap();
    assert_eq!(until_answered(&bed.pool, "s").await.status, StatusCode::OK);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_check_back_in_postgres_does_not_wait_for_ever() {
    let first = "SET statement_timeout = '300ms'";
    let bed = TransactionBed::<sqlx::Postgres>::start_with(first).await;
    a_check_back_does_not_wait_for_ever(&bed).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_check_back_in_mysql_does_not_wait_for_ever() {
    let first = "SET SESSION innodb_lock_wait_timeout = 1";
    let bed = TransactionBed::<sqlx::MySql>::start_with(first).await;
    a_check_back_does_not_wait_for_ever(&bed).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_check_back_in_sqlite_does_not_wait_for_ever() {
    let bed = TransactionBed::<sqlx::Sqlite>::start_with("PRAGMA busy_timeout = 100").await;
    a_check_back_does_not_wait_for_ever(&bed).await;
}
