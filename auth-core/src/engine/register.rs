//! A superuser registers a user.

use super::Inner;
use crate::audit::{Actor, AuditAct, AuditEvent};
use crate::mail::MailKind;
use crate::store::{NewMail, NewUser};
use crate::{
    AuthError, EmailAddress, EmailProof, FieldErrors, Password, Registration, RequestContext, User,
    UserId, Username,
};

impl Inner {
    /// Creates a user without privileges, or leaves an event of why not.
    pub(super) async fn create_user(
        &self,
        by: Actor,
        registration: Registration,
        reserved: &[String],
        proof: EmailProof,
        context: &RequestContext,
    ) -> Result<User, AuthError> {
        let created = self.try_create_user(by, registration, reserved, proof, context);
        let created = created.await;
        if let Err(error) = &created {
            self.note_refused_registration(by, error, context);
        }
        created
    }

    pub(super) fn note_refused_registration(
        &self,
        by: Actor,
        error: &AuthError,
        context: &RequestContext,
    ) {
        let code = error.code().into();
        let act = AuditAct::RegistrationRefused { code };
        self.trail.note(self.event(act, by, context));
    }

    async fn try_create_user(
        &self,
        by: Actor,
        registration: Registration,
        reserved: &[String],
        proof: EmailProof,
        context: &RequestContext,
    ) -> Result<User, AuthError> {
        let accepted = self.accept(registration, reserved).await?;
        let password_hash = self.hasher.hash(accepted.password).await?;
        let now = self.clock.now();
        let mut user = User::new(UserId::generate(), accepted.username, accepted.email, now);
        let mail = match proof {
            EmailProof::ByMail => {
                Some(NewMail::new(MailKind::VerifyEmail, user.email.clone(), now))
            }
            EmailProof::Vouched => {
                user.email_verified_at = Some(now);
                None
            }
        };
        let event = AuditEvent::new(now, AuditAct::UserRegistered, by, context).about(user.id);
        let new = NewUser::new(user, password_hash);
        self.store.create_user(&new, mail.as_ref(), &event).await?;
        self.mail_owed.notify_one();
        self.trail.tell(&event);
        Ok(new.user)
    }

    /// Checks all fields, so that the answer names everything that is wrong with them.
    pub(super) async fn accept(
        &self,
        registration: Registration,
        reserved: &[String],
    ) -> Result<Accepted, AuthError> {
        let mut errors = FieldErrors::default();
        let username = registration.username.parse::<Username>();
        match &username {
            Ok(name) if reserved.iter().any(|taken| taken == name.canonical()) => {
                errors.add("username", "is reserved");
            }
            Ok(_) => {}
            Err(error) => errors.add("username", error.to_string()),
        }
        let email = registration.email.parse::<EmailAddress>();
        if let Err(error) = &email {
            errors.add("email", error.to_string());
        }
        let password = registration.password;
        let problems = self
            .policy
            .check(&password, &registration.username, &registration.email)
            .await;
        for problem in problems.err().into_iter().flatten() {
            errors.add("password", problem.to_string());
        }
        match (username, email) {
            (Ok(username), Ok(email)) => {
                errors.into_result()?;
                Ok(Accepted {
                    username,
                    password,
                    email,
                })
            }
            _ => Err(AuthError::Validation(errors)),
        }
    }
}

/// A registration that keeps the rules.
pub(super) struct Accepted {
    pub(super) username: Username,
    pub(super) password: Password,
    pub(super) email: EmailAddress,
}
