//! The settings of an engine.

use std::num::{NonZeroU32, NonZeroUsize};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Notify;

use super::refresh_rules::RefreshRules;
use super::{EmailVerification, Engine, Inner, LoginThrottle, Rotation};
use crate::audit::{AuditHook, AuditTrail};
use crate::claims::{ClaimsHook, SharedHook};
use crate::database_clock::DatabaseClock;
use crate::housekeeping::Retention;
use crate::mail::{LinkLifetimes, MailLinks, MailTemplates};
use crate::revocation::{Revocations, StalePolicy};
use crate::store::Store;
use crate::token::{AccessTokenIssuer, RefreshTokens, ThrottleKeys, TokenScope};
use crate::{
    AccessTokenVerifier, Clock, JwtKeys, PasswordHasher, PasswordPolicy, RegistrationMode,
    SecretKeys, SystemClock, UsernamePolicy, VerifyingKeys,
};

/// Names that a stranger could take for the service itself (RFC 2142 among others).
const RESERVED_USERNAMES: &[&str] = &[
    "abuse",
    "administrator",
    "anonymous",
    "daemon",
    "hostmaster",
    "mailer-daemon",
    "no-reply",
    "nobody",
    "noreply",
    "null",
    "operator",
    "postmaster",
    "root",
    "security",
    "superuser",
    "support",
    "system",
    "undefined",
    "webmaster",
];

/// Where the time comes from.
#[derive(Debug)]
enum TimeSource {
    /// The node's clock, corrected by the database's.
    Node(Arc<dyn Clock>),
    /// A clock that is used as it is.
    Given(Arc<dyn Clock>),
}

/// Builds an [`Engine`]; every setting has a safe default.
#[derive(Debug)]
#[must_use]
pub struct EngineBuilder {
    store: Arc<dyn Store>,
    secret_keys: SecretKeys,
    jwt_keys: JwtKeys,
    public_url: String,
    issuer: Option<String>,
    audience: Option<String>,
    client_id: String,
    access_ttl: Duration,
    refresh_ttl: Duration,
    links: LinkLifetimes,
    rotation: Rotation,
    idle_ttl: Option<Duration>,
    max_sessions: NonZeroU32,
    retention: Retention,
    email_verification: EmailVerification,
    registration: RegistrationMode,
    hasher: Option<PasswordHasher>,
    policy: PasswordPolicy,
    usernames: UsernamePolicy,
    reserved_usernames: Vec<String>,
    templates: MailTemplates,
    time: TimeSource,
    clock_leeway: Duration,
    claims_hook: Option<SharedHook>,
    trail: AuditTrail,
    when_stale: StalePolicy,
    revocation_capacity: NonZeroUsize,
    token_cache: Option<NonZeroUsize>,
    login_throttle: LoginThrottle,
}

impl EngineBuilder {
    /// The longest an access token may live: a stolen one cannot be called back by everybody.
    pub const MAX_ACCESS_TTL: Duration = Duration::from_secs(3600);

    /// The shortest idle lifetime: uses are noted once an hour.
    pub const MIN_IDLE_TTL: Duration = Duration::from_secs(2 * 3600);

    /// The longest a link to choose a new password may be good.
    pub const MAX_PASSWORD_RESET_TTL: Duration = Duration::from_secs(24 * 3600);

    /// How many sessions a user may have who is not told otherwise.
    pub const DEFAULT_MAX_SESSIONS_PER_USER: NonZeroU32 =
        NonZeroU32::new(100).expect("100 is not zero");

