//! Who may register users, and what is looked at before that is known.

use std::sync::Arc;

use crate::support::{EXPIRED, GOOD, Scripted, api, error, post, request, send, with};
use auth_core::AuthError;
use auth_core::store::StoreError;

const BODIES: [&str; 4] = ["", "{", "[]", r#"{"username": "x"}"#];

#[tokio::test]
async fn s4_5_without_a_token_nothing_is_looked_at() {
    let refused = error(
        401,
        &[("www-authenticate", "Bearer")],
        "authentication_required",
        "authentication is required",
    );
    for body in BODIES {
        let service = Arc::default();
        let request = post("/api/register/", body);
        assert_eq!(send(api(&service), request).await, refused, "{body}");
        assert!(service.calls().is_empty());
    }
    let service = Arc::default();
    let other_type = request("POST", "/api/register/");
    assert_eq!(send(api(&service), other_type).await, refused);
    assert!(service.calls().is_empty());
}

#[tokio::test]
async fn s6_16_a_token_elsewhere_than_in_the_header_is_no_token() {
    let token = GOOD.trim_start_matches("Bearer ");
    let body = format!(r#"{{"access_token": "{token}", "username": "x"}}"#);
    let request = post(&format!("/api/register/?access_token={token}"), &body);
    let request = with(request, "cookie", &format!("access_token={token}"));
    let answer = send(api(&Arc::default()), request).await;
    assert!(answer.contains("authentication_required"), "{answer}");
}

#[tokio::test]
async fn s6_17_a_bad_token_is_refused_without_asking_the_store() {
    let cases = [
        ("Bearer forged", "token_invalid", "the token is not valid"),
        ("Bearer a b", "token_invalid", "the token is not valid"),
        (EXPIRED.as_str(), "token_expired", "the token has expired"),
    ];
    for (token, code, message) in cases {
        let service = Arc::default();
        let challenge = ("www-authenticate", "Bearer error=\"invalid_token\"");
        let request = with(post("/api/register/", "{"), "authorization", token);
        assert_eq!(
            send(api(&service), request).await,
            error(401, &[challenge], code, message)
        );
        assert!(service.calls().is_empty());
    }
}

#[tokio::test]
async fn s9_1_s9_2_who_is_no_superuser_now_is_refused_before_the_body_is_read() {
    let service = Arc::new(Scripted {
        superuser: || Err(AuthError::PermissionDenied),
        ..Scripted::default()
    });
    for body in BODIES {
        let request = with(post("/api/register/", body), "authorization", &GOOD);
        assert_eq!(
            send(api(&service), request).await,
            error(
                403,
                &[("www-authenticate", "Bearer error=\"insufficient_scope\"")],
                "permission_denied",
                "you do not have permission to do this"
            )
        );
    }
    assert_eq!(service.calls(), ["require_superuser"; 4]);
}

#[tokio::test]
async fn s9_2_a_caller_whose_session_has_ended_is_refused() {
    let service = Arc::new(Scripted {
        superuser: || Err(AuthError::TokenRevoked),
        ..Scripted::default()
    });
    let request = with(post("/api/register/", "{"), "authorization", &GOOD);
    assert_eq!(
        send(api(&service), request).await,
        error(
            401,
            &[("www-authenticate", "Bearer error=\"invalid_token\"")],
            "token_revoked",
            "the session has ended"
        )
    );
    assert_eq!(service.calls(), ["require_superuser"]);
}

#[tokio::test]
async fn s9_4_a_store_that_cannot_tell_who_is_a_superuser_means_no() {
    let service = Arc::new(Scripted {
        superuser: || Err(AuthError::Storage(StoreError::Unavailable("down".into()))),
        ..Scripted::default()
    });
    let body = r#"{"username": "bob", "password": "a long one", "email": "bob@example.org"}"#;
    let request = with(post("/api/register/", body), "authorization", &GOOD);
    assert_eq!(
        send(api(&service), request).await,
        error(
            503,
            &[("retry-after", "5")],
            "storage_unavailable",
            "the storage is not available"
        )
    );
    assert_eq!(service.calls(), ["require_superuser"]);
}
