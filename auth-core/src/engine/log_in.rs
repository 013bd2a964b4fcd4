//! A user logs in.

use std::sync::Arc;

use tracing::Instrument as _;

use super::Inner;
use super::throttle::TakenTries;
use crate::audit::{Actor, AuditAct, AuditEvent, LoginRule};
use crate::password::{Place, Verification};
use crate::store::{NewSession, Revoked};
use crate::{
    AuthError, Login, Password, PasswordHash, RequestContext, SessionOwner, TokenPair, User,
    UserId, Username, jitter,
};

impl Inner {
    /// Every refusal costs one hash, or comes before any user is looked up.
    pub(super) async fn log_in(
        &self,
        login: Login,
        context: &RequestContext,
    ) -> Result<TokenPair, AuthError> {
        self.try_log_in(login, context).await.map_err(|refusal| {
            let rule = refusal.rule;
            let act = AuditAct::LoginRefused { rule };
            let event = self.event(act, Actor::Anonymous, context);
            self.trail.note(AuditEvent {
                user: refusal.user,
                ..event
            });
            refusal.error
        })
    }

    async fn try_log_in(
        &self,
        login: Login,
        context: &RequestContext,
    ) -> Result<TokenPair, Refusal> {
        if login.password.is_too_long() {
            return Err(Refusal::by(LoginRule::PasswordTooLong));
        }
        // Before the database is asked: a flood that cannot be hashed is none for it.
        let place = self.hasher.reserve()?;
        let now = self.clock.now();
        let taken = self.take_tries(&login.username, context, now).await;
        let mut taken = taken.map_err(|(rule, error)| Refusal {
            error,
            rule,
            user: None,
        })?;
        let outcome = self.begin_session(login, place, &mut taken, context).await;
        match &outcome {
            // A login that has begun its session has settled them.
            Ok(_) => taken.settle(),
            Err(refusal) if refusal.is_failed_guess() => taken.settle(),
            Err(_) => taken.refund().await,
        }
        outcome
    }

    async fn begin_session(
        &self,
        login: Login,
        place: Place,
        taken: &mut TakenTries,
        context: &RequestContext,
    ) -> Result<TokenPair, Refusal> {
        // The hash that was checked can be replaced before the session begins: by the same
        // user's other login, which raised its cost, or by a change of the password. Then the
        // new one is to be checked, and once is enough unless somebody works against it.
        let mut reserved = Some(place);
        for _ in 0..3 {
            let place = match reserved.take() {
                Some(place) => place,
                None => self.hasher.reserve()?,
            };
            let asked_at = self.clock.now();
            let (user, checked, verification) = self.authenticate(&login, place).await?;
            let owner = SessionOwner {
                is_superuser: user.is_superuser,
                roles: user.roles.clone(),
                token_epoch: user.token_epoch,
                email_verified: user.email_verified_at.is_some(),
                ..SessionOwner::new(user.id)
            };
            self.may_use_tokens(&owner)
                .map_err(|error| Refusal::from(error).of(user.id))?;
            let now = self.clock.now();
            let mut session = NewSession::new(user.id, now, now + self.refresh_ttl);
            let [first, second, ..] = *session.id.as_uuid().as_bytes();
            session.expires_at = now + jitter::shorten(self.refresh_ttl, [first, second]);
            session.at_most = self.max_sessions;
            session.client = context.client;
            session.remembered_until = self.remembered_until(now);
            session.settlement = taken.settlement(now);
            // Before the session begins, so that the failure of a host's hook leaves none.
            let access_token = self
                .issue_access_token(&owner, session.id, asked_at)
                .await
                .map_err(|error| Refusal::from(error).of(user.id))?;
            let event = AuditEvent::new(now, AuditAct::LoggedIn, Actor::User(user.id), context)
                .about(user.id)
                .in_session(session.id);
            if let Some(displaced) = self.create(&session, &checked, &event, taken).await? {
                self.trail.tell(&event);
                self.refuse_displaced(&session, &displaced, &event);
                if verification == Verification::MatchOutdated {
                    self.renew_hash(&user, &checked, login.password.clone())
                        .await;
                }
                return Ok(TokenPair::new(
                    access_token,
                    self.refresh_tokens
                        .derive(session.id, crate::Generation::FIRST),
                ));
            }
        }
        Err(Refusal::by(LoginRule::PasswordReplaced))
    }

    /// Begins the session in a task of its own, so that the tries are settled with it even if the
    /// client hangs up meanwhile.
    async fn create(
        &self,
        session: &NewSession,
        checked: &PasswordHash,
        event: &AuditEvent,
        taken: &mut TakenTries,
    ) -> Result<Option<Revoked>, AuthError> {
        let store = Arc::clone(&self.store);
        let (session, checked, event) = (session.clone(), checked.clone(), event.clone());
        taken.settle();
        let create = async move { store.create_session(&session, &checked, &event).await };
        let created = tokio::spawn(create.in_current_span()).await;
        let created = created.map_err(|error| AuthError::Internal(Box::new(error)))?;
        if !matches!(created, Ok(Some(_))) {
            taken.unsettle();
        }
        Ok(created?)
    }

