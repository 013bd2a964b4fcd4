//! Changes of addresses.

use async_trait::async_trait;
use auth_core::audit::AuditEvent;
use auth_core::store::{
    EmailChange, EmailChangeId, EmailChangeStore, EmailChangeUndo, Ending, NewEmailChange, NewMail,
    Revoked, StoreError,
};
use auth_core::{EmailAddress, Generation, Timestamp, User, UserId};

use crate::{MemoryStore, Tables};

#[async_trait]
impl EmailChangeStore for MemoryStore {
    async fn request_email_change(
        &self,
        change: &NewEmailChange,
        mail: &NewMail,
        event: &AuditEvent,
    ) -> Result<bool, StoreError> {
        let mut tables = self.lock();
        let proof = change.proof.as_ref();
        let proved = tables.users.get(&change.user).filter(|row| {
            let is_proved =
                proof.is_none_or(|hash| hash.as_stored() == row.password_hash.as_stored());
            row.user.is_active && is_proved
        });
        let Some(row) = proved else {
            return Ok(false);
        };
        let (former, address) = (row.user.email.clone(), change.address.clone());
        let asked_at = change.requested_at;
        let noted = EmailChange::new(change.id, change.user, former, address, asked_at);
        tables.forget_pending(change.user);
        tables.email_changes.insert(change.id, noted);
        tables.insert_mail(mail);
        tables.events.insert(event.id, event.clone());
        Ok(true)
    }

    async fn find_email_change(
        &self,
        id: EmailChangeId,
    ) -> Result<Option<EmailChange>, StoreError> {
        Ok(self.lock().email_changes.get(&id).cloned())
    }

    async fn confirm_email_change(
        &self,
        id: EmailChangeId,
        undo_until: Timestamp,
        notice: &NewMail,
        event: &AuditEvent,
    ) -> Result<bool, StoreError> {
        let mut tables = self.lock();
        let pending = tables.email_changes.get(&id);
        let pending = pending.filter(|change| change.confirmed_at.is_none());
        let Some(change) = pending.cloned() else {
            return Ok(false);
        };
        let user = tables.users.get(&change.user).map(|row| &row.user);
        let stands = |user: &&User| user.is_active && user.email.key() == change.former.key();
        let Some(user) = user.filter(stands) else {
            return Ok(false);
        };
        let was_verified = user.email_verified_at.is_some();
        if tables.is_reserved(change.user, &change.address, event.at) {
            return Err(StoreError::EmailTaken);
        }
        tables.give_address(change.user, &change.address, event.at)?;
        if let Some(change) = tables.email_changes.get_mut(&id) {
            change.confirmed_at = Some(event.at);
            change.undo_until = was_verified.then_some(undo_until);
        }
        if was_verified {
            tables.insert_mail(notice);
        }
        tables.events.insert(event.id, event.clone());
        Ok(true)
    }

    async fn undo_email_change(
        &self,
        id: EmailChangeId,
        undo: &EmailChangeUndo,
        ending: &Ending,
        event: &AuditEvent,
    ) -> Result<Option<Revoked>, StoreError> {
        let mut tables = self.lock();
        let done = tables.email_changes.get(&id).cloned();
        let done = done.filter(|change| can_be_undone(change, event.at));
        let Some(undone) = done else {
            return Ok(None);
        };
        tables.give_address(undone.user, &undone.former, event.at)?;
        if let Some(row) = tables.users.get_mut(&undone.user) {
            row.password_hash = undo.password_hash.clone();
        }
        tables.forget_pending(undone.user);
        for change in tables.email_changes.values_mut() {
            if change.user == undone.user && change.confirmed_at >= undone.confirmed_at {
                change.undone_at = change.undone_at.or(Some(event.at));
            }
        }
        let revoked = tables.end_sessions_of(undone.user, None, ending, event.at);
        tables.events.insert(event.id, event.clone());
        tables.insert_mail(&undo.mail);
        Ok(Some(revoked))
    }

    async fn remove_email_changes(&self, before: Timestamp, limit: u32) -> Result<u64, StoreError> {
        let mut tables = self.lock();
        let mut old: Vec<_> = tables.email_changes.values().cloned().collect();
        old.retain(|change| change.requested_at < before);
        old.sort_by_key(|change| change.requested_at);
        let removed = old.iter().take(limit as usize);
        Ok(removed
            .filter_map(|change| tables.email_changes.remove(&change.id))
            .count() as u64)
    }
}

impl Tables {
    pub(crate) fn forget_pending(&mut self, user: UserId) {
        self.email_changes
            .retain(|_, change| change.user != user || change.confirmed_at.is_some());
    }

    /// Whether somebody else can still have the address back.
    pub(crate) fn is_reserved(&self, user: UserId, address: &EmailAddress, at: Timestamp) -> bool {
        let mut changes = self.email_changes.values();
        changes.any(|change| {
            let is_former = change.user != user && change.former.key() == address.key();
            is_former && can_be_undone(change, at)
        })
    }

    fn give_address(
        &mut self,
        user: UserId,
        address: &EmailAddress,
        verified_at: Timestamp,
    ) -> Result<(), StoreError> {
        let mut others = self.users.values().filter(|row| row.user.id != user);
        if others.any(|row| row.user.email.key() == address.key()) {
            return Err(StoreError::EmailTaken);
        }
        if let Some(row) = self.users.get_mut(&user) {
            row.user.email = address.clone();
            row.user.email_verified_at = Some(verified_at);
            row.verification = Generation::new(row.verification.number() + 1);
        }
        Ok(())
    }
}

fn can_be_undone(change: &EmailChange, at: Timestamp) -> bool {
    change.undo_until > Some(at) && change.undone_at.is_none()
}
