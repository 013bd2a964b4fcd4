//! What verifiers must refuse, as it is recorded and told.

use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use super::fixtures::{LIFETIME, begin_session, create, ending, event, now, race};
use crate::revocation::{Revocation, RevokedTokens};
use crate::store::{EventFilter, NewSession, RevocationFeed, Revoked, Store};
use crate::{RevocationReason, SessionId};

/// Longer than any news may take.
const PATIENCE: Duration = Duration::from_secs(20);

const LOGOUT: RevocationReason = RevocationReason::Logout;

fn of_session(id: SessionId) -> Revocation {
    let until = ending(LOGOUT).remembered_until;
    Revocation::new(RevokedTokens::OfSession(id), until)
}

async fn follow(store: &Arc<dyn Store>) -> Box<dyn RevocationFeed> {
    store.follow_revocations().await.unwrap()
}

/// Everything that has been committed by now.
async fn told(feed: &mut dyn RevocationFeed) -> Vec<Revocation> {
    let complete = async {
        let mut told = Vec::new();
        loop {
            let news = feed.next().await.unwrap();
            told.extend(news.revocations);
            if news.is_complete {
                return told;
            }
        }
    };
    tokio::time::timeout(PATIENCE, complete).await.unwrap()
}

async fn log_out(store: &Arc<dyn Store>, id: SessionId) {
    let ended = store.revoke_session(id, &ending(LOGOUT), &event()).await;
    ended.unwrap();
}

/// A feed tells what was revoked before it began and after, to each who follows.
pub async fn s7_7_a_feed_tells_what_was_revoked_before_it_and_since(store: Arc<dyn Store>) {
    let alice = create(&store, "alice").await;
    let before = begin_session(&store, &alice).await.id;
    let since = begin_session(&store, &alice).await.id;
    log_out(&store, before).await;
    let (mut one, mut other) = (follow(&store).await, follow(&store).await);
    for feed in [&mut one, &mut other] {
        assert_eq!(told(feed.as_mut()).await, [of_session(before)]);
    }
    log_out(&store, since).await;
    for feed in [&mut one, &mut other] {
        let told = told(feed.as_mut()).await;
        assert!(told.contains(&of_session(since)), "{told:?}");
    }
}

/// A session that has ended before is not revoked again; an expired one is, for other clocks.
pub async fn s7_7_a_session_is_revoked_once(store: Arc<dyn Store>) {
    let alice = create(&store, "alice").await;
    let id = begin_session(&store, &alice).await.id;
    let expired = NewSession::new(alice.user.id, now() - LIFETIME, now());
    let begun = store
        .create_session(&expired, &alice.password_hash, &event())
        .await;
    assert!(begun.unwrap().is_some());
    for _ in 0..2 {
        log_out(&store, id).await;
        log_out(&store, expired.id).await;
    }
    log_out(&store, SessionId::generate()).await;
    let told = told(follow(&store).await.as_mut()).await;
    assert_eq!(told, [of_session(id), of_session(expired.id)]);
}

/// Ending the sessions of a user revokes each but the excepted one.
pub async fn s7_10_each_session_of_the_user_is_revoked(store: Arc<dyn Store>) {
    let [alice, bob] = [create(&store, "alice").await, create(&store, "bob").await];
    let kept = begin_session(&store, &alice).await.id;
    let others = [
        begin_session(&store, &alice).await.id,
        begin_session(&store, &alice).await.id,
    ];
    let bobs = begin_session(&store, &bob).await.id;
    let ended = store
        .revoke_user_sessions(alice.user.id, Some(kept), &ending(LOGOUT), &event())
        .await;
    let ended = ended.unwrap();
    assert_eq!((ended.live, ended.sessions.len()), (2, 2));
    assert!(others.iter().all(|id| ended.sessions.contains(id)));
    let told = told(follow(&store).await.as_mut()).await;
    assert_eq!(told.len(), 2);
    assert!(others.iter().all(|id| told.contains(&of_session(*id))));
    for id in [kept, bobs] {
        let session = store.find_session(id).await.unwrap().unwrap();
        assert_eq!(session.revoked_at, None);
    }
}

