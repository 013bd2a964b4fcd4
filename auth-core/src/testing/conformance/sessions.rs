//! Sessions: beginning, rotation, revocation, and their races.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use super::fixtures::{
    CROWD, LIFETIME, begin_session, create, ending, event, event_at, hash, new_user, now, race,
};
use crate::store::{NewSession, SessionRotation, Store};
use crate::{
    Generation, RevocationReason, Roles, Session, SessionId, SessionOwner, Timestamp, UserId,
};

const LOGOUT: RevocationReason = RevocationReason::Logout;

/// Every field of a session comes back as it was given, with its owner's.
pub async fn finds_a_session_as_it_was_begun(store: Arc<dyn Store>) {
    let mut admin = new_user("admin");
    admin.user.is_superuser = true;
    admin.user.roles = Roles::parse(["auditor"]).unwrap();
    admin.user.email_verified_at = Some(now());
    store.create_user(&admin, None, &event()).await.unwrap();
    let alice = create(&store, "alice").await;
    for user in [admin, alice] {
        let session = begin_session(&store, &user).await;
        let owner = SessionOwner {
            is_superuser: user.user.is_superuser,
            roles: user.user.roles.clone(),
            email_verified: user.user.email_verified_at.is_some(),
            ..SessionOwner::new(user.user.id)
        };
        let expected = Session::new(session.id, owner, session.created_at, session.expires_at);
        let found = store.find_session(session.id).await.unwrap();
        assert_eq!(found, Some(expected));
    }
    let none = store.find_session(SessionId::generate()).await.unwrap();
    assert_eq!(none, None);
}

/// Of many who ask at once, for sessions that are there or not, each gets its own.
pub async fn finds_each_session_of_many_at_once(store: Arc<dyn Store>) {
    let mut begun = Vec::new();
    for number in 0..CROWD / 4 {
        let user = create(&store, &format!("user-{number}")).await;
        let session = begin_session(&store, &user).await;
        let owner = SessionOwner {
            email_verified: user.user.email_verified_at.is_some(),
            ..SessionOwner::new(user.user.id)
        };
        let session = Session::new(session.id, owner, session.created_at, session.expires_at);
        begun.push(session);
    }
    let answers = race(CROWD, |index| {
        let store = Arc::clone(&store);
        // Two ask for the same one, and one in three for none.
        let expected = begun.get(index / 2).filter(|_| index % 3 > 0).cloned();
        async move {
            let id = expected.as_ref().map(|session| session.id);
            let asked = id.unwrap_or_else(SessionId::generate);
            (expected, store.find_session(asked).await.unwrap())
        }
    })
    .await;
    for (expected, found) in answers {
        assert_eq!(found, expected);
    }
}

/// A user's live sessions are listed, those that began last first, with all their fields.
pub async fn lists_the_live_sessions_of_a_user(store: Arc<dyn Store>) {
    let alice = create(&store, "alice").await;
    let bob = create(&store, "bob").await;
    begin_session(&store, &bob).await;
    let mut begun = Vec::new();
    for seconds in [0, 2, 1] {
        let at = now() + Duration::from_secs(seconds);
        let mut session = NewSession::new(alice.user.id, at, at + LIFETIME);
        session.client = Some([192, 0, 2, 1].into());
        let told = event();
        let outcome = store.create_session(&session, &alice.password_hash, &told);
        assert!(outcome.await.unwrap().is_some());
        begun.push(session.id);
    }
    let [first, last, middle] = begun.try_into().unwrap();
    let ids = async |at, limit| {
        let listed = store.list_sessions(alice.user.id, at, limit).await.unwrap();
        for session in &listed {
            let found = store.find_session(session.id).await.unwrap();
            assert_eq!(found.as_ref(), Some(session));
            assert_eq!(session.client, Some([192, 0, 2, 1].into()));
        }
        listed.iter().map(|session| session.id).collect::<Vec<_>>()
    };
    assert_eq!(ids(now(), 10).await, [last, middle, first]);
    assert_eq!(ids(now(), 2).await, [last, middle]);
    let in_the_end = now() + LIFETIME + Duration::from_secs(1);
    assert_eq!(ids(in_the_end, 10).await, [last], "the others have expired");
    let ended = store
        .revoke_session(middle, &ending(LOGOUT), &event())
        .await;
    assert!(ended.unwrap().is_some());
    assert_eq!(ids(now(), 10).await, [last, first]);
    let nobody = store.list_sessions(UserId::generate(), now(), 10).await;
    assert_eq!(nobody.unwrap(), []);
}

