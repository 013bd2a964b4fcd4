//! The settings, read and checked.

mod error;
mod keys;
mod report;
mod sources;
mod urls;
mod values;
mod warnings;

use std::net::{IpAddr, SocketAddr};
use std::num::{NonZeroU32, NonZeroUsize};
use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::time::Duration;

use auth_core::mail::Sender;
use auth_core::password::OnCheckFailure;
use auth_core::revocation::{Revocations, StalePolicy};
use auth_core::signature::Algorithm;
use auth_core::store::RevocationDelivery;
use auth_core::{
    AccessTokenVerifier, Argon2Params, EmailVerification, EngineBuilder, JwtKeys, PasswordPolicy,
    RegistrationMode, Rotation, SecretKey, SecretKeys, TakenNames, UsernamePolicy,
};
use auth_tower::cors::Origin as CorsOrigin;
use ipnet::IpNet;
use zeroize::Zeroizing;

pub use error::{ConfigError, Origin};
use sources::{Sources, problem};
use values::{
    address, bytes, count, database_pooling, duration, flag, is_local, log_filter,
    on_check_failure, public_url, revocation_feed, revocation_stale, usernames,
};

use crate::cli::Settings;
use crate::serve::Limits;

/// A login looks at all sessions of its user.
const MAX_SESSIONS: u32 = 10_000;

/// Usual tokens take 800 MB then.
const MAX_TOKEN_CACHE: usize = 1_000_000;

/// More would take more than a gigabyte.
const MAX_REVOCATIONS: usize = 10_000_000;

/// What is made for the first superuser has 43 characters, and must not be too short.
const ACCEPTED_MIN_LENGTHS: RangeInclusive<usize> = PasswordPolicy::MIN_CHARS..=40;

const DATABASE_CONNECTIONS: RangeInclusive<u32> = 2..=1_000;

/// How long a connection may be kept between requests.
const KEEP_ALIVES: RangeInclusive<Duration> = Duration::from_secs(1)..=Duration::from_secs(3_600);

const MAX_REFRESH_TTL: Duration = Duration::from_secs(3_650 * 24 * 3_600);

/// The settings of the server.
#[derive(Clone)]
#[non_exhaustive]
pub struct Config {
    /// Where to listen.
    pub bind: SocketAddr,
    /// Where to serve health and metrics, too.
    pub observe_bind: Option<SocketAddr>,
    /// The folder of the embedded database, its keys and its mails.
    pub data_dir: PathBuf,
    /// Where users and sessions are kept.
    pub database: Database,
    /// The file that the database's URL was read from, if it was.
    pub database_url_file: Option<PathBuf>,
    /// How many connections to PostgreSQL a node has.
    pub database_connections: u32,
    /// What a pooler between a node and PostgreSQL does.
    pub database_pooling: DatabasePooling,
    /// The secret of refresh and verification tokens; generated in the embedded mode.
    pub secret_keys: Option<SecretKeys>,
    /// Where the keys of access tokens come from.
    pub jwt_keys: JwtKeySource,
    /// The folder of asymmetric keys, if one is given.
    pub jwt_key_folder: Option<PathBuf>,
    /// The base of the links in mails, and the issuer; the address listened at if not set.
    pub public_url: Option<String>,
    /// How mails travel.
    pub mail: MailRoute,
    /// Who mails are from.
    pub mail_from: Sender,
    /// Whether users must verify their address.
    pub email_verification: EmailVerification,
    /// Who may make an account.
    pub registration: RegistrationMode,
    /// How long access tokens live.
    pub access_ttl: Duration,
    /// How long sessions live.
    pub refresh_ttl: Duration,
    /// How long they live without a refresh, if that is bounded.
    pub refresh_idle_ttl: Option<Duration>,
    /// How many sessions a user may have.
    pub max_sessions: NonZeroU32,
    /// Whether refresh tokens are replaced.
    pub rotation: Rotation,
    /// How nodes on PostgreSQL learn of what others have revoked.
    pub revocation_feed: RevocationDelivery,
    /// What happens to access tokens while a node does not learn of it.
    pub revocation_stale: StalePolicy,
    /// How many revocations are remembered.
    pub revocation_capacity: NonZeroUsize,
    /// How far apart clocks may be when access tokens are verified.
    pub clock_leeway: Duration,
    /// How many verified access tokens are remembered, if any.
    pub token_cache: Option<NonZeroUsize>,
    /// Which usernames new users may choose.
    pub usernames: UsernamePolicy,
    /// How many characters a new password has at least.
    pub password_min_length: usize,
    /// Words that must not make up a new password, beside the names in the public URL.
    pub password_context: Vec<String>,
    /// The list of breached passwords, which new passwords must not be in.
    pub breached_passwords: Option<PathBuf>,
    /// What happens to new passwords while that list cannot be read.
    pub breached_passwords_on_failure: OnCheckFailure,
    /// The folder of the templates of mails and pages that take the place of the built-in ones.
    pub templates: Option<PathBuf>,
    /// What new password hashes cost.
    pub argon2: Argon2Params,
    /// The threads that hash passwords.
    pub hash_threads: Option<NonZeroUsize>,
    /// How many passwords may wait for all threads together.
    pub hash_queue: Option<NonZeroUsize>,
    /// How long audit events stay.
    pub event_retention: Duration,
    /// Whether clients have budgets of requests.
    pub throttle: bool,
    /// Networks of proxies whose forwarded headers count.
    pub trusted_proxies: Vec<IpNet>,
    /// The certificate and the key to serve TLS with.
    pub tls: Option<(PathBuf, PathBuf)>,
    /// Whether a proxy in front of the server does TLS.
    pub behind_tls_proxy: bool,
    /// How long a connection is kept between requests.
    pub keep_alive: Duration,
    /// From which origins pages may call.
    pub cors_origins: Vec<CorsOrigin>,
    /// The largest body of a request, in bytes.
    pub max_body: usize,
    /// The groups of endpoints that are served beside the documented ones.
    pub endpoints: Vec<EndpointGroup>,
    /// What to log.
    pub log: String,
    /// Variables that look like settings and are Kubernetes' own.
    pub ignored_variables: Vec<String>,
}

