//! Users: creation, uniqueness, look-up, password hashes.

use std::sync::Arc;

use super::fixtures::{
    CROWD, address, claim_all, create, event, hash, mail_to, new_user, now, race, user_with_address,
};
use crate::store::{NewSession, NewUser, Store, StoreError};
use crate::{EmailAddress, Roles, Timestamp, User, UserId, Username, UsernamePolicy};

/// The database answers.
pub async fn answers_the_check(store: Arc<dyn Store>) {
    store.check().await.unwrap();
}

/// Every field of a user comes back as it was given, by id and by name.
pub async fn finds_a_user_as_it_was_created(store: Arc<dyn Store>) {
    let mut alice = new_user("Alice");
    alice.user.email_verified_at = Some(Timestamp::from_unix_micros(1_700_000_001_000_001));
    let mut bob = user_with_address("bob", "Bob@Bücher.example");
    bob.user.is_superuser = true;
    bob.user.is_active = false;
    bob.user.roles = Roles::parse(["editor", "billing:read"]).unwrap();
    for user in [&alice, &bob] {
        store.create_user(user, None, &event()).await.unwrap();
    }

    for (user, spelling) in [(&alice, "ALICE"), (&bob, "bob")] {
        let found = store.find_user(user.user.id).await.unwrap();
        assert_eq!(found.as_ref(), Some(&user.user));
        let found = store.find_credentials(&spelling.parse().unwrap()).await;
        let (found, hash) = found.unwrap().unwrap();
        assert_eq!(found, user.user);
        assert_eq!(hash.as_stored(), user.password_hash.as_stored());
    }
    let nobody = store.find_user(UserId::generate()).await.unwrap();
    assert_eq!(nobody, None);
    let nobody = store.find_credentials(&"carol".parse().unwrap()).await;
    assert!(nobody.unwrap().is_none());
}

/// Times keep their microseconds, before the epoch and far ahead too.
pub async fn keeps_times_to_the_microsecond(store: Arc<dyn Store>) {
    for (index, micros) in [-1, 0, 1, 1_700_000_000_999_999, 253_402_300_799_999_999]
        .into_iter()
        .enumerate()
    {
        let time = Timestamp::from_unix_micros(micros);
        let mut user = new_user(&format!("user{index}"));
        user.user.created_at = time;
        user.user.email_verified_at = Some(time);
        store.create_user(&user, None, &event()).await.unwrap();
        let found = store.find_user(user.user.id).await.unwrap();
        assert_eq!(found, Some(user.user.clone()));

        let session = NewSession::new(user.user.id, time, time);
        let begun = store
            .create_session(&session, &user.password_hash, &event())
            .await;
        assert!(begun.unwrap().is_some());
        let found = store.find_session(session.id).await.unwrap().unwrap();
        assert_eq!((found.created_at, found.expires_at), (time, time));
    }
}

/// Users who came from another system keep names that today's rules would not allow.
pub async fn keeps_names_that_new_users_may_not_choose(store: Arc<dyn Store>) {
    let mut user = new_user("placeholder");
    user.user.username = Username::from_stored("Zoë Ⅷ", "zoë viii");
    user.user.email = EmailAddress::from_stored("\"Zoë\"@old", "\"zoë\"@old");
    store.create_user(&user, None, &event()).await.unwrap();
    let found = store.find_user(user.user.id).await.unwrap();
    assert_eq!(found, Some(user.user.clone()));
    let found = store.find_credentials(&user.user.username).await.unwrap();
    assert_eq!(found.unwrap().0, user.user);
}

/// One canonical username is one user.
pub async fn s3_1_refuses_a_username_that_differs_only_in_case(store: Arc<dyn Store>) {
    let first = create(&store, "Alice").await;
    for spelling in ["Alice", "alice", "ALICE"] {
        let other = user_with_address(spelling, "other@example.org");
        let refused = store.create_user(&other, None, &event()).await;
        assert!(
            matches!(refused, Err(StoreError::UsernameTaken)),
            "{refused:?}"
        );
        assert_eq!(store.find_user(other.user.id).await.unwrap(), None);
    }
    let found = store.find_credentials(&first.user.username).await.unwrap();
    assert_eq!(found.unwrap().0, first.user);
}

