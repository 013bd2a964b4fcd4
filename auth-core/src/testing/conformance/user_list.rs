//! Users, a page at a time.

use std::sync::Arc;

use super::fixtures::{create, ending, event, user_with_address};
use crate::store::{Store, UserFilter, UserSearch};
use crate::{RevocationReason, User};

fn pages_of(limit: u32, search: UserSearch) -> UserFilter {
    UserFilter {
        search,
        limit,
        ..UserFilter::default()
    }
}

fn names(users: &[User]) -> Vec<&str> {
    users.iter().map(|user| user.username.as_str()).collect()
}

/// Reads page after page until one is not full.
async fn all(store: &Arc<dyn Store>, mut filter: UserFilter) -> Vec<User> {
    let mut users = Vec::new();
    loop {
        let page = store.list_users(&filter).await.unwrap();
        let is_last = page.len() < filter.limit as usize;
        users.extend(page);
        if is_last {
            return users;
        }
        filter = filter.following(users.last().unwrap());
    }
}

/// Pages are in the order of the bytes of the canonical names, and each user is in one.
pub async fn lists_each_user_once_in_the_order_of_names(store: Arc<dyn Store>) {
    for name in ["b", "a", "B-2", "_x", "a.b", "A_b", "ab", "Z", "1"] {
        create(&store, name).await;
    }
    let expected = ["1", "_x", "a", "a.b", "A_b", "ab", "b", "B-2", "Z"];
    for limit in [1, 3, 5, 10, 100] {
        let users = all(&store, pages_of(limit, UserSearch::of(""))).await;
        assert_eq!(names(&users), expected, "pages of {limit}");
    }
    for user in all(&store, UserFilter::default()).await {
        let found = store.find_user(user.id).await.unwrap();
        assert_eq!(found, Some(user), "the whole record");
    }
}

/// Who is there all the time is in one page, whatever is written between two of them.
pub async fn pages_of_users_are_stable_under_writes(store: Arc<dyn Store>) {
    for name in ["b", "d", "f", "h"] {
        create(&store, name).await;
    }
    let filter = pages_of(2, UserSearch::of(""));
    let first = store.list_users(&filter).await.unwrap();
    assert_eq!(names(&first), ["b", "d"]);
    let d = first.last().unwrap();
    for name in ["a", "c", "e", "i"] {
        create(&store, name).await;
    }
    let ending = ending(RevocationReason::Administrative);
    let gone = store.delete_user(d.id, &ending, &event()).await;
    assert!(gone.unwrap().is_some());
    let rest = all(&store, filter.following(d)).await;
    assert_eq!(names(&rest), ["e", "f", "h", "i"]);
}

/// A search is for how names or addresses begin, without regard to case; no character is special.
pub async fn finds_users_by_how_names_or_addresses_begin(store: Arc<dyn Store>) {
    for (name, address) in [
        ("Alice", "zoe@example.org"),
        ("alina", "ALINA@example.org"),
        ("a_b", "a_b@example.org"),
        ("axb", "axb@example.org"),
        ("bob", "alice@example.com"),
    ] {
        let user = user_with_address(name, address);
        store.create_user(&user, None, &event()).await.unwrap();
    }
    let long = "a".repeat(10_000);
    for (typed, expected) in [
        ("ALI", ["Alice", "alina"].as_slice()),
        ("ali\0ce", &["Alice"]),
        ("a_", &["a_b"]),
        ("%", &[]),
        ("' OR 1=1 --", &[]),
        ("nobody", &[]),
        (&long, &[]),
        ("Alina@", &["alina"]),
        ("alice@example.", &["bob"]),
        ("@", &[]),
    ] {
        let found = all(&store, pages_of(1, UserSearch::of(typed))).await;
        assert_eq!(names(&found), expected, "{typed:?}");
    }
    let by_address = all(&store, pages_of(2, UserSearch::Email(String::new()))).await;
    assert_eq!(names(&by_address), ["a_b", "bob", "alina", "axb", "Alice"]);
}