/// How much of the settings a command needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Needs {
    /// All that a node needs to serve: secrets, the mail server, a safe address.
    Node,
    /// Only what is given: a job that migrates the database has no secrets.
    Part,
}

/// A group of endpoints that is served on demand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum EndpointGroup {
    /// What users do with their own accounts.
    Account,
    /// What superusers do to accounts and sessions, and the audit trail.
    Admin,
    /// The description of what is served.
    OpenApi,
}

impl EndpointGroup {
    /// The name in the settings.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Account => "account",
            Self::Admin => "admin",
            Self::OpenApi => "openapi",
        }
    }
}

/// Where users and sessions are kept.
#[derive(Clone)]
#[non_exhaustive]
pub enum Database {
    /// An SQLite file: keys and a first superuser are made where there are none.
    Sqlite(PathBuf),
    /// PostgreSQL: a production node, for which nothing is made up.
    Postgres(Zeroizing<String>),
}

/// What a pooler between a node and PostgreSQL does.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum DatabasePooling {
    /// A connection keeps its session; also without a pooler.
    #[default]
    Session,
    /// Each transaction gets another session.
    Transaction,
}

impl DatabasePooling {
    /// The name in the settings.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Session => "session",
            Self::Transaction => "transaction",
        }
    }
}

/// Where the keys of access tokens come from.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum JwtKeySource {
    /// Secrets of HS256; generated in the embedded mode where none are given.
    Secrets(Option<JwtKeys>),
    /// A folder of keys; the one in the data folder where none is given, with a generated key.
    Folder {
        /// What they are all for.
        algorithm: Algorithm,
        /// Where it is.
        path: Option<PathBuf>,
    },
}

/// How mails travel.
#[derive(Clone)]
#[non_exhaustive]
pub enum MailRoute {
    /// Into a folder.
    Folder(PathBuf),
    /// To a mail server.
    Smtp(Zeroizing<String>),
}

impl Config {
    /// Reads the settings from the flags, the file that they name, and the environment.
    ///
    /// # Errors
    ///
    /// [`ConfigError`] names the setting that cannot be used, and what was expected.
    pub fn load(
        flags: &Settings,
        environment: impl Iterator<Item = (String, String)>,
    ) -> Result<Self, ConfigError> {
        Self::load_for(Needs::Node, flags, environment)
    }

