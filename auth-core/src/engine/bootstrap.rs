//! The operator makes a superuser, with no HTTP in between.

use super::Engine;
use crate::audit::{Actor, AuditAct, AuditEvent};
use crate::{AuthError, Password, Registration, RequestContext, SecretKey, User, UserId, Username};

/// Which superusers the operator may make.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Bootstrap {
    /// Only the first: where there is one already, nothing happens.
    FirstSuperuser,
    /// A further one, too.
    AnySuperuser,
}

impl Engine {
    /// Makes sure that there is a superuser: creates the first one, with a random password that
    /// nobody has but the caller.
    ///
    /// Returns `None` if there is a superuser already, or another user of this name. It is made to
    /// be called at every start: where there is nothing to do it costs one look-up by name, as long
    /// as the superuser keeps the name.
    ///
    /// # Errors
    ///
    /// Those of [`create_superuser`](Self::create_superuser), and [`AuthError::Internal`] if the
    /// operating system has no randomness to give.
    pub async fn ensure_superuser(
        &self,
        username: &str,
        email: &str,
    ) -> Result<Option<Password>, AuthError> {
        // Asked first, since a hash would cost every start the time of a login.
        let found = match Username::for_lookup(username) {
            Some(username) => self.inner.store.find_credentials(&username).await?,
            None => None,
        };
        if found.is_some() {
            return Ok(None);
        }
        let random = SecretKey::generate().map_err(|error| AuthError::Internal(error.into()))?;
        let password = Password::new(String::from_utf8_lossy(random.expose()));
        let registration = Registration::new(username, password.clone(), email);
        let created = self
            .create_superuser(registration, Bootstrap::FirstSuperuser)
            .await?;
        Ok(created.map(|_| password))
    }

    /// Creates a superuser whose address counts as verified, for the operator's own tools.
    ///
    /// Returns `None` if [`Bootstrap::FirstSuperuser`] was asked for and there is one already; of
    /// two calls at once one creates. Never offer this to a network.
    ///
    /// # Errors
    ///
    /// - [`AuthError::Validation`], [`AuthError::UsernameTaken`], [`AuthError::EmailTaken`];
    /// - [`AuthError::Overloaded`], [`AuthError::Storage`].
    pub async fn create_superuser(
        &self,
        registration: Registration,
        bootstrap: Bootstrap,
    ) -> Result<Option<UserId>, AuthError> {
        let inner = &self.inner;
        // Reserved names protect against strangers, not against the operator.
        let accepted = inner.accept(registration, &[]).await?;
        let password_hash = inner.hasher.hash(accepted.password).await?;
        let now = inner.clock.now();
        let mut user = User::new(UserId::generate(), accepted.username, accepted.email, now);
        user.is_superuser = true;
        user.email_verified_at = Some(now);
        let id = user.id;
        let user = inner.new_user(user, password_hash);
        let act = AuditAct::SuperuserCreated;
        let context = RequestContext::default();
        let event = AuditEvent::new(now, act, Actor::Operator, &context).about(id);
        let created = match bootstrap {
            Bootstrap::FirstSuperuser => inner.store.create_first_superuser(&user, &event).await?,
            Bootstrap::AnySuperuser => {
                inner.store.create_user(&user, None, &event).await?;
                true
            }
        };
        if created {
            inner.trail.tell(&event);
        }
        Ok(created.then_some(id))
    }
}
