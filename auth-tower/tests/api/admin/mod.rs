//! What superusers ask for, and what is looked at before it is known that they are.
#![expect(clippy::unwrap_used, reason = "a test stops at the first surprise")]

mod lists;
mod scripted;

use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use crate::support::{self, EXPIRED, GOOD, Scripted, api, error, json, post, request, send, with};
use auth_core::store::StoreError;
use auth_core::{AuthError, RequestContext};
use auth_tower::AuthApi;
use auth_tower::budgets::{Budget, RequestBudgets};
use bytes::Bytes;
use http::Request;
use http_body_util::Full;

const USERS: &str = "/api/admin/users/";
const EVENTS: &str = "/api/admin/events/";
const BOB: &str = "/api/admin/users/00000000-0000-0000-0000-000000000b0b/";
const BOBS_LOGOUT: &str = "/api/admin/users/00000000-0000-0000-0000-000000000b0b/logout/";

const BOB_AS_JSON: &str = concat!(
    r#"{"id":"00000000-0000-0000-0000-000000000b0b","username":"Bob","email":"Bob@example.org","#,
    r#""email_verified_at":"2023-11-14T22:13:20Z","is_active":true,"is_superuser":false,"#,
    r#""roles":["auditor","editor"],"created_at":"1970-01-01T00:00:00Z"}"#
);

fn admin_api(service: &Arc<Scripted>) -> AuthApi {
    api(service).with_administration(Arc::<Scripted>::clone(service))
}

fn body(method: &str, path: &str, body: &str) -> Request<Full<Bytes>> {
    let mut request = post(path, body);
    *request.method_mut() = method.parse().unwrap();
    request
}

/// Sends a superuser's request; gives the answer, and what the service was asked after the rights.
async fn ask(request: Request<Full<Bytes>>) -> (String, Vec<String>) {
    let service = Arc::default();
    let request = with(request, "authorization", &GOOD);
    let answer = send(admin_api(&service), request).await;
    let mut calls = service.calls();
    assert_eq!(calls.remove(0), "require_superuser");
    (answer, calls)
}

/// A request to each endpoint, of which nothing is as it should be.
fn odd_requests() -> Vec<Request<Full<Bytes>>> {
    let mut requests = vec![
        request("GET", "/api/admin/users/?limit=0&limit=1&cursor=%00"),
        request("GET", "/api/admin/users/nobody/"),
        request("DELETE", "/api/admin/users/nobody/"),
        request("GET", "/api/admin/events/?user=nobody&kind=%00"),
        request("POST", USERS),
    ];
    for odd in ["", "{", "[]", r#"{"is_active": "no"}"#] {
        requests.push(post(USERS, odd));
        requests.push(body("PATCH", "/api/admin/users/nobody/", odd));
        requests.push(post("/api/admin/users/nobody/logout/", odd));
    }
    requests
}

#[tokio::test]
async fn s9_1_without_a_good_token_nothing_is_looked_at() {
    for request in odd_requests() {
        let service = Arc::default();
        let path = request.uri().clone();
        let refused = error(
            401,
            &[("www-authenticate", "Bearer")],
            "authentication_required",
            "authentication is required",
        );
        assert_eq!(send(admin_api(&service), request).await, refused, "{path}");
        assert!(service.calls().is_empty());
    }
    for request in odd_requests() {
        let service = Arc::default();
        let refused = error(
            401,
            &[("www-authenticate", "Bearer error=\"invalid_token\"")],
            "token_expired",
            "the token has expired",
        );
        let request = with(request, "authorization", &EXPIRED);
        assert_eq!(send(admin_api(&service), request).await, refused);
        assert!(service.calls().is_empty());
    }
}

#[tokio::test]
async fn s9_1_s9_2_who_is_no_superuser_now_is_refused_before_anything_is_looked_at() {
    for request in odd_requests() {
        let service = Arc::new(Scripted {
            superuser: || Err(AuthError::PermissionDenied),
            ..Scripted::default()
        });
        let refused = error(
            403,
            &[("www-authenticate", "Bearer error=\"insufficient_scope\"")],
            "permission_denied",
            "you do not have permission to do this",
        );
        let request = with(request, "authorization", &GOOD);
        assert_eq!(send(admin_api(&service), request).await, refused);
        assert_eq!(service.calls(), ["require_superuser"]);
    }
}

#[tokio::test]
async fn s9_4_a_store_that_cannot_tell_who_is_a_superuser_means_no() {
    for request in odd_requests() {
        let service = Arc::new(Scripted {
            superuser: || Err(AuthError::Storage(StoreError::Unavailable("down".into()))),
            ..Scripted::default()
        });
        let refused = error(
            503,
            &[("retry-after", "5")],
            "storage_unavailable",
            "the storage is not available",
        );
        let request = with(request, "authorization", &GOOD);
        assert_eq!(send(admin_api(&service), request).await, refused);
        assert_eq!(service.calls(), ["require_superuser"]);
    }
}

