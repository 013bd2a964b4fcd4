//! What people do with the pages, in a real browser, with the keyboard alone.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod driver;
#[path = "../support/mod.rs"]
mod support;

use driver::{Browser, Look, Scripts};
use fantoccini::key::Key;
use fantoccini::wd::Locator;
use reqwest::Method;
use serde_json::{Value, json};
use support::mail::{Received, from_folder};
use support::{Embedded, PASSWORD, Server};

const OTHER_PASSWORD: &str = "battery horse correct";

const DESK: Look = Look {
    name: "desk",
    width: 1280,
    scheme: "light",
};
const DARK: Look = Look {
    name: "dark",
    width: 1280,
    scheme: "dark",
};
const PHONE: Look = Look {
    name: "phone",
    width: 320,
    scheme: "light",
};

/// A reader of mails in front of a browser.
struct Reader {
    browser: Browser,
    server: Server,
    superuser: String,
    look: &'static str,
}

impl Reader {
    fn mail(&self) -> Received {
        from_folder(&self.server.path("auth-data/outbox"))
    }

    /// Opens the link of the only mail.
    async fn open_mail(&self, to: &str, headline: &str, picture: &str) -> Received {
        let mail = self.mail();
        assert_eq!(mail.to, to);
        self.browser.open(&mail.link).await;
        self.arrive(headline, picture).await;
        mail
    }

    async fn arrive(&self, headline: &str, picture: &str) {
        let complaints = self.look_at(headline, picture).await;
        assert!(complaints.is_empty(), "{headline}: {complaints:?}");
    }

    /// Waits for a page that tells of a refusal, as its status does.
    async fn arrive_refused(&self, headline: &str, status: &str, picture: &str) {
        let complaints = self.look_at(headline, picture).await;
        let told = format!("the server responded with a status of {status}");
        assert!(
            complaints.len() == 1 && complaints.iter().all(|line| line.ends_with(&told)),
            "{headline}: {complaints:?}"
        );
    }

    /// Waits for a page that asks again, and tells what is wrong.
    async fn arrive_again(&self, headline: &str, status: &str, problem: &str, picture: &str) {
        let told = format!("//*[@role='alert']/li[contains(., '{problem}')]");
        self.browser.wait_for(&told).await;
        self.arrive_refused(headline, status, picture).await;
    }

    /// Waits for a page, which must be in order, and takes its picture; gives what the console says.
    async fn look_at(&self, headline: &str, picture: &str) -> Vec<String> {
        let browser = &self.browser;
        browser.arrive(headline).await;
        assert_eq!(browser.client.title().await.unwrap(), headline);
        assert!(!browser.overflows().await, "{headline}: beyond the edges");
        let fields = Locator::Css("input:not([type=hidden])");
        for field in browser.client.find_all(fields).await.unwrap() {
            let label = browser.label(&field).await;
            let is_known =
                ["Name", "Password"].contains(&&*label) || label.starts_with("New password");
            assert!(is_known, "{headline}: {label}");
        }
        browser.picture(&format!("{}-{picture}", self.look)).await;
        browser.console().await
    }

    /// Goes on to what is next, and finds it to be this.
    async fn tab_to(&self, label: &str) {
        self.browser.press(Key::Tab).await;
        assert_eq!(self.browser.focused().await, label);
    }

    async fn enter(&self) {
        self.browser.press(Key::Enter).await;
    }

    /// Types the password into the field that has the focus, and once more into the next.
    async fn type_password(&self, password: &str) {
        assert_eq!(self.browser.focused().await, "New password");
        self.browser.type_text(password).await;
        self.tab_to("New password, once more").await;
        self.browser.type_text(password).await;
    }

    async fn post(&self, path: &str, bearer: Option<&str>, body: Value) {
        let request = self.server.request(Method::POST, path, bearer, Some(body));
        let answer = request.await;
        assert!(answer.status.is_success(), "{path}: {answer:?}");
    }

    async fn logs_in(&self, name: &str, password: &str) {
        let answer = self.server.log_in(name, password).await;
        assert_eq!(answer.status, 200, "{name}");
    }

    async fn verify_address(&self, name: &str, picture: &str) {
        let headline = "Confirm your e-mail address";
        let address = format!("{name}@example.org");
        let mail = self.open_mail(&address, headline, picture).await;
        self.tab_to("Confirm this address").await;
        self.enter().await;
        let done = "Your e-mail address is confirmed";
        self.arrive(done, &format!("{picture}-done")).await;
        let url = self.browser.client.current_url().await.unwrap();
        assert!(!url.as_str().contains(&mail.token), "{url}");
        self.logs_in(name, PASSWORD).await;
    }

    async fn sign_up(&self) {
        let body = json!({ "username": "bob", "password": PASSWORD, "email": "bob@example.org" });
        self.post("/api/register/", None, body).await;
        let headline = "Finish setting up your account";
        let address = "bob@example.org";
        self.open_mail(address, headline, "sign-up").await;
        self.tab_to("Password").await;
        self.browser.type_text(OTHER_PASSWORD).await;
        self.tab_to("Set up my account").await;
        self.enter().await;
        let (status, problem) = ("401 (Unauthorized)", "not the password of this sign-up");
        self.arrive_again(headline, status, problem, "sign-up-refused")
            .await;
        // Where to type again has the focus by itself, without a script.
        assert_eq!(self.browser.focused().await, "Password");
        self.browser.type_text(PASSWORD).await;
        self.enter().await;
        self.arrive("Your account is set up", "sign-up-done").await;
        self.logs_in("bob", PASSWORD).await;
    }

