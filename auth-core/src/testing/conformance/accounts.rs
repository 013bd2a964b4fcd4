//! What happens to accounts, and to their sessions with them.

use std::slice;
use std::sync::Arc;

use super::fixtures::{
    CROWD, LIFETIME, begin_session, create, ending, event, hash, new_user, now, race,
};
use crate::audit::AuditEvent;
use crate::revocation::{RevokedTokens, TokenEpoch};
use crate::store::{
    AccountChange, EventFilter, NewSession, NewUser, PasswordReplacement, Revoked, Store,
    StoreError,
};
use crate::{RevocationReason, Roles, SessionId, UserId};

const REASON: RevocationReason = RevocationReason::Administrative;

fn activity(is_active: bool) -> AccountChange {
    AccountChange {
        is_active: Some(is_active),
        ..AccountChange::new(now())
    }
}

fn privilege(is_superuser: bool) -> AccountChange {
    AccountChange {
        is_superuser: Some(is_superuser),
        ..AccountChange::new(now())
    }
}

fn roles(roles: &[&str]) -> AccountChange {
    AccountChange {
        roles: Some(Roles::parse(roles.iter().copied()).unwrap()),
        ..AccountChange::new(now())
    }
}

fn password(replacement: PasswordReplacement) -> AccountChange {
    AccountChange::of_password(replacement, now())
}

async fn change(
    store: &Arc<dyn Store>,
    id: UserId,
    change: AccountChange,
    told: &AuditEvent,
) -> Result<bool, StoreError> {
    let events = slice::from_ref(told);
    let done = store
        .change_user(id, &change, &ending(REASON), events)
        .await;
    done.map(|revoked| revoked.is_some())
}

async fn delete(store: &Arc<dyn Store>, id: UserId, told: &AuditEvent) -> Result<bool, StoreError> {
    let done = store.delete_user(id, &ending(REASON), told).await;
    done.map(|revoked| revoked.is_some())
}

/// The tokens that a user got before an epoch.
fn tokens_before(user: UserId, epoch: u32) -> RevokedTokens {
    RevokedTokens::OfUser {
        user,
        issued_before: ending(REASON).issued_before,
        epoch: Some(TokenEpoch::new(epoch)),
    }
}

async fn superuser(store: &Arc<dyn Store>, name: &str) -> UserId {
    let mut user = new_user(name);
    user.user.is_superuser = true;
    store.create_user(&user, None, &event()).await.unwrap();
    user.user.id
}

async fn is_active_superuser(store: &Arc<dyn Store>, id: UserId) -> bool {
    let user = store.find_user(id).await.unwrap();
    user.is_some_and(|user| user.is_superuser && user.is_active)
}

async fn has_ended(store: &Arc<dyn Store>, id: SessionId) -> bool {
    let session = store.find_session(id).await.unwrap().unwrap();
    session.revoked_at.is_some()
}

async fn begins_a_session(store: &Arc<dyn Store>, user: &NewUser) -> bool {
    let session = NewSession::new(user.user.id, now(), now() + LIFETIME);
    let begun = store
        .create_session(&session, &user.password_hash, &event())
        .await;
    begun.unwrap().is_some()
}

async fn is_told(store: &Arc<dyn Store>, event: &AuditEvent) -> bool {
    let events = store.list_events(&EventFilter::default()).await.unwrap();
    events.contains(event)
}

async fn revoked(store: &Arc<dyn Store>) -> Vec<RevokedTokens> {
    let mut feed = store.follow_revocations().await.unwrap();
    let news = feed.next().await.unwrap();
    news.revocations
        .iter()
        .map(|revocation| revocation.tokens)
        .collect()
}

/// Who is deactivated has no session and begins none, until activated again.
pub async fn s9_3_a_deactivated_user_has_no_sessions(store: Arc<dyn Store>) {
    let alice = create(&store, "alice").await;
    let id = begin_session(&store, &alice).await.id;
    let told = event().about(alice.user.id);
    let done = change(&store, alice.user.id, activity(false), &told).await;
    assert!(done.unwrap());
    assert!(is_told(&store, &told).await);
    assert!(has_ended(&store, id).await);
    assert_eq!(revoked(&store).await, [RevokedTokens::OfSession(id)]);
    assert!(!begins_a_session(&store, &alice).await);
    let done = change(&store, alice.user.id, activity(true), &event()).await;
    assert!(done.unwrap());
    assert!(begins_a_session(&store, &alice).await);
    assert!(
        has_ended(&store, id).await,
        "the sessions of before stay ended"
    );
}

