//! What superusers do over HTTP, on both databases.

#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test that cannot go on fails"
)]

mod case;

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use crate::support::{Answer, Embedded, PASSWORD, on_each_database};
use case::{Case, USERS, insert, names, path_of};
use reqwest::Method;
use serde_json::json;

const PATIENCE: Duration = Duration::from_secs(60);

const OTHER_PASSWORD: &str = "battery horse correct";

on_each_database!(
    s8_8_s14_4_each_request_takes_effect_and_is_told_of,
    s9_1_only_superusers_come_so_far_that_anything_is_looked_at,
    s9_2_a_demotion_counts_at_once_with_the_old_token,
    two_superusers_who_turn_against_each_other_leave_one,
    a_change_is_done_as_a_whole_or_refused,
    pages_of_users_are_stable_while_others_write,
    s14_4_the_trail_is_the_one_of_the_command,
);

async fn s8_8_s14_4_each_request_takes_effect_and_is_told_of(case: Case) {
    let op = case.superuser_token().await;
    // Only what is documented is read.
    let body = json!({
        "username": "Bob", "password": PASSWORD, "email": "Bob@example.org",
        "is_superuser": true, "is_active": false, "roles": ["editor"], "email_verified": true,
    });
    let created = case.ask(&op, Method::POST, USERS, body).await;
    assert_eq!(created.status.as_u16(), 201, "{created:?}");
    let bob = created.json();
    let id = created.text("id");
    let at = created.text("created_at");
    assert!(at.ends_with('Z') && at.len() == 20, "{at}");
    let expected = json!({
        "id": id, "username": "Bob", "email": "Bob@example.org", "email_verified_at": null,
        "is_active": true, "is_superuser": false, "roles": [], "created_at": at,
    });
    assert_eq!(bob, expected);
    assert_eq!(created.headers["location"], path_of(&id).as_str());
    let read = case.get(&op, &path_of(&id)).await;
    assert_eq!((read.status.as_u16(), read.json()), (200, bob));
    let again = json!({"username": "bob", "password": PASSWORD, "email": "b@example.org"});
    let again = case.ask(&op, Method::POST, USERS, again).await;
    again.is_error(409, "username_taken");

    let mut told = vec![("user_registered", request_id(&created))];
    let session = case.log_in("bob").await;
    let changed = case
        .patch(&op, &id, json!({"roles": ["editor", "auditor"]}))
        .await;
    assert_eq!(changed.json()["roles"], json!(["auditor", "editor"]));
    told.push(("roles_changed", request_id(&changed)));
    let promoted = case.patch(&op, &id, json!({"is_superuser": true})).await;
    assert_eq!(promoted.json()["is_superuser"], true);
    told.push(("superuser_granted", request_id(&promoted)));
    case.token_that_works("bob", PASSWORD).await;

    let logout = format!("{}logout/", path_of(&id));
    let ended = case.ask(&op, Method::POST, &logout, None).await;
    ended.is(204, "");
    told.push(("sessions_ended", request_id(&ended)));
    let refused = case.server.refresh(&session.1).await;
    refused.is_error(401, "token_revoked");

    let session = case.log_in("bob").await;
    let changes = json!({"is_active": false, "password": OTHER_PASSWORD});
    let changed = case.patch(&op, &id, changes).await;
    assert_eq!(changed.json()["is_active"], false);
    told.push(("user_deactivated", request_id(&changed)));
    told.push(("password_changed", request_id(&changed)));
    let refused = case.server.refresh(&session.1).await;
    refused.is_error(401, "token_revoked");
    let refused = case.server.log_in("bob", OTHER_PASSWORD).await;
    refused.is_error(401, "invalid_credentials");
    let changed = case.patch(&op, &id, json!({"is_active": true})).await;
    told.push(("user_activated", request_id(&changed)));
    let again = case.server.log_in("bob", OTHER_PASSWORD).await;

    let deleted = case.ask(&op, Method::DELETE, &path_of(&id), None).await;
    deleted.is(204, "");
    told.push(("user_deleted", request_id(&deleted)));
    let refused = case.server.refresh(&again.text("refresh_token")).await;
    refused.is_error(401, "token_revoked");
    for (method, path, body) in [
        (Method::GET, path_of(&id), None),
        (
            Method::PATCH,
            path_of(&id),
            Some(json!({"is_active": true})),
        ),
        (Method::DELETE, path_of(&id), None),
        (Method::POST, logout, None),
        (Method::GET, format!("{USERS}nobody/"), None),
    ] {
        let refused = case.ask(&op, method, &path, body).await;
        refused.is_error(404, "not_found");
    }

    // The trail of who is gone stays; the latest event comes first.
    let me = case.walk(&op, "search=").await;
    let me = me[0]["id"].as_str().unwrap();
    let events = format!("user={id}&limit=200");
    let events = case.pages(&op, "/api/admin/events/", &events, "events");
    let events = events.await;
    let by_me = events.iter().rev().filter(|event| {
        event["actor"] == me && event["outcome"] == "done" && event["client"] == "127.0.0.1"
    });
    let by_me: Vec<_> = by_me
        .map(|event| {
            let text = |name: &str| event[name].as_str().unwrap();
            (text("kind"), text("request_id").to_owned())
        })
        .collect();
    assert_eq!(by_me, told);
}

