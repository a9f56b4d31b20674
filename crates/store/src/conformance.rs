//! What every store does, each behaviour a small test with a name; a store's own tests run all of
//! them unchanged through [`conformance_tests!`](crate::conformance_tests).
//!
//! ```text
//! amends_store::conformance_tests!(MyInstallation::new());
//! ```

use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};
use std::thread::{self, Thread};

use crate::{BoxFuture, Store};

mod append;
mod audit;
mod checkpoint;
mod claims;
mod cursors;
mod cut;
mod definitions;
pub mod differential;
mod due;
mod epochs;
mod given;
mod inline;
mod list;
mod orphans;
mod paging;
mod reopen;
mod replay;
mod retention;
mod rows;
mod segments;
mod sequence;

pub use inline::inline;

/// A place where a store keeps its data: empty when made, the same data at every opening.
pub trait Installation: Send + Sync {
    /// Opens the store. The one opened before has been closed.
    fn open(&self) -> BoxFuture<'_, Store>;
}

/// One thing that every store does.
pub struct Behaviour {
    /// What it is about.
    pub topic: &'static str,
    /// What it is.
    pub name: &'static str,
    /// Panics when a store does otherwise. The installation is an empty one.
    pub run: for<'a> fn(&'a dyn Installation) -> BoxFuture<'a, ()>,
}

macro_rules! behaviours {
    ($($topic:ident { $($name:ident)* })*) => {
        /// All of them, by topic.
        pub const BEHAVIOURS: &[Behaviour] = &[$($(Behaviour {
            topic: stringify!($topic),
            name: stringify!($name),
            run: |installation| Box::pin($topic::$name(installation)),
        },)*)*];
    };
}

/// Hands the list of behaviours to another macro.
#[doc(hidden)]
#[macro_export]
macro_rules! __with_behaviours {
    ($($then:tt)*) => { $($then)*! {
        append {
            a_record_is_read_back_as_it_was_written
            positions_grow_with_every_append
            many_sagas_go_into_one_batch
            an_empty_batch_is_answered
            an_entry_without_events_is_malformed
            a_batch_over_the_limit_is_too_large
            a_batch_of_a_megabyte_is_read_back
            appends_of_many_shards_at_once_are_all_there
            a_closed_journal_says_so
            size_grows_with_what_is_held
        }
        sequence {
            the_first_event_is_number_one
            a_gap_is_refused
            a_repeat_is_refused
            a_refused_batch_leaves_nothing_behind
            two_entries_of_one_saga_follow_each_other_in_a_batch
            a_refused_batch_does_not_hold_up_others
            a_saga_goes_on_after_its_checkpoint
            a_saga_goes_on_after_its_checkpoint_and_reopening
        }
        epochs {
            a_shard_that_nobody_owns_is_not_written
            a_newer_owner_fences_the_older
            an_epoch_that_was_never_given_is_refused
            shards_have_owners_of_their_own
            an_epoch_outlives_reopening
            a_stale_owner_takes_no_claim
        }
        claims {
            a_key_is_held_by_the_saga_that_claimed_it
            a_second_start_is_told_the_first
            a_rejected_entry_leaves_the_others_in
            two_starts_in_one_batch_cannot_share_a_key
            later_entries_of_a_rejected_saga_are_left_out_too
            all_claims_of_an_entry_or_none
            kinds_and_scopes_do_not_meet
            a_business_key_is_free_after_its_release
            an_idempotency_key_is_not_released
            a_release_of_a_key_that_another_holds_changes_nothing
            a_saga_may_claim_and_release_in_one_entry
            a_claim_outlives_its_checkpoint
            a_release_after_the_checkpoint_frees_the_key
            a_release_in_the_tail_outlives_reopening
            a_claim_outlives_checkpoint_cut_and_reopening
            a_claim_in_the_tail_outlives_reopening
            a_key_that_went_from_saga_to_saga_is_the_last_ones
        }
        replay {
            nothing_is_replayed_from_an_empty_journal
            records_come_in_order_and_without_a_gap
            replay_starts_after_the_place_asked
            rejected_entries_are_not_replayed
            claims_and_releases_are_replayed
            a_long_journal_is_read_in_pages
            replay_before_the_cut_says_so
        }
        cut {
            what_the_catalog_does_not_hold_is_not_cut
            what_the_catalog_holds_is_cut
            a_cut_never_goes_back
            positions_go_on_after_everything_is_cut
            a_cut_makes_the_journal_smaller
        }
        cursors {
            a_cursor_holds_back_the_cut
            the_slowest_cursor_counts
            a_cursor_outlives_reopening
            a_cursor_does_not_go_back
            a_cursor_does_not_pass_the_end
            a_new_cursor_stands_at_the_cut
            a_forgotten_cursor_holds_back_nothing
        }
        checkpoint {
            a_checkpoint_moves_the_catalogs_place
            a_checkpoint_twice_is_a_checkpoint_once
            an_older_row_changes_nothing
            a_row_of_the_same_seq_replaces_the_row_alone
            a_part_of_a_checkpoint_leaves_the_place
            a_checkpoint_ahead_of_the_journal_is_refused
            a_row_ahead_of_the_journal_is_refused
            a_checkpoint_that_leaves_a_saga_out_is_refused
            a_checkpoint_that_leaves_out_a_saga_that_moved_again_is_refused
            a_row_newer_than_the_checkpoint_need_not_come_again
            events_that_do_not_follow_are_refused
            a_saga_twice_in_a_checkpoint_is_malformed
            a_refused_checkpoint_leaves_nothing_behind
        }
        rows {
            every_column_comes_back
            a_row_without_options_comes_back
            a_saga_that_is_not_there_is_none
            counts_follow_the_states
            a_row_of_many_kilobytes_comes_back
            a_quarantined_saga_is_found_and_not_recovered
            a_quarantined_saga_needs_a_person_and_is_stuck
            a_quarantined_saga_does_not_expire
            those_that_are_stuck_are_counted
            a_quarantine_of_nothing_says_so
            a_quarantined_row_may_come_by_checkpoint
        }
        segments {
            a_history_in_one_part_comes_back
            a_history_in_many_parts_comes_back_in_order
            histories_of_many_sagas_do_not_mix
        }
        list {
            the_newest_comes_first
            the_oldest_comes_first_when_asked
            by_type_and_state
            by_live_and_paused
            by_attention
            by_stuck
            by_business_key_of_running_and_ended_sagas
            by_created_and_updated
            by_the_beginning_of_an_id
            by_a_business_key_typed_as_text
            filters_add_up
            a_row_that_changed_is_listed_once_where_it_now_belongs
            as_of_is_the_catalogs_place
        }
        paging {
            pages_give_every_saga_once
            pages_of_sagas_of_one_moment_give_every_saga_once
            pages_of_a_filter_give_every_fit_once
            a_page_has_at_most_a_thousand_rows
            a_limit_of_nothing_is_malformed
            a_range_that_ends_before_it_begins_is_malformed
        }
        due {
            what_is_due_comes_in_order
            what_is_due_is_read_in_pages
            live_sagas_come_with_those_without_a_time_first
            shards_are_apart
            a_saga_that_is_over_is_not_live
            a_due_time_that_moved_counts_once
            live_sagas_come_with_their_history
        }
        definitions {
            a_definition_comes_back
            the_same_definition_twice_changes_nothing
            a_version_with_other_content_is_refused
            definitions_are_listed_by_type_and_version
            a_definition_outlives_reopening
            a_note_is_the_last_one_kept_and_outlives_reopening
        }
        retention {
            an_expired_saga_is_deleted_with_its_history
            a_saga_that_is_not_closed_stays
            a_live_saga_stays
            the_longest_expired_go_first
            claims_go_with_their_saga
            a_saga_that_moved_after_the_checkpoint_stays
            an_id_may_start_anew_after_its_deletion
        }
        audit {
            entries_are_numbered_and_chained
            the_chain_goes_on_after_reopening
            entries_of_one_saga
            entries_are_read_in_pages
        }
        orphans {
            an_orphan_is_kept_whole
            orphans_are_numbered_and_read_in_pages
            a_removed_orphan_is_gone_and_its_number_with_it
        }
        reopen {
            everything_acknowledged_is_there
            the_tail_is_what_the_catalog_does_not_hold
            a_checkpoint_after_reopening_takes_in_the_tail
            an_empty_store_reopens
            closing_twice_is_closing_once
        }
    }};
}

