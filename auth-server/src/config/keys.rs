//! The settings' names, and where they come from.

use std::net::IpAddr;

/// A setting that can be given.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Key {
    /// Its name in the TOML file.
    pub(super) name: &'static str,
    /// Its name in the environment.
    pub(super) variable: &'static str,
    /// Whether its value must stay with the owner.
    pub(super) is_secret: bool,
}

const fn key(name: &'static str, variable: &'static str) -> Key {
    Key {
        name,
        variable,
        is_secret: false,
    }
}

const fn secret(name: &'static str, variable: &'static str) -> Key {
    Key {
        name,
        variable,
        is_secret: true,
    }
}

#[rustfmt::skip]
pub(super) static KEYS: &[Key] = &[
    key("access_ttl", "AUTH_ACCESS_TTL"),
    key("argon2", "AUTH_ARGON2"),
    key("behind_tls_proxy", "AUTH_BEHIND_TLS_PROXY"),
    key("bind", "AUTH_BIND"),
    key("breached_passwords", "AUTH_BREACHED_PASSWORDS"),
    key("breached_passwords_on_failure", "AUTH_BREACHED_PASSWORDS_ON_FAILURE"),
    key("clock_leeway", "AUTH_CLOCK_LEEWAY"),
    key("cors_origins", "AUTH_CORS_ORIGINS"),
    key("data_dir", "AUTH_DATA_DIR"),
    key("database_connections", "AUTH_DATABASE_CONNECTIONS"),
    key("database_pooling", "AUTH_DATABASE_POOLING"),
    secret("database_url", "DATABASE_URL"),
    key("database_url_file", "DATABASE_URL_FILE"),
    key("endpoints", "AUTH_ENDPOINTS"),
    key("event_retention", "AUTH_EVENT_RETENTION"),
    key("hash_queue", "AUTH_HASH_QUEUE"),
    key("hash_threads", "AUTH_HASH_THREADS"),
    key("jwt_algorithm", "AUTH_JWT_ALGORITHM"),
    key("jwt_keys", "AUTH_JWT_KEYS"),
    secret("jwt_secret_key", "JWT_SECRET_KEY"),
    secret("jwt_secret_key_fallbacks", "JWT_SECRET_KEY_FALLBACKS"),
    key("jwt_secret_key_fallbacks_file", "JWT_SECRET_KEY_FALLBACKS_FILE"),
    key("jwt_secret_key_file", "JWT_SECRET_KEY_FILE"),
    key("keep_alive", "AUTH_KEEP_ALIVE"),
    key("log", "AUTH_LOG"),
    secret("mail", "AUTH_MAIL"),
    key("mail_file", "AUTH_MAIL_FILE"),
    key("mail_from", "AUTH_MAIL_FROM"),
    key("max_body", "AUTH_MAX_BODY"),
    key("max_sessions", "AUTH_MAX_SESSIONS"),
    key("observe_bind", "AUTH_OBSERVE_BIND"),
    key("password_context", "AUTH_PASSWORD_CONTEXT"),
    key("password_min_length", "AUTH_PASSWORD_MIN_LENGTH"),
    key("public_url", "AUTH_PUBLIC_URL"),
    key("refresh_grace", "AUTH_REFRESH_GRACE"),
    key("refresh_idle_ttl", "AUTH_REFRESH_IDLE_TTL"),
    key("refresh_rotation", "AUTH_REFRESH_ROTATION"),
    key("refresh_ttl", "AUTH_REFRESH_TTL"),
    key("registration", "AUTH_REGISTRATION"),
    key("registration_hide_names", "AUTH_REGISTRATION_HIDE_NAMES"),
    key("require_verified_email", "AUTH_REQUIRE_VERIFIED_EMAIL"),
    key("revocation_capacity", "AUTH_REVOCATION_CAPACITY"),
    key("revocation_feed", "AUTH_REVOCATION_FEED"),
    key("revocation_stale", "AUTH_REVOCATION_STALE"),
    secret("secret_key", "SECRET_KEY"),
    secret("secret_key_fallbacks", "SECRET_KEY_FALLBACKS"),
    key("secret_key_fallbacks_file", "SECRET_KEY_FALLBACKS_FILE"),
    key("secret_key_file", "SECRET_KEY_FILE"),
    key("templates", "AUTH_TEMPLATES"),
    key("throttle", "AUTH_THROTTLE"),
    key("tls_cert", "AUTH_TLS_CERT"),
    key("tls_key", "AUTH_TLS_KEY"),
    key("token_cache", "AUTH_TOKEN_CACHE"),
    key("trusted_proxies", "AUTH_TRUSTED_PROXIES"),
    key("usernames", "AUTH_USERNAMES"),
];