    async fn authenticate(
        &self,
        login: &Login,
        place: Place,
    ) -> Result<(User, PasswordHash, Verification), Refusal> {
        let found = match Username::for_lookup(&login.username) {
            Some(username) => self.store.find_credentials(&username).await?,
            None => None,
        };
        let (user, hash) = found.unzip();
        let verification = self
            .hasher
            .verify_at(place, login.password.clone(), hash.clone())
            .await
            .map_err(AuthError::from)?;
        let (Some(user), Some(hash)) = (user, hash) else {
            return Err(Refusal::by(LoginRule::UnknownUser));
        };
        match verification {
            Verification::Match | Verification::MatchOutdated if user.is_active => {
                Ok((user, hash, verification))
            }
            Verification::Match | Verification::MatchOutdated => {
                Err(Refusal::by(LoginRule::InactiveUser).of(user.id))
            }
            Verification::Mismatch => Err(Refusal::by(LoginRule::WrongPassword).of(user.id)),
        }
    }

    /// Replaces a hash of older parameters; a failure costs the user nothing.
    async fn renew_hash(&self, user: &User, checked: &PasswordHash, password: Password) {
        let renewed = match self.hasher.hash(password).await {
            Ok(hash) => self
                .store
                .replace_password_hash(user.id, checked, &hash)
                .await
                .map_err(AuthError::from),
            Err(error) => Err(error.into()),
        };
        if let Err(error) = renewed {
            tracing::warn!(user = %user.id, error = error.code(), "the password hash was not renewed");
        }
    }
}

/// Why a login was refused: what the client is told, and what only the operator learns.
struct Refusal {
    error: AuthError,
    rule: LoginRule,
    user: Option<UserId>,
}

impl Refusal {
    /// A refusal that tells the client nothing but that the credentials are not good.
    const fn by(rule: LoginRule) -> Self {
        Self {
            error: AuthError::InvalidCredentials,
            rule,
            user: None,
        }
    }

    /// Whether it may have been a guess: then the try that was taken for it counts.
    const fn is_failed_guess(&self) -> bool {
        matches!(self.error, AuthError::InvalidCredentials)
    }

    const fn of(mut self, user: UserId) -> Self {
        self.user = Some(user);
        self
    }
}

impl<E: Into<AuthError>> From<E> for Refusal {
    fn from(error: E) -> Self {
        let error = error.into();
        let rule = match error {
            AuthError::EmailNotVerified => LoginRule::EmailNotVerified,
            AuthError::Overloaded { .. } => LoginRule::Overloaded,
            _ => LoginRule::ServiceFailed,
        };
        Self {
            error,
            rule,
            user: None,
        }
    }
}

#[cfg(all(test, feature = "sqlite"))]
mod tests {
    use std::num::NonZeroUsize;
    use std::time::Duration;

    use super::*;
    use crate::store::SqliteStore;
    use crate::{
        Argon2Params, AuthService, Engine, Enrollment, JwtKeys, PasswordHasher, RegistrationMode,
        SecretKey, SecretKeys, TakenNames,
    };

    #[tokio::test]
    async fn s12_1_a_login_that_cannot_be_hashed_asks_the_database_nothing() {
        let hasher = PasswordHasher::builder()
            .with_params(Argon2Params::insecure_for_tests())
            .with_threads(NonZeroUsize::MIN)
            .with_queue(NonZeroUsize::MIN)
            .build()
            .unwrap();
        // It has no tables, so that whoever asks it fails.
        let store = SqliteStore::in_memory().await.unwrap();
        let key = || SecretKey::generate().unwrap();
        let secret_keys = SecretKeys::new(key());
        let engine = Engine::builder(Arc::new(store), secret_keys, JwtKeys::hs256(key()))
            .with_public_url("https://auth.example.org")
            .with_password_hasher(hasher.clone())
            .with_registration(RegistrationMode::Open {
                taken_names: TakenNames::Told,
            })
            .build()
            .unwrap();
        let context = RequestContext::default();
        let log_in = || engine.log_in(Login::new("alice", Password::new("whatever")), &context);
        let sign_ups = &engine.inner.links.sign_up;
        let in_time = engine.inner.clock.now() + Duration::from_secs(60);
        let token = sign_ups.issue(uuid::Uuid::nil(), in_time);
        let password = || Password::new("whatever");
        let complete = || engine.complete_sign_up(token.expose(), password(), &context);
        for asked in [log_in().await.err(), complete().await.err()] {
            assert_eq!(asked.unwrap().code(), "internal_error");
        }
        let taken = [hasher.reserve().unwrap(), hasher.reserve().unwrap()];
        for refused in [log_in().await.err(), complete().await.err()] {
            assert_eq!(refused.unwrap().code(), "overloaded");
        }
        drop(taken);
    }
}
