//! What the commands tell the operator.

use std::error::Error;
use std::fmt::Display;
use std::io::{Write as _, stdout};
use std::time::{Duration, SystemTime};

use auth_core::Timestamp;

/// Writes a line to standard output; whoever closed it does not want it.
pub(crate) fn say(line: impl Display) {
    let mut stdout = stdout().lock();
    let _ = writeln!(stdout, "{line}").and_then(|()| stdout.flush());
}

/// A time as people and programs read it (RFC 3339, UTC, to the microsecond).
pub(crate) fn utc(at: Timestamp) -> String {
    let since_epoch = at.saturating_since(Timestamp::UNIX_EPOCH);
    let at = SystemTime::UNIX_EPOCH.checked_add(since_epoch.min(LATEST));
    humantime::format_rfc3339_micros(at.unwrap_or(SystemTime::UNIX_EPOCH)).to_string()
}

/// The end of the year 9999, after which there is no such form.
const LATEST: Duration = Duration::from_secs(253_402_300_799);

/// An error with its causes, in one line.
#[must_use]
pub fn causes(error: &dyn Error) -> String {
    let mut line = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        line.push_str(": ");
        line.push_str(&cause.to_string());
        source = cause.source();
    }
    line
}
