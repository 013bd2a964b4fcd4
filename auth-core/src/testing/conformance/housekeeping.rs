//! Housekeeping: leases, and what goes when it is old.

use std::sync::Arc;
use std::time::Duration;

use super::fixtures::{
    CROWD, LEASE, LIFETIME, address, begin_session, claim_all, create, ending, event, mail_to, now,
    race,
};
use crate::store::Store;
use crate::{RevocationReason, Timestamp};

const MICROSECOND: Duration = Duration::from_micros(1);

/// A lease has one holder, until its time is over; leases of other names are others.
pub async fn s12_6_a_lease_is_held_by_one_until_it_ends(store: Arc<dyn Store>) {
    assert!(acquire(&store, "clean", now()).await);
    assert!(!acquire(&store, "clean", now()).await);
    assert!(acquire(&store, "count", now()).await);
    let end = now() + LEASE;
    assert!(!acquire(&store, "clean", end - MICROSECOND).await);
    assert!(acquire(&store, "clean", end).await);
    assert!(!acquire(&store, "clean", end).await);
}

/// Of many who want a lease, whether it is new or over, one gets it.
pub async fn s12_6_of_many_who_want_a_lease_one_gets_it(store: Arc<dyn Store>) {
    for at in [now(), now() + LEASE] {
        let takers = race(CROWD, |_| {
            let store = Arc::clone(&store);
            async move { acquire(&store, "clean", at).await }
        })
        .await;
        assert_eq!(takers.into_iter().filter(|taken| *taken).count(), 1);
    }
}

/// Sessions go when their time was over before the given one, revoked or not, a batch at a time.
pub async fn s12_6_removes_expired_sessions(store: Arc<dyn Store>) {
    let alice = create(&store, "alice").await;
    let revoked = begin_session(&store, &alice).await;
    let mut sessions = vec![revoked.id];
    for _ in 0..2 {
        sessions.push(begin_session(&store, &alice).await.id);
    }
    let end = ending(RevocationReason::Logout);
    let ended = store.revoke_session(revoked.id, &end, &event()).await;
    assert!(ended.unwrap().is_some());
    let over = now() + LIFETIME;
    assert_eq!(remove_sessions(&store, over, 10).await, 0);
    for id in &sessions {
        assert!(store.find_session(*id).await.unwrap().is_some());
    }
    let before = over + MICROSECOND;
    assert_eq!(remove_sessions(&store, before, 2).await, 2);
    assert_eq!(remove_sessions(&store, before, 2).await, 1);
    assert_eq!(remove_sessions(&store, before, 2).await, 0);
    for id in &sessions {
        assert!(store.find_session(*id).await.unwrap().is_none());
    }
}

/// Mails go when they were given up before the given time; those that are owed stay.
pub async fn s12_6_removes_abandoned_mails(store: Arc<dyn Store>) {
    for name in ["one", "two", "three"] {
        let mail = mail_to(&address(&format!("{name}@example.org")));
        store.enqueue_mail(&mail).await.unwrap();
    }
    for mail in claim_all(&store, now()).await {
        store.abandon_mail(&mail, now(), "550").await.unwrap();
    }
    let owed = mail_to(&address("four@example.org"));
    store.enqueue_mail(&owed).await.unwrap();
    assert_eq!(remove_mails(&store, now(), 10).await, 0);
    let before = now() + MICROSECOND;
    assert_eq!(remove_mails(&store, before, 2).await, 2);
    assert_eq!(remove_mails(&store, before, 2).await, 1);
    assert_eq!(remove_mails(&store, before + LIFETIME, 2).await, 0);
    let left = claim_all(&store, now()).await;
    let left: Vec<_> = left.iter().map(|mail| mail.id).collect();
    assert_eq!(left, [owed.id]);
}

/// Cleaners at once share the work, and none fails.
pub async fn s12_6_cleaners_at_once_share_the_work(store: Arc<dyn Store>) {
    let alice = create(&store, "alice").await;
    for _ in 0..20 {
        begin_session(&store, &alice).await;
    }
    let removed = race(10, |_| {
        let store = Arc::clone(&store);
        async move {
            let before = now() + LIFETIME + MICROSECOND;
            remove_sessions(&store, before, 20).await
        }
    })
    .await;
    assert_eq!(removed.into_iter().sum::<u64>(), 20);
}

async fn acquire(store: &Arc<dyn Store>, name: &str, at: Timestamp) -> bool {
    store.acquire_lease(name, at, at + LEASE).await.unwrap()
}

async fn remove_sessions(store: &Arc<dyn Store>, before: Timestamp, limit: u32) -> u64 {
    store.remove_expired_sessions(before, limit).await.unwrap()
}

async fn remove_mails(store: &Arc<dyn Store>, before: Timestamp, limit: u32) -> u64 {
    store.remove_abandoned_mails(before, limit).await.unwrap()
}