    /// As [`load`](Self::load), for a command that does not need all of it.
    ///
    /// # Errors
    ///
    /// [`ConfigError`], as there.
    pub fn load_for(
        needs: Needs,
        flags: &Settings,
        environment: impl Iterator<Item = (String, String)>,
    ) -> Result<Self, ConfigError> {
        let sources = Sources::read(flags, environment)?;
        let config = Self::read(&sources).and_then(|config| {
            config.check(&sources)?;
            if needs == Needs::Node {
                config.check_node(&sources)?;
            }
            Ok(config)
        });
        config.map_err(|error| sources.located(error))
    }

    fn read(sources: &Sources) -> Result<Self, ConfigError> {
        let data_dir = sources
            .text("data_dir")
            .map_or("./auth-data".into(), PathBuf::from);
        let database = sources
            .parsed("database_url", urls::database)?
            .unwrap_or_else(|| Database::Sqlite(data_dir.join("auth.sqlite3")));
        Ok(Self {
            bind: address(sources, "bind")?.unwrap_or(SocketAddr::from(([127, 0, 0, 1], 8000))),
            observe_bind: address(sources, "observe_bind")?,
            secret_keys: secret_keys(sources)?,
            jwt_keys: jwt_keys(sources)?,
            jwt_key_folder: sources.text("jwt_keys").map(PathBuf::from),
            public_url: sources.parsed("public_url", public_url)?,
            mail: sources
                .parsed("mail", urls::mail_route)?
                .unwrap_or_else(|| MailRoute::Folder(data_dir.join("outbox"))),
            mail_from: match sources.value("mail_from")? {
                Some(sender) => sender,
                None => "auth@localhost"
                    .parse()
                    .map_err(|error| problem("mail_from", error))?,
            },
            email_verification: match flag(sources, "require_verified_email")? {
                Some(false) => EmailVerification::Optional,
                Some(true) | None => EmailVerification::Required,
            },
            registration: registration(sources)?,
            access_ttl: duration(sources, "access_ttl")?.unwrap_or(Duration::from_secs(300)),
            refresh_ttl: duration(sources, "refresh_ttl")?
                .unwrap_or(Duration::from_secs(14 * 24 * 3600)),
            refresh_idle_ttl: duration(sources, "refresh_idle_ttl")?,
            max_sessions: max_sessions(sources)?,
            rotation: rotation(sources)?,
            database_url_file: sources.text("database_url_file").map(PathBuf::from),
            database_connections: database_connections(sources)?,
            database_pooling: sources
                .parsed("database_pooling", database_pooling)?
                .unwrap_or_default(),
            revocation_feed: sources
                .parsed("revocation_feed", revocation_feed)?
                .unwrap_or_default(),
            revocation_stale: sources
                .parsed("revocation_stale", revocation_stale)?
                .unwrap_or_default(),
            revocation_capacity: count(sources, "revocation_capacity", MAX_REVOCATIONS)?
                .unwrap_or(Revocations::DEFAULT_CAPACITY),
            clock_leeway: clock_leeway(sources)?,
            token_cache: count(sources, "token_cache", MAX_TOKEN_CACHE)?,
            usernames: sources.parsed("usernames", usernames)?.unwrap_or_default(),
            password_min_length: password_min_length(sources)?,
            password_context: password_context(sources)?,
            breached_passwords: sources.text("breached_passwords").map(PathBuf::from),
            breached_passwords_on_failure: sources
                .parsed("breached_passwords_on_failure", on_check_failure)?
                .unwrap_or(OnCheckFailure::Refuse),
            templates: sources.text("templates").map(PathBuf::from),
            argon2: sources.value("argon2")?.unwrap_or_default(),
            hash_threads: count(sources, "hash_threads", 1_024)?,
            hash_queue: count(sources, "hash_queue", 100_000)?,
            event_retention: duration(sources, "event_retention")?
                .unwrap_or(Duration::from_secs(90 * 24 * 3600)),
            throttle: flag(sources, "throttle")?.unwrap_or(true),
            trusted_proxies: sources
                .list("trusted_proxies")
                .map(|network| {
                    network
                        .parse()
                        .or_else(|_| network.parse().map(|address: IpAddr| address.into()))
                })
                .collect::<Result<_, _>>()
                .map_err(|_| {
                    problem(
                        "trusted_proxies",
                        "must be networks such as 10.0.0.0/8, separated by commas",
                    )
                })?,
            tls: tls(sources)?,
            behind_tls_proxy: flag(sources, "behind_tls_proxy")?.unwrap_or(false),
            keep_alive: keep_alive(sources)?,
            cors_origins: cors_origins(sources)?,
            max_body: sources.parsed("max_body", bytes)?.unwrap_or(16 * 1024),
            endpoints: endpoints(sources)?,
            log: sources
                .parsed("log", log_filter)?
                .unwrap_or_else(|| "info".to_owned()),
            ignored_variables: sources.ignored().to_vec(),
            database,
            data_dir,
        })
    }

