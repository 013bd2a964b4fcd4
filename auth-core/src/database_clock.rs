//! The node's clock, set by the database's.

use std::fmt;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::store::ClockReading;
use crate::{Clock, Timestamp};

/// Beyond this difference the log has a warning.
const NOTICEABLE: Duration = Duration::from_secs(2);

/// Beyond this difference a node is not ready.
const TOLERABLE: Duration = Duration::from_secs(5);

/// How far below a limit a difference must fall before it counts as within the limit again:
/// otherwise one near the limit would log a line at each reading.
const MARGIN: Duration = Duration::from_millis(500);

/// Shows the database's time: the node's clock plus the last known difference between the two.
///
/// Nodes compare the times that other nodes record, such as until when a revocation counts or a
/// mail is claimed, with their own. So all nodes of a database go by its clock. They read it where
/// they ask the database anyway; between two readings the node's clock runs by itself.
pub(crate) struct DatabaseClock {
    node: Arc<dyn Clock>,
    /// How far the database's clock is ahead of the node's (microseconds).
    ahead: AtomicI64,
    agreement: Mutex<Agreement>,
}

/// How well the two clocks agree.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
enum Agreement {
    #[default]
    Agree,
    Differ,
    /// So far apart that the node is not ready.
    Apart,
}

impl Agreement {
    fn after(self, difference: Duration) -> Self {
        let is_beyond = |limit: Duration, of: Self| {
            let margin = if self >= of { MARGIN } else { Duration::ZERO };
            difference > limit.saturating_sub(margin)
        };
        if is_beyond(TOLERABLE, Self::Apart) {
            Self::Apart
        } else if is_beyond(NOTICEABLE, Self::Differ) {
            Self::Differ
        } else {
            Self::Agree
        }
    }
}

impl DatabaseClock {
    /// Assumes that the node's clock agrees with the database's, until the first reading.
    pub(crate) fn new(node: Arc<dyn Clock>) -> Self {
        Self {
            node,
            ahead: AtomicI64::new(0),
            agreement: Mutex::default(),
        }
    }

    /// Sets the clock; returns by how many microseconds it has moved.
    ///
    /// It moves only as far as the reading proves: the database read its clock at some moment
    /// between question and answer, and a difference that this can explain is none.
    pub(crate) fn set(&self, reading: &ClockReading) -> i64 {
        let (node, now) = (self.node.now(), Instant::now());
        let ahead_of = |then: Instant| {
            let node = node - now.saturating_duration_since(then);
            let read = reading.time.unix_micros();
            read.saturating_sub(node.unix_micros())
        };
        let (least, most) = (ahead_of(reading.answered), ahead_of(reading.asked));
        let before = self.ahead.load(Ordering::Relaxed);
        let ahead = before.max(least).min(most);
        self.ahead.store(ahead, Ordering::Relaxed);
        metrics::gauge!("auth_clock_difference_seconds").set(ahead as f64 / 1e6);
        self.judge(ahead);
        ahead.saturating_sub(before)
    }

    /// Whether the node's clock is so far from the database's that the node is not ready.
    pub(crate) fn is_apart(&self) -> bool {
        *self.agreement() == Agreement::Apart
    }

    /// Logs a change once, not at each reading.
    fn judge(&self, ahead: i64) {
        let mut agreement = self.agreement();
        let before = *agreement;
        *agreement = before.after(Duration::from_micros(ahead.unsigned_abs()));
        if *agreement == before {
            return;
        }
        let database_ahead_seconds = ahead as f64 / 1e6;
        match *agreement {
            Agreement::Agree => tracing::info!(
                database_ahead_seconds,
                "the clocks of this node and of the database agree again"
            ),
            Agreement::Differ => tracing::warn!(
                database_ahead_seconds,
                "the clocks of this node and of the database differ: check that both are synchronized (NTP)"
            ),
            Agreement::Apart => {
                metrics::counter!("auth_clock_apart_total").increment(1);
                tracing::error!(
                    database_ahead_seconds,
                    "the clocks of this node and of the database are more than 5 seconds apart: \
                     the node is not ready; check that both are synchronized (NTP)"
                );
            }
        }
    }

