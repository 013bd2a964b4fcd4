//! Waiting for an event, with a deadline.

use std::time::{Duration, Instant};

/// Between two looks at what is waited for.
const PAUSE: Duration = Duration::from_millis(5);

pub async fn pause() {
    tokio::time::sleep(PAUSE).await;
}

/// Waits until there is something; gives it and how long that took, or `None` after the deadline.
pub async fn until<T>(
    patience: Duration,
    look: impl AsyncFn() -> Option<T>,
) -> Option<(T, Duration)> {
    let started = Instant::now();
    while started.elapsed() < patience {
        let left = patience.saturating_sub(started.elapsed());
        // A look that hangs counts as one that saw nothing.
        if let Ok(Some(seen)) = tokio::time::timeout(left, look()).await {
            return Some((seen, started.elapsed()));
        }
        pause().await;
    }
    None
}