/// A user who may not log in, or does not exist, begins no session.
pub async fn s9_3_begins_no_session_for_an_inactive_user(store: Arc<dyn Store>) {
    let mut inactive = new_user("inactive");
    inactive.user.is_active = false;
    store.create_user(&inactive, None, &event()).await.unwrap();
    for id in [inactive.user.id, UserId::generate()] {
        let session = NewSession::new(id, now(), now() + LIFETIME);
        let begun = store
            .create_session(&session, &inactive.password_hash, &event())
            .await;
        assert_eq!(begun.unwrap(), None);
        assert_eq!(store.find_session(session.id).await.unwrap(), None);
    }
}

/// A login that checked a password which has been changed since begins no session.
pub async fn begins_no_session_after_the_password_has_changed(store: Arc<dyn Store>) {
    let alice = create(&store, "alice").await;
    let another = hash("another");
    let replaced = store.replace_password_hash(alice.user.id, &alice.password_hash, &another);
    assert!(replaced.await.unwrap());
    let session = NewSession::new(alice.user.id, now(), now() + LIFETIME);
    let begun = store
        .create_session(&session, &alice.password_hash, &event())
        .await;
    assert_eq!(begun.unwrap(), None);
    assert_eq!(store.find_session(session.id).await.unwrap(), None);
}

/// Each rotation counts one up from the generation that was given, and from no other.
pub async fn moves_a_session_on_generation_by_generation(store: Arc<dyn Store>) {
    let alice = create(&store, "alice").await;
    let session = begin_session(&store, &alice).await;
    for number in 0..5_u32 {
        let at = now() + Duration::from_micros(number.into());
        let next = number + 1;
        for wrong in [number.wrapping_sub(1), next, u32::MAX] {
            assert_eq!(rotate(&store, session.id, wrong, at).await, None, "{wrong}");
        }
        let moved = rotate(&store, session.id, number, at).await.unwrap();
        assert_eq!(moved.generation, Generation::new(next));
        assert_eq!(moved.rotated_at, Some(at));
        assert_eq!(moved.used_at, Some(at));
        assert_eq!(moved.expires_at, session.expires_at);
        assert_eq!(store.find_session(session.id).await.unwrap(), Some(moved));
    }
    let none = rotate(&store, SessionId::generate(), 0, now()).await;
    assert_eq!(none, None);
}

/// A session ends at its expiry, to the microsecond.
pub async fn s7_4_an_expired_session_does_not_rotate(store: Arc<dyn Store>) {
    let alice = create(&store, "alice").await;
    let session = begin_session(&store, &alice).await;
    let end = session.expires_at;
    for too_late in [end, end + Duration::from_secs(1)] {
        assert_eq!(rotate(&store, session.id, 0, too_late).await, None);
    }
    let just_in_time = end - Duration::from_micros(1);
    assert!(rotate(&store, session.id, 0, just_in_time).await.is_some());
}

/// Of many rotations from one generation at once, one happens.
pub async fn s7_8_of_many_rotations_of_one_generation_one_succeeds(store: Arc<dyn Store>) {
    let alice = create(&store, "alice").await;
    let id = begin_session(&store, &alice).await.id;
    let outcomes = race(CROWD, |_| {
        let store = Arc::clone(&store);
        async move { rotate(&store, id, 0, now()).await }
    })
    .await;
    let moved: Vec<_> = outcomes.into_iter().flatten().collect();
    assert_eq!(moved.len(), 1);
    let found = store.find_session(id).await.unwrap();
    assert_eq!(found.as_ref(), moved.first());
    assert_eq!(found.unwrap().generation, Generation::new(1));
}

/// Rotations race a revocation: none that starts after its acknowledgement succeeds.
pub async fn s7_7_no_rotation_succeeds_after_the_revocation(store: Arc<dyn Store>) {
    let alice = create(&store, "alice").await;
    for revoker in [0, 10, 25, 49] {
        let id = begin_session(&store, &alice).await.id;
        let acknowledged = Arc::new(AtomicBool::new(false));
        race(50, |index| {
            let (store, acknowledged) = (Arc::clone(&store), Arc::clone(&acknowledged));
            async move {
                if index == revoker {
                    assert!(
                        store
                            .revoke_session(id, &ending(LOGOUT), &event())
                            .await
                            .unwrap()
                            .is_some()
                    );
                    acknowledged.store(true, Ordering::SeqCst);
                } else {
                    rotate_until_revoked(&store, id, &acknowledged).await;
                }
            }
        })
        .await;
        let session = store.find_session(id).await.unwrap().unwrap();
        assert_eq!(session.revoked_at, Some(now()));
        let current = session.generation.number();
        assert_eq!(rotate(&store, id, current, now()).await, None);
    }
}