    pub(super) fn new(store: Arc<dyn Store>, secret_keys: SecretKeys, jwt_keys: JwtKeys) -> Self {
        Self {
            store,
            secret_keys,
            jwt_keys,
            public_url: "http://127.0.0.1:8000".to_owned(),
            issuer: None,
            audience: None,
            client_id: "auth".to_owned(),
            access_ttl: Duration::from_secs(5 * 60),
            refresh_ttl: Duration::from_secs(14 * 24 * 3600),
            links: LinkLifetimes {
                verification: Duration::from_secs(24 * 3600),
                password_reset: Duration::from_secs(3600),
                email_undo: Duration::from_secs(24 * 3600),
                invitation: Duration::from_secs(7 * 24 * 3600),
            },
            rotation: Rotation::Off,
            idle_ttl: None,
            max_sessions: Self::DEFAULT_MAX_SESSIONS_PER_USER,
            retention: Retention {
                sessions: Duration::from_secs(30 * 24 * 3600),
                events: Duration::from_secs(90 * 24 * 3600),
            },
            email_verification: EmailVerification::Required,
            registration: RegistrationMode::default(),
            hasher: None,
            policy: PasswordPolicy::default(),
            usernames: UsernamePolicy::default(),
            reserved_usernames: RESERVED_USERNAMES
                .iter()
                .map(|&name| name.to_owned())
                .collect(),
            templates: MailTemplates::default(),
            time: TimeSource::Node(Arc::new(SystemClock)),
            clock_leeway: AccessTokenVerifier::LEEWAY,
            claims_hook: None,
            trail: AuditTrail::default(),
            when_stale: StalePolicy::Accept,
            revocation_capacity: Revocations::DEFAULT_CAPACITY,
            token_cache: None,
            login_throttle: LoginThrottle::default(),
        }
    }

    /// The base of the links in mails (default `http://127.0.0.1:8000`).
    pub fn with_public_url(mut self, url: impl Into<String>) -> Self {
        self.public_url = url.into();
        self
    }

    /// The `iss` of access tokens (default: the public URL).
    pub fn with_issuer(mut self, issuer: impl Into<String>) -> Self {
        self.issuer = Some(issuer.into());
        self
    }

    /// The `aud` of access tokens (default: the issuer).
    pub fn with_audience(mut self, audience: impl Into<String>) -> Self {
        self.audience = Some(audience.into());
        self
    }

    /// The `client_id` of access tokens (default `auth`).
    pub fn with_client_id(mut self, client_id: impl Into<String>) -> Self {
        self.client_id = client_id.into();
        self
    }

    /// How long access tokens live (default 5 minutes, at most an hour).
    ///
    /// Each lives up to 5 % shorter than that, by chance, so that clients that logged in together
    /// do not refresh together for ever.
    pub fn with_access_ttl(mut self, ttl: Duration) -> Self {
        self.access_ttl = ttl;
        self
    }

    /// How long a session lives, however often it is refreshed (default 14 days).
    ///
    /// Each lives up to 5 % shorter than that, by chance, as access tokens do.
    pub fn with_refresh_ttl(mut self, ttl: Duration) -> Self {
        self.refresh_ttl = ttl;
        self
    }

    /// How long a session lives without a refresh (default: as long as with one; at least 2
    /// hours). It never lengthens a session's life.
    ///
    /// Without rotation a use is noted at most once an hour, so that a session may end up to an
    /// hour early.
    pub fn with_idle_ttl(mut self, ttl: Duration) -> Self {
        self.idle_ttl = Some(ttl);
        self
    }

    /// How many live sessions a user may have (default 100); a login beyond ends the oldest.
    pub fn with_max_sessions_per_user(mut self, most: NonZeroU32) -> Self {
        self.max_sessions = most;
        self
    }

    /// How long a session is kept after it has expired, revoked or not (default 30 days).
    ///
    /// It serves the operator's questions only: a refresh token whose session is gone is refused
    /// as one whose session has ended.
    pub fn with_session_retention(mut self, retention: Duration) -> Self {
        self.retention.sessions = retention;
        self
    }

    /// How long audit events stay (default 90 days).
    pub fn with_event_retention(mut self, retention: Duration) -> Self {
        self.retention.events = retention;
        self
    }

    /// How long a link is good that verifies an address, or a new one (default 24 hours).
    pub fn with_verification_ttl(mut self, ttl: Duration) -> Self {
        self.links.verification = ttl;
        self
    }

    /// How long a link to choose a new password is good (default an hour, at most a day).
    pub fn with_password_reset_ttl(mut self, ttl: Duration) -> Self {
        self.links.password_reset = ttl;
        self
    }

    /// How long an invitation is good (default 7 days).
    pub fn with_invitation_ttl(mut self, ttl: Duration) -> Self {
        self.links.invitation = ttl;
        self
    }

    /// Who may make an account (default: [`RegistrationMode::Superuser`]).
    pub fn with_registration(mut self, mode: RegistrationMode) -> Self {
        self.registration = mode;
        self
    }

    /// Whether a refresh replaces the refresh token (default: [`Rotation::Off`]).
    pub fn with_rotation(mut self, rotation: Rotation) -> Self {
        self.rotation = rotation;
        self
    }