fn request_id(answer: &Answer) -> String {
    answer.headers["x-request-id"].to_str().unwrap().to_owned()
}

async fn s9_1_only_superusers_come_so_far_that_anything_is_looked_at(case: Case) {
    let op = case.superuser_token().await;
    let id = case.create(&op, "bob").await;
    let bob = case.log_in("bob").await.0;
    let requests = [
        (Method::GET, "/api/admin/users/?limit=0&limit=1", None),
        (Method::POST, USERS, Some(json!({"username": 1}))),
        (Method::POST, USERS, Some(json!({"username": "bob"}))),
        (Method::GET, "/api/admin/users/nobody/", None),
        (Method::PATCH, "/api/admin/users/nobody/", Some(json!([]))),
        (Method::DELETE, "/api/admin/users/nobody/", None),
        (Method::POST, "/api/admin/users/nobody/logout/", None),
        (Method::GET, "/api/admin/events/?user=nobody", None),
    ];
    for (method, path, body) in requests {
        let refused = case
            .server
            .request(method.clone(), path, None, body.clone());
        let refused = refused.await;
        refused.is_error(401, "authentication_required");
        assert_eq!(refused.headers["www-authenticate"], "Bearer");
        let refused = case.ask("forged", method.clone(), path, body.clone()).await;
        refused.is_error(401, "token_invalid");
        let refused = case.ask(&bob, method, path, body).await;
        refused.is_error(403, "permission_denied");
        let challenge = &refused.headers["www-authenticate"];
        assert_eq!(challenge, "Bearer error=\"insufficient_scope\"");
    }
    let own = case.patch(&bob, &id, json!({"is_superuser": true})).await;
    own.is_error(403, "permission_denied");
    let denied = async {
        loop {
            let denied = case.get(&op, "/api/admin/events/?kind=access_denied").await;
            let denied = denied.json()["events"].as_array().unwrap().clone();
            // The others of this minute are counted, not listed.
            if !denied.is_empty() {
                return denied;
            }
        }
    };
    let denied = tokio::time::timeout(PATIENCE, denied).await.unwrap();
    let [event] = denied.as_slice() else {
        panic!("not one event: {denied:?}")
    };
    assert_eq!(event["actor"], id.as_str());
    assert_eq!(event["reason"], "permission_denied");
}

async fn s9_2_a_demotion_counts_at_once_with_the_old_token(case: Case) {
    let op = case.superuser_token().await;
    let id = case.create(&op, "bob").await;
    let promoted = case.patch(&op, &id, json!({"is_superuser": true})).await;
    assert_eq!(promoted.status.as_u16(), 200, "{promoted:?}");
    let bob = case.token_that_works("bob", PASSWORD).await;
    let demoted = case.patch(&op, &id, json!({"is_superuser": false})).await;
    assert_eq!(demoted.json()["is_superuser"], false);
    let refused = case.get(&bob, USERS).await;
    let told = (refused.status.as_u16(), refused.text("code"));
    let told = (told.0, told.1.as_str());
    let right = [(401, "token_expired"), (403, "permission_denied")];
    assert!(right.contains(&told), "{refused:?}");
    let victim = case.patch(&bob, &id, json!({"is_superuser": true})).await;
    assert!(!victim.status.is_success(), "{victim:?}");
    let read = case.get(&op, &path_of(&id)).await.json();
    assert_eq!(read["is_superuser"], false);
}

