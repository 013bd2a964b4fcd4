//! Connections of the test's own to the database, past the server.

use std::time::{Duration, Instant};

use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{Connection as _, Executor as _, PgConnection, SqliteConnection};
use uuid::Uuid;

use super::ledger::{Act, Position};
use super::poll;

/// A connection.
pub enum Database {
    Postgres(PgConnection),
    Sqlite(SqliteConnection),
}

/// Runs a query that gives one value, or none, on either database.
macro_rules! value {
    ($database:expr, $query:literal $(, $argument:expr)*) => {
        match $database {
            Database::Postgres(connection) => {
                sqlx::query_scalar($query)$(.bind($argument))*.fetch_optional(connection).await
            }
            Database::Sqlite(connection) => {
                sqlx::query_scalar($query)$(.bind($argument))*.fetch_optional(connection).await
            }
        }
        .unwrap()
    };
}

/// Runs a statement on either database.
macro_rules! execute {
    ($database:expr, $query:literal $(, $argument:expr)*) => {
        match $database {
            Database::Postgres(connection) => {
                sqlx::query($query)$(.bind($argument))*.execute(connection).await.map(drop)
            }
            Database::Sqlite(connection) => {
                sqlx::query($query)$(.bind($argument))*.execute(connection).await.map(drop)
            }
        }
        .unwrap()
    };
}

/// A user with a session, for one act.
#[derive(Clone, Debug)]
pub struct Subject {
    pub user: Uuid,
    pub name: String,
    pub session: Uuid,
}

impl Subject {
    pub fn email(&self) -> String {
        format!("{}@example.org", self.name)
    }
}

impl Database {
    /// Opens a connection.
    pub async fn connect(url: &str) -> Self {
        if url.starts_with("sqlite") {
            let options: SqliteConnectOptions = url.parse().unwrap();
            let options = options.busy_timeout(Duration::from_secs(20));
            Self::Sqlite(SqliteConnection::connect_with(&options).await.unwrap())
        } else {
            Self::Postgres(PgConnection::connect(url).await.unwrap())
        }
    }

    /// Whether an act is there.
    pub async fn has(&mut self, act: &Act) -> bool {
        let found: Option<bool> = match act {
            Act::Logout { session, .. } => value!(
                self,
                "SELECT revoked_at IS NOT NULL FROM auth_sessions WHERE id = $1",
                session
            ),
            Act::Registration { username } => value!(
                self,
                "SELECT TRUE FROM auth_users WHERE username = $1",
                username
            ),
            // All users were given the superuser's password.
            Act::PasswordReset { user } | Act::PasswordChange { user } => value!(
                self,
                "SELECT password_hash <> (SELECT password_hash FROM auth_users WHERE username = 'op')
                 FROM auth_users WHERE id = $1",
                user
            ),
            Act::RoleChange { user, role } => value!(
                self,
                "SELECT roles = $2 FROM auth_users WHERE id = $1",
                user,
                role
            ),
            Act::RevocationOfAll { user } => value!(
                self,
                "SELECT NOT EXISTS (
                     SELECT 1 FROM auth_sessions WHERE user_id = $1 AND revoked_at IS NULL
                 )",
                user
            ),
            Act::Rotation {
                session,
                generation,
                ..
            } => value!(
                self,
                "SELECT generation >= $2 FROM auth_sessions WHERE id = $1",
                session,
                generation
            ),
        };
        found == Some(true)
    }

    /// The superuser.
    pub async fn operator(&mut self) -> Uuid {
        let id: Option<Uuid> = value!(self, "SELECT id FROM auth_users WHERE username = 'op'");
        id.unwrap()
    }

    /// Adds users with the superuser's password, and a session of each.
    pub async fn add_subjects(&mut self, series: &str, count: usize) -> Vec<Subject> {
        let mut subjects = Vec::with_capacity(count);
        self.run("BEGIN").await;
        for number in 0..count {
            let subject = Subject {
                user: Uuid::now_v7(),
                name: format!("{series}-{number}"),
                session: Uuid::new_v4(),
            };
            execute!(
                &mut *self,
                "INSERT INTO auth_users
                     (id, username, username_canonical, email, email_key, password_hash,
                      email_verified_at, is_active, is_superuser, created_at)
                 SELECT $1, $2, $2, $3, $3, password_hash, created_at, is_active, FALSE, created_at
                 FROM auth_users WHERE username = 'op'",
                subject.user,
                &subject.name,
                subject.email()
            );
            self.add_session(subject.session, subject.user).await;
            subjects.push(subject);
        }
        self.run("COMMIT").await;
        subjects
    }

    /// Adds a session, as long as that of the superuser, who has logged in.
    pub async fn add_session(&mut self, session: Uuid, user: Uuid) {
        execute!(
            self,
            "INSERT INTO auth_sessions (id, user_id, created_at, expires_at)
             SELECT $1, $2, auth_sessions.created_at, auth_sessions.expires_at
             FROM auth_sessions JOIN auth_users ON auth_users.id = auth_sessions.user_id
             WHERE auth_users.username = 'op' LIMIT 1",
            session,
            user
        );
    }

    pub async fn run(&mut self, statement: &'static str) {
        match self {
            Self::Postgres(connection) => connection.execute(statement).await.map(drop),
            Self::Sqlite(connection) => connection.execute(statement).await.map(drop),
        }
        .unwrap();
    }

    /// Where PostgreSQL's log stands; `None` if the server is away.
    pub async fn position(&mut self) -> Option<Position> {
        let Self::Postgres(connection) = self else {
            return None;
        };
        let text: String = sqlx::query_scalar("SELECT pg_current_wal_insert_lsn()::text")
            .fetch_one(connection)
            .await
            .ok()?;
        Position::parse(&text)
    }

    /// How many transactions of others stay open although nobody works on them, when they were
    /// given some time to end: on SQLite whether a transaction keeps others from writing.
    pub async fn open_transactions(&mut self, patience: Duration) -> i64 {
        let deadline = Instant::now() + patience;
        loop {
            let open = match self {
                Self::Postgres(connection) => sqlx::query_scalar(
                    "SELECT count(*) FROM pg_stat_activity
                     WHERE datname = current_database() AND pid <> pg_backend_pid()
                         AND state LIKE 'idle in transaction%'",
                )
                .fetch_one(connection)
                .await
                .unwrap(),
                Self::Sqlite(connection) => {
                    let begun = connection.execute("BEGIN IMMEDIATE; ROLLBACK").await;
                    i64::from(begun.is_err())
                }
            };
            if open == 0 || Instant::now() > deadline {
                return open;
            }
            poll::pause().await;
        }
    }
}
