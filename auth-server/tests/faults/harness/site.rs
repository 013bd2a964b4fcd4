//! A migrated database with the superuser `op`, and servers on it.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use auth_core::testing::TokenMint;
use auth_core::testing::postgres::TemporaryServer;
use auth_core::{
    Clock as _, Generation, JwtKeys, Principal, SecretKey, SecretKeys, SessionId, SystemClock,
    Timestamp, UserId,
};
use sqlx::{Connection as _, PgConnection};
use tempfile::TempDir;
use uuid::Uuid;

use super::client::Client;
use super::database::{Database, Subject};
use crate::support::{PASSWORD, SECRETS, Server, command, run};

/// The issuer of the tokens, wherever the servers listen.
const ISSUER: &str = "http://127.0.0.1:8000";

/// Whether refresh tokens are replaced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rotation {
    Off,
    On,
}

/// The PostgreSQL of those who do no harm to it, once for each process.
pub fn shared_postgres() -> &'static TemporaryServer {
    static SERVER: OnceLock<TemporaryServer> = OnceLock::new();
    let settings = ["max_connections=300", "fsync=off", "full_page_writes=off"];
    SERVER.get_or_init(|| TemporaryServer::start(&settings).unwrap())
}

/// Creates an empty database on the shared PostgreSQL.
pub async fn create_database() -> String {
    let name = format!("faults_{}", Uuid::new_v4().simple());
    let server = shared_postgres();
    let mut postgres = PgConnection::connect(&server.url("postgres"))
        .await
        .unwrap();
    let create = sqlx::AssertSqlSafe(format!("CREATE DATABASE {name}"));
    sqlx::query(create).execute(&mut postgres).await.unwrap();
    server.url(&name)
}

fn sqlite_in(folder: &Path) -> String {
    format!("sqlite://{}", folder.join("auth.sqlite3").display())
}

/// A database that servers are started on.
pub struct Site {
    /// How the test itself reaches the database, past any proxy.
    pub url: String,
    pub folder: Arc<TempDir>,
    pub operator: Subject,
    mint: TokenMint,
    rotation: Rotation,
}

impl Site {
    pub async fn on_postgres(rotation: Rotation) -> Self {
        Self::on(create_database().await, rotation).await
    }

    pub async fn on_sqlite(rotation: Rotation) -> Self {
        let folder = Arc::new(tempfile::tempdir().unwrap());
        let url = sqlite_in(folder.path());
        Self::prepare(url, folder, rotation).await
    }

    /// Keeps the database, and nothing else, in this folder.
    pub async fn on_sqlite_in(folder: &Path, rotation: Rotation) -> Self {
        Self::on(sqlite_in(folder), rotation).await
    }

    /// Makes the tables and the superuser in an empty database.
    pub async fn on(url: String, rotation: Rotation) -> Self {
        Self::prepare(url, Arc::new(tempfile::tempdir().unwrap()), rotation).await
    }

    async fn prepare(url: String, folder: Arc<TempDir>, rotation: Rotation) -> Self {
        let [(_, secret), (_, jwt_secret)] = SECRETS;
        let secret_keys = SecretKeys::new(SecretKey::parse(secret).unwrap());
        let jwt_keys = JwtKeys::hs256(SecretKey::parse(jwt_secret).unwrap());
        let mut site = Self {
            url,
            folder,
            operator: Subject {
                user: Uuid::nil(),
                name: "op".to_owned(),
                session: Uuid::nil(),
            },
            mint: TokenMint::new(&secret_keys, &jwt_keys, ISSUER),
            rotation,
        };
        let create = "createsuperuser --username op --email op@example.org --noinput";
        for arguments in ["migrate", create] {
            let arguments: Vec<_> = arguments.split(' ').collect();
            let mut variables = site.variables(&site.url);
            variables.push(("AUTH_SUPERUSER_PASSWORD", PASSWORD));
            let done = run(site.folder.path(), &arguments, &variables);
            assert!(done.status.success(), "{done:?}");
        }
        let server = site.start(&[]);
        let login = server.log_in("op", PASSWORD).await;
        let token = login.text("refresh_token");
        let (session, _) = site.mint.open_refresh_token(&token).unwrap();
        site.operator.session = session.as_uuid();
        site.operator.user = site.connect().await.operator().await;
        site
    }

