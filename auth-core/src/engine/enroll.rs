//! People make accounts for themselves: they sign up, or accept an invitation.

use async_trait::async_trait;

use super::administration::actor;
use super::verify_email::parse_address;
use super::{Engine, Inner};
use crate::audit::{Actor, AuditAct, AuditEvent};
use crate::housekeeping::MAIL_DELAY;
use crate::mail::MailKind;
use crate::password::Place;
use crate::store::{Enrollee, EnrollmentId, EnrollmentOrigin, NewMail, SignUpSource};
use crate::token::RecordClaim;
use crate::{
    Administrator, AuthError, ClientNetwork, EmailAddress, Enrollment, Login, Password,
    PasswordHash, Registration, RegistrationMode, RequestContext, TakenNames, User, UserId,
    Username,
};

#[async_trait]
impl Enrollment for Engine {
    fn registration_mode(&self) -> RegistrationMode {
        self.inner.registration
    }

    async fn sign_up(&self, user: Registration, context: &RequestContext) -> Result<(), AuthError> {
        let inner = &self.inner;
        let begun = inner.sign_up(user, context).await;
        if let Err(error) = &begun {
            inner.note_refused_registration(Actor::Anonymous, error, context);
        }
        begun
    }

    async fn complete_sign_up(
        &self,
        token: &str,
        password: Password,
        context: &RequestContext,
    ) -> Result<(), AuthError> {
        let inner = &self.inner;
        let completed = inner.complete_sign_up(token, password, context).await;
        if let Err(error) = &completed {
            inner.note_refused_verification(error, context);
        }
        completed
    }

    async fn invite(
        &self,
        by: Administrator,
        email: &str,
        context: &RequestContext,
    ) -> Result<EnrollmentId, AuthError> {
        let inner = &self.inner;
        let invited = inner.invite(by, email, context).await;
        if let Err(error) = &invited {
            inner.note_refused_invitation(actor(by), error, context);
        }
        invited
    }

    async fn accept_invitation(
        &self,
        token: &str,
        login: Login,
        context: &RequestContext,
    ) -> Result<(), AuthError> {
        let inner = &self.inner;
        let accepted = inner.accept_invitation(token, login, context).await;
        if let Err(error) = &accepted {
            inner.note_refused_invitation(Actor::Anonymous, error, context);
        }
        accepted
    }
}

impl Inner {
    /// Asks nothing about the address: whether somebody has it is found out by the worker, where
    /// nobody can measure it.
    async fn sign_up(
        &self,
        registration: Registration,
        context: &RequestContext,
    ) -> Result<(), AuthError> {
        let RegistrationMode::Open { taken_names } = self.registration else {
            return Err(AuthError::RegistrationClosed);
        };
        let reserved = &self.reserved_usernames;
        let accepted = self.accept(registration, reserved).await?;
        let username = accepted.username;
        if taken_names == TakenNames::Told
            && self.store.find_credentials(&username).await?.is_some()
        {
            return Err(AuthError::UsernameTaken);
        }
        let password_hash = self.hasher.hash(accepted.password).await?;
        let event = self.event(AuditAct::SignUpRequested, Actor::Anonymous, context);
        let origin = EnrollmentOrigin::SignUp {
            username,
            password_hash,
            source: self.sign_up_source(&accepted.email, context),
        };
        let expires_at = event.at + MAIL_DELAY + self.links.lifetimes().verification;
        let id = EnrollmentId::generate();
        let enrollment = Enrollee::new(id, accepted.email, origin, event.at, expires_at);
        self.begin(&enrollment, MailKind::ConfirmSignUp, &event)
            .await
    }

    async fn invite(
        &self,
        by: Administrator,
        email: &str,
        context: &RequestContext,
    ) -> Result<EnrollmentId, AuthError> {
        self.require_invitations()?;
        let email = parse_address(email)?;
        if self
            .store
            .find_credentials_by_email(&email)
            .await?
            .is_some()
        {
            return Err(AuthError::EmailTaken);
        }
        let id = EnrollmentId::generate();
        let act = AuditAct::UserInvited { invitation: id };
        let event = self.event(act, actor(by), context);
        let by = match by {
            Administrator::Superuser(superuser) => Some(superuser.user_id()),
            Administrator::Operator => None,
        };
        let origin = EnrollmentOrigin::Invitation { by };
        let expires_at = event.at + MAIL_DELAY + self.links.lifetimes().invitation;
        let enrollment = Enrollee::new(id, email, origin, event.at, expires_at);
        self.begin(&enrollment, MailKind::Invitation, &event)
            .await?;
        Ok(id)
    }

    async fn begin(
        &self,
        enrollment: &Enrollee,
        kind: MailKind,
        event: &AuditEvent,
    ) -> Result<(), AuthError> {
        let mail = NewMail::new(kind, enrollment.email.clone(), event.at);
        let mail = mail.about(enrollment.id.as_uuid());
        self.store
            .begin_enrollment(enrollment, &mail, event)
            .await?;
        self.mail_owed.notify_one();
        self.trail.tell(event);
        Ok(())
    }

