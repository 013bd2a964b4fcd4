//! The links in mails that replace a password or an address, over sockets, on each database.

#![expect(clippy::indexing_slicing, reason = "a test that cannot go on fails")]

use std::path::PathBuf;

use crate::support::mail::{Received, from_folder};
use crate::support::{Embedded, PASSWORD, Production, Server, on_each_database};
use auth_core::testing::postgres::TemporaryDatabase;
use reqwest::Method;
use serde_json::json;

const OTHER_PASSWORD: &str = "battery horse correct";
const SUCCESS: &str = r#"{"is_error":0,"message":"success"}"#;
const RESET: &str = "/api/auth/password/reset/";
const CONFIRM_RESET: &str = "/api/auth/password/reset/confirm/";
const CHANGE: &str = "/api/auth/email/change/";
const CONFIRM_CHANGE: &str = "/api/auth/email/change/confirm/";
const UNDO_CHANGE: &str = "/api/auth/email/change/undo/";

const OPEN: [(&str, &str); 1] = [("AUTH_ENDPOINTS", "account")];

/// A server with the group on, and its user alice, verified.
struct Case {
    server: Server,
    outbox: PathBuf,
    _database: Option<TemporaryDatabase>,
}

impl Case {
    async fn sqlite() -> Self {
        let Embedded { server, password } = Embedded::start(&OPEN);
        let outbox = server.path("auth-data/outbox");
        Self::with_alice(server, outbox, None, ("admin", &password)).await
    }

    async fn postgres() -> Self {
        let started = Production::start(&OPEN).await;
        let outbox = started.server.path("outbox");
        let superuser = ("op", PASSWORD);
        Self::with_alice(started.server, outbox, Some(started.database), superuser).await
    }

    async fn with_alice(
        server: Server,
        outbox: PathBuf,
        database: Option<TemporaryDatabase>,
        (name, password): (&str, &str),
    ) -> Self {
        let token = server.log_in(name, password).await.text("access_token");
        let registered = server.register(&token, "alice").await;
        assert_eq!(registered.status.as_u16(), 201, "{registered:?}");
        let case = Self {
            server,
            outbox,
            _database: database,
        };
        let token = case.mail().token;
        case.server.verify(&token).await.is(200, SUCCESS);
        case
    }

    fn mail(&self) -> Received {
        from_folder(&self.outbox)
    }
}

async fn logs_in(server: &Server, password: &str) -> u16 {
    server.log_in("alice", password).await.status.as_u16()
}

#[tokio::test]
async fn the_links_are_off_with_their_group() {
    let embedded = Embedded::start(&[]);
    for path in [RESET, CONFIRM_RESET, CHANGE, CONFIRM_CHANGE, UNDO_CHANGE] {
        let refused = embedded.server.post(path, json!({})).await;
        refused.is_error(404, "not_found");
    }
}

on_each_database!(
    s8_2_a_forgotten_password_is_replaced_on_the_page,
    s8_1_a_forgotten_password_is_replaced_by_json,
    s8_1_an_address_is_changed_and_the_change_undone,
);