/// A deleted user is gone with all sessions; the tokens are refused, and the trail stays.
pub async fn s9_3_a_deleted_user_leaves_only_the_trail(store: Arc<dyn Store>) {
    let alice = create(&store, "alice").await;
    let id = begin_session(&store, &alice).await.id;
    let told = event().about(alice.user.id);
    let ending = ending(REASON);
    let done = store.delete_user(alice.user.id, &ending, &told).await;
    assert_eq!(done.unwrap(), Some(Revoked::of_sessions(vec![id], 1)));
    assert_eq!(store.find_user(alice.user.id).await.unwrap(), None);
    assert_eq!(store.find_session(id).await.unwrap(), None);
    assert_eq!(revoked(&store).await, [RevokedTokens::OfSession(id)]);
    assert!(is_told(&store, &told).await);
    create(&store, "alice").await;
}

/// Demotion leaves the sessions, and refuses the tokens that tell of the privilege.
pub async fn s9_2_a_demotion_ends_the_tokens_issued_before(store: Arc<dyn Store>) {
    superuser(&store, "first").await;
    let alice = create(&store, "alice").await;
    let session = begin_session(&store, &alice).await.id;
    let id = alice.user.id;
    let done = change(&store, id, privilege(true), &event()).await;
    assert!(done.unwrap());
    assert!(is_active_superuser(&store, id).await);
    assert_eq!(revoked(&store).await, []);
    let done = change(&store, id, privilege(false), &event()).await;
    assert!(done.unwrap());
    assert!(!is_active_superuser(&store, id).await);
    assert!(!has_ended(&store, session).await);
    assert_eq!(revoked(&store).await, [tokens_before(id, 1)]);
}

/// Other roles leave the sessions, and refuse the tokens that tell of the roles before.
pub async fn s9_2_other_roles_end_the_tokens_issued_before(store: Arc<dyn Store>) {
    let alice = create(&store, "alice").await;
    let id = alice.user.id;
    let session = begin_session(&store, &alice).await.id;
    for (epoch, names) in (1..).zip([["editor", "auditor"].as_slice(), &["editor"], &[]]) {
        let told = event().about(id);
        let done = change(&store, id, roles(names), &told).await;
        assert!(done.unwrap());
        let roles = Roles::parse(names.iter().copied()).unwrap();
        assert!(is_told(&store, &told).await);
        let user = store.find_user(id).await.unwrap().unwrap();
        assert_eq!(
            (user.roles, user.token_epoch.number()),
            (roles.clone(), epoch)
        );
        let (user, _) = store
            .find_credentials(&user.username)
            .await
            .unwrap()
            .unwrap();
        assert_eq!(
            (user.roles, user.token_epoch.number()),
            (roles.clone(), epoch)
        );
        let session = store.find_session(session).await.unwrap().unwrap();
        let owner = session.owner;
        assert_eq!((owner.roles, owner.token_epoch.number()), (roles, epoch));
        assert!(session.revoked_at.is_none());
    }
    let tokens = [1, 2, 3].map(|epoch| tokens_before(id, epoch));
    assert_eq!(revoked(&store).await, tokens);
}

/// A new password ends every session but the excepted one.
pub async fn s7_10_a_new_password_ends_the_other_sessions(store: Arc<dyn Store>) {
    let alice = create(&store, "alice").await;
    let kept = begin_session(&store, &alice).await.id;
    let other = begin_session(&store, &alice).await.id;
    let id = alice.user.id;
    let replacement = PasswordReplacement::new(hash("new")).except(kept);
    let done = change(&store, id, password(replacement), &event()).await;
    assert!(done.unwrap());
    assert!(has_ended(&store, other).await);
    assert!(!has_ended(&store, kept).await);
    assert!(
        !begins_a_session(&store, &alice).await,
        "under the old hash"
    );
    let found = store.find_credentials(&alice.user.username).await.unwrap();
    let (_, replacement) = found.unwrap();
    assert_eq!(replacement.as_stored(), "new");
}