    /// Whether users must verify their address to log in (default: [`EmailVerification::Required`]).
    pub fn with_email_verification(mut self, verification: EmailVerification) -> Self {
        self.email_verification = verification;
        self
    }

    /// The threads that hash passwords (default: as many as cores, OWASP's parameters).
    pub fn with_password_hasher(mut self, hasher: PasswordHasher) -> Self {
        self.hasher = Some(hasher);
        self
    }

    /// What passwords may be (default: at least 8 characters, none of the common ones).
    pub fn with_password_policy(mut self, policy: PasswordPolicy) -> Self {
        self.policy = policy;
        self
    }

    /// Which usernames new users may choose (default: [`UsernamePolicy::Ascii`]).
    ///
    /// Before an engine with [`UsernamePolicy::Unicode`] serves, call
    /// [`fill_username_skeletons`](Engine::fill_username_skeletons): users who are there already are
    /// not compared before.
    pub fn with_username_policy(mut self, policy: UsernamePolicy) -> Self {
        self.usernames = policy;
        self
    }

    /// The names that cannot be registered, in place of the built-in list.
    pub fn with_reserved_usernames<N: Into<String>>(
        mut self,
        names: impl IntoIterator<Item = N>,
    ) -> Self {
        self.reserved_usernames = names.into_iter().map(Into::into).collect();
        self
    }

    /// What the mails say.
    pub fn with_mail_templates(mut self, templates: MailTemplates) -> Self {
        self.templates = templates;
        self
    }

    /// Takes the time from this clock, whatever the database's clock shows: for tests, and for
    /// hosts that keep the clocks of all nodes in step themselves. Nothing then notices a clock
    /// that is wrong.
    ///
    /// By default it is the database's time: see [`with_node_clock`](Self::with_node_clock).
    pub fn with_clock(mut self, clock: Arc<dyn Clock>) -> Self {
        self.time = TimeSource::Given(clock);
        self
    }

    /// The clock of this node (default: [`SystemClock`]). The engine corrects it by the database's
    /// clock, which the [follower](Engine::revocation_follower) and [`Engine::set_clock`] read.
    pub fn with_node_clock(mut self, clock: Arc<dyn Clock>) -> Self {
        self.time = TimeSource::Node(clock);
        self
    }

    /// How far apart the clocks of the issuer and of the verifier of an access token may be
    /// (default 5 seconds, at most a minute).
    pub fn with_clock_leeway(mut self, leeway: Duration) -> Self {
        self.clock_leeway = leeway;
        self
    }

    /// Who adds claims to access tokens (default: nobody).
    pub fn with_claims_hook(mut self, hook: Arc<dyn ClaimsHook>) -> Self {
        self.claims_hook = Some(SharedHook(hook));
        self
    }

    /// Who hears of every audit event, beside the store and `tracing` (default: nobody).
    pub fn with_audit_hook(mut self, hook: Arc<dyn AuditHook>) -> Self {
        self.trail = AuditTrail::new(hook);
        self
    }

    /// What verifiers do while this node does not know what was revoked lately (default:
    /// [`StalePolicy::Accept`]).
    pub fn with_stale_policy(mut self, policy: StalePolicy) -> Self {
        self.when_stale = policy;
        self
    }

    /// How many revocations this node remembers (default 200,000), about 100 bytes each. When they
    /// are more, it forgets those that it would forget first anyway, and refuses the access tokens
    /// that they may concern: clients refresh once.
    pub fn with_revocation_capacity(mut self, capacity: NonZeroUsize) -> Self {
        self.revocation_capacity = capacity;
        self
    }

    /// How many verified access tokens the [verifier](Engine::access_token_verifier) remembers
    /// (default: none): see [`AccessTokenVerifier::with_token_cache`].
    pub fn with_token_cache(mut self, capacity: NonZeroUsize) -> Self {
        self.token_cache = Some(capacity);
        self
    }

    /// How many logins may fail before there is a wait.
    pub fn with_login_throttle(mut self, throttle: LoginThrottle) -> Self {
        self.login_throttle = throttle;
        self
    }