impl Key {
    /// The setting that names a file with the value of this one, if it is a secret.
    pub(super) fn in_file(&self) -> Option<&'static Self> {
        let name_of = |key: &Self| key.name.strip_suffix("_file") == Some(self.name);
        KEYS.iter().find(|key| self.is_secret && name_of(key))
    }
}

/// Variables of the same prefix that are no settings.
static OTHER_VARIABLES: &[&str] = &["AUTH_SUPERUSER_PASSWORD", "AUTH_USER_PASSWORD"];

/// Finds the setting that a variable gives.
pub(super) fn of_variable(variable: &str) -> Option<&'static Key> {
    KEYS.iter().find(|key| key.variable == variable)
}

/// Finds the setting with this name in the TOML file.
pub(super) fn of_name(name: &str) -> Option<&'static Key> {
    KEYS.iter().find(|key| key.name == name)
}

/// Whether a variable looks like one of ours but is none: then it is misspelt.
pub(super) fn is_misspelt(variable: &str) -> bool {
    ["AUTH_", "SECRET_KEY", "JWT_SECRET"]
        .iter()
        .any(|ours| variable.starts_with(ours))
        && of_variable(variable).is_none()
        && !OTHER_VARIABLES.contains(&variable)
}

/// Whether Kubernetes has put the variable there, as it does in every container for each service of
/// the namespace: those of a service named `auth`, or `auth-…`, look like ours.
pub(super) fn is_of_kubernetes(variable: &str, value: &str) -> bool {
    let is_port = |text: &str| text.parse::<u16>().is_ok();
    let is_protocol = |text: &str| ["TCP", "UDP", "SCTP"].contains(&text);
    let is_url = ["tcp://", "udp://", "sctp://"]
        .iter()
        .any(|scheme| value.starts_with(scheme));
    if variable.ends_with("_SERVICE_HOST") {
        return value.parse::<IpAddr>().is_ok();
    }
    if let Some((_, name)) = variable.split_once("_SERVICE_PORT") {
        return is_port(value) && (name.is_empty() || name.starts_with('_'));
    }
    if variable.ends_with("_PORT") && is_url {
        return true;
    }
    let Some((_, port)) = variable.split_once("_PORT_") else {
        return false;
    };
    let mut parts = port.split('_');
    let names_a_port = parts.next().is_some_and(is_port) && parts.next().is_some_and(is_protocol);
    let is_whole = match parts.next() {
        None => is_url,
        Some("PROTO") => ["tcp", "udp", "sctp"].contains(&value),
        Some("PORT") => is_port(value),
        Some("ADDR") => value.parse::<IpAddr>().is_ok(),
        Some(_) => false,
    };
    names_a_port && is_whole && parts.next().is_none()
}

/// What other programs call the address to listen at.
static OTHER_NAMES: &[(&str, &str)] = &[
    ("AUTH_ADDR", "AUTH_BIND"),
    ("AUTH_ADDRESS", "AUTH_BIND"),
    ("AUTH_HOST", "AUTH_BIND"),
    ("AUTH_LISTEN", "AUTH_BIND"),
    ("AUTH_PORT", "AUTH_BIND"),
];

/// The known name that comes nearest to a misspelt one.
pub(super) fn nearest(misspelt: &str, known: impl Iterator<Item = &'static str>) -> &'static str {
    if let Some((_, meant)) = OTHER_NAMES.iter().find(|(name, _)| *name == misspelt) {
        return meant;
    }
    known
        .min_by_key(|name| strsim::damerau_levenshtein(name, misspelt))
        .unwrap_or_default()
}