/// One address is one user, however it is spelt.
pub async fn s3_4_refuses_an_address_that_differs_only_in_case(store: Arc<dyn Store>) {
    let first = user_with_address("alice", "Alice@Bücher.example");
    store.create_user(&first, None, &event()).await.unwrap();
    for spelling in [
        "Alice@Bücher.example",
        "alice@BÜCHER.example",
        "ALICE@xn--bcher-kva.EXAMPLE",
    ] {
        let other = user_with_address("bob", spelling);
        let refused = store.create_user(&other, None, &event()).await;
        assert!(
            matches!(refused, Err(StoreError::EmailTaken)),
            "{refused:?}"
        );
        assert_eq!(store.find_user(other.user.id).await.unwrap(), None);
    }
    let other = user_with_address("bob", "a.lice@bücher.example");
    store.create_user(&other, None, &event()).await.unwrap();
}

/// Of many registrations of one name at once, in all spellings, one makes a user and a mail.
pub async fn s8_9_of_many_registrations_of_one_username_one_succeeds(store: Arc<dyn Store>) {
    let users: Vec<NewUser> = (0..CROWD)
        .map(|index| {
            let name = if index % 2 == 0 { "alice" } else { "ALICE" };
            user_with_address(name, &format!("alice{index}@example.org"))
        })
        .collect();
    let winner = register_at_once(&store, &users, |e| matches!(e, StoreError::UsernameTaken)).await;
    let found = store.find_credentials(&"Alice".parse().unwrap()).await;
    assert_eq!(found.unwrap().unwrap().0, winner);
}

/// Of many registrations of one address at once, in all spellings, one makes a user and a mail.
pub async fn s8_9_of_many_registrations_of_one_address_one_succeeds(store: Arc<dyn Store>) {
    let users: Vec<NewUser> = (0..CROWD)
        .map(|index| {
            let domain = if index % 2 == 0 { "org" } else { "ORG" };
            user_with_address(&format!("user{index}"), &format!("alice@example.{domain}"))
        })
        .collect();
    register_at_once(&store, &users, |e| matches!(e, StoreError::EmailTaken)).await;
}

/// Registers all users at once, each with a mail; gives the only one who exists afterwards.
async fn register_at_once(
    store: &Arc<dyn Store>,
    users: &[NewUser],
    refusal: fn(&StoreError) -> bool,
) -> User {
    let outcomes = race(users.len(), |index| {
        let store = Arc::clone(store);
        let user = users.get(index).cloned().unwrap();
        async move {
            let mail = mail_to(&user.user.email);
            store.create_user(&user, Some(&mail), &event()).await
        }
    })
    .await;
    let (created, refused): (Vec<_>, Vec<_>) = outcomes.into_iter().partition(Result::is_ok);
    assert_eq!(created.len(), 1);
    assert!(
        refused.iter().flat_map(|r| r.as_ref().err()).all(refusal),
        "{refused:?}"
    );

    let mut existing = Vec::new();
    for user in users {
        existing.extend(store.find_user(user.user.id).await.unwrap());
    }
    assert_eq!(existing.len(), 1);
    let winner = existing.remove(0);
    let mails = claim_all(store, now()).await;
    let recipients: Vec<_> = mails.iter().map(|mail| &mail.to).collect();
    assert_eq!(recipients, [&winner.email]);
    winner
}

/// Where both the username and the address are taken, the username is what is told.
pub async fn tells_of_the_username_where_the_address_is_taken_too(store: Arc<dyn Store>) {
    let user = create(&store, "alice").await;
    let mut again = new_user("alice");
    again.user.email = user.user.email.clone();
    let refused = store.create_user(&again, None, &event()).await;
    assert!(
        matches!(refused, Err(StoreError::UsernameTaken)),
        "{refused:?}"
    );
}

/// The mail is there if the user is, and only then.
pub async fn s8_5_creates_a_user_and_the_mail_or_neither(store: Arc<dyn Store>) {
    let alice = new_user("alice");
    let mail = mail_to(&alice.user.email);
    store
        .create_user(&alice, Some(&mail), &event())
        .await
        .unwrap();
    let mails = claim_all(&store, now()).await;
    assert_eq!(mails.len(), 1);
    let claimed = mails.first().unwrap();
    assert_eq!((claimed.id, &claimed.to), (mail.id, &alice.user.email));

    let impostor = user_with_address("alice", "other@example.org");
    let mail = mail_to(&impostor.user.email);
    let refused = store.create_user(&impostor, Some(&mail), &event()).await;
    refused.unwrap_err();
    assert!(claim_all(&store, now()).await.is_empty());

    // A mail to the address may wait from before, of a user who was deleted.
    let bob = new_user("bob");
    store.enqueue_mail(&mail_to(&bob.user.email)).await.unwrap();
    let mail = mail_to(&bob.user.email);
    store
        .create_user(&bob, Some(&mail), &event())
        .await
        .unwrap();
    assert_eq!(claim_all(&store, now()).await.len(), 1);
}

