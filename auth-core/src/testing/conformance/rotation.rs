//! What a rotation notes, and how a session's use and number are bounded.

use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use super::fixtures::{LIFETIME, begin_session, create, ending, event, now, race};
use crate::store::{EventFilter, NewSession, NewUser, SessionRotation, Store};
use crate::{
    Generation, IdempotencyKey, RevocationReason, RotationKey, Session, SessionId, Timestamp,
};

const MINUTE: Duration = Duration::from_secs(60);

async fn find(store: &Arc<dyn Store>, id: SessionId) -> Session {
    store.find_session(id).await.unwrap().unwrap()
}

/// The key of a rotation is kept until the next one, which may have none.
pub async fn s7_8_keeps_the_key_of_the_last_rotation(store: Arc<dyn Store>) {
    let alice = create(&store, "alice").await;
    let id = begin_session(&store, &alice).await.id;
    let keys = ["one", "two"].map(|text| {
        let key = IdempotencyKey::parse(text).unwrap();
        RotationKey::new(id, &key)
    });
    let expected = [Some(keys[0]), Some(keys[1]), None, Some(keys[0])];
    for (number, key) in (0..).zip(expected) {
        let rotation = SessionRotation {
            key,
            ..SessionRotation::new(id, Generation::new(number), now())
        };
        let moved = store.rotate_session(&rotation).await.unwrap().unwrap();
        assert_eq!(moved.rotation_key, key);
        // One that comes too late leaves it as it is.
        let late = SessionRotation {
            key: Some(keys[1]),
            ..rotation
        };
        assert_eq!(store.rotate_session(&late).await.unwrap(), None);
        assert_eq!(find(&store, id).await, moved);
    }
}

/// A session follows a token that is ahead, from where it is read and while it is live; with the
/// event.
pub async fn a_session_follows_a_token_that_is_ahead(store: Arc<dyn Store>) {
    let alice = create(&store, "alice").await;
    let session = begin_session(&store, &alice).await;
    let to = Generation::new(8);
    let follow = async |from, at| {
        let rotation = SessionRotation::new(session.id, Generation::new(from), at);
        let told = event();
        let moved = store.follow_session(&rotation, to, &told).await.unwrap();
        let events = store.list_events(&EventFilter::default()).await.unwrap();
        let is_told = events.iter().any(|event| event.id == told.id);
        assert_eq!(is_told, moved.is_some());
        moved
    };
    assert_eq!(follow(3, now()).await, None, "it is not there");
    assert_eq!(follow(0, session.expires_at).await, None, "it is over");
    let moved = follow(0, now()).await.unwrap();
    assert_eq!(moved.generation, to);
    assert_eq!(
        (moved.rotated_at, moved.used_at),
        (Some(now()), Some(now()))
    );
    assert_eq!(find(&store, session.id).await, moved);
    assert_eq!(follow(0, now()).await, None, "another was first");
    let reason = RevocationReason::Logout;
    let (ending, told) = (ending(reason), event());
    let logout = store.revoke_session(session.id, &ending, &told);
    assert!(logout.await.unwrap().is_some());
    assert_eq!(follow(8, now()).await, None, "it has ended");
}

/// A session that was used at the limit or before it does not rotate.
pub async fn s7_4_an_idle_session_does_not_rotate(store: Arc<dyn Store>) {
    let alice = create(&store, "alice").await;
    let id = begin_session(&store, &alice).await.id;
    let mut last_used = now();
    for number in 0..3 {
        let at = last_used + MINUTE;
        let rotation = SessionRotation::new(id, Generation::new(number), at);
        let idle = SessionRotation {
            used_after: Some(last_used),
            ..rotation
        };
        assert_eq!(store.rotate_session(&idle).await.unwrap(), None);
        let used = SessionRotation {
            used_after: Some(last_used - Duration::from_micros(1)),
            ..rotation
        };
        let moved = store.rotate_session(&used).await.unwrap().unwrap();
        assert_eq!(moved.last_used_at(), at);
        last_used = at;
    }
}