__with_behaviours!(behaviours);

/// Makes one `#[test]` of each behaviour; the argument makes an empty [`Installation`].
#[macro_export]
macro_rules! conformance_tests {
    ($installation:expr) => {
        fn __conforms(topic: &str, name: &str) {
            $crate::conformance::run(topic, name, &$installation);
        }
        $crate::__with_behaviours!($crate::__conformance_tests);
    };
}

#[doc(hidden)]
#[macro_export]
macro_rules! __conformance_tests {
    ($($topic:ident { $($name:ident)* })*) => {$(
        mod $topic {
            $(#[test]
            fn $name() {
                super::__conforms(stringify!($topic), stringify!($name));
            })*
        }
    )*};
}

/// Runs one behaviour against an empty installation.
///
/// # Panics
/// When the store does otherwise, or when there is no such behaviour.
pub fn run(topic: &str, name: &str, installation: &dyn Installation) {
    let named = |behaviour: &&Behaviour| behaviour.topic == topic && behaviour.name == name;
    let behaviour = BEHAVIOURS.iter().find(named);
    let behaviour = behaviour.unwrap_or_else(|| panic!("no behaviour {topic}::{name}"));
    block_on((behaviour.run)(installation));
}

/// Runs all of them, each against an installation of its own.
pub fn run_all(installation: impl Fn() -> Box<dyn Installation>) {
    for behaviour in BEHAVIOURS {
        block_on((behaviour.run)(installation().as_ref()));
    }
}

/// Waits for a future on this thread: the suite asks for no runtime.
pub fn block_on<T>(future: impl Future<Output = T>) -> T {
    struct Unpark(Thread);
    impl Wake for Unpark {
        fn wake(self: Arc<Self>) {
            self.0.unpark();
        }
    }
    let waker = Waker::from(Arc::new(Unpark(thread::current())));
    let mut future = pin!(future);
    loop {
        match future.as_mut().poll(&mut Context::from_waker(&waker)) {
            Poll::Ready(value) => return value,
            Poll::Pending => thread::park(),
        }
    }
}
