//! URLs that hold a password.
//!
//! One that is not percent-encoded may stand anywhere in its URL: `postgres://auth:pass?word@host`
//! names the host `auth`. Such a URL is refused, and nothing of it is repeated.

use std::error::Error as _;

use auth_core::store::PostgresStore;
use url::Url;
use zeroize::Zeroizing;

use super::{Database, MailRoute};

const DATABASES: &str = "must be postgres://user:password@host/name or sqlite://PATH";

const ROUTES: &str = "must be smtps://user:password@host, smtp://user:password@host or folder:PATH";

const UNENCODED: &str = "percent-encode user and password: `?` is %3F, `#` is %23, `/` is %2F, `@` is %40, \
     `:` is %3A and `%` is %25";

/// Reads where users and sessions are.
pub(super) fn database(url: &str) -> Result<Database, String> {
    if url.starts_with("postgres://") || url.starts_with("postgresql://") {
        check_postgres(url)?;
        return Ok(Database::Postgres(Zeroizing::new(url.to_owned())));
    }
    let path = url
        .strip_prefix("sqlite://")
        .or_else(|| url.strip_prefix("sqlite:"));
    match path {
        Some(path) if path.contains('?') => Err(
            "must be sqlite://PATH, without parameters: the server reads and writes the file"
                .to_owned(),
        ),
        Some(path) if !path.is_empty() => Ok(Database::Sqlite(path.into())),
        _ => Err(DATABASES.to_owned()),
    }
}

fn check_postgres(url: &str) -> Result<(), String> {
    unambiguous(url).ok_or_else(|| format!("{DATABASES}; {UNENCODED}"))?;
    match PostgresStore::connect_options(url) {
        Ok(_) => Ok(()),
        Err(error) => Err(error
            .source()
            .map_or(error.to_string(), ToString::to_string)),
    }
}

/// Reads how mails travel.
pub(super) fn mail_route(text: &str) -> Result<MailRoute, String> {
    match text.strip_prefix("folder:") {
        Some(path) if !path.is_empty() => Ok(MailRoute::Folder(path.into())),
        None if text.starts_with("smtp://") || text.starts_with("smtps://") => {
            if !unambiguous(text).is_some_and(|url| matches!(url.path(), "" | "/")) {
                return Err(format!("{ROUTES}; {UNENCODED}"));
            }
            Ok(MailRoute::Smtp(Zeroizing::new(text.to_owned())))
        }
        _ => Err(ROUTES.to_owned()),
    }
}

/// The URL, unless a part of the password may stand where another part belongs.
fn unambiguous(url: &str) -> Option<Url> {
    let url = Url::parse(url).ok()?;
    let query = url.query().unwrap_or_default();
    let pairs_are_whole = query
        .split('&')
        .all(|pair| pair.is_empty() || pair.contains('='));
    let is_clear = url.fragment().is_none()
        && !url.path().contains('@')
        && !query.contains(['@', '?'])
        && pairs_are_whole;
    is_clear.then_some(url)
}

/// A URL without its user, password and query, any of which may be or hold a secret.
pub(super) fn without_secrets(url: &str) -> String {
    let Some(url) = unambiguous(url) else {
        return "unreadable".to_owned();
    };
    let port = url.port().map(|port| format!(":{port}"));
    format!(
        "{}://{}{}{}",
        url.scheme(),
        url.host_str().unwrap_or_default(),
        port.unwrap_or_default(),
        url.path()
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fault_d7_no_part_of_a_password_that_is_not_encoded_is_shown() {
        for password in [
            "can?ary",
            "can#ary",
            "can/ary",
            "can@ary?x",
            "12?canary",
            "12#canary",
            "12/canary",
            "a@b/canary",
            "a@b?canary",
            "a@b#canary",
            "12?canary=1",
            "?canary",
            "can[ary",
            "%zz?canary",
            "a@b?sslmode=canary?",
        ] {
            for url in [
                format!("postgres://auth:{password}@db.example.org/auth"),
                format!("postgresql://auth:{password}@db.example.org:5432/auth?sslmode=require"),
            ] {
                match database(&url) {
                    Err(problem) => {
                        assert!(!problem.contains("canary"), "{url}: {problem}");
                        assert!(problem.contains("%3F"), "{url}: {problem}");
                    }
                    // Nothing but an odd password, in its place.
                    Ok(database) => {
                        let shown = format!("{database} {database:?}");
                        assert!(!shown.contains("ary"), "{url}: {shown}");
                    }
                }
            }
            let url = format!("smtps://auth:{password}@mail.example.org");
            match mail_route(&url) {
                Err(problem) => assert!(!problem.contains("canary"), "{url}: {problem}"),
                Ok(route) => {
                    let shown = format!("{route} {route:?}");
                    assert!(!shown.contains("ary"), "{url}: {shown}");
                }
            }
        }
    }

    #[test]
    fn urls_are_shown_without_their_secrets() {
        for (url, shown) in [
            (
                "postgres://auth:p%3F%40@db.example.org/auth?sslmode=verify-full",
                "postgres://db.example.org/auth",
            ),
            (
                "postgres://auth:a@b@db:5433/auth",
                "postgres://db:5433/auth",
            ),
            (
                "postgres://db/auth?user=auth&password=x",
                "postgres://db/auth",
            ),
            ("postgres:///auth?host=/run/postgresql", "postgres:///auth"),
            (
                "postgres://auth@%2Frun%2Fpostgresql/auth",
                "postgres://%2Frun%2Fpostgresql/auth",
            ),
            (
                "postgres://auth@[::1]:5432/auth",
                "postgres://[::1]:5432/auth",
            ),
            ("sqlite://a/b.db", "sqlite://a/b.db"),
        ] {
            assert_eq!(database(url).unwrap().to_string(), shown);
        }
        let route = mail_route("smtp://name:word@mail.example.org:2525?tls=required").unwrap();
        assert_eq!(route.to_string(), "smtp://mail.example.org:2525");
    }

    #[test]
    fn fault_d9_a_path_of_sqlite_with_parameters_is_refused() {
        for url in [
            "sqlite://x.db?mode=ro",
            "sqlite:x.db?immutable=1",
            "sqlite://?",
        ] {
            let problem = database(url).unwrap_err();
            assert!(problem.contains("without parameters"), "{problem}");
        }
    }
}
