//! Who may make an account, over sockets, on both databases.

#![expect(
    clippy::indexing_slicing,
    clippy::unwrap_used,
    reason = "a test that cannot go on fails"
)]

use std::path::PathBuf;

use crate::support::mail::{Received, SmtpListener};
use crate::support::{Answer, Embedded, PASSWORD, Production, Server, run};
use auth_core::testing::postgres::TemporaryDatabase;
use reqwest::{Client, Method};
use serde_json::{Value, json};

const REGISTER: &str = "/api/register/";
const VERIFY: &str = "/api/register/verify/";
const INVITE: &str = "/api/register/invite/";
const ACCEPT: &str = "/api/register/accept/";
const SUCCESS: &str = r#"{"is_error":0,"message":"success"}"#;

/// A running server with its superuser, and a mail server that takes its mails.
struct Case {
    server: Server,
    folder: PathBuf,
    variables: Vec<(String, String)>,
    superuser: (&'static str, String),
    mails: SmtpListener,
    _database: Option<TemporaryDatabase>,
}

impl Case {
    fn sqlite(settings: &[(&str, &str)]) -> Self {
        let mails = SmtpListener::start();
        let mut variables = vec![("AUTH_MAIL", mails.url.as_str())];
        variables.extend(settings);
        let Embedded { server, password } = Embedded::start(&variables);
        Self {
            folder: server.folder().path().to_owned(),
            server,
            variables: owned(&variables),
            superuser: ("admin", password),
            mails,
            _database: None,
        }
    }

    async fn postgres(settings: &[(&str, &str)]) -> Self {
        let mails = SmtpListener::start();
        let mut variables = vec![("AUTH_MAIL", mails.url.as_str())];
        variables.extend(settings);
        let started = Production::start(&variables).await;
        Self {
            folder: started.server.folder().path().to_owned(),
            server: started.server,
            variables: started.variables,
            superuser: ("op", PASSWORD.to_owned()),
            mails,
            _database: Some(started.database),
        }
    }

    async fn superuser_token(&self) -> String {
        let (name, password) = &self.superuser;
        let pair = self.server.log_in(name, password).await;
        pair.text("access_token")
    }

    async fn sign_up(&self, name: &str, email: &str) -> Answer {
        let body = json!({ "username": name, "password": PASSWORD, "email": email });
        self.server.post(REGISTER, body).await
    }

    /// Uses the link of a sign-up.
    async fn complete(&self, token: &str, password: &str) -> Answer {
        let body = json!({ "token": token, "password": password });
        self.server.post(VERIFY, body).await
    }

    /// A proxy asks for this client.
    async fn post_for(&self, client: &str, path: &str, body: Value) -> u16 {
        let request = Client::new()
            .post(self.server.url(path))
            .header("content-type", "application/json")
            .header("x-forwarded-for", client)
            .body(body.to_string());
        request.send().await.unwrap().status().as_u16()
    }

    async fn invite(&self, token: &str, email: &str) -> Answer {
        let body = json!({ "email": email });
        let server = &self.server;
        server
            .request(Method::POST, INVITE, Some(token), Some(body))
            .await
    }

    async fn accept(&self, token: &str, name: &str) -> Answer {
        let body = json!({ "token": token, "username": name, "password": PASSWORD });
        self.server.post(ACCEPT, body).await
    }

    /// Presses the button of the page, as a browser does.
    async fn press(&self, fields: &[(&str, &str)]) -> (u16, String) {
        let body = form_urlencoded::Serializer::new(String::new())
            .extend_pairs(fields)
            .finish();
        let request = Client::new()
            .post(self.server.url(ACCEPT))
            .header("content-type", "application/x-www-form-urlencoded")
            .body(body);
        let answer = request.send().await.unwrap();
        (answer.status().as_u16(), answer.text().await.unwrap())
    }

    fn mail(&self) -> Received {
        self.mails.receive()
    }

    async fn logs_in(&self, name: &str) -> u16 {
        self.server.log_in(name, PASSWORD).await.status.as_u16()
    }

    /// Runs `auth-server` to its end: the exit code, and what it said.
    fn command(&self, arguments: &str) -> (i32, String) {
        let arguments: Vec<_> = arguments.split(' ').collect();
        let variables = self.variables.iter();
        let variables = variables.map(|(name, value)| (name.as_str(), value.as_str()));
        let variables: Vec<_> = variables.chain([("AUTH_LOG", "warn")]).collect();
        let output = run(&self.folder, &arguments, &variables);
        let said = [output.stdout, output.stderr].concat();
        let code = output.status.code().unwrap();
        (code, String::from_utf8(said).unwrap())
    }

