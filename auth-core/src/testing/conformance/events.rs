//! The audit trail.

use std::sync::Arc;
use std::time::Duration;

use uuid::Uuid;

use super::fixtures::{
    LIFETIME, begin_session, create, ending, event, event_at, hash, mail_to, new_user, now,
};
use crate::audit::{Actor, AuditAct, AuditEvent, LoginRule};
use crate::store::{EmailConfirmation, EventFilter, NewSession, Store};
use crate::{RequestContext, RequestId, RevocationReason, SessionId, UserId};

fn request(id: &str) -> Option<RequestId> {
    RequestId::parse(id)
}

async fn all(store: &Arc<dyn Store>) -> Vec<AuditEvent> {
    store.list_events(&EventFilter::default()).await.unwrap()
}

/// Every field of an event comes back as it was given, the latest event first.
pub async fn s14_4_lists_events_as_they_were_told(store: Arc<dyn Store>) {
    let mut context = RequestContext::default()
        .with_peer([10, 0, 0, 1].into())
        .with_client("2001:db8::7".parse().unwrap());
    context.request_id = request("the-request");
    let rule = LoginRule::WrongPassword;
    let refused = AuditEvent::new(
        now(),
        AuditAct::LoginRefused { rule },
        Actor::Anonymous,
        &context,
    );
    let user = UserId::generate();
    let done = AuditEvent::new(
        now() + Duration::from_millis(1),
        AuditAct::LoggedIn,
        Actor::User(user),
        &context,
    )
    .about(user)
    .in_session(SessionId::generate());
    let events = [refused, done];
    store.append_events(&events).await.unwrap();
    // As after a connection that broke before the answer.
    store.append_events(&events).await.unwrap();
    let [refused, done] = events;
    assert_eq!(all(&store).await, [done, refused]);
}

/// Each condition of a filter counts, and all of them together.
pub async fn finds_events_by_user_kind_request_and_time(store: Arc<dyn Store>) {
    let [alice, bob] = [UserId::generate(), UserId::generate()];
    let later = now() + Duration::from_secs(60);
    let mut first = event().about(alice);
    first.request_id = request("one");
    let mut second = event_at(later).about(alice);
    second.act = AuditAct::LoggedOut;
    let mut third = event_at(later + Duration::from_millis(1)).about(bob);
    third.request_id = request("one");
    let events = [first.clone(), second.clone(), third.clone()];
    store.append_events(&events).await.unwrap();
    let any = EventFilter::default;
    for (filter, expected) in [
        (
            EventFilter {
                user: Some(alice),
                ..any()
            },
            vec![&second, &first],
        ),
        (
            EventFilter {
                kind: Some("logged_in".to_owned()),
                ..any()
            },
            vec![&third, &first],
        ),
        (
            EventFilter {
                request_id: request("one"),
                ..any()
            },
            vec![&third, &first],
        ),
        (
            EventFilter {
                since: Some(later),
                ..any()
            },
            vec![&third, &second],
        ),
        (
            EventFilter {
                before: Some(third.id),
                ..any()
            },
            vec![&second, &first],
        ),
        (EventFilter { limit: 1, ..any() }, vec![&third]),
        (
            EventFilter {
                user: Some(alice),
                request_id: request("one"),
                ..any()
            },
            vec![&first],
        ),
        (
            EventFilter {
                user: Some(alice),
                kind: Some("logged_in".to_owned()),
                ..any()
            },
            vec![&first],
        ),
        (
            EventFilter {
                user: Some(bob),
                before: Some(third.id),
                ..any()
            },
            vec![],
        ),
    ] {
        let found = store.list_events(&filter).await.unwrap();
        assert_eq!(found.iter().collect::<Vec<_>>(), expected, "{filter:?}");
    }
}

