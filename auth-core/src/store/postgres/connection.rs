//! Connections: which of them can be trusted, and how they are set up.

use std::net::IpAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use sqlx::Connection;
use sqlx::postgres::{PgConnectOptions, PgPoolOptions, PgSslMode};

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

/// Sets the hooks of a pool.
pub(super) fn watch(pool: PgPoolOptions, health: std::sync::Arc<Health>) -> PgPoolOptions {
    pool.test_before_acquire(false)
        .before_acquire(move |connection, idle| {
            let trusted = health.trusts(idle.idle_for);
            Box::pin(async move {
                if !trusted {
                    connection.ping().await?;
                }
                Ok(true)
            })
        })
        .after_connect(|connection, _| {
            Box::pin(async move {
                // Raises what a role or a database may have lowered, and lowers nothing.
                sqlx::query(
                    "SELECT set_config('synchronous_commit', 'on', false)
                     WHERE current_setting('synchronous_commit') IN ('off', 'local')",
                )
                .execute(connection)
                .await
                .map(drop)
            })
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