#[tokio::test]
async fn a_user_is_read_deleted_and_logged_out() {
    let id = "UserId(00000000-0000-0000-0000-000000000b0b)";
    for path in [BOB, BOB.trim_end_matches('/')] {
        let (answer, calls) = ask(request("GET", path)).await;
        assert_eq!(answer, json(200, &[], BOB_AS_JSON));
        assert_eq!(calls, [format!("read_user {id}")]);
        let (answer, calls) = ask(request("DELETE", path)).await;
        assert_eq!(
            answer,
            support::written(204, support::COMMON.into_iter(), "")
        );
        assert_eq!(calls, [format!("delete_user {id}")]);
    }
    for logout in [request("POST", BOBS_LOGOUT), post(BOBS_LOGOUT, "{}")] {
        let (answer, calls) = ask(logout).await;
        assert_eq!(
            answer,
            support::written(204, support::COMMON.into_iter(), "")
        );
        let expected = [format!("read_user {id}"), format!("end_user_sessions {id}")];
        assert_eq!(calls, expected);
    }
    let mut form = post(BOBS_LOGOUT, "a=b");
    form.headers_mut().remove("content-type");
    let (answer, calls) = ask(form).await;
    assert!(answer.starts_with("415\n") && calls.is_empty(), "{answer}");
}

