//! Connections: which of them can be trusted, and how they are set up.

use std::io::{self, ErrorKind};
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use metrics::counter;
use sqlx::postgres::{PgConnectOptions, PgPoolOptions, PgRow, PgSslMode};
use sqlx::{ConnectOptions as _, Error, PgConnection, Row};
use tokio::time::timeout;

/// A connection that was used within this time is taken to be alive without a ping.
const TRUSTED_IDLE: Duration = Duration::from_secs(1);

/// When a connection last turned out to be broken.
///
/// A ping before each use costs a busy node an eighth of its throughput, none at all costs one
/// failed request for each pooled connection after a restart of the database. So a connection is
/// pinged if it was idle for a while, or if it was idle when another one broke.
#[derive(Debug)]
pub(super) struct Health {
    start: Instant,
    /// Microseconds since the start; 0 if no connection has broken yet.
    last_failure: AtomicU64,
}

impl Default for Health {
    fn default() -> Self {
        Self {
            start: Instant::now(),
            last_failure: AtomicU64::new(0),
        }
    }
}

impl Health {
    pub(super) fn note_failure(&self) {
        self.last_failure.fetch_max(self.now(), Ordering::Relaxed);
    }

    /// Counts a connection that was closed because nobody knew its state.
    pub(super) fn note_discard() {
        counter!("auth_database_connections_discarded_total").increment(1);
    }

    pub(super) fn trusts(&self, idle_for: Duration) -> bool {
        let last_failure = match self.last_failure.load(Ordering::Relaxed) {
            0 => return idle_for < TRUSTED_IDLE,
            micros => Duration::from_micros(micros),
        };
        let since_failure = self.start.elapsed().saturating_sub(last_failure);
        idle_for < TRUSTED_IDLE.min(since_failure)
    }

    fn now(&self) -> u64 {
        let micros = self.start.elapsed().as_micros();
        u64::try_from(micros).unwrap_or(u64::MAX).max(1)
    }
}

/// How long a connection may take to tell its condition.
const PROBE_TIMEOUT: Duration = Duration::from_secs(1);

/// How long a connection may take that is made to learn what is wrong.
const DIAGNOSIS_TIMEOUT: Duration = Duration::from_secs(3);

/// Who sees to it that a session waits for the disk, and that neither its statements nor its
/// transactions last for ever.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Guarding {
    /// The session, from its beginning on.
    Session,
    /// Each transaction, unless the session turns out to: the pool is the host application's.
    Transaction,
    /// Each transaction, and each act is one: a pooler gives the session to another after it.
    Pooler,
}

impl Guarding {
    /// Of a connection of the store's own, beside the pool.
    pub(super) const fn of_our_own(self) -> Self {
        match self {
            Self::Session | Self::Transaction => Self::Session,
            Self::Pooler => Self::Pooler,
        }
    }
}

/// What the database cancels by itself, a moment before the act that waits for it is given up. A
/// connection whose statement was cancelled can be used further.
///
/// Raises what a role or a database may have lowered, and lowers nothing. A transaction is idle
/// only for as long as a node computes; one that stays idle was forgotten.
macro_rules! guard {
    ($local:literal) => {
        concat!(
            "SELECT set_config('synchronous_commit', 'on', ",
            $local,
            ") WHERE current_setting('synchronous_commit') IN ('off', 'local'); ",
            "SELECT set_config('statement_timeout', '9s', ",
            $local,
            ") WHERE current_setting('statement_timeout') = '0'; ",
            "SELECT set_config('idle_in_transaction_session_timeout', '15s', ",
            $local,
            ") WHERE current_setting('idle_in_transaction_session_timeout') = '0'",
        )
    };
}

pub(super) use guard;

const GUARD_SESSION: &str = guard!("false");

/// What a connection says of itself. A transaction that somebody has left open began before this
/// statement; a statement by itself begins one.
const PROBE: &str = "
    SELECT transaction_timestamp() = statement_timestamp() AS is_idle,
           NOT pg_is_in_recovery() AND current_setting('transaction_read_only') = 'off'
               AS is_writable,
           current_setting('synchronous_commit') NOT IN ('off', 'local')
               AND current_setting('statement_timeout') <> '0'
               AND current_setting('idle_in_transaction_session_timeout') <> '0' AS is_guarded";

/// The condition of a connection.
#[derive(Clone, Copy, Debug)]
pub(super) struct Condition {
    /// No transaction is open.
    is_idle: bool,
    /// It leads to a primary, and may write.
    is_writable: bool,
    /// Its session has what [`Guarding`] tells of.
    is_guarded: bool,
}

impl Condition {
    /// Who has to guard the transactions of the connection.
    pub(super) const fn guarding(self) -> Guarding {
        if self.is_guarded {
            Guarding::Session
        } else {
            Guarding::Transaction
        }
    }
}

/// Why a connection is not used.
#[derive(Debug, thiserror::Error)]
enum Unfit {
    #[error("a transaction was left open on the connection")]
    InTransaction,
    #[error("the database takes no writes: it is a standby, or read-only")]
    ReadOnly,
}