/// A use is noted if none is since then and the session is live; nothing else changes.
pub async fn s7_4_notes_the_use_of_a_live_session_that_was_unused(store: Arc<dyn Store>) {
    let alice = create(&store, "alice").await;
    let session = begin_session(&store, &alice).await;
    let before = find(&store, session.id).await;
    assert_eq!(before.last_used_at(), now());
    let touch = async |at: Timestamp, unused_since: Timestamp| {
        let touched = store.touch_session(session.id, at, unused_since).await;
        touched.unwrap();
        find(&store, session.id).await.used_at
    };
    let microsecond = Duration::from_micros(1);
    let later = now() + MINUTE;
    assert_eq!(touch(later, now() - microsecond).await, None);
    assert_eq!(touch(later, now()).await, Some(later));
    let latest = later + MINUTE;
    assert_eq!(touch(latest, later - microsecond).await, Some(later));
    assert_eq!(touch(latest, later).await, Some(latest));
    let end = session.expires_at;
    assert_eq!(touch(end, latest).await, Some(latest), "too late");
    let mut noted = find(&store, session.id).await;
    noted.used_at = None;
    assert_eq!(noted, before);

    let reason = RevocationReason::Logout;
    let ended = store
        .revoke_session(session.id, &ending(reason), &event())
        .await;
    assert!(ended.unwrap().is_some());
    let after = latest + MINUTE;
    assert_eq!(touch(after, latest).await, Some(latest), "an ended session");
    let unknown = SessionId::generate();
    store.touch_session(unknown, after, after).await.unwrap();
}

async fn begin_at(store: &Arc<dyn Store>, user: &NewUser, at: Timestamp, most: u32) -> SessionId {
    let session = NewSession {
        at_most: NonZeroU32::new(most).unwrap(),
        ..NewSession::new(user.user.id, at, at + LIFETIME)
    };
    let begun = store
        .create_session(&session, &user.password_hash, &event())
        .await;
    assert!(begun.unwrap().is_some());
    session.id
}

/// A login beyond the bound ends the oldest of the user's live sessions, and nobody else's.
pub async fn s7_5_a_session_too_many_ends_the_oldest(store: Arc<dyn Store>) {
    let alice = create(&store, "alice").await;
    let bob = create(&store, "bob").await;
    let bobs = begin_session(&store, &bob).await.id;
    // Neither counts: one is over, one was logged out.
    let expired = NewSession::new(alice.user.id, now() - LIFETIME, now());
    let begun = store
        .create_session(&expired, &alice.password_hash, &event())
        .await;
    assert!(begun.unwrap().is_some());
    let ended = begin_at(&store, &alice, now(), 3).await;
    let reason = RevocationReason::Logout;
    let logout = store.revoke_session(ended, &ending(reason), &event()).await;
    assert!(logout.unwrap().is_some());

    let mut begun = Vec::new();
    for minute in 1..=5 {
        let at = now() + MINUTE * minute;
        begun.push(begin_at(&store, &alice, at, 3).await);
        for (index, id) in begun.iter().enumerate() {
            let live = begun.len() - index <= 3;
            let session = find(&store, *id).await;
            assert_eq!(session.revoked_at.is_none(), live, "{minute} {index}");
        }
    }
    assert_eq!(find(&store, expired.id).await.revoked_at, None);
    assert_eq!(find(&store, bobs).await.revoked_at, None);
    // A lower bound than before is met at once, by all but the new one.
    let only = begin_at(&store, &alice, now() + MINUTE * 6, 1).await;
    for id in begun {
        assert!(find(&store, id).await.revoked_at.is_some());
    }
    assert_eq!(find(&store, only).await.revoked_at, None);
}

/// Many logins of one user at once leave as many live sessions as the bound allows.
pub async fn s7_5_of_many_logins_at_once_no_more_live_than_allowed(store: Arc<dyn Store>) {
    let alice = create(&store, "alice").await;
    let begun = race(50, |_| {
        let (store, alice) = (Arc::clone(&store), alice.clone());
        async move { begin_at(&store, &alice, now(), 7).await }
    })
    .await;
    let mut live = 0;
    for id in begun {
        live += u32::from(find(&store, id).await.revoked_at.is_none());
    }
    assert_eq!(live, 7);
}
