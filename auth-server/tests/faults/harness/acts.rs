//! The acts whose acknowledgements are noted.

use std::collections::{HashMap, HashSet};
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::time::Duration;

use auth_core::testing::MailedLink;
use mail_parser::MessageParser;
use reqwest::Method;
use serde_json::json;

use super::client::{Client, Told};
use super::database::{Database, Subject};
use super::ledger::{Act, Kind, Ledger};
use super::poll;
use super::site::Site;
use crate::support::PASSWORD;

/// The password after a change.
pub const OTHER_PASSWORD: &str = "battery horse correct";

/// How long a mail may be on its way.
const MAIL_PATIENCE: Duration = Duration::from_secs(20);

/// Clients who note what they were promised.
pub struct Clients<'a> {
    site: &'a Site,
    ledger: &'a Ledger,
    mails: Mailbag,
    /// Where the write-ahead log is read, if acknowledgements are to be held against it.
    log: Option<tokio::sync::Mutex<Database>>,
}

impl<'a> Clients<'a> {
    pub fn new(site: &'a Site, ledger: &'a Ledger) -> Self {
        Self {
            site,
            ledger,
            mails: Mailbag::new(site.outbox()),
            log: None,
        }
    }

    /// Notes with each acknowledgement where the log of this database stands.
    pub fn with_log(mut self, log: Database) -> Self {
        self.log = Some(tokio::sync::Mutex::new(log));
        self
    }

    /// Does one act to a subject that nothing else is done to, and notes the answer.
    pub async fn perform(&self, client: &Client, kind: Kind, subject: &Subject) -> Told {
        let told = match kind {
            Kind::Logout => self.log_out(client, subject).await,
            Kind::Registration => self.register(client, subject).await,
            Kind::PasswordReset => self.reset_password(client, subject).await,
            Kind::PasswordChange => self.change_password(client, subject).await,
            Kind::RoleChange => self.change_role(client, subject).await,
            Kind::RevocationOfAll => self.revoke_all(client, subject).await,
            Kind::Rotation => self.rotate(client, subject).await,
        };
        if !told.is_success() {
            self.ledger.refuse(kind, told.status);
        }
        told
    }

    async fn note(&self, told: &Told, act: Act) {
        if told.is_success() {
            let position = match &self.log {
                Some(log) => log.lock().await.position().await,
                None => None,
            };
            self.ledger.acknowledge(act, position);
        }
    }

    async fn log_out(&self, client: &Client, subject: &Subject) -> Told {
        let session = subject.session;
        let token = self.site.refresh_token(session);
        let body = json!({"refresh_token": token});
        let told = client.post("/api/auth/logout/", &body).await;
        self.note(&told, Act::Logout { session, token }).await;
        told
    }

    async fn register(&self, client: &Client, subject: &Subject) -> Told {
        let username = format!("new-{}", subject.name);
        let email = format!("{username}@example.org");
        let body = json!({"username": username, "password": PASSWORD, "email": email});
        let bearer = self.site.operator_token();
        let told = client
            .ask(Method::POST, "/api/register/", Some(&bearer), Some(&body))
            .await;
        self.note(&told, Act::Registration { username }).await;
        told
    }

    async fn reset_password(&self, client: &Client, subject: &Subject) -> Told {
        let body = json!({"email": subject.email()});
        let asked = client.post("/api/auth/password/reset/", &body).await;
        if !asked.is_success() {
            return asked;
        }
        let Some(token) = self.mails.token_for(&subject.email()).await else {
            let body = "the mail that was promised did not come".to_owned();
            return Told {
                status: 0,
                body,
                took: asked.took,
            };
        };
        let body = json!({"token": token, "password": OTHER_PASSWORD});
        let told = client
            .post("/api/auth/password/reset/confirm/", &body)
            .await;
        let user = subject.user;
        self.note(&told, Act::PasswordReset { user }).await;
        told
    }

    async fn change_password(&self, client: &Client, subject: &Subject) -> Told {
        let bearer = self.site.access_token(subject);
        let body = json!({"current_password": PASSWORD, "new_password": OTHER_PASSWORD});
        let path = "/api/auth/password/change/";
        let told = client
            .ask(Method::POST, path, Some(&bearer), Some(&body))
            .await;
        let user = subject.user;
        self.note(&told, Act::PasswordChange { user }).await;
        told
    }

    async fn change_role(&self, client: &Client, subject: &Subject) -> Told {
        let role = format!("role-{}", subject.name);
        let bearer = self.site.operator_token();
        let path = format!("/api/admin/users/{}/", subject.user);
        let body = json!({"roles": [role]});
        let told = client
            .ask(Method::PATCH, &path, Some(&bearer), Some(&body))
            .await;
        let user = subject.user;
        self.note(&told, Act::RoleChange { user, role }).await;
        told
    }

    async fn revoke_all(&self, client: &Client, subject: &Subject) -> Told {
        let bearer = self.site.access_token(subject);
        let path = "/api/auth/logout/all/";
        let told = client
            .ask(Method::POST, path, Some(&bearer), Some(&json!({})))
            .await;
        let user = subject.user;
        self.note(&told, Act::RevocationOfAll { user }).await;
        told
    }

    /// Refreshes twice, each time with the newest token.
    async fn rotate(&self, client: &Client, subject: &Subject) -> Told {
        let session = subject.session;
        let mut newest = self.site.refresh_token(session);
        let mut generation = 0;
        loop {
            let body = json!({"refresh_token": newest});
            let told = client.post("/api/auth/token/refresh/", &body).await;
            let Some(next) = told.text("refresh_token") else {
                return told;
            };
            newest = next;
            generation += 1;
            let act = Act::Rotation {
                session,
                generation,
                newest: newest.clone(),
            };
            self.note(&told, act).await;
            if generation == 2 {
                return told;
            }
        }
    }
}

/// The folder that mails arrive in.
struct Mailbag {
    folder: PathBuf,
    opened: Mutex<Opened>,
}

#[derive(Default)]
struct Opened {
    files: HashSet<PathBuf>,
    /// The token of the link in the newest mail to an address.
    tokens: HashMap<String, String>,
}

impl Mailbag {
    fn new(folder: PathBuf) -> Self {
        Self {
            folder,
            opened: Mutex::default(),
        }
    }

    /// Waits for a mail with a link to an address.
    async fn token_for(&self, address: &str) -> Option<String> {
        let look = async || {
            let mut opened = self.opened.lock().unwrap();
            opened.read(&self.folder);
            opened.tokens.get(address).cloned()
        };
        Some(poll::until(MAIL_PATIENCE, look).await?.0)
    }
}

impl Opened {
    fn read(&mut self, folder: &Path) {
        for entry in std::fs::read_dir(folder).into_iter().flatten() {
            let path = entry.unwrap().path();
            let is_mail = path.extension().is_some_and(|extension| extension == "eml");
            if !is_mail || !self.files.insert(path.clone()) {
                continue;
            }
            let message = std::fs::read(&path).unwrap();
            let message = MessageParser::default().parse(&message).unwrap();
            let to = message.to().and_then(|to| to.first()?.address());
            let link = message
                .body_text(0)
                .and_then(|text| MailedLink::find(&text));
            if let (Some(to), Some(link)) = (to, link) {
                self.tokens.insert(to.to_owned(), link.token);
            }
        }
    }
}
