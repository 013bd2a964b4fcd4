//! The use cases over any store: rules, no SQL, no HTTP.

mod account;
mod administration;
mod authorize;
mod bootstrap;
mod builder;
mod change_email;
#[cfg(feature = "sqlite")]
mod embedded;
mod enroll;
mod key_change;
mod log_in;
mod log_out;
mod refresh;
mod refresh_rules;
mod register;
mod reset_password;
mod revoke;
mod throttle;
mod usernames;
mod verify_email;
mod workers;

use std::fmt;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use tokio::sync::Notify;

pub use bootstrap::Bootstrap;
pub use builder::{EngineBuilder, SettingsError};
#[cfg(feature = "sqlite")]
pub use embedded::EmbeddedError;
pub use throttle::LoginThrottle;
pub use workers::Workers;

use self::refresh_rules::RefreshRules;
use crate::audit::{Actor, AuditAct, AuditEvent, AuditTrail, AuditWriter};
use crate::claims::{ExtraClaims, SharedHook, TokenSubject};
use crate::database_clock::DatabaseClock;
use crate::housekeeping::Retention;
use crate::mail::{Letters, MailLinks, MailTemplates, MailTransport, MailWorker};
use crate::revocation::{RevocationFollower, Revocations};
use crate::store::Store;
use crate::token::{AccessTokenIssuer, RefreshTokens, ThrottleKeys, TokenOwner};
use crate::{
    AccessToken, AccessTokenVerifier, AuthError, AuthService, Clock, EmailProof, Housekeeper,
    JwtKeys, Login, PasswordHasher, PasswordPolicy, Principal, Refreshed, Registration,
    RegistrationMode, RequestContext, Role, SecretKeys, SessionId, SessionOwner, Superuser,
    Timestamp, TokenPair, UserId, UsernamePolicy, VerifyingKeys,
};

/// Implements [`AuthService`] over any [`Store`]; cheap to clone.
///
/// ```
/// # #[cfg(feature = "sqlite")]
/// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
/// use std::sync::Arc;
/// use auth_core::store::SqliteStore;
/// use auth_core::{Engine, JwtKeys, SecretKey, SecretKeys};
///
/// let store = SqliteStore::open("auth.sqlite3").await?;
/// store.migrate().await?;
/// let engine = Engine::builder(
///     Arc::new(store),
///     SecretKeys::new(SecretKey::parse("kPq4v9-3mWz7Lx2Tn8RbYc5Hd6Js1Fg0")?),
///     JwtKeys::hs256(SecretKey::parse("Zt5Rw8Qp2Ys7Vx4Uk9Bn3Mc6Lf1Jh0Dg")?),
/// )
/// .with_public_url("https://auth.example.org")
/// .build()?;
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct Engine {
    inner: Arc<Inner>,
}

struct Inner {
    store: Arc<dyn Store>,
    clock: Arc<dyn Clock>,
    /// The same clock, if it is corrected by the database's.
    database_clock: Option<Arc<DatabaseClock>>,
    hasher: PasswordHasher,
    policy: PasswordPolicy,
    usernames: UsernamePolicy,
    reserved_usernames: Vec<String>,
    access_tokens: AccessTokenIssuer,
    claims_hook: Option<SharedHook>,
    verifier: AccessTokenVerifier,
    refresh_tokens: RefreshTokens,
    refresh_ttl: Duration,
    refresh_rules: RefreshRules,
    max_sessions: NonZeroU32,
    retention: Retention,
    links: MailLinks,
    email_verification: EmailVerification,
    registration: RegistrationMode,
    templates: MailTemplates,
    mail_owed: Arc<Notify>,
    trail: Arc<AuditTrail>,
    revocations: Revocations,
    login_throttle: LoginThrottle,
    throttle_keys: ThrottleKeys,
    /// Shared with the issuer and the verifier.
    keys: VerifyingKeys,
}

impl Engine {
    /// Begins an engine over a store, with the keys that it cannot do without.
    pub fn builder(
        store: Arc<dyn Store>,
        secret_keys: SecretKeys,
        jwt_keys: JwtKeys,
    ) -> EngineBuilder {
        EngineBuilder::new(store, secret_keys, jwt_keys)
    }

