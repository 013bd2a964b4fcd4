//! Changes of addresses: asked for, confirmed, undone.

use std::sync::Arc;
use std::time::Duration;

use super::fixtures::{
    CROWD, address, begin_session, claim_all, create, create_verified, ending, event, event_at,
    hash, mail_to, new_user, now, race, user_with_address,
};
use crate::mail::MailKind;
use crate::revocation::RevokedTokens;
use crate::store::{
    AccountChange, EmailChange, EmailChangeId, EmailChangeUndo, EmailConfirmation, EventFilter,
    NewEmailChange, NewMail, NewUser, PasswordReplacement, Store, StoreError,
};
use crate::{RevocationReason, Timestamp, User, UserId};

const REASON: RevocationReason = RevocationReason::PasswordChanged;
const SECOND: Duration = Duration::from_secs(1);

/// How long the cases' changes can be undone.
const UNDO: Duration = Duration::from_secs(60);

async fn request(store: &Arc<dyn Store>, user: UserId, to: &str) -> EmailChangeId {
    let change = NewEmailChange::new(user, address(to), now());
    let mail = NewMail::new(MailKind::ConfirmEmailChange, address(to), now());
    let mail = mail.about(change.id.as_uuid());
    let noted = store.request_email_change(&change, &mail, &event()).await;
    assert!(noted.unwrap());
    change.id
}

fn notice(to: &str, change: EmailChangeId) -> NewMail {
    NewMail::new(MailKind::EmailChanged, address(to), now()).about(change.as_uuid())
}

async fn confirm(
    store: &Arc<dyn Store>,
    change: EmailChangeId,
    at: Timestamp,
) -> Result<bool, StoreError> {
    let notice = notice("former@example.org", change);
    let event = event_at(at);
    let undo_until = at + UNDO;
    store
        .confirm_email_change(change, undo_until, &notice, &event)
        .await
}

async fn undo(store: &Arc<dyn Store>, change: EmailChangeId) -> Result<bool, StoreError> {
    undo_at(store, change, now()).await
}

async fn undo_at(
    store: &Arc<dyn Store>,
    change: EmailChangeId,
    at: Timestamp,
) -> Result<bool, StoreError> {
    let mail = NewMail::new(MailKind::ResetPassword, address("a@example.org"), now());
    let undo = EmailChangeUndo::new(hash("!unusable"), mail);
    let (ending, event) = (ending(REASON), event_at(at));
    let undone = store.undo_email_change(change, &undo, &ending, &event);
    undone.await.map(|revoked| revoked.is_some())
}

async fn user(store: &Arc<dyn Store>, id: UserId) -> User {
    store.find_user(id).await.unwrap().unwrap()
}

async fn email(store: &Arc<dyn Store>, id: UserId) -> String {
    user(store, id).await.email.as_str().to_owned()
}

async fn find(store: &Arc<dyn Store>, id: EmailChangeId) -> Option<EmailChange> {
    store.find_email_change(id).await.unwrap()
}

async fn count_events(store: &Arc<dyn Store>) -> usize {
    let events = store.list_events(&EventFilter::default()).await;
    events.unwrap().len()
}

/// A change that was asked for is found with all its fields, its mail is owed, and a newer one takes
/// its place.
pub async fn s8_1_the_last_change_that_was_asked_for_is_pending(store: Arc<dyn Store>) {
    let alice = create(&store, "alice").await.user;
    let bob = create(&store, "bob").await.user;
    let first = request(&store, alice.id, "Other@Example.org").await;
    let expected = EmailChange::new(
        first,
        alice.id,
        alice.email.clone(),
        address("Other@Example.org"),
        now(),
    );
    assert_eq!(find(&store, first).await, Some(expected));
    let of_bob = request(&store, bob.id, "other@example.org").await;
    let second = request(&store, alice.id, "third@example.org").await;
    assert_eq!(find(&store, first).await, None);
    assert!(!confirm(&store, first, now()).await.unwrap());
    assert!(find(&store, second).await.is_some());
    assert!(
        find(&store, of_bob).await.is_some(),
        "others are left alone"
    );
    let owed = claim_all(&store, now()).await;
    let mut about: Vec<_> = owed.iter().filter_map(|mail| mail.about).collect();
    let mut asked = [first, of_bob, second].map(|id| id.as_uuid());
    about.sort_unstable();
    asked.sort_unstable();
    assert_eq!(about, asked, "two users may ask for one address");
}