/// Of many replacements of one hash, one replaces it; the others change and tell nothing.
pub async fn s8_1_of_many_replacements_of_one_hash_one_succeeds(store: Arc<dyn Store>) {
    let alice = create(&store, "alice").await;
    let id = alice.user.id;
    let outcomes = race(CROWD, |index| {
        let (store, current) = (Arc::clone(&store), alice.password_hash.clone());
        async move {
            let told = event().about(id);
            let new = hash(&format!("new {index}"));
            let replacement = PasswordReplacement::new(new.clone()).of(current);
            let done = change(&store, id, password(replacement), &told).await;
            done.unwrap().then_some((new, told))
        }
    })
    .await;
    let done: Vec<_> = outcomes.into_iter().flatten().collect();
    let [(new, told)] = done.as_slice() else {
        panic!("not one: {done:?}");
    };
    let found = store.find_credentials(&alice.user.username).await.unwrap();
    let (_, stored) = found.unwrap();
    assert_eq!(stored.as_stored(), new.as_stored());
    assert!(is_told(&store, told).await);
    let events = store.list_events(&EventFilter::default()).await.unwrap();
    let of_alice = events.iter().filter(|event| event.user == Some(id));
    assert_eq!(of_alice.count(), 1);
}

/// Nothing happens to a user who is not there, and nothing is told.
pub async fn an_unknown_account_is_left_alone(store: Arc<dyn Store>) {
    let id = UserId::generate();
    let told = event();
    for outcome in [
        change(&store, id, activity(false), &told).await,
        change(&store, id, activity(true), &told).await,
        change(&store, id, privilege(true), &told).await,
        change(&store, id, privilege(false), &told).await,
        change(&store, id, roles(&[]), &told).await,
        change(
            &store,
            id,
            password(PasswordReplacement::new(hash("new"))),
            &told,
        )
        .await,
        delete(&store, id, &told).await,
    ] {
        assert!(!outcome.unwrap());
    }
    assert!(!is_told(&store, &told).await);
    assert_eq!(revoked(&store).await, []);
}

/// A change of everything is one act with all its events.
pub async fn a_change_of_everything_is_done_with_all_its_events(store: Arc<dyn Store>) {
    superuser(&store, "admin").await;
    let alice = create(&store, "alice").await;
    let id = alice.user.id;
    let session = begin_session(&store, &alice).await.id;
    let (change, told) = everything(PasswordReplacement::new(hash("new")).except(session));
    let ending = ending(REASON);
    let done = store.change_user(id, &change, &ending, &told).await;
    let mut expected = Revoked::of_sessions(vec![session], 1);
    expected.epoch = Some(TokenEpoch::new(1));
    assert_eq!(done.unwrap(), Some(expected));
    let found = store.find_credentials(&alice.user.username).await.unwrap();
    let (user, stored) = found.unwrap();
    assert_eq!((user.is_active, user.is_superuser), (false, false));
    assert_eq!(Some(user.roles), change.roles);
    assert_eq!(stored.as_stored(), "new");
    assert!(
        has_ended(&store, session).await,
        "who is not active keeps none"
    );
    let tokens = tokens_before(id, 1);
    let revoked = revoked(&store).await;
    assert_eq!(revoked.len(), 2, "{revoked:?}");
    assert!(revoked.contains(&tokens), "{revoked:?}");
    assert!(revoked.contains(&RevokedTokens::OfSession(session)));
    for event in &told {
        assert!(is_told(&store, event).await);
    }
}