    /// The verifier of the access tokens that this engine issues, less those that are revoked.
    ///
    /// Run the [`revocation_follower`](Self::revocation_follower), or it knows only what this
    /// engine itself has revoked.
    #[must_use]
    pub fn access_token_verifier(&self) -> AccessTokenVerifier {
        self.inner.verifier.clone()
    }

    /// Issues a token of anybody, for tests of a host.
    #[cfg(all(feature = "testing", feature = "sqlite"))]
    pub(crate) fn issue_to(&self, caller: &Principal) -> Result<AccessToken, AuthError> {
        let inner = &self.inner;
        crate::testing::issue_to(caller, &inner.access_tokens, inner.clock.now())
    }

    /// A worker that learns what is revoked at any node; run one on each node.
    #[must_use]
    pub fn revocation_follower(&self) -> RevocationFollower {
        RevocationFollower::new(
            Arc::<dyn Store>::clone(&self.inner.store),
            self.inner.revocations.clone(),
            Arc::clone(&self.inner.clock),
        )
        .with_database_clock(self.inner.database_clock.clone())
    }

    /// Reads the database's clock, and goes by it from then on. The
    /// [follower](Self::revocation_follower) does the same every second; call this before a node
    /// serves, and in programs that run no follower.
    ///
    /// # Errors
    ///
    /// [`AuthError::Storage`] if the store cannot answer: the clock stays as it was.
    pub async fn set_clock(&self) -> Result<(), AuthError> {
        if let Some(clock) = &self.inner.database_clock
            && let Some(reading) = self.inner.store.read_clock().await?
        {
            clock.set(&reading);
        }
        Ok(())
    }

    /// The access tokens that are refused although they have not expired.
    #[must_use]
    pub fn revocations(&self) -> &Revocations {
        &self.inner.revocations
    }

    /// A worker that stores the audit events that belong to no transaction; run one on each node.
    #[must_use]
    pub fn audit_writer(&self) -> AuditWriter {
        AuditWriter::new(
            Arc::clone(&self.inner.trail),
            Arc::clone(&self.inner.store),
            Arc::clone(&self.inner.clock),
        )
    }

    /// A worker that removes what nobody needs any more; run one on each node.
    #[must_use]
    pub fn housekeeper(&self) -> Housekeeper {
        Housekeeper::new(
            Arc::clone(&self.inner.store),
            Arc::clone(&self.inner.clock),
            self.inner.retention,
            self.inner.links.lifetimes(),
        )
        .with_database_clock(self.inner.database_clock.clone())
    }

    /// A worker that delivers the mails that this engine owes; run one on each node.
    #[must_use]
    pub fn mail_worker(&self, transport: Arc<dyn MailTransport>) -> MailWorker {
        let inner = &self.inner;
        let letters = Letters {
            users: Arc::<dyn Store>::clone(&inner.store),
            email_changes: Arc::<dyn Store>::clone(&inner.store),
            enrollments: Arc::<dyn Store>::clone(&inner.store),
            throttle: Arc::<dyn Store>::clone(&inner.store),
            throttle_keys: inner.throttle_keys.clone(),
            links: inner.links.clone(),
            templates: inner.templates.clone(),
            email_verification: inner.email_verification,
            clock: Arc::clone(&inner.clock),
        };
        MailWorker::new(
            Arc::<dyn Store>::clone(&inner.store),
            transport,
            letters,
            Arc::clone(&inner.clock),
            Arc::clone(&inner.mail_owed),
        )
    }
}

impl fmt::Debug for Engine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Engine")
            .field("store", &self.inner.store)
            .field("refresh_rules", &self.inner.refresh_rules)
            .field("email_verification", &self.inner.email_verification)
            .finish_non_exhaustive()
    }
}

#[async_trait]
impl AuthService for Engine {
    async fn require_superuser(
        &self,
        caller: &Principal,
        context: &RequestContext,
    ) -> Result<Superuser, AuthError> {
        self.inner.require_superuser(caller, context).await
    }

    async fn register(
        &self,
        by: Superuser,
        user: Registration,
        context: &RequestContext,
    ) -> Result<UserId, AuthError> {
        let inner = &self.inner;
        let (by, reserved) = (Actor::User(by.user_id()), &inner.reserved_usernames);
        if inner.registration == RegistrationMode::Closed {
            let refused = AuthError::RegistrationClosed;
            inner.note_refused_registration(by, &refused, context);
            return Err(refused);
        }
        let created = inner.create_user(by, user, reserved, EmailProof::ByMail, context);
        Ok(created.await?.id)
    }