/// Nobody asks for a user who is not there, or not active.
pub async fn only_active_users_ask_for_another_address(store: Arc<dyn Store>) {
    let mut carol = new_user("carol");
    carol.user.is_active = false;
    store.create_user(&carol, None, &event()).await.unwrap();
    let events = count_events(&store).await;
    for user in [carol.user.id, UserId::generate()] {
        let change = NewEmailChange::new(user, address("x@example.org"), now());
        let mail = notice("x@example.org", change.id);
        let noted = store.request_email_change(&change, &mail, &event()).await;
        assert!(!noted.unwrap());
        assert_eq!(find(&store, change.id).await, None);
    }
    assert_eq!(count_events(&store).await, events);
    assert!(claim_all(&store, now()).await.is_empty());
}

/// It is asked for with the password of now, and no other.
pub async fn s8_1_a_change_is_noted_with_the_proved_password_only(store: Arc<dyn Store>) {
    let alice = create(&store, "alice").await;
    let earlier = request(&store, alice.user.id, "earlier@example.org").await;
    let events = count_events(&store).await;
    let to = address("x@example.org");
    let ask = |proof| {
        let change = NewEmailChange::new(alice.user.id, to.clone(), now()).proved_with(proof);
        let mail = notice("x@example.org", change.id);
        let store = Arc::clone(&store);
        async move { store.request_email_change(&change, &mail, &event()).await }
    };
    assert!(!ask(hash("of a former password")).await.unwrap());
    assert!(find(&store, earlier).await.is_some(), "nothing has changed");
    assert_eq!(count_events(&store).await, events);
    assert!(ask(alice.password_hash.clone()).await.unwrap());
    assert_eq!(find(&store, earlier).await, None);
}

/// Whoever asked for a change knew the former password: with it goes what is not confirmed, and
/// nothing else.
pub async fn s8_1_a_pending_change_ends_with_the_password(store: Arc<dyn Store>) {
    let alice = create_verified(&store, "alice").await.user;
    let bob = create(&store, "bob").await.user;
    let done = request(&store, alice.id, "new@example.org").await;
    assert!(confirm(&store, done, now()).await.unwrap());
    let pending = request(&store, alice.id, "newer@example.org").await;
    let of_bob = request(&store, bob.id, "bobby@example.org").await;
    let replace = async |replacement| {
        let change = AccountChange::of_password(replacement, now());
        let (ending, events) = (ending(REASON), [event()]);
        let done = store.change_user(alice.id, &change, &ending, &events);
        done.await.map(|revoked| revoked.is_some())
    };
    let other = hash("another");
    let refused = PasswordReplacement::new(other.clone()).of(hash("not hers"));
    let replaced = replace(refused).await;
    assert!(!replaced.unwrap());
    assert!(find(&store, pending).await.is_some());
    let replacement = PasswordReplacement::new(other);
    let replaced = replace(replacement).await;
    assert!(replaced.unwrap());
    assert_eq!(find(&store, pending).await, None);
    assert!(!confirm(&store, pending, now()).await.unwrap());
    assert!(find(&store, of_bob).await.is_some());
    assert!(undo(&store, done).await.unwrap());
}

/// Of what is asked for at once one change stays.
pub async fn s8_1_of_many_requests_at_once_one_is_pending(store: Arc<dyn Store>) {
    let alice = create(&store, "alice").await.user;
    let asked = race(CROWD, |index| {
        let store = Arc::clone(&store);
        async move { request(&store, alice.id, &format!("new{index}@example.org")).await }
    })
    .await;
    let mut pending = 0;
    for change in asked {
        pending += usize::from(find(&store, change).await.is_some());
    }
    assert_eq!(pending, 1);
}