/// Asks a connection for its condition, and so whether it is alive.
///
/// # Errors
///
/// If it is not, or does not answer in time, or must not be used.
pub(super) async fn fit(connection: &mut PgConnection) -> Result<Condition, Error> {
    // In the simple protocol, where the statement's time is its transaction's.
    let asked = sqlx::raw_sql(PROBE).fetch_one(connection);
    let row: PgRow = timeout(PROBE_TIMEOUT, asked)
        .await
        .unwrap_or_else(|_| Err(late("the connection did not answer in time")))?;
    let condition = Condition {
        is_idle: row.try_get("is_idle")?,
        is_writable: row.try_get("is_writable")?,
        is_guarded: row.try_get("is_guarded")?,
    };
    let unfit = |unfit: Unfit| Err(Error::Io(io::Error::other(unfit)));
    match condition {
        Condition { is_idle: false, .. } => unfit(Unfit::InTransaction),
        Condition {
            is_writable: false, ..
        } => {
            counter!("auth_database_read_only_connections_total").increment(1);
            unfit(Unfit::ReadOnly)
        }
        fit => Ok(fit),
    }
}

/// The error of what took too long; its connection is broken.
pub(super) fn late(message: &'static str) -> Error {
    Error::Io(io::Error::new(ErrorKind::TimedOut, message))
}

/// Has a pool hand out only connections that are alive, idle and writable, and guard their
/// sessions; those that come back otherwise are closed.
pub(super) fn watch(pool: PgPoolOptions, guarding: Guarding, health: Arc<Health>) -> PgPoolOptions {
    pool.test_before_acquire(false)
        .after_connect(move |connection, _| {
            Box::pin(async move {
                if guarding == Guarding::Session {
                    let guarded = sqlx::raw_sql(GUARD_SESSION).execute(&mut *connection);
                    timeout(PROBE_TIMEOUT, guarded)
                        .await
                        .unwrap_or_else(|_| Err(late("the connection did not answer in time")))?;
                }
                fit(connection).await.map(drop)
            })
        })
        .before_acquire(move |connection, idle| {
            let trusted = health.trusts(idle.idle_for);
            Box::pin(async move {
                if !trusted {
                    fit(connection).await?;
                }
                Ok(true)
            })
        })
        .after_release(|connection, _| Box::pin(async move { fit(connection).await.map(|_| true) }))
}

/// Learns why there is no connection, by making one beside the pool.
pub(super) async fn diagnose(options: &PgConnectOptions) -> Result<(), Error> {
    let connect = async {
        let mut connection = options.connect().await?;
        fit(&mut connection).await.map(drop)
    };
    let in_time = timeout(DIAGNOSIS_TIMEOUT, connect).await;
    in_time.unwrap_or_else(|_| Err(late("no answer in time")))
}

/// Whether something between us and the database gives the same session to two connections: while
/// one is idle, the other gets its session.
pub(super) async fn is_passed_around(options: &PgConnectOptions) -> Result<bool, Error> {
    let ask = async {
        let (mut one, mut other) = (options.connect().await?, options.connect().await?);
        let (mut of_one, mut of_other) = ([0; QUESTIONS], [0; QUESTIONS]);
        for (of_one, of_other) in of_one.iter_mut().zip(&mut of_other) {
            *of_one = session(&mut one).await?;
            *of_other = session(&mut other).await?;
        }
        Ok(of_one.iter().any(|session| of_other.contains(session)))
    };
    let in_time = timeout(DIAGNOSIS_TIMEOUT, ask).await;
    in_time.unwrap_or_else(|_| Err(late("no answer in time")))
}

/// How often two connections are asked for their sessions: others may be served in between.
const QUESTIONS: usize = 8;

/// The session at the server that a connection has at the moment.
async fn session(connection: &mut PgConnection) -> Result<i32, Error> {
    sqlx::raw_sql("SELECT pg_backend_pid() AS pid")
        .fetch_one(connection)
        .await?
        .try_get("pid")
}

/// Where the database is, for people.
pub(super) fn address(options: &PgConnectOptions) -> String {
    match options.get_socket() {
        Some(socket) => socket.display().to_string(),
        None => format!("{}:{}", options.get_host(), options.get_port()),
    }
}

/// Warns if somebody between us and the database could read or change what passes.
pub(super) fn warn_of_weak_tls(options: &PgConnectOptions) {
    if is_exposed(options) {
        tracing::warn!(
            host = options.get_host(),
            "the connection to PostgreSQL is not protected: use sslmode=verify-full"
        );
    }
}

fn is_exposed(options: &PgConnectOptions) -> bool {
    !is_local(options) && !matches!(options.get_ssl_mode(), PgSslMode::VerifyFull)
}

fn is_local(options: &PgConnectOptions) -> bool {
    let host = options.get_host().trim_matches(['[', ']']);
    options.get_socket().is_some()
        || host.starts_with('/')
        || host.eq_ignore_ascii_case("localhost")
        || host.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn s15_3_a_connection_is_exposed_unless_it_is_local_or_fully_verified() {
        let exposed = |url: &str| is_exposed(&url.parse().unwrap());
        for url in [
            "postgres://localhost/auth",
            "postgres://127.0.0.1/auth",
            "postgres://[::1]/auth",
            "postgres:///auth?host=/run/postgresql",
            "postgres://db.example/auth?sslmode=verify-full",
        ] {
            assert!(!exposed(url), "{url}");
        }
        for url in [
            "postgres://db.example/auth",
            "postgres://10.0.0.1/auth?sslmode=disable",
            "postgres://localhost.example/auth?sslmode=require",
            "postgres://db.example/auth?sslmode=verify-ca",
        ] {
            assert!(exposed(url), "{url}");
        }
    }

    #[test]
    fn a_connection_is_trusted_until_another_one_breaks() {
        let health = Health::default();
        assert!(health.trusts(Duration::ZERO));
        assert!(!health.trusts(TRUSTED_IDLE));
        health.note_failure();
        assert!(!health.trusts(TRUSTED_IDLE / 2));
    }
}
