//! A user logs in.

use super::Inner;
use crate::audit::{Actor, AuditAct, AuditEvent};
use crate::password::Verification;
use crate::store::NewSession;
use crate::{
    AuthError, Login, Password, PasswordHash, RequestContext, SessionOwner, TokenPair, User,
    Username,
};

impl Inner {
    /// Every refusal costs one hash, or comes before any user is looked up.
    pub(super) async fn log_in(
        &self,
        login: Login,
        context: &RequestContext,
    ) -> Result<TokenPair, AuthError> {
        if login.password.is_too_long() {
            return Err(AuthError::InvalidCredentials);
        }
        // The hash that was checked can be replaced before the session begins: by the same
        // user's other login, which raised its cost, or by a change of the password. Then the
        // new one is to be checked, and once is enough unless somebody works against it.
        for _ in 0..3 {
            let (user, checked, verification) = self.authenticate(&login).await?;
            let owner = SessionOwner {
                is_superuser: user.is_superuser,
                email_verified: user.email_verified_at.is_some(),
                ..SessionOwner::new(user.id)
            };
            self.may_use_tokens(owner)?;
            let now = self.clock.now();
            let session = NewSession::new(user.id, now, now + self.refresh_ttl);
            let event = AuditEvent::new(now, AuditAct::LoggedIn, Actor::User(user.id), context)
                .about(user.id)
                .in_session(session.id);
            let begun = self.store.create_session(&session, &checked, &event);
            if begun.await? {
                self.trail.tell(&event);
                if verification == Verification::MatchOutdated {
                    self.renew_hash(&user, &checked, login.password.clone())
                        .await;
                }
                return Ok(TokenPair::new(
                    self.issue_access_token(owner, session.id)?,
                    self.refresh_tokens
                        .derive(session.id, crate::Generation::FIRST),
                ));
            }
        }
        Err(AuthError::InvalidCredentials)
    }

    async fn authenticate(
        &self,
        login: &Login,
    ) -> Result<(User, PasswordHash, Verification), AuthError> {
        let found = match Username::for_lookup(&login.username) {
            Some(username) => self.store.find_credentials(&username).await?,
            None => None,
        };
        let (user, hash) = found.unzip();
        let verification = self
            .hasher
            .verify(login.password.clone(), hash.clone())
            .await?;
        match (user, hash, verification) {
            (Some(user), Some(hash), Verification::Match | Verification::MatchOutdated)
                if user.is_active =>
            {
                Ok((user, hash, verification))
            }
            _ => Err(AuthError::InvalidCredentials),
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