    async fn accept_invitation(&self) {
        let address = "carol@example.org";
        let invited = json!({ "email": address });
        let path = "/api/register/invite/";
        self.post(path, Some(&self.superuser), invited).await;
        let headline = "Set up your account";
        self.open_mail(address, headline, "invitation").await;
        self.tab_to("Name").await;
        self.browser.type_text("alice").await;
        self.tab_to("New password").await;
        self.type_password("short").await;
        self.tab_to("Set up my account").await;
        self.enter().await;
        let (status, picture) = ("400 (Bad Request)", "invitation-refused");
        self.arrive_again(headline, status, "at least 8", picture)
            .await;
        // The name stays, and the password has the focus by itself.
        self.type_password(PASSWORD).await;
        self.enter().await;
        let (status, picture) = ("409 (Conflict)", "invitation-name");
        self.arrive_again(headline, status, "Somebody else has this name", picture)
            .await;
        assert_eq!(self.browser.focused().await, "Name");
        self.browser.press(Key::End).await;
        for _ in "alice".chars() {
            self.browser.press(Key::Backspace).await;
        }
        self.browser.type_text("carol").await;
        self.tab_to("New password").await;
        self.type_password(PASSWORD).await;
        self.enter().await;
        self.arrive("Your account is set up", "invitation-done")
            .await;
        self.logs_in("carol", PASSWORD).await;
    }

    /// Undoing it owes a mail to choose a new password.
    async fn change_address_and_undo(&self) {
        let bearer = self.server.log_in("alice", PASSWORD).await;
        let bearer = bearer.text("access_token");
        let asked = json!({ "email": "new@example.org", "password": PASSWORD });
        let path = "/api/auth/email/change/";
        self.post(path, Some(&bearer), asked).await;
        let headline = "Confirm your new e-mail address";
        self.open_mail("new@example.org", headline, "change").await;
        self.tab_to("Use this address").await;
        self.enter().await;
        self.arrive("Your e-mail address is changed", "change-done")
            .await;
        let headline = "Undo the change of your e-mail address";
        self.open_mail("alice@example.org", headline, "undo").await;
        self.tab_to("Undo the change").await;
        self.enter().await;
        let done = "You have your former e-mail address again";
        self.arrive(done, "undo-done").await;
    }

    async fn choose_password(&self) {
        let headline = "Choose a new password";
        let mail = self.open_mail("alice@example.org", headline, "reset").await;
        self.tab_to("New password").await;
        self.type_password("short").await;
        self.tab_to("Set this password").await;
        self.enter().await;
        let (status, picture) = ("400 (Bad Request)", "reset-refused");
        self.arrive_again(headline, status, "at least 8", picture)
            .await;
        // Where to type again has the focus by itself, without a script.
        self.type_password(OTHER_PASSWORD).await;
        self.enter().await;
        self.arrive("Your password is changed", "reset-done").await;
        self.logs_in("alice", OTHER_PASSWORD).await;

        self.browser.open(&mail.link).await;
        self.arrive(headline, "reset").await;
        self.tab_to("New password").await;
        self.type_password(PASSWORD).await;
        self.enter().await;
        let used = "This link has already been used";
        self.arrive_refused(used, "400 (Bad Request)", "reset-used")
            .await;
    }
}

/// Alice is registered, Carol is invited, Bob signs up: they do with the pages all there is to do.
async fn walk(scripts: Scripts, look: Look) {
    let embedded = Embedded::start(&[
        ("AUTH_ENDPOINTS", "account"),
        ("AUTH_REGISTRATION", "invitation"),
    ]);
    let superuser = embedded.superuser_token().await;
    let registered = embedded.server.register(&superuser, "alice").await;
    assert_eq!(registered.status.as_u16(), 201);
    let mut reader = Reader {
        browser: Browser::start(scripts, look).await,
        server: embedded.server,
        superuser,
        look: look.name,
    };
    reader
        .browser
        .open("data:text/html,<title>off</title><script>document.title='on'</script>")
        .await;
    let runs = reader.browser.client.title().await.unwrap() == "on";
    assert_eq!(runs, scripts == Scripts::Allowed);
    reader.verify_address("alice", "verify").await;
    reader.accept_invitation().await;
    reader.change_address_and_undo().await;
    reader.choose_password().await;
    reader.server = Embedded::start(&[("AUTH_REGISTRATION", "open")]).server;
    reader.sign_up().await;
    reader.browser.close().await;
}

#[tokio::test]
async fn s8_2_the_keyboard_leads_through_all_pages() {
    walk(Scripts::Allowed, DESK).await;
}

#[tokio::test]
async fn s8_2_the_pages_need_no_script_and_no_light() {
    walk(Scripts::Forbidden, DARK).await;
}

#[tokio::test]
async fn s8_2_the_pages_fit_a_phone() {
    walk(Scripts::Allowed, PHONE).await;
}