/// Ending every session is one revocation.
pub async fn s7_10_everybodys_sessions_end_at_once(store: Arc<dyn Store>) {
    let [alice, bob] = [create(&store, "alice").await, create(&store, "bob").await];
    let sessions = [
        begin_session(&store, &alice).await.id,
        begin_session(&store, &bob).await.id,
    ];
    let ending = ending(RevocationReason::Administrative);
    let ended = store.revoke_all_sessions(&ending, &event()).await;
    assert_eq!(ended.unwrap(), 2);
    for id in sessions {
        let session = store.find_session(id).await.unwrap().unwrap();
        assert_eq!(session.revoked_at, Some(now()));
    }
    let issued_before = ending.issued_before;
    let all = RevokedTokens::All { issued_before };
    let told = told(follow(&store).await.as_mut()).await;
    assert_eq!(told, [Revocation::new(all, ending.remembered_until)]);
}

/// Sessions from before a time end, and later ones go on; one revocation is for the tokens of all.
pub async fn sessions_that_began_before_a_time_end(store: Arc<dyn Store>) {
    let alice = create(&store, "alice").await;
    let old = begin_session(&store, &alice).await.id;
    let later = now() + Duration::from_micros(1);
    let new = NewSession::new(alice.user.id, later, later + LIFETIME);
    let of_login = event();
    let begun = store.create_session(&new, &alice.password_hash, &of_login);
    assert!(begun.await.unwrap().is_some());
    let ending = ending(RevocationReason::Administrative);
    for expected in [1, 0] {
        let told = event();
        let ended = store.revoke_sessions_begun_before(later, &ending, &told);
        assert_eq!(ended.await.unwrap(), expected);
    }
    let session = store.find_session(old).await.unwrap().unwrap();
    assert_eq!(session.revoked_at, Some(now()));
    let session = store.find_session(new.id).await.unwrap().unwrap();
    assert_eq!(session.revoked_at, None);
    let issued_before = ending.issued_before;
    let all = RevokedTokens::All { issued_before };
    let told = told(follow(&store).await.as_mut()).await;
    assert_eq!(told, [Revocation::new(all, ending.remembered_until); 2]);
}

/// A session that makes room for another is revoked like one that was logged out.
pub async fn s7_5_a_session_beyond_the_bound_is_revoked(store: Arc<dyn Store>) {
    let alice = create(&store, "alice").await;
    let first = begin_session(&store, &alice).await.id;
    let second = NewSession {
        at_most: NonZeroU32::MIN,
        remembered_until: ending(LOGOUT).remembered_until,
        ..NewSession::new(alice.user.id, now(), now() + LIFETIME)
    };
    let told_of = event();
    let begun = store.create_session(&second, &alice.password_hash, &told_of);
    let displaced = Some(Revoked::of_sessions(vec![first], 1));
    assert_eq!(begun.await.unwrap(), displaced);
    let events = store.list_events(&EventFilter::default()).await.unwrap();
    assert!(events.contains(&told_of.displacing(first)), "{events:?}");
    let told = told(follow(&store).await.as_mut()).await;
    assert_eq!(told, [of_session(first)]);
}

/// Of many revocations at once, none is missed by who follows meanwhile.
pub async fn s7_7_a_feed_misses_none_of_many_revocations_at_once(store: Arc<dyn Store>) {
    let alice = create(&store, "alice").await;
    let mut ids = Vec::new();
    for _ in 0..40 {
        ids.push(begin_session(&store, &alice).await.id);
    }
    let ids = Arc::new(ids);
    let mut feed = follow(&store).await;
    let follower = tokio::spawn({
        let ids = Arc::clone(&ids);
        async move {
            let mut all = Vec::new();
            while !ids.iter().all(|id| all.contains(&of_session(*id))) {
                all.extend(told(feed.as_mut()).await);
            }
        }
    });
    race(ids.len(), |index| {
        let (store, ids) = (Arc::clone(&store), Arc::clone(&ids));
        async move { log_out(&store, *ids.get(index).unwrap()).await }
    })
    .await;
    let told = tokio::time::timeout(PATIENCE, follower).await;
    told.unwrap().unwrap();
}

/// What no token can need any more goes, no more at once than was asked for.
pub async fn s12_6_removes_expired_revocations(store: Arc<dyn Store>) {
    let alice = create(&store, "alice").await;
    for _ in 0..3 {
        let id = begin_session(&store, &alice).await.id;
        log_out(&store, id).await;
    }
    let until = ending(LOGOUT).remembered_until;
    assert_eq!(store.remove_revocations(until, 10).await.unwrap(), 0);
    let later = until + Duration::from_micros(1);
    assert_eq!(store.remove_revocations(later, 2).await.unwrap(), 2);
    assert_eq!(store.remove_revocations(later, 2).await.unwrap(), 1);
    assert_eq!(told(follow(&store).await.as_mut()).await, []);
}
