//! Lists, a page at a time, and their parameters.

use super::scripted::bob;
use super::{BOB_AS_JSON, EVENTS, USERS, ask, invalid};
use crate::support::{json, request};

#[tokio::test]
async fn users_are_listed_a_page_at_a_time() {
    let page = |search: &str, after: &str, limit: u32| {
        format!("list_users UserFilter {{ search: {search}, after: {after}, limit: {limit} }}")
    };
    let anna = BOB_AS_JSON
        .replace("b0b", "001")
        .replace("Bob", "Anna")
        .replace(r#""2023-11-14T22:13:20Z""#, "null")
        .replace(r#"["auditor","editor"]"#, "[]");
    let (answer, calls) = ask(request("GET", "/api/admin/users?limit=2")).await;
    // `ubob` in base64url.
    let expected = format!(r#"{{"users":[{anna},{BOB_AS_JSON}],"next":"dWJvYg"}}"#);
    assert_eq!(answer, json(200, &[], &expected));
    assert_eq!(calls, [page(r#"Username("")"#, "None", 3)]);

    let (answer, calls) = ask(request("GET", "/api/admin/users/?cursor=dWJvYg&search=B")).await;
    assert!(answer.ends_with(r#""next":null}"#), "{answer}");
    assert_eq!(calls, [page(r#"Username("b")"#, r#"Some("bob")"#, 51)]);

    // In the order of addresses the cursor is another one.
    let (answer, _) = ask(request("GET", "/api/admin/users/?search=b%40&limit=2")).await;
    assert!(
        answer.ends_with(r#""next":"ZWJvYkBleGFtcGxlLm9yZw"}"#),
        "{answer}"
    );
    let by_address = "/api/admin/users/?search=b%40&cursor=ZWJvYkBleGFtcGxlLm9yZw&limit=200";
    let (_, calls) = ask(request("GET", by_address)).await;
    let after = r#"Some("bob@example.org")"#;
    assert_eq!(calls, [page(r#"Email("b@")"#, after, 201)]);

    let (_, calls) = ask(request(
        "GET",
        "/api/admin/users/?search=&cursor=&limit=&x=1&x=1",
    ))
    .await;
    assert_eq!(calls, [page(r#"Username("")"#, "None", 51)]);
}

#[tokio::test]
async fn parameters_that_cannot_be_understood_are_named() {
    let limit = r#""limit":["must be a whole number from 1 to 200"]"#;
    let cursor = r#""cursor":["must be the `next` of a page of the same list"]"#;
    let repeated = |name: &str| format!(r#""{name}":["must not be repeated"]"#);
    let mut cases = Vec::new();
    for path in [USERS, EVENTS] {
        for value in ["0", "201", "-1", "%2B1", "1.0", "x", "4294967297", "1%00"] {
            cases.push((format!("{path}?limit={value}"), limit.to_owned()));
        }
        // Not base64url, with padding, with spare bits.
        for value in ["%00", "dWJvYg%3D%3D", "dWJvYh", "a%20b"] {
            cases.push((format!("{path}?cursor={value}"), cursor.to_owned()));
        }
        cases.push((format!("{path}?limit=1&limit=1"), repeated("limit")));
        cases.push((
            format!("{path}?cursor=x&limit=x"),
            format!("{cursor},{limit}"),
        ));
    }
    for (query, wrong) in [
        // A key of the other order, none at all, one with NUL, one that is no UTF-8.
        ("cursor=ZWJvYkBleGFtcGxlLm9yZw", cursor.to_owned()),
        ("cursor=dWJvYg&search=b%40", cursor.to_owned()),
        ("cursor=dQ", cursor.to_owned()),
        ("cursor=dWEAYg", cursor.to_owned()),
        ("cursor=df__", cursor.to_owned()),
        ("search=a&search=b", repeated("search")),
    ] {
        cases.push((format!("{USERS}?{query}"), wrong));
    }
    let user = r#""user":["must be the id of a user"]"#;
    let kind = r#""kind":["must be the name of a kind of event"]"#;
    for (query, wrong) in [
        ("cursor=dWJvYg", cursor.to_owned()),
        ("user=bob", user.to_owned()),
        ("kind=Logged-In", kind.to_owned()),
        ("kind=a%00", kind.to_owned()),
        ("kind=a&kind=a", repeated("kind")),
        ("user=&user=", repeated("user")),
    ] {
        cases.push((format!("{EVENTS}?{query}"), wrong));
    }
    for (path, wrong) in cases {
        let (answer, calls) = ask(request("GET", &path)).await;
        assert_eq!(answer, invalid(&wrong), "{path}");
        assert!(calls.is_empty());
    }
}

#[tokio::test]
async fn s14_4_the_trail_is_read_a_page_at_a_time() {
    let event = |id: u8| {
        format!(
            concat!(
                r#"{{"id":"00000000-0000-0000-0000-00000000000{}","at":"1970-01-01T00:00:00.000000Z","#,
                r#""kind":"superuser_revoked","outcome":"done","reason":null,"#,
                r#""details":{{"kind":"superuser_revoked"}},"actor":"operator","#,
                r#""user":"00000000-0000-0000-0000-000000000b0b","session":null,"request_id":null,"#,
                r#""peer":null,"client":"192.0.2.7"}}"#
            ),
            id
        )
    };
    let (answer, calls) = ask(request("GET", "/api/admin/events?limit=1")).await;
    let next = "AAAAAAAAAAAAAAAAAAAACQ";
    let expected = format!(r#"{{"events":[{}],"next":"{next}"}}"#, event(9));
    assert_eq!(answer, json(200, &[], &expected));
    assert_eq!(
        calls,
        [
            "list_events EventFilter { user: None, kind: None, request_id: None, since: None, before: None, limit: 2 }"
        ]
    );
    let user = bob().id;
    let path = format!("{EVENTS}?user={user}&kind=superuser_revoked&cursor={next}");
    let (answer, calls) = ask(request("GET", &path)).await;
    let events = [event(9), event(8), event(7)].join(",");
    let expected = format!(r#"{{"events":[{events}],"next":null}}"#);
    assert_eq!(answer, json(200, &[], &expected));
    assert_eq!(
        calls,
        [format!(
            "list_events EventFilter {{ user: Some({user:?}), kind: Some(\"superuser_revoked\"), request_id: None, since: None, before: Some(00000000-0000-0000-0000-000000000009), limit: 51 }}"
        )]
    );
}
