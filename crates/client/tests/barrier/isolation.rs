//! The barrier under isolation levels that a service may have chosen for itself.

use crate::check_back::many_local_transactions_and_check_backs_agree;
use crate::sql_cases::many_at_once_take_effect_once;
use crate::transaction::TransactionBed;

const POSTGRES: &str = "SET SESSION CHARACTERISTICS AS TRANSACTION ISOLATION LEVEL";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn postgres_with_other_levels() {
    for level in ["REPEATABLE READ", "SERIALIZABLE"] {
        let first = Box::leak(format!("{POSTGRES} {level}").into_boxed_str());
        let bed = TransactionBed::<sqlx::Postgres>::start_with(first).await;
        many_at_once_take_effect_once(&bed).await;
        many_local_transactions_and_check_backs_agree(&bed).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn mysql_with_other_levels() {
    for level in ["READ COMMITTED", "SERIALIZABLE"] {
        let first = format!("SET SESSION TRANSACTION ISOLATION LEVEL {level}");
        let first = Box::leak(first.into_boxed_str());
        let bed = TransactionBed::<sqlx::MySql>::start_with(first).await;
        many_at_once_take_effect_once(&bed).await;
        many_local_transactions_and_check_backs_agree(&bed).await;
    }
}
