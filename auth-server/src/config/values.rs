//! Reading the values that are more than a name.

use std::net::SocketAddr;
use std::num::NonZeroUsize;
use std::time::Duration;

use auth_core::UsernamePolicy;
use auth_core::password::OnCheckFailure;
use auth_core::revocation::StalePolicy;
use auth_core::store::RevocationDelivery;
use http::Uri;
use tracing_subscriber::EnvFilter;

use super::DatabasePooling;
use super::error::ConfigError;
use super::sources::Sources;

pub(super) fn public_url(url: &str) -> Result<String, &'static str> {
    const EXPECTED: &str = "must be like https://auth.example.org";
    let uri: Uri = url.parse().map_err(|_| EXPECTED)?;
    let scheme = uri.scheme_str().unwrap_or_default();
    let names_a_host = uri
        .authority()
        .is_some_and(|authority| !authority.host().is_empty() && !authority.as_str().contains('@'));
    // `Uri` drops a fragment without a word.
    if ["http", "https"].contains(&scheme)
        && names_a_host
        && uri.query().is_none()
        && !url.contains('#')
    {
        return Ok(url.trim_end_matches('/').to_owned());
    }
    Err(EXPECTED)
}

/// Whether a URL leads to this machine, as on a developer's.
pub(super) fn is_local(url: &str) -> bool {
    let uri: Option<Uri> = url.parse().ok();
    let host = uri.as_ref().and_then(Uri::host).unwrap_or_default();
    ["127.0.0.1", "localhost", "[::1]"].contains(&host)
}

pub(super) fn revocation_feed(text: &str) -> Result<RevocationDelivery, &'static str> {
    match text {
        "listen" => Ok(RevocationDelivery::Notify),
        "poll" => Ok(RevocationDelivery::Poll),
        _ => Err("must be `listen` or `poll`"),
    }
}

pub(super) fn database_pooling(text: &str) -> Result<DatabasePooling, &'static str> {
    match text {
        "session" => Ok(DatabasePooling::Session),
        "transaction" => Ok(DatabasePooling::Transaction),
        _ => Err("must be `session` or `transaction`"),
    }
}

pub(super) fn revocation_stale(text: &str) -> Result<StalePolicy, &'static str> {
    match text {
        "accept" => Ok(StalePolicy::Accept),
        "refuse" => Ok(StalePolicy::Refuse),
        _ => Err("must be `accept` or `refuse`"),
    }
}

pub(super) fn on_check_failure(text: &str) -> Result<OnCheckFailure, &'static str> {
    match text {
        "accept" => Ok(OnCheckFailure::Accept),
        "refuse" => Ok(OnCheckFailure::Refuse),
        _ => Err("must be `accept` or `refuse`"),
    }
}

pub(super) fn usernames(text: &str) -> Result<UsernamePolicy, &'static str> {
    match text {
        "ascii" => Ok(UsernamePolicy::Ascii),
        "unicode" => Ok(UsernamePolicy::Unicode),
        _ => Err("must be `ascii` or `unicode`"),
    }
}

/// Reads a filter of the log. A bare word that is no level would be taken for the name of a part of
/// the program, and mute all others.
pub(super) fn log_filter(text: &str) -> Result<String, String> {
    const LEVELS: [&str; 6] = ["off", "error", "warn", "info", "debug", "trace"];
    for directive in text.split(',').map(str::trim) {
        let is_bare = !directive.is_empty() && !directive.contains(['=', '[', ']', '{', '}']);
        let is_level = LEVELS
            .iter()
            .any(|level| level.eq_ignore_ascii_case(directive));
        if is_bare && !is_level {
            return Err(format!(
                "`{directive}` is not a level: the levels are {}; a part of the program comes with its level, \
                 as in info,auth_core=debug",
                LEVELS.join(", ")
            ));
        }
    }
    match EnvFilter::try_new(text) {
        Ok(_) => Ok(text.to_owned()),
        Err(_) => Err("must be a filter such as info or info,auth_core=debug".to_owned()),
    }
}

pub(super) fn flag(sources: &Sources, name: &'static str) -> Result<Option<bool>, ConfigError> {
    sources.parsed(name, |text| match text {
        "true" | "on" | "yes" | "1" => Ok(true),
        "false" | "off" | "no" | "0" => Ok(false),
        _ => Err("must be `true` or `false` (`on` or `off`)"),
    })
}

pub(super) fn address(
    sources: &Sources,
    name: &'static str,
) -> Result<Option<SocketAddr>, ConfigError> {
    sources.parsed(name, |text| {
        text.parse()
            .map_err(|_| "must be an address with a port, such as 127.0.0.1:8000")
    })
}

pub(super) fn duration(
    sources: &Sources,
    name: &'static str,
) -> Result<Option<Duration>, ConfigError> {
    sources.parsed(name, |text| {
        let duration = if text == "0" {
            Ok(Duration::ZERO)
        } else {
            humantime::parse_duration(text)
        };
        duration.map_err(|_| "must be a time with a unit, such as 5m, 12h or 14d")
    })
}

pub(super) fn count(
    sources: &Sources,
    name: &'static str,
    most: usize,
) -> Result<Option<NonZeroUsize>, ConfigError> {
    sources.parsed(name, |text| match text.parse::<NonZeroUsize>() {
        Ok(count) if count.get() <= most => Ok(count),
        _ => Err(format!("must be a whole number from 1 to {most}")),
    })
}

/// Reads `16KiB`, `1MiB` or a number of bytes.
pub(super) fn bytes(text: &str) -> Result<usize, &'static str> {
    const EXPECTED: &str = "must be a size from 1KiB to 1MiB, such as 16KiB";
    let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let unit = match text.get(digits.len()..).unwrap_or_default() {
        "" | "B" => 1,
        "KiB" => 1024,
        "MiB" => 1024 * 1024,
        _ => return Err(EXPECTED),
    };
    let number: usize = digits.trim().parse().map_err(|_| EXPECTED)?;
    match number.checked_mul(unit) {
        Some(size) if (1024..=1024 * 1024).contains(&size) => Ok(size),
        _ => Err(EXPECTED),
    }
}