/// The confirmed address is the user's, verified; the former one gets a notice.
pub async fn s8_1_a_confirmed_address_is_verified(store: Arc<dyn Store>) {
    let alice = create_verified(&store, "alice").await.user;
    let change = request(&store, alice.id, "New@Example.org").await;
    claim_all(&store, now()).await;
    let later = now() + SECOND;
    assert!(confirm(&store, change, later).await.unwrap());
    let changed = user(&store, alice.id).await;
    assert_eq!(changed.email.as_str(), "New@Example.org");
    assert_eq!(changed.email.key(), "new@example.org");
    assert_eq!(changed.email_verified_at, Some(later));
    let (found, _) = store
        .find_credentials_by_email(&address("new@EXAMPLE.org"))
        .await
        .unwrap()
        .unwrap();
    assert_eq!(found.id, alice.id);
    let found = store.find_credentials_by_email(&alice.email).await;
    assert!(found.unwrap().is_none());
    let found = find(&store, change).await.unwrap();
    assert_eq!((found.confirmed_at, found.undone_at), (Some(later), None));
    assert_eq!(found.undo_until, Some(later + UNDO));
    let owed = claim_all(&store, now()).await;
    let kinds: Vec<_> = owed.iter().map(|mail| (mail.kind, mail.about)).collect();
    assert_eq!(kinds, [(MailKind::EmailChanged, Some(change.as_uuid()))]);
    assert!(!confirm(&store, change, later).await.unwrap(), "once");
}

/// A former address that was not verified may be a stranger's: it gets no notice, nothing is undone
/// from it, and it is free.
pub async fn s8_1_a_former_address_that_was_not_verified_has_no_say(store: Arc<dyn Store>) {
    let alice = create(&store, "alice").await.user;
    let mistyped = &alice.email;
    let change = request(&store, alice.id, "new@example.org").await;
    let verification = store.begin_email_verification(mistyped).await;
    let (_, verification) = verification.unwrap().unwrap();
    claim_all(&store, now()).await;
    assert!(confirm(&store, change, now()).await.unwrap());
    assert!(claim_all(&store, now()).await.is_empty(), "no notice");
    let found = find(&store, change).await.unwrap();
    assert_eq!((found.confirmed_at, found.undo_until), (Some(now()), None));
    let late = store
        .confirm_email(alice.id, mistyped, verification, &event())
        .await;
    assert_eq!(
        late.unwrap(),
        EmailConfirmation::Superseded,
        "what was mailed to the former address"
    );
    assert!(!undo(&store, change).await.unwrap());
    assert_eq!(email(&store, alice.id).await, "new@example.org");
    let stranger = user_with_address("stranger", mistyped.as_str());
    let created = store.create_user(&stranger, None, &event()).await;
    created.unwrap();

    // Verified after the change was asked for, before it was confirmed: then it is his.
    let bob = create(&store, "bob").await.user;
    let change = request(&store, bob.id, "newer@example.org").await;
    let verification = store.begin_email_verification(&bob.email).await;
    let (_, verification) = verification.unwrap().unwrap();
    let verified = store
        .confirm_email(bob.id, &bob.email, verification, &event())
        .await;
    assert_eq!(verified.unwrap(), EmailConfirmation::Confirmed);
    assert!(confirm(&store, change, now()).await.unwrap());
    assert!(undo(&store, change).await.unwrap());
}

/// Of many uses of a confirmation, and of many of its undoing, one succeeds.
pub async fn s8_1_of_many_uses_of_a_change_one_succeeds(store: Arc<dyn Store>) {
    let alice = create_verified(&store, "alice").await.user;
    // The same address in another spelling: what guards it is not the address alone.
    let change = request(&store, alice.id, "ALICE@example.org").await;
    let events = count_events(&store).await;
    let confirmed = race(CROWD, |_| {
        let store = Arc::clone(&store);
        async move { confirm(&store, change, now()).await.unwrap() }
    })
    .await;
    assert_eq!(confirmed.iter().filter(|done| **done).count(), 1);
    let undone = race(CROWD, |_| {
        let store = Arc::clone(&store);
        async move { undo(&store, change).await.unwrap() }
    })
    .await;
    assert_eq!(undone.iter().filter(|done| **done).count(), 1);
    assert_eq!(count_events(&store).await, events + 2);
    assert_eq!(email(&store, alice.id).await, "alice@example.org");
}

/// An address that somebody else has by now is not given, and nothing is told.
pub async fn s3_4_an_address_that_was_taken_meanwhile_is_refused(store: Arc<dyn Store>) {
    let alice = create(&store, "alice").await.user;
    let change = request(&store, alice.id, "bob@example.org").await;
    create(&store, "bob").await;
    let events = count_events(&store).await;
    let refused = confirm(&store, change, now()).await;
    assert!(
        matches!(refused, Err(StoreError::EmailTaken)),
        "{refused:?}"
    );
    assert_eq!(email(&store, alice.id).await, "alice@example.org");
    assert!(find(&store, change).await.unwrap().confirmed_at.is_none());
    assert_eq!(count_events(&store).await, events);
}

