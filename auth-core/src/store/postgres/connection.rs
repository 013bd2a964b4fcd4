//! Connections: which of them can be trusted, and how they are set up.

use std::io::{self, ErrorKind};
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use sqlx::postgres::{PgConnectOptions, PgPoolOptions, PgRow, PgSslMode};
use sqlx::{Error, PgConnection, Row};
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
    discarded: AtomicU64,
}

impl Default for Health {
    fn default() -> Self {
        Self {
            start: Instant::now(),
            last_failure: AtomicU64::new(0),
            discarded: AtomicU64::new(0),
        }
    }
}

impl Health {
    pub(super) fn note_failure(&self) {
        self.last_failure.fetch_max(self.now(), Ordering::Relaxed);
    }

    /// Counts a connection that was closed because nobody knew its state.
    pub(super) fn note_discard(&self) {
        self.discarded.fetch_add(1, Ordering::Relaxed);
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

/// Who sees to it that a session waits for the disk, and that neither its statements nor its
/// transactions last for ever.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Guarding {
    /// The session, from its beginning on.
    Session,
    /// Each transaction, unless the session turns out to: the pool is the host application's.
    Transaction,
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

/// The statements that guard one transaction.
macro_rules! guard_transaction {
    () => {
        $crate::store::postgres::connection::guard!("true")
    };
}

pub(super) use {guard, guard_transaction};

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
    pub(super) is_guarded: bool,
}

impl Condition {
    /// The condition, if the connection may be used.
    pub(super) fn fit(self) -> Result<Self, Error> {
        let unfit = |reason: &str| Err(Error::Io(io::Error::other(reason.to_owned())));
        match self {
            Self { is_idle: false, .. } => unfit("a transaction was left open on the connection"),
            Self {
                is_writable: false, ..
            } => unfit("the database takes no writes: it is a standby, or read-only"),
            fit => Ok(fit),
        }
    }
}

/// Asks a connection for its condition; also by that, whether it is alive.
///
/// In the simple protocol, where the statement's time is its transaction's.
pub(super) async fn probe(connection: &mut PgConnection) -> Result<Condition, Error> {
    let asked = sqlx::raw_sql(PROBE).fetch_one(connection);
    let row: PgRow = timeout(PROBE_TIMEOUT, asked)
        .await
        .unwrap_or_else(|_| Err(late("the connection did not answer in time")))?;
    Ok(Condition {
        is_idle: row.try_get("is_idle")?,
        is_writable: row.try_get("is_writable")?,
        is_guarded: row.try_get("is_guarded")?,
    })
}

/// The error of what took too long; its connection is broken.
pub(super) fn late(message: &'static str) -> Error {
    Error::Io(io::Error::new(ErrorKind::TimedOut, message))
}

/// Has a pool hand out only connections that are alive, idle and writable, and guard their
/// sessions; those that come back otherwise are closed.
pub(super) fn watch(pool: PgPoolOptions, health: Arc<Health>) -> PgPoolOptions {
    pool.test_before_acquire(false)
        .after_connect(|connection, _| {
            Box::pin(async move {
                timeout(
                    PROBE_TIMEOUT,
                    sqlx::raw_sql(GUARD_SESSION).execute(&mut *connection),
                )
                .await
                .unwrap_or_else(|_| Err(late("the connection did not answer in time")))?;
                probe(connection).await?.fit().map(drop)
            })
        })
        .before_acquire(move |connection, idle| {
            let trusted = health.trusts(idle.idle_for);
            Box::pin(async move {
                if !trusted {
                    probe(connection).await?.fit()?;
                }
                Ok(true)
            })
        })
        .after_release(|connection, _| {
            Box::pin(async move { probe(connection).await?.fit().map(|_| true) })
        })
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