async fn two_superusers_who_turn_against_each_other_leave_one(case: Case) {
    let op = case.superuser_token().await;
    // Two of our own, so that each round begins with the same two.
    let mut ids = Vec::new();
    for name in ["anna", "bert"] {
        let id = case.create(&op, name).await;
        let promoted = case.patch(&op, &id, json!({"is_superuser": true})).await;
        assert_eq!(promoted.status.as_u16(), 200, "{promoted:?}");
        ids.push(id);
    }
    let mut tokens = Vec::new();
    for name in ["anna", "bert"] {
        tokens.push(case.token_that_works(name, PASSWORD).await);
    }
    let me = case
        .walk(&op, &format!("search={}", case.superuser.0))
        .await;
    let me = me[0]["id"].as_str().unwrap().to_owned();
    let gone = case.patch(&op, &me, json!({"is_superuser": false})).await;
    assert_eq!(gone.status.as_u16(), 200, "another one remains: {gone:?}");

    for changes in [
        Some(json!({"is_superuser": false})),
        Some(json!({"is_active": false})),
        Some(json!({"is_superuser": false, "is_active": false})),
        None,
    ] {
        let attack = |by: usize, whom: usize| {
            let method = match changes {
                Some(_) => Method::PATCH,
                None => Method::DELETE,
            };
            let path = path_of(&ids[whom]);
            let (token, changes) = (tokens[by].clone(), changes.clone());
            let case = &case;
            async move { case.ask(&token, method, &path, changes).await }
        };
        let (one, other) = tokio::join!(attack(0, 1), attack(1, 0));
        let (winner, loser, refused) = match (one.status.is_success(), other.status.is_success()) {
            (true, false) => (0, 1, other),
            (false, true) => (1, 0, one),
            _ => panic!("not exactly one: {one:?} {other:?}"),
        };
        // Too late by a moment, or refused by the database.
        let code = refused.text("code");
        let refusals = [
            "last_superuser",
            "permission_denied",
            "token_expired",
            "token_revoked",
        ];
        assert!(refusals.contains(&code.as_str()), "{refused:?}");
        let left = case.walk(&tokens[winner], "limit=200").await;
        let left: Vec<_> = left
            .iter()
            .filter(|user| user["is_active"] == true && user["is_superuser"] == true)
            .map(|user| user["id"].as_str().unwrap())
            .collect();
        assert_eq!(left, [ids[winner].as_str()]);
        let own = attack(winner, winner).await;
        own.is_error(409, "last_superuser");
        if changes.is_none() {
            return;
        }
        let again = json!({"is_superuser": true, "is_active": true});
        let again = case.patch(&tokens[winner], &ids[loser], again).await;
        assert_eq!(again.status.as_u16(), 200, "{again:?}");
        let name = ["anna", "bert"][loser];
        tokens[loser] = case.token_that_works(name, PASSWORD).await;
    }
}

async fn a_change_is_done_as_a_whole_or_refused(case: Case) {
    let op = case.superuser_token().await;
    let id = case.create(&op, "bob").await;
    let before = case.get(&op, &path_of(&id)).await.json();
    for (wrong, field) in [
        (json!({"password": "bob"}), "password"),
        (json!({"password": "x\0yzxyzxyz"}), "password"),
        (json!({"roles": ["superuser"]}), "roles"),
        (json!({"is_superuser": "yes"}), "is_superuser"),
    ] {
        let mut changes = json!({"is_active": false, "is_superuser": true, "roles": ["a"]});
        let wrong = wrong.as_object().unwrap().clone();
        changes.as_object_mut().unwrap().extend(wrong);
        let refused = case.patch(&op, &id, changes).await;
        refused.is_error(400, "validation_failed");
        let fields = refused.json()["errors"].as_object().unwrap().clone();
        assert_eq!(fields.keys().collect::<Vec<_>>(), [field]);
    }
    let nothing = case.patch(&op, &id, json!({"username": "x"})).await;
    nothing.is_error(400, "validation_failed");
    assert_eq!(case.get(&op, &path_of(&id)).await.json(), before);
    let session = case.log_in("bob").await;
    let refreshed = case.server.refresh(&session.1).await;
    assert_eq!(refreshed.status.as_u16(), 200, "{refreshed:?}");

    let me = case
        .walk(&op, &format!("search={}", case.superuser.0))
        .await;
    let mine = me[0]["id"].as_str().unwrap();
    let changes = json!({"is_active": false, "password": OTHER_PASSWORD, "roles": ["a"]});
    let refused = case.patch(&op, mine, changes).await;
    refused.is_error(409, "last_superuser");
    let unchanged = case.get(&op, &path_of(mine)).await.json();
    assert_eq!(unchanged, me[0]);
    case.superuser_token().await;
    let refused = case.ask(&op, Method::DELETE, &path_of(mine), None).await;
    refused.is_error(409, "last_superuser");
}