    fn variables<'a>(&self, database_url: &'a str) -> Vec<(&'a str, &'a str)> {
        let rotation = match self.rotation {
            Rotation::Off => "off",
            Rotation::On => "on",
        };
        let mut variables = SECRETS.to_vec();
        variables.extend([
            ("DATABASE_URL", database_url),
            ("AUTH_PUBLIC_URL", ISSUER),
            ("AUTH_MAIL", "folder:outbox"),
            ("AUTH_ENDPOINTS", "account,admin"),
            ("AUTH_REFRESH_ROTATION", rotation),
            // A fault lasts longer than the usual grace, and readers refresh with one token.
            ("AUTH_REFRESH_GRACE", "10m"),
            ("AUTH_LOG", "warn"),
        ]);
        variables
    }

    /// Starts a server on the database itself.
    pub fn start(&self, more: &[(&str, &str)]) -> Server {
        self.start_over(&self.url, more)
    }

    /// Starts a server that reaches the database by another URL.
    pub fn start_over(&self, database_url: &str, more: &[(&str, &str)]) -> Server {
        let variables = self.variables_with(database_url, more);
        Server::start_in(Arc::clone(&self.folder), &variables)
    }

    /// A command of the server on the database itself; without arguments, it serves.
    pub fn command(&self, arguments: &[&str], more: &[(&str, &str)]) -> Command {
        let mut variables = self.variables_with(&self.url, more);
        variables.extend([("AUTH_BIND", "127.0.0.1:0"), ("AUTH_THROTTLE", "off")]);
        command(self.folder.path(), arguments, &variables)
    }

    fn variables_with<'a>(
        &self,
        database_url: &'a str,
        more: &[(&'a str, &'a str)],
    ) -> Vec<(&'a str, &'a str)> {
        let mut variables = self.variables(database_url);
        // It takes one way to the database, not both.
        let is_replaced = |name: &str| {
            let mut more = more.iter();
            more.any(|(other, _)| other.trim_end_matches("_FILE") == name)
        };
        variables.retain(|(name, _)| !is_replaced(name));
        variables.extend(more);
        variables
    }

    pub fn client(&self, server: &Server) -> Client {
        Client::of(server.url(""))
    }

    /// Opens a connection past the servers.
    pub async fn connect(&self) -> Database {
        Database::connect(&self.url).await
    }

    pub fn rotation(&self) -> Rotation {
        self.rotation
    }

    pub fn outbox(&self) -> PathBuf {
        self.folder.path().join("outbox")
    }

    /// The first refresh token of a session.
    pub fn refresh_token(&self, session: Uuid) -> String {
        let session = SessionId::from_uuid(session);
        let token = self.mint.refresh_token(session, Generation::FIRST);
        token.expose().to_owned()
    }

    /// An access token for five minutes.
    pub fn access_token(&self, subject: &Subject) -> String {
        self.access_token_of(subject, SystemClock.now())
    }

    /// An access token that was issued a minute ago: whatever is changed now, is changed later.
    pub fn old_access_token(&self, subject: &Subject) -> String {
        self.access_token_of(subject, SystemClock.now() - Duration::from_secs(60))
    }

    fn access_token_of(&self, subject: &Subject, now: Timestamp) -> String {
        let (user, session) = (
            UserId::from_uuid(subject.user),
            SessionId::from_uuid(subject.session),
        );
        let caller = Principal::new(user, session, now, now + Duration::from_secs(5 * 60));
        let token = self.mint.access_token(&caller).unwrap();
        token.expose().to_owned()
    }

    pub fn operator_token(&self) -> String {
        self.access_token(&self.operator)
    }
}
