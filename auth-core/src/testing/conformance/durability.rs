//! What was acknowledged outlives the process, and the database's own crash.

use std::sync::Arc;
use std::time::Duration;

use super::fixtures::{LIFETIME, address, begin_session, claim_all, create, ending, event};
use super::fixtures::{hash, mail_to, new_user, now};
use crate::store::{AccountChange, EmailConfirmation, NewSession, PasswordReplacement, Store};
use crate::{RevocationReason, Timestamp};

/// How many acts of a kind are done before the crash.
const ACTS: usize = 20;

/// Nothing that a store has acknowledged is lost, however it ends: the crash comes right behind the
/// last answer, before anything that is written later can be.
pub async fn s7_6_s8_5_s15_4_what_was_acknowledged_survives_a_crash(
    store: Arc<dyn Store>,
    crash: impl AsyncFnOnce() -> Arc<dyn Store>,
) {
    let alice = create(&store, "alice").await;
    let mut kept = Vec::new();
    let mut revoked = Vec::new();
    for _ in 0..ACTS {
        kept.push(begin_session(&store, &alice).await.id);
        revoked.push(begin_session(&store, &alice).await.id);
    }

    let bob = create(&store, "bob").await;
    let bobs = begin_session(&store, &bob).await.id;
    let deactivated = AccountChange {
        is_active: Some(false),
        ..AccountChange::new(now())
    };
    let end = ending(RevocationReason::Administrative);
    let changed = store
        .change_user(bob.user.id, &deactivated, &end, &[event()])
        .await;
    assert!(changed.unwrap().is_some());

    let carol = create(&store, "carol").await;
    let email = address("carol@example.org");
    let (_, verification) = store
        .begin_email_verification(&email)
        .await
        .unwrap()
        .unwrap();
    let confirmed = store
        .confirm_email(carol.user.id, &email, verification, &event())
        .await;
    assert_eq!(confirmed.unwrap(), EmailConfirmation::Confirmed);
    let replacement = PasswordReplacement::new(hash("another hash"));
    let replaced = AccountChange::of_password(replacement, now());
    let end = ending(RevocationReason::PasswordChanged);
    let changed = store
        .change_user(carol.user.id, &replaced, &end, &[event()])
        .await;
    assert!(changed.unwrap().is_some());

    let dave = new_user("dave");
    let mail = mail_to(&dave.user.email);
    store
        .create_user(&dave, Some(&mail), &event())
        .await
        .unwrap();
    for id in &revoked {
        let end = ending(RevocationReason::Logout);
        let ended = store.revoke_session(*id, &end, &event()).await;
        assert_eq!(ended.unwrap(), Some(alice.user.id));
    }

    let store = crash().await;
    for id in kept {
        let session = store.find_session(id).await.unwrap().unwrap();
        assert_eq!(session.revoked_at, None);
    }
    for id in revoked.into_iter().chain([bobs]) {
        let session = store.find_session(id).await.unwrap().unwrap();
        assert_eq!(
            session.revoked_at,
            Some(now()),
            "the end of a session is lost"
        );
    }
    let bob = store.find_user(bob.user.id).await.unwrap().unwrap();
    assert!(!bob.is_active, "the deactivation is lost");
    let (carol, password) = found(&store, &carol.user.username).await;
    assert_eq!(carol.email_verified_at, Some(now()), "the proof is lost");
    assert_eq!(password.as_stored(), "another hash");
    let (found_dave, _) = found(&store, &dave.user.username).await;
    assert_eq!(found_dave, dave.user);
    let mails = claim_all(&store, later()).await;
    assert!(
        mails.iter().any(|owed| owed.id == mail.id),
        "the mail is lost"
    );
    // It goes on as a store does.
    let session = NewSession::new(dave.user.id, now(), now() + LIFETIME);
    let begun = store
        .create_session(&session, &dave.password_hash, &event())
        .await;
    assert!(begun.unwrap().is_some());
}

async fn found(
    store: &Arc<dyn Store>,
    username: &crate::Username,
) -> (crate::User, crate::PasswordHash) {
    store.find_credentials(username).await.unwrap().unwrap()
}

fn later() -> Timestamp {
    now() + Duration::from_secs(1)
}
