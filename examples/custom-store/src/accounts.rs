//! What happens to accounts.

use async_trait::async_trait;
use auth_core::audit::AuditEvent;
use auth_core::revocation::{Revocation, RevokedTokens};
use auth_core::store::{AccountStore, Ending, PasswordReplacement, StoreError};
use auth_core::{Roles, UserId};

use crate::{MemoryStore, Tables};

#[async_trait]
impl AccountStore for MemoryStore {
    async fn deactivate_user(
        &self,
        id: UserId,
        ending: &Ending,
        event: &AuditEvent,
    ) -> Result<bool, StoreError> {
        let mut tables = self.lock();
        tables.refuse_last_superuser(id)?;
        let Some(row) = tables.users.get_mut(&id) else {
            return Ok(false);
        };
        row.user.is_active = false;
        tables.end_sessions_of(id, None, ending, event);
        Ok(true)
    }

    async fn activate_user(&self, id: UserId, event: &AuditEvent) -> Result<bool, StoreError> {
        let mut tables = self.lock();
        let Some(row) = tables.users.get_mut(&id) else {
            return Ok(false);
        };
        row.user.is_active = true;
        tables.events.insert(event.id, event.clone());
        Ok(true)
    }

    async fn delete_user(
        &self,
        id: UserId,
        ending: &Ending,
        event: &AuditEvent,
    ) -> Result<bool, StoreError> {
        let mut tables = self.lock();
        tables.refuse_last_superuser(id)?;
        if tables.users.remove(&id).is_none() {
            return Ok(false);
        }
        tables.end_sessions_of(id, None, ending, event);
        tables.email_changes.retain(|_, change| change.user != id);
        tables.sessions.retain(|_, session| session.owner.id != id);
        Ok(true)
    }

    async fn grant_superuser(&self, id: UserId, event: &AuditEvent) -> Result<bool, StoreError> {
        let mut tables = self.lock();
        let Some(row) = tables.users.get_mut(&id) else {
            return Ok(false);
        };
        row.user.is_superuser = true;
        tables.events.insert(event.id, event.clone());
        Ok(true)
    }

    async fn revoke_superuser(
        &self,
        id: UserId,
        ending: &Ending,
        event: &AuditEvent,
    ) -> Result<bool, StoreError> {
        let mut tables = self.lock();
        tables.refuse_last_superuser(id)?;
        let Some(row) = tables.users.get_mut(&id) else {
            return Ok(false);
        };
        row.user.is_superuser = false;
        tables.refuse_tokens_of(id, ending);
        tables.events.insert(event.id, event.clone());
        Ok(true)
    }

    async fn set_roles(
        &self,
        id: UserId,
        roles: &Roles,
        ending: &Ending,
        event: &AuditEvent,
    ) -> Result<bool, StoreError> {
        let mut tables = self.lock();
        let Some(row) = tables.users.get_mut(&id) else {
            return Ok(false);
        };
        row.user.roles = roles.clone();
        tables.refuse_tokens_of(id, ending);
        tables.events.insert(event.id, event.clone());
        Ok(true)
    }

    async fn change_password(
        &self,
        id: UserId,
        replacement: &PasswordReplacement,
        ending: &Ending,
        event: &AuditEvent,
    ) -> Result<bool, StoreError> {
        let mut tables = self.lock();
        let expected = replacement.expected.as_ref();
        let row = tables.users.get_mut(&id).filter(|row| {
            expected.is_none_or(|hash| hash.as_stored() == row.password_hash.as_stored())
        });
        let Some(row) = row else {
            return Ok(false);
        };
        row.password_hash = replacement.hash.clone();
        tables.forget_pending(id);
        tables.end_sessions_of(id, replacement.except, ending, event);
        Ok(true)
    }
}

impl Tables {
    fn refuse_tokens_of(&mut self, user: UserId, ending: &Ending) {
        let issued_before = ending.issued_before;
        let tokens = RevokedTokens::OfUser {
            user,
            issued_before,
        };
        self.revoke(Revocation::new(tokens, ending.remembered_until));
    }

    fn refuse_last_superuser(&self, id: UserId) -> Result<(), StoreError> {
        let superusers = self.users.values().map(|row| &row.user);
        let mut superusers = superusers.filter(|user| user.is_superuser && user.is_active);
        match (superusers.next(), superusers.next()) {
            (Some(only), None) if only.id == id => Err(StoreError::LastSuperuser),
            _ => Ok(()),
        }
    }
}
