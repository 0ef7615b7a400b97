//! What every store must do, as cases that any adapter can run.
//!
//! An adapter's test file makes a fresh, empty store of [`PARTITIONS`] partitions in an async
//! function, which answers the store and whatever must live as long as it (a folder, a server, or
//! `()`), and hands it to [`store_conformance!`](crate::store_conformance):
//!
//! ```text
//! async fn fresh() -> (Arc<dyn Store>, TempDir) { … }
//! amends_ports::store_conformance!(fresh);
//! ```
//!
//! Each case is one test. None relies on the adapter's clock being that of the machine, nor on a
//! pause: what takes time is asked for until it has happened.

#![expect(
    clippy::unwrap_used,
    clippy::missing_panics_doc,
    reason = "a case fails by panicking, like any test"
)]

pub mod fencing;
mod fixture;
pub mod inbox;
pub mod journal;
pub mod lease;
pub mod list;
pub mod lock;
pub mod locks;
pub mod page;
pub mod queue;
pub mod registry;
pub mod requeue;
pub mod submission;
pub mod wake;

/// How many partitions the stores of the suite have.
pub const PARTITIONS: u16 = 8;

/// One `#[tokio::test]` for each case of the suite, grouped in modules; each gets a store of its
/// own from the async function that is named.
///
/// The calling crate needs tokio with `macros` and `rt-multi-thread`.
#[macro_export]
macro_rules! store_conformance {
    ($make:ident) => {
        $crate::store_conformance! { @cases $make;
            lease {
                there_are_as_many_partitions_as_the_store_was_made_with
                partitions_are_taken_lowest_first_up_to_the_limit
                a_live_lease_is_not_taken
                an_expired_lease_is_taken_under_a_greater_epoch
                an_expired_lease_that_nobody_took_is_renewed
                released_partitions_are_free_at_once
                two_takers_at_once_never_get_the_same_partition
                raised_epochs_replace_the_newest_only
                heartbeats_tell_who_lives
            }
            fencing {
                a_stale_batch_changes_nothing
                a_taken_partition_fences_its_old_owner
                a_released_lease_writes_nothing
                a_saga_may_be_accepted_for_another_owner
            }
            submission {
                what_was_accepted_is_read_back
                the_same_id_finds_the_first_submission
                the_same_idempotency_key_finds_the_first_submission
                one_batch_accepts_an_idempotency_key_once
                fifty_submissions_at_once_of_one_key_make_one_saga
                fifty_submissions_at_once_of_one_id_make_one_saga
                a_repetition_takes_no_ticket
                any_text_survives
            }
            journal {
                facts_come_back_in_order
                a_gap_is_an_error_and_changes_nothing
                an_overlap_is_an_error_and_changes_nothing
                one_wrong_append_undoes_the_whole_batch
                facts_of_an_unknown_saga_are_an_error
                a_header_replaces_the_whole_row
                a_header_alone_leaves_the_journal
                a_header_of_an_older_state_is_refused
                pages_cover_the_journal
                a_large_batch_is_written_whole
            }
            wake {
                recovery_pages_through_what_was_in_memory
                what_is_due_is_claimed_once_and_soonest_first
                a_claimed_saga_is_recovered_by_the_next_owner
                stale_leases_claim_nothing
                claims_at_once_never_share_a_saga
                one_parked_saga_is_claimed_by_name
            }
            lock {
                free_keys_are_granted_at_once
                a_grant_takes_the_saga_into_memory
                a_grant_at_once_is_told_in_the_same_write
                a_grant_at_once_sets_the_status
                a_saga_that_may_not_start_holds_its_place
                a_repeated_grant_raises_the_tokens
                a_release_wakes_exactly_the_next
                a_saga_of_several_keys_waits_for_all_of_them
                a_waiter_that_leaves_wakes_nobody_who_was_first_before
                a_waiter_that_leaves_lets_the_next_but_one_move_up
                one_batch_may_release_and_accept
                one_batch_grants_a_key_once
                a_release_before_the_end_lets_the_next_run
                a_release_grants_the_next_its_keys
                who_may_not_be_granted_its_keys_is_woken
                a_paused_saga_is_not_granted_what_it_waits_for
                a_woken_saga_is_due_even_if_it_was_in_memory
                tokens_grow_with_every_grant
                crossing_keys_never_deadlock
            }
            requeue {
                a_requeued_holder_comes_last_and_the_next_is_woken
                a_requeued_saga_that_is_alone_is_woken_itself
                a_grant_in_the_same_batch_comes_after_the_requeue
                a_new_saga_of_the_same_batch_comes_after_the_requeued
                several_keys_are_requeued_together
                several_requeued_sagas_keep_their_order
                a_requeued_waiter_leaves_the_holder_alone
                a_release_and_a_requeue_in_one_batch_wake_who_is_left
                a_saga_without_tickets_stays_without
                requeues_at_once_never_deadlock
            }
            queue {
                keys_in_use_are_listed_in_order
                a_key_tells_its_holder_and_its_queue
                between_two_holders_a_key_has_none
                a_saga_sees_where_it_stands
                a_partition_tells_who_holds_keys
                only_a_newest_lease_sees_holders
                tokens_grow_past_forgetting
                keys_in_use_are_never_forgotten
                forgetting_goes_on_beside_grants
            }
            inbox {
                items_wait_for_the_owner_in_order
                a_second_post_changes_nothing
                an_answer_is_kept
                stale_leases_see_no_items
            }
            list {
                every_filter_chooses
                filters_join
                pages_hold_every_saga_once
                an_id_that_comes_again_is_found_by_what_it_is_now
                a_summary_names_the_partition
                counts_stop_at_the_limit
                retention_takes_all_that_belongs_to_a_saga
                retention_spares_nested_sagas_of_live_ones
                retention_spares_what_lives_or_ended_late
            }
            page {
                every_condition_shows_what_fits_once_and_in_order
                pages_of_many_show_what_fits_once_and_in_order
                a_prefix_puts_ids_in_order
            }
            registry {
                versions_count_from_one
                the_same_content_is_stored_once
                a_definition_inside_a_request_gets_no_version
                a_definition_may_get_its_version_later
                definitions_at_once_get_different_versions
                definitions_are_listed_by_name
                participants_have_revisions
                every_change_of_participants_is_seen
                definitions_name_participants
                the_secret_stays
                a_fresh_store_is_ready
            }
        }
    };
    (@cases $make:ident; $($group:ident { $($case:ident)+ })+) => {
        $($crate::store_conformance! { @group $make; $group { $($case)+ } })+
    };
    (@group $make:ident; $group:ident { $($case:ident)+ }) => {
        mod $group {
            $(
                #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
                async fn $case() {
                    let (store, _kept) = super::$make().await;
                    $crate::testing::conformance::$group::$case(store).await;
                }
            )+
        }
    };
}