/// Undoing gives the former address back, verified, ends the sessions and replaces the hash.
pub async fn s7_10_an_undone_change_ends_the_sessions(store: Arc<dyn Store>) {
    let alice = create_verified(&store, "alice").await;
    let id = alice.user.id;
    let session = begin_session(&store, &alice).await.id;
    let change = request(&store, id, "new@example.org").await;
    assert!(!undo(&store, change).await.unwrap(), "not confirmed");
    assert!(confirm(&store, change, now()).await.unwrap());
    let pending = request(&store, id, "newer@example.org").await;
    claim_all(&store, now()).await;
    assert!(undo(&store, change).await.unwrap());
    let restored = user(&store, id).await;
    assert_eq!(restored.email, alice.user.email);
    assert_eq!(restored.email_verified_at, Some(now()));
    assert_eq!(find(&store, pending).await, None);
    let (_, stored) = store
        .find_credentials(&alice.user.username)
        .await
        .unwrap()
        .unwrap();
    assert_eq!(stored.as_stored(), "!unusable");
    let found = store.find_session(session).await.unwrap().unwrap();
    assert!(found.revoked_at.is_some());
    let mut feed = store.follow_revocations().await.unwrap();
    let news = feed.next().await.unwrap();
    let revoked: Vec<_> = news.revocations.iter().map(|one| one.tokens).collect();
    assert_eq!(revoked, [RevokedTokens::OfSession(session)]);
    let owed = claim_all(&store, now()).await;
    let kinds: Vec<_> = owed.iter().map(|mail| mail.kind).collect();
    assert_eq!(kinds, [MailKind::ResetPassword]);
}

/// Who undoes a change undoes the later ones too, and from them nobody goes back.
pub async fn s8_1_an_undone_change_takes_the_later_ones_with_it(store: Arc<dyn Store>) {
    let alice = create_verified(&store, "alice").await.user;
    let first = request(&store, alice.id, "first@example.org").await;
    assert!(confirm(&store, first, now()).await.unwrap());
    let second = request(&store, alice.id, "second@example.org").await;
    assert!(confirm(&store, second, now() + SECOND).await.unwrap());
    assert!(undo(&store, first).await.unwrap());
    assert_eq!(email(&store, alice.id).await, "alice@example.org");
    assert!(!undo(&store, second).await.unwrap());
    assert!(!undo(&store, first).await.unwrap());
    assert!(!confirm(&store, second, now()).await.unwrap());
    assert_eq!(email(&store, alice.id).await, "alice@example.org");
}

/// What was confirmed too long ago stays.
pub async fn s8_1_a_change_that_is_too_old_is_not_undone(store: Arc<dyn Store>) {
    let alice = create_verified(&store, "alice").await.user;
    let change = request(&store, alice.id, "new@example.org").await;
    assert!(confirm(&store, change, now()).await.unwrap());
    assert!(!undo_at(&store, change, now() + UNDO).await.unwrap());
    assert_eq!(email(&store, alice.id).await, "new@example.org");
    assert!(
        undo_at(&store, change, now() + UNDO - SECOND)
            .await
            .unwrap()
    );
}

