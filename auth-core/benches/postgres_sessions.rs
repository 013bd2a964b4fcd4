//! What the PostgreSQL store makes of PostgreSQL's speed (P8, P9, P10), and logins without the hash.
//!
//! Prints calls per second of the store, beside pgbench with the same statement and as many clients,
//! in interleaved rounds. `TEST_DATABASE_URL` names the server to measure, with its own settings:
//! the one that is started without it does not flush to the disk. `pgbench` must be in the path.

#![expect(clippy::unwrap_used, reason = "a benchmark that cannot go on fails")]
#![expect(clippy::print_stdout, reason = "it prints its result")]

use std::num::NonZeroU32;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use auth_core::audit::{Actor, AuditAct, AuditEvent};
use auth_core::store::{
    Admission, Ending, NewSession, NewUser, PostgresStore, SessionRotation, SessionStore,
    ThrottleKey, ThrottleStore, TryBudget, UserStore,
};
use auth_core::testing::postgres::TemporaryDatabase;
use auth_core::{
    Generation, PasswordHash, RequestContext, RevocationReason, SessionId, Timestamp, User, UserId,
};
use uuid::Uuid;

const CLIENTS: u64 = 16;
const ROUNDS: usize = 5;
const ROUND: Duration = Duration::from_secs(2);
const USERS: u64 = 1_000;
/// The first part is read and rotated, the rest ended.
const USED: u64 = 100_000;
const SESSIONS: u64 = 700_000;
const NOW: Timestamp = Timestamp::from_unix_seconds(1_700_000_000);
const LIFETIME: Duration = Duration::from_secs(14 * 24 * 3600);

fn id(kind: u128, number: u64) -> Uuid {
    Uuid::from_u128((kind << 124) | (0x4000_8000 << 48) | u128::from(number))
}

fn session_id(number: u64) -> SessionId {
    SessionId::from_uuid(id(2, number))
}

fn event() -> AuditEvent {
    let act = AuditAct::LoggedIn;
    AuditEvent::new(NOW, act, Actor::System, &RequestContext::default())
}

async fn prepare(store: &PostgresStore) -> Vec<NewUser> {
    store.migrate().await.unwrap();
    let mut users = Vec::new();
    for number in 0..USERS {
        let user = User::new(
            UserId::from_uuid(id(1, number)),
            format!("user{number}").parse().unwrap(),
            format!("user{number}@example.org").parse().unwrap(),
            NOW,
        );
        let user = NewUser::new(user, PasswordHash::from_stored("hash"));
        store.create_user(&user, None, &event()).await.unwrap();
        users.push(user);
    }
    sqlx::query(
        "INSERT INTO auth_sessions (id, user_id, created_at, expires_at)
         SELECT ('20000000-0000-4000-8000-' || lpad(to_hex(n), 12, '0'))::uuid,
                ('10000000-0000-4000-8000-' || lpad(to_hex(n % $2), 12, '0'))::uuid,
                to_timestamp(1700000000), to_timestamp(1700000000 + 1209600)
         FROM generate_series(0, $1 - 1) AS n",
    )
    .bind(SESSIONS.cast_signed())
    .bind(USERS.cast_signed())
    .execute(store.pool())
    .await
    .unwrap();
    sqlx::raw_sql("ANALYZE")
        .execute(store.pool())
        .await
        .unwrap();
    users
}

/// Calls per second of many clients that call one after the other.
async fn calls<F>(call: impl Fn(u64) -> F) -> f64
where
    F: Future<Output = ()> + Send + 'static,
{
    let started = Instant::now();
    let done = Arc::new(AtomicU64::new(0));
    let call = &call;
    let clients = (0..CLIENTS).map(|client| {
        let done = Arc::clone(&done);
        async move {
            while started.elapsed() < ROUND {
                tokio::spawn(call(client)).await.unwrap();
                done.fetch_add(1, Ordering::Relaxed);
            }
        }
    });
    futures_util::future::join_all(clients).await;
    done.load(Ordering::Relaxed) as f64 / started.elapsed().as_secs_f64()
}