    /// Builds the engine and starts its hashing threads.
    ///
    /// # Errors
    ///
    /// [`SettingsError`] names the setting that cannot be used.
    pub fn build(self) -> Result<Engine, SettingsError> {
        if self.access_ttl < Duration::from_secs(1) || self.access_ttl > Self::MAX_ACCESS_TTL {
            return Err(SettingsError::AccessTtl);
        }
        if self.refresh_ttl < self.access_ttl {
            return Err(SettingsError::RefreshTtl);
        }
        if self.idle_ttl.is_some_and(|ttl| ttl < Self::MIN_IDLE_TTL) {
            return Err(SettingsError::IdleTtl);
        }
        if self.links.password_reset > Self::MAX_PASSWORD_RESET_TTL {
            return Err(SettingsError::PasswordResetTtl);
        }
        let is_http = ["https://", "http://"]
            .iter()
            .any(|scheme| self.public_url.starts_with(scheme));
        if !is_http || self.public_url.contains(['?', '#']) {
            return Err(SettingsError::PublicUrl);
        }
        let public_url = self.public_url.trim_end_matches('/').to_owned();
        let issuer = self.issuer.unwrap_or_else(|| public_url.clone());
        let scope = TokenScope {
            audience: self.audience.unwrap_or_else(|| issuer.clone()),
            issuer,
            client_id: self.client_id,
        };
        let hasher = match self.hasher {
            Some(hasher) => hasher,
            None => PasswordHasher::builder().build()?,
        };
        let keys = VerifyingKeys::from(&self.jwt_keys);
        let (clock, database_clock): (Arc<dyn Clock>, _) = match self.time {
            TimeSource::Given(clock) => (clock, None),
            TimeSource::Node(clock) => {
                let clock = Arc::new(DatabaseClock::new(clock));
                (Arc::<DatabaseClock>::clone(&clock), Some(clock))
            }
        };
        let verifier = AccessTokenVerifier::new(
            &keys,
            scope.issuer.clone(),
            scope.audience.clone(),
            Arc::clone(&clock),
        );
        let revocations = Revocations::with_capacity(
            self.revocation_capacity,
            self.when_stale,
            Arc::clone(&clock),
        );
        let verifier = verifier.with_leeway(self.clock_leeway);
        let verifier = verifier.map_err(|_| SettingsError::ClockLeeway)?;
        let mut verifier = verifier.with_revocations(revocations.clone());
        if let Some(capacity) = self.token_cache {
            verifier = verifier.with_token_cache(capacity);
        }
        let inner = Inner {
            access_tokens: AccessTokenIssuer::new(keys.clone(), scope, self.access_ttl),
            claims_hook: self.claims_hook,
            verifier,
            refresh_tokens: RefreshTokens::new(&self.secret_keys),
            links: MailLinks::new(&self.secret_keys, &public_url, self.links),
            templates: self.templates,
            store: self.store,
            clock,
            database_clock,
            hasher,
            policy: self.policy,
            usernames: self.usernames,
            reserved_usernames: self.reserved_usernames,
            refresh_ttl: self.refresh_ttl,
            refresh_rules: RefreshRules {
                rotation: self.rotation,
                idle_ttl: self.idle_ttl,
            },
            max_sessions: self.max_sessions,
            retention: self.retention,
            email_verification: self.email_verification,
            registration: self.registration,
            mail_owed: Arc::new(Notify::new()),
            trail: Arc::new(self.trail),
            revocations,
            login_throttle: self.login_throttle,
            throttle_keys: ThrottleKeys::new(&self.secret_keys),
            keys,
        };
        Ok(Engine {
            inner: Arc::new(inner),
        })
    }
}

/// Why an engine cannot be built.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SettingsError {
    /// The access tokens' lifetime.
    #[error("the access tokens' lifetime must be from 1 second to 60 minutes")]
    AccessTtl,
    /// The refresh tokens' lifetime.
    #[error("the refresh tokens' lifetime must not be shorter than the access tokens'")]
    RefreshTtl,
    /// The sessions' idle lifetime.
    #[error("the idle lifetime must not be shorter than 2 hours")]
    IdleTtl,
    /// The password links' lifetime.
    #[error("a link to choose a new password must not be good for longer than a day")]
    PasswordResetTtl,
    /// The clock leeway.
    #[error("the clock leeway must not be longer than 60 seconds")]
    ClockLeeway,
    /// The public URL.
    #[error("the public URL must begin with https:// or http:// and have no query or fragment")]
    PublicUrl,
    /// The hashing threads.
    #[error("the password hasher cannot be started")]
    PasswordHasher(#[from] crate::password::HasherSetupError),
}