async fn rotate_until_revoked(store: &Arc<dyn Store>, id: SessionId, acknowledged: &AtomicBool) {
    for _ in 0..5 {
        let too_late = acknowledged.load(Ordering::SeqCst);
        let session = store.find_session(id).await.unwrap().unwrap();
        let moved = rotate(store, id, session.generation.number(), now()).await;
        assert!(!too_late || moved.is_none(), "rotated after the revocation");
        assert!(!too_late || session.revoked_at.is_some(), "not seen");
    }
}

/// Of several revocations, one ends the session; its time stays.
pub async fn revokes_a_session_once(store: Arc<dyn Store>) {
    let alice = create(&store, "alice").await;
    let id = begin_session(&store, &alice).await.id;
    let outcomes = race(20, |_| {
        let store = Arc::clone(&store);
        async move {
            store
                .revoke_session(id, &ending(LOGOUT), &event())
                .await
                .unwrap()
        }
    })
    .await;
    assert_eq!(outcomes.into_iter().filter(Option::is_some).count(), 1);
    let later = now() + Duration::from_secs(1);
    for reason in [
        RevocationReason::ReuseDetected,
        RevocationReason::Administrative,
    ] {
        assert_eq!(
            store
                .revoke_session(id, &ending(reason), &event_at(later))
                .await
                .unwrap(),
            None
        );
    }
    let session = store.find_session(id).await.unwrap().unwrap();
    assert_eq!(session.revoked_at, Some(now()));
    let unknown = store
        .revoke_session(SessionId::generate(), &ending(LOGOUT), &event())
        .await;
    assert_eq!(unknown.unwrap(), None);
}

/// An expired session was not live, but is marked: to another node it may be live still.
pub async fn revokes_an_expired_session_too(store: Arc<dyn Store>) {
    let alice = create(&store, "alice").await;
    let session = begin_session(&store, &alice).await;
    let end = session.expires_at;
    let ended = store
        .revoke_session(session.id, &ending(LOGOUT), &event_at(end))
        .await;
    assert_eq!(ended.unwrap(), None);
    assert_eq!(rotate(&store, session.id, 0, now()).await, None);
}

/// The other sessions of the user go on.
pub async fn s7_9_revoking_a_session_leaves_others_alive(store: Arc<dyn Store>) {
    let alice = create(&store, "alice").await;
    let ended = begin_session(&store, &alice).await;
    let other = begin_session(&store, &alice).await;
    let outcome = store
        .revoke_session(ended.id, &ending(LOGOUT), &event())
        .await;
    assert_eq!(outcome.unwrap(), Some(alice.user.id));
    assert!(rotate(&store, other.id, 0, now()).await.is_some());
}

/// All sessions of the user end, and no other user's.
pub async fn s7_10_revokes_all_sessions_of_one_user(store: Arc<dyn Store>) {
    let alice = create(&store, "alice").await;
    let bob = create(&store, "bob").await;
    let bobs = begin_session(&store, &bob).await;
    let mut ended = Vec::new();
    for _ in 0..3 {
        ended.push(begin_session(&store, &alice).await.id);
    }
    let first = *ended.first().unwrap();
    let logout = store.revoke_session(first, &ending(LOGOUT), &event()).await;
    assert!(logout.unwrap().is_some());
    let expired = NewSession::new(alice.user.id, now() - LIFETIME, now());
    let begun = store
        .create_session(&expired, &alice.password_hash, &event())
        .await;
    assert!(begun.unwrap().is_some());
    ended.push(expired.id);

    let revoke = || async {
        let reason = RevocationReason::Administrative;
        let revoked = store
            .revoke_user_sessions(alice.user.id, None, &ending(reason), &event())
            .await;
        revoked.unwrap().live
    };
    assert_eq!(revoke().await, 2);
    assert_eq!(revoke().await, 0);
    for id in ended {
        let session = store.find_session(id).await.unwrap().unwrap();
        assert_eq!(session.revoked_at, Some(now()));
    }
    assert!(rotate(&store, bobs.id, 0, now()).await.is_some());
}

async fn rotate(
    store: &Arc<dyn Store>,
    id: SessionId,
    from: u32,
    at: Timestamp,
) -> Option<Session> {
    let rotation = SessionRotation::new(id, Generation::new(from), at);
    store.rotate_session(&rotation).await.unwrap()
}
