//! Times in answers.

use std::time::{Duration, SystemTime};

use auth_core::Timestamp;

/// A time as RFC 3339 has it, in UTC, to the second.
pub(super) fn utc(at: Timestamp) -> String {
    /// The end of the year 9999, after which there is no such form.
    const LATEST: Duration = Duration::from_secs(253_402_300_799);
    let since_epoch = at.saturating_since(Timestamp::UNIX_EPOCH).min(LATEST);
    humantime::format_rfc3339_seconds(SystemTime::UNIX_EPOCH + since_epoch).to_string()
}