/// What is too old goes, the oldest first, no more at once than was asked for.
pub async fn s12_6_removes_events_from_before_a_time(store: Arc<dyn Store>) {
    let events: Vec<_> = (0..5)
        .map(|second| event_at(now() + Duration::from_secs(second)))
        .collect();
    store.append_events(&events).await.unwrap();
    let before = now() + Duration::from_secs(3);
    assert_eq!(store.remove_events(before, 2).await.unwrap(), 2);
    assert_eq!(all(&store).await.len(), 3);
    assert_eq!(store.remove_events(before, 2).await.unwrap(), 1);
    assert_eq!(store.remove_events(before, 2).await.unwrap(), 0);
    let mut left = all(&store).await;
    left.reverse();
    let kept: Vec<_> = events.into_iter().skip(3).collect();
    assert_eq!(left, kept);
}

/// An act and its event are one: where the act does not happen, there is no event.
pub async fn s14_4_an_act_and_its_event_are_one(store: Arc<dyn Store>) {
    let alice = new_user("alice");
    let mail = mail_to(&alice.user.email);
    let created = event();
    store
        .create_user(&alice, Some(&mail), &created)
        .await
        .unwrap();
    assert_eq!(all(&store).await, std::slice::from_ref(&created));
    store
        .create_user(&alice, Some(&mail), &event())
        .await
        .unwrap_err();
    assert_eq!(all(&store).await, [created]);
}

/// Of two first superusers one is told of.
pub async fn s14_4_tells_of_the_first_superuser_once(store: Arc<dyn Store>) {
    let created = event();
    assert!(
        store
            .create_first_superuser(&new_user("one"), &created)
            .await
            .unwrap()
    );
    assert!(
        !store
            .create_first_superuser(&new_user("two"), &event())
            .await
            .unwrap()
    );
    assert_eq!(all(&store).await, [created]);
}

/// Only the confirmation that verifies the address is told of.
pub async fn s14_4_tells_of_a_verification_once(store: Arc<dyn Store>) {
    let alice = create(&store, "alice").await.user;
    let before = all(&store).await.len();
    let begun = store.begin_email_verification(&alice.email).await.unwrap();
    let (_, verification) = begun.unwrap();
    for expected in [
        EmailConfirmation::Confirmed,
        EmailConfirmation::AlreadyConfirmed,
    ] {
        let event = event();
        let outcome = store.confirm_email(alice.id, &alice.email, verification, &event);
        assert_eq!(outcome.await.unwrap(), expected);
    }
    assert_eq!(all(&store).await.len(), before + 1);
}

/// Only a login that begins a session is told of, as the user's.
pub async fn s14_4_tells_of_a_login_that_begins_a_session(store: Arc<dyn Store>) {
    let alice = create(&store, "alice").await;
    let before = all(&store).await.len();
    let session = NewSession::new(alice.user.id, now(), now() + LIFETIME);
    let told = event_at(now() + Duration::from_secs(1)).about(alice.user.id);
    let refused = store
        .create_session(&session, &hash("another"), &told)
        .await;
    assert_eq!(refused.unwrap(), None);
    assert_eq!(all(&store).await.len(), before);
    let begun = store
        .create_session(&session, &alice.password_hash, &told)
        .await;
    assert!(begun.unwrap().is_some());
    assert_eq!(all(&store).await.first(), Some(&told));
}

/// A logout is told of once, and as the session's user's, whom only the store knows.
pub async fn s14_4_tells_of_a_logout_once_and_whose_it_was(store: Arc<dyn Store>) {
    let alice = create(&store, "alice").await;
    let id = begin_session(&store, &alice).await.id;
    let before = all(&store).await.len();
    let logout = event_at(now() + Duration::from_secs(1));
    for _ in 0..2 {
        let again = AuditEvent {
            id: Uuid::now_v7(),
            ..logout.clone()
        };
        let ended = store
            .revoke_session(id, &ending(RevocationReason::Logout), &again)
            .await;
        ended.unwrap();
    }
    let events = all(&store).await;
    assert_eq!(events.len(), before + 1);
    let told = events.first().unwrap();
    assert_eq!((told.at, told.user), (logout.at, Some(alice.user.id)));
}
