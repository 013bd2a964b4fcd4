//! Database URLs: what the driver would pass over in silence is refused.

use sqlx::postgres::PgConnectOptions;
use url::Url;

/// Why a URL cannot be used; says nothing of its password.
#[derive(Debug, thiserror::Error)]
pub(super) enum UrlError {
    #[error(
        "the database URL cannot be read: it is postgres://user:password@host:port/name, and in a \
         user name or password each of `:/?#[]@%` is percent-encoded, such as %2F for /"
    )]
    Unreadable,
    #[error(
        "the database URL names several hosts, which is not supported: name one address that leads to \
         the primary, such as a proxy's"
    )]
    SeveralHosts,
    #[error("the database URL's parameter `{0}` is not supported: {1}")]
    Parameter(&'static str, &'static str),
    /// Not named: it may be a part of a password.
    #[error(
        "the database URL has an unknown parameter; if it is a part of the password, percent-encode user \
         and password: `?` is %3F, `#` is %23, `/` is %2F, `@` is %40, `:` is %3A and `%` is %25"
    )]
    UnknownParameter,
}

/// What the driver knows, and what holds anyway.
const PARAMETERS: [&str; 22] = [
    "sslmode",
    "ssl-mode",
    "sslrootcert",
    "ssl-root-cert",
    "ssl-ca",
    "sslcert",
    "ssl-cert",
    "sslkey",
    "ssl-key",
    "statement-cache-capacity",
    "host",
    "hostaddr",
    "port",
    "dbname",
    "user",
    "password",
    "application_name",
    "options",
    "target_session_attrs",
    "channel_binding",
    "gssencmode",
    "client_encoding",
];

const GIVEN_UP: [&str; 2] = ["connect_timeout", "tcp_user_timeout"];

const KEPT_ALIVE: [&str; 4] = [
    "keepalives",
    "keepalives_idle",
    "keepalives_interval",
    "keepalives_count",
];

/// What holds anyway, and the driver would warn of.
const UNSPOKEN: [&str; 4] = [
    "target_session_attrs",
    "channel_binding",
    "gssencmode",
    "client_encoding",
];

fn is_option(name: &str) -> bool {
    name.starts_with("options[") && name.ends_with(']')
}

/// Reads a URL.
pub(super) fn options(text: &str) -> Result<PgConnectOptions, UrlError> {
    let authority = text.split_once("://").map_or(text, |(_, rest)| rest);
    let authority = authority.split(['/', '?', '#']).next().unwrap_or_default();
    let hosts = authority
        .rsplit_once('@')
        .map_or(authority, |(_, hosts)| hosts);
    if hosts.contains(',') {
        return Err(UrlError::SeveralHosts);
    }
    let url: Url = text.parse().map_err(|_| UrlError::Unreadable)?;
    for (name, value) in url.query_pairs() {
        match (&*name, &*value) {
            ("host" | "hostaddr" | "port", several) if several.contains(',') => {
                return Err(UrlError::SeveralHosts);
            }
            ("target_session_attrs", "read-write" | "primary" | "any") => {}
            ("target_session_attrs", _) => {
                return Err(UrlError::Parameter(
                    "target_session_attrs",
                    "only connections that may write are used",
                ));
            }
            (name, _) if GIVEN_UP.contains(&name) => {
                return Err(UrlError::Parameter(
                    "connect_timeout",
                    "a connection is given up after 3 seconds, and a statement after 10",
                ));
            }
            (name, _) if KEPT_ALIVE.contains(&name) => {
                return Err(UrlError::Parameter(
                    "keepalives",
                    "a connection that was idle is asked whether it lives before it is used",
                ));
            }
            (name, _) if !PARAMETERS.contains(&name) && !is_option(name) => {
                return Err(UrlError::UnknownParameter);
            }
            _ => {}
        }
    }
    let mut ours = url;
    let kept: Vec<(String, String)> = ours
        .query_pairs()
        .filter(|(name, _)| !UNSPOKEN.contains(&&**name))
        .map(|(name, value)| (name.into_owned(), value.into_owned()))
        .collect();
    ours.set_query(None);
    if !kept.is_empty() {
        ours.query_pairs_mut().extend_pairs(kept);
    }
    ours.as_str().parse().map_err(|_| UrlError::Unreadable)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fault_a16_what_the_driver_would_pass_over_is_refused_with_a_sentence() {
        let refused = |url: &str| options(url).unwrap_err().to_string();
        for (url, says) in [
            (
                "postgres://a,b/auth?target_session_attrs=read-write",
                "several hosts",
            ),
            ("postgres://u:p@a:1,b:2/auth", "several hosts"),
            ("postgres:///auth?host=a,b", "several hosts"),
            ("postgres://a/auth?connect_timeout=5", "`connect_timeout`"),
            ("postgres://a/auth?keepalives_idle=5", "`keepalives`"),
            (
                "postgres://a/auth?target_session_attrs=standby",
                "may write",
            ),
            ("postgres://a/auth?sslmodus=x", "unknown parameter"),
        ] {
            let said = refused(url);
            assert!(said.contains(says), "{url}: {said}");
        }
        let read = options("postgres://a/auth?target_session_attrs=read-write").unwrap();
        assert_eq!((read.get_host(), read.get_database()), ("a", Some("auth")));
    }

    #[test]
    fn fault_d7_no_part_of_a_password_is_told() {
        for url in [
            "postgres://auth:hunter?2@db/auth",
            "postgres://auth:hunter#2@db/auth",
            "postgres://auth:hunter/2@db/auth",
            "postgres://auth:hunter2@[db/auth",
            "postgres://auth:hunter2@db:port/auth",
            "postgres://auth:hunter2@db/auth?sslmode=hunter2",
        ] {
            if let Err(error) = options(url) {
                let said = format!("{error} {error:?}");
                assert!(!said.contains("hunter"), "{url}: {said}");
            }
        }
        // Taken for the host and the name, and refused for what follows the sign.
        let said = options("postgres://auth:hunter?2@db/auth")
            .unwrap_err()
            .to_string();
        assert!(said.contains("percent-encoded"), "{said}");
    }
}
