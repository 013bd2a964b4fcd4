//! A superuser registers a user.

use super::Inner;
use crate::audit::{Actor, AuditAct, AuditEvent};
use crate::blanks::without_blanks;
use crate::mail::MailKind;
use crate::store::{NewMail, NewUser};
use crate::username::skeleton;
use crate::{
    AuthError, EmailAddress, EmailProof, FieldErrors, Password, PasswordHash, Registration,
    RequestContext, User, UserId, Username,
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
        let new = self.new_user(user, password_hash);
        self.store.create_user(&new, mail.as_ref(), &event).await?;
        self.mail_owed.notify_one();
        self.trail.tell(&event);
        Ok(new.user)
    }

    /// The record to create, compared with others as the policy of names says.
    pub(super) fn new_user(&self, user: User, password_hash: PasswordHash) -> NewUser {
        let skeleton = self.usernames.skeleton(&user.username);
        NewUser::new(user, password_hash).with_username_skeleton(skeleton)
    }

    /// Whether it is one of these names, or looks like one where that matters.
    fn is_one_of(&self, name: &Username, reserved: &[String]) -> bool {
        let looks = self.usernames.skeleton(name);
        reserved.iter().any(|taken| {
            let is_alike = looks
                .as_ref()
                .is_some_and(|looks| *looks == skeleton(taken));
            is_alike || taken == name.canonical()
        })
    }

    /// Checks all fields, so that the answer names everything that is wrong with them.
    pub(super) async fn accept(
        &self,
        registration: Registration,
        reserved: &[String],
    ) -> Result<Accepted, AuthError> {
        let mut errors = FieldErrors::default();
        let username = self.usernames.parse(&registration.username);
        match &username {
            Ok(name) if self.is_one_of(name, reserved) => {
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
            .check(
                &password,
                without_blanks(&registration.username),
                &registration.email,
            )
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