async fn pages_of_users_are_stable_while_others_write(case: Case) {
    let op = case.superuser_token().await;
    let mut staying = BTreeSet::from([case.superuser.0.to_owned()]);
    let mut leaving = Vec::new();
    for number in 0..150 {
        let name = format!("stays-{number:03}");
        insert(&case.store, &name).await;
        staying.insert(name);
        leaving.push(insert(&case.store, &format!("s-{number:03}-leaves")).await);
    }
    let walked = AtomicBool::new(false);
    let writing = async {
        for (number, id) in leaving.iter().enumerate() {
            if walked.load(Ordering::Relaxed) {
                return number;
            }
            let path = path_of(&id.to_string());
            let deleted = case.ask(&op, Method::DELETE, &path, None).await;
            deleted.is(204, "");
            insert(&case.store, &format!("t-{number:03}-comes")).await;
            insert(&case.store, &format!("a-{number:03}-comes")).await;
        }
        leaving.len()
    };
    let walking = async {
        let users = case.walk(&op, "limit=7").await;
        walked.store(true, Ordering::Relaxed);
        users
    };
    let (written, users) = tokio::join!(writing, walking);
    assert!(written > 1, "nothing was written meanwhile");
    let all = names(&users);
    let once: BTreeSet<_> = all.iter().copied().collect();
    assert_eq!(once.len(), all.len(), "somebody was listed twice: {all:?}");
    assert!(all.is_sorted(), "{all:?}");
    let missing: Vec<_> = staying
        .iter()
        .filter(|name| !once.contains(name.as_str()))
        .collect();
    assert!(missing.is_empty(), "left out: {missing:?}");

    let found = case.walk(&op, "search=STAYS-01&limit=3").await;
    let expected: Vec<_> = (10..20)
        .map(|number| format!("stays-{number:03}"))
        .collect();
    assert_eq!(names(&found), expected);
    let found = case.walk(&op, "search=stays-149%40example").await;
    assert_eq!(names(&found), ["stays-149"]);
    for odd in [
        "%27%20OR%201%3D1--",
        "%25",
        "a%00%00",
        "%ff",
        "%F0%9F%92%A9",
    ] {
        let found = case.get(&op, &format!("{USERS}?search=zz{odd}")).await;
        found.is(200, r#"{"users":[],"next":null}"#);
    }
    case.get(&op, "/api/admin/users/?cursor=dQBh")
        .await
        .is_error(400, "validation_failed");
}

async fn s14_4_the_trail_is_the_one_of_the_command(case: Case) {
    let op = case.superuser_token().await;
    let id = case.create(&op, "bob").await;
    for active in [false, true, false, true] {
        let changed = case.patch(&op, &id, json!({"is_active": active})).await;
        assert_eq!(changed.status.as_u16(), 200, "{changed:?}");
    }
    let path = "/api/admin/events/";
    let of_bob = format!("user={id}&limit=2");
    let of_bob = case.pages(&op, path, &of_bob, "events").await;
    assert_eq!(of_bob.len(), 5, "{of_bob:?}");
    assert_eq!(of_bob, case.printed_events(&format!("--user {id}")));
    let activated = format!("user={id}&kind=user_activated&limit=1");
    let activated = case.pages(&op, path, &activated, "events").await;
    let printed = format!("--user {id} --kind user_activated");
    assert_eq!(activated, case.printed_events(&printed));
    assert_eq!(activated.len(), 2);
    let all = case.pages(&op, path, "limit=3", "events").await;
    assert_eq!(all, case.printed_events(""));
    assert!(all.len() > of_bob.len());
}

#[tokio::test]
async fn the_group_is_off_until_it_is_named() {
    let embedded = Embedded::start(&[("AUTH_ENDPOINTS", "account")]);
    let token = embedded.superuser_token().await;
    for path in [
        "/api/admin/users/",
        "/api/admin/users/x/",
        "/api/admin/users/x/logout/",
        "/api/admin/events/",
    ] {
        for method in [Method::GET, Method::POST, Method::PATCH, Method::DELETE] {
            let request = embedded.server.request(method, path, Some(&token), None);
            request.await.is_error(404, "not_found");
        }
    }
}
