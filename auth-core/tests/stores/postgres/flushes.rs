//! Which commits wait for the disk, and for a standby.

use std::time::Duration;

use auth_core::RevocationReason;
use auth_core::store::{
    Ending, NewSession, NewUser, PostgresStore, SessionRotation, SessionStore, Store, UserStore,
};
use auth_core::testing::postgres::{TemporaryDatabase, TemporaryServer};
use auth_core::{Generation, PasswordHash, SessionId, User, UserId};
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use sqlx::{ConnectOptions as _, PgConnection};

use super::{NOW, begin_session, create_alice, event};

const PATIENCE: Duration = Duration::from_secs(60);

/// Notes the setting with which each transaction commits that changes a session or the audit trail:
/// deferred triggers are the last thing that a transaction does.
const NOTE: &str = "
    CREATE TABLE noted (number serial, what text, setting text);
    CREATE FUNCTION note() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
        INSERT INTO noted (what, setting)
        VALUES (TG_OP || ' ' || TG_TABLE_NAME, current_setting('synchronous_commit'));
        RETURN NULL;
    END $$;
    CREATE CONSTRAINT TRIGGER note AFTER INSERT OR UPDATE ON auth_sessions
        DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION note();
    CREATE CONSTRAINT TRIGGER note AFTER INSERT ON auth_events
        DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION note()";

/// Begins a session, rotates it twice, lets it follow a token, and ends it.
async fn lead_a_session(store: &PostgresStore, alice: &NewUser) {
    let session = begin_session(store, alice).await;
    for generation in [0, 1] {
        assert!(rotate(store, session.id, generation).await);
    }
    assert!(!rotate(store, session.id, 7).await, "it is ahead");
    let from = SessionRotation::new(session.id, Generation::new(2), NOW);
    let to = Generation::new(8);
    let followed = store.follow_session(&from, to, &event()).await;
    assert_eq!(followed.unwrap().unwrap().generation, to);
    assert!(rotate(store, session.id, 8).await);
    let ending = Ending::new(RevocationReason::Logout, NOW, NOW);
    let ended = store.revoke_session(session.id, &ending, &event()).await;
    assert_eq!(ended.unwrap(), Some(alice.user.id));
    assert!(!rotate(store, session.id, 9).await, "it has ended");
}

async fn rotate(store: &PostgresStore, session: SessionId, from: u32) -> bool {
    let rotation = SessionRotation::new(session, Generation::new(from), NOW);
    store.rotate_session(&rotation).await.unwrap().is_some()
}

/// A rotation leaves the setting of its session as it is: to the next statement, and to the host.
async fn s7_6_only_rotations_are_not_flushed(store: PostgresStore, setting: &str) {
    store.migrate().await.unwrap();
    let alice = create_alice(&store).await;
    sqlx::raw_sql(NOTE).execute(store.pool()).await.unwrap();
    lead_a_session(&store, &alice).await;
    let noted: Vec<(String, String)> =
        sqlx::query_as("SELECT what, setting FROM noted ORDER BY number")
            .fetch_all(store.pool())
            .await
            .unwrap();
    let noted: Vec<_> = noted
        .iter()
        .map(|(what, setting)| (what.as_str(), setting.as_str()))
        .collect();
    let [begun, moved, recorded] = [
        "INSERT auth_sessions",
        "UPDATE auth_sessions",
        "INSERT auth_events",
    ];
    let expected = [
        (begun, "on"),
        (recorded, "on"),
        (moved, "off"),
        (moved, "off"),
        (moved, "on"),
        (recorded, "on"),
        (moved, "off"),
        (moved, "on"),
        (recorded, "on"),
    ];
    assert_eq!(noted, expected);
    let left: String = sqlx::query_scalar("SELECT current_setting('synchronous_commit')")
        .fetch_one(store.pool())
        .await
        .unwrap();
    assert_eq!(left, setting);
}