    fn agreement(&self) -> MutexGuard<'_, Agreement> {
        self.agreement
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

impl Clock for DatabaseClock {
    fn now(&self) -> Timestamp {
        let ahead = self.ahead.load(Ordering::Relaxed);
        Timestamp::from_unix_micros(self.node.now().unix_micros().saturating_add(ahead))
    }
}

impl fmt::Debug for DatabaseClock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DatabaseClock")
            .field("node", &self.node)
            .field("ahead", &self.ahead)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::password::test_support::Log;

    const NOW: Timestamp = Timestamp::from_unix_seconds(1_700_000_000);

    /// A clock that is moved.
    #[derive(Debug)]
    struct TestClock(AtomicI64);

    impl Clock for TestClock {
        fn now(&self) -> Timestamp {
            Timestamp::from_unix_micros(self.0.load(Ordering::SeqCst))
        }
    }

    fn clock() -> (DatabaseClock, Arc<TestClock>) {
        let node = Arc::new(TestClock(AtomicI64::new(NOW.unix_micros())));
        let shared: Arc<dyn Clock> = Arc::<TestClock>::clone(&node);
        (DatabaseClock::new(shared), node)
    }

    /// The database said this, and took no time for it.
    fn at_once(time: Timestamp) -> ClockReading {
        let now = Instant::now();
        ClockReading::new(time, now, now)
    }

    fn seconds(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    /// How far the clock is from this time; readings are microseconds old when they are looked at.
    fn distance(clock: &DatabaseClock, from: Timestamp) -> Duration {
        let now = clock.now();
        now.saturating_since(from).max(from.saturating_since(now))
    }

    #[test]
    fn fault_b7a_a_node_goes_by_the_databases_clock() {
        let (clock, node) = clock();
        for database in [NOW + seconds(300), NOW - seconds(83), NOW] {
            let before = clock.now().unix_micros();
            let moved = clock.set(&at_once(database));
            assert_eq!(clock.now().unix_micros(), before + moved);
            assert!(distance(&clock, database) < seconds(1), "{clock:?}");
        }
        // Between two readings it runs by itself.
        clock.set(&at_once(NOW + seconds(300)));
        node.0.fetch_add(60_000_000, Ordering::SeqCst);
        assert!(distance(&clock, NOW + seconds(360)) < seconds(1));
    }

    #[test]
    fn a_slow_answer_moves_the_clock_no_further_than_it_proves() {
        let (clock, _) = clock();
        let answered = Instant::now();
        let asked = answered.checked_sub(seconds(3)).unwrap();
        // The database may have said so at the beginning of these three seconds.
        let reading = |time| ClockReading::new(time, asked, answered);
        for (database, shown) in [
            (NOW, NOW),
            (NOW - seconds(2), NOW),
            (NOW - seconds(8), NOW - seconds(5)),
        ] {
            clock.set(&reading(database));
            assert!(distance(&clock, shown) < seconds(1), "{clock:?}");
        }
    }

    #[test]
    fn fault_b7a_beyond_five_seconds_the_clocks_are_apart() {
        let (clock, _) = clock();
        for (database, is_apart) in [
            (NOW + seconds(4), false),
            (NOW + seconds(6), true),
            (NOW + Duration::from_millis(4_800), true),
            (NOW + seconds(4), false),
            (NOW - seconds(6), true),
            (NOW, false),
        ] {
            clock.set(&at_once(database));
            assert_eq!(clock.is_apart(), is_apart, "{clock:?}");
        }
    }

    #[test]
    fn fault_b7_the_log_says_once_that_clocks_differ() {
        let (log, _guard) = Log::capture();
        let (clock, _) = clock();
        let milliseconds = Duration::from_millis;
        for (database, lines) in [
            (NOW + milliseconds(1_900), 0),
            (NOW + milliseconds(2_100), 1),
            (NOW + milliseconds(1_900), 1),
            (NOW + milliseconds(2_100), 1),
            (NOW - milliseconds(3_000), 1),
            (NOW + milliseconds(8_000), 2),
            (NOW + milliseconds(8_500), 2),
            (NOW, 3),
            (NOW - milliseconds(3_000), 4),
        ] {
            clock.set(&at_once(database));
            let text = log.text();
            assert_eq!(text.lines().count(), lines, "{text}");
        }
        for (line, expected) in log.text().lines().zip([
            "WARN",
            "ERROR",
            "the clocks of this node and of the database agree again",
            "-3.",
        ]) {
            assert!(line.contains(expected), "{line}");
        }
    }
}