/// While a change can be undone nobody else gets the former address: no new user, not the first
/// superuser, nobody who changes theirs. Its owner does, and everybody once it is undone or too old.
pub async fn s8_1_a_former_address_is_reserved_while_it_can_come_back(store: Arc<dyn Store>) {
    let alice = create_verified(&store, "alice").await.user;
    let bob = create(&store, "bob").await.user;
    let change = request(&store, alice.id, "new@example.org").await;
    assert!(confirm(&store, change, now()).await.unwrap());
    let last = now() + UNDO - SECOND;
    let events = count_events(&store).await;
    let thief = user_with_address("thief", "ALICE@example.org");
    let mail = mail_to(&thief.user.email);
    claim_all(&store, now()).await;
    let refused = store
        .create_user(&thief, Some(&mail), &event_at(last))
        .await;
    assert!(
        matches!(refused, Err(StoreError::EmailTaken)),
        "{refused:?}"
    );
    let refused = store.create_first_superuser(&thief, &event_at(last)).await;
    assert!(
        matches!(refused, Err(StoreError::EmailTaken)),
        "{refused:?}"
    );
    let of_bob = request(&store, bob.id, "alice@example.org").await;
    claim_all(&store, now()).await;
    let refused = confirm(&store, of_bob, last).await;
    assert!(
        matches!(refused, Err(StoreError::EmailTaken)),
        "{refused:?}"
    );
    assert_eq!(email(&store, bob.id).await, "bob@example.org");
    assert!(store.find_user(thief.user.id).await.unwrap().is_none());
    assert!(claim_all(&store, now()).await.is_empty(), "no mail is owed");
    assert_eq!(count_events(&store).await, events + 1, "of bob's request");

    let back = request(&store, alice.id, "alice@example.org").await;
    assert!(confirm(&store, back, now()).await.unwrap(), "it is hers");
    let again = request(&store, alice.id, "third@example.org").await;
    assert!(confirm(&store, again, now()).await.unwrap());
    let between = user_with_address("between", "new@example.org");
    let refused = store.create_user(&between, None, &event_at(last)).await;
    assert!(refused.is_err(), "the one in between is reserved, too");
    assert!(undo(&store, change).await.unwrap());
    let created = store.create_user(&between, None, &event_at(last)).await;
    created.unwrap();

    let last_change = request(&store, alice.id, "fourth@example.org").await;
    assert!(confirm(&store, last_change, now()).await.unwrap());
    let free = now() + UNDO;
    store
        .create_user(&thief, Some(&mail), &event_at(free))
        .await
        .unwrap();
    let undone = undo_at(&store, last_change, last).await;
    assert!(matches!(undone, Err(StoreError::EmailTaken)), "{undone:?}");
}

/// Whoever wants an address in the moment in which its owner gives it up does not get it, neither
/// with a new account nor for another one.
pub async fn s8_1_nobody_slips_in_while_an_address_is_given_up(store: Arc<dyn Store>) {
    const ROUNDS: usize = 10;
    for round in 0..ROUNDS {
        let owner = create_verified(&store, &format!("owner{round}")).await.user;
        let wanted = owner.email.as_str().to_owned();
        let change = request(&store, owner.id, &format!("new{round}@example.org")).await;
        let mut changes = Vec::new();
        for index in 0..4 {
            let other = create(&store, &format!("other{round}-{index}")).await.user;
            changes.push(request(&store, other.id, &wanted).await);
        }
        let given = race(13, |index| {
            let store = Arc::clone(&store);
            let rival = changes.get(index.wrapping_sub(1)).copied();
            let wanted = wanted.clone();
            async move {
                match (index, rival) {
                    (0, _) => {
                        assert!(confirm(&store, change, now()).await.unwrap());
                        false
                    }
                    (_, Some(rival)) => confirm(&store, rival, now()).await.is_ok(),
                    (_, None) => {
                        let thief = user_with_address(&format!("thief{round}-{index}"), &wanted);
                        store.create_user(&thief, None, &event()).await.is_ok()
                    }
                }
            }
        })
        .await;
        assert!(!given.contains(&true), "somebody got {wanted}");
        assert!(undo(&store, change).await.unwrap());
        assert_eq!(email(&store, owner.id).await, wanted);
    }
}

/// The oldest changes go first, and with a user all of that user's.
pub async fn s12_6_removes_old_changes_of_addresses(store: Arc<dyn Store>) {
    let mut ids = Vec::new();
    for seconds in [3_u64, 1, 2] {
        let user: NewUser = create(&store, &format!("user{seconds}")).await;
        let asked_at = now() + Duration::from_secs(seconds);
        let change = NewEmailChange::new(user.user.id, address("x@example.org"), asked_at);
        let mail = notice("x@example.org", change.id);
        let noted = store.request_email_change(&change, &mail, &event()).await;
        assert!(noted.unwrap());
        ids.push((seconds, change.id, user.user.id));
    }
    ids.sort_unstable_by_key(|(seconds, ..)| *seconds);
    let [(_, oldest, _), (_, middle, _), (_, newest, user)] = ids.as_slice() else {
        unreachable!()
    };
    let before = now() + Duration::from_secs(3);
    assert_eq!(store.remove_email_changes(before, 1).await.unwrap(), 1);
    assert_eq!(find(&store, *oldest).await, None);
    assert!(find(&store, *middle).await.is_some());
    assert_eq!(store.remove_email_changes(before, 9).await.unwrap(), 1);
    assert!(find(&store, *newest).await.is_some());
    let ending = ending(REASON);
    let deleted = store.delete_user(*user, &ending, &event()).await;
    assert!(deleted.unwrap().is_some());
    assert_eq!(find(&store, *newest).await, None);
}
