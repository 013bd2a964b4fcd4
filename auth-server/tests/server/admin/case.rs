//! What the tests take place in.

use std::sync::Arc;

use auth_core::audit::{Actor, AuditAct, AuditEvent};
use auth_core::store::{NewUser, PostgresStore, SqliteStore, Store};
use auth_core::testing::postgres::TemporaryDatabase;
use auth_core::{PasswordHash, RequestContext, Timestamp, User, UserId};
use reqwest::Method;
use serde_json::{Value, json};

use super::PATIENCE;
use crate::support::{Answer, Embedded, PASSWORD, Production, Server, run};

pub(crate) const USERS: &str = "/api/admin/users/";

const OPEN: [(&str, &str); 2] = [
    ("AUTH_ENDPOINTS", "admin"),
    ("AUTH_REQUIRE_VERIFIED_EMAIL", "no"),
];

/// A running server with the group on, its superuser, and a way past it to the same database.
pub(crate) struct Case {
    pub(crate) server: Server,
    pub(crate) store: Arc<dyn Store>,
    variables: Vec<(String, String)>,
    pub(crate) superuser: (&'static str, String),
    _database: Option<TemporaryDatabase>,
}

impl Case {
    pub(crate) async fn sqlite() -> Self {
        let Embedded { server, password } = Embedded::start(&OPEN);
        let file = server.path("auth-data").join("auth.sqlite3");
        Self {
            server,
            store: Arc::new(SqliteStore::open(file).await.unwrap()),
            variables: Vec::new(),
            superuser: ("admin", password),
            _database: None,
        }
    }

    pub(crate) async fn postgres() -> Self {
        let Production {
            server,
            database,
            variables,
        } = Production::start(&OPEN).await;
        Self {
            server,
            store: Arc::new(PostgresStore::connect(database.url()).unwrap()),
            variables,
            superuser: ("op", PASSWORD.to_owned()),
            _database: Some(database),
        }
    }

    pub(crate) async fn log_in(&self, name: &str) -> (String, String) {
        let pair = self.server.log_in(name, PASSWORD).await;
        (pair.text("access_token"), pair.text("refresh_token"))
    }

    pub(crate) async fn superuser_token(&self) -> String {
        let (name, password) = &self.superuser;
        let pair = self.server.log_in(name, password).await;
        pair.text("access_token")
    }

    pub(crate) async fn ask(
        &self,
        token: &str,
        method: Method,
        path: &str,
        body: impl Into<Option<Value>>,
    ) -> Answer {
        let request = self.server.request(method, path, Some(token), body.into());
        request.await
    }

    pub(crate) async fn get(&self, token: &str, path: &str) -> Answer {
        self.ask(token, Method::GET, path, None).await
    }

    /// Creates a user with the password of all; gives the id.
    pub(crate) async fn create(&self, token: &str, name: &str) -> String {
        let body = json!({
            "username": name, "password": PASSWORD, "email": format!("{name}@example.org"),
        });
        let created = self.ask(token, Method::POST, USERS, body).await;
        assert_eq!(created.status.as_u16(), 201, "{created:?}");
        created.text("id")
    }

    pub(crate) async fn patch(&self, token: &str, id: &str, changes: Value) -> Answer {
        self.ask(token, Method::PATCH, &path_of(id), changes).await
    }

    /// Logs in for a token with which a superuser may do something: tokens carry whole seconds,
    /// and those of the second in which the rights were lost are refused although they are back.
    pub(crate) async fn token_that_works(&self, name: &str, password: &str) -> String {
        let refresh = self.server.log_in(name, password).await;
        let refresh = refresh.text("refresh_token");
        let works = async {
            loop {
                let token = self.server.refresh(&refresh).await.text("access_token");
                let listed = self.get(&token, "/api/admin/users/?limit=1").await;
                if listed.status.is_success() {
                    return token;
                }
            }
        };
        tokio::time::timeout(PATIENCE, works).await.unwrap()
    }

    /// The users of all pages of this length, in their order; the search goes with each page.
    pub(crate) async fn walk(&self, token: &str, parameters: &str) -> Vec<Value> {
        self.pages(token, USERS, parameters, "users").await
    }

    pub(crate) async fn pages(
        &self,
        token: &str,
        path: &str,
        parameters: &str,
        rows: &str,
    ) -> Vec<Value> {
        let mut seen = Vec::new();
        let mut cursor = String::new();
        loop {
            let path = format!("{path}?{parameters}&cursor={cursor}");
            let page = self.get(token, &path).await;
            assert_eq!(page.status.as_u16(), 200, "{page:?}");
            let page = page.json();
            seen.extend(page[rows].as_array().unwrap().iter().cloned());
            match page["next"].as_str() {
                Some(next) => cursor = next.to_owned(),
                None => return seen,
            }
        }
    }

    /// What `auth-server events --json` prints, the latest first.
    pub(crate) fn printed_events(&self, flags: &str) -> Vec<Value> {
        let arguments = format!("events --json {flags}");
        let arguments: Vec<_> = arguments.split_whitespace().collect();
        let variables = self.variables.iter();
        let variables: Vec<_> = variables
            .map(|(name, value)| (name.as_str(), value.as_str()))
            .collect();
        let output = run(self.server.folder().path(), &arguments, &variables);
        let printed = String::from_utf8(output.stdout).unwrap();
        let events = printed.lines();
        events
            .map(|line| serde_json::from_str(line).unwrap())
            .collect()
    }
}

pub(crate) fn path_of(id: &str) -> String {
    format!("{USERS}{id}/")
}

pub(crate) fn names(users: &[Value]) -> Vec<&str> {
    let names = users.iter().map(|user| user["username"].as_str().unwrap());
    names.collect()
}

/// Writes a user into the database, beside the server.
pub(crate) async fn insert(store: &Arc<dyn Store>, name: &str) -> UserId {
    let at = Timestamp::from_unix_seconds(1_700_000_000);
    let email = format!("{name}@example.org").parse().unwrap();
    let user = User::new(UserId::generate(), name.parse().unwrap(), email, at);
    let id = user.id;
    let context = RequestContext::default();
    let event = AuditEvent::new(at, AuditAct::UserRegistered, Actor::Operator, &context);
    let user = NewUser::new(user, PasswordHash::from_stored("none"));
    store
        .create_user(&user, None, &event.about(id))
        .await
        .unwrap();
    id
}
