//! The documented requests and their whole answers.

use std::sync::Arc;

use crate::support::{GOOD, Scripted, answer, api, error, json, post, request, send, with};
use auth_core::signature::{Algorithm, PrivateKey};
use auth_core::store::StoreError;
use auth_core::{AccessTokenVerifier, AuthError, JwtKeys, SystemClock, VerifyingKeys};
use auth_tower::AuthApi;

const USER: &str = r#"{"username": "bob", "password": "a long one", "email": "bob@example.org"}"#;

#[tokio::test]
async fn s9_1_a_superuser_registers_a_user() {
    for path in ["/api/register/", "/api/register"] {
        let service = Arc::default();
        let request = with(post(path, USER), "authorization", &GOOD);
        assert_eq!(
            send(api(&service), request).await,
            json(201, &[], r#"{"is_error":0,"message":"success"}"#)
        );
        assert_eq!(
            service.calls(),
            [
                "require_superuser",
                "register bob a long one bob@example.org"
            ]
        );
    }
}

#[tokio::test]
async fn a_login_answers_with_two_tokens() {
    for path in ["/api/auth/token/", "/api/auth/token"] {
        let service = Arc::default();
        let request = post(path, r#"{"username": "bob", "password": " p\u00e9 "}"#);
        assert_eq!(
            send(api(&service), request).await,
            json(
                200,
                &[],
                r#"{"access_token":"new.access.token","refresh_token":"art_new"}"#
            )
        );
        assert_eq!(service.calls(), ["log_in bob  pé "]);
    }
}

#[tokio::test]
async fn a_refresh_answers_with_one_token() {
    for path in ["/api/auth/token/refresh/", "/api/auth/token/refresh"] {
        let service = Arc::default();
        assert_eq!(
            send(api(&service), post(path, r#"{"refresh_token": "art_old"}"#)).await,
            json(200, &[], r#"{"access_token":"new.access.token"}"#)
        );
        assert_eq!(service.calls(), ["refresh art_old"]);
    }
}

#[tokio::test]
async fn a_refresh_with_rotation_answers_with_the_next_token_too() {
    let service = Arc::new(Scripted {
        next_refresh_token: Some("art_next"),
        ..Scripted::default()
    });
    let request = post(
        "/api/auth/token/refresh/",
        r#"{"refresh_token": "art_old"}"#,
    );
    assert_eq!(
        send(api(&service), request).await,
        json(
            200,
            &[],
            r#"{"access_token":"new.access.token","refresh_token":"art_next"}"#
        )
    );
}

#[tokio::test]
async fn a_logout_needs_no_access_token() {
    for path in ["/api/auth/logout/", "/api/auth/logout"] {
        let service = Arc::default();
        assert_eq!(
            send(api(&service), post(path, r#"{"refresh_token": "art_old"}"#)).await,
            json(200, &[], r#"{"message":"Successfully logged out."}"#)
        );
        assert_eq!(service.calls(), ["log_out art_old"]);
    }
}

#[tokio::test]
async fn resending_the_mail_is_accepted() {
    for path in ["/api/register/resend/", "/api/register/resend"] {
        let service = Arc::default();
        assert_eq!(
            send(api(&service), post(path, r#"{"email": "bob@example.org"}"#)).await,
            json(202, &[], r#"{"is_error":0,"message":"success"}"#)
        );
        assert_eq!(service.calls(), ["resend_verification bob@example.org"]);
    }
}

#[tokio::test]
async fn s6_18_with_hs256_there_are_no_public_keys_and_that_may_be_cached() {
    let tag = ("etag", "\"ljjRGRRzXQByAC3U1nxzSpTuegzYRebcvJhO51gYYKc\"");
    let expected = json(200, &[tag], r#"{"keys":[]}"#);
    let expected = expected.replace("no-store", "public, max-age=300");
    assert_eq!(
        answer(request("GET", "/.well-known/jwks.json")).await,
        expected
    );
}

#[tokio::test]
async fn s6_18_public_keys_are_told_and_a_cache_that_has_them_is_told_so() {
    let key = PrivateKey::generate(Algorithm::Es256).unwrap();
    let keys = VerifyingKeys::from(&JwtKeys::asymmetric(key));
    let verifier = AccessTokenVerifier::new(&keys, "issuer", "audience", Arc::new(SystemClock));
    let api = AuthApi::new(Arc::<Scripted>::default(), verifier);
    let document = keys.jwks().document;
    let tag = format!("\"{}\"", keys.jwks().digest);
    let get = || request("GET", "/.well-known/jwks.json");
    let expected = json(200, &[("etag", &tag)], &document);
    let expected = expected.replace("no-store", "public, max-age=300");
    assert_eq!(send(api.clone(), get()).await, expected);
    for known in [tag.clone(), format!("W/{tag}"), format!("\"other\", {tag}")] {
        let answer = send(api.clone(), with(get(), "if-none-match", &known)).await;
        assert!(answer.starts_with("304\n"), "{answer}");
        assert!(answer.contains(&format!("etag: {tag}\n")), "{answer}");
        assert!(
            answer.contains("cache-control: public, max-age=300\n"),
            "{answer}"
        );
        assert!(!answer.contains("keys"), "{answer}");
    }
    let other = send(api, with(get(), "if-none-match", "\"other\"")).await;
    assert_eq!(other, expected);
}

#[tokio::test]
async fn health_is_told_without_details() {
    for path in ["/livez", "/readyz"] {
        assert_eq!(
            answer(request("GET", path)).await,
            json(200, &[], r#"{"status":"ok"}"#)
        );
    }
}

#[tokio::test]
async fn a_node_that_cannot_work_lives_but_is_not_ready() {
    type Refusal = fn() -> Result<(), AuthError>;
    let broken: [(Refusal, &str); 4] = [
        (
            || Err(AuthError::Storage(StoreError::Unavailable("down".into()))),
            "the storage is not available",
        ),
        (
            || Err(AuthError::Storage(StoreError::Failed("bug".into()))),
            "the storage is not available",
        ),
        (
            || Err(AuthError::RevocationsStale),
            "the revocation feed is stale",
        ),
        (
            || Err(AuthError::ClocksApart),
            "the clock is more than 5 seconds away from the database's",
        ),
    ];
    for (outcome, part) in broken {
        let service = Arc::new(Scripted::ending(outcome));
        assert_eq!(
            send(api(&service), request("GET", "/readyz")).await,
            error(503, &[("retry-after", "5")], "storage_unavailable", part)
        );
        assert_eq!(
            send(api(&service), request("GET", "/livez")).await,
            json(200, &[], r#"{"status":"ok"}"#)
        );
    }
}

/// So that whoever watches the node restarts it.
#[tokio::test]
async fn fault_a4_a_node_that_lost_its_connections_does_not_live() {
    let service = Arc::new(Scripted {
        is_lost: true,
        ..Scripted::default()
    });
    assert_eq!(
        send(api(&service), request("GET", "/livez")).await,
        error(
            503,
            &[("retry-after", "5")],
            "storage_unavailable",
            "the storage is not available"
        )
    );
}

#[tokio::test]
async fn head_is_answered_like_get_without_the_body() {
    for path in [
        "/livez",
        "/readyz",
        "/.well-known/jwks.json",
        "/api/register/verify/?token=t",
    ] {
        let get = answer(request("GET", path)).await;
        let (head, body) = get.split_once("\n\n").unwrap();
        let length = format!("content-length: {}", body.len());
        let mut lines: Vec<_> = head.lines().chain([length.as_str()]).collect();
        lines.sort_unstable();
        let expected = format!("{}\n\n", lines.join("\n"));
        assert_eq!(answer(request("HEAD", path)).await, expected, "{path}");
    }
}

#[tokio::test]
async fn s10_3_an_unknown_path_is_not_found() {
    for path in [
        "/",
        "/api",
        "/api/register//",
        "/API/register/",
        "/api/auth/token/x",
        "//livez",
    ] {
        assert_eq!(
            answer(request("GET", path)).await,
            error(404, &[], "not_found", "there is nothing at this path"),
            "{path}"
        );
    }
}

#[tokio::test]
async fn s10_3_another_method_is_told_what_is_allowed() {
    let paths = [
        ("/api/register/", "POST"),
        ("/api/register/verify/", "GET, HEAD, POST"),
        ("/api/register/resend/", "POST"),
        ("/api/auth/token/", "POST"),
        ("/api/auth/token/refresh/", "POST"),
        ("/api/auth/logout/", "POST"),
        ("/.well-known/jwks.json", "GET, HEAD"),
        ("/livez", "GET, HEAD"),
        ("/readyz", "GET, HEAD"),
    ];
    let methods = [
        "GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "post",
    ];
    for (path, allow) in paths {
        for method in methods {
            if allow.split(", ").any(|allowed| allowed == method) {
                continue;
            }
            let service = Arc::default();
            let refused = error(
                405,
                &[("allow", allow)],
                "method_not_allowed",
                "this method is not allowed here",
            );
            let answer = send(api(&service), request(method, path)).await;
            if method == "HEAD" {
                assert!(answer.starts_with("405\nallow: "), "{answer}");
                assert!(answer.ends_with("\n\n"), "{answer}");
            } else {
                assert_eq!(answer, refused, "{method} {path}");
            }
            assert!(service.calls().is_empty());
        }
    }
}

#[tokio::test]
async fn s10_3_headers_that_override_the_method_are_ignored() {
    let request = request("GET", "/api/auth/logout/");
    let request = with(request, "x-http-method-override", "POST");
    assert!(answer(request).await.starts_with("405\n"));
}

#[tokio::test]
async fn s10_5_no_other_origin_is_let_in() {
    let request = post("/api/auth/logout/", r#"{"refresh_token": "art_old"}"#);
    let request = with(request, "origin", "https://evil.example");
    assert_eq!(
        answer(request).await,
        json(200, &[], r#"{"message":"Successfully logged out."}"#)
    );
}

#[tokio::test]
async fn s8_8_a_registration_reads_three_fields_only() {
    let service = Arc::default();
    let body = r#"{"username": "bob", "password": "a long one", "email": "bob@example.org",
        "is_superuser": true, "is_staff": true, "email_verified": true, "id": 1, "role": ["x"]}"#;
    let request = with(post("/api/register/", body), "authorization", &GOOD);
    assert!(send(api(&service), request).await.starts_with("201\n"));
    assert_eq!(
        service.calls(),
        [
            "require_superuser",
            "register bob a long one bob@example.org"
        ]
    );
}

#[test]
fn the_service_tells_which_paths_are_its_own() {
    let api = api(&Arc::default());
    assert!(api.handles("/api/auth/token"));
    assert!(api.handles("/api/auth/token/"));
    assert!(!api.handles("/api/auth/"));
    assert!(!api.handles("/"));
}

#[tokio::test]
async fn s10_1_s10_2_every_answer_is_protected_and_none_but_the_keys_is_stored() {
    let json = r#"{"username": "a", "password": "b", "refresh_token": "c", "email": "d",
        "token": "e"}"#;
    let paths = [
        "/api/register/",
        "/api/register/verify/",
        "/api/register/resend/",
        "/api/auth/token/",
        "/api/auth/token/refresh/",
        "/api/auth/logout/",
        "/.well-known/jwks.json",
        "/livez",
        "/readyz",
        "/nowhere",
    ];
    for path in paths {
        for token in [GOOD.as_str(), "Bearer forged"] {
            for request in [post(path, json), post(path, "{"), request("GET", path)] {
                let is_get = request.method() == "GET";
                let answer = answer(with(request, "authorization", token)).await;
                let has = |header: &str| answer.contains(&format!("\n{header}"));
                assert!(has("x-content-type-options: nosniff\n"), "{answer}");
                assert!(has("referrer-policy: no-referrer\n"), "{answer}");
                assert!(
                    has("content-security-policy: default-src 'none'; "),
                    "{answer}"
                );
                assert!(answer.contains("frame-ancestors 'none'\n"), "{answer}");
                assert!(!has("server: "), "{answer}");
                let is_public = is_get && path.contains("jwks");
                assert_eq!(has("cache-control: no-store\n"), !is_public, "{answer}");
            }
        }
    }
}

#[tokio::test]
async fn a_refresh_carries_the_idempotency_key() {
    let service = Arc::default();
    let refresh = post("/api/auth/token/refresh/", r#"{"refresh_token":"art_old"}"#);
    let refresh = with(refresh, "idempotency-key", "\"8e03978e\"");
    assert!(send(api(&service), refresh).await.starts_with("200\n"));
    assert_eq!(service.calls(), ["refresh art_old under \"8e03978e\""]);
}

#[tokio::test]
async fn an_idempotency_key_that_cannot_be_kept_is_refused() {
    let long = "a".repeat(256);
    for keys in [&[""][..], &["a b"], &[&long], &["a", "a"], &["\u{e9}"]] {
        let service = Arc::default();
        let mut refresh = post("/api/auth/token/refresh/", r#"{"refresh_token":"art_old"}"#);
        for key in keys {
            refresh = with(refresh, "idempotency-key", key);
        }
        assert_eq!(
            send(api(&service), refresh).await,
            error(400, &[], "malformed_request", "the request is malformed"),
            "{keys:?}"
        );
        assert_eq!(service.calls(), [""; 0]);
    }
}