    /// Whether nothing but this process keeps the data: then it may make its own keys.
    #[must_use]
    pub const fn is_embedded(&self) -> bool {
        matches!(self.database, Database::Sqlite(_))
    }

    /// Checks what more than one setting decides.
    fn check(&self, sources: &Sources) -> Result<(), ConfigError> {
        self.check_lifetimes()?;
        check_secrets(sources)
    }

    /// Checks what a node needs to serve.
    fn check_node(&self, sources: &Sources) -> Result<(), ConfigError> {
        self.check_reach()?;
        if self.database_pooling == DatabasePooling::Transaction
            && sources.text("revocation_feed") == Some("listen")
        {
            return Err(problem(
                "revocation_feed",
                "must be `poll` with AUTH_DATABASE_POOLING=transaction, through which nothing is heard",
            ));
        }
        if let (JwtKeySource::Secrets(_), Some(_)) = (&self.jwt_keys, &self.jwt_key_folder) {
            return Err(problem(
                "jwt_keys",
                "is for asymmetric keys: set AUTH_JWT_ALGORITHM to EdDSA, ES256 or RS256",
            ));
        }
        if self.is_embedded() {
            return Ok(());
        }
        let secrets: &[_] = match &self.jwt_keys {
            JwtKeySource::Secrets(_) => &["secret_key", "jwt_secret_key"],
            JwtKeySource::Folder { .. } => &["secret_key"],
        };
        for name in secrets {
            if sources.text(name).is_none() {
                return Err(problem(
                    name,
                    "is needed with PostgreSQL; make one with `openssl rand -base64 48`, \
                     the same for every node",
                ));
            }
        }
        if let JwtKeySource::Folder { path: None, .. } = &self.jwt_keys {
            return Err(problem(
                "jwt_keys",
                "is needed with PostgreSQL and asymmetric keys: a folder with the same keys \
                 for every node, made with `auth-server keys generate`",
            ));
        }
        if sources.text("mail").is_none() {
            return Err(problem(
                "mail",
                "is needed with PostgreSQL: smtps://… or folder:PATH",
            ));
        }
        Ok(())
    }

    fn check_lifetimes(&self) -> Result<(), ConfigError> {
        if !(Duration::from_secs(1)..=EngineBuilder::MAX_ACCESS_TTL).contains(&self.access_ttl) {
            return Err(problem("access_ttl", "must be from 1s to 60m"));
        }
        if !(self.access_ttl..=MAX_REFRESH_TTL).contains(&self.refresh_ttl) {
            return Err(problem(
                "refresh_ttl",
                "must be from AUTH_ACCESS_TTL to 3650d",
            ));
        }
        if let Some(idle_ttl) = self.refresh_idle_ttl
            && !(EngineBuilder::MIN_IDLE_TTL..=self.refresh_ttl).contains(&idle_ttl)
        {
            return Err(problem(
                "refresh_idle_ttl",
                "must be from 2h to AUTH_REFRESH_TTL",
            ));
        }
        match self.rotation {
            Rotation::On { grace } if grace > self.refresh_ttl => Err(problem(
                "refresh_grace",
                "must not be longer than AUTH_REFRESH_TTL",
            )),
            _ => Ok(()),
        }
    }

    /// What others can reach needs TLS, and links that say so.
    fn check_reach(&self) -> Result<(), ConfigError> {
        if !self.bind.ip().is_loopback() {
            if self.tls.is_none() && !self.behind_tls_proxy {
                return Err(problem(
                    "behind_tls_proxy",
                    "this address is reachable from other machines: set AUTH_TLS_CERT and AUTH_TLS_KEY, \
                     or say `true` here if a proxy in front of the server does TLS",
                ));
            }
            if self.public_url.is_none() {
                return Err(problem(
                    "public_url",
                    "is needed when the address is not 127.0.0.1",
                ));
            }
        }
        let in_reach = !self.bind.ip().is_loopback()
            || self.tls.is_some()
            || self.behind_tls_proxy
            || !self.is_embedded();
        match &self.public_url {
            Some(url) if in_reach && !url.starts_with("https://") && !is_local(url) => {
                Err(problem(
                    "public_url",
                    "must begin with https:// where others can reach the server",
                ))
            }
            _ => Ok(()),
        }
    }
}