/// The first superuser is made once; users without privileges do not stand in the way.
pub async fn s17_1_creates_the_first_superuser_once(store: Arc<dyn Store>) {
    create(&store, "alice").await;
    let admin = new_user("admin");
    assert!(
        store
            .create_first_superuser(&admin, &event())
            .await
            .unwrap()
    );
    let found = store.find_user(admin.user.id).await.unwrap().unwrap();
    assert!(found.is_superuser);

    for name in ["admin", "root"] {
        let second = new_user(name);
        assert!(
            !store
                .create_first_superuser(&second, &event())
                .await
                .unwrap()
        );
        assert_eq!(store.find_user(second.user.id).await.unwrap(), None);
    }
}

/// Of many first superusers at once one is made, with one name for all and with a name for each.
pub async fn s17_1_of_many_first_superusers_one_is_created(store: Arc<dyn Store>) {
    let outcomes = race(20, |index| {
        let store = Arc::clone(&store);
        async move {
            let name = format!("admin{}", index / 2);
            store
                .create_first_superuser(&new_user(&name), &event())
                .await
        }
    })
    .await;
    let created: Vec<bool> = outcomes.into_iter().map(Result::unwrap).collect();
    assert_eq!(created.iter().filter(|&&created| created).count(), 1);
}

/// The name of an ordinary user cannot be the first superuser's.
pub async fn refuses_a_first_superuser_whose_name_is_taken(store: Arc<dyn Store>) {
    create(&store, "alice").await;
    let refused = store
        .create_first_superuser(&new_user("Alice"), &event())
        .await;
    assert!(
        matches!(
            refused,
            Err(StoreError::UsernameTaken | StoreError::EmailTaken)
        ),
        "{refused:?}"
    );
    let other = user_with_address("bob", "ALICE@example.org");
    let refused = store.create_first_superuser(&other, &event()).await;
    assert!(
        matches!(refused, Err(StoreError::EmailTaken)),
        "{refused:?}"
    );
}

/// A hash is replaced if it is the one that the caller has seen.
pub async fn s1_2_replaces_a_password_hash_only_if_it_is_the_current_one(store: Arc<dyn Store>) {
    let alice = create(&store, "alice").await;
    let bob = create(&store, "bob").await;
    let swap = |id, current: &'static str, replacement: &'static str| {
        let store = Arc::clone(&store);
        async move {
            let (current, replacement) = (hash(current), hash(replacement));
            store
                .replace_password_hash(id, &current, &replacement)
                .await
                .unwrap()
        }
    };
    assert!(swap(alice.user.id, "alice's hash", "new").await);
    assert!(!swap(alice.user.id, "alice's hash", "newer").await);
    assert!(!swap(UserId::generate(), "new", "newer").await);
    for (user, expected) in [(&alice, "new"), (&bob, "bob's hash")] {
        let found = store.find_credentials(&user.user.username).await.unwrap();
        assert_eq!(found.unwrap().1.as_stored(), expected);
    }
}

/// Of many replacements of the same hash at once, one happens.
pub async fn s1_2_of_many_replacements_of_one_hash_one_succeeds(store: Arc<dyn Store>) {
    let alice = create(&store, "alice").await;
    let outcomes = race(20, |index| {
        let (store, alice) = (Arc::clone(&store), alice.clone());
        async move {
            let replacement = hash(&format!("hash {index}"));
            let swapped =
                store.replace_password_hash(alice.user.id, &alice.password_hash, &replacement);
            swapped.await.unwrap().then_some(replacement)
        }
    })
    .await;
    let winners: Vec<_> = outcomes.into_iter().flatten().collect();
    assert_eq!(winners.len(), 1);
    let found = store.find_credentials(&alice.user.username).await.unwrap();
    assert_eq!(
        found.unwrap().1.as_stored(),
        winners.first().unwrap().as_stored()
    );
}

