//! What a database held before a migration, and holds after it.
#![expect(clippy::unwrap_used, reason = "what a test prepares must succeed")]

use std::time::Duration;

use auth_core::audit::{Actor, AuditAct, AuditEvent};
use auth_core::mail::MailKind;
use auth_core::store::{
    Enrollee, EnrollmentId, EnrollmentOrigin, EnrollmentStore, NewMail, NewUser, SignUpSource,
};
use auth_core::{PasswordHash, RequestContext, Timestamp, User, UserId};
use uuid::Uuid;

pub(crate) const NOW: Timestamp = Timestamp::from_unix_seconds(1_700_000_000);
pub(crate) const HASH: &str = "a hash";

/// The sign-up and the invitation that are pending as the migration 18 finds them.
pub(crate) const SIGN_UP: Uuid = Uuid::from_u128(18);
pub(crate) const INVITATION: Uuid = Uuid::from_u128(19);

fn event() -> AuditEvent {
    let act = AuditAct::SignUpRequested;
    AuditEvent::new(NOW, act, Actor::Anonymous, &RequestContext::default())
}

/// What was pending can be completed, and nobody who signs up later replaces it.
pub(crate) async fn pending_enrollments_go_on(store: &dyn EnrollmentStore) {
    let [sign_up, invitation] = [SIGN_UP, INVITATION].map(EnrollmentId::from_uuid);
    let found = store.find_enrollment(sign_up).await.unwrap().unwrap();
    assert!(found.is_pending(NOW), "{found:?}");
    let (username, hash) = found.origin.credentials().unwrap();
    assert_eq!((username.as_str(), hash.as_stored()), ("Alice", HASH));
    let invited = store.find_enrollment(invitation).await.unwrap().unwrap();
    assert!(invited.is_pending(NOW), "{invited:?}");
    assert!(invited.origin.source().is_none(), "{invited:?}");

    let id = EnrollmentId::generate();
    let origin = EnrollmentOrigin::SignUp {
        username: "mallory".parse().unwrap(),
        password_hash: PasswordHash::from_stored("another hash"),
        source: SignUpSource::from_uuid(Uuid::from_u128(7)),
    };
    let expires_at = NOW + Duration::from_secs(60);
    let later = Enrollee::new(id, found.email.clone(), origin, NOW, expires_at);
    let mail = NewMail::new(MailKind::ConfirmSignUp, found.email.clone(), NOW);
    let begun = store.begin_enrollment(&later, &mail, &event()).await;
    begun.unwrap();
    let pending = store.find_enrollments_of(&found.email).await.unwrap();
    assert_eq!(pending.len(), 2, "{pending:?}");
    let alice = User::new(
        UserId::generate(),
        username.clone(),
        found.email.clone(),
        NOW,
    );
    let alice = NewUser::new(alice, hash.clone());
    let completed = store.complete_enrollment(sign_up, &alice, &event()).await;
    assert!(completed.unwrap());
}
