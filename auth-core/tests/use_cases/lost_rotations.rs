//! A database that does not flush rotations may lose them, and no client notices (S7.6).

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant};

use auth_core::audit::AuditAct;
use auth_core::store::{EventFilter, PostgresStore, SqliteStore, Store};
use auth_core::testing::postgres::{TemporaryDatabase, TemporaryServer};
use auth_core::{AuthService as _, Generation, RequestContext, SessionId};
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{ConnectOptions as _, Connection as _, PgConnection};

use crate::rotating;
use crate::world::World;

const PATIENCE: Duration = Duration::from_secs(60);

/// Each crash begins right behind the last rotations, but a background process of PostgreSQL may
/// have written them all the same.
const CRASHES: usize = 3;

/// A client with a session of its own.
struct Client {
    session: SessionId,
    /// The newest refresh token, and its generation.
    token: String,
    generation: u32,
}

impl Client {
    async fn log_in(world: &World) -> Self {
        let pair = world.log_in("alice").await.unwrap();
        let verifier = world.engine.access_token_verifier();
        let caller = verifier.verify(pair.access_token.expose()).unwrap();
        Self {
            session: caller.session_id,
            token: pair.refresh_token.expose().to_owned(),
            generation: 0,
        }
    }

    async fn refresh(&mut self, world: &World) {
        self.token = world.refresh(&self.token).await.unwrap().unwrap();
        self.generation += 1;
    }

    async fn log_out(&self, world: &World) {
        let context = RequestContext::default();
        world.engine.log_out(&self.token, &context).await.unwrap();
    }

    /// The generation that the database has.
    async fn stored(&self, world: &World) -> u32 {
        let session = world.store.find_session(self.session).await.unwrap();
        session.unwrap().generation.number()
    }

    /// Refreshes with the newest token, which is good once; returns whether the database had lost it.
    async fn go_on(&mut self, world: &World) -> bool {
        let stored = self.stored(world).await;
        assert!(stored <= self.generation);
        let is_lost = stored < self.generation;
        let newest = self.token.clone();
        self.refresh(world).await;
        let again = world.refresh(&newest).await.unwrap();
        assert_eq!(again.as_ref(), Some(&self.token), "one successor");
        assert_eq!(self.stored(world).await, self.generation);
        is_lost
    }
}

/// How many sessions have followed their tokens.
async fn followed(world: &World) -> usize {
    let mut filter = EventFilter::default();
    filter.kind = Some("session_followed".to_owned());
    world.store.list_events(&filter).await.unwrap().len()
}

/// A server that leaves its log in memory until a commit waits for it.
fn lazy_server() -> TemporaryServer {
    let settings = [
        "wal_writer_delay=10s",
        "bgwriter_lru_maxpages=0",
        "autovacuum=off",
    ];
    TemporaryServer::start(&settings).unwrap()
}

async fn node(server: &TemporaryServer) -> World {
    let store = PostgresStore::connect(&server.url("postgres")).unwrap();
    store.migrate().await.unwrap();
    World::with(Arc::new(store), rotating)
}

/// Kills a backend, at which the server throws its memory away and starts from its log; gives a node
/// that is new, too.
async fn crash(server: &TemporaryServer) -> World {
    let url = server.url("postgres");
    let mut connection = PgConnection::connect(&url).await.unwrap();
    let backend: i32 = sqlx::query_scalar("SELECT pg_backend_pid()")
        .fetch_one(&mut connection)
        .await
        .unwrap();
    let killed = Command::new("kill")
        .args(["-KILL", &backend.to_string()])
        .status();
    assert!(killed.unwrap().success());
    while connection.ping().await.is_ok() {}
    let deadline = Instant::now() + PATIENCE;
    while PgConnection::connect(&url).await.is_err() {
        assert!(Instant::now() < deadline, "PostgreSQL does not come back");
        tokio::task::yield_now().await;
    }
    node(server).await
}

#[tokio::test]
async fn s7_6_a_crash_of_postgres_loses_rotations_and_no_session() {
    let server = lazy_server();
    let mut world = node(&server).await;
    world.register_verified("alice").await;
    let mut clients = Vec::new();
    for _ in 0..5 {
        clients.push(Client::log_in(&world).await);
    }
    let mut lost = 0;
    for _ in 0..CRASHES {
        for client in &mut clients {
            for _ in 0..3 {
                client.refresh(&world).await;
            }
        }
        world = crash(&server).await;
        for client in &mut clients {
            lost += usize::from(client.go_on(&world).await);
        }
    }
    assert!(lost > 0, "each rotation was on the disk");
    assert_eq!(followed(&world).await, lost);
}

#[tokio::test]
async fn s7_6_what_postgres_acknowledges_later_makes_rotations_durable() {
    let server = lazy_server();
    let mut world = node(&server).await;
    world.register_verified("alice").await;
    let mut client = Client::log_in(&world).await;
    for _ in 0..CRASHES {
        let other = Client::log_in(&world).await;
        for _ in 0..3 {
            client.refresh(&world).await;
        }
        other.log_out(&world).await;
        world = crash(&server).await;
        assert_eq!(client.stored(&world).await, client.generation);
        let refused = world.refresh(&other.token).await;
        assert_eq!(refused, Err("token_revoked"));
    }
    assert_eq!(followed(&world).await, 0);
}

