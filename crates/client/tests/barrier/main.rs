//! The barrier's rules, the same suite for every store and form.
#![allow(clippy::unwrap_used, clippy::panic, reason = "test code")]

mod bed;
mod cases;
mod check_back;
mod database;
mod interleaving;
mod isolation;
mod redis_bed;
mod service;
mod sql_cases;
mod transaction;
mod two_call;
mod two_call_cases;

use redis_bed::start_redis;
use transaction::TransactionBed;
use two_call::TwoCallBed;

/// The cases that every bed passes.
macro_rules! suite {
    ($name:ident, $start:expr, $bound:tt) => {
        mod $name {
            use super::*;

            suite!(@ $start, cases:
                a_repetition_gets_the_first_answer,
                an_undo_without_its_forward_call_succeeds,
                a_forward_call_after_its_undo_is_refused,
                an_undo_runs_once_and_knows_the_forward_answer,
                an_undo_of_a_refused_call_has_nothing_to_do,
                a_refused_undo_or_confirm_is_no_end,
                an_answer_that_is_no_end_is_not_kept,
                a_lower_token_is_refused_and_a_repetition_is_not,
                of_several_keys_one_stale_is_enough,
                a_stale_undo_of_nothing_succeeds,
                a_try_is_confirmed_or_cancelled_by_itself,
                after_a_crash_before_the_work_the_call_comes_again,
                after_a_crash_before_the_end_the_work_is_there_once,
                a_lost_connection_undoes_nothing_that_was_kept,
                sagas_and_steps_do_not_meet,
                an_answer_is_kept_to_the_byte,
                an_answer_that_is_too_long_is_an_error,
            );
            suite!(@ $start, interleaving:
                forward_beside_forward,
                forward_beside_its_undo,
                undo_beside_undo,
            );
            suite!($bound $start);
        }
    };
    (transaction $start:expr) => {
        suite!(@ $start, sql_cases:
            a_refusal_takes_the_work_back,
            a_failed_statement_may_be_a_refusal,
            a_failed_handler_leaves_nothing,
            old_rows_are_swept_and_young_ones_stay,
            tables_are_made_once_and_missing_ones_are_named,
            many_at_once_take_effect_once,
            an_ended_transaction_is_noticed,
        );
        suite!(@ $start, check_back:
            check_back_and_transaction_agree_in_every_order,
            a_no_keeps_the_transaction_from_committing,
            what_was_committed_is_not_done_again,
            of_two_local_transactions_one_commits,
            many_local_transactions_and_check_backs_agree,
            rows_of_check_backs_are_swept,
            what_is_no_saga_or_has_no_table_is_named,
        );
    };
    (two_call $start:expr) => {
        suite!(@ $start, two_call_cases:
            while_one_is_at_work_others_wait,
            who_was_too_slow_cannot_settle,
            a_released_turn_goes_to_the_next_at_once,
            an_undo_of_an_unsettled_call_is_told_so,
            a_resumed_undo_is_told_the_same,
        );
    };
    (@ $start:expr, $cases:ident: $($case:ident),* $(,)?) => {
        $(
            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $case() {
                $cases::$case(&$start.await).await;
            }
        )*
    };
}

suite!(postgres, TransactionBed::<sqlx::Postgres>::start(), transaction);
suite!(mysql, TransactionBed::<sqlx::MySql>::start(), transaction);
suite!(sqlite, TransactionBed::<sqlx::Sqlite>::start(), transaction);
suite!(postgres_in_two_calls, TwoCallBed::<sqlx::Pool<sqlx::Postgres>>::start(), two_call);
suite!(mysql_in_two_calls, TwoCallBed::<sqlx::Pool<sqlx::MySql>>::start(), two_call);
suite!(sqlite_in_two_calls, TwoCallBed::<sqlx::Pool<sqlx::Sqlite>>::start(), two_call);
suite!(redis_in_two_calls, start_redis(), two_call);
