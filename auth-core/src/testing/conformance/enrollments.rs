//! Enrollments: begun by signing up or by an invitation, and completed at the address.

use std::sync::Arc;
use std::time::Duration;

use uuid::Uuid;

use super::fixtures::{
    CROWD, address, claim_all, create, create_verified, event, event_at, hash, new_user, now, race,
    user_with_address,
};
use crate::mail::MailKind;
use crate::store::{
    Enrollee, EnrollmentId, EnrollmentOrigin, EventFilter, NewEmailChange, NewMail, NewUser,
    SignUpSource, Store, StoreError,
};
use crate::{Timestamp, UserId};

const SECOND: Duration = Duration::from_secs(1);
const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// Somebody signs up, from a network from which nobody else does.
fn signed_up(name: &str, email: &str) -> Enrollee {
    signed_up_from(EnrollmentId::generate().as_uuid(), name, email)
}

fn signed_up_from(source: Uuid, name: &str, email: &str) -> Enrollee {
    let origin = EnrollmentOrigin::SignUp {
        username: name.parse().unwrap(),
        password_hash: hash(&format!("{name}'s hash")),
        source: SignUpSource::from_uuid(source),
    };
    enrollee(email, origin, now() + DAY)
}

/// The same at another time.
fn begun_at(enrollment: Enrollee, begun_at: Timestamp) -> Enrollee {
    Enrollee {
        begun_at,
        ..enrollment
    }
}

fn invited(email: &str) -> Enrollee {
    enrollee(
        email,
        EnrollmentOrigin::Invitation { by: None },
        now() + DAY,
    )
}

/// The enrollments of an address, the newest first.
async fn of_address(store: &Arc<dyn Store>, email: &str) -> Vec<EnrollmentId> {
    let found = store.find_enrollments_of(&address(email)).await.unwrap();
    found.iter().map(|enrollment| enrollment.id).collect()
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
        let found = store.find_enrollments_of(&email).await.unwrap();
        assert_eq!(found.len(), 1);
        assert_same(found.into_iter().next(), &enrollment);
        let owed = claim_all(&store, now()).await;
        let about: Vec<_> = owed.iter().map(|mail| mail.about).collect();
        assert_eq!(about, [Some(enrollment.id.as_uuid())]);
    }
    assert_eq!(count_events(&store).await, 3);
    assert!(find(&store, EnrollmentId::generate()).await.is_none());
    assert!(of_address(&store, "x@example.org").await.is_empty());
}

/// A sign-up replaces the one that its network has begun before, and an invitation the one before,
/// however the address is spelled; neither touches what others have signed up for.
pub async fn s8_1_a_newer_enrollment_replaces_the_earlier(store: Arc<dyn Store>) {
    let email = "alice@example.org";
    let other = begun_at(signed_up("alice", email), now() + SECOND);
    begin(&store, &other).await;
    let source = EnrollmentId::generate().as_uuid();
    let first = signed_up_from(source, "alice", email);
    begin(&store, &first).await;
    assert_eq!(of_address(&store, email).await, [other.id, first.id]);
    let second = signed_up_from(source, "alicia", "ALICE@example.org");
    begin(&store, &second).await;
    assert!(find(&store, first.id).await.is_none());
    assert_same(find(&store, second.id).await, &second);
    assert_same(find(&store, other.id).await, &other);
    let refused = complete(&store, first.id, &new_user("alice")).await;
    assert!(!refused.unwrap());

    let first = begun_at(invited(email), now() - SECOND);
    begin(&store, &first).await;
    let invitation = begun_at(invited("ALICE@example.org"), now() - SECOND);
    begin(&store, &invitation).await;
    let expected = [other.id, second.id, invitation.id];
    assert_eq!(of_address(&store, email).await, expected);

    let user = user_with_address("alicia", email);
    assert!(complete(&store, second.id, &user).await.unwrap());
    let third = signed_up_from(source, "alice", email);
    begin(&store, &third).await;
    assert_same(find(&store, third.id).await, &third);
    assert!(find(&store, second.id).await.is_none());
}

/// What is completed first ends the others of its address, and no others.
pub async fn fault_c3_the_first_that_is_completed_ends_the_others(store: Arc<dyn Store>) {
    let email = "alice@example.org";
    let (owner, stranger) = (signed_up("alice", email), signed_up("mallory", email));
    let bob = signed_up("bob", "bob@example.org");
    for enrollment in [&stranger, &owner, &invited(email), &bob] {
        begin(&store, enrollment).await;
    }
    let alice = user_with_address("alice", email);
    let taken = user_with_address("bob", "taken@example.org");
    create(&store, "bob").await;
    let refused = complete(&store, owner.id, &taken).await;
    assert!(matches!(refused, Err(StoreError::UsernameTaken)));
    assert_eq!(
        of_address(&store, email).await.len(),
        3,
        "nothing has happened"
    );
    assert!(complete(&store, owner.id, &alice).await.unwrap());
    assert_eq!(of_address(&store, email).await, [owner.id]);
    let mallory = user_with_address("mallory", "mallory@example.org");
    assert!(!complete(&store, stranger.id, &mallory).await.unwrap());
    assert!(find(&store, bob.id).await.is_some());
}

