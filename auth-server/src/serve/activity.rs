//! Whether a connection is in use.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

/// Counts the requests of a connection.
///
/// hyper ends what is slow in the headers of HTTP/1, but not who sends the first bytes of HTTP/2
/// drop by drop, or keeps a connection for nothing.
#[derive(Clone, Debug, Default)]
pub(super) struct Activity(Arc<Counters>);

#[derive(Debug, Default)]
struct Counters {
    begun: AtomicUsize,
    under_way: AtomicUsize,
}

/// A request under way, until it is dropped.
#[derive(Debug)]
pub(super) struct UnderWay(Arc<Counters>);

impl Activity {
    pub(super) fn begin(&self) -> UnderWay {
        self.0.begun.fetch_add(1, Ordering::Relaxed);
        self.0.under_way.fetch_add(1, Ordering::Relaxed);
        UnderWay(Arc::clone(&self.0))
    }

    /// Ends when no request has been under way for at least half of `limit`, and at most `limit`.
    ///
    /// Looking twice costs a request less than setting a timer anew each time.
    pub(super) async fn end(&self, limit: Duration) {
        let mut begun_when_idle = None;
        loop {
            tokio::time::sleep(limit / 2).await;
            let begun = self.0.begun.load(Ordering::Relaxed);
            let idle = self.0.under_way.load(Ordering::Relaxed) == 0;
            // No request has begun since, so none is under way either.
            if begun_when_idle == Some(begun) {
                return;
            }
            begun_when_idle = idle.then_some(begun);
        }
    }
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        self.0.under_way.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use std::pin::pin;

    use futures_util::poll;
    use tokio::time::advance;

    use super::*;

    const LIMIT: Duration = Duration::from_secs(60);
    const HALF: Duration = Duration::from_secs(30);

    #[tokio::test(start_paused = true)]
    async fn s12_2_a_connection_without_requests_ends_within_the_limit() {
        let activity = Activity::default();
        let mut end = pin!(activity.end(LIMIT));
        assert!(poll!(&mut end).is_pending());
        advance(HALF).await;
        assert!(poll!(&mut end).is_pending());
        advance(HALF).await;
        assert!(poll!(&mut end).is_ready());
    }

    #[tokio::test(start_paused = true)]
    async fn a_connection_with_a_request_under_way_or_lately_goes_on() {
        let activity = Activity::default();
        let mut end = pin!(activity.end(LIMIT));
        let mut request = None;
        for _ in 0..4 {
            request = Some(activity.begin());
            for _ in 0..2 {
                assert!(poll!(&mut end).is_pending());
                advance(HALF).await;
            }
        }
        for _ in 0..4 {
            request = None;
            drop(activity.begin());
            assert!(poll!(&mut end).is_pending());
            advance(HALF).await;
        }
        assert!(request.is_none() && poll!(&mut end).is_ready());
    }
}
