//! Enrollments: begun by signing up or by an invitation, and completed at the address.

use std::sync::Arc;
use std::time::Duration;

use super::fixtures::{
    CROWD, address, claim_all, create, create_verified, event, event_at, hash, new_user, now, race,
    user_with_address,
};
use crate::mail::MailKind;
use crate::store::{
    Enrollee, EnrollmentId, EnrollmentOrigin, EventFilter, NewEmailChange, NewMail, NewUser, Store,
    StoreError,
};
use crate::{Timestamp, UserId};

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

fn signed_up(name: &str, email: &str) -> Enrollee {
    let origin = EnrollmentOrigin::SignUp {
        username: name.parse().unwrap(),
        password_hash: hash(&format!("{name}'s hash")),
    };
    enrollee(email, origin, now() + DAY)
}

fn enrollee(email: &str, origin: EnrollmentOrigin, expires_at: Timestamp) -> Enrollee {
    let id = EnrollmentId::generate();
    Enrollee::new(id, address(email), origin, now(), expires_at)
}

async fn begin(store: &Arc<dyn Store>, enrollment: &Enrollee) {
    let kind = match enrollment.origin {
        EnrollmentOrigin::SignUp { .. } => MailKind::ConfirmSignUp,
        EnrollmentOrigin::Invitation { .. } => MailKind::Invitation,
    };
    let mail = NewMail::new(kind, enrollment.email.clone(), now());
    let mail = mail.about(enrollment.id.as_uuid());
    let begun = store.begin_enrollment(enrollment, &mail, &event()).await;
    begun.unwrap();
}

async fn complete(
    store: &Arc<dyn Store>,
    id: EnrollmentId,
    user: &NewUser,
) -> Result<bool, StoreError> {
    let at = now() + Duration::from_secs(1);
    store.complete_enrollment(id, user, &event_at(at)).await
}

async fn find(store: &Arc<dyn Store>, id: EnrollmentId) -> Option<Enrollee> {
    store.find_enrollment(id).await.unwrap()
}

async fn count_events(store: &Arc<dyn Store>) -> usize {
    let events = store.list_events(&EventFilter::default()).await;
    events.unwrap().len()
}

fn assert_same(found: Option<Enrollee>, expected: &Enrollee) {
    let found = found.map(|found| format!("{found:?}"));
    assert_eq!(found, Some(format!("{expected:?}")));
}

/// An enrollment is found with all its fields, by its id and by its address, and its mail is owed.
pub async fn finds_an_enrollment_as_it_was_begun(store: Arc<dyn Store>) {
    let by = Some(UserId::generate());
    for enrollment in [
        signed_up("Alice", "Alice@Example.org"),
        enrollee(
            "bob@example.org",
            EnrollmentOrigin::Invitation { by },
            now() + DAY,
        ),
        enrollee(
            "carol@example.org",
            EnrollmentOrigin::Invitation { by: None },
            now() + DAY,
        ),
    ] {
        begin(&store, &enrollment).await;
        assert_same(find(&store, enrollment.id).await, &enrollment);
        let email = address(&enrollment.email.as_str().to_uppercase());
        let found = store.find_enrollment_of(&email).await.unwrap();
        assert_same(found, &enrollment);
        let owed = claim_all(&store, now()).await;
        let about: Vec<_> = owed.iter().map(|mail| mail.about).collect();
        assert_eq!(about, [Some(enrollment.id.as_uuid())]);
    }
    assert_eq!(count_events(&store).await, 3);
    assert!(find(&store, EnrollmentId::generate()).await.is_none());
    let nobody = store.find_enrollment_of(&address("x@example.org")).await;
    assert!(nobody.unwrap().is_none());
}

/// Of an address the newest enrollment counts, however its address is spelled and whatever was
/// before.
pub async fn s8_1_a_newer_enrollment_replaces_the_earlier(store: Arc<dyn Store>) {
    let first = signed_up("alice", "alice@example.org");
    begin(&store, &first).await;
    let second = signed_up("alicia", "ALICE@example.org");
    begin(&store, &second).await;
    assert!(find(&store, first.id).await.is_none());
    assert_same(find(&store, second.id).await, &second);
    assert!(
        !complete(&store, first.id, &new_user("alice"))
            .await
            .unwrap()
    );

    let user = user_with_address("alicia", "alice@example.org");
    assert!(complete(&store, second.id, &user).await.unwrap());
    let origin = EnrollmentOrigin::Invitation { by: None };
    let third = enrollee("alice@example.org", origin, now() + DAY);
    begin(&store, &third).await;
    assert_same(find(&store, third.id).await, &third);
}

/// An enrollment makes one user, as it was given, and then keeps no password hash.
pub async fn s8_1_an_enrollment_is_completed_once(store: Arc<dyn Store>) {
    let enrollment = signed_up("alice", "alice@example.org");
    begin(&store, &enrollment).await;
    let mut user = new_user("alice");
    user.user.email_verified_at = Some(now());
    assert!(complete(&store, enrollment.id, &user).await.unwrap());
    let found = store.find_credentials(&user.user.username).await.unwrap();
    let (created, stored) = found.unwrap();
    assert_eq!(created, user.user);
    assert_eq!(stored.as_stored(), user.password_hash.as_stored());

    let done = find(&store, enrollment.id).await.unwrap();
    assert_eq!(done.completed_at, Some(now() + Duration::from_secs(1)));
    let kept = done.origin.credentials().map(|(_, kept)| kept.as_stored());
    assert!(kept.is_some_and(|kept| kept.starts_with('!')), "{kept:?}");
    let other = new_user("bob");
    assert!(!complete(&store, enrollment.id, &other).await.unwrap());
    assert!(store.find_user(other.user.id).await.unwrap().is_none());
    assert_eq!(count_events(&store).await, 2);
}

