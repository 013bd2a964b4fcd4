use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use super::Revocations;
use crate::database_clock::DatabaseClock;
use crate::store::{ClockReading, RevocationStore, StoreError};
use crate::{Clock, Timestamp};

/// How long to wait before the store is followed again, at first and at most.
const PAUSES: [Duration; 2] = [Duration::from_millis(50), Duration::from_secs(2)];

/// Keeps [`Revocations`] up to date from a store; run one on each node.
#[derive(Debug)]
pub struct RevocationFollower {
    store: Arc<dyn RevocationStore>,
    revocations: Revocations,
    clock: Arc<dyn Clock>,
    /// The same clock, if it is corrected by the database's.
    database_clock: Option<Arc<DatabaseClock>>,
}

impl RevocationFollower {
    /// Follows the store, for a host that verifies tokens without an engine; the set must have the
    /// same clock.
    #[must_use]
    pub fn new(
        store: Arc<dyn RevocationStore>,
        revocations: Revocations,
        clock: Arc<dyn Clock>,
    ) -> Self {
        Self {
            store,
            revocations,
            clock,
            database_clock: None,
        }
    }

    /// Corrects this clock by the store's readings of the database's.
    pub(crate) fn with_database_clock(mut self, clock: Option<Arc<DatabaseClock>>) -> Self {
        self.database_clock = clock;
        self
    }

    /// Follows until `shutdown` is done.
    ///
    /// After the store was lost it is followed anew: the set counts as stale until all that
    /// matters has been read again.
    pub async fn run(self, shutdown: impl Future<Output = ()> + Send) {
        let mut shutdown = pin!(shutdown);
        let [mut pause, longest] = PAUSES;
        let mut is_known_to_fail = false;
        self.revocations.follow();
        loop {
            let before = self.revocations.confirmed_at();
            let lost = tokio::select! {
                biased;
                () = &mut shutdown => return,
                lost = self.follow() => lost,
            };
            if self.revocations.confirmed_at() != before {
                [pause, _] = PAUSES;
                is_known_to_fail = false;
            }
            self.revocations.lose();
            self.observe();
            if !is_known_to_fail {
                is_known_to_fail = true;
                tracing::warn!(
                    error = &lost as &dyn std::error::Error,
                    "the feed of revocations is lost"
                );
            }
            tokio::select! {
                biased;
                () = &mut shutdown => return,
                () = tokio::time::sleep(pause) => {}
            }
            pause = longest.min(pause * 2);
        }
    }

    /// Follows until the store is lost.
    async fn follow(&self) -> StoreError {
        let mut feed = match self.store.follow_revocations().await {
            Ok(feed) => feed,
            Err(error) => return error,
        };
        let mut is_first = true;
        loop {
            let mut asked_at = self.clock.now();
            let news = match feed.next().await {
                Ok(news) => news,
                Err(error) => return error,
            };
            // First, since the revocations are in the database's time.
            if let Some(reading) = &news.clock_reading {
                asked_at = self.set_clock(reading, asked_at);
            }
            for revocation in &news.revocations {
                self.revocations.learn(revocation);
            }
            if news.is_complete {
                self.revocations.confirm(asked_at);
                if is_first {
                    tracing::info!(entries = self.revocations.len(), "revocations are followed");
                    is_first = false;
                }
            }
            self.observe();
        }
    }

    /// Corrects the clock, and returns what it would have shown at `then`.
    fn set_clock(&self, reading: &ClockReading, then: Timestamp) -> Timestamp {
        let Some(clock) = &self.database_clock else {
            return then;
        };
        let moved = clock.set(reading);
        Timestamp::from_unix_micros(then.unix_micros().saturating_add(moved))
    }

    fn observe(&self) {
        let lag = self.revocations.lag();
        metrics::gauge!("auth_revocation_entries").set(self.revocations.len() as f64);
        metrics::gauge!("auth_revocation_feed_healthy")
            .set(f64::from(self.revocations.is_healthy()));
        if let Some(lag) = lag {
            metrics::gauge!("auth_revocation_lag_seconds").set(lag.as_secs_f64());
        }
    }
}