/// A failover to a standby that had not received a logout: nodes that know of it undo the loss.
#[tokio::test]
async fn s7_6_a_lost_end_of_a_session_is_made_good_by_a_node_that_knows_it() {
    let database = TemporaryDatabase::create().await;
    let store = PostgresStore::connect(database.url()).unwrap();
    store.migrate().await.unwrap();
    let pool = store.pool().clone();
    let world = World::with(Arc::new(store), rotating);
    world.register_verified("alice").await;
    let client = Client::log_in(&world).await;
    client.log_out(&world).await;
    sqlx::raw_sql("UPDATE auth_sessions SET revoked_at = NULL, revoked_reason = NULL")
        .execute(&pool)
        .await
        .unwrap();
    let newcomer = World::with(Arc::clone(&world.store), rotating);

    assert_eq!(world.refresh(&client.token).await, Err("token_revoked"));
    let session = world.store.find_session(client.session).await.unwrap();
    assert!(session.unwrap().revoked_at.is_some());
    let events = world.store.list_events(&EventFilter::default()).await;
    let ended = |act: &AuditAct| matches!(act, AuditAct::SessionEnded);
    assert!(events.unwrap().iter().any(|event| ended(&event.act)));
    assert_eq!(newcomer.refresh(&client.token).await, Err("token_revoked"));
}

const FILE: &str = "auth.sqlite3";

async fn sqlite_in(folder: &Path) -> World {
    let store = SqliteStore::open(folder.join(FILE)).await.unwrap();
    store.migrate().await.unwrap();
    World::with(Arc::new(store) as Arc<dyn Store>, rotating)
}

/// The files of a database, as they are while it is open.
struct Copy {
    database: Vec<u8>,
    log: Vec<u8>,
}

impl Copy {
    fn of(folder: &Path) -> Self {
        Self {
            database: fs::read(folder.join(FILE)).unwrap(),
            log: fs::read(folder.join(format!("{FILE}-wal"))).unwrap(),
        }
    }

    /// The lengths at which the log may end: whole pages, and in the middle of one.
    fn ends(&self) -> impl Iterator<Item = usize> {
        const HEADER: usize = 32;
        const FRAME: usize = 24 + 4096;
        let last = self.log.len();
        (HEADER..=last).step_by(FRAME / 2)
    }

    /// Opens what is left where the last of the log is missing.
    async fn open(&self, end: usize) -> (World, tempfile::TempDir) {
        let folder = tempfile::tempdir().unwrap();
        let database = folder.path().join(FILE);
        fs::write(&database, &self.database).unwrap();
        // The store opens no file that others can read.
        fs::set_permissions(&database, Permissions::from_mode(0o600)).unwrap();
        let log = folder.path().join(format!("{FILE}-wal"));
        fs::write(log, self.log.get(..end).unwrap()).unwrap();
        (sqlite_in(folder.path()).await, folder)
    }
}

/// A machine that stops loses the end of SQLite's log. What is flushed is its beginning up to the
/// last commit that waited for the disk, such as a logout.
#[tokio::test]
async fn s7_6_wherever_the_log_of_sqlite_ends_no_session_is_lost() {
    let folder = tempfile::tempdir().unwrap();
    let world = sqlite_in(folder.path()).await;
    world.register_verified("alice").await;
    let mut client = Client::log_in(&world).await;
    let other = Client::log_in(&world).await;
    let mut connection = SqliteConnectOptions::new()
        .filename(folder.path().join(FILE))
        .connect()
        .await
        .unwrap();
    sqlx::raw_sql("PRAGMA wal_checkpoint(TRUNCATE)")
        .execute(&mut connection)
        .await
        .unwrap();
    for _ in 0..3 {
        client.refresh(&world).await;
    }
    other.log_out(&world).await;
    let before_the_logout = client.generation;
    for _ in 0..3 {
        client.refresh(&world).await;
    }

    let copy = Copy::of(folder.path());
    let (mut lost, mut kept) = (0, 0);
    for end in copy.ends() {
        let (world, _folder) = copy.open(end).await;
        let mut client = Client {
            token: client.token.clone(),
            ..client
        };
        let is_logged_out = world.refresh(&other.token).await == Err("token_revoked");
        if is_logged_out {
            kept += 1;
            assert!(client.stored(&world).await >= before_the_logout);
        }
        let was_ahead = client.go_on(&world).await;
        lost += usize::from(was_ahead);
        assert_eq!(followed(&world).await, usize::from(was_ahead));
    }
    assert!(lost > 0 && kept > 0, "{lost} lost, {kept} with the logout");
}

/// A backup is of an earlier moment: everything since is lost.
#[tokio::test]
async fn s7_6_a_restored_backup_loses_no_session_that_it_has() {
    let folder = tempfile::tempdir().unwrap();
    let world = sqlite_in(folder.path()).await;
    world.register_verified("alice").await;
    let mut client = Client::log_in(&world).await;
    let ended = Client::log_in(&world).await;
    ended.log_out(&world).await;
    let backup = Copy::of(folder.path());
    let old = client.token.clone();
    for _ in 0..20 {
        client.refresh(&world).await;
    }

    let (restored, _folder) = backup.open(backup.log.len()).await;
    assert!(client.go_on(&restored).await);
    assert_eq!(restored.refresh(&ended.token).await, Err("token_revoked"));
    // The token of the backup was good until its owner came.
    assert_eq!(restored.refresh(&old).await, Err("token_revoked"));
    let session = restored.store.find_session(client.session).await.unwrap();
    assert_eq!(
        session.unwrap().generation,
        Generation::new(client.generation)
    );
}