/// One follows the revocations, and one serves requests.
fn database_connections(sources: &Sources) -> Result<u32, ConfigError> {
    let connections = sources.parsed("database_connections", |text| match text.parse() {
        Ok(connections) if DATABASE_CONNECTIONS.contains(&connections) => Ok(connections),
        _ => Err("must be a whole number from 2 to 1000"),
    })?;
    Ok(connections.unwrap_or(16))
}

fn secret_keys(sources: &Sources) -> Result<Option<SecretKeys>, ConfigError> {
    let Some(current) = sources.parsed("secret_key", SecretKey::parse)? else {
        return no_fallbacks_without(sources, "secret_key", "secret_key_fallbacks").map(|()| None);
    };
    let mut keys = SecretKeys::new(current);
    for fallback in sources.list("secret_key_fallbacks") {
        let fallback =
            SecretKey::parse(fallback).map_err(|error| problem("secret_key_fallbacks", error))?;
        keys = keys.add_fallback(fallback);
    }
    Ok(Some(keys))
}

fn jwt_keys(sources: &Sources) -> Result<JwtKeySource, ConfigError> {
    let algorithm = sources.value("jwt_algorithm")?.unwrap_or(Algorithm::Hs256);
    let path = sources.text("jwt_keys").map(PathBuf::from);
    if algorithm == Algorithm::Hs256 {
        return jwt_secrets(sources).map(JwtKeySource::Secrets);
    }
    for name in ["jwt_secret_key", "jwt_secret_key_fallbacks"] {
        if sources.text(name).is_some() {
            return Err(problem(
                name,
                format_args!("is for HS256, and AUTH_JWT_ALGORITHM says {algorithm}"),
            ));
        }
    }
    Ok(JwtKeySource::Folder { algorithm, path })
}

fn jwt_secrets(sources: &Sources) -> Result<Option<JwtKeys>, ConfigError> {
    let Some(current) = sources.parsed("jwt_secret_key", SecretKey::parse)? else {
        return no_fallbacks_without(sources, "jwt_secret_key", "jwt_secret_key_fallbacks")
            .map(|()| None);
    };
    let mut keys = JwtKeys::hs256(current);
    for fallback in sources.list("jwt_secret_key_fallbacks") {
        let fallback = SecretKey::parse(fallback)
            .map_err(|error| problem("jwt_secret_key_fallbacks", error))?;
        let more = keys.add_fallback(fallback);
        keys = more.map_err(|error| problem("jwt_secret_key_fallbacks", error))?;
    }
    Ok(Some(keys))
}

/// Who shares the key of the access tokens, to verify them, must not be able to make the others.
fn check_secrets(sources: &Sources) -> Result<(), ConfigError> {
    let ours = sources.text("secret_key").into_iter();
    let ours: Vec<_> = ours.chain(sources.list("secret_key_fallbacks")).collect();
    let current = sources.text("jwt_secret_key").into_iter();
    let current = current.map(|secret| ("jwt_secret_key", secret));
    let fallbacks = sources.list("jwt_secret_key_fallbacks");
    let fallbacks = fallbacks.map(|secret| ("jwt_secret_key_fallbacks", secret));
    match current.chain(fallbacks).find(|(_, it)| ours.contains(it)) {
        None => Ok(()),
        Some((name, _)) => Err(problem(
            name,
            "is a secret of SECRET_KEY, too; make another with `openssl rand -base64 48`",
        )),
    }
}

fn no_fallbacks_without(
    sources: &Sources,
    current: &'static str,
    fallbacks: &'static str,
) -> Result<(), ConfigError> {
    if sources.text(fallbacks).is_some() {
        return Err(problem(current, "is needed where there are fallbacks"));
    }
    Ok(())
}

fn max_sessions(sources: &Sources) -> Result<NonZeroU32, ConfigError> {
    let most = sources.parsed("max_sessions", |text| match text.parse::<NonZeroU32>() {
        Ok(most) if most.get() <= MAX_SESSIONS => Ok(most),
        _ => Err(format!("must be a whole number from 1 to {MAX_SESSIONS}")),
    })?;
    Ok(most.unwrap_or(EngineBuilder::DEFAULT_MAX_SESSIONS_PER_USER))
}