fn one_connection() -> PgPoolOptions {
    PgPoolOptions::new().max_connections(1)
}

#[tokio::test]
async fn s7_6_only_rotations_are_not_flushed_on_the_stores_own_pool() {
    let database = TemporaryDatabase::create().await;
    let options = database.url().parse().unwrap();
    let store = PostgresStore::connect_with(options, one_connection());
    s7_6_only_rotations_are_not_flushed(store, "on").await;
}

#[tokio::test]
async fn s7_6_only_rotations_are_not_flushed_on_a_pool_of_the_host() {
    let database = TemporaryDatabase::create().await;
    let pool = PostgresStore::recommended(one_connection());
    let store = PostgresStore::from_pool(pool.connect_lazy(database.url()).unwrap());
    s7_6_only_rotations_are_not_flushed(store, "on").await;
    // A session that the host has made weaker is guarded in each transaction.
    let database = TemporaryDatabase::create().await;
    let pool = one_connection().after_connect(|connection, _| {
        Box::pin(async move {
            let set = sqlx::raw_sql("SET synchronous_commit = local").execute(connection);
            set.await.map(drop)
        })
    });
    let store = PostgresStore::from_pool(pool.connect_lazy(database.url()).unwrap());
    s7_6_only_rotations_are_not_flushed(store, "local").await;
}

#[tokio::test]
async fn s7_6_only_rotations_are_not_flushed_through_a_pooler() {
    let database = TemporaryDatabase::create().await;
    let options = database.url().parse().unwrap();
    let store = PostgresStore::through_pooler(options, one_connection());
    s7_6_only_rotations_are_not_flushed(store, "on").await;
}

/// A server whose standby is away, so that a commit waits for ever if it waits at all.
struct Widow {
    server: TemporaryServer,
    /// Cancels what waits; a commit that is cancelled then is done all the same.
    observer: PgConnection,
}

impl Widow {
    async fn of(server: TemporaryServer) -> Self {
        let options: PgConnectOptions = server.url("postgres").parse().unwrap();
        let mut observer = options.connect().await.unwrap();
        // The observer's own commits wait for nobody.
        for statement in [
            "SET synchronous_commit = local",
            "ALTER SYSTEM SET synchronous_standby_names = 'nobody'",
            "SELECT pg_reload_conf()",
        ] {
            sqlx::raw_sql(statement)
                .execute(&mut observer)
                .await
                .unwrap();
        }
        let mut widow = Self { server, observer };
        widow.until_it_waits_for_its_standby().await;
        widow
    }

    /// A reload takes a moment to reach everybody.
    async fn until_it_waits_for_its_standby(&mut self) {
        let options: PgConnectOptions = self.server.url("postgres").parse().unwrap();
        let deadline = tokio::time::Instant::now() + PATIENCE;
        loop {
            let mut other = options.connect().await.unwrap();
            let names: String = sqlx::query_scalar("SHOW synchronous_standby_names")
                .fetch_one(&mut other)
                .await
                .unwrap();
            if names == "nobody" {
                break;
            }
            assert!(tokio::time::Instant::now() < deadline);
        }
        // The checkpointer tells the others that there is somebody to wait for.
        loop {
            let mut other = options.connect().await.unwrap();
            let commit = tokio::spawn(async move {
                let commit = sqlx::raw_sql("CREATE TABLE IF NOT EXISTS waited_for ()");
                commit.execute(&mut other).await.map(drop)
            });
            if self.release(|| commit.is_finished()).await {
                commit.await.unwrap().unwrap();
                return;
            }
            commit.await.unwrap().unwrap();
            sqlx::raw_sql("DROP TABLE waited_for")
                .execute(&mut self.observer)
                .await
                .unwrap();
            assert!(tokio::time::Instant::now() < deadline);
        }
    }

