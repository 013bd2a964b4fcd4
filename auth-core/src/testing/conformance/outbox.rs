//! The outbox: claims, leases, and what ends them.

use std::sync::Arc;
use std::time::Duration;

use super::fixtures::{LEASE, address, claim_all, mail_to, now, race};
use crate::Timestamp;
use crate::store::{ClaimedMail, NewMail, Store};

/// Mails leave in the order in which they fell due, and none before.
pub async fn claims_the_mail_that_has_waited_longest(store: Arc<dyn Store>) {
    for seconds in [3, 1, 2] {
        let mut mail = mail_to(&address(&format!("user{seconds}@example.org")));
        mail.due = now() + Duration::from_secs(seconds);
        store.enqueue_mail(&mail).await.unwrap();
    }
    assert!(claim_all(&store, now()).await.is_empty());
    let mails = claim_all(&store, now() + Duration::from_secs(2)).await;
    let recipients: Vec<_> = mails.iter().map(|mail| mail.to.as_str()).collect();
    assert_eq!(recipients, ["user1@example.org", "user2@example.org"]);
}

/// A claimed mail is hidden for the lease, and due again when it is over.
pub async fn claims_no_mail_twice_while_the_lease_runs(store: Arc<dyn Store>) {
    let mail = enqueue(&store, "Alice@Example.org").await;
    let first = claim(&store, now()).await.unwrap();
    assert_eq!((first.id, first.kind), (mail.id, mail.kind));
    assert_eq!((&first.to, first.attempt), (&mail.to, 1));

    let end = now() + LEASE;
    let before = claim(&store, end - Duration::from_micros(1)).await;
    assert!(before.is_none());
    let second = claim(&store, end).await.unwrap();
    assert_eq!((second.id, second.attempt), (mail.id, 2));
}

/// Many workers at once share the mails out among themselves.
pub async fn hands_each_mail_to_one_of_many_workers(store: Arc<dyn Store>) {
    let mut owed = Vec::new();
    for index in 0..50 {
        owed.push(
            enqueue(&store, &format!("user{index}@example.org"))
                .await
                .id,
        );
    }
    let shares = race(10, |_| {
        let store = Arc::clone(&store);
        async move { claim_all(&store, now()).await }
    })
    .await;
    let mut claimed: Vec<_> = shares.into_iter().flatten().map(|mail| mail.id).collect();
    claimed.sort_unstable();
    owed.sort_unstable();
    assert_eq!(claimed, owed);
}

/// A mail that was sent is not sent again; the address may get another.
pub async fn a_completed_mail_is_gone(store: Arc<dyn Store>) {
    enqueue(&store, "alice@example.org").await;
    let claimed = claim(&store, now()).await.unwrap();
    store.complete_mail(&claimed).await.unwrap();
    store.complete_mail(&claimed).await.unwrap();
    assert!(claim(&store, after_the_lease()).await.is_none());
    let next = enqueue(&store, "alice@example.org").await;
    assert_eq!(claim(&store, now()).await.unwrap().id, next.id);
}

/// A mail that could not be sent comes back when it should.
pub async fn a_postponed_mail_waits(store: Arc<dyn Store>) {
    let mail = enqueue(&store, "alice@example.org").await;
    let claimed = claim(&store, now()).await.unwrap();
    let due = after_the_lease() + Duration::from_secs(60);
    let postponed = store.postpone_mail(&claimed, due, "450 greylisted");
    postponed.await.unwrap();
    let before = claim(&store, due - Duration::from_micros(1)).await;
    assert!(before.is_none());
    let again = claim(&store, due).await.unwrap();
    assert_eq!((again.id, again.attempt), (mail.id, 2));
}

/// A mail that was given up is never claimed, and does not keep a new one from being written.
pub async fn an_abandoned_mail_stays_out_of_the_way(store: Arc<dyn Store>) {
    for _ in 0..2 {
        let mail = enqueue(&store, "alice@example.org").await;
        let claimed = claim(&store, now()).await.unwrap();
        assert_eq!(claimed.id, mail.id);
        let abandoned = store.abandon_mail(&claimed, now(), "550 no such user");
        abandoned.await.unwrap();
        // Late calls of the same worker do not bring it back.
        let postponed = store.postpone_mail(&claimed, now(), "too late");
        postponed.await.unwrap();
        assert!(claim(&store, after_the_lease()).await.is_none());
    }
}

/// A worker whose lease is over and whose mail another has claimed can do nothing to it.
pub async fn a_claim_that_was_lost_changes_nothing(store: Arc<dyn Store>) {
    let mail = enqueue(&store, "alice@example.org").await;
    let lost = claim(&store, now()).await.unwrap();
    let current = claim(&store, after_the_lease()).await.unwrap();

    store.complete_mail(&lost).await.unwrap();
    let far = after_the_lease() + LEASE * 1000;
    store.postpone_mail(&lost, far, "lost").await.unwrap();
    store.postpone_mail(&lost, now(), "lost").await.unwrap();
    store.abandon_mail(&lost, now(), "lost").await.unwrap();

    assert!(claim(&store, after_the_lease()).await.is_none());
    let third = claim(&store, after_the_lease() + LEASE).await.unwrap();
    assert_eq!((third.id, third.attempt), (mail.id, 3));
    store.complete_mail(&current).await.unwrap();
    store.complete_mail(&third).await.unwrap();
    assert!(claim(&store, far).await.is_none());
}

/// Asking often owes one mail, also when all ask at once.
pub async fn holds_one_mail_of_a_kind_for_an_address(store: Arc<dyn Store>) {
    race(20, |index| {
        let store = Arc::clone(&store);
        async move {
            let spelling = if index % 2 == 0 { "alice" } else { "ALICE" };
            enqueue(&store, &format!("{spelling}@example.org")).await;
        }
    })
    .await;
    enqueue(&store, "bob@example.org").await;
    assert_eq!(claim_all(&store, now()).await.len(), 2);
}

/// A reason may quote a mail server's answer: long, and with any character.
pub async fn takes_any_reason_for_the_operator(store: Arc<dyn Store>) {
    enqueue(&store, "alice@example.org").await;
    let mut at = now();
    for reason in ["", "nul \0 and \u{1b}[31m", &"ü'\"".repeat(100_000)] {
        let claimed = claim(&store, at).await.unwrap();
        at = at + LEASE;
        store.postpone_mail(&claimed, at, reason).await.unwrap();
    }
    let claimed = claim(&store, at).await.unwrap();
    store.abandon_mail(&claimed, at, "\0").await.unwrap();
}

fn after_the_lease() -> Timestamp {
    now() + LEASE
}

async fn enqueue(store: &Arc<dyn Store>, to: &str) -> NewMail {
    let mail = mail_to(&address(to));
    store.enqueue_mail(&mail).await.unwrap();
    mail
}

async fn claim(store: &Arc<dyn Store>, at: Timestamp) -> Option<ClaimedMail> {
    store.claim_mail(at, LEASE).await.unwrap()
}
