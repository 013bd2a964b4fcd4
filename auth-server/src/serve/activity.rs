//! Whether a connection is in use.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

/// Counts the requests of a connection.
///
/// hyper has one limit for both the headers of HTTP/1 and the idle time before them, and none for a client
/// that sends the first bytes of HTTP/2 drop by drop, or keeps such a connection for nothing.
#[derive(Clone, Debug)]
pub(super) struct Activity(Arc<Mutex<State>>);

#[derive(Debug)]
struct State {
    under_way: usize,
    /// When the last request ended, or else the connection began.
    idle_since: Instant,
    /// When the first byte of the next request's headers came.
    headers_since: Option<Instant>,
    /// HTTP/2 has no headers between requests, but pings and the like.
    is_http_2: bool,
}

/// A request under way, until it is dropped.
#[derive(Debug)]
pub(super) struct UnderWay(Arc<Mutex<State>>);

/// How long a connection may be without a request under way.
#[derive(Clone, Copy, Debug)]
pub(super) struct IdleLimits {
    /// From the first byte of a request, or the beginning of the connection, to the end of the headers.
    pub(super) headers: Duration,
    /// From the end of a request to the first byte of the next.
    pub(super) keep_alive: Duration,
}

/// Which limit ended a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ended {
    SlowHeaders,
    Idle,
}

impl Activity {
    pub(super) fn begin(&self, is_http_2: bool) -> UnderWay {
        self.change(|state| {
            state.under_way += 1;
            state.headers_since = None;
            state.is_http_2 |= is_http_2;
        });
        UnderWay(Arc::clone(&self.0))
    }

    /// Takes note that the client has sent bytes.
    pub(super) fn received(&self, bytes: &[u8]) {
        self.change(|state| {
            state.is_http_2 |= bytes.starts_with(b"PRI * HTTP/2");
            if state.is_http_2 {
                state.headers_since = None;
            } else if state.under_way == 0 && state.headers_since.is_none() {
                state.headers_since = Some(Instant::now());
            }
        });
    }

    /// Ends when a limit is reached.
    ///
    /// Looking again when the time may have come costs a request less than setting a timer.
    pub(super) async fn end(&self, limits: IdleLimits) -> Ended {
        loop {
            let (ended, at) = self.change(|state| state.next_end(limits));
            let now = Instant::now();
            if at.is_some_and(|at| at <= now) {
                return ended;
            }
            // What begins after this look cannot end before the next one.
            let look_again = now + limits.headers.min(limits.keep_alive);
            tokio::time::sleep_until(at.map_or(look_again, |at| at.min(look_again))).await;
        }
    }

    fn change<T>(&self, change: impl FnOnce(&mut State) -> T) -> T {
        change(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl State {
    fn next_end(&self, limits: IdleLimits) -> (Ended, Option<Instant>) {
        match self.headers_since {
            _ if self.under_way > 0 => (Ended::Idle, None),
            Some(since) => (Ended::SlowHeaders, since.checked_add(limits.headers)),
            None => (Ended::Idle, self.idle_since.checked_add(limits.keep_alive)),
        }
    }
}

impl Default for Activity {
    /// A connection that has just begun owes its first headers.
    fn default() -> Self {
        let now = Instant::now();
        Self(Arc::new(Mutex::new(State {
            under_way: 0,
            idle_since: now,
            headers_since: Some(now),
            is_http_2: false,
        })))
    }
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        state.under_way -= 1;
        state.idle_since = Instant::now();
    }
}

#[cfg(test)]
mod tests {
    use std::pin::pin;

    use futures_util::poll;
    use tokio::time::advance;

    use super::*;

    const SECOND: Duration = Duration::from_secs(1);
    const LIMITS: IdleLimits = IdleLimits {
        headers: Duration::from_secs(10),
        keep_alive: Duration::from_secs(75),
    };

    /// Runs until the limits end the connection; tells which one, and after how many seconds.
    async fn ended(activity: &Activity) -> (Ended, u64) {
        let began = Instant::now();
        let mut end = pin!(activity.end(LIMITS));
        loop {
            if let std::task::Poll::Ready(ended) = poll!(&mut end) {
                return (ended, began.elapsed().as_secs());
            }
            advance(SECOND).await;
        }
    }

    #[tokio::test(start_paused = true)]
    async fn s12_2_the_first_headers_are_due_within_10_seconds() {
        let activity = Activity::default();
        assert_eq!(ended(&activity).await, (Ended::SlowHeaders, 10));
    }

    #[tokio::test(start_paused = true)]
    async fn s12_2_a_connection_is_kept_75_seconds_after_its_last_request() {
        let activity = Activity::default();
        drop(activity.begin(false));
        assert_eq!(ended(&activity).await, (Ended::Idle, 75));
    }

    #[tokio::test(start_paused = true)]
    async fn s12_2_headers_that_begin_on_an_idle_connection_are_due_within_10_seconds() {
        let activity = Activity::default();
        drop(activity.begin(false));
        advance(60 * SECOND).await;
        activity.received(b"P");
        // Byte by byte changes nothing.
        advance(5 * SECOND).await;
        activity.received(b"OST /");
        assert_eq!(ended(&activity).await, (Ended::SlowHeaders, 5));
    }

    #[tokio::test(start_paused = true)]
    async fn s12_2_a_connection_of_http_2_is_idle_whatever_it_sends() {
        let activity = Activity::default();
        activity.received(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");
        advance(70 * SECOND).await;
        activity.received(b"a ping");
        assert_eq!(ended(&activity).await, (Ended::Idle, 5));
    }

    #[tokio::test(start_paused = true)]
    async fn a_connection_with_a_request_under_way_goes_on() {
        let activity = Activity::default();
        let request = activity.begin(false);
        let mut end = pin!(activity.end(LIMITS));
        for _ in 0..300 {
            activity.received(b"a piece of its body");
            assert!(poll!(&mut end).is_pending());
            advance(SECOND).await;
        }
        drop(request);
        advance(74 * SECOND).await;
        assert!(poll!(&mut end).is_pending());
    }
}
