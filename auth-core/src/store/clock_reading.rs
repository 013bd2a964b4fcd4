use std::time::Instant;

use crate::Timestamp;

/// What a database's clock showed, at some moment between a question and its answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ClockReading {
    /// The database's time.
    pub time: Timestamp,
    /// When it was asked.
    pub asked: Instant,
    /// When the answer was there.
    pub answered: Instant,
}

impl ClockReading {
    /// Puts the three together.
    #[must_use]
    pub const fn new(time: Timestamp, asked: Instant, answered: Instant) -> Self {
        Self {
            time,
            asked,
            answered,
        }
    }
}
