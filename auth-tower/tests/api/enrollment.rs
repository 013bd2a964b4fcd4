//! Signing up, invitations, and the page behind the link of one.
#![expect(clippy::unwrap_used, reason = "a test stops at the first surprise")]

use std::sync::{Arc, Mutex};

use crate::support::{EXPIRED, GOOD, Scripted, alice, api, error, json, post, request, send, with};
use async_trait::async_trait;
use auth_core::store::EnrollmentId;
use auth_core::{
    Administrator, AuthError, Enrollment, FieldErrors, Login, Password, Registration,
    RegistrationMode, RequestContext, TakenNames,
};
use auth_tower::AuthApi;
use auth_tower::budgets::{Budget, RequestBudgets};
use bytes::Bytes;
use http::Request;
use http_body_util::Full;

const REGISTER: &str = "/api/register/";
const VERIFY: &str = "/api/register/verify/";
const INVITE: &str = "/api/register/invite/";
const ACCEPT: &str = "/api/register/accept/";
const SUCCESS: &str = r#"{"is_error":0,"message":"success"}"#;
const BOB: &str = r#"{"username":"bob","password":"a long one","email":"bob@example.org"}"#;
const OPEN: RegistrationMode = RegistrationMode::Open {
    taken_names: TakenNames::Told,
};

type Outcome = fn() -> Result<(), AuthError>;

/// Enrolls nobody, but remembers what it was asked.
#[derive(Debug)]
struct Desk {
    mode: RegistrationMode,
    outcome: Outcome,
    calls: Mutex<Vec<String>>,
}

impl Desk {
    fn ending(mode: RegistrationMode, outcome: Outcome) -> Arc<Self> {
        let calls = Mutex::default();
        Arc::new(Self {
            mode,
            outcome,
            calls,
        })
    }

    fn new(mode: RegistrationMode) -> Arc<Self> {
        Self::ending(mode, || Ok(()))
    }

    fn answer(&self, call: String) -> Result<(), AuthError> {
        self.calls.lock().unwrap().push(call);
        (self.outcome)()
    }

    fn calls(&self) -> Vec<String> {
        self.calls.lock().unwrap().clone()
    }
}

#[async_trait]
impl Enrollment for Desk {
    fn registration_mode(&self) -> RegistrationMode {
        self.mode
    }

    async fn sign_up(&self, user: Registration, _: &RequestContext) -> Result<(), AuthError> {
        let (name, password, email) = (user.username, user.password, user.email);
        self.answer(format!("sign_up {name} {} {email}", password.expose()))
    }

    async fn complete_sign_up(
        &self,
        token: &str,
        password: Password,
        _: &RequestContext,
    ) -> Result<(), AuthError> {
        self.answer(format!("complete {token} {}", password.expose()))
    }

    async fn invite(
        &self,
        by: Administrator,
        email: &str,
        _: &RequestContext,
    ) -> Result<EnrollmentId, AuthError> {
        let is_alice =
            matches!(by, Administrator::Superuser(by) if by.user_id() == alice().user_id);
        assert!(is_alice, "{by:?}");
        self.answer(format!("invite {email}"))?;
        Ok(EnrollmentId::generate())
    }

    async fn accept_invitation(
        &self,
        token: &str,
        login: Login,
        _: &RequestContext,
    ) -> Result<(), AuthError> {
        let (name, password) = (login.username, login.password);
        self.answer(format!("accept {token} {name} {}", password.expose()))
    }
}

fn enrolling(desk: &Arc<Desk>) -> AuthApi {
    api(&Arc::default()).with_enrollment(Arc::<Desk>::clone(desk))
}

fn form(body: &'static str) -> Request<Full<Bytes>> {
    form_at(ACCEPT, body)
}

fn form_at(path: &str, body: &'static str) -> Request<Full<Bytes>> {
    let request = request("POST", path).map(|_| Full::from(body));
    with(request, "content-type", "application/x-www-form-urlencoded")
}

fn unauthenticated() -> String {
    error(
        401,
        &[("www-authenticate", "Bearer")],
        "authentication_required",
        "authentication is required",
    )
}