    /// The events of a kind, when there are as many as there must be.
    fn events(&self, kind: &str, count: usize) -> Vec<Value> {
        loop {
            let (code, lines) = self.command(&format!("events --json --kind {kind}"));
            assert_eq!(code, 0, "{lines}");
            let events = lines
                .lines()
                .map(|line| serde_json::from_str(line).unwrap());
            let events: Vec<Value> = events.collect();
            if events.len() >= count {
                assert_eq!(events.len(), count, "{events:?}");
                return events;
            }
        }
    }
}

fn owned(variables: &[(&str, &str)]) -> Vec<(String, String)> {
    let owned = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
    variables.iter().map(owned).collect()
}

const OPEN: [(&str, &str); 1] = [("AUTH_REGISTRATION", "open")];
const HIDING: [(&str, &str); 2] = [OPEN[0], ("AUTH_REGISTRATION_HIDE_NAMES", "true")];
const INVITATION: [(&str, &str); 1] = [("AUTH_REGISTRATION", "invitation")];

async fn anybody_signs_up_and_is_a_user_with_the_mailed_link(case: Case) {
    case.sign_up("alice", "alice@example.org")
        .await
        .is(201, SUCCESS);
    assert_eq!(case.logs_in("alice").await, 401);
    let mail = case.mail();
    assert_eq!(mail.to, "alice@example.org");
    let link = format!("/api/register/verify/?token={}", mail.token);
    assert_eq!(mail.link, case.server.url(&link));
    for _ in 0..2 {
        let page = case.server.get(&link).await;
        assert_eq!(page.status.as_u16(), 200);
    }
    assert_eq!(case.logs_in("alice").await, 401);
    let lacking = case.server.verify(&mail.token).await;
    lacking.is_error(400, "validation_failed");
    let wrong = case.complete(&mail.token, "another password").await;
    wrong.is_error(401, "invalid_credentials");
    assert_eq!(case.logs_in("alice").await, 401);
    let done = case.complete(&mail.token, PASSWORD).await;
    done.is(200, SUCCESS);
    let again = case.complete(&mail.token, PASSWORD).await;
    again.is_error(400, "link_used");
    assert_eq!(case.logs_in("alice").await, 200);

    // Her address is known now, and nobody is told but herself.
    case.sign_up("mallory", "Alice@example.org")
        .await
        .is(201, SUCCESS);
    assert_eq!(case.logs_in("mallory").await, 401);
    let notice = case.mails.receive_text();
    assert!(notice.contains("You have an account already"), "{notice}");
    assert!(!notice.contains("token="), "{notice}");
    case.sign_up("mallory", "mallory@example.org")
        .await
        .is(201, SUCCESS);
    assert_eq!(case.mail().to, "mallory@example.org");
    let taken = case.sign_up("ALICE", "other@example.org").await;
    taken.is_error(409, "username_taken");
    let weak = json!({ "username": "x", "password": "short", "email": "alice@example.org" });
    let weak = case.server.post(REGISTER, weak).await;
    weak.is_error(400, "validation_failed");

    let token = case.superuser_token().await;
    let registered = case.server.register(&token, "bob").await;
    registered.is(201, SUCCESS);
    assert_eq!(case.mail().to, "bob@example.org");
    let forged = case.server.register("forged", "carol").await;
    forged.is_error(401, "token_invalid");

    assert_eq!(case.events("sign_up_requested", 3)[0]["actor"], "anonymous");
    let signed_up = case.events("signed_up", 1);
    assert_eq!(signed_up[0]["actor"], signed_up[0]["user"]);
    let refused = case.events("registration_refused", 2);
    let refused: Vec<_> = refused.iter().map(|event| &event["reason"]).collect();
    assert_eq!(refused, ["validation_failed", "username_taken"]);
}

#[tokio::test]
async fn s4_6_anybody_signs_up_on_sqlite() {
    anybody_signs_up_and_is_a_user_with_the_mailed_link(Case::sqlite(&OPEN)).await;
}

#[tokio::test]
async fn s4_6_anybody_signs_up_on_postgres() {
    anybody_signs_up_and_is_a_user_with_the_mailed_link(Case::postgres(&OPEN).await).await;
}

/// A stranger signs up with the owner's address after her, and as often as he likes.
async fn a_stranger_signs_up_with_the_owners_address(case: Case) {
    const HIS: &str = "the password of a stranger";
    let sign_up = |name: &str, password: &str| {
        let email = "alice@example.org";
        json!({ "username": name, "password": password, "email": email })
    };
    let (home, away) = ("192.0.2.1", "198.51.100.7");
    let signed_up = case.post_for(home, REGISTER, sign_up("alice", PASSWORD));
    assert_eq!(signed_up.await, 201);
    let hers = case.mail();
    let mut his = String::new();
    for _ in 0..3 {
        let signed_up = case.post_for(away, REGISTER, sign_up("mallory", HIS));
        assert_eq!(signed_up.await, 201);
        his = case.mail().token;
    }
    // What he has used up are his mails: the next one is hers.
    for client in [away, home] {
        let again = json!({ "email": "alice@example.org" });
        let resent = case.post_for(client, "/api/register/resend/", again);
        assert_eq!(resent.await, 202);
    }
    let again = case.mail();
    assert_eq!(again.to, "alice@example.org");

    // She opens the newest of his mails, and the page asks for what she does not know.
    let link = format!("{VERIFY}?token={his}");
    let page = case.server.get(&link).await;
    let asked = r#"type="password" autocomplete="current-password""#;
    assert!(page.body.contains(asked), "{page:?}");
    let fields = [("token", his.as_str()), ("password", PASSWORD)];
    let (status, page) = case.server.press(VERIFY, &fields).await;
    assert!(
        status == 401 && page.contains("not the password of this sign-up"),
        "{page}"
    );
    let fields = [("token", hers.token.as_str()), ("password", HIS)];
    assert_eq!(case.server.press(VERIFY, &fields).await.0, 401);

    let fields = [("token", again.token.as_str()), ("password", PASSWORD)];
    let (status, page) = case.server.press(VERIFY, &fields).await;
    assert!(
        status == 200 && page.contains("Your account is set up"),
        "{page}"
    );
    let late = case.complete(&his, HIS).await;
    late.is_error(400, "link_invalid");
    assert_eq!(case.logs_in("alice").await, 200);
    for name in ["alice", "mallory"] {
        let refused = case.server.log_in(name, HIS).await;
        refused.is_error(401, "invalid_credentials");
    }
    // The second wrong password is counted, not listed.
    let refused = case.events("verification_refused", 2);
    let reasons: Vec<_> = refused.iter().map(|event| &event["reason"]).collect();
    assert_eq!(reasons, ["link_invalid", "invalid_credentials"]);
}

const BEHIND_A_PROXY: [(&str, &str); 2] = [OPEN[0], ("AUTH_TRUSTED_PROXIES", "127.0.0.0/8")];

#[tokio::test]
async fn fault_c3_a_stranger_signs_up_with_the_owners_address_on_sqlite() {
    a_stranger_signs_up_with_the_owners_address(Case::sqlite(&BEHIND_A_PROXY)).await;
}

#[tokio::test]
async fn fault_c3_a_stranger_signs_up_with_the_owners_address_on_postgres() {
    let case = Case::postgres(&BEHIND_A_PROXY).await;
    a_stranger_signs_up_with_the_owners_address(case).await;
}

async fn a_taken_name_is_told_by_mail_alone(case: Case) {
    let (name, _) = case.superuser;
    case.sign_up(name, "alice@example.org")
        .await
        .is(201, SUCCESS);
    let notice = case.mails.receive_text();
    assert!(notice.contains("Choose another name"), "{notice}");
    assert!(!notice.contains("token="), "{notice}");
}

#[tokio::test]
async fn s4_6_a_taken_name_is_told_by_mail_alone_on_sqlite() {
    a_taken_name_is_told_by_mail_alone(Case::sqlite(&HIDING)).await;
}

#[tokio::test]
async fn s4_6_a_taken_name_is_told_by_mail_alone_on_postgres() {
    a_taken_name_is_told_by_mail_alone(Case::postgres(&HIDING).await).await;
}

async fn the_invited_choose_name_and_password(case: Case) {
    let token = case.superuser_token().await;
    let refused = case
        .server
        .post(INVITE, json!({ "email": "x@example.org" }))
        .await;
    refused.is_error(401, "authentication_required");
    let refused = case.sign_up("mallory", "mallory@example.org").await;
    refused.is_error(401, "authentication_required");

    case.invite(&token, "alice@example.org")
        .await
        .is(202, SUCCESS);
    let first = case.mail().token;
    case.invite(&token, "Alice@example.org")
        .await
        .is(202, SUCCESS);
    let mail = case.mail();
    assert_eq!(mail.to, "Alice@example.org");
    let link = format!("{ACCEPT}?token={}", mail.token);
    assert_eq!(mail.link, case.server.url(&link));
    let page = case.server.get(&link).await;
    assert!(page.body.contains(r#"<label for="username">"#), "{page:?}");
    case.accept(&first, "alice")
        .await
        .is_error(400, "link_invalid");

    let fields = |name, password| {
        [
            ("token", mail.token.as_str()),
            ("username", name),
            ("password", password),
            ("repeated", password),
        ]
    };
    let (name, _) = case.superuser;
    let refused = case.press(&fields(name, PASSWORD)).await;
    assert!(
        refused.0 == 409 && refused.1.contains("Somebody else has this name"),
        "{refused:?}"
    );
    let refused = case.press(&fields("alice", "short")).await;
    assert!(
        refused.0 == 400 && refused.1.contains("must have at least 8"),
        "{refused:?}"
    );
    assert!(refused.1.contains(r#"value="alice""#) && refused.1.contains(&mail.token));
    let done = case.press(&fields("alice", PASSWORD)).await;
    assert!(done.0 == 200 && done.1.contains("is set up"), "{done:?}");
    let again = case.press(&fields("alice2", PASSWORD)).await;
    assert!(
        again.0 == 400 && again.1.contains("already been used"),
        "{again:?}"
    );
    assert_eq!(case.logs_in("alice").await, 200);
    let taken = case.invite(&token, "ALICE@example.org").await;
    taken.is_error(409, "email_taken");
    let alice = case
        .server
        .log_in("alice", PASSWORD)
        .await
        .text("access_token");
    let refused = case.invite(&alice, "x@example.org").await;
    refused.is_error(403, "permission_denied");

    // The operator invites too.
    let invited = case.command("users invite bob@example.org");
    assert_eq!(invited, (0, "invited: bob@example.org\n".to_owned()));
    assert_eq!(case.mail().to, "bob@example.org");
    let (code, invited) = case.command("users invite bob@example.org --json");
    let invited: Value = serde_json::from_str(&invited).unwrap();
    assert_eq!((code, &invited["email"]), (0, &json!("bob@example.org")));
    let mail = case.mail();
    let accepted = (0..10).map(|_| case.accept(&mail.token, "bob"));
    let accepted = futures_util::future::join_all(accepted).await;
    let mut statuses: Vec<_> = accepted
        .iter()
        .map(|answer| answer.status.as_u16())
        .collect();
    statuses.sort_unstable();
    assert_eq!(statuses, [201, 400, 400, 400, 400, 400, 400, 400, 400, 400]);
    let (code, why) = case.command("users invite alice@example.org");
    assert!(
        code == 1 && why.contains("e-mail address is taken"),
        "{why}"
    );

    let events = case.events("user_invited", 4);
    let operator = events
        .iter()
        .find(|event| event["details"]["invitation"] == invited["invitation"]);
    assert_eq!(operator.unwrap()["actor"], "operator");
    let accepted = case.events("invitation_accepted", 2);
    assert_eq!(accepted[0]["details"]["invited_by"], Value::Null);
    assert_eq!(accepted[1]["details"]["invited_by"], events[3]["actor"]);
}

#[tokio::test]
async fn s8_1_s8_9_the_invited_choose_name_and_password_on_sqlite() {
    the_invited_choose_name_and_password(Case::sqlite(&INVITATION)).await;
}

#[tokio::test]
async fn s8_1_s8_9_the_invited_choose_name_and_password_on_postgres() {
    the_invited_choose_name_and_password(Case::postgres(&INVITATION).await).await;
}

async fn nobody_registers_anybody_over_http(case: Case) {
    let token = case.superuser_token().await;
    let refused = case.server.register(&token, "alice").await;
    refused.is_error(403, "registration_closed");
    let refused = case.sign_up("alice", "alice@example.org").await;
    refused.is_error(401, "authentication_required");
    let refused = case.invite(&token, "alice@example.org").await;
    refused.is_error(404, "not_found");
    let (code, why) = case.command("users invite alice@example.org");
    assert!(code == 1 && why.contains("AUTH_REGISTRATION"), "{why}");
    let refused = case.events("registration_refused", 1);
    assert_eq!(refused[0]["reason"], "registration_closed");
}

#[tokio::test]
async fn s4_5_closed_registration_is_closed_on_sqlite() {
    let closed = [("AUTH_REGISTRATION", "closed")];
    nobody_registers_anybody_over_http(Case::sqlite(&closed)).await;
}

#[tokio::test]
async fn s4_5_closed_registration_is_closed_on_postgres() {
    let closed = [("AUTH_REGISTRATION", "closed")];
    nobody_registers_anybody_over_http(Case::postgres(&closed).await).await;
}