async fn s8_2_a_forgotten_password_is_replaced_on_the_page(case: Case) {
    let server = &case.server;
    let pair = server.log_in("alice", PASSWORD).await;
    for address in ["nobody@example.org", "alice@example.org"] {
        let asked = server.post(RESET, json!({ "email": address })).await;
        asked.is(202, SUCCESS);
    }
    let mail = case.mail();
    assert_eq!(mail.to, "alice@example.org");
    assert_eq!(
        mail.link,
        server.url(&format!("{CONFIRM_RESET}?token={}", mail.token))
    );
    for _ in 0..2 {
        let path = format!("{CONFIRM_RESET}?token={}", mail.token);
        let page = server.get(&path).await;
        assert_eq!(page.status.as_u16(), 200);
        assert!(page.body.contains(r#"<label for="password">"#), "{page:?}");
        assert!(page.body.contains(r#"autocomplete="new-password""#));
        assert_eq!(page.headers["referrer-policy"], "no-referrer");
    }
    let token = ("token", mail.token.as_str());
    let form = |password, repeated| [token, ("password", password), ("repeated", repeated)];
    let refused = server.press(CONFIRM_RESET, &form("short", "short")).await;
    assert!(
        refused.0 == 400 && refused.1.contains("must have at least 8"),
        "{refused:?}"
    );
    assert!(refused.1.contains(r#"role="alert""#) && refused.1.contains(&mail.token));
    let differing = form(OTHER_PASSWORD, PASSWORD);
    let refused = server.press(CONFIRM_RESET, &differing).await;
    assert!(
        refused.0 == 400 && refused.1.contains("not the same"),
        "{refused:?}"
    );
    let refused = server.press(CONFIRM_RESET, &[token]).await;
    assert!(
        refused.0 == 400 && refused.1.contains("twice"),
        "{refused:?}"
    );

    let good = form(OTHER_PASSWORD, OTHER_PASSWORD);
    let done = server.press(CONFIRM_RESET, &good).await;
    assert!(done.0 == 200 && done.1.contains("is changed"), "{done:?}");
    let again = server.press(CONFIRM_RESET, &good).await;
    assert!(
        again.0 == 400 && again.1.contains("already been used"),
        "{again:?}"
    );
    let refused = server.refresh(&pair.text("refresh_token")).await;
    refused.is_error(401, "token_revoked");
    assert_eq!(logs_in(server, PASSWORD).await, 401);
    assert_eq!(logs_in(server, OTHER_PASSWORD).await, 200);
}

async fn s8_1_a_forgotten_password_is_replaced_by_json(case: Case) {
    let server = &case.server;
    let asked = server.post(RESET, json!({ "email": "Alice@example.org" }));
    asked.await.is(202, SUCCESS);
    let token = case.mail().token;
    let confirm = |password: &str| {
        let body = json!({ "token": token, "password": password });
        server.post(CONFIRM_RESET, body)
    };
    confirm("short").await.is_error(400, "validation_failed");
    confirm(OTHER_PASSWORD).await.is(204, "");
    confirm(PASSWORD).await.is_error(400, "link_used");
    let forged = json!({ "token": "apt_x", "password": PASSWORD });
    let refused = server.post(CONFIRM_RESET, forged).await;
    refused.is_error(400, "link_invalid");
    assert_eq!(logs_in(server, OTHER_PASSWORD).await, 200);
}

async fn s8_1_an_address_is_changed_and_the_change_undone(case: Case) {
    let server = &case.server;
    let bearer = server.log_in("alice", PASSWORD).await.text("access_token");
    let ask = |password: &str| {
        let body = json!({ "email": "thief@example.org", "password": password });
        server.request(Method::POST, CHANGE, Some(bearer.as_str()), Some(body))
    };
    ask("wrong").await.is_error(401, "invalid_credentials");
    ask(PASSWORD).await.is(202, SUCCESS);
    let confirmation = case.mail();
    assert_eq!(confirmation.to, "thief@example.org");
    let token = [("token", confirmation.token.as_str())];
    let path = format!("{CONFIRM_CHANGE}?token={}", confirmation.token);
    let page = server.get(&path).await;
    assert!(page.body.contains("Use this address"));
    let done = server.press(CONFIRM_CHANGE, &token).await;
    assert!(done.0 == 200 && done.1.contains("is changed"), "{done:?}");
    let me = "/api/auth/me/";
    let me = server.request(Method::GET, me, Some(bearer.as_str()), None);
    assert_eq!(me.await.text("email"), "thief@example.org");

    let notice = case.mail();
    assert_eq!(notice.to, "alice@example.org");
    let undone = server.post(UNDO_CHANGE, json!({ "token": notice.token }));
    undone.await.is(204, "");
    assert_eq!(logs_in(server, PASSWORD).await, 401);
    let reset = case.mail();
    assert_eq!(reset.to, "alice@example.org");
    let body = json!({ "token": reset.token, "password": OTHER_PASSWORD });
    server.post(CONFIRM_RESET, body).await.is(204, "");
    assert_eq!(logs_in(server, OTHER_PASSWORD).await, 200);
}
