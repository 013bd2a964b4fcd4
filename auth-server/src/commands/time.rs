//! Times on the command line.

use std::time::SystemTime;

use auth_core::Timestamp;

use crate::error::CommandError;

/// A time, or how long ago it was.
pub(super) fn point_in_time(name: &'static str, text: &str) -> Result<Timestamp, CommandError> {
    humantime::parse_rfc3339_weak(text)
        .ok()
        .or_else(|| SystemTime::now().checked_sub(humantime::parse_duration(text).ok()?))
        .map(Timestamp::from)
        .ok_or_else(|| CommandError::Argument {
            name,
            problem: "must be a time such as 2026-11-23T05:00:00Z, or how long ago, such as 2h"
                .to_owned(),
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_a_date_or_an_age() {
        let date = point_in_time("--since", "2026-11-23T05:00:00Z").unwrap();
        assert_eq!(date, Timestamp::from_unix_seconds(1_795_410_000));
        let age = point_in_time("--since", "2h").unwrap();
        let two_hours = std::time::Duration::from_secs(7200);
        let now = Timestamp::from(SystemTime::now());
        assert!(now.saturating_since(age) >= two_hours);
        for wrong in ["", "yesterday", "2026-13-01T00:00:00Z", "-1h"] {
            assert!(point_in_time("--since", wrong).is_err(), "{wrong}");
        }
    }
}
