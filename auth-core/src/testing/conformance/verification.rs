//! The verification of e-mail addresses.

use std::sync::Arc;
use std::time::Duration;

use super::fixtures::{address, begin_session, create, event, event_at, new_user, now, race};
use crate::store::{EmailConfirmation, Store};
use crate::{Generation, UserId};

/// The address counts as verified from the time that was given, for the user and for sessions.
pub async fn marks_the_address_as_verified(store: Arc<dyn Store>) {
    let alice = create(&store, "alice").await;
    let session = begin_session(&store, &alice).await;
    let email = address("ALICE@Example.ORG");
    let begun = store.begin_email_verification(&email).await.unwrap();
    let (user, verification) = begun.unwrap();
    assert_eq!(user, alice.user);
    assert_eq!(verification, Generation::new(1));

    let before = store.find_session(session.id).await.unwrap().unwrap();
    assert!(!before.owner.email_verified);
    let confirmed = store
        .confirm_email(user.id, &email, verification, &event())
        .await;
    assert_eq!(confirmed.unwrap(), EmailConfirmation::Confirmed);
    let after = store.find_session(session.id).await.unwrap().unwrap();
    assert!(after.owner.email_verified);
    let user = store.find_user(user.id).await.unwrap().unwrap();
    assert_eq!(user.email_verified_at, Some(now()));

    let later = event_at(now() + Duration::from_secs(1));
    let again = store
        .confirm_email(user.id, &email, verification, &later)
        .await;
    assert_eq!(again.unwrap(), EmailConfirmation::AlreadyConfirmed);
    assert_eq!(store.find_user(user.id).await.unwrap(), Some(user));
}

/// Only the verification that was begun last confirms; after it every other is too late.
pub async fn s8_1_a_newer_verification_ends_the_earlier_ones(store: Arc<dyn Store>) {
    let alice = create(&store, "alice").await.user;
    let first = begin(&store, "alice@example.org").await;
    let second = begin(&store, "alice@example.org").await;
    assert_eq!(Some(second), first.next());
    let last = || store.find_email_verification(&alice.email);
    assert_eq!(last().await.unwrap(), Some((alice.clone(), second)));
    let confirm = |verification| {
        let (store, alice) = (Arc::clone(&store), alice.clone());
        async move {
            let outcome = store
                .confirm_email(alice.id, &alice.email, verification, &event())
                .await;
            outcome.unwrap()
        }
    };
    assert_eq!(confirm(first).await, EmailConfirmation::Superseded);
    let beyond = second.next().unwrap();
    assert_eq!(confirm(beyond).await, EmailConfirmation::Superseded);
    let beyond_any_column = Generation::new(u32::MAX);
    assert_eq!(
        confirm(beyond_any_column).await,
        EmailConfirmation::Superseded
    );
    let user = store.find_user(alice.id).await.unwrap().unwrap();
    assert_eq!(user.email_verified_at, None);
    assert_eq!(confirm(second).await, EmailConfirmation::Confirmed);
    assert_eq!(confirm(first).await, EmailConfirmation::AlreadyConfirmed);
    assert_eq!(last().await.unwrap(), None);
}

/// A verification confirms neither another address nor another user.
pub async fn s8_1_a_verification_is_bound_to_its_user_and_address(store: Arc<dyn Store>) {
    let alice = create(&store, "alice").await.user;
    let bob = create(&store, "bob").await.user;
    let verification = begin(&store, "alice@example.org").await;
    for (id, email) in [
        (alice.id, &bob.email),
        (alice.id, &address("alice2@example.org")),
        (bob.id, &alice.email),
        (UserId::generate(), &alice.email),
    ] {
        let outcome = store.confirm_email(id, email, verification, &event()).await;
        assert_eq!(outcome.unwrap(), EmailConfirmation::Superseded);
    }
    for user in [alice, bob] {
        assert_eq!(store.find_user(user.id).await.unwrap(), Some(user));
    }
}

/// Of many uses of one verification at once, one confirms and the rest come after it.
pub async fn s8_1_of_many_uses_of_a_verification_one_confirms(store: Arc<dyn Store>) {
    let alice = create(&store, "alice").await.user;
    let verification = begin(&store, "alice@example.org").await;
    let outcomes = race(20, |_| {
        let (store, alice) = (Arc::clone(&store), alice.clone());
        async move {
            let outcome = store
                .confirm_email(alice.id, &alice.email, verification, &event())
                .await;
            outcome.unwrap()
        }
    })
    .await;
    let count = |expected| outcomes.iter().filter(|&&o| o == expected).count();
    assert_eq!(count(EmailConfirmation::Confirmed), 1);
    assert_eq!(count(EmailConfirmation::AlreadyConfirmed), 19);
}

/// Nobody's address, a verified one and an inactive user's need no verification.
pub async fn begins_no_verification_that_nobody_needs(store: Arc<dyn Store>) {
    let mut verified = new_user("verified");
    verified.user.email_verified_at = Some(now());
    store.create_user(&verified, None, &event()).await.unwrap();
    let mut inactive = new_user("inactive");
    inactive.user.is_active = false;
    store.create_user(&inactive, None, &event()).await.unwrap();
    for email in [
        &verified.user.email,
        &inactive.user.email,
        &address("nobody@example.org"),
    ] {
        let begun = store.begin_email_verification(email).await.unwrap();
        assert!(begun.is_none(), "{email}");
    }
}

/// Verifications that begin at the same time get a number each.
pub async fn counts_verifications_begun_at_the_same_time(store: Arc<dyn Store>) {
    create(&store, "alice").await;
    let mut numbers = race(20, |_| {
        let store = Arc::clone(&store);
        async move { begin(&store, "alice@example.org").await.number() }
    })
    .await;
    numbers.sort_unstable();
    assert_eq!(numbers, (1..=20).collect::<Vec<_>>());
}

async fn begin(store: &Arc<dyn Store>, email: &str) -> Generation {
    let begun = store.begin_email_verification(&address(email)).await;
    begun.unwrap().unwrap().1
}