#[tokio::test]
async fn s8_8_where_registration_is_open_anybody_signs_up() {
    let desk = Desk::new(OPEN);
    let body = BOB.replace('}', r#","is_superuser":true,"email_verified":true}"#);
    let answer = send(enrolling(&desk), post(REGISTER, &body)).await;
    assert_eq!(answer, json(201, &[], SUCCESS));
    assert_eq!(desk.calls(), ["sign_up bob a long one bob@example.org"]);
}

#[tokio::test]
async fn s4_5_in_the_other_modes_without_a_token_nothing_is_looked_at() {
    let others = [
        RegistrationMode::Superuser,
        RegistrationMode::Invitation,
        RegistrationMode::Closed,
    ];
    for mode in others {
        for body in [BOB, "{", ""] {
            let desk = Desk::new(mode);
            let answer = send(enrolling(&desk), post(REGISTER, body)).await;
            assert_eq!(answer, unauthenticated(), "{mode:?} {body}");
            assert!(desk.calls().is_empty());
        }
    }
}

#[tokio::test]
async fn s9_1_who_sends_a_token_where_registration_is_open_must_be_a_superuser() {
    let desk = Desk::new(OPEN);
    for (token, code) in [
        ("Bearer forged", "token_invalid"),
        (EXPIRED.as_str(), "token_expired"),
        ("Basic YTpi", "authentication_required"),
        ("", "authentication_required"),
    ] {
        let request = with(post(REGISTER, BOB), "authorization", token);
        let answer = send(enrolling(&desk), request).await;
        assert!(
            answer.starts_with("401\n") && answer.contains(code),
            "{answer}"
        );
    }
    let service = Arc::new(Scripted {
        superuser: || Err(AuthError::PermissionDenied),
        ..Scripted::default()
    });
    let open = api(&service).with_enrollment(Arc::<Desk>::clone(&desk));
    let request = with(post(REGISTER, BOB), "authorization", &GOOD);
    let answer = send(open, request).await;
    assert!(answer.contains("permission_denied"), "{answer}");

    let service: Arc<Scripted> = Arc::default();
    let open = api(&service).with_enrollment(Arc::<Desk>::clone(&desk));
    let request = with(post(REGISTER, BOB), "authorization", &GOOD);
    assert_eq!(send(open, request).await, json(201, &[], SUCCESS));
    let calls = service.calls();
    assert_eq!(
        calls,
        [
            "require_superuser",
            "register bob a long one bob@example.org"
        ]
    );
    assert!(desk.calls().is_empty());
}

#[tokio::test]
async fn s4_5_closed_registration_is_told_to_superusers_only() {
    let service = Arc::new(Scripted {
        outcome: || Err(AuthError::RegistrationClosed),
        ..Scripted::default()
    });
    let request = with(post(REGISTER, BOB), "authorization", &GOOD);
    assert_eq!(
        send(api(&service), request).await,
        error(403, &[], "registration_closed", "registration is closed")
    );
    let answer = send(api(&service), post(REGISTER, BOB)).await;
    assert_eq!(answer, unauthenticated());
}

#[tokio::test]
async fn s5_8_who_signs_up_too_often_is_refused_before_the_body_is_read() {
    let once = Budget::new(
        std::num::NonZeroU32::MIN,
        std::time::Duration::from_secs(3600),
    );
    let budgets = RequestBudgets::default().with_resend_verification(once);
    let desk = Desk::new(OPEN);
    let api = enrolling(&desk).with_request_budgets(budgets);
    let context = RequestContext::default().with_client([192, 0, 2, 7].into());
    let mut statuses = Vec::new();
    for body in [BOB, BOB, "{"] {
        let mut request = post(REGISTER, body);
        request.extensions_mut().insert(context.clone());
        let answer = send(api.clone(), request).await;
        statuses.push(answer.lines().next().unwrap().to_owned());
    }
    assert_eq!(statuses, ["201", "429", "429"]);
    assert_eq!(desk.calls().len(), 1);
}

#[tokio::test]
async fn fault_c3_the_link_of_a_sign_up_takes_its_password() {
    let desk = Desk::new(OPEN);
    let service: Arc<Scripted> = Arc::default();
    let api = api(&service).with_enrollment(Arc::<Desk>::clone(&desk));
    let body = r#"{"token":"ast_a","password":"a long one"}"#;
    let answer = send(api.clone(), post(VERIFY, body)).await;
    assert_eq!(answer, json(200, &[], SUCCESS));
    let filled = form_at(VERIFY, "token=ast_a&password=a+long+one");
    let answer = send(api.clone(), filled).await;
    assert!(answer.starts_with("200\n"), "{answer}");
    assert!(
        answer.contains("<h1>Your account is set up</h1>"),
        "{answer}"
    );
    assert_eq!(desk.calls(), ["complete ast_a a long one"; 2]);

    for body in [
        r#"{"token":"ast_a"}"#,
        r#"{"token":"ast_a","password":null}"#,
    ] {
        let answer = send(api.clone(), post(VERIFY, body)).await;
        assert!(answer.starts_with("400\n"), "{answer}");
        assert!(answer.contains(r#""errors":{"password":["#), "{answer}");
    }
    for body in ["token=ast_a", "token=ast_a&password="] {
        let answer = send(api.clone(), form_at(VERIFY, body)).await;
        assert!(answer.starts_with("400\n"), "{answer}");
        assert!(answer.contains("<li>Type the password.</li>"), "{answer}");
    }
    assert_eq!(desk.calls().len(), 2);

    // A user whom a superuser registered has nothing to type, whatever is sent.
    let body = r#"{"token":"avt_a","password":7}"#;
    let answer = send(api.clone(), post(VERIFY, body)).await;
    assert_eq!(answer, json(200, &[], SUCCESS));
    let answer = send(api, form_at(VERIFY, "token=avt_a")).await;
    assert!(answer.starts_with("200\n"), "{answer}");
    assert_eq!(service.calls(), ["verify_email avt_a"; 2]);
    assert_eq!(desk.calls().len(), 2);
}

#[tokio::test]
async fn fault_c3_the_page_of_a_sign_up_asks_for_its_password() {
    let desk = Desk::new(OPEN);
    let shown = request("GET", &format!("{VERIFY}?token=ast_%3Cb%3E"));
    let answer = send(enrolling(&desk), shown).await;
    assert!(answer.starts_with("200\n"), "{answer}");
    for part in [
        "<h1>Finish setting up your account</h1>",
        r#"name="token" value="ast_&lt;b&gt;">"#,
        r#"<label for="password">Password</label>"#,
        r#"<input id="password" name="password" type="password" autocomplete="current-password""#,
    ] {
        assert!(answer.contains(part), "{part}: {answer}");
    }
    for part in ["repeated", "<script", "role=\"alert\"", "autofocus"] {
        assert!(!answer.contains(part), "{part}: {answer}");
    }
    let shown = request("GET", &format!("{VERIFY}?token=avt_a"));
    let answer = send(enrolling(&desk), shown).await;
    assert!(!answer.contains("\"password\""), "{answer}");

    let wrong: Outcome = || Err(AuthError::InvalidCredentials);
    let desk = Desk::ending(OPEN, wrong);
    let filled = form_at(VERIFY, "token=ast_a&password=secret1");
    let answer = send(enrolling(&desk), filled).await;
    assert!(answer.starts_with("401\n"), "{answer}");
    for part in [
        "<li>That is not the password of this sign-up.</li>",
        r#"name="token" value="ast_a""#,
        r#"aria-invalid="true" aria-describedby="problems" autofocus"#,
        "\nwww-authenticate: Bearer\n",
    ] {
        assert!(answer.contains(part), "{part}: {answer}");
    }
    assert!(!answer.contains("secret1"), "{answer}");
    let body = r#"{"token":"ast_a","password":"secret1"}"#;
    let answer = send(enrolling(&desk), post(VERIFY, body)).await;
    assert!(
        answer.starts_with("401\n") && answer.contains("invalid_credentials"),
        "{answer}"
    );

    let late: Outcome = || Err(AuthError::UsernameTaken);
    let filled = form_at(VERIFY, "token=ast_a&password=secret1");
    let answer = send(enrolling(&Desk::ending(OPEN, late)), filled).await;
    assert!(answer.starts_with("409\n"), "{answer}");
    assert!(
        answer.contains("<h1>This name is taken</h1>") && !answer.contains("<form"),
        "{answer}"
    );
}

/// It costs a hash, so that it is limited as logins are.
#[tokio::test]
async fn s5_8_who_tries_passwords_of_sign_ups_too_often_is_refused() {
    let once = Budget::new(
        std::num::NonZeroU32::MIN,
        std::time::Duration::from_secs(3600),
    );
    let budgets = RequestBudgets::default().with_log_in(once);
    let desk = Desk::new(OPEN);
    let api = enrolling(&desk).with_request_budgets(budgets);
    let context = RequestContext::default().with_client([192, 0, 2, 7].into());
    let sign_up = r#"{"token":"ast_a","password":"a long one"}"#;
    let other = r#"{"token":"avt_a"}"#;
    let mut statuses = Vec::new();
    for body in [other, sign_up, sign_up, other] {
        let mut request = post(VERIFY, body);
        request.extensions_mut().insert(context.clone());
        let answer = send(api.clone(), request).await;
        statuses.push(answer.lines().next().unwrap().to_owned());
    }
    assert_eq!(statuses, ["200", "200", "429", "200"]);
    assert_eq!(desk.calls().len(), 1);
}

#[tokio::test]
async fn s9_1_superusers_invite_and_nobody_else() {
    let desk = Desk::new(RegistrationMode::Invitation);
    let body = r#"{"email":"bob@example.org"}"#;
    for body in [body, "{"] {
        let answer = send(enrolling(&desk), post(INVITE, body)).await;
        assert_eq!(answer, unauthenticated());
    }
    let service = Arc::new(Scripted {
        superuser: || Err(AuthError::PermissionDenied),
        ..Scripted::default()
    });
    let refusing = api(&service).with_enrollment(Arc::<Desk>::clone(&desk));
    let request = with(post(INVITE, "{"), "authorization", &GOOD);
    let answer = send(refusing, request).await;
    assert!(answer.contains("permission_denied"), "{answer}");
    assert!(desk.calls().is_empty());

    let request = with(post(INVITE, body), "authorization", &GOOD);
    let answer = send(enrolling(&desk), request).await;
    assert_eq!(answer, json(202, &[], SUCCESS));
    assert_eq!(desk.calls(), ["invite bob@example.org"]);

    let desk = Desk::ending(RegistrationMode::Invitation, || Err(AuthError::EmailTaken));
    let request = with(post(INVITE, body), "authorization", &GOOD);
    let answer = send(enrolling(&desk), request).await;
    assert!(answer.starts_with("409\n") && answer.contains("email_taken"));
}

#[tokio::test]
async fn invitations_exist_only_in_their_mode() {
    let bare = api(&Arc::default());
    let mut without = vec![bare];
    for mode in [RegistrationMode::Superuser, OPEN, RegistrationMode::Closed] {
        without.push(enrolling(&Desk::new(mode)));
    }
    for api in without {
        for path in [INVITE, ACCEPT] {
            assert!(!api.handles(path));
            let answer = send(api.clone(), post(path, "{}")).await;
            assert!(answer.starts_with("404\n"), "{answer}");
        }
    }
}

#[tokio::test]
async fn s8_2_opening_the_invitation_shows_a_form_and_changes_nothing() {
    let desk = Desk::new(RegistrationMode::Invitation);
    for method in ["GET", "HEAD"] {
        let request = request(method, &format!("{ACCEPT}?token=ait_%3Cb%3E"));
        let answer = send(enrolling(&desk), request).await;
        assert!(answer.starts_with("200\n"), "{answer}");
        assert!(answer.contains("style-src 'sha256-"), "{answer}");
        assert!(answer.contains("frame-ancestors 'none'"), "{answer}");
        assert!(answer.contains("referrer-policy: no-referrer"), "{answer}");
        assert!(answer.contains("cache-control: no-store"), "{answer}");
        if method == "GET" {
            for part in [
                r#"<form method="post" action="?">"#,
                r#"name="token" value="ait_&lt;b&gt;">"#,
                r#"<label for="username">Name</label>"#,
                r#"<input id="username" name="username" value="" autocomplete="username""#,
                r#"<label for="password">New password</label>"#,
                r#"<label for="repeated">"#,
            ] {
                assert!(answer.contains(part), "{part}: {answer}");
            }
            for part in ["<script", "src=", "http", "role=\"alert\"", "autofocus"] {
                assert!(!answer.contains(part), "{part}: {answer}");
            }
        }
    }
    assert!(desk.calls().is_empty());
}

#[tokio::test]
async fn an_invitation_is_accepted_by_the_form_and_by_json() {
    let desk = Desk::new(RegistrationMode::Invitation);
    let filled = form("token=ait_a&username=bob&password=a+long+one&repeated=a+long+one&email=x");
    let answer = send(enrolling(&desk), filled).await;
    assert!(answer.starts_with("200\n"), "{answer}");
    assert!(
        answer.contains("<h1>Your account is set up</h1>"),
        "{answer}"
    );
    let body = r#"{"token":"ait_a","username":"bob","password":"a long one","email":"x"}"#;
    let answer = send(enrolling(&desk), post(ACCEPT, body)).await;
    assert_eq!(answer, json(201, &[], SUCCESS));
    assert_eq!(desk.calls(), ["accept ait_a bob a long one"; 2]);

    let answer = send(enrolling(&desk), post(ACCEPT, r#"{"token":"ait_a"}"#)).await;
    assert!(answer.starts_with("400\n"), "{answer}");
    for field in ["username", "password"] {
        assert!(answer.contains(&format!(r#""{field}":["is required"]"#)));
    }
    assert_eq!(desk.calls().len(), 2);
}

/// What was typed as a name stands in the form again, and what was typed as a password does not.
#[tokio::test]
async fn what_is_wrong_with_name_or_password_is_shown_and_the_form_again() {
    let wrong: Outcome = || {
        let mut errors = FieldErrors::default();
        errors.add("username", "may contain only letters");
        errors.add("password", "must have at least 8 characters");
        Err(errors.into())
    };
    let name: Outcome = || Err(AuthError::UsernameTaken);
    let both = "token=ait_a&username=%3Cbob%3E&password=secret1&repeated=secret1";
    let cases: [(Outcome, &'static str, &str, &[&str]); 5] = [
        (
            wrong,
            both,
            "400",
            &[
                "<li>The name may contain only letters.</li>",
                "<li>The password must have at least 8 characters.</li>",
            ],
        ),
        (name, both, "409", &["<li>Somebody else has this name."]),
        (
            || Ok(()),
            "token=ait_a&username=%3Cbob%3E&password=secret1&repeated=secret2",
            "400",
            &["The two passwords are not the same."],
        ),
        (
            || Ok(()),
            "token=ait_a&username=%3Cbob%3E&password=secret1",
            "400",
            &["Type the new password twice."],
        ),
        (
            wrong,
            "token=ait_a&username=&password=secret1&repeated=secret1",
            "400",
            &[],
        ),
    ];
    for (outcome, body, status, problems) in cases {
        let desk = Desk::ending(RegistrationMode::Invitation, outcome);
        let answer = send(enrolling(&desk), form(body)).await;
        assert!(answer.starts_with(&format!("{status}\n")), "{answer}");
        for problem in problems {
            assert!(answer.contains(problem), "{problem}: {answer}");
        }
        assert!(answer.contains(r#"<ul id="problems" role="alert">"#));
        assert!(answer.contains(r#"name="token" value="ait_a""#));
        assert_eq!(answer.matches("autofocus").count(), 1, "{answer}");
        assert!(answer.contains(r#"aria-invalid="true" aria-describedby="problems""#));
        assert!(!answer.contains("<bob>") && !answer.contains("secret1"));
        let kept = answer.contains(r#"name="username" value="&lt;bob&gt;""#);
        assert_eq!(kept, body.contains("bob"), "{answer}");
    }
}

#[tokio::test]
async fn a_refused_invitation_is_explained_on_a_page() {
    let cases: [(Outcome, &str, &str); 4] = [
        (
            || Err(AuthError::LinkUsed),
            "400",
            "This link has already been used",
        ),
        (
            || Err(AuthError::LinkExpired),
            "400",
            "This link has expired",
        ),
        (
            || Err(AuthError::EmailTaken),
            "409",
            "This e-mail address is taken",
        ),
        (
            || Err(AuthError::RegistrationClosed),
            "403",
            "Registration is closed",
        ),
    ];
    for (outcome, status, title) in cases {
        let desk = Desk::ending(RegistrationMode::Invitation, outcome);
        let body = "token=ait_a&username=bob&password=a+long+one&repeated=a+long+one";
        let answer = send(enrolling(&desk), form(body)).await;
        assert!(answer.starts_with(&format!("{status}\n")), "{answer}");
        assert!(answer.contains(&format!("<h1>{title}</h1>")), "{answer}");
        assert!(!answer.contains("<form"));
    }
}
