//! What every [`Store`] must do, as tests.
//!
//! [`store_conformance!`](crate::store_conformance) makes a test of each case, in a module that it
//! names. It wants an async function that gives a fresh, empty, migrated store, and a guard that
//! is dropped after the test:
//!
//! ```
//! # #[cfg(feature = "sqlite")] mod example {
//! use std::sync::Arc;
//!
//! use auth_core::store::{SqliteStore, Store};
//!
//! async fn fresh_store() -> (Arc<dyn Store>, ()) {
//!     let store = SqliteStore::in_memory().await.unwrap();
//!     store.migrate().await.unwrap();
//!     (Arc::new(store), ())
//! }
//!
//! auth_core::store_conformance!(sqlite, fresh_store);
//! # }
//! ```
//!
//! What was acknowledged must also survive a crash: [`store_durability!`](crate::store_durability)
//! makes a test of it. Its function gives an async function besides, which breaks the store off as
//! hard as it knows how, and opens it again:
//!
//! ```
//! # #[cfg(feature = "sqlite")] mod example {
//! use std::fs;
//! use std::sync::Arc;
//!
//! use auth_core::store::{SqliteStore, Store};
//!
//! async fn store_to_crash() -> (Arc<dyn Store>, impl AsyncFnOnce() -> Arc<dyn Store>, ()) {
//!     let folder = tempfile::tempdir().unwrap();
//!     let store = SqliteStore::open(folder.path().join("auth.sqlite3")).await.unwrap();
//!     store.migrate().await.unwrap();
//!     let store: Arc<dyn Store> = Arc::new(store);
//!     let open = Arc::clone(&store);
//!     let crash = async move || {
//!         // What is in the files while the store is open is all that a process leaves that dies.
//!         let left = tempfile::tempdir().unwrap();
//!         for file in ["auth.sqlite3", "auth.sqlite3-wal"] {
//!             fs::copy(folder.path().join(file), left.path().join(file)).unwrap();
//!         }
//!         drop(open);
//!         let file = left.keep().join("auth.sqlite3");
//!         Arc::new(SqliteStore::open(file).await.unwrap()) as Arc<dyn Store>
//!     };
//!     (store, crash, ())
//! }
//!
//! auth_core::store_durability!(sqlite, store_to_crash);
//! # }
//! ```
#![expect(
    clippy::missing_panics_doc,
    clippy::unwrap_used,
    reason = "a case is a test: it panics when the store does not conform"
)]

mod accounts;
mod cancellation;
mod durability;
mod email_changes;
mod enrollments;
mod events;
mod fixtures;
mod housekeeping;
mod outbox;
mod revocations;
mod rotation;
mod sessions;
mod throttle;
mod user_list;
mod users;
mod verification;

use std::sync::Arc;

pub use self::accounts::*;
pub use self::cancellation::*;
pub use self::durability::*;
pub use self::email_changes::*;
pub use self::enrollments::*;
pub use self::events::*;
pub use self::housekeeping::*;
pub use self::outbox::*;
pub use self::revocations::*;
pub use self::rotation::*;
pub use self::sessions::*;
pub use self::throttle::*;
pub use self::user_list::*;
pub use self::users::*;
pub use self::verification::*;
use crate::store::Store;

/// Runs one case on a store of its own; what [`store_conformance!`](crate::store_conformance) calls.
pub fn run<G>(
    factory: impl AsyncFnOnce() -> (Arc<dyn Store>, G),
    case: impl AsyncFnOnce(Arc<dyn Store>),
) {
    runtime().block_on(async {
        let (store, guard) = factory().await;
        case(store).await;
        drop(guard);
    });
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .unwrap()
}

/// Runs a case that crashes the store; what [`store_durability!`](crate::store_durability) calls.
pub fn run_with_crash<C, G>(
    factory: impl AsyncFnOnce() -> (Arc<dyn Store>, C, G),
    case: impl AsyncFnOnce(Arc<dyn Store>, C),
) {
    runtime().block_on(async {
        let (store, crash, guard) = factory().await;
        case(store, crash).await;
        drop(guard);
    });
}

/// Makes a test of each [conformance](crate::testing::conformance) case that crashes the store.
///
/// The first argument names the module of the tests, the second the function that gives a store, an
/// async function that crashes it and opens it again, and a guard.
#[macro_export]
macro_rules! store_durability {
    ($module:ident, $factory:ident) => {
        mod $module {
            #[test]
            fn s7_6_s8_5_s15_4_what_was_acknowledged_survives_a_crash() {
                $crate::testing::conformance::run_with_crash(
                    super::$factory,
                    $crate::testing::conformance::s7_6_s8_5_s15_4_what_was_acknowledged_survives_a_crash,
                );
            }
        }
    };
}

