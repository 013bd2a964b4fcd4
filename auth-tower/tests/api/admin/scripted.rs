//! An administration that does what the test says.

use std::fmt::Debug;

use async_trait::async_trait;
use auth_core::audit::{Actor, AuditAct, AuditEvent};
use auth_core::store::{EventFilter, UserFilter};
use auth_core::{
    Administration, Administrator, AuthError, EmailProof, Password, Registration, RequestContext,
    Roles, SessionId, Timestamp, User, UserChanges, UserId,
};
use uuid::Uuid;

use crate::support::{Scripted, alice};

pub(crate) fn bob() -> User {
    let mut bob = user(0xb0b, "Bob");
    bob.email_verified_at = Some(Timestamp::from_unix_seconds(1_700_000_000));
    bob.roles = Roles::parse(["editor", "auditor"]).unwrap();
    bob
}

fn user(id: u128, name: &str) -> User {
    let email = format!("{name}@example.org").parse().unwrap();
    let id = UserId::from_uuid(Uuid::from_u128(id));
    User::new(id, name.parse().unwrap(), email, Timestamp::UNIX_EPOCH)
}

fn event(id: u128) -> AuditEvent {
    let context = RequestContext::default().with_client([192, 0, 2, 7].into());
    let act = AuditAct::SuperuserRevoked;
    let mut event = AuditEvent::new(Timestamp::UNIX_EPOCH, act, Actor::Operator, &context);
    event.id = Uuid::from_u128(id);
    event.about(bob().id)
}

/// The rows of a page, of three that there are.
fn page<T>(rows: [T; 3], limit: u32) -> Vec<T> {
    rows.into_iter().take(limit as usize).collect()
}

#[async_trait]
impl Administration for Scripted {
    async fn list_users(
        &self,
        by: Administrator,
        filter: &UserFilter,
    ) -> Result<Vec<User>, AuthError> {
        self.asked("list_users", by, filter)?;
        let users = [user(1, "Anna"), bob(), user(3, "carol")];
        Ok(page(users, filter.limit))
    }

    async fn read_user(&self, by: Administrator, user: UserId) -> Result<User, AuthError> {
        self.asked("read_user", by, &user)?;
        Ok(bob())
    }

    async fn create_user(
        &self,
        by: Administrator,
        user: Registration,
        proof: EmailProof,
        _: &RequestContext,
    ) -> Result<User, AuthError> {
        let (name, password, email) = (user.username, user.password, user.email);
        let what = format!("{name} {} {email} {proof:?}", password.expose());
        self.asked("create_user", by, &format_args!("{what}"))?;
        Ok(bob())
    }

    async fn change_user(
        &self,
        by: Administrator,
        _: UserId,
        changes: UserChanges,
        _: &RequestContext,
    ) -> Result<User, AuthError> {
        let password = changes.password.as_ref().map(Password::expose);
        let roles = changes.roles.map(|roles| roles.to_string());
        let what = (changes.is_active, changes.is_superuser, roles, password);
        self.asked("change_user", by, &what)?;
        Ok(bob())
    }

    async fn deactivate_user(
        &self,
        _: Administrator,
        _: UserId,
        _: &RequestContext,
    ) -> Result<(), AuthError> {
        unreachable!("the endpoints change users with change_user")
    }

    async fn activate_user(
        &self,
        _: Administrator,
        _: UserId,
        _: &RequestContext,
    ) -> Result<(), AuthError> {
        unreachable!("the endpoints change users with change_user")
    }

    async fn delete_user(
        &self,
        by: Administrator,
        user: UserId,
        _: &RequestContext,
    ) -> Result<(), AuthError> {
        self.asked("delete_user", by, &user)
    }

    async fn grant_superuser(
        &self,
        _: Administrator,
        _: UserId,
        _: &RequestContext,
    ) -> Result<(), AuthError> {
        unreachable!("the endpoints change users with change_user")
    }

    async fn revoke_superuser(
        &self,
        _: Administrator,
        _: UserId,
        _: &RequestContext,
    ) -> Result<(), AuthError> {
        unreachable!("the endpoints change users with change_user")
    }

    async fn set_roles(
        &self,
        _: Administrator,
        _: UserId,
        _: &Roles,
        _: &RequestContext,
    ) -> Result<(), AuthError> {
        unreachable!("the endpoints change users with change_user")
    }

    async fn set_password(
        &self,
        _: Administrator,
        _: UserId,
        _: Password,
        _: &RequestContext,
    ) -> Result<(), AuthError> {
        unreachable!("the endpoints change users with change_user")
    }

    async fn end_session(
        &self,
        _: Administrator,
        _: SessionId,
        _: &RequestContext,
    ) -> Result<(), AuthError> {
        unreachable!("there is no endpoint for it")
    }

    async fn end_user_sessions(
        &self,
        by: Administrator,
        user: UserId,
        _: &RequestContext,
    ) -> Result<u64, AuthError> {
        self.asked("end_user_sessions", by, &user)?;
        Ok(2)
    }

    async fn end_all_sessions(
        &self,
        _: Administrator,
        _: &RequestContext,
    ) -> Result<u64, AuthError> {
        unreachable!("there is no endpoint for it")
    }

    async fn end_sessions_begun_before(
        &self,
        _: Administrator,
        _: Timestamp,
        _: &RequestContext,
    ) -> Result<u64, AuthError> {
        unreachable!("there is no endpoint for it")
    }

    async fn list_events(
        &self,
        by: Administrator,
        filter: &EventFilter,
    ) -> Result<Vec<AuditEvent>, AuthError> {
        self.asked("list_events", by, filter)?;
        Ok(page([event(9), event(8), event(7)], filter.limit))
    }
}

impl Scripted {
    fn asked(&self, act: &str, by: Administrator, what: &dyn Debug) -> Result<(), AuthError> {
        let Administrator::Superuser(by) = by else {
            panic!("{act} in the operator's name");
        };
        assert_eq!(by.user_id(), alice().user_id);
        self.calls.lock().unwrap().push(format!("{act} {what:?}"));
        (self.outcome)()
    }
}
