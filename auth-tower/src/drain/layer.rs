use std::time::Duration;

use tower_layer::Layer;

use super::service::Drain;

/// Reads the rest of a request's body before the answer goes out.
///
/// See the [module](crate::drain) for an example.
#[derive(Clone, Copy, Debug)]
#[must_use]
pub struct DrainLayer {
    limits: DrainLimits,
}

/// How much of a body is read that nobody wants.
#[derive(Clone, Copy, Debug)]
pub(super) struct DrainLimits {
    pub(super) bytes: u64,
    pub(super) time: Duration,
}

impl DrainLayer {
    /// Reads at most 64 KiB, for at most 2 seconds.
    pub const fn new() -> Self {
        Self {
            limits: DrainLimits {
                bytes: 64 * 1024,
                time: Duration::from_secs(2),
            },
        }
    }

    /// Reads at most this many bytes of a body.
    pub const fn with_max_bytes(mut self, bytes: u64) -> Self {
        self.limits.bytes = bytes;
        self
    }

    /// Reads for at most this long, which is how long an answer may be held back.
    pub const fn with_max_time(mut self, time: Duration) -> Self {
        self.limits.time = time;
        self
    }
}

impl Default for DrainLayer {
    fn default() -> Self {
        Self::new()
    }
}

impl<S> Layer<S> for DrainLayer {
    type Service = Drain<S>;

    fn layer(&self, inner: S) -> Drain<S> {
        Drain::new(inner, self.limits)
    }
}