/// Makes a test of each [conformance](crate::testing::conformance) case.
///
/// The first argument names the module of the tests, the second the function that gives a store.
#[macro_export]
macro_rules! store_conformance {
    ($module:ident, $factory:ident) => {
        $crate::store_conformance! {
            @cases $module $factory
            s3_1_refuses_a_username_that_differs_only_in_case
            s3_2_refuses_a_username_that_looks_like_another
            s3_2_of_many_registrations_of_one_skeleton_one_succeeds
            s3_2_fills_in_the_skeletons_of_users_who_were_there
            s3_4_refuses_an_address_that_differs_only_in_case
            tells_of_the_username_where_the_address_is_taken_too
            s8_5_creates_a_user_and_the_mail_or_neither
            s8_9_of_many_registrations_of_one_username_one_succeeds
            s8_9_of_many_registrations_of_one_address_one_succeeds
            s15_1_strings_are_data_whatever_they_hold
            s17_1_creates_the_first_superuser_once
            s17_1_of_many_first_superusers_one_is_created
            answers_the_check
            finds_a_user_as_it_was_created
            keeps_times_to_the_microsecond
            keeps_names_that_new_users_may_not_choose
            refuses_a_first_superuser_whose_name_is_taken
            lists_each_user_once_in_the_order_of_names
            pages_of_users_are_stable_under_writes
            finds_users_by_how_names_or_addresses_begin
            s1_2_replaces_a_password_hash_only_if_it_is_the_current_one
            s1_2_of_many_replacements_of_one_hash_one_succeeds
            s8_1_a_newer_verification_ends_the_earlier_ones
            s8_1_a_verification_is_bound_to_its_user_and_address
            s8_1_of_many_uses_of_a_verification_one_confirms
            begins_no_verification_that_nobody_needs
            counts_verifications_begun_at_the_same_time
            marks_the_address_as_verified
            s7_4_an_expired_session_does_not_rotate
            s7_4_an_idle_session_does_not_rotate
            s7_4_notes_the_use_of_a_live_session_that_was_unused
            s7_5_a_session_too_many_ends_the_oldest
            s7_5_of_many_logins_at_once_no_more_live_than_allowed
            a_session_follows_a_token_that_is_ahead
            s7_8_keeps_the_key_of_the_last_rotation
            s7_7_no_rotation_succeeds_after_the_revocation
            s7_8_of_many_rotations_of_one_generation_one_succeeds
            s9_3_begins_no_session_for_an_inactive_user
            begins_no_session_after_the_password_has_changed
            finds_a_session_as_it_was_begun
            finds_each_session_of_many_at_once
            lists_the_live_sessions_of_a_user
            moves_a_session_on_generation_by_generation
            revokes_a_session_once
            revokes_an_expired_session_too
            s7_9_revoking_a_session_leaves_others_alive
            s7_10_revokes_all_sessions_of_one_user
            claims_the_mail_that_has_waited_longest
            claims_no_mail_twice_while_the_lease_runs
            hands_each_mail_to_one_of_many_workers
            a_completed_mail_is_gone
            a_postponed_mail_waits
            an_abandoned_mail_stays_out_of_the_way
            a_claim_that_was_lost_changes_nothing
            holds_one_mail_of_a_kind_for_an_address
            takes_any_reason_for_the_operator
            s12_6_removes_events_from_before_a_time
            s14_4_an_act_and_its_event_are_one
            s14_4_an_act_that_is_done_again_is_told_of_once
            s14_4_lists_events_as_they_were_told
            s14_4_tells_of_a_login_that_begins_a_session
            s14_4_tells_of_a_logout_once_and_whose_it_was
            s14_4_tells_of_a_verification_once
            s14_4_tells_of_the_first_superuser_once
            finds_events_by_user_kind_request_and_time
            s9_2_a_demotion_ends_the_tokens_issued_before
            s9_2_other_roles_end_the_tokens_issued_before
            s9_3_a_deactivated_user_has_no_sessions
            s9_3_a_deleted_user_leaves_only_the_trail
            s7_10_a_new_password_ends_the_other_sessions
            s8_1_of_many_replacements_of_one_hash_one_succeeds
            an_unknown_account_is_left_alone
            a_change_of_everything_is_done_with_all_its_events
            a_change_that_is_refused_leaves_nothing
            the_last_active_superuser_stays
            of_acts_at_once_none_leaves_no_superuser
            s8_1_the_last_change_that_was_asked_for_is_pending
            only_active_users_ask_for_another_address
            s8_1_a_change_is_noted_with_the_proved_password_only
            s8_1_a_pending_change_ends_with_the_password
            s8_1_of_many_requests_at_once_one_is_pending
            s8_1_a_confirmed_address_is_verified
            s8_1_a_former_address_that_was_not_verified_has_no_say
            s8_1_of_many_uses_of_a_change_one_succeeds
            s3_4_an_address_that_was_taken_meanwhile_is_refused
            s7_10_an_undone_change_ends_the_sessions
            s8_1_an_undone_change_takes_the_later_ones_with_it
            s8_1_a_change_that_is_too_old_is_not_undone
            s8_1_a_former_address_is_reserved_while_it_can_come_back
            s8_1_nobody_slips_in_while_an_address_is_given_up
            s12_6_removes_old_changes_of_addresses
            finds_an_enrollment_as_it_was_begun
            s8_1_a_newer_enrollment_replaces_the_earlier
            s8_1_an_enrollment_is_completed_once
            s8_1_a_reserved_address_makes_no_user
            s8_9_a_taken_name_or_address_leaves_the_enrollment_pending
            s8_9_of_many_completions_of_an_enrollment_one_makes_a_user
            s8_9_of_many_completions_for_one_address_one_makes_a_user
            s8_9_of_many_sign_ups_with_one_address_at_once_five_stay
            fault_c3_the_first_that_is_completed_ends_the_others
            fault_c3_five_sign_ups_of_an_address_are_pending
            s12_6_removes_expired_enrollments
            s7_5_a_session_beyond_the_bound_is_revoked
            s7_7_a_feed_misses_none_of_many_revocations_at_once
            s7_7_a_feed_tells_what_was_revoked_before_it_and_since
            s7_7_a_session_is_revoked_once
            s7_10_each_session_of_the_user_is_revoked
            s7_10_everybodys_sessions_end_at_once
            sessions_that_began_before_a_time_end
            s12_6_removes_expired_revocations
            s5_1_a_block_ends_by_itself_and_doubles
            s5_5_a_login_settles_what_was_counted
            s5_5_a_refused_try_takes_nothing
            s5_6_budgets_in_any_order_never_deadlock
            s5_6_s15_2_of_many_tries_at_once_the_budget_admits_its_number
            s12_6_removes_tries_that_count_no_longer
            gives_tries_back
            s12_6_a_lease_is_held_by_one_until_it_ends
            s12_6_of_many_who_want_a_lease_one_gets_it
            s12_6_removes_expired_sessions
            s12_6_removes_abandoned_mails
            s12_6_cleaners_at_once_share_the_work
            s19_1_reads_that_are_cut_off_leave_nothing_behind
            s19_1_registrations_that_are_cut_off_leave_nothing_behind
            s19_1_logins_that_are_cut_off_leave_nothing_behind
            s19_1_refreshes_and_logouts_that_are_cut_off_leave_nothing_behind
            s19_1_changes_that_are_cut_off_leave_nothing_behind
            s19_1_sign_ups_and_mails_that_are_cut_off_leave_nothing_behind
        }
    };
    (@cases $module:ident $factory:ident $($case:ident)*) => {
        mod $module {
            $(
                #[test]
                fn $case() {
                    $crate::testing::conformance::run(
                        super::$factory,
                        $crate::testing::conformance::$case,
                    );
                }
            )*
        }
    };
}

