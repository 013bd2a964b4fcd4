//! What the cases are made of.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Barrier;

use crate::audit::{Actor, AuditAct, AuditEvent};
use crate::mail::MailKind;
use crate::store::{ClaimedMail, Ending, NewMail, NewSession, NewUser, Store};
use crate::{
    EmailAddress, PasswordHash, RequestContext, RevocationReason, Timestamp, User, UserId, Username,
};

/// How long the cases' sessions last.
pub(super) const LIFETIME: Duration = Duration::from_secs(14 * 24 * 60 * 60);

/// How long the cases' workers may take for a mail.
pub(super) const LEASE: Duration = Duration::from_secs(60);

/// How many callers the cases let loose at once.
pub(super) const CROWD: usize = 100;

/// When the cases take place: never a round number, so that lost digits are seen.
pub(super) fn now() -> Timestamp {
    Timestamp::from_unix_micros(1_700_000_000_123_457)
}

/// An event of the cases' time.
pub(super) fn event() -> AuditEvent {
    event_at(now())
}

pub(super) fn event_at(at: Timestamp) -> AuditEvent {
    let context = RequestContext::default();
    AuditEvent::new(at, AuditAct::LoggedIn, Actor::System, &context)
}

/// How the cases' sessions end.
pub(super) fn ending(reason: RevocationReason) -> Ending {
    let later = now() + Duration::from_secs(60);
    Ending::new(reason, now(), later)
}

pub(super) fn address(text: &str) -> EmailAddress {
    text.parse().unwrap()
}

pub(super) fn hash(text: &str) -> PasswordHash {
    PasswordHash::from_stored(text)
}

/// A user with the name, the address `<name>@example.org` and the hash `<name>'s hash`.
pub(super) fn new_user(name: &str) -> NewUser {
    user_with_address(name, &format!("{name}@example.org"))
}

pub(super) fn user_with_address(name: &str, email: &str) -> NewUser {
    let username: Username = name.parse().unwrap();
    let user = User::new(UserId::generate(), username, address(email), now());
    NewUser::new(user, hash(&format!("{name}'s hash")))
}

pub(super) fn mail_to(email: &EmailAddress) -> NewMail {
    NewMail::new(MailKind::VerifyEmail, email.clone(), now())
}

pub(super) async fn create(store: &Arc<dyn Store>, name: &str) -> NewUser {
    let user = new_user(name);
    store.create_user(&user, None, &event()).await.unwrap();
    user
}

/// A user whose address is verified: who has lost it can have it back.
pub(super) async fn create_verified(store: &Arc<dyn Store>, name: &str) -> NewUser {
    let mut owner = new_user(name);
    owner.user.email_verified_at = Some(now());
    store.create_user(&owner, None, &event()).await.unwrap();
    owner
}

/// A session of the user that begins [`now`].
pub(super) async fn begin_session(store: &Arc<dyn Store>, user: &NewUser) -> NewSession {
    let session = NewSession::new(user.user.id, now(), now() + LIFETIME);
    let begun = store
        .create_session(&session, &user.password_hash, &event())
        .await;
    assert!(begun.unwrap().is_some(), "the session begins");
    session
}

/// Claims what is due, until nothing is.
pub(super) async fn claim_all(store: &Arc<dyn Store>, at: Timestamp) -> Vec<ClaimedMail> {
    let mut claimed = Vec::new();
    while let Some(mail) = store.claim_mail(at, LEASE).await.unwrap() {
        claimed.push(mail);
    }
    claimed
}

/// Lets `count` callers start at the same moment; gives what each of them got.
pub(super) async fn race<T, F>(count: usize, act: impl Fn(usize) -> F) -> Vec<T>
where
    F: Future<Output = T> + Send + 'static,
    T: Send + 'static,
{
    let start = Arc::new(Barrier::new(count));
    let runners: Vec<_> = (0..count)
        .map(|index| {
            let start = Arc::clone(&start);
            let runner = act(index);
            tokio::spawn(async move {
                start.wait().await;
                runner.await
            })
        })
        .collect();
    let mut outcomes = Vec::new();
    for runner in runners {
        outcomes.push(runner.await.unwrap());
    }
    outcomes
}
