//! What one measurement gives.

use std::time::Duration;

use hdrhistogram::Histogram;

/// How long answers took, in microseconds, to three digits.
#[derive(Clone, Debug)]
pub(crate) struct Latencies(Histogram<u64>);

impl Default for Latencies {
    fn default() -> Self {
        Self(Histogram::new(3).expect("three digits are allowed"))
    }
}

impl Latencies {
    pub(crate) fn record(&mut self, latency: Duration) {
        let micros = u64::try_from(latency.as_micros()).unwrap_or(u64::MAX);
        self.0
            .record(micros)
            .expect("a histogram that grows takes in any time");
    }

    pub(crate) fn add(&mut self, other: &Self) {
        self.0
            .add(&other.0)
            .expect("a histogram that grows takes in another");
    }

    pub(crate) fn count(&self) -> u64 {
        self.0.len()
    }

    /// The milliseconds within which this share of the answers came, from 0 to 100.
    pub(crate) fn millis(&self, share: f64) -> f64 {
        let micros = self.0.value_at_percentile(share);
        Duration::from_micros(micros).as_secs_f64() * 1e3
    }
}

/// One measurement of one contender.
#[derive(Clone, Debug)]
pub(crate) struct Sample {
    /// How many were done in a second.
    pub(crate) rate: f64,
    pub(crate) latencies: Latencies,
    /// Processor time of the server for each, in microseconds.
    pub(crate) cost: Option<f64>,
}

impl Sample {
    pub(crate) fn new(latencies: Latencies, seconds: f64, busy: Option<Duration>) -> Self {
        #[expect(clippy::cast_precision_loss, reason = "counts are far below 2^52")]
        let count = latencies.count() as f64;
        Self {
            rate: count / seconds,
            latencies,
            cost: busy
                .filter(|_| count > 0.0)
                .map(|busy| busy.as_secs_f64() * 1e6 / count),
        }
    }

    /// A measurement that tells a rate and nothing else.
    pub(crate) fn of_rate(rate: f64) -> Self {
        Self {
            rate,
            latencies: Latencies::default(),
            cost: None,
        }
    }
}