#[cfg(test)]
mod tests {
    /// What SECURITY requires of stores when calls race, and when the store crashes.
    const ITEMS: [&str; 10] = [
        "s1_2_", "s3_2_", "s5_6_", "s7_5_", "s7_6_", "s7_7_", "s7_8_", "s8_5_", "s8_9_", "s17_1_",
    ];

    #[test]
    fn s15_4_the_suite_has_a_case_of_each_item_of_concurrency_and_durability() {
        let (cases, _) = include_str!("mod.rs").split_once("mod tests").unwrap();
        for item in ITEMS {
            assert!(cases.contains(item), "no case of {item}");
        }
    }

    #[test]
    fn every_case_is_stamped() {
        let list = include_str!("mod.rs");
        for source in [
            include_str!("users.rs"),
            include_str!("user_list.rs"),
            include_str!("verification.rs"),
            include_str!("rotation.rs"),
            include_str!("sessions.rs"),
            include_str!("outbox.rs"),
            include_str!("events.rs"),
            include_str!("throttle.rs"),
            include_str!("accounts.rs"),
            include_str!("email_changes.rs"),
            include_str!("enrollments.rs"),
            include_str!("revocations.rs"),
            include_str!("housekeeping.rs"),
            include_str!("cancellation.rs"),
            include_str!("durability.rs"),
        ] {
            for line in source.lines() {
                let Some(case) = line.strip_prefix("pub async fn ") else {
                    continue;
                };
                let case = case.split('(').next().unwrap();
                let is_listed = |line: &str| line.trim().trim_end_matches(',').ends_with(case);
                assert!(list.lines().any(is_listed), "{case}");
            }
        }
    }
}