    /// Stands for the client that signs up with the address, or asks for another mail of its
    /// sign-up.
    pub(super) fn sign_up_source(
        &self,
        email: &EmailAddress,
        context: &RequestContext,
    ) -> SignUpSource {
        let subscriber = context.client.map(ClientNetwork::subscriber);
        self.throttle_keys.sign_up_source(email, subscriber)
    }

    pub(super) fn require_sign_up(&self) -> Result<(), AuthError> {
        match self.registration {
            RegistrationMode::Open { .. } => Ok(()),
            _ => Err(AuthError::RegistrationClosed),
        }
    }

    async fn complete_sign_up(
        &self,
        token: &str,
        password: Password,
        context: &RequestContext,
    ) -> Result<(), AuthError> {
        self.require_sign_up()?;
        let claim = self.links.sign_up.open(token);
        let claim = claim.ok_or(AuthError::LinkInvalid)?;
        self.require_in_time(&claim)?;
        if password.is_too_long() {
            return Err(AuthError::InvalidCredentials);
        }
        // As at a login: reserve a hashing slot first, so that what cannot be hashed never reaches
        // the database, and take the try before hashing, so that many requests at once get no more
        // guesses.
        let place = self.hasher.reserve()?;
        let id = EnrollmentId::from_uuid(claim.id);
        let mut taken = self.take_tries_of_sign_up(id, context).await?;
        let confirmed = self.confirm_sign_up(claim, place, password, context).await;
        if let Err(AuthError::InvalidCredentials) = confirmed {
            taken.settle();
        } else {
            taken.refund().await;
        }
        confirmed
    }

    /// Reading the mailbox does not prove who signed up; knowing the password does.
    async fn confirm_sign_up(
        &self,
        claim: RecordClaim,
        place: Place,
        password: Password,
        context: &RequestContext,
    ) -> Result<(), AuthError> {
        let enrollment = self.open_enrollment(claim).await?;
        let EnrollmentOrigin::SignUp {
            username,
            password_hash,
            ..
        } = enrollment.origin
        else {
            return Err(AuthError::LinkInvalid);
        };
        let hash = Some(password_hash.clone());
        let verification = self.hasher.verify_at(place, password, hash).await?;
        if !verification.is_match() {
            return Err(AuthError::InvalidCredentials);
        }
        let user = (username, enrollment.email, password_hash);
        let act = AuditAct::SignedUp;
        self.complete(enrollment.id, user, act, context).await
    }

    async fn accept_invitation(
        &self,
        token: &str,
        login: Login,
        context: &RequestContext,
    ) -> Result<(), AuthError> {
        self.require_invitations()?;
        let claim = self.links.invitation.open(token);
        let claim = claim.ok_or(AuthError::LinkInvalid)?;
        let enrollment = self.open_enrollment(claim).await?;
        let EnrollmentOrigin::Invitation { by } = enrollment.origin else {
            return Err(AuthError::LinkInvalid);
        };
        let email = enrollment.email.as_str();
        let registration = Registration::new(login.username, login.password, email);
        let reserved = &self.reserved_usernames;
        let accepted = self.accept(registration, reserved).await?;
        let password_hash = self.hasher.hash(accepted.password).await?;
        let act = AuditAct::InvitationAccepted {
            invitation: enrollment.id,
            invited_by: by,
        };
        let user = (accepted.username, enrollment.email, password_hash);
        self.complete(enrollment.id, user, act, context).await
    }

    /// The enrollment that a link may complete.
    async fn open_enrollment(&self, claim: RecordClaim) -> Result<Enrollee, AuthError> {
        self.require_in_time(&claim)?;
        let id = EnrollmentId::from_uuid(claim.id);
        let found = self.store.find_enrollment(id).await?;
        let enrollment = found.ok_or(AuthError::LinkInvalid)?;
        match enrollment.completed_at {
            Some(_) => Err(AuthError::LinkUsed),
            None => Ok(enrollment),
        }
    }

    fn require_in_time(&self, claim: &RecordClaim) -> Result<(), AuthError> {
        if self.clock.now() < claim.expires_at {
            Ok(())
        } else {
            Err(AuthError::LinkExpired)
        }
    }

    /// Makes the user, whose address the link has verified.
    async fn complete(
        &self,
        enrollment: EnrollmentId,
        (username, email, password_hash): (Username, EmailAddress, PasswordHash),
        act: AuditAct,
        context: &RequestContext,
    ) -> Result<(), AuthError> {
        let id = UserId::generate();
        let event = self.event(act, Actor::User(id), context).about(id);
        let mut user = User::new(id, username, email, event.at);
        user.email_verified_at = Some(event.at);
        let user = self.new_user(user, password_hash);
        let is_done = self
            .store
            .complete_enrollment(enrollment, &user, &event)
            .await?;
        if !is_done {
            return Err(AuthError::LinkUsed);
        }
        self.trail.tell(&event);
        Ok(())
    }

    fn require_invitations(&self) -> Result<(), AuthError> {
        match self.registration {
            RegistrationMode::Invitation => Ok(()),
            _ => Err(AuthError::RegistrationClosed),
        }
    }

    fn note_refused_invitation(&self, by: Actor, error: &AuthError, context: &RequestContext) {
        let code = error.code().into();
        let act = AuditAct::InvitationRefused { code };
        self.trail.note(self.event(act, by, context));
    }
}
