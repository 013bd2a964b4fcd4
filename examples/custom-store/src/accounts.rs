//! What happens to accounts.

use async_trait::async_trait;
use auth_core::UserId;
use auth_core::audit::AuditEvent;
use auth_core::revocation::{Revocation, RevokedTokens};
use auth_core::store::{AccountChange, AccountStore, Ending, StoreError};

use crate::{MemoryStore, Tables};

#[async_trait]
impl AccountStore for MemoryStore {
    async fn change_user(
        &self,
        id: UserId,
        change: &AccountChange,
        ending: &Ending,
        events: &[AuditEvent],
    ) -> Result<bool, StoreError> {
        let mut tables = self.lock();
        if change.takes_rights() {
            tables.refuse_last_superuser(id)?;
        }
        let expected = change.expected_hash();
        let row = tables.users.get_mut(&id).filter(|row| {
            expected.is_none_or(|hash| hash.as_stored() == row.password_hash.as_stored())
        });
        let Some(row) = row else {
            return Ok(false);
        };
        let user = &mut row.user;
        user.is_active = change.is_active.unwrap_or(user.is_active);
        user.is_superuser = change.is_superuser.unwrap_or(user.is_superuser);
        if let Some(roles) = &change.roles {
            user.roles = roles.clone();
        }
        if let Some(hash) = change.password_hash() {
            row.password_hash = hash.clone();
            tables.forget_pending(id);
        }
        if change.ends_sessions() {
            tables.end_sessions_of(id, change.kept_session(), ending, change.at);
        }
        if change.ends_tokens() {
            tables.refuse_tokens_of(id, ending);
        }
        let events = events.iter().map(|event| (event.id, event.clone()));
        tables.events.extend(events);
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
        tables.end_sessions_of(id, None, ending, event.at);
        tables.events.insert(event.id, event.clone());
        tables.email_changes.retain(|_, change| change.user != id);
        tables.sessions.retain(|_, session| session.owner.id != id);
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