/// Transactions per second of pgbench.
fn pgbench(database: &TemporaryDatabase, script: &str) -> f64 {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("script.sql");
    std::fs::write(&file, script).unwrap();
    let output = Command::new("pgbench")
        .args(["--no-vacuum", "--protocol=prepared", "--jobs=2"])
        .arg(format!("--client={CLIENTS}"))
        .arg(format!("--time={}", ROUND.as_secs()))
        .arg(format!("--file={}", file.display()))
        .arg(database.url())
        .output()
        .unwrap();
    let report = String::from_utf8(output.stdout).unwrap();
    let line = report.lines().find_map(|line| line.strip_prefix("tps = "));
    let number = line.and_then(|line| line.split(' ').next());
    number
        .unwrap_or_else(|| panic!("{}", String::from_utf8_lossy(&output.stderr)))
        .parse()
        .unwrap()
}

const READ: &str = "
\\set n random(0, 99999)
SELECT s.id, s.user_id, s.generation, s.created_at, s.expires_at, s.rotated_at,
       s.rotation_key, s.used_at, s.revoked_at, s.client, u.is_active, u.is_superuser,
       u.roles, u.email_verified_at IS NOT NULL AS email_verified
FROM auth_sessions AS s
JOIN auth_users AS u ON u.id = s.user_id
WHERE s.id = ('20000000-0000-4000-8000-' || lpad(to_hex(:n::bigint), 12, '0'))::uuid;
";

const ROTATE: &str = "
\\set n random(0, 99999)
UPDATE auth_sessions AS s
SET generation = s.generation + 1, rotated_at = to_timestamp(1700000000),
    used_at = to_timestamp(1700000000), rotation_key = NULL
FROM auth_users AS u
WHERE s.id = ('20000000-0000-4000-8000-' || lpad(to_hex(:n::bigint), 12, '0'))::uuid
    AND s.revoked_at IS NULL AND s.expires_at > to_timestamp(1700000000)
    AND u.id = s.user_id AND u.is_active
RETURNING s.id, s.user_id, s.generation, s.created_at, s.expires_at, s.rotated_at,
          s.rotation_key, s.used_at, s.revoked_at, s.client, u.is_active, u.is_superuser,
          u.roles, u.email_verified_at IS NOT NULL AS email_verified;
";

/// Sessions at random, so that a few are ended twice.
const REVOKE: &str = "
\\set n random(400000, 699999)
WITH ended AS (
    UPDATE auth_sessions
    SET revoked_at = to_timestamp(1700000000), revoked_reason = 'logout'
    WHERE id = ('20000000-0000-4000-8000-' || lpad(to_hex(:n::bigint), 12, '0'))::uuid
        AND revoked_at IS NULL
    RETURNING id, user_id, expires_at > to_timestamp(1700000000) AS was_live
), recorded AS (
    INSERT INTO auth_events (id, at, kind, user_id, request_id, event)
    SELECT gen_random_uuid(), to_timestamp(1700000000), 'logged_out', user_id, NULL, '{}'
    FROM ended
    WHERE was_live
), revoked AS (
    INSERT INTO auth_revocations (kind, subject, expires_at)
    SELECT 'session', id, to_timestamp(1700000300)
    FROM ended
)
SELECT user_id, was_live, pg_notify('auth_revocations', 'x' || :n)
FROM ended;
";

/// Prints the medians of the store and of pgbench, and that of the rounds' ratios.
fn print(what: &str, rounds: &[(f64, f64)]) {
    let median = |of: fn(&(f64, f64)) -> f64| {
        let mut values: Vec<_> = rounds.iter().map(of).collect();
        values.sort_unstable_by(f64::total_cmp);
        values.get(values.len() / 2).copied().unwrap()
    };
    println!(
        "{what:22} {:8.0} {:8.0} {:6.2}",
        median(|round| round.0),
        median(|round| round.1),
        median(|round| round.0 / round.1),
    );
}

