//! What people do with the pages, in a real browser, with the keyboard alone.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod driver;
#[path = "../support/mod.rs"]
mod support;

use driver::{Browser, Look, Scripts};
use fantoccini::key::Key;
use fantoccini::wd::Locator;
use reqwest::Method;
use serde_json::json;
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
    async fn arrive_refused(&self, headline: &str, picture: &str) {
        let complaints = self.look_at(headline, picture).await;
        let status = "the server responded with a status of 400 (Bad Request)";
        assert!(
            complaints.len() == 1 && complaints.iter().all(|line| line.ends_with(status)),
            "{headline}: {complaints:?}"
        );
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
            assert!(label.starts_with("New password"), "{headline}: {label}");
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

    async fn verify_address(&self) {
        let headline = "Confirm your e-mail address";
        let mail = self
            .open_mail("alice@example.org", headline, "verify")
            .await;
        self.tab_to("Confirm this address").await;
        self.enter().await;
        let done = "Your e-mail address is confirmed";
        self.arrive(done, "verify-done").await;
        let url = self.browser.client.current_url().await.unwrap();
        assert!(!url.as_str().contains(&mail.token), "{url}");
        assert_eq!(self.server.log_in("alice", PASSWORD).await.status, 200);
    }

    /// Undoing it owes a mail to choose a new password.
    async fn change_address_and_undo(&self) {
        let bearer = self.server.log_in("alice", PASSWORD).await;
        let bearer = bearer.text("access_token");
        let asked = json!({ "email": "new@example.org", "password": PASSWORD });
        let path = "/api/auth/email/change/";
        let asked = self
            .server
            .request(Method::POST, path, Some(&bearer), Some(asked));
        assert_eq!(asked.await.status.as_u16(), 202);
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
        let browser = &self.browser;
        self.tab_to("New password").await;
        browser.type_text("short").await;
        self.tab_to("New password, once more").await;
        browser.type_text("short").await;
        self.tab_to("Set this password").await;
        self.enter().await;
        let alert = Locator::Css("[role=alert] li");
        let wait = browser.client.wait();
        let problem = wait.for_element(alert).await.unwrap();
        let problem = problem.text().await.unwrap();
        assert!(problem.contains("at least 8"), "{problem}");
        self.arrive_refused(headline, "reset-refused").await;
        // Where to type again has the focus by itself, without a script.
        assert_eq!(browser.focused().await, "New password");
        browser.type_text(OTHER_PASSWORD).await;
        self.tab_to("New password, once more").await;
        browser.type_text(OTHER_PASSWORD).await;
        self.enter().await;
        self.arrive("Your password is changed", "reset-done").await;
        let again = self.server.log_in("alice", OTHER_PASSWORD).await;
        assert_eq!(again.status, 200);

        browser.open(&mail.link).await;
        self.arrive(headline, "reset").await;
        self.tab_to("New password").await;
        browser.type_text(PASSWORD).await;
        self.tab_to("New password, once more").await;
        browser.type_text(PASSWORD).await;
        self.enter().await;
        self.arrive_refused("This link has already been used", "reset-used")
            .await;
    }
}

/// Alice is registered, and does with the pages all there is to do.
async fn walk(scripts: Scripts, look: Look) {
    let embedded = Embedded::start(&[("AUTH_ENDPOINTS", "account")]);
    let token = embedded.superuser_token().await;
    let registered = embedded.server.register(&token, "alice").await;
    assert_eq!(registered.status.as_u16(), 201);
    let reader = Reader {
        browser: Browser::start(scripts, look).await,
        server: embedded.server,
        look: look.name,
    };
    reader
        .browser
        .open("data:text/html,<title>off</title><script>document.title='on'</script>")
        .await;
    let runs = reader.browser.client.title().await.unwrap() == "on";
    assert_eq!(runs, scripts == Scripts::Allowed);
    reader.verify_address().await;
    reader.change_address_and_undo().await;
    reader.choose_password().await;
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