    async fn verify_email(&self, token: &str, context: &RequestContext) -> Result<(), AuthError> {
        self.inner.verify_email(token, context).await
    }

    async fn resend_verification(
        &self,
        email: &str,
        context: &RequestContext,
    ) -> Result<(), AuthError> {
        self.inner.resend_verification(email, context).await
    }

    async fn log_in(&self, login: Login, context: &RequestContext) -> Result<TokenPair, AuthError> {
        self.inner.log_in(login, context).await
    }

    async fn refresh(
        &self,
        refresh_token: &str,
        context: &RequestContext,
    ) -> Result<Refreshed, AuthError> {
        self.inner.refresh(refresh_token, context).await
    }

    async fn log_out(
        &self,
        refresh_token: &str,
        context: &RequestContext,
    ) -> Result<(), AuthError> {
        self.inner.log_out(refresh_token, context).await
    }

    fn note_throttled(&self, budget: &'static str, context: &RequestContext) {
        let act = AuditAct::RequestThrottled {
            budget: budget.into(),
        };
        let inner = &self.inner;
        inner
            .trail
            .note(inner.event(act, Actor::Anonymous, context));
    }

    async fn check(&self) -> Result<(), AuthError> {
        self.inner.store.check().await?;
        if self.inner.revocations.is_behind() {
            return Err(AuthError::RevocationsStale);
        }
        let clock = self.inner.database_clock.as_ref();
        if clock.is_some_and(|clock| clock.is_apart()) {
            return Err(AuthError::ClocksApart);
        }
        Ok(())
    }

    fn is_alive(&self) -> bool {
        self.inner.store.is_alive()
    }
}

impl Inner {
    /// Makes an event of this moment.
    fn event(&self, act: AuditAct, actor: Actor, context: &RequestContext) -> AuditEvent {
        AuditEvent::new(self.clock.now(), act, actor, context)
    }

    /// Issues a token as of when the store was asked, not of now: then a change that was committed
    /// between the two, and refuses what was issued before it, refuses this token too.
    async fn issue_access_token(
        &self,
        owner: &SessionOwner,
        session: SessionId,
        asked_at: Timestamp,
    ) -> Result<AccessToken, AuthError> {
        let superuser = owner.is_superuser.then_some(Role::SUPERUSER);
        let given = owner.roles.iter().map(Role::as_str);
        let roles: Vec<&str> = superuser.into_iter().chain(given).collect();
        let extra = match &self.claims_hook {
            Some(hook) => hook.0.claims(TokenSubject::of(owner, session)).await?,
            None => ExtraClaims::default(),
        };
        let owned = TokenOwner {
            user: owner.id,
            session,
            epoch: Some(owner.token_epoch),
        };
        self.access_tokens.issue(owned, &roles, &extra, asked_at)
    }

    fn may_use_tokens(&self, owner: &SessionOwner) -> Result<(), AuthError> {
        match self.email_verification {
            EmailVerification::Required if !owner.email_verified => {
                Err(AuthError::EmailNotVerified)
            }
            EmailVerification::Required | EmailVerification::Optional => Ok(()),
        }
    }
}

/// Whether a refresh replaces the refresh token (RFC 9700 section 4.14.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Rotation {
    /// The refresh token stays good until it expires or is logged out.
    Off,
    /// Each refresh gives the next refresh token.
    On {
        /// How long the token before the current one still gets the current one, for a client
        /// whose answer was lost. If that client had sent an
        /// [`IdempotencyKey`](crate::IdempotencyKey), only the key gets it, and that as long as
        /// it is unused; for others the grace is how long they are refused without harm.
        grace: Duration,
    },
}

impl Rotation {
    /// The grace that fits most clients: 30 seconds. A thief who keeps pace within a grace that is
    /// longer than an access token lives is never noticed.
    pub const DEFAULT_GRACE: Duration = Duration::from_secs(30);

    const fn grace(self) -> Duration {
        match self {
            Self::Off => Self::DEFAULT_GRACE,
            Self::On { grace } => grace,
        }
    }
}

/// Whether a user must have verified the e-mail address to log in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum EmailVerification {
    /// Who has not gets no token.
    Required,
    /// Who has not logs in all the same.
    Optional,
}