async fn log_in(store: &PostgresStore, user: &NewUser, client: u64) {
    let key = |kind, number: u64| {
        let mut bytes = [kind; 32];
        for (byte, digit) in bytes.iter_mut().zip(number.to_be_bytes()) {
            *byte = digit;
        }
        ThrottleKey::from_bytes(bytes)
    };
    let number = user.user.id.as_uuid().as_u64_pair().1;
    let (account, network) = (key(1, number), key(2, client));
    let budgets = [TryBudget::new(account, 10), TryBudget::new(network, 100)];
    let admission = store.take_tries(&budgets, NOW).await.unwrap();
    assert_eq!(admission, Admission::Admitted);
    let found = store.find_credentials(&user.user.username).await;
    let (_, checked) = found.unwrap().unwrap();
    let mut session = NewSession::new(user.user.id, NOW, NOW + LIFETIME);
    session.at_most = NonZeroU32::new(1000).unwrap();
    session.settlement.forgotten = Some(account);
    session.settlement.given_back = vec![network];
    session.settlement.known = Some((key(3, number), NOW + LIFETIME));
    let begun = store.create_session(&session, &checked, &event()).await;
    assert!(begun.unwrap().is_some());
}

#[tokio::main]
async fn main() {
    let database = TemporaryDatabase::create().await;
    let store = PostgresStore::connect(database.url()).unwrap();
    let users: Arc<[NewUser]> = prepare(&store).await.into();
    let generations: Arc<[AtomicU64]> = (0..USED).map(|_| AtomicU64::new(0)).collect();
    let next = Arc::new(AtomicU64::new(0));
    let ended = Arc::new(AtomicU64::new(USED));
    let (mut logins, mut reads, mut rotations, mut ends) = (vec![], vec![], vec![], vec![]);
    for _ in 0..ROUNDS {
        let own = calls(|client| {
            let (store, users, next) = (store.clone(), Arc::clone(&users), Arc::clone(&next));
            async move {
                let number = next.fetch_add(1, Ordering::Relaxed) % USERS;
                let user = users.get(number as usize).unwrap();
                log_in(&store, user, client).await;
            }
        });
        logins.push(own.await);
        let own = calls(|_| {
            let (store, next) = (store.clone(), Arc::clone(&next));
            async move {
                let number = next.fetch_add(7919, Ordering::Relaxed) % USED;
                let found = store.find_session(session_id(number)).await;
                assert!(found.unwrap().is_some());
            }
        });
        reads.push((own.await, pgbench(&database, READ)));
        let own = calls(|_| {
            let (store, next) = (store.clone(), Arc::clone(&next));
            let generations = Arc::clone(&generations);
            async move {
                let number = next.fetch_add(7919, Ordering::Relaxed) % USED;
                let generation = generations.get(number as usize).unwrap();
                let from = generation.fetch_add(1, Ordering::Relaxed);
                let from = Generation::new(u32::try_from(from).unwrap());
                let rotation = SessionRotation::new(session_id(number), from, NOW);
                store.rotate_session(&rotation).await.unwrap();
            }
        });
        let own = own.await;
        rotations.push((own, pgbench(&database, ROTATE)));
        sqlx::raw_sql("UPDATE auth_sessions SET generation = 0 WHERE generation > 0")
            .execute(store.pool())
            .await
            .unwrap();
        generations
            .iter()
            .for_each(|generation| generation.store(0, Ordering::Relaxed));
        let own = calls(|_| {
            let (store, ended) = (store.clone(), Arc::clone(&ended));
            async move {
                let id = session_id(ended.fetch_add(1, Ordering::Relaxed));
                let ending = Ending::new(RevocationReason::Logout, NOW, NOW + LIFETIME);
                let ended = store.revoke_session(id, &ending, &event()).await;
                assert!(ended.unwrap().is_some());
            }
        });
        ends.push((own.await, pgbench(&database, REVOKE)));
    }
    logins.sort_unstable_by(f64::total_cmp);
    println!("calls per second, {CLIENTS} clients, medians of {ROUNDS} interleaved rounds");
    println!("{:22} {:>8} {:>8} {:>6}", "", "store", "pgbench", "ratio");
    print("refresh, rotation off", &reads);
    print("refresh, rotation on", &rotations);
    print("logout", &ends);
    let logins = logins.get(ROUNDS / 2).copied().unwrap();
    println!("{:22} {logins:8.0}", "login without the hash");
}
