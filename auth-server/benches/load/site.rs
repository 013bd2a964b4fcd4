//! Our server on a database of its own on PostgreSQL, with users and sessions.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use auth_core::testing::TokenMint;
use auth_core::testing::postgres::TemporaryServer;
use auth_core::{
    Clock as _, Generation, JwtKeys, Principal, SecretKey, SecretKeys, SessionId, SystemClock,
    UserId,
};
use sqlx::migrate::MigrateDatabase as _;
use sqlx::{Connection as _, PgConnection, Postgres};
use tokio::runtime::Runtime;
use uuid::Uuid;

use crate::Outcome;
use crate::processes::Processes;
use crate::support::{PASSWORD, SECRETS, Server, run};

/// The issuer of the tokens, wherever the nodes listen.
pub(crate) const ISSUER: &str = "http://127.0.0.1:8000";

/// What every node is told, whatever its database.
pub(crate) fn variables(database_url: &str) -> Vec<(&'static str, String)> {
    let mut variables: Vec<(&str, String)> = SECRETS
        .iter()
        .map(|&(name, value)| (name, value.to_owned()))
        .collect();
    variables.extend([
        ("DATABASE_URL", database_url.to_owned()),
        ("AUTH_PUBLIC_URL", ISSUER.to_owned()),
        ("AUTH_MAIL", "folder:outbox".to_owned()),
        ("AUTH_ENDPOINTS", "account".to_owned()),
        // The peers write no line for each request either.
        ("AUTH_LOG", "warn".to_owned()),
    ]);
    variables
}

/// Makes the tables and the superuser `operator`.
pub(crate) fn prepare(variables: &[(&str, String)]) -> Outcome<()> {
    let folder = tempfile::tempdir()?;
    let mut variables = borrow(variables);
    variables.push(("AUTH_SUPERUSER_PASSWORD", PASSWORD));
    let create = [
        "createsuperuser",
        "--username",
        "operator",
        "--email",
        "operator@example.org",
        "--noinput",
    ];
    for arguments in [&["migrate"][..], &create] {
        let done = run(folder.path(), arguments, &variables);
        if !done.status.success() {
            return Err(String::from_utf8_lossy(&done.stderr).into());
        }
    }
    Ok(())
}