#[tokio::test]
async fn an_id_that_is_none_is_not_found() {
    for id in [
        "nobody",
        "0b0b",
        "%30b0b",
        "00000000-0000-0000-0000-000000000b0b0",
    ] {
        let path = format!("/api/admin/users/{id}/");
        for request in [
            request("GET", &path),
            request("DELETE", &path),
            body("PATCH", &path, r#"{"is_active": false}"#),
            request("POST", &format!("{path}logout/")),
        ] {
            let (answer, calls) = ask(request).await;
            let refused = error(404, &[], "not_found", "there is no such thing");
            assert_eq!(answer, refused);
            assert!(calls.is_empty());
        }
    }
}

#[tokio::test]
async fn s8_8_a_new_user_has_what_the_endpoint_reads_and_nothing_else() {
    let fields = r#""username": "Bob", "password": "a long one", "email": "Bob@example.org""#;
    let more = r#""is_superuser": true, "is_staff": true, "is_active": false, "roles": ["admin"],
        "email_verified": true, "email_verified_at": "2023-11-14T22:13:20Z", "id": 1"#;
    for (body, proof) in [
        (format!("{{{fields}}}"), "ByMail"),
        (format!("{{{fields}, {more}}}"), "ByMail"),
        (format!(r#"{{{fields}, "verified": false}}"#), "ByMail"),
        (format!(r#"{{{fields}, "verified": true}}"#), "Vouched"),
    ] {
        let (answer, calls) = ask(post(USERS, &body)).await;
        assert_eq!(answer, json(201, &[("location", BOB)], BOB_AS_JSON));
        let call = format!("create_user Bob a long one Bob@example.org {proof}");
        assert_eq!(calls, [call]);
    }
    for (body, wrong) in [
        (
            "{}".to_owned(),
            r#""email":["is required"],"password":["is required"],"username":["is required"]"#,
        ),
        (
            format!(r#"{{{fields}, "verified": "yes"}}"#),
            r#""verified":["must be true or false"]"#,
        ),
        (
            format!(r#"{{{fields}, "verified": null}}"#),
            r#""verified":["must not be null"]"#,
        ),
    ] {
        let (answer, calls) = ask(post(USERS, &body)).await;
        assert_eq!(answer, invalid(wrong), "{body}");
        assert!(calls.is_empty());
    }
}

/// The text of the refusal of fields.
fn invalid(errors: &str) -> String {
    let body = format!(
        r#"{{"is_error":1,"code":"validation_failed","message":"the input is not valid","errors":{{{errors}}}}}"#
    );
    json(400, &[], &body)
}

#[tokio::test]
async fn a_user_is_changed_in_what_is_named() {
    for (changes, expected) in [
        (r#"{"is_active": false}"#, "(Some(false), None, None, None)"),
        (
            r#"{"is_superuser": true, "id": 1, "username": "x"}"#,
            "(None, Some(true), None, None)",
        ),
        (r#"{"roles": []}"#, r#"(None, None, Some(""), None)"#),
        (
            r#"{"password": "p\u00e9", "roles": ["b", "a", "b"], "is_active": true, "is_superuser": false}"#,
            r#"(Some(true), Some(false), Some("a b"), Some("pé"))"#,
        ),
    ] {
        let (answer, calls) = ask(body("PATCH", BOB, changes)).await;
        assert_eq!(answer, json(200, &[], BOB_AS_JSON));
        assert_eq!(calls, [format!("change_user {expected}")]);
    }
}

#[tokio::test]
async fn s11_3_nothing_is_changed_if_anything_is_wrong() {
    let one_of_them = "is required, or another field that can be changed";
    let nothing = ["is_active", "is_superuser", "password", "roles"];
    let nothing = nothing.map(|name| format!(r#""{name}":["{one_of_them}"]"#));
    let nothing = nothing.join(",");
    let many: Vec<_> = (0..33).map(|number| format!(r#""r{number}""#)).collect();
    let many = format!(r#"{{"is_active": false, "roles": [{}]}}"#, many.join(","));
    for (changes, wrong) in [
        ("{}", nothing.as_str()),
        (r#"{"username": "x", "active": true}"#, &nothing),
        (
            r#"{"is_active": 0, "is_superuser": "true", "roles": "a", "password": 1}"#,
            r#""is_active":["must be true or false"],"is_superuser":["must be true or false"],"password":["must be a string"],"roles":["must be an array of strings"]"#,
        ),
        (
            r#"{"is_active": false, "is_superuser": null, "password": null}"#,
            r#""is_superuser":["must not be null"],"password":["must not be null"]"#,
        ),
        (
            r#"{"is_active": false, "roles": ["a", 1]}"#,
            r#""roles":["must be an array of strings"]"#,
        ),
        (
            r#"{"is_active": false, "roles": ["superuser"]}"#,
            r#""roles":["`superuser` is no role that can be given: make the user a superuser"]"#,
        ),
        (
            r#"{"is_active": false, "roles": ["a b"]}"#,
            r#""roles":["a role begins with an ASCII letter and has letters, digits and `_.:-`, at most 50 of them"]"#,
        ),
        (&many, r#""roles":["a user can have at most 32 roles"]"#),
    ] {
        let (answer, calls) = ask(body("PATCH", BOB, changes)).await;
        assert_eq!(answer, invalid(wrong), "{changes}");
        assert!(calls.is_empty());
    }
    let (answer, calls) = ask(body(
        "PATCH",
        BOB,
        r#"{"is_active":true,"is_active":false}"#,
    ))
    .await;
    assert!(answer.contains(r#""malformed_json""#), "{answer}");
    assert!(calls.is_empty());
}

#[tokio::test]
async fn a_refusal_of_the_service_is_told() {
    let service = Arc::new(Scripted::ending(|| Err(AuthError::LastSuperuser)));
    for request in [
        request("DELETE", BOB),
        body("PATCH", BOB, r#"{"is_active": false}"#),
    ] {
        let request = with(request, "authorization", &GOOD);
        assert_eq!(
            send(admin_api(&service), request).await,
            error(
                409,
                &[],
                "last_superuser",
                "this is the last active superuser"
            )
        );
    }
    let service = Arc::new(Scripted::ending(|| Err(AuthError::NotFound)));
    let logout = with(request("POST", BOBS_LOGOUT), "authorization", &GOOD);
    let refused = send(admin_api(&service), logout).await;
    assert_eq!(
        refused,
        error(404, &[], "not_found", "there is no such thing")
    );
    assert_eq!(
        service.calls().len(),
        2,
        "no session was ended: {service:?}"
    );
}

#[tokio::test]
async fn s5_8_administration_has_a_budget_of_its_own() {
    let one = Budget::new(NonZeroU32::MIN, Duration::from_secs(3_600));
    let budgets = RequestBudgets::default().with_administration(one);
    let service = Arc::default();
    let api = admin_api(&service).with_request_budgets(budgets);
    let ask = async |path: &str| {
        let mut request = with(request("GET", path), "authorization", &GOOD);
        let context = RequestContext::default().with_client([192, 0, 2, 7].into());
        request.extensions_mut().insert(context);
        send(api.clone(), request).await
    };
    assert!(ask(BOB).await.starts_with("200\n"));
    let refused = ask(EVENTS).await;
    assert!(refused.starts_with("429\n"), "{refused}");
    assert!(refused.contains(r#""too_many_attempts""#), "{refused}");
    let told = "note_throttled admin Some(192.0.2.7)";
    assert_eq!(service.calls().last().unwrap(), told);
    assert_eq!(service.calls().len(), 3, "the second was not looked at");
}

#[tokio::test]
async fn the_group_is_there_only_with_its_service() {
    let service = Arc::default();
    for path in [USERS, BOB, BOBS_LOGOUT, EVENTS] {
        assert!(admin_api(&service).handles(path));
        assert!(!api(&service).handles(path));
        let absent = with(request("GET", path), "authorization", &GOOD);
        let absent = send(api(&service), absent).await;
        let expected = error(404, &[], "not_found", "there is nothing at this path");
        assert_eq!(absent, expected);
    }
    for (path, allow) in [
        (USERS, "GET, HEAD, POST"),
        (BOB, "GET, HEAD, PATCH, DELETE"),
        (BOBS_LOGOUT, "POST"),
        (EVENTS, "GET, HEAD"),
    ] {
        let refused = send(admin_api(&service), request("PUT", path)).await;
        let message = "this method is not allowed here";
        let expected = error(405, &[("allow", allow)], "method_not_allowed", message);
        assert_eq!(refused, expected);
    }
    assert!(service.calls().is_empty());
}
