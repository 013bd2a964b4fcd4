//! What happens to accounts.

use async_trait::async_trait;
use auth_core::UserId;
use auth_core::audit::AuditEvent;
use auth_core::revocation::{Revocation, RevokedTokens, TokenEpoch};
use auth_core::store::{AccountChange, AccountStore, Ending, Revoked, StoreError};

use crate::{MemoryStore, Tables};

#[async_trait]
impl AccountStore for MemoryStore {
    async fn change_user(
        &self,
        id: UserId,
        change: &AccountChange,
        ending: &Ending,
        events: &[AuditEvent],
    ) -> Result<Option<Revoked>, StoreError> {
        let mut tables = self.lock();
        if change.takes_rights() {
            tables.refuse_last_superuser(id)?;
        }
        let expected = change.expected_hash();
        let row = tables.users.get_mut(&id).filter(|row| {
            expected.is_none_or(|hash| hash.as_stored() == row.password_hash.as_stored())
        });
        let Some(row) = row else {
            return Ok(None);
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
        let mut revoked = Revoked::default();
        if change.ends_sessions() {
            revoked = tables.end_sessions_of(id, change.kept_session(), ending, change.at);
        }
        if change.ends_tokens() {
            revoked.epoch = tables.refuse_tokens_of(id, ending);
        }
        tables.settle(&change.settlement, change.at);
        let events = events.iter().map(|event| (event.id, event.clone()));
        tables.events.extend(events);
        Ok(Some(revoked))
    }

    async fn delete_user(
        &self,
        id: UserId,
        ending: &Ending,
        event: &AuditEvent,
    ) -> Result<Option<Revoked>, StoreError> {
        let mut tables = self.lock();
        tables.refuse_last_superuser(id)?;
        if tables.users.remove(&id).is_none() {
            return Ok(None);
        }
        let revoked = tables.end_sessions_of(id, None, ending, event.at);
        tables.events.insert(event.id, event.clone());
        tables.email_changes.retain(|_, change| change.user != id);
        tables.sessions.retain(|_, session| session.owner.id != id);
        Ok(Some(revoked))
    }
}

impl Tables {
    /// Begins the user's next epoch.
    fn refuse_tokens_of(&mut self, id: UserId, ending: &Ending) -> Option<TokenEpoch> {
        let user = &mut self.users.get_mut(&id)?.user;
        user.token_epoch = user.token_epoch.next();
        let epoch = Some(user.token_epoch);
        let tokens = RevokedTokens::OfUser {
            user: id,
            issued_before: ending.issued_before,
            epoch,
        };
        self.revoke(Revocation::new(tokens, ending.remembered_until));
        epoch
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