/// Texts that look like SQL are kept as they are, find nothing else and change nothing else.
pub async fn s15_1_strings_are_data_whatever_they_hold(store: Arc<dyn Store>) {
    let alice = create(&store, "alice").await;
    for payload in [
        "' OR '1'='1",
        "alice'--",
        "'; DROP TABLE auth_users; --",
        "\\'; DELETE FROM auth_users; --",
        "\" OR \"\"=\"",
        "$1 ?1 :name @name {}",
        "%",
        "_____",
        "alice\u{200b}",
        "') ON CONFLICT DO NOTHING --",
    ] {
        let username = Username::from_stored(payload, payload);
        let email = EmailAddress::from_stored(payload, payload);
        assert!(store.find_credentials(&username).await.unwrap().is_none());
        let begun = store.begin_email_verification(&email).await.unwrap();
        assert!(begun.is_none());
        let (current, replacement) = (hash(payload), hash("x"));
        let swapped = store.replace_password_hash(alice.user.id, &current, &replacement);
        assert!(!swapped.await.unwrap());

        let user = User::new(UserId::generate(), username, email, now());
        let user = NewUser::new(user, hash(payload));
        let mail = mail_to(&user.user.email);
        store
            .create_user(&user, Some(&mail), &event())
            .await
            .unwrap();
        let found = store.find_credentials(&user.user.username).await.unwrap();
        let (found, found_hash) = found.unwrap();
        assert_eq!((found, found_hash.as_stored()), (user.user, payload));
        let mails = claim_all(&store, now()).await;
        let claimed = mails.first().unwrap();
        assert_eq!(claimed.to, mail.to);
        store.abandon_mail(claimed, now(), payload).await.unwrap();
    }
    let found = store.find_credentials(&alice.user.username).await.unwrap();
    let (found, found_hash) = found.unwrap();
    assert_eq!(found, alice.user);
    assert_eq!(found_hash.as_stored(), alice.password_hash.as_stored());
    let taken = user_with_address("bob", address("alice@example.org").as_str());
    let refused = store.create_user(&taken, None, &event()).await;
    assert!(
        matches!(refused, Err(StoreError::EmailTaken)),
        "{refused:?}"
    );
}

/// A user whose name is compared by what it looks like.
fn looking(name: &str) -> NewUser {
    let user = new_user(name);
    let skeleton = UsernamePolicy::Unicode.skeleton(&user.user.username);
    user.with_username_skeleton(skeleton)
}

/// A name that looks like another user's is taken; names that are not compared are not.
pub async fn s3_2_refuses_a_username_that_looks_like_another(store: Arc<dyn Store>) {
    let modern = looking("modern");
    store.create_user(&modern, None, &event()).await.unwrap();
    let refused = store.create_user(&looking("modem"), None, &event()).await;
    assert!(matches!(refused, Err(StoreError::UsernameTaken)));
    let refused = store
        .create_first_superuser(&looking("modem"), &event())
        .await;
    assert!(matches!(refused, Err(StoreError::UsernameTaken)));
    assert!(find(&store, "modem").await.is_none());
    create(&store, "modem").await;
    store
        .create_user(&looking("other"), None, &event())
        .await
        .unwrap();
    create(&store, "third").await;
}

/// Of many names that look alike, one is registered.
pub async fn s3_2_of_many_registrations_of_one_skeleton_one_succeeds(store: Arc<dyn Store>) {
    let outcomes = race(CROWD, |index| {
        let store = Arc::clone(&store);
        async move {
            // Each digit is an `l` or its likeness: a hundred names, one look.
            let name: String = (0..7)
                .map(|bit| if index >> bit & 1 == 0 { 'l' } else { '1' })
                .collect();
            store.create_user(&looking(&name), None, &event()).await
        }
    })
    .await;
    let created = outcomes.iter().filter(|outcome| outcome.is_ok()).count();
    assert_eq!(created, 1);
    for refused in outcomes.into_iter().filter_map(Result::err) {
        assert!(matches!(refused, StoreError::UsernameTaken), "{refused:?}");
    }
}

/// Users who were there before get their skeletons in batches, each skeleton the first of its users;
/// to fill them in again changes nothing.
pub async fn s3_2_fills_in_the_skeletons_of_users_who_were_there(store: Arc<dyn Store>) {
    for name in ["modern", "modem", "alice", "bob", "bill", "bi11", "carol"] {
        create(&store, name).await;
    }
    for _ in 0..2 {
        let mut last = None;
        let mut batches = 0;
        loop {
            last = store.fill_username_skeletons(last, 2).await.unwrap();
            batches += 1;
            assert!(batches < 10, "it goes on for ever");
            if last.is_none() {
                break;
            }
        }
    }
    for name in ["rnodern", "aIice", "bi1l", "caroI"] {
        let refused = store.create_user(&looking(name), None, &event()).await;
        assert!(matches!(refused, Err(StoreError::UsernameTaken)), "{name}");
    }
    store
        .create_user(&looking("dave"), None, &event())
        .await
        .unwrap();
    // Nobody lost the name, also not who looks like another.
    for name in ["modern", "modem", "bill", "bi11"] {
        assert!(find(&store, name).await.is_some(), "{name}");
    }
}

async fn find(store: &Arc<dyn Store>, name: &str) -> Option<User> {
    let found = store.find_credentials(&name.parse().unwrap()).await;
    found.unwrap().map(|(user, _)| user)
}