/// A change of which one part is refused leaves everything as it was, and no event.
pub async fn a_change_that_is_refused_leaves_nothing(store: Arc<dyn Store>) {
    let admin = superuser(&store, "admin").await;
    let before = store.find_user(admin).await.unwrap().unwrap();
    let (current, other) = (hash("admin's hash"), hash("other"));
    let session = NewSession::new(admin, now(), now() + LIFETIME);
    let begun = store.create_session(&session, &current, &event()).await;
    assert!(begun.unwrap().is_some());
    let (last, told) = everything(PasswordReplacement::new(hash("new")));
    let ending = ending(REASON);
    let refused = store.change_user(admin, &last, &ending, &told).await;
    assert!(
        matches!(refused, Err(StoreError::LastSuperuser)),
        "{refused:?}"
    );
    superuser(&store, "second").await;
    let (stale, untold) = everything(PasswordReplacement::new(hash("new")).of(other));
    let refused = store.change_user(admin, &stale, &ending, &untold).await;
    assert_eq!(refused.unwrap(), None);
    for event in told.iter().chain(&untold) {
        assert!(!is_told(&store, event).await);
    }
    let found = store.find_credentials(&before.username).await.unwrap();
    let (after, stored) = found.unwrap();
    assert_eq!(after, before);
    assert_eq!(stored.as_stored(), current.as_stored());
    assert!(!has_ended(&store, session.id).await);
    assert_eq!(revoked(&store).await, []);
}

/// Shuts the user out, takes the privilege, and gives a role and a password; with an event for each.
fn everything(replacement: PasswordReplacement) -> (AccountChange, [AuditEvent; 4]) {
    let change = AccountChange {
        is_active: Some(false),
        is_superuser: Some(false),
        password: Some(replacement),
        ..roles(&["editor"])
    };
    (change, std::array::from_fn(|_| event()))
}

/// The last superuser who can log in stays one.
pub async fn the_last_active_superuser_stays(store: Arc<dyn Store>) {
    let one = superuser(&store, "one").await;
    let two = superuser(&store, "two").await;
    let done = change(&store, two, activity(false), &event()).await;
    assert!(done.unwrap());
    for refused in [
        change(&store, one, activity(false), &event()).await,
        delete(&store, one, &event()).await,
        change(&store, one, privilege(false), &event()).await,
    ] {
        let is_refused = matches!(refused, Err(StoreError::LastSuperuser));
        assert!(is_refused, "{refused:?}");
    }
    let done = change(&store, two, privilege(false), &event()).await;
    assert!(done.unwrap());
    assert!(is_active_superuser(&store, one).await);
}

/// Of several acts at once, the one that would leave no superuser is refused.
pub async fn of_acts_at_once_none_leaves_no_superuser(store: Arc<dyn Store>) {
    let mut ids = vec![superuser(&store, "survivor").await];
    for round in 0..10 {
        for name in ["a", "b"] {
            ids.push(superuser(&store, &format!("{name}{round}")).await);
        }
        let outcomes = race(ids.len(), |index| {
            let (store, id) = (Arc::clone(&store), *ids.get(index).unwrap());
            async move {
                match index {
                    0 => change(&store, id, activity(false), &event()).await,
                    1 => delete(&store, id, &event()).await,
                    _ => change(&store, id, privilege(false), &event()).await,
                }
            }
        })
        .await;
        let refused = outcomes
            .iter()
            .filter(|outcome| matches!(outcome, Err(StoreError::LastSuperuser)));
        assert_eq!(refused.count(), 1, "{outcomes:?}");
        let mut survivors = Vec::new();
        for id in ids {
            if is_active_superuser(&store, id).await {
                survivors.push(id);
            }
        }
        assert_eq!(survivors.len(), 1);
        ids = survivors;
    }
}

/// An act that is done again, as after a connection that broke before the answer, succeeds, and is
/// told of once.
pub async fn s14_4_an_act_that_is_done_again_is_told_of_once(store: Arc<dyn Store>) {
    let alice = create(&store, "alice").await;
    let id = alice.user.id;
    let told = event().about(id);
    let before = store.list_events(&EventFilter::default()).await.unwrap();
    for _ in 0..2 {
        let done = change(&store, id, activity(false), &told).await;
        assert!(done.unwrap());
        let ending = ending(REASON);
        let ended = store.revoke_user_sessions(id, None, &ending, &told).await;
        assert_eq!(ended.unwrap(), Revoked::default());
        let done = change(&store, id, activity(true), &told).await;
        assert!(done.unwrap());
    }
    let after = store.list_events(&EventFilter::default()).await.unwrap();
    assert_eq!(after.len(), before.len() + 1);
}