    /// Lets go whatever waits for the standby, until that is done; returns whether something waited.
    async fn release(&mut self, is_done: impl Fn() -> bool) -> bool {
        let deadline = tokio::time::Instant::now() + PATIENCE;
        let mut has_waited = false;
        while !is_done() {
            let waiting: i64 = sqlx::query_scalar(
                "SELECT count(pg_cancel_backend(pid))
                 FROM pg_stat_activity WHERE wait_event = 'SyncRep'",
            )
            .fetch_one(&mut self.observer)
            .await
            .unwrap();
            has_waited |= waiting > 0;
            assert!(tokio::time::Instant::now() < deadline, "it does not end");
            tokio::task::yield_now().await;
        }
        has_waited
    }

    /// Whether an act waits for the standby.
    async fn holds_up<T: Send + 'static>(
        &mut self,
        act: impl Future<Output = T> + Send + 'static,
    ) -> (bool, T) {
        let act = tokio::spawn(act);
        let has_waited = self.release(|| act.is_finished()).await;
        (has_waited, act.await.unwrap())
    }
}

/// What waits for the standby waits for the disk, too.
#[tokio::test]
async fn s7_6_while_the_standby_is_away_rotations_go_on_and_nothing_else_does() {
    let server = TemporaryServer::start(&["fsync=off"]).unwrap();
    let store = PostgresStore::connect(&server.url("postgres")).unwrap();
    store.migrate().await.unwrap();
    let alice = create_alice(&store).await;
    let session = begin_session(&store, &alice).await;
    let mut widow = Widow::of(server).await;

    for generation in 0..20 {
        let node = store.clone();
        let rotation = async move { rotate(&node, session.id, generation).await };
        assert_eq!(widow.holds_up(rotation).await, (false, true));
    }
    let node = store.clone();
    let follow = async move {
        let from = SessionRotation::new(session.id, Generation::new(20), NOW);
        let to = Generation::new(30);
        let followed = node.follow_session(&from, to, &event()).await;
        followed.unwrap().is_some()
    };
    assert_eq!(widow.holds_up(follow).await, (true, true), "following");
    let node = store.clone();
    let used = NOW + Duration::from_secs(1);
    let touch = async move { node.touch_session(session.id, used, used).await.is_ok() };
    assert_eq!(widow.holds_up(touch).await, (true, true), "a use");
    let (node, user) = (store.clone(), alice.clone());
    let login = async move {
        let session = NewSession::new(user.user.id, NOW, NOW + Duration::from_secs(60));
        let begun = node
            .create_session(&session, &user.password_hash, &event())
            .await;
        begun.unwrap().is_some()
    };
    assert_eq!(widow.holds_up(login).await, (true, true), "a login");
    let node = store.clone();
    let logout = async move {
        let ending = Ending::new(RevocationReason::Logout, NOW, NOW);
        let ended = node.revoke_session(session.id, &ending, &event()).await;
        ended.unwrap().is_some()
    };
    assert_eq!(widow.holds_up(logout).await, (true, true), "a logout");
    let (node, user) = (store.clone(), alice.user.id);
    let logouts = async move {
        let ending = Ending::new(RevocationReason::Logout, NOW, NOW);
        let ended = node
            .revoke_user_sessions(user, None, &ending, &event())
            .await;
        ended.is_ok()
    };
    assert_eq!(widow.holds_up(logouts).await, (true, true), "logouts");
    let node = store.clone();
    let registration = async move {
        let email = "bob@example.org".parse().unwrap();
        let bob = User::new(UserId::generate(), "bob".parse().unwrap(), email, NOW);
        let bob = NewUser::new(bob, PasswordHash::from_stored("hash"));
        node.create_user(&bob, None, &event()).await.is_ok()
    };
    let registered = widow.holds_up(registration).await;
    assert_eq!(registered, (true, true), "a registration");
    let node = store.clone();
    let check = async move { node.check().await.is_ok() };
    assert_eq!(widow.holds_up(check).await, (true, true), "a check");
}
