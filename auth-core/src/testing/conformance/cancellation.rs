//! What callers that go away leave behind: nothing, wherever they are in an act.

use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use super::fixtures::{
    LEASE, address, begin_session, create, ending, event, hash, mail_to, new_user, now, race,
};
use crate::store::{
    AccountChange, Admission, Enrollee, EnrollmentId, EnrollmentOrigin, NewEmailChange, NewSession,
    NewUser, SessionRotation, SignUpSource, Store, ThrottleKey, TryBudget,
};
use crate::{Generation, RevocationReason, SessionId};

/// How often an act is cut off at most; one that waits more often is cut off at its first waits.
const CUTS: usize = 40;

/// An act under way, whatever it returns.
type Running = Pin<Box<dyn Future<Output = ()> + Send>>;

/// Begins an act for the `n`-th time.
type Act = fn(Arc<dyn Store>, NewUser, usize) -> Running;

/// Drops the act when it has waited `waits` times and would wait once more; returns whether it
/// came to its end before.
async fn cut_off_after(waits: usize, mut act: Running) -> bool {
    let mut waited = 0;
    poll_fn(|context| match act.as_mut().poll(context) {
        Poll::Ready(()) => Poll::Ready(true),
        Poll::Pending if waited == waits => Poll::Ready(false),
        Poll::Pending => {
            waited += 1;
            Poll::Pending
        }
    })
    .await
}

/// Cuts the act off at each of its waits, and looks after each cut whether what is acknowledged
/// then is seen by everybody.
async fn cut_off_everywhere(store: &Arc<dyn Store>, act: Act) {
    let owner = create(store, "owner").await;
    for waits in 0..CUTS {
        let running = act(Arc::clone(store), owner.clone(), waits);
        let ended = cut_off_after(waits, running).await;
        acknowledged_is_seen(store, &owner).await;
        if ended {
            return;
        }
    }
}

/// Ends sessions, and has many callers at once look for them.
async fn acknowledged_is_seen(store: &Arc<dyn Store>, owner: &NewUser) {
    // What was cut off may have ended them or changed the password: then these cannot begin.
    let session = NewSession::new(owner.user.id, now(), now() + Duration::from_secs(3600));
    let begun = store
        .create_session(&session, &owner.password_hash, &event())
        .await;
    if begun.unwrap().is_none() {
        return;
    }
    let ending = ending(RevocationReason::Logout);
    let ended = store.revoke_session(session.id, &ending, &event()).await;
    ended.unwrap();
    let found = race(8, |_| {
        let store = Arc::clone(store);
        async move { store.find_session(session.id).await }
    });
    for found in found.await {
        let found = found.unwrap().expect("an acknowledged session is there");
        assert!(found.revoked_at.is_some(), "an acknowledged logout is lost");
    }
}

/// Reads that are cut off.
pub async fn s19_1_reads_that_are_cut_off_leave_nothing_behind(store: Arc<dyn Store>) {
    cut_off_everywhere(&store, |store, owner, _| {
        Box::pin(async move {
            store.find_credentials(&owner.user.username).await.unwrap();
            store.find_user(owner.user.id).await.unwrap();
            let none = store.find_session(SessionId::generate()).await;
            none.unwrap();
            store.check().await.unwrap();
        })
    })
    .await;
}

/// Registrations that are cut off.
pub async fn s19_1_registrations_that_are_cut_off_leave_nothing_behind(store: Arc<dyn Store>) {
    cut_off_everywhere(&store, |store, _, n| {
        Box::pin(async move {
            let user = new_user(&format!("user{n}"));
            let mail = mail_to(&user.user.email);
            let created = store.create_user(&user, Some(&mail), &event()).await;
            created.unwrap();
        })
    })
    .await;
}

/// Logins that are cut off, from the try that is taken to the session that begins.
pub async fn s19_1_logins_that_are_cut_off_leave_nothing_behind(store: Arc<dyn Store>) {
    cut_off_everywhere(&store, |store, owner, n| {
        Box::pin(async move {
            let key = ThrottleKey::from_bytes([u8::try_from(n).unwrap(); 32]);
            let budget = TryBudget::new(key, 5);
            let admitted = store.take_tries(&[budget], now()).await;
            assert_eq!(admitted.unwrap(), Admission::Admitted);
            let session = NewSession::new(owner.user.id, now(), now() + LEASE);
            let begun = store
                .create_session(&session, &owner.password_hash, &event())
                .await;
            assert!(begun.unwrap().is_some());
            store.give_back_tries(&[key], now()).await.unwrap();
        })
    })
    .await;
}

/// Refreshes and logouts that are cut off.
pub async fn s19_1_refreshes_and_logouts_that_are_cut_off_leave_nothing_behind(
    store: Arc<dyn Store>,
) {
    cut_off_everywhere(&store, |store, owner, _| {
        Box::pin(async move {
            let id = begin_session(&store, &owner).await.id;
            let rotation = SessionRotation::new(id, Generation::FIRST, now());
            let moved = store.rotate_session(&rotation).await.unwrap();
            assert!(moved.is_some());
            let touched = store.touch_session(id, now(), now()).await;
            touched.unwrap();
            let ending = ending(RevocationReason::Logout);
            let ended = store.revoke_session(id, &ending, &event()).await.unwrap();
            assert_eq!(ended, Some(owner.user.id));
        })
    })
    .await;
}

/// Changes of accounts that are cut off.
pub async fn s19_1_changes_that_are_cut_off_leave_nothing_behind(store: Arc<dyn Store>) {
    cut_off_everywhere(&store, |store, owner, n| {
        Box::pin(async move {
            let ending = ending(RevocationReason::Administrative);
            let ended = store
                .revoke_user_sessions(owner.user.id, None, &ending, &event())
                .await;
            ended.unwrap();
            let mut change = AccountChange::new(now());
            change.is_active = Some(true);
            let changed = store
                .change_user(owner.user.id, &change, &ending, &[event()])
                .await;
            assert!(changed.unwrap().is_some());
            let to = address(&format!("other{n}@example.org"));
            let mail = mail_to(&to);
            let requested = NewEmailChange::new(owner.user.id, to, now());
            let requested = store
                .request_email_change(&requested, &mail, &event())
                .await;
            assert!(requested.unwrap());
        })
    })
    .await;
}

/// Sign-ups and mails that are cut off.
pub async fn s19_1_sign_ups_and_mails_that_are_cut_off_leave_nothing_behind(store: Arc<dyn Store>) {
    cut_off_everywhere(&store, |store, _, n| {
        Box::pin(async move {
            let user = new_user(&format!("user{n}"));
            let id = EnrollmentId::generate();
            let origin = EnrollmentOrigin::SignUp {
                username: user.user.username.clone(),
                password_hash: hash("hash"),
                source: SignUpSource::from_uuid(id.as_uuid()),
            };
            let until = now() + LEASE;
            let enrollee = Enrollee::new(id, user.user.email.clone(), origin, now(), until);
            let mail = mail_to(&user.user.email);
            let begun = store.begin_enrollment(&enrollee, &mail, &event()).await;
            begun.unwrap();
            let completed = store.complete_enrollment(id, &user, &event()).await;
            assert!(completed.unwrap());
            while let Some(mail) = store.claim_mail(now(), LEASE).await.unwrap() {
                store.complete_mail(&mail).await.unwrap();
            }
            store.append_events(&[event()]).await.unwrap();
        })
    })
    .await;
}