pub(crate) fn borrow<'a>(variables: &'a [(&'a str, String)]) -> Vec<(&'a str, &'a str)> {
    let pairs = variables.iter();
    pairs.map(|(name, value)| (*name, value.as_str())).collect()
}

/// Makes tokens as the nodes do.
pub(crate) fn mint() -> Outcome<TokenMint> {
    let [(_, secret), _] = SECRETS;
    let secret_keys = SecretKeys::new(SecretKey::parse(secret)?);
    Ok(TokenMint::new(&secret_keys, &jwt_keys()?, ISSUER))
}

/// The keys of the nodes' access tokens.
pub(crate) fn jwt_keys() -> Outcome<JwtKeys> {
    let [_, (_, jwt_secret)] = SECRETS;
    Ok(JwtKeys::hs256(SecretKey::parse(jwt_secret)?))
}

/// A running `auth-server`.
pub(crate) struct Node(Server);

impl Node {
    pub(crate) fn start(variables: &[(&str, String)], more: &[(&str, &str)]) -> Self {
        let mut all = borrow(variables);
        all.extend(more);
        Self(Server::start(&all))
    }

    pub(crate) fn address(&self) -> Outcome<SocketAddr> {
        Ok(self.0.socket_address().parse()?)
    }

    pub(crate) fn processes(&self) -> Processes {
        Processes::one(self.0.process_id())
    }

    pub(crate) const fn server(&self) -> &Server {
        &self.0
    }

    /// Stops the server, and gives what it has logged.
    pub(crate) fn stop(self) -> Outcome<String> {
        match self.0.stop() {
            (status, _, log) if status.success() => Ok(log),
            (status, _, log) => Err(format!("the server ended with {status}: {log}").into()),
        }
    }
}

/// A migrated database with users, and what is needed to run nodes on it.
pub(crate) struct Site {
    pub(crate) variables: Vec<(&'static str, String)>,
    pub(crate) mint: TokenMint,
    pub(crate) database: Database,
    users: i64,
}

/// A connection for what the benchmark itself does in the database.
pub(crate) struct Database {
    runtime: Runtime,
    connection: PgConnection,
}

impl Site {
    /// Makes the database and its users, `user-0` and so on, who all have one password.
    pub(crate) fn create(server: &TemporaryServer, name: &str, users: i64) -> Outcome<Self> {
        let url = server.url(name);
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        runtime.block_on(Postgres::create_database(&url))?;
        let variables = variables(&url);
        prepare(&variables)?;
        let connection = runtime.block_on(PgConnection::connect(&url))?;
        let mut database = Database {
            runtime,
            connection,
        };
        database.add_users(users)?;
        Ok(Self {
            variables,
            mint: mint()?,
            database,
            users,
        })
    }

    pub(crate) fn start_node(&self, more: &[(&str, &str)]) -> Node {
        Node::start(&self.variables, more)
    }

    pub(crate) fn usernames(&self) -> Arc<[String]> {
        // More would not fit into a small machine's memory, and are not needed.
        (0..self.users.min(100_000))
            .map(|n| format!("user-{n}"))
            .collect()
    }

    /// Adds sessions, and gives their first refresh tokens. A series is added once.
    pub(crate) fn add_sessions(&mut self, series: &str, count: i64) -> Outcome<Vec<String>> {
        self.database.add_sessions(series, count, self.users)?;
        let ids = self.database.session_ids(series, count)?;
        Ok(self.refresh_tokens(&ids))
    }

    pub(crate) fn refresh_tokens(&self, sessions: &[SessionId]) -> Vec<String> {
        let token = |id: &SessionId| self.mint.refresh_token(*id, Generation::FIRST);
        sessions
            .iter()
            .map(|id| token(id).expose().to_owned())
            .collect()
    }

    /// An `Authorization` header's value of a user in a session that lives, for five minutes.
    pub(crate) fn bearer(&mut self, username: &str) -> Outcome<String> {
        let (user, session) = self.database.begin_session(username)?;
        let now = SystemClock.now();
        let caller = Principal::new(user, session, now, now + Duration::from_secs(5 * 60));
        let token = self.mint.access_token(&caller)?;
        Ok(format!("Bearer {}", token.expose()))
    }
}

impl Database {
    fn add_users(&mut self, count: i64) -> Outcome<()> {
        let insert = sqlx::query(
            "INSERT INTO auth_users
                 (id, username, username_canonical, email, email_key, password_hash,
                  email_verified_at, is_active, is_superuser, created_at)
             SELECT md5('user' || n)::uuid, 'user-' || n, 'user-' || n,
                    'user-' || n || '@example.org', 'user-' || n || '@example.org',
                    password_hash, now(), TRUE, FALSE, now()
             FROM auth_users, generate_series(0, $1 - 1) AS n
             WHERE username = 'operator'",
        )
        .bind(count);
        self.runtime
            .block_on(insert.execute(&mut self.connection))?;
        self.vacuum()
    }

    /// Adds sessions of as many users as there are, numbered from 0; their ids are spread like
    /// random ones.
    pub(crate) fn add_sessions(&mut self, series: &str, count: i64, users: i64) -> Outcome<()> {
        let insert = sqlx::query(
            "INSERT INTO auth_sessions (id, user_id, created_at, expires_at)
             SELECT md5($1 || n)::uuid, md5('user' || n % $3)::uuid, now(),
                    now() + INTERVAL '14 days'
             FROM generate_series(0, $2 - 1) AS n",
        )
        .bind(series)
        .bind(count)
        .bind(users);
        let connection = &mut self.connection;
        self.runtime.block_on(async {
            // The users are there: looking each of them up would take most of the time.
            sqlx::query("SET session_replication_role = replica")
                .execute(&mut *connection)
                .await?;
            insert.execute(&mut *connection).await?;
            sqlx::query("RESET session_replication_role")
                .execute(connection)
                .await
        })?;
        self.vacuum()
    }

    /// Adds sessions to an empty table: its indexes are made afterwards, as they stand in the
    /// schema, which takes minutes less where there are millions.
    pub(crate) fn add_many_sessions(
        &mut self,
        series: &str,
        count: i64,
        users: i64,
    ) -> Outcome<()> {
        self.run("SET maintenance_work_mem = '512MB'")?;
        self.run(
            "CREATE TEMPORARY TABLE dropped AS
             SELECT indexdef FROM pg_indexes
             WHERE tablename = 'auth_sessions' AND indexname <> 'auth_sessions_pkey'",
        )?;
        self.run(
            "DO $$
             DECLARE name text;
             BEGIN
                 FOR name IN
                     SELECT indexname FROM pg_indexes
                     WHERE tablename = 'auth_sessions' AND indexname <> 'auth_sessions_pkey'
                 LOOP
                     EXECUTE format('DROP INDEX %I', name);
                 END LOOP;
                 ALTER TABLE auth_sessions DROP CONSTRAINT auth_sessions_pkey;
             END $$",
        )?;
        self.add_sessions(series, count, users)?;
        self.run(
            "DO $$
             DECLARE definition text;
             BEGIN
                 ALTER TABLE auth_sessions ADD CONSTRAINT auth_sessions_pkey PRIMARY KEY (id);
                 FOR definition IN SELECT indexdef FROM dropped LOOP
                     EXECUTE definition;
                 END LOOP;
             END $$",
        )?;
        self.vacuum()?;
        // Else it would be written to the disk while something is measured.
        self.run("CHECKPOINT")
    }

    /// Waits until the connections of a node that is gone have told what they did.
    pub(crate) fn settle_statistics(&mut self) -> Outcome<()> {
        loop {
            let others = self.number(
                "SELECT count(*) FROM pg_stat_activity
                 WHERE datname = current_database() AND pid <> pg_backend_pid()
                     AND backend_type = 'client backend'",
            )?;
            if others == 0 {
                return Ok(());
            }
            std::thread::sleep(std::time::Duration::from_millis(10));
        }
    }

    pub(crate) fn remove_sessions(&mut self, series: &str, count: i64) -> Outcome<()> {
        let delete = sqlx::query(
            "DELETE FROM auth_sessions
             WHERE id IN (SELECT md5($1 || n)::uuid FROM generate_series(0, $2 - 1) AS n)",
        )
        .bind(series)
        .bind(count);
        self.runtime
            .block_on(delete.execute(&mut self.connection))?;
        Ok(())
    }

    /// As autovacuum would, but not while something is measured.
    pub(crate) fn vacuum(&mut self) -> Outcome<()> {
        self.run("VACUUM (ANALYZE) auth_users, auth_sessions")
    }

    pub(crate) fn session_ids(&mut self, series: &str, count: i64) -> Outcome<Vec<SessionId>> {
        self.session_ids_by(series, count, 1)
    }

    /// The id of every so many-th session of a series.
    pub(crate) fn session_ids_by(
        &mut self,
        series: &str,
        count: i64,
        stride: i64,
    ) -> Outcome<Vec<SessionId>> {
        let select = "SELECT md5($1 || n * $3)::uuid FROM generate_series(0, $2 - 1) AS n";
        let ids = sqlx::query_scalar(select)
            .bind(series)
            .bind(count)
            .bind(stride)
            .fetch_all(&mut self.connection);
        let ids: Vec<Uuid> = self.runtime.block_on(ids)?;
        Ok(ids.into_iter().map(SessionId::from_uuid).collect())
    }

    fn begin_session(&mut self, username: &str) -> Outcome<(UserId, SessionId)> {
        let insert = sqlx::query_as(
            "INSERT INTO auth_sessions (id, user_id, created_at, expires_at)
             SELECT gen_random_uuid(), id, now(), now() + INTERVAL '14 days'
             FROM auth_users
             WHERE username = $1
             RETURNING user_id, id",
        )
        .bind(username)
        .fetch_one(&mut self.connection);
        let (user, session) = self.runtime.block_on(insert)?;
        Ok((UserId::from_uuid(user), SessionId::from_uuid(session)))
    }

    pub(crate) fn run(&mut self, statement: &'static str) -> Outcome<()> {
        let statement = sqlx::query(statement).execute(&mut self.connection);
        self.runtime.block_on(statement)?;
        Ok(())
    }

    /// The one number that a statement gives.
    pub(crate) fn number(&mut self, statement: &'static str) -> Outcome<i64> {
        let number = sqlx::query_scalar(statement).fetch_one(&mut self.connection);
        Ok(self.runtime.block_on(number)?)
    }

    /// Runs something else on the connection.
    pub(crate) fn with<T, E: Into<Box<dyn std::error::Error + Send + Sync>>>(
        &mut self,
        act: impl AsyncFnOnce(&mut PgConnection) -> Result<T, E>,
    ) -> Outcome<T> {
        self.runtime
            .block_on(act(&mut self.connection))
            .map_err(Into::into)
    }
}
