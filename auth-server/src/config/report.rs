//! The effective settings, for the operator's eyes: secrets hidden.

use std::fmt;

use auth_core::password::OnCheckFailure;
use auth_core::revocation::StalePolicy;
use auth_core::signature::Algorithm;
use auth_core::store::RevocationDelivery;
use auth_core::{RegistrationMode, TakenNames, UsernamePolicy};

use super::urls::without_secrets;
use super::{Config, Database, DatabasePooling, JwtKeySource, MailRoute};

impl Config {
    /// The settings as lines of a name and a value, without secrets.
    #[must_use]
    pub fn report(&self) -> Vec<(&'static str, String)> {
        let keys = |given: bool| {
            if given {
                "given"
            } else {
                "generated in the data folder"
            }
        };
        let duration = |time| humantime::format_duration(time).to_string();
        let or_default = |count: Option<std::num::NonZeroUsize>, default: &str| {
            count.map_or_else(|| default.to_owned(), |count| count.to_string())
        };
        let endpoints: Vec<_> = self.endpoints.iter().map(|group| group.name()).collect();
        let proxies: Vec<String> = self
            .trusted_proxies
            .iter()
            .map(ToString::to_string)
            .collect();
        let cors_origins = self.cors_origins.iter().map(ToString::to_string);
        let cors_origins: Vec<String> = cors_origins.collect();
        let feed = match (self.revocation_feed, self.database_pooling) {
            (RevocationDelivery::Poll, _) | (_, DatabasePooling::Transaction) => "poll",
            _ => "listen",
        };
        let stale = match self.revocation_stale {
            StalePolicy::Refuse => "refuse",
            _ => "accept",
        };
        let registration = match self.registration {
            RegistrationMode::Open { .. } => "open",
            RegistrationMode::Invitation => "invitation",
            RegistrationMode::Closed => "closed",
            _ => "superuser",
        };
        let hides_names = matches!(
            self.registration,
            RegistrationMode::Open {
                taken_names: TakenNames::Hidden
            }
        );
        let (algorithm, jwt_secret, jwt_folder) = match &self.jwt_keys {
            JwtKeySource::Secrets(given) => {
                (Algorithm::Hs256, keys(given.is_some()), "none".to_owned())
            }
            JwtKeySource::Folder { algorithm, path } => {
                let path = path.as_ref().map(|path| path.display().to_string());
                let path = path.unwrap_or_else(|| keys(false).to_owned());
                (*algorithm, "none", path)
            }
        };
        let usernames = match self.usernames {
            UsernamePolicy::Unicode => "unicode",
            _ => "ascii",
        };
        let on_check_failure = match self.breached_passwords_on_failure {
            OnCheckFailure::Accept => "accept",
            _ => "refuse",
        };
        vec![
            ("AUTH_BIND", self.bind.to_string()),
            (
                "AUTH_OBSERVE_BIND",
                self.observe_bind
                    .map_or_else(|| "none".to_owned(), |address| address.to_string()),
            ),
            (
                "AUTH_PUBLIC_URL",
                self.public_url
                    .clone()
                    .unwrap_or_else(|| "the address".to_owned()),
            ),
            ("AUTH_DATA_DIR", self.data_dir.display().to_string()),
            ("DATABASE_URL", self.database.to_string()),
            (
                "AUTH_DATABASE_CONNECTIONS",
                self.database_connections.to_string(),
            ),
            (
                "AUTH_DATABASE_POOLING",
                self.database_pooling.name().to_owned(),
            ),
            ("SECRET_KEY", keys(self.secret_keys.is_some()).to_owned()),
            ("AUTH_JWT_ALGORITHM", algorithm.to_string()),
            ("JWT_SECRET_KEY", jwt_secret.to_owned()),
            ("AUTH_JWT_KEYS", jwt_folder),
            ("AUTH_MAIL", self.mail.to_string()),
            ("AUTH_MAIL_FROM", format!("{:?}", self.mail_from)),
            (
                "AUTH_REQUIRE_VERIFIED_EMAIL",
                format!("{:?}", self.email_verification),
            ),
            ("AUTH_REGISTRATION", registration.to_owned()),
            ("AUTH_REGISTRATION_HIDE_NAMES", hides_names.to_string()),
            ("AUTH_ACCESS_TTL", duration(self.access_ttl)),
            ("AUTH_REFRESH_TTL", duration(self.refresh_ttl)),
            (
                "AUTH_REFRESH_IDLE_TTL",
                self.refresh_idle_ttl
                    .map_or_else(|| "none".to_owned(), duration),
            ),
            ("AUTH_MAX_SESSIONS", self.max_sessions.to_string()),
            ("AUTH_REFRESH_ROTATION", format!("{:?}", self.rotation)),
            ("AUTH_REVOCATION_FEED", feed.to_owned()),
            ("AUTH_REVOCATION_STALE", stale.to_owned()),
            (
                "AUTH_REVOCATION_CAPACITY",
                self.revocation_capacity.to_string(),
            ),
            ("AUTH_CLOCK_LEEWAY", duration(self.clock_leeway)),
            ("AUTH_TOKEN_CACHE", or_default(self.token_cache, "none")),
            ("AUTH_USERNAMES", usernames.to_owned()),
            (
                "AUTH_PASSWORD_MIN_LENGTH",
                format!("{} characters", self.password_min_length),
            ),
            ("AUTH_PASSWORD_CONTEXT", self.password_context.join(",")),
            (
                "AUTH_BREACHED_PASSWORDS",
                self.breached_passwords
                    .as_ref()
                    .map_or_else(|| "none".to_owned(), |path| path.display().to_string()),
            ),
            (
                "AUTH_BREACHED_PASSWORDS_ON_FAILURE",
                on_check_failure.to_owned(),
            ),
            (
                "AUTH_TEMPLATES",
                self.templates
                    .as_ref()
                    .map_or_else(|| "none".to_owned(), |path| path.display().to_string()),
            ),
            ("AUTH_ARGON2", self.argon2.to_string()),
            (
                "AUTH_HASH_THREADS",
                or_default(self.hash_threads, "as many as cores"),
            ),
            (
                "AUTH_HASH_QUEUE",
                or_default(self.hash_queue, "64 for each thread"),
            ),
            ("AUTH_THROTTLE", self.throttle.to_string()),
            ("AUTH_TRUSTED_PROXIES", proxies.join(",")),
            (
                "AUTH_TLS_CERT",
                self.tls
                    .as_ref()
                    .map(|(cert, _)| cert.display().to_string())
                    .unwrap_or_default(),
            ),
            ("AUTH_BEHIND_TLS_PROXY", self.behind_tls_proxy.to_string()),
            ("AUTH_KEEP_ALIVE", duration(self.keep_alive)),
            ("AUTH_CORS_ORIGINS", cors_origins.join(",")),
            ("AUTH_MAX_BODY", format!("{} bytes", self.max_body)),
            ("AUTH_ENDPOINTS", endpoints.join(",")),
            ("AUTH_LOG", self.log.clone()),
        ]
    }
}

impl fmt::Debug for Config {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.report()).finish()
    }
}

impl fmt::Display for Database {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Sqlite(path) => write!(f, "sqlite://{}", path.display()),
            Self::Postgres(url) => f.write_str(&without_secrets(url)),
        }
    }
}

impl fmt::Debug for Database {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Database({self})")
    }
}

impl fmt::Display for MailRoute {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Folder(path) => write!(f, "folder:{}", path.display()),
            Self::Smtp(url) => f.write_str(&without_secrets(url)),
        }
    }
}

impl fmt::Debug for MailRoute {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "MailRoute({self})")
    }
}
