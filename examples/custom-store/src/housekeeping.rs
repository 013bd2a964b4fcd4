//! What goes when it is old.

use async_trait::async_trait;
use auth_core::Timestamp;
use auth_core::store::{HousekeepingStore, StoreError};

use super::MemoryStore;

#[async_trait]
impl HousekeepingStore for MemoryStore {
    async fn acquire_lease(
        &self,
        name: &str,
        now: Timestamp,
        until: Timestamp,
    ) -> Result<bool, StoreError> {
        let mut tables = self.lock();
        let is_free = tables.leases.get(name).is_none_or(|end| *end <= now);
        if is_free {
            tables.leases.insert(name.to_owned(), until);
        }
        Ok(is_free)
    }

    async fn remove_expired_sessions(
        &self,
        before: Timestamp,
        limit: u32,
    ) -> Result<u64, StoreError> {
        let mut tables = self.lock();
        let mut old: Vec<_> = tables.sessions.values().collect();
        old.retain(|session| session.expires_at < before);
        old.sort_by_key(|session| session.expires_at);
        let old: Vec<_> = old.iter().map(|session| session.id).collect();
        let removed = old.iter().take(limit as usize);
        Ok(removed.filter_map(|id| tables.sessions.remove(id)).count() as u64)
    }

    async fn remove_abandoned_mails(
        &self,
        before: Timestamp,
        limit: u32,
    ) -> Result<u64, StoreError> {
        let mut tables = self.lock();
        let given_up = tables.outbox.iter();
        let mut old: Vec<_> = given_up
            .filter_map(|(id, row)| Some((row.abandoned_at?, *id)))
            .filter(|(at, _)| *at < before)
            .collect();
        old.sort_unstable();
        let removed = old.iter().take(limit as usize);
        Ok(removed
            .filter_map(|(_, id)| tables.outbox.remove(id))
            .count() as u64)
    }
}
