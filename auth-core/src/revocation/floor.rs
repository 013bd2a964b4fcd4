use std::sync::atomic::{AtomicI64, Ordering};

use super::Revocation;
use crate::{Principal, Timestamp};

/// Stands for the revocations that a full set has forgotten.
///
/// A revocation is remembered until the last of its tokens has expired. So a set that refuses all
/// tokens that expire by some time needs no revocation that is remembered until then. After many
/// revocations in a short time, new tokens may expire by then as well; but they are issued after
/// the forgotten revocations were received, and are good.
#[derive(Debug)]
pub(super) struct Floor {
    /// In microseconds, like `issued_before`.
    expires_by: AtomicI64,
    issued_before: AtomicI64,
}

impl Floor {
    pub(super) const fn new() -> Self {
        Self {
            expires_by: AtomicI64::new(i64::MIN),
            issued_before: AtomicI64::new(i64::MIN),
        }
    }

    /// From now on, refuses tokens that expire by one time and were issued before another. Returns
    /// the time of issue before which tokens were refused so far.
    pub(super) fn raise(&self, expires_by: Timestamp, issued_before: Timestamp) -> Timestamp {
        // In this order: whoever sees the second sees the first.
        let before = self
            .issued_before
            .fetch_max(issued_before.unix_micros(), Ordering::AcqRel);
        self.expires_by
            .fetch_max(expires_by.unix_micros(), Ordering::AcqRel);
        Timestamp::from_unix_micros(before)
    }

    /// Whether the token is refused.
    pub(super) fn refuses(&self, token: &Principal) -> bool {
        token.expires_at.unix_micros() <= self.expires_by.load(Ordering::Acquire)
            && token.issued_at.unix_micros() < self.issued_before.load(Ordering::Acquire)
    }

    /// Whether the revocation need not be remembered.
    pub(super) fn covers(&self, revocation: &Revocation) -> bool {
        revocation.expires_at.unix_micros() <= self.expires_by.load(Ordering::Acquire)
    }
}