fn password_min_length(sources: &Sources) -> Result<usize, ConfigError> {
    let least = sources.parsed("password_min_length", |text| match text.parse() {
        Ok(least) if ACCEPTED_MIN_LENGTHS.contains(&least) => Ok(least),
        _ => Err("must be a whole number from 8 to 40"),
    })?;
    Ok(least.unwrap_or(PasswordPolicy::MIN_CHARS))
}

fn password_context(sources: &Sources) -> Result<Vec<String>, ConfigError> {
    let words: Vec<_> = sources
        .list("password_context")
        .map(str::to_owned)
        .collect();
    // The policy finds a shorter word nowhere but as the whole password.
    if words.iter().any(|word| word.chars().count() < 4) {
        return Err(problem(
            "password_context",
            "must be words of at least 4 characters, separated by commas",
        ));
    }
    Ok(words)
}

fn registration(sources: &Sources) -> Result<RegistrationMode, ConfigError> {
    let taken_names = match flag(sources, "registration_hide_names")? {
        Some(true) => TakenNames::Hidden,
        Some(false) | None => TakenNames::Told,
    };
    let mode = sources.parsed("registration", |mode| match mode {
        "superuser" => Ok(RegistrationMode::Superuser),
        "open" => Ok(RegistrationMode::Open { taken_names }),
        "invitation" => Ok(RegistrationMode::Invitation),
        "closed" => Ok(RegistrationMode::Closed),
        _ => Err("must be `superuser`, `open`, `invitation` or `closed`"),
    })?;
    Ok(mode.unwrap_or_default())
}

fn rotation(sources: &Sources) -> Result<Rotation, ConfigError> {
    let grace = duration(sources, "refresh_grace")?;
    match flag(sources, "refresh_rotation")? {
        Some(true) => Ok(Rotation::On {
            grace: grace.unwrap_or(Rotation::DEFAULT_GRACE),
        }),
        Some(false) | None => Ok(Rotation::Off),
    }
}

fn tls(sources: &Sources) -> Result<Option<(PathBuf, PathBuf)>, ConfigError> {
    match (sources.text("tls_cert"), sources.text("tls_key")) {
        (Some(cert), Some(key)) => Ok(Some((cert.into(), key.into()))),
        (None, None) => Ok(None),
        (Some(_), None) => Err(problem("tls_key", "is needed where AUTH_TLS_CERT is set")),
        (None, Some(_)) => Err(problem("tls_cert", "is needed where AUTH_TLS_KEY is set")),
    }
}

fn clock_leeway(sources: &Sources) -> Result<Duration, ConfigError> {
    let leeway = duration(sources, "clock_leeway")?.unwrap_or(AccessTokenVerifier::LEEWAY);
    if leeway > AccessTokenVerifier::MAX_LEEWAY {
        return Err(problem("clock_leeway", "must be from 0 to 60s"));
    }
    Ok(leeway)
}

fn keep_alive(sources: &Sources) -> Result<Duration, ConfigError> {
    let keep_alive = duration(sources, "keep_alive")?.unwrap_or(Limits::default().keep_alive);
    if !KEEP_ALIVES.contains(&keep_alive) {
        return Err(problem("keep_alive", "must be from 1s to 1h"));
    }
    Ok(keep_alive)
}

fn cors_origins(sources: &Sources) -> Result<Vec<CorsOrigin>, ConfigError> {
    let origins = sources.list("cors_origins").map(|origin| {
        let refused = |error| problem("cors_origins", format_args!("`{origin}`: {error}"));
        origin.parse().map_err(refused)
    });
    origins.collect()
}

fn endpoints(sources: &Sources) -> Result<Vec<EndpointGroup>, ConfigError> {
    let groups = sources.list("endpoints").map(|group| match group {
        "account" => Ok(EndpointGroup::Account),
        "admin" => Ok(EndpointGroup::Admin),
        "openapi" => Ok(EndpointGroup::OpenApi),
        _ => Err(problem(
            "endpoints",
            format_args!("there is no group `{group}`; there are `account`, `admin` and `openapi`"),
        )),
    });
    groups.collect()
}

#[cfg(test)]
mod tests;