/// A name or an address that somebody else has is refused, and the enrollment stays as it is.
pub async fn s8_9_a_taken_name_or_address_leaves_the_enrollment_pending(store: Arc<dyn Store>) {
    create(&store, "alice").await;
    let origin = EnrollmentOrigin::Invitation { by: None };
    let enrollment = enrollee("bob@example.org", origin, now() + DAY);
    begin(&store, &enrollment).await;
    let taken = user_with_address("ALICE", "bob@example.org");
    let refused = complete(&store, enrollment.id, &taken).await;
    assert!(matches!(refused, Err(StoreError::UsernameTaken)));
    let taken = user_with_address("bob", "Alice@example.org");
    let refused = complete(&store, enrollment.id, &taken).await;
    assert!(matches!(refused, Err(StoreError::EmailTaken)));
    assert_same(find(&store, enrollment.id).await, &enrollment);
    assert_eq!(count_events(&store).await, 2);
    assert!(
        complete(&store, enrollment.id, &new_user("bob"))
            .await
            .unwrap()
    );
}

/// A former address that its user may still take back is no new user's.
pub async fn s8_1_a_reserved_address_makes_no_user(store: Arc<dyn Store>) {
    let alice = create_verified(&store, "alice").await.user;
    let change = NewEmailChange::new(alice.id, address("new@example.org"), now());
    let mail = NewMail::new(
        MailKind::ConfirmEmailChange,
        address("new@example.org"),
        now(),
    );
    let asked = store.request_email_change(&change, &mail, &event()).await;
    assert!(asked.unwrap());
    let changed = store
        .confirm_email_change(change.id, now() + DAY, &mail, &event())
        .await;
    assert!(changed.unwrap());
    let enrollment = signed_up("mallory", "alice@example.org");
    begin(&store, &enrollment).await;
    let mallory = user_with_address("mallory", "alice@example.org");
    let refused = complete(&store, enrollment.id, &mallory).await;
    assert!(matches!(refused, Err(StoreError::EmailTaken)));
    assert_same(find(&store, enrollment.id).await, &enrollment);
    assert!(store.find_user(mallory.user.id).await.unwrap().is_none());
}

/// Of many uses of one enrollment at once, one makes a user.
pub async fn s8_9_of_many_completions_of_an_enrollment_one_makes_a_user(store: Arc<dyn Store>) {
    let origin = EnrollmentOrigin::Invitation { by: None };
    let enrollment = enrollee("alice@example.org", origin, now() + DAY);
    begin(&store, &enrollment).await;
    let outcomes = race(CROWD, |index| {
        let (store, id) = (Arc::clone(&store), enrollment.id);
        // Each with a name and an address of its own, so that nothing else tells them apart.
        let user = new_user(&format!("user{index}"));
        async move { complete(&store, id, &user).await.unwrap() }
    })
    .await;
    assert_eq!(outcomes.iter().filter(|done| **done).count(), 1);
    let users = store.list_users(&crate::store::UserFilter::default()).await;
    assert_eq!(users.unwrap().len(), 1);
    assert_eq!(count_events(&store).await, 2);
}

/// Of many enrollments of one address at once, one stays.
pub async fn s8_9_of_many_enrollments_of_one_address_one_stays(store: Arc<dyn Store>) {
    let ids = race(CROWD, |index| {
        let store = Arc::clone(&store);
        let enrollment = signed_up(&format!("user{index}"), "alice@example.org");
        async move {
            begin(&store, &enrollment).await;
            enrollment.id
        }
    })
    .await;
    let mut stayed = Vec::new();
    for id in ids {
        stayed.extend(find(&store, id).await.map(|found| found.id));
    }
    let of_address = store
        .find_enrollment_of(&address("alice@example.org"))
        .await;
    let of_address = of_address.unwrap().unwrap();
    assert_eq!(stayed, [of_address.id]);
}

/// What expired first goes first, completed or not.
pub async fn s12_6_removes_expired_enrollments(store: Arc<dyn Store>) {
    let mut ids = Vec::new();
    for seconds in [3_u64, 1, 2] {
        let email = format!("user{seconds}@example.org");
        let expires_at = now() + Duration::from_secs(seconds);
        let origin = EnrollmentOrigin::Invitation { by: None };
        let enrollment = enrollee(&email, origin, expires_at);
        begin(&store, &enrollment).await;
        ids.push((seconds, enrollment.id));
    }
    ids.sort_unstable();
    let [(_, oldest), (_, middle), (_, newest)] = ids.as_slice() else {
        unreachable!()
    };
    assert!(complete(&store, *middle, &new_user("user2")).await.unwrap());
    let before = now() + Duration::from_secs(3);
    assert_eq!(store.remove_enrollments(before, 1).await.unwrap(), 1);
    assert!(find(&store, *oldest).await.is_none());
    assert!(find(&store, *middle).await.is_some());
    assert_eq!(store.remove_enrollments(before, 9).await.unwrap(), 1);
    assert!(find(&store, *newest).await.is_some());
}