/// Of many who complete what they have signed up for with one address, one is a user.
pub async fn s8_9_of_many_completions_for_one_address_one_makes_a_user(store: Arc<dyn Store>) {
    let email = "alice@example.org";
    for round in 0..5 {
        let mut sign_ups = Vec::new();
        for index in 0..Enrollee::MAX_SIGN_UPS {
            let sign_up = signed_up(&format!("user{round}-{index}"), email);
            begin(&store, &sign_up).await;
            sign_ups.push(sign_up);
        }
        let outcomes = race(sign_ups.len(), |index| {
            let (store, sign_up) = (Arc::clone(&store), sign_ups.get(index).unwrap().clone());
            let name = format!("user{round}-{index}");
            // Each with an address of its own, so that nothing else tells them apart.
            let user = new_user(&name);
            async move { complete(&store, sign_up.id, &user).await.unwrap() }
        })
        .await;
        assert_eq!(outcomes.iter().filter(|done| **done).count(), 1);
        assert_eq!(of_address(&store, email).await.len(), 1);
    }
}

/// A sixth sign-up finds no place while those before are young, and then takes that of the oldest;
/// what is not pending any more gives way at once.
pub async fn fault_c3_five_sign_ups_of_an_address_are_pending(store: Arc<dyn Store>) {
    let email = "alice@example.org";
    let mut ids = Vec::new();
    for seconds in 0..5 {
        let sign_up = begun_at(signed_up("alice", email), now() + seconds * SECOND);
        begin(&store, &sign_up).await;
        ids.insert(0, sign_up.id);
    }
    let young = now() + Enrollee::KEEPS_PLACE_FOR - SECOND;
    let sixth = begun_at(signed_up("mallory", email), young);
    begin(&store, &sixth).await;
    assert_eq!(of_address(&store, email).await, ids);
    let owed = claim_all(&store, now()).await;
    assert_eq!(owed.len(), 6, "it costs the same");
    assert_eq!(count_events(&store).await, 6);

    let later = now() + Enrollee::KEEPS_PLACE_FOR;
    let seventh = begun_at(signed_up("alicia", email), later);
    begin(&store, &seventh).await;
    ids.pop();
    ids.insert(0, seventh.id);
    assert_eq!(of_address(&store, email).await, ids);
    let eighth = begun_at(signed_up("mallory", email), later);
    begin(&store, &eighth).await;
    assert!(
        find(&store, eighth.id).await.is_none(),
        "the others are young"
    );
    begin(&store, &invited(email)).await;
    assert_eq!(
        of_address(&store, email).await.len(),
        6,
        "an invitation has its own place"
    );

    let old = begun_at(signed_up("old", "bob@example.org"), now());
    let old = Enrollee {
        expires_at: now() + SECOND,
        ..old
    };
    begin(&store, &old).await;
    for name in ["b", "c", "d", "e"] {
        begin(&store, &signed_up(name, "bob@example.org")).await;
    }
    let new = begun_at(signed_up("bob", "bob@example.org"), now() + SECOND);
    begin(&store, &new).await;
    assert!(find(&store, old.id).await.is_none());
    assert!(find(&store, new.id).await.is_some());
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

/// Of many sign-ups with one address at once five stay, one from each network.
pub async fn s8_9_of_many_sign_ups_with_one_address_at_once_five_stay(store: Arc<dyn Store>) {
    let email = "alice@example.org";
    let source = EnrollmentId::generate().as_uuid();
    race(CROWD, |index| {
        let store = Arc::clone(&store);
        let sign_up = signed_up_from(source, &format!("user{index}"), email);
        async move { begin(&store, &sign_up).await }
    })
    .await;
    assert_eq!(of_address(&store, email).await.len(), 1);
    race(CROWD, |index| {
        let store = Arc::clone(&store);
        let name = format!("user{index}");
        let sign_up = match index % 3 {
            0 => signed_up_from(source, &name, email),
            1 => signed_up(&name, email),
            _ => invited(email),
        };
        async move { begin(&store, &sign_up).await }
    })
    .await;
    let found = store.find_enrollments_of(&address(email)).await.unwrap();
    let mut sources: Vec<_> = found.iter().map(|it| it.origin.source()).collect();
    assert_eq!(sources.len(), Enrollee::MAX_SIGN_UPS + 1);
    sources.sort_by_key(|source| source.map(|source| source.as_uuid()));
    sources.dedup();
    assert_eq!(sources.len(), Enrollee::MAX_SIGN_UPS + 1, "one of each");
    assert!(sources.contains(&Some(SignUpSource::from_uuid(source))));
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
